// SPDX-License-Identifier: BSL-1.0
#pragma once
// The variational BDF2 scheme (Gallouët, Natale and Todeschi, "From geodesic extrapolation to a
// variational BDF2 scheme for Wasserstein gradient flows", 2022; Matthes and Plazotta, 2019).
#include "scheme.hpp"

namespace wgf {

/// Of second order: particles are first extrapolated by a third of their last displacement,
/// Y = X_k + (X_k − X_{k−1})/3, and P_{k+1} is the JKO step of size 2a/3 from the law of Y. For
/// F(x) instead of F(P) this is BDF2: x_{k+1} = (4x_k − x_{k−1})/3 − (2a/3)∇F(x_{k+1}). The first
/// step is a backward one, which does not reduce the order.
///
/// Unlike Midpoint, it damps stiff directions and never extrapolates the map that it has solved
/// for. Its flows can sample and push particles from P_0, but densities are not available.
struct Bdf2 {
  double step_size = 0.1;
  static constexpr bool remembers = true;

  void check() const { detail::check_step_size("wgf::Bdf2", step_size); }
  template <class Trainer, class Stage>
  void solve(Trainer& trainer, Stage& stage) const {
    if (!trainer.has_previous()) {
      stage.parameters = trainer.train(step_size);
      return;
    }
    trainer.extrapolate(1.0 / 3, stage);
    stage.parameters = trainer.train(2 * step_size / 3, step_size);
  }
};

}  // namespace wgf
