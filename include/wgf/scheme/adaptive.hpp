// SPDX-License-Identifier: BSL-1.0
#pragma once
// Step-size control for the backward scheme, by comparison with a midpoint step of the same size.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "scheme.hpp"

namespace wgf {

/// Backward steps whose size a follows a tolerance. Each step is solved twice, with a/2 and with a.
/// The first solution, extrapolated, is the midpoint step of size a and of second order; its
/// distance from the backward step, root mean square over the particles, estimates the backward
/// step's error, in W₂: what it is off the exact gradient flow from where the step began. A step
/// above the tolerance is refused and solved again with a smaller a; the next a aims at 0.9² of the
/// tolerance, as the error grows like a².
///
/// The estimate holds the noise of both trainings, which grows like a: a tolerance below that noise
/// asks for ever shorter steps, down to `least`, where every step is taken.
struct Adaptive {
  /// a of the first step.
  double step_size = 0.1;
  /// W₂ error that a step may make, in the user's units of length.
  double tolerance = 1e-2;
  /// Bounds of a; 0: a hundredth of step_size, and a hundred times it.
  double least = 0, most = 0;
  /// The time at which the run ends: its last steps are cut so that it is met. RunOptions::steps
  /// still bounds their number.
  double until = std::numeric_limits<double>::infinity();
  /// Take the midpoint step instead of the backward one: more accurate than the tolerance asks, by
  /// an order in a.
  bool extrapolate = false;
  static constexpr bool adapts = true;

  double min_step() const { return least > 0 ? least : step_size / 100; }
  double max_step() const { return most > 0 ? most : 100 * step_size; }
  /// The a that should meet the tolerance, after a step of size a had this error.
  double next(double a, double error) const {
    constexpr double margin = 0.9, shrink = 0.2, grow = 2;
    const double factor = error > 0 ? margin * std::sqrt(tolerance / error) : grow;
    return std::clamp(a * std::clamp(factor, shrink, grow), min_step(), max_step());
  }
  /// a, or less, so that time `until` will be met by steps that are not much shorter than a. Where
  /// it is past, a.
  double cut(double a, double time) const {
    if (done(time)) return a;
    const double left = until - time;
    return a >= left ? left : 2 * a > left ? left / 2 : a;
  }
  /// Whether the run has come to its end.
  bool done(double time) const { return time >= until * (1 - 1e-12); }

  void check() const {
    detail::check_step_size("wgf::Adaptive", step_size);
    const auto need = [](bool good, const char* what, double got) {
      if (!good)
        throw std::invalid_argument(std::string("wgf::Adaptive: ") + what + ", got " +
                                    std::to_string(got));
    };
    need(tolerance > 0 && std::isfinite(tolerance), "tolerance must be positive", tolerance);
    need(least >= 0 && least <= step_size,
         "least must be at most step_size, or 0 for a hundredth of it", least);
    need((most == 0 || most >= step_size) && std::isfinite(most),
         "most must be at least step_size, or 0 for a hundred times it", most);
    need(until > 0, "until must be positive", until);
  }
};

}  // namespace wgf
