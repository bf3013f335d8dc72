// SPDX-License-Identifier: BSL-1.0
#include "training.hpp"

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <type_traits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data.hpp"

namespace examples {

namespace {
/// The name of a field of RunOptions on the command line and in the report, such as "batch" or
/// "population-size". \param word between words: '-' or '_'
std::string option_name(const std::string& group, const char* field, char word) {
  std::string name = (group.empty() ? "" : group + word) + field;
  std::replace(name.begin(), name.end(), '_', word);
  return name;
}
/// The value of an enumeration that a text names. \returns whether there is one.
template <class E>
  requires std::is_enum_v<E>
bool convert(const std::string& text, E& value) {
  const auto words = names_of(value);
  const auto found = std::find(words.begin(), words.end(), text);
  if (found != words.end()) value = static_cast<E>(found - words.begin());
  return found != words.end();
}
/// f(group, the options' group, its fields) for those that the command line sets.
template <class Run, class F>
void each_option_group(Run& run, F f) {
  f("", run.training, wgf::TrainingOptions::fields());
  f("population", run.population, wgf::PopulationOptions::fields());
}

/// The checkpoint file of a run: FILE itself, or with several runs run-07.ckpt for run.ckpt.
std::filesystem::path numbered(const std::filesystem::path& file, RunNumber run) {
  if (run.of == 1) return file;
  const auto digits = fmt::format("{}", run.of).size();
  return file.parent_path() / fmt::format("{}-{:0{}}{}", file.stem().string(), run.number, digits,
                                          file.extension().string());
}

/// The settings that determine a run's results, as in the report.
nlohmann::ordered_json identity(const Report& report) {
  const auto& content = report.content();
  nlohmann::ordered_json all{{"program", content["program"]}, {"seed", content["seed"]}};
  for (const auto& [name, value] : content["settings"].items()) all[name] = value;
  for (const char* free : {"steps", "threads", "device", "samples"}) all.erase(free);
  return all;
}
/// The settings are saved beside the checkpoints, because the solver cannot compare the parameters
/// of a kernel or the samples of a target.
std::filesystem::path identity_file(std::filesystem::path checkpoint) {
  return checkpoint += ".json";
}
void write_identity(const std::filesystem::path& checkpoint, const Report& report) {
  wgf::detail::write_atomically("checkpoint", identity_file(checkpoint), [&](std::ostream& out) {
    out << identity(report).dump(2) << '\n';
  });
}
/// \throws std::runtime_error naming the first setting that differs
void check_identity(const std::filesystem::path& checkpoint, const Report& report) {
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
}  // namespace

Option add_presets(CommandLine& line, CommonOptions& options, const Presets& presets,
                   std::string& name, Training& training, const char* option, const char* help) {
  const auto choose = [&presets, &options, &name, &training](const std::string& chosen) {
    name = chosen, training = presets.at(chosen), options.steps = training.run.steps;
  };
  choose(name);
  std::vector<std::string> names;
  for (const auto& preset : presets) names.push_back(preset.first);
  const auto unknown = [&presets, names](const std::string& text) {
    return presets.contains(text)
               ? std::string()
               : fmt::format("must be one of {}, got {}", fmt::join(names, ", "), text);
  };
  return line.add(option, choose, help)
      .check(unknown, fmt::format("{{{}}}", fmt::join(names, ",")))
      .shown_default(name);
}

void add_training_options(CommandLine& line, Training& training) {
  line.add("--step-size", &training.step_size, "step size a of the scheme")
      .group("Training")
      .positive();
  each_option_group(training.run, [&](const std::string& prefix, auto& group, const auto& fields) {
    wgf::hana::for_each(fields, [&](const auto& field) {
      auto& value = group.*field.member;
      using T = std::remove_reference_t<decltype(value)>;
      const std::string name = "--" + option_name(prefix, field.name, '-');
      Option option = [&] {
        if constexpr (std::is_enum_v<T>)
          return line
              .add(
                  name, [&value](const std::string& text) { convert(text, value); }, field.help)
              .shown_default(wgf::detail::shortest(value));
        else return line.add(name, &value, field.help);
      }();
      option.group("Training");
      if constexpr (!std::is_same_v<T, bool>)
        option.check([field](const std::string& text) {
          T given{};
          if (convert(text, given) && field.valid(given)) return std::string();
          return fmt::format("{}, got {}", field.requirement, text);
        });
    });
  });
}
Option add_method(CommandLine& line, std::string& method) {
  return line
      .add("--method", &method,
           "the entropy by change of variables (log_determinant) or by dual networks (dual)")
      .one_of({"log_determinant", "dual"});
}
void check_method(const std::string& chosen, const std::string& given, const std::string& method) {
  if (!given.empty() && chosen != method)
    throw UsageError(fmt::format("{}: goes with --method {}", given, method));
}
Option add_map(CommandLine& line, std::string& map) {
  return line
      .add(
          "--map", &map,
          "transport map: residual (a residual network) or icnn (the gradient of a convex network)")
      .one_of({"residual", "icnn"});
}
Option add_dropout(CommandLine& line, Training& training) {
  return line
      .add("--dropout", &training.dropout, "dropout rate of the dual network during training")
      .between(0, 0.99)
      .group("Training");
}

void report_training(Report& report, const std::string& preset, const Training& training) {
  const auto& run = training.run;
  run.check();
  report.setting("preset", preset);
  report.setting("step_size", training.step_size);
  each_option_group(run, [&](const std::string& prefix, const auto& group, const auto& fields) {
    wgf::hana::for_each(fields, [&](const auto& field) {
      const auto value = group.*field.member;
      const std::string name = option_name(prefix, field.name, '_');
      if constexpr (std::is_enum_v<std::remove_const_t<decltype(value)>>)
        report.setting(name, wgf::detail::shortest(value));
      else report.setting(name, value);
    });
  });
  report.setting("dropout", training.dropout);
}

void check_interrupt(const std::string& where) {
  if (wgf::interrupted()) throw Interrupted(where);
}

Watch::Watch(const CommonOptions& options, Report& report, RunNumber which)
    : options_(options), report_(report), which_(which) {
  namespace fs = std::filesystem;
  if (!options.checkpoint.empty())
    checkpoint_.emplace(numbered(options.checkpoint, which),
                        wgf::CheckpointOptions{.seconds = options.checkpoint_seconds});
  if (options.resume.empty()) return;
  const fs::path from = numbered(options.resume, which);
  if (which.number > 1 && !fs::exists(from)) return;  // the program was interrupted before this run
  if (!fs::exists(from))
    throw std::runtime_error(
        fmt::format("{}: there is no such checkpoint to resume from", from.string()));
  check_identity(options.resume, report);
  resumed_ = from;
}
void Watch::begin(const wgf::Run& run) {
  if (!checkpoint_ || resumed_ == checkpoint_->file()) return;
  checkpoint_->save(run);
  write_identity(options_.checkpoint, report_);
  if (options_.resume.empty())  // checkpoints of a previous program run
    for (int k = which_.number + 1; k <= which_.of; ++k)
      std::filesystem::remove(numbered(options_.checkpoint, {k, which_.of}));
}
void Watch::operator()(const wgf::Progress& progress, const wgf::Run& run) {
  if (!options_.quiet) wgf::print_progress(progress);
  if (checkpoint_) (*checkpoint_)(progress, run);
}
bool Watch::after_iteration(const wgf::Run& run) {
  if (!wgf::interrupted()) return !checkpoint_ || checkpoint_->after_iteration(run);
  if (run.finished()) return false;
  if (checkpoint_) checkpoint_->save(run);
  where_ = run.iteration() > 0 ? fmt::format("in step {}, after iteration {}", run.steps_done() + 1,
                                             run.iteration())
                               : fmt::format("after step {}", run.steps_done());
  return false;
}
void Watch::end(const wgf::Run& run) {
  check_interrupt(which_.of == 1
                      ? where_
                      : fmt::format("in run {} of {}, {}", which_.number, which_.of, where_));
  report_.seconds("training", run.history().back().seconds);
}

void Summary::metric(const std::string& name, const std::string& what, double value,
                     const std::string& good) {
  report_.metric(name, value);
  row(what, value, good);
}
void Summary::training_seconds() {
  metric("seconds", "training time in seconds", report_.seconds("training"));
}
void Summary::put(const wgf::Diagnosis& diagnosis) {
  diagnosis_ = diagnosis.text();
  nlohmann::ordered_json all{{"overall", diagnosis.overall}, {"lines", diagnosis.lines}};
  if (diagnosis.importance) all["pareto_k"] = diagnosis.importance->pareto_k;
  if (diagnosis.stein) all["stein_p_value"] = diagnosis.stein->p_value;
  report_.details("diagnostics", all);
}
void Summary::row(const std::string& what, double value, const std::string& good) {
  row(what, fmt::format("{:.4g}", value), good);
}
void Summary::row(const std::string& what, const std::string& value, const std::string& good) {
  rows_.push_back({what, value, good});
}
void Summary::print(const std::string& title) const {
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

void publish(OutputFolder& out, Report& report, bool has_picture, const std::string& others,
             const std::string& results) {
  check_interrupt();
  if (!has_picture) report.note("no picture was drawn");
  report.write(out.path("report.json"));
  out.publish();
  fmt::print("files in {}: {}report.json, {}{}\n", out.folder().string(),
             has_picture ? "picture.png, " : "", results, others);
}

}  // namespace examples
