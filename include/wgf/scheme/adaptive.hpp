// SPDX-License-Identifier: BSL-1.0
#pragma once
// Step-size control for the backward scheme: an error estimate, by comparison with a midpoint step
// of the same size, and a step adjuster.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "scheme.hpp"

namespace wgf {

/// Chooses step sizes from errors that grow like a².
struct StepAdjuster {
  double tolerance, min_step, max_step;

  /// The step size whose error is expected to be 0.9² of the tolerance, if size a had this error.
  double next(double a, double error) const {
    constexpr double margin = 0.9, shrink = 0.2, grow = 2;
    const double factor = error > 0 ? margin * std::sqrt(tolerance / error) : grow;
    return std::clamp(a * std::clamp(factor, shrink, grow), min_step, max_step);
  }
  /// Whether a step must be repeated with a smaller a.
  bool rejects(double a, double error) const { return error > tolerance && a > min_step; }
  /// The step size with which it is repeated.
  double smaller(double a, double error) const {
    return std::max(min_step, std::min(next(a, error), a / 2));
  }
};

/// Backward steps with a step size a that is controlled by a tolerance. Each step is solved twice,
/// with a/2 and with a. The first solution, extrapolated, is the midpoint step of size a, which is
/// of second order. Its distance from the backward step, root mean square over the particles,
/// estimates the local error of the backward step in W₂, relative to the exact gradient flow from
/// the beginning of the step. A step whose error exceeds the tolerance is rejected and solved again
/// with a smaller a.
///
/// The estimate includes the noise of both trainings, which grows like a: a tolerance below that
/// noise leads to ever shorter steps, down to `min_step`, where every step is accepted.
struct Adaptive {
  /// a of the first step.
  double step_size = 0.1;
  /// The maximal W₂ error of a step, in the user's units of length.
  double tolerance = 1e-2;
  /// Bounds of a; 0: step_size/100, and 100·step_size.
  double min_step = 0, max_step = 0;
  /// The time at which the run ends: the last steps are shortened to reach it exactly.
  /// RunOptions::steps still bounds their number.
  double until = std::numeric_limits<double>::infinity();
  /// Use the midpoint step instead of the backward one: one order more accurate in a.
  bool extrapolate = false;

  StepAdjuster adjuster() const {
    return {tolerance, min_step > 0 ? min_step : step_size / 100,
            max_step > 0 ? max_step : 100 * step_size};
  }
  /// a, or less, such that steps that are not much shorter than a reach the time `until` exactly.
  /// After `until`, a.
  double cut(double a, double time) const {
    if (is_done(time)) return a;
    const double left = until - time;
    return a >= left ? left : 2 * a > left ? left / 2 : a;
  }
  /// Whether the run has reached its end.
  bool is_done(double time) const { return time >= until * (1 - 1e-12); }

  template <class Trainer, class Stage>
  void solve(Trainer& trainer, Stage& stage) const {
    const StepAdjuster adjust = adjuster();
    for (;;) {
      const double a = stage.step_size = cut(trainer.step_size(), trainer.time());
      const auto half = trainer.train(a / 2);
      const bool monotone = trainer.is_monotone(half);
      const auto whole = trainer.train(a);
      const double error = trainer.distance(whole, half);
      if (adjust.rejects(a, error) || (!monotone && a > adjust.min_step)) {
        trainer.reject(adjust.smaller(a, error));
        continue;
      }
      trainer.propose(error, adjust.next(a, error));
      const bool takes_midpoint = extrapolate && monotone;
      stage.parameters = takes_midpoint ? half : whole;
      stage.extrapolation = takes_midpoint ? 2 : 1;
      return;
    }
  }
  /// What a saved run must share; `until` may change.
  static constexpr auto settings() {
    const auto entry = [](const char* name, auto member) { return hana::make_pair(name, member); };
    using A = Adaptive;
    return hana::make_tuple(entry("tolerance", &A::tolerance), entry("min_step", &A::min_step),
                            entry("max_step", &A::max_step),
                            entry("extrapolation", &A::extrapolate));
  }

  void check() const {
    detail::check_step_size("wgf::Adaptive", step_size);
    const auto need = [](bool good, const char* what, double got) {
      if (!good)
        throw std::invalid_argument(std::string("wgf::Adaptive: ") + what + ", got " +
                                    std::to_string(got));
    };
    need(tolerance > 0 && std::isfinite(tolerance), "tolerance must be positive", tolerance);
    need(min_step >= 0 && min_step <= step_size,
         "min_step must be at most step_size, or 0 for a hundredth of it", min_step);
    need((max_step == 0 || max_step >= step_size) && std::isfinite(max_step),
         "max_step must be at least step_size, or 0 for a hundred times it", max_step);
    need(until > 0, "until must be positive", until);
  }
};

}  // namespace wgf
