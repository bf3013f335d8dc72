// SPDX-License-Identifier: BSL-1.0
#pragma once
// Observers: any callable that takes a Progress. It may return false to stop the run.
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "options.hpp"

namespace wgf {

/// Prints a run's progress to a stream: one line that is overwritten on a terminal, plain lines, one a step, elsewhere.
class ProgressPrinter {
 public:
  explicit ProgressPrinter(std::FILE* stream = stderr) : stream_(stream) {}

  void operator()(const Progress& p) const {
    const bool terminal = isatty(fileno(stream_)) != 0;
    if (!terminal && !p.step_done) return;
    // The first step may be longer than the others, but it is the rate of iterations that a user reads: time left is by iterations done.
    const double done = p.step - 1 + static_cast<double>(p.iteration) / p.iterations;
    const double left = done > 0 ? p.seconds * (p.steps - done) / done : 0;
    char text[160];
    std::snprintf(text, sizeof text, "step %d/%d  %5.1f s  transport %.4f  functional %.4f  dual %.4f  %.0f s left", p.step, p.steps,
                  p.seconds, p.transport, p.functional(), p.dual, left);
    if (terminal) {
      constexpr int width = 24;
      const int filled = static_cast<int>(width * done / p.steps);
      std::fprintf(stream_, "\r[%.*s%*s] %s\033[K%s", filled, "########################", width - filled, "", text,
                   p.step_done && p.step == p.steps ? "\n" : "");
    } else {
      std::fprintf(stream_, "%s\n", text);
    }
    std::fflush(stream_);
  }

 private:
  std::FILE* stream_;
};
/// Progress on the standard error stream.
inline const ProgressPrinter print_progress{};

/// Keeps every Progress it is told. Pass it by std::ref, or as an lvalue.
struct Recorder {
  std::vector<Progress> history;
  void operator()(const Progress& p) { history.push_back(p); }
};

}  // namespace wgf
