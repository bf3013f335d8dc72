// SPDX-License-Identifier: BSL-1.0
#pragma once
// What the programs that run a flow share: the training's options, presets of them, runs with
// progress and checkpoints, and the summary at the end.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
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

/// The numbers of a training: what a preset names and the command line overrides.
struct Training {
  wgf::RunOptions run;
  double step_size;  ///< a
  double dropout;    ///< of the dual network
};
using Presets = std::map<std::string, Training>;

/// Adds an option that chooses among named trainings, --preset by default. Call it before
/// everything else is added: options are applied in this order, so that those given override the
/// preset. \param name the default one, whose values --help shows
inline CLI::Option* add_presets(CLI::App& app, CommonOptions& options, const Presets& presets,
                                std::string& name, Training& training,
                                const char* option = "--preset",
                                const char* help = "named settings; other options override them") {
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

/// A check for an option's value: a number between two others.
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

/// Adds the options of a training.
inline void add_training_options(CLI::App& app, Training& training) {
  auto& run = training.run;
  const auto add = [&app](const char* name, auto& value, const char* what) {
    return app.add_option(name, value, what)->capture_default_str()->group("Training");
  };
  add("--step-size", training.step_size, "a, the time of a JKO step")->check(positive());
  add("--iterations", run.iterations, "iterations of a JKO step")->check(at_least(1));
  add("--first-step", run.first_step, "the first step gets this many times the iterations")
      ->check(positive());
  add("--dual-steps", run.dual_steps, "steps of the dual network in an iteration")
      ->check(at_least(1));
  add("--batch", run.batch, "particles in a batch")->check(at_least(1));
  add("--rate", run.map_rate, "Adam's rate for the map")->check(positive());
  add("--dual-rate", run.dual_rate, "Adam's rate for the dual network")->check(positive());
  add("--final-rate", run.final_rate_fraction,
      "within a step the rates fall to this share; 1: constant")
      ->check(between(0, 1, true));
  add("--average", run.tail_average, "average the map over this last share of a step")
      ->check(between(0, 1));
  add("--pool", run.pool, "particles that stand for the cloud")->check(at_least(1));
  add("--whiten", run.whiten, "train in coordinates where the cloud has mean 0 and covariance I")
      ->default_str(run.whiten ? "true" : "false");
}
/// Adds --map, for programs that train either of two.
inline CLI::Option* add_map(CLI::App& app, std::string& map) {
  return app
      .add_option(
          "--map", map,
          "the transport map: a residual network, or icnn, the gradient of a convex network")
      ->check(CLI::IsMember({"residual", "icnn"}))
      ->capture_default_str();
}
/// Adds --dropout, for programs whose dual network takes it.
inline void add_dropout(CLI::App& app, Training& training) {
  app.add_option("--dropout", training.dropout,
                 "share of the dual network's hidden units dropped while it is fitted")
      ->check(between(0, 0.99))
      ->capture_default_str()
      ->group("Training");
}

/// The training as settings of the report; throws what wgf would throw later for options that make
/// no sense.
inline void report_training(Report& report, const std::string& preset, const Training& training) {
  const auto& run = training.run;
  run.check();
  report.setting("preset", preset);
  report.setting("step_size", training.step_size);
  report.setting("iterations", run.iterations);
  report.setting("first_step", run.first_step);
  report.setting("dual_steps", run.dual_steps);
  report.setting("batch", run.batch);
  report.setting("rate", run.map_rate);
  report.setting("dual_rate", run.dual_rate);
  report.setting("final_rate_fraction", run.final_rate_fraction);
  report.setting("average", run.tail_average);
  report.setting("pool", run.pool);
  report.setting("whiten", run.whiten);
  report.setting("dropout", training.dropout);
}

/// Which of a program's runs: from 1.
struct RunNumber {
  int number = 1, of = 1;
};
/// Where a run's checkpoint is: FILE itself, or of several runs run-07.ckpt for run.ckpt.
inline std::filesystem::path numbered(const std::filesystem::path& file, RunNumber run) {
  if (run.of == 1) return file;
  const auto digits = fmt::format("{}", run.of).size();
  return file.parent_path() / fmt::format("{}-{:0{}}{}", file.stem().string(), run.number, digits,
                                          file.extension().string());
}

/// What a run's numbers depend on, as the report has it.
inline nlohmann::ordered_json identity(const Report& report) {
  const auto& content = report.content();
  nlohmann::ordered_json all{{"program", content["program"]}, {"seed", content["seed"]}};
  for (const auto& [name, value] : content["settings"].items()) all[name] = value;
  for (const char* free : {"steps", "threads", "device", "samples"}) all.erase(free);
  return all;
}
/// It is kept beside the checkpoints: the solver's own checks see neither a kernel's parameters nor
/// the samples of a law.
inline std::filesystem::path identity_file(std::filesystem::path checkpoint) {
  return checkpoint += ".json";
}
inline void write_identity(const std::filesystem::path& checkpoint, const Report& report) {
  wgf::detail::write_atomically("checkpoint", identity_file(checkpoint), [&](std::ostream& out) {
    out << identity(report).dump(2) << '\n';
  });
}
/// \throws std::runtime_error naming the first setting that is another one
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

/// \throws Interrupted after a Ctrl-C. \param where it came
inline void check_interrupt(const std::string& where = "after the training") {
  if (wgf::interrupted()) throw Interrupted(where);
}

/// The observer of a run: progress on stderr unless quiet, checkpoints if there are any, and an end
/// after the iteration of a Ctrl-C.
struct Watch {
  bool quiet;
  wgf::Checkpoint* checkpoint;
  std::string where = "after the training";  ///< where a Ctrl-C came

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

/// What a run made, and what it said of itself on the way.
template <class Flow>
struct Trained {
  Flow flow;
  std::vector<wgf::Progress> history;
};

/// Runs the solver, or goes on with what --resume names: the outcome is the same. Its seconds,
/// those before it was resumed among them, go to the report, whose settings must be complete. Where
/// a program has several runs they are called in order; on --resume those that have no checkpoint
/// yet start anew. \throws Interrupted after Ctrl-C, the run being saved where --checkpoint says
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
  if (checkpoint && !(resumes && from == checkpoint->file())) {  // there is one from the beginning
    checkpoint->save(state);
    write_identity(options.checkpoint, report);
    if (options.resume.empty())  // later ones are of another time
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

/// What was measured: for the report, and for people a line for every number, with what a good
/// value would be.
class Summary {
 public:
  explicit Summary(Report& report) : report_(report) {}

  /// A number for both. \param name in the report \param what it is, in words
  void metric(const std::string& name, std::string what, double value, std::string good = {}) {
    report_.metric(name, value);
    row(std::move(what), value, std::move(good));
  }
  /// The seconds that the report has under "training".
  void training_seconds() {
    metric("seconds", "seconds of training", report_.content()["seconds"]["training"]);
  }
  /// What diagnostics say of a flow to a target: lines below the others, and "diagnostics" in the
  /// report.
  template <class Flow, class Target>
  void diagnose(const Trained<Flow>& trained, const Target& target, const CommonOptions& options) {
    const auto diagnostic = wgf::diagnose(
        trained.flow, target, {.samples = 4000, .seed = options.seed, .history = trained.history});
    diagnostic_ = diagnostic.text();
    nlohmann::ordered_json all{{"overall", diagnostic.overall}, {"lines", diagnostic.lines}};
    if (diagnostic.importance) all["pareto_k"] = diagnostic.importance->pareto_k;
    if (diagnostic.stein) all["stein_p_value"] = diagnostic.stein->p_value;
    report_.metric("diagnostics", std::move(all));
  }
  /// A line for people alone.
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
    if (!diagnostic_.empty()) fmt::print("diagnostics: {}", diagnostic_);
  }

 private:
  struct Row {
    std::string what, value, good;
  };
  Report& report_;
  std::vector<Row> rows_;
  std::string diagnostic_;
};

/// Writes the report beside the other files, moves all of them into place, and says where they are.
/// \param others names of further files, beginning with a comma
inline void publish(OutputFolder& out, Report& report, bool has_picture,
                    const std::string& others = {}) {
  check_interrupt();
  if (!has_picture) report.note("no picture was made");
  report.write(out.path("report.json"));
  out.publish();
  fmt::print("files in {}: {}report.json, samples.npy, flow.wgf{}\n", out.folder().string(),
             has_picture ? "picture.png, " : "", others);
}

/// Seeds for the other samples that a program needs: distinct for all runs and uses.
inline std::uint64_t derived_seed(const CommonOptions& options, int use) {
  return 16 * options.seed + static_cast<std::uint64_t>(use);
}

}  // namespace examples
