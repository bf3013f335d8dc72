// SPDX-License-Identifier: BSL-1.0
#pragma once
// Checkpoints: an observer that saves the run now and then, and when it is interrupted; and Ctrl-C
// as such an interruption.
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

/// Whether Ctrl-C (SIGINT) or SIGTERM came while an InterruptGuard lived.
inline bool interrupted() { return detail::interrupt_requested != 0; }

/// While it lives, the first SIGINT or SIGTERM does not end the program but asks runs to stop after
/// the present iteration: observers see it by interrupted(), and Checkpoint does as it should. A
/// second one ends the program at once.
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
  /// A signal that is ignored, as in a script's background, stays so.
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
  /// Time from one to the next; 0: after every iteration.
  double seconds = 30;
  /// Said after an interruption: how to go on. Empty: by JkoSolver::resume.
  std::string how_to_resume{};
  /// Where it says so, and what could not be saved. Null: nowhere.
  std::FILE* messages = stderr;
};

/// An observer that saves the run to a file: every so many seconds, in the midst of steps too; when
/// it is interrupted (see InterruptGuard), upon which the run stops; and at its end, from where it
/// can be taken up with more steps. The one before stands beside it, as `FILE.previous`. At
/// whatever moment the program is killed, FILE is there, whole (once it has been written at all).
///
///     wgf::InterruptGuard guard;
///     wgf::Checkpoint checkpoint{"run.ckpt"};
///     const auto flow = solver.run(p0, options, checkpoint);     // later:
///     solver.resume("run.ckpt", p0, options, checkpoint)
///
/// A checkpoint that cannot be written does not end a run: it is said, the last one stays, and it
/// is tried again. But then an interruption is an error, as what was done since would be lost
/// unseen.
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
  /// \returns false after an interruption. \throws FileError if it cannot be saved then.
  bool after_iteration(const Run& run) {
    if (run.finished()) return true;  // saved when that was told
    if (interrupted()) {
      save(run);
      say("interrupted in step " + std::to_string(run.steps_done() + 1) + ", after iteration " +
          std::to_string(run.iteration()) + "; " +
          (options_.how_to_resume.empty()
               ? "JkoSolver::resume(\"" + file_.string() + "\", …) goes on from there"
               : "to go on: " + options_.how_to_resume));
      return false;
    }
    const auto now = Clock::now();
    if (std::chrono::duration<double>(now - last_).count() >= options_.seconds) save_or_say(run);
    return true;
  }
  /// Now. \throws FileError if it cannot be written; what was there stays.
  void save(const Run& run) {
    namespace fs = std::filesystem;
    last_ = Clock::now();
    const fs::path fresh = beside(".new"), previous = beside(".previous");
    run.save(fresh);
    std::error_code error;
    if (fs::exists(file_, error)) {
      fs::remove(previous, error);
      fs::create_hard_link(file_, previous, error);  // so that there is no moment without FILE
      if (error) fs::rename(file_, previous, error);
    }
    fs::rename(fresh, file_, error);
    if (error)
      throw FileError("wgf::Checkpoint: cannot write " + file_.string() + ": " + error.message());
    const fs::path folder = file_.parent_path();
    detail::on_disk(folder.empty() ? fs::path(".") : folder, O_RDONLY);  // the names
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
