// SPDX-License-Identifier: BSL-1.0
#pragma once
// Checkpoints: an observer that saves the run periodically and when it is interrupted, for example
// by Ctrl-C.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "../io/write_atomically.hpp"
#include "run.hpp"

namespace wgf {

namespace detail {
inline volatile std::sig_atomic_t interrupt_requested = 0;
}  // namespace detail

/// Whether SIGINT (Ctrl-C) or SIGTERM was received while an InterruptGuard existed.
inline bool interrupted() { return detail::interrupt_requested != 0; }

/// While a guard exists, the first SIGINT or SIGTERM does not terminate the program but asks runs
/// to stop after the current iteration: observers can query interrupted(), as Checkpoint does. A
/// second signal terminates the program immediately.
class InterruptGuard {
 public:
  InterruptGuard() {
    detail::interrupt_requested = 0;
    before_int_ = watch(SIGINT), before_term_ = watch(SIGTERM);
  }
  ~InterruptGuard() { std::signal(SIGINT, before_int_), std::signal(SIGTERM, before_term_); }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  /// A signal that is ignored, as for a script's background jobs, remains ignored.
  static auto watch(int signal) -> void (*)(int) {
    const auto before = std::signal(signal, note);
    if (before == SIG_IGN) std::signal(signal, SIG_IGN);
    return before;
  }
  static void note(int signal) {
    detail::interrupt_requested = 1;
    std::signal(signal, SIG_DFL);
  }
  void (*before_int_)(int);
  void (*before_term_)(int);
};

/// Options of a Checkpoint.
struct CheckpointOptions {
  /// Time between checkpoints; 0: after every iteration.
  double seconds = 30;
  /// Printed after an interruption: how to resume the run. Empty: a hint to JkoSolver::resume.
  std::string how_to_resume{};
  /// Where this hint and failures to save are printed. Null: nowhere.
  std::FILE* messages = stderr;
};

/// An observer that saves the run to a file: periodically, also part-way through steps; when it is
/// interrupted (see InterruptGuard), after which the run stops; and at its end, from where it can
/// be resumed with more steps. The previous checkpoint is kept as `FILE.previous`. Whenever the
/// program is killed, FILE exists and is complete (once it has been written for the first time).
///
///     wgf::InterruptGuard guard;
///     wgf::Checkpoint checkpoint{"run.ckpt"};
///     const auto flow = solver.run(p0, options, checkpoint);     // later:
///     solver.resume("run.ckpt", p0, options, checkpoint)
///
/// If a checkpoint cannot be written, the run continues: the failure is reported, the last
/// checkpoint is kept, and saving is tried again. If that happens at an interruption, it is an
/// error, because the progress since the last checkpoint would be lost silently.
class Checkpoint {
 public:
  /// \throws FileError if no file can be written there.
  explicit Checkpoint(std::filesystem::path file, CheckpointOptions options = {})
      : file_(std::move(file)), options_(std::move(options)) {
    std::error_code error;
    if (std::filesystem::is_directory(file_, error))
      throw FileError("wgf::Checkpoint: cannot write " + file_.string() + ": it is a folder");
    detail::write_atomically("wgf::Checkpoint", beside(".probe"),
                             [](std::ostream& out) { out << "wgf\n"; });
    std::filesystem::remove(beside(".probe"), error);
  }
  const std::filesystem::path& file() const { return file_; }

  void operator()(const Progress& /*progress*/, const Run& run) {
    if (run.finished()) save_or_say(run);
  }
  /// \returns false after an interruption.
  /// \throws FileError if the run cannot be saved then.
  bool after_iteration(const Run& run) {
    if (run.finished()) return true;  // saved when the end was reported
    if (interrupted()) {
      save(run);
      say("interrupted in step " + std::to_string(run.steps_done() + 1) + ", after iteration " +
          std::to_string(run.iteration()) + "; " +
          (options_.how_to_resume.empty()
               ? "JkoSolver::resume(\"" + file_.string() + "\", …) continues from there"
               : "to continue: " + options_.how_to_resume));
      return false;
    }
    const auto now = Clock::now();
    if (std::chrono::duration<double>(now - last_).count() >= options_.seconds) save_or_say(run);
    return true;
  }
  /// Saves the run now.
  /// \throws FileError if it cannot be written; the existing file is kept.
  void save(const Run& run) {
    namespace fs = std::filesystem;
    last_ = Clock::now();
    const fs::path fresh = beside(".new"), previous = beside(".previous");
    run.save(fresh);
    std::error_code error;
    if (fs::exists(file_, error)) {
      fs::remove(previous, error);
      fs::create_hard_link(file_, previous, error);  // so that FILE exists at all times
      if (error) fs::rename(file_, previous, error);
    }
    fs::rename(fresh, file_, error);
    if (error)
      throw FileError("wgf::Checkpoint: cannot write " + file_.string() + ": " + error.message());
    const fs::path folder = file_.parent_path();
    detail::on_disk(folder.empty() ? fs::path(".") : folder, O_RDONLY);  // the directory entries
  }

 private:
  using Clock = std::chrono::steady_clock;
  void save_or_say(const Run& run) {
    try {
      save(run);
    } catch (const FileError& error) {
      say(std::string(error.what()) + "; the run goes on, and the last checkpoint stands");
    }
  }
  void say(const std::string& what) const {
    if (options_.messages)
      std::fprintf(options_.messages, "\n%s\n", what.c_str()), std::fflush(options_.messages);
  }
  std::filesystem::path beside(const char* suffix) const {
    auto path = file_;
    return path += suffix;
  }

  std::filesystem::path file_;
  CheckpointOptions options_;
  Clock::time_point last_ = Clock::now();
};

}  // namespace wgf
