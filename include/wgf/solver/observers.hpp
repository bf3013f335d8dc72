// SPDX-License-Identifier: BSL-1.0
#pragma once
// Observers: any callable that takes a Progress. It may return false to stop the run.
#include <unistd.h>

#include <algorithm>
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
    const double left = p.rate() > 0 ? static_cast<double>(p.left) / p.rate() : 0;
    char text[200];
    std::snprintf(text, sizeof text, "step %d/%d  %.0f it/s  transport %.4f  functional %.4f  dual %.4f  %.1f s, %.0f s left", p.step,
                  p.steps, p.rate(), p.transport, p.functional(), p.dual, p.seconds, left);
    if (terminal) {
      constexpr int width = 24;
      const int filled = static_cast<int>(width * p.done / std::max(1L, p.done + p.left));
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
