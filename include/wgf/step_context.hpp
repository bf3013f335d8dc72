// SPDX-License-Identifier: BSL-1.0
#pragma once
// What a term of the functional gets when a step begins.
#include <optional>

#include "frame.hpp"
#include "measure/gaussian.hpp"

namespace wgf {

/// A step of the flow on the runtime R, before its first iteration: when it is, and the law P from
/// which its JKO step starts (P_k, or where a forward half or an extrapolation has moved it).
template <class R>
struct StepContext {
  double time;       ///< at which the terms are evaluated: the end of a backward step
  double step_size;  ///< a of the JKO step
  int step;          ///< its number, from 1
  Frame frame;       ///< the coordinates in which it is solved
  Gaussian moments;  ///< mean and covariance of P, in x
  typename R::PointsView particles;  ///< samples of P, in the coordinates of the step
  /// log P at these samples, as one coordinate a point, where the population carries them.
  std::optional<typename R::PointsView> log_densities{};
};

}  // namespace wgf
