// SPDX-License-Identifier: BSL-1.0
#pragma once
// The backward scheme: P_{k+1} = argmin_P W₂²(P, P_k)/(2a) + F(P), every term inside the JKO step
// (eqs. 4–6).
#include "scheme.hpp"

namespace wgf {

/// The JKO scheme of the paper. After k steps the particles approximate the gradient flow at time
/// k·step_size, to first order.
struct Backward {
  double step_size = 0.1;

  void check() const { detail::check_step_size("wgf::Backward", step_size); }
  template <class Trainer, class Stage>
  void solve(Trainer& trainer, Stage& stage) const {
    stage.parameters = trainer.train(step_size);
  }
};

}  // namespace wgf
