// SPDX-License-Identifier: BSL-1.0
#pragma once
// The midpoint scheme: the JKO step is solved with a/2 and its map extrapolated, T = 2·T_{a/2} −
// id.
#include "scheme.hpp"

namespace wgf {

/// Of second order: T_{a/2} is x − (a/2)∇δF at the midpoint of the particle's path, and T =
/// 2·T_{a/2} − id moves the particle by a along that gradient. For the price of one backward step
/// the error of the path falls from O(a) to O(a²).
///
/// The extrapolated map must be monotone: where T_{a/2} contracts by more than a half, in a
/// direction, particles would pass each other. The solver looks at the derivative of T_{a/2} at
/// particles of the cloud; where it is not safely above ½ the step is solved again, backward with
/// a, or refused.
struct Midpoint {
  double step_size = 0.1;
  /// A step whose extrapolation is not monotone is an error (StepError) instead of a backward step.
  bool refuse = false;
  static constexpr bool extrapolate = true;

  void check() const { detail::check_step_size("wgf::Midpoint", step_size); }
};

}  // namespace wgf
