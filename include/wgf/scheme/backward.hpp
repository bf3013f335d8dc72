// SPDX-License-Identifier: BSL-1.0
#pragma once
// The backward scheme: P_{k+1} = argmin_P W₂²(P, P_k)/(2a) + F(P), every term inside the JKO step (eqs. 4–6).
#include <cmath>
#include <concepts>
#include <stdexcept>
#include <string>

namespace wgf {

/// Scheme: it has a step size a.
template <class S>
concept SchemePolicy = std::copyable<S> && requires(const S& s) {
  { s.step_size } -> std::convertible_to<double>;
  s.check();  // throws std::invalid_argument for parameters that make no sense
};

/// The paper's JKO scheme. After k steps the cloud stands at time k·step_size of the gradient flow, to first order.
struct Backward {
  double step_size = 0.1;

  void check() const {
    if (!(step_size > 0) || !std::isfinite(step_size))
      throw std::invalid_argument("wgf::Backward: step_size must be positive, got " + std::to_string(step_size));
  }
};

}  // namespace wgf
