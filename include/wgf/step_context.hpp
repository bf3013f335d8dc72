// SPDX-License-Identifier: BSL-1.0
#pragma once
// The data that a term of the functional receives when a step begins.
#include "frame.hpp"
#include "measure/gaussian.hpp"

namespace wgf {

/// A step of the flow on the runtime R, before its first iteration: its time, and the law P from
/// which its JKO step starts (P_k, or P_k moved by a forward half or an extrapolation).
template <class R>
struct StepContext {
  double time;       ///< time at which the terms are evaluated: the end of a backward step
  double step_size;  ///< a of the JKO step
  int step;          ///< number of the step, from 1
  Frame frame;       ///< coordinates in which the step is solved
  Gaussian moments;  ///< mean and covariance of P, in x
  typename R::PointsView particles;  ///< samples of P, in the coordinates of the step
  /// log P at these samples, as a density in x: one-dimensional points, and none (count() is 0) if
  /// the population does not know it.
  typename R::PointsView log_densities{};
};

}  // namespace wgf
