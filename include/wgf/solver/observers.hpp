// SPDX-License-Identifier: BSL-1.0
#pragma once
// Observers: any callable that takes a Progress, or a Progress and the Run. It may return false to
// stop the run.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <tuple>
#include <utility>
#include <vector>

#include "run.hpp"

namespace wgf {

/// Prints a run's progress to a stream: on a terminal one line that is overwritten, otherwise one
/// line per step.
class ProgressPrinter {
 public:
  explicit ProgressPrinter(std::FILE* stream = stderr) : stream_(stream) {}

  void operator()(const Progress& p) const {
    const bool terminal = isatty(fileno(stream_)) != 0;
    if (!terminal && !p.step_done) return;
    const double left = p.rate() > 0 ? static_cast<double>(p.left) / p.rate() : 0;
    char text[200];
    std::snprintf(
        text, sizeof text,
        "step %d/%d  %.0f it/s  transport %.4f  functional %.4f  dual %.4f  %.1f s, %.0f s left",
        p.step, p.steps, p.rate(), p.transport, p.functional(), p.dual, p.seconds, left);
    if (terminal) {
      constexpr int width = 24;
      const int filled = static_cast<int>(width * p.done / std::max(1L, p.done + p.left));
      std::fprintf(stream_, "\r[%.*s%*s] %s\033[K%s", filled, "########################",
                   width - filled, "", text, p.step_done && p.step == p.steps ? "\n" : "");
    } else {
      std::fprintf(stream_, "%s\n", text);
    }
    std::fflush(stream_);
  }

 private:
  std::FILE* stream_;
};
/// Prints progress to the standard error stream.
inline const ProgressPrinter print_progress{};

/// Keeps every Progress that it receives; for a resumed run also those from before it was resumed.
/// Pass it by std::ref, or as an lvalue.
struct Recorder {
  std::vector<Progress> history;
  void operator()(const Progress& p) { history.push_back(p); }
  void operator()(const Progress& p, const Run& run) {
    if (history.empty()) history = run.history();
    else history.push_back(p);
  }
};

/// Several observers as one: `wgf::Observers{std::ref(recorder), wgf::print_progress,
/// std::ref(checkpoint)}`. All are notified; the run stops if any of them asks for it.
template <class... Observer>
class Observers {
 public:
  explicit Observers(Observer... observers) : observers_(std::move(observers)...) {}
  bool operator()(const Progress& progress, const Run& run) {
    return all([&](auto& observer) { return detail::notify(observer, progress, run); });
  }
  bool after_iteration(const Run& run) {
    return all([&](auto& observer) { return detail::after_iteration(observer, run); });
  }

 private:
  template <class Ask>
  bool all(Ask ask) {
    bool go_on = true;
    std::apply([&](auto&... observer) { ((go_on = ask(observer) && go_on), ...); }, observers_);
    return go_on;
  }
  std::tuple<Observer...> observers_;
};

}  // namespace wgf
