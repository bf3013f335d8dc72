// SPDX-License-Identifier: BSL-1.0
#pragma once
// The context that a term receives when a step begins, made by a test instead of a run.
#include <wgf/step_context.hpp>

namespace wgf::test {

/// The first step, of size ½, from a law with the moments of `cloud`.
template <class R>
StepContext<R> context(const Frame& frame, const Gaussian& cloud,
                       const typename R::PointsView& particles) {
  return {.time = 0.5,
          .step_size = 0.5,
          .step = 1,
          .frame = frame,
          .moments = cloud,
          .particles = particles};
}

}  // namespace wgf::test
