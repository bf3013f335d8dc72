// SPDX-License-Identifier: BSL-1.0
#pragma once
// What the programs that run a flow share: the training's options, presets of them, progress, and the summary at the end.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <wgf/wgf.hpp>

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

/// Adds an option that chooses among named trainings, --preset by default. Call it before everything else is added: options are applied in
/// this order, so that those given override the preset. \param name the default one, whose values --help shows
inline CLI::Option* add_presets(CLI::App& app, CommonOptions& options, const Presets& presets, std::string& name, Training& training,
                                const char* option = "--preset", const char* help = "named settings; other options override them") {
  const auto choose = [&presets, &options, &name, &training](const std::string& chosen) {
    name = chosen, training = presets.at(chosen), options.steps = training.run.steps;
  };
  choose(name);
  std::vector<std::string> names;
  for (const auto& preset : presets) names.push_back(preset.first);
  const auto known = [&presets, names](const std::string& text) {
    return presets.contains(text) ? std::string() : fmt::format("must be one of {}, got {}", fmt::join(names, ", "), text);
  };
  return app.add_option_function<std::string>(option, choose, help)
      ->check(CLI::Validator(known, fmt::format("{{{}}}", fmt::join(names, ","))))
      ->default_str(name);
}

/// A check for an option's value: a number between two others.
inline CLI::Validator between(double least, double most, bool exclude_least = false) {
  const auto check = [=](const std::string& text) {
    double value = 0;
    const bool good = CLI::detail::lexical_cast(text, value) && value >= least && value <= most && !(exclude_least && value == least);
    return good ? std::string()
                : fmt::format("must be {} {} and at most {}, got {}", exclude_least ? "above" : "at least", least, most, text);
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
  add("--first-step", run.first_step, "the first step gets this many times the iterations")->check(positive());
  add("--dual-steps", run.dual_steps, "steps of the dual network in an iteration")->check(at_least(1));
  add("--batch", run.batch, "particles in a batch")->check(at_least(1));
  add("--rate", run.map_rate, "Adam's rate for the map")->check(positive());
  add("--dual-rate", run.dual_rate, "Adam's rate for the dual network")->check(positive());
  add("--final-rate", run.final_rate, "within a step the rates fall to this share; 1: constant")->check(between(0, 1, true));
  add("--average", run.average, "average the map over this last share of a step")->check(between(0, 1));
  add("--pool", run.pool, "particles that stand for the cloud")->check(at_least(1));
  add("--whiten", run.whiten, "train in coordinates where the cloud has mean 0 and covariance I")
      ->default_str(run.whiten ? "true" : "false");
}
/// Adds --map, for programs that train either of two.
inline CLI::Option* add_map(CLI::App& app, std::string& map) {
  return app.add_option("--map", map, "the transport map: a residual network, or icnn, the gradient of a convex network")
      ->check(CLI::IsMember({"residual", "icnn"}))
      ->capture_default_str();
}
/// Adds --dropout, for programs whose dual network takes it.
inline void add_dropout(CLI::App& app, Training& training) {
  app.add_option("--dropout", training.dropout, "share of the dual network's hidden units dropped while it is fitted")
      ->check(between(0, 0.99))
      ->capture_default_str()
      ->group("Training");
}

/// The training as settings of the report; throws what wgf would throw later for options that make no sense.
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
  report.setting("final_rate", run.final_rate);
  report.setting("average", run.average);
  report.setting("pool", run.pool);
  report.setting("whiten", run.whiten);
  report.setting("dropout", training.dropout);
}

/// Set by the first Ctrl-C (or kill), after which a program tidies up and ends; a second one ends it at once.
inline volatile std::sig_atomic_t interrupted = 0;
inline void check_interrupt() {
  if (!interrupted) return;
  throw std::runtime_error("interrupted");
}

/// An observer for the solver: progress on stderr unless --quiet, and an end at Ctrl-C.
inline auto observer(const CommonOptions& options) {
  for (const int signal : {SIGINT, SIGTERM})
    std::signal(signal, [](int which) {
      interrupted = 1;
      std::signal(which, SIG_DFL);
    });
  return [quiet = options.quiet](const wgf::Progress& p) {
    if (!quiet) wgf::print_progress(p);
    check_interrupt();
  };
}

/// What was measured: for the report, and for people a line for every number, with what a good value would be.
class Summary {
 public:
  explicit Summary(Report& report) : report_(report) {}

  /// A number for both. \param name in the report \param what it is, in words
  void metric(const std::string& name, std::string what, double value, std::string good = {}) {
    report_.metric(name, value);
    row(std::move(what), value, std::move(good));
  }
  /// The seconds that the report has under "training".
  void training_seconds() { metric("seconds", "seconds of training", report_.content()["seconds"]["training"]); }
  /// A line for people alone.
  void row(std::string what, double value, std::string good = {}) {
    rows_.push_back({std::move(what), fmt::format("{:.4g}", value), std::move(good)});
  }
  void print(const std::string& title) const {
    std::size_t what = 0, value = 0;
    for (const auto& r : rows_) what = std::max(what, r.what.size()), value = std::max(value, r.value.size());
    fmt::print("{}\n", title);
    const auto pad = [](std::size_t width, const std::string& text) { return std::string(width - text.size(), ' '); };
    for (const auto& r : rows_)
      fmt::print("  {}{}  {}{}{}\n", r.what, pad(what, r.what), pad(value, r.value), r.value, r.good.empty() ? "" : "   (" + r.good + ")");
  }

 private:
  struct Row {
    std::string what, value, good;
  };
  Report& report_;
  std::vector<Row> rows_;
};

/// Writes the report beside the other files, moves all of them into place, and says where they are.
/// \param others names of further files, beginning with a comma
inline void publish(OutputFolder& out, Report& report, bool has_picture, const std::string& others = {}) {
  check_interrupt();
  if (!has_picture) report.note("no picture was made");
  report.write(out.path("report.json"));
  out.publish();
  fmt::print("files in {}: {}report.json, samples.npy, flow.wgf{}\n", out.folder().string(), has_picture ? "picture.png, " : "", others);
}

/// Seeds for the other samples that a program needs: distinct for all runs and uses.
inline std::uint64_t derived_seed(const CommonOptions& options, int use) { return 16 * options.seed + static_cast<std::uint64_t>(use); }

}  // namespace examples
