// SPDX-License-Identifier: BSL-1.0
#pragma once
// What the experiments share: training options and presets, runs with progress and checkpoints, and
// the summary at the end.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <wgf/wgf.hpp>

#include "data.hpp"
#include "options.hpp"
#include "output.hpp"
#include "report.hpp"

namespace examples {

/// The options of a training: set by a preset, overridden by the command line.
struct Training {
  wgf::RunOptions run;
  double step_size;  ///< a
  double dropout;    ///< of the dual network
};
using Presets = std::map<std::string, Training>;

/// The dual form of a term: its network, fitted by `Fit`.
template <class Fit = wgf::LogisticLoss, class Network>
wgf::Dual<Network, Fit> dual_of(const Network& network) {
  return {.network = network};
}
/// Its description for a report.
template <class Network, class Fit>
std::string describe_dual(const wgf::Dual<Network, Fit>& dual) {
  return wgf::describe(dual.network) + ", " + Fit::name;
}

/// Adds an option that selects a preset, --preset by default. Call it before adding the other
/// options: they are applied in this order and override the preset.
/// \param name the default preset; --help shows its values
inline CLI::Option* add_presets(CLI::App& app, CommonOptions& options, const Presets& presets,
                                std::string& name, Training& training,
                                const char* option = "--preset",
                                const char* help = "preset; other options override its values") {
  const auto choose = [&presets, &options, &name, &training](const std::string& chosen) {
    name = chosen, training = presets.at(chosen), options.steps = training.run.steps;
  };
  choose(name);
  std::vector<std::string> names;
  for (const auto& preset : presets) names.push_back(preset.first);
  const auto known = [&presets, names](const std::string& text) {
    return presets.contains(text)
               ? std::string()
               : fmt::format("must be one of {}, got {}", fmt::join(names, ", "), text);
  };
  return app.add_option_function<std::string>(option, choose, help)
      ->check(CLI::Validator(known, fmt::format("{{{}}}", fmt::join(names, ","))))
      ->default_str(name);
}

/// Checks that the value of an option lies in an interval.
inline CLI::Validator between(double least, double most, bool exclude_least = false) {
  const auto check = [=](const std::string& text) {
    double value = 0;
    const bool good = CLI::detail::lexical_cast(text, value) && value >= least && value <= most &&
                      !(exclude_least && value == least);
    return good ? std::string()
                : fmt::format("must be {} {} and at most {}, got {}",
                              exclude_least ? "above" : "at least", least, most, text);
  };
  return CLI::Validator(check, "");
}

/// The name of a field of RunOptions on the command line and in the report, such as "batch" or
/// "population-size". \param word between words: '-' or '_'
inline std::string option_name(const std::string& group, const char* field, char word) {
  std::string name = (group.empty() ? "" : group + word) + field;
  std::replace(name.begin(), name.end(), '_', word);
  return name;
}
/// f(group, the options' group, its fields) for those that the command line sets.
template <class Run, class F>
void each_option_group(Run& run, F f) {
  f("", run.training, wgf::TrainingOptions::fields());
  f("population", run.population, wgf::PopulationOptions::fields());
}

/// Adds the training options: --step-size, and one for every field of the library's list, with its
/// requirement and help.
inline void add_training_options(CLI::App& app, Training& training) {
  app.add_option("--step-size", training.step_size, "step size a of the scheme")
      ->capture_default_str()
      ->group("Training")
      ->check(positive());
  each_option_group(training.run, [&](const std::string& prefix, auto& group, const auto& fields) {
    wgf::hana::for_each(fields, [&](const auto& field) {
      auto& value = group.*field.member;
      using T = std::remove_reference_t<decltype(value)>;
      auto* option = app.add_option("--" + option_name(prefix, field.name, '-'), value, field.help)
                         ->capture_default_str()
                         ->group("Training");
      if constexpr (std::is_same_v<T, bool>) {
        option->default_str(value ? "true" : "false");
      } else {
        const auto check = [field](const std::string& text) {
          T given{};
          if (CLI::detail::lexical_cast(text, given) && field.valid(given)) return std::string();
          return fmt::format("{}, got {}", field.requirement, text);
        };
        option->check(CLI::Validator(check, ""));
      }
    });
  });
}
/// Adds --map, for programs with a choice of two maps.
inline CLI::Option* add_map(CLI::App& app, std::string& map) {
  return app
      .add_option(
          "--map", map,
          "transport map: residual (a residual network) or icnn (the gradient of a convex network)")
      ->check(CLI::IsMember({"residual", "icnn"}))
      ->capture_default_str();
}
/// Adds --dropout, for programs whose dual network supports it.
inline void add_dropout(CLI::App& app, Training& training) {
  app.add_option("--dropout", training.dropout, "dropout rate of the dual network during training")
      ->check(between(0, 0.99))
      ->capture_default_str()
      ->group("Training");
}

/// Adds the training options to the report. \throws std::invalid_argument for invalid options, as
/// the run would.
inline void report_training(Report& report, const std::string& preset, const Training& training) {
  const auto& run = training.run;
  run.check();
  report.setting("preset", preset);
  report.setting("step_size", training.step_size);
  each_option_group(run, [&](const std::string& prefix, const auto& group, const auto& fields) {
    wgf::hana::for_each(fields, [&](const auto& field) {
      report.setting(option_name(prefix, field.name, '_'), group.*field.member);
    });
  });
  report.setting("dropout", training.dropout);
}

/// Which of a program's runs, counted from 1.
struct RunNumber {
  int number = 1, of = 1;
};
/// The checkpoint file of a run: FILE itself, or with several runs run-07.ckpt for run.ckpt.
inline std::filesystem::path numbered(const std::filesystem::path& file, RunNumber run) {
  if (run.of == 1) return file;
  const auto digits = fmt::format("{}", run.of).size();
  return file.parent_path() / fmt::format("{}-{:0{}}{}", file.stem().string(), run.number, digits,
                                          file.extension().string());
}

/// The settings that determine a run's results, as in the report.
inline nlohmann::ordered_json identity(const Report& report) {
  const auto& content = report.content();
  nlohmann::ordered_json all{{"program", content["program"]}, {"seed", content["seed"]}};
  for (const auto& [name, value] : content["settings"].items()) all[name] = value;
  for (const char* free : {"steps", "threads", "device", "samples"}) all.erase(free);
  return all;
}
/// The settings are saved beside the checkpoints, because the solver cannot compare the parameters
/// of a kernel or the samples of a target.
inline std::filesystem::path identity_file(std::filesystem::path checkpoint) {
  return checkpoint += ".json";
}
inline void write_identity(const std::filesystem::path& checkpoint, const Report& report) {
  wgf::detail::write_atomically("checkpoint", identity_file(checkpoint), [&](std::ostream& out) {
    out << identity(report).dump(2) << '\n';
  });
}
/// \throws std::runtime_error naming the first setting that differs
inline void check_identity(const std::filesystem::path& checkpoint, const Report& report) {
  if (!std::filesystem::exists(identity_file(checkpoint))) return;
  const auto saved = read_json(identity_file(checkpoint));
  const auto now = identity(report);
  for (const auto& [name, value] : now.items()) {
    const std::string was = saved.contains(name) ? saved.at(name).dump() : "none",
                      is = value.dump();
    if (was != is)
      throw std::runtime_error(
          fmt::format("{}: it was saved by a run with another {}: {}, this one has {}",
                      checkpoint.string(), name, was, is));
  }
}

/// \throws Interrupted after Ctrl-C. \param where the interruption, for the message
inline void check_interrupt(const std::string& where = "after the training") {
  if (wgf::interrupted()) throw Interrupted(where);
}

/// The observer of a run: prints progress to stderr unless quiet, writes checkpoints if asked to,
/// and ends the run after the current iteration on Ctrl-C.
struct Watch {
  bool quiet;
  wgf::Checkpoint* checkpoint;
  std::string where = "after the training";  ///< where Ctrl-C interrupted the run

  void operator()(const wgf::Progress& progress, const wgf::Run& run) {
    if (!quiet) wgf::print_progress(progress);
    if (checkpoint) (*checkpoint)(progress, run);
  }
  bool after_iteration(const wgf::Run& run) {
    if (!wgf::interrupted()) return !checkpoint || checkpoint->after_iteration(run);
    if (run.finished()) return false;
    if (checkpoint) checkpoint->save(run);
    where = run.iteration() > 0 ? fmt::format("in step {}, after iteration {}",
                                              run.steps_done() + 1, run.iteration())
                                : fmt::format("after step {}", run.steps_done());
    return false;
  }
};

/// The flow of a run and its progress reports.
template <class Flow>
struct Trained {
  Flow flow;
  std::vector<wgf::Progress> history;
};

/// Runs the solver, or resumes the run given by --resume; the result is the same. The training
/// time, including that before a resumption, is added to the report, whose settings must be
/// complete. If a program has several runs, they are called in order; on --resume, runs without a
/// checkpoint start from the beginning. \throws Interrupted after Ctrl-C; the run is then saved to
/// --checkpoint
template <class Solver, class Initial>
Trained<typename Solver::Flow> train(const Solver& solver, const Initial& initial,
                                     const wgf::RunOptions& run, const CommonOptions& options,
                                     Report& report, RunNumber which = {}) {
  namespace fs = std::filesystem;
  std::optional<wgf::Checkpoint> checkpoint;
  if (!options.checkpoint.empty())
    checkpoint.emplace(numbered(options.checkpoint, which),
                       wgf::CheckpointOptions{.seconds = options.checkpoint_seconds});
  const fs::path from = options.resume.empty() ? fs::path() : numbered(options.resume, which);
  const bool resumes = !from.empty() && (which.number == 1 || fs::exists(from));
  if (resumes) {
    if (!fs::exists(from))
      throw std::runtime_error(
          fmt::format("{}: there is no such checkpoint to resume from", from.string()));
    check_identity(options.resume, report);
  }

  auto state = solver.start(initial, run);
  if (resumes) state.restore(from);
  if (checkpoint && !(resumes && from == checkpoint->file())) {  // the first one
    checkpoint->save(state);
    write_identity(options.checkpoint, report);
    if (options.resume.empty())  // checkpoints of a previous program run
      for (int k = which.number + 1; k <= which.of; ++k)
        fs::remove(numbered(options.checkpoint, {k, which.of}));
  }
  Watch watch{options.quiet, checkpoint ? &*checkpoint : nullptr};
  while (!state.finished() && solver.step(state, watch)) {
  }
  check_interrupt(which.of == 1
                      ? watch.where
                      : fmt::format("in run {} of {}, {}", which.number, which.of, watch.where));
  report.seconds("training", state.history().back().seconds);
  return {state.flow(), state.history()};
}

/// The measured results: for the report, and for the screen one line per number with the expected
/// value.
class Summary {
 public:
  explicit Summary(Report& report) : report_(report) {}

  /// A number for report and screen. \param name in the report \param what its description
  void metric(const std::string& name, std::string what, double value, std::string good = {}) {
    report_.metric(name, value);
    row(std::move(what), value, std::move(good));
  }
  /// The training time in the report.
  void training_seconds() {
    metric("seconds", "training time in seconds", report_.content()["seconds"]["training"]);
  }
  /// The diagnostics of a flow: below the other lines on the screen, and "diagnostics" in the
  /// report.
  template <class Flow, class Target>
  void diagnose(const Trained<Flow>& trained, const Target& target, const CommonOptions& options) {
    const auto diagnosis = wgf::diagnose(
        trained.flow, target, {.samples = 4000, .seed = options.seed, .history = trained.history});
    diagnosis_ = diagnosis.text();
    nlohmann::ordered_json all{{"overall", diagnosis.overall}, {"lines", diagnosis.lines}};
    if (diagnosis.importance) all["pareto_k"] = diagnosis.importance->pareto_k;
    if (diagnosis.stein) all["stein_p_value"] = diagnosis.stein->p_value;
    report_.metric("diagnostics", std::move(all));
  }
  /// A line for the screen only.
  void row(std::string what, double value, std::string good = {}) {
    rows_.push_back({std::move(what), fmt::format("{:.4g}", value), std::move(good)});
  }
  void print(const std::string& title) const {
    std::size_t what = 0, value = 0;
    for (const auto& r : rows_)
      what = std::max(what, r.what.size()), value = std::max(value, r.value.size());
    fmt::print("{}\n", title);
    const auto pad = [](std::size_t width, const std::string& text) {
      return std::string(width - text.size(), ' ');
    };
    for (const auto& r : rows_)
      fmt::print("  {}{}  {}{}{}\n", r.what, pad(what, r.what), pad(value, r.value), r.value,
                 r.good.empty() ? "" : "   (" + r.good + ")");
    if (!diagnosis_.empty()) fmt::print("diagnostics: {}", diagnosis_);
  }

 private:
  struct Row {
    std::string what, value, good;
  };
  Report& report_;
  std::vector<Row> rows_;
  std::string diagnosis_;
};

/// Writes the report, moves all files into place and prints where they are.
/// \param others names of further files, beginning with a comma
inline void publish(OutputFolder& out, Report& report, bool has_picture,
                    const std::string& others = {}) {
  check_interrupt();
  if (!has_picture) report.note("no picture was drawn");
  report.write(out.path("report.json"));
  out.publish();
  fmt::print("files in {}: {}report.json, samples.npy, flow.wgf{}\n", out.folder().string(),
             has_picture ? "picture.png, " : "", others);
}

/// Seeds for a program's other samples, distinct for every seed and use.
inline std::uint64_t derived_seed(const CommonOptions& options, int use) {
  return 16 * options.seed + static_cast<std::uint64_t>(use);
}

}  // namespace examples
