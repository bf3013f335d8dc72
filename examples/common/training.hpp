// SPDX-License-Identifier: BSL-1.0
#pragma once
// What the experiments share: training options and presets, runs with progress and checkpoints, and
// the summary at the end.
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <wgf/diagnostics/diagnose.hpp>
#include <wgf/wgf.hpp>

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
Option add_presets(CommandLine& line, CommonOptions& options, const Presets& presets,
                   std::string& name, Training& training, const char* option = "--preset",
                   const char* help = "preset; other options override its values");

/// Adds the training options: --step-size, and one for every field of the library's list, with its
/// requirement and help.
void add_training_options(CommandLine& line, Training& training);
/// Adds --method, for programs that evaluate an entropy by change of variables (log_determinant) or
/// by dual networks (dual). \param method the default
Option add_method(CommandLine& line, std::string& method);
/// \throws UsageError if an option was given that goes with the other method.
/// \param given that option, or empty \param method the one that it goes with
void check_method(const std::string& chosen, const std::string& given, const std::string& method);
/// Adds --map, for programs with a choice of two maps.
Option add_map(CommandLine& line, std::string& map);
/// Adds --dropout, for programs whose dual network supports it.
Option add_dropout(CommandLine& line, Training& training);

/// Adds the training options to the report. \throws std::invalid_argument for invalid options, as
/// the run would.
void report_training(Report& report, const std::string& preset, const Training& training);

/// Which of a program's runs, counted from 1.
struct RunNumber {
  int number = 1, of = 1;
};
/// \throws Interrupted after Ctrl-C. \param where the interruption, for the message
void check_interrupt(const std::string& where = "after the training");

/// The files of one of a program's runs, and its observer: prints progress to stderr unless quiet,
/// writes checkpoints if asked to, and ends the run after the current iteration on Ctrl-C.
class Watch {
 public:
  /// \throws std::runtime_error if the checkpoint to resume from is missing or of another run
  Watch(const CommonOptions& options, Report& report, RunNumber which);

  /// The checkpoint to resume from, if there is one.
  const std::optional<std::filesystem::path>& resumed() const { return resumed_; }
  /// Writes the first checkpoint.
  void begin(const wgf::Run& run);
  void operator()(const wgf::Progress& progress, const wgf::Run& run);
  bool after_iteration(const wgf::Run& run);
  /// Records the training time. \throws Interrupted after Ctrl-C
  void end(const wgf::Run& run);

 private:
  const CommonOptions& options_;
  Report& report_;
  RunNumber which_;
  std::optional<std::filesystem::path> resumed_;
  std::optional<wgf::Checkpoint> checkpoint_;
  std::string where_ = "after the training";  // where Ctrl-C interrupted the run
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
  Watch watch(options, report, which);
  auto state = solver.start(initial, run);
  if (watch.resumed()) state.restore(*watch.resumed());
  watch.begin(state);
  while (!state.finished() && solver.step(state, watch)) {
  }
  watch.end(state);
  return {state.flow(), state.history()};
}

/// The measured results: for the report, and for the screen one line per number with the expected
/// value.
class Summary {
 public:
  explicit Summary(Report& report) : report_(report) {}

  /// A number for report and screen. \param name in the report \param what its description
  void metric(const std::string& name, const std::string& what, double value,
              const std::string& good = {});
  /// The training time in the report.
  void training_seconds();
  /// The diagnostics of a flow: below the other lines on the screen, and "diagnostics" in the
  /// report.
  template <class Flow, class Target>
  wgf::Diagnosis diagnose(const Trained<Flow>& trained, const Target& target,
                          const CommonOptions& options) {
    wgf::Diagnosis diagnosis = wgf::diagnose(
        trained.flow, target, {.samples = 4000, .seed = options.seed, .history = trained.history});
    put(diagnosis);
    return diagnosis;
  }
  /// A line for the screen only.
  void row(const std::string& what, double value, const std::string& good = {});
  void row(const std::string& what, const std::string& value, const std::string& good = {});
  void print(const std::string& title) const;

 private:
  struct Row {
    std::string what, value, good;
  };
  void put(const wgf::Diagnosis& diagnosis);

  Report& report_;
  std::vector<Row> rows_;
  std::string diagnosis_;
};

/// Writes the report, moves all files into place and prints where they are.
/// \param others names of further files, beginning with a comma
/// \param results the names of the files that hold the samples and the flow
void publish(OutputFolder& out, Report& report, bool has_picture, const std::string& others = {},
             const std::string& results = "samples.npy, flow.wgf");

/// Seeds for a program's other samples, distinct for every seed and use.
inline std::uint64_t derived_seed(const CommonOptions& options, int use) {
  return 16 * options.seed + static_cast<std::uint64_t>(use);
}

}  // namespace examples
