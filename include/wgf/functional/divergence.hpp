// SPDX-License-Identifier: BSL-1.0
#pragma once
// Divergences through the log-ratio u = log(P / base):  D_f(P‖Γ) = sup_u E_P[A(u)] − E_Γ[B(u)],  A = f'(e^u),  B = e^u f'(e^u) − f(e^u),
// and the losses that fit u. Every formula is unqualified array arithmetic, the same on every backend.
#include "../array.hpp"

namespace wgf {

/// f = x log x: A(u) = u, B(u) = e^u − 1 (Proposition 1).
struct KullbackLeibler {
  template <class U>
  auto gain(const U& u) const {
    return 1.0 * u;
  }
  template <class U>
  auto gain_slope(const U& u) const {
    return ones_like(u);
  }
  template <class U>
  auto cost(const U& u) const {
    return exp(clamp_max(u, largest)) - 1.0;
  }
  template <class U>
  auto cost_slope(const U& u) const {
    return exp(clamp_max(u, largest));
  }

 private:
  static constexpr double largest = 30;  // e^30 drowns every other sample of a batch already
};

/// Fits u by ascent on the functional's own bound, as the paper does (Algorithm 1).
struct OwnBound {
  static constexpr const char* name = "OwnBound";
  template <class Divergence, class U>
  auto slope_p(const Divergence& d, const U& u) const {
    return -1.0 * d.gain_slope(u);
  }
  template <class Divergence, class U>
  auto slope_base(const Divergence& d, const U& u) const {
    return d.cost_slope(u);
  }
};

/// Fits u by descent on the logistic loss E_P log(1 + e^{−u}) + E_Γ log(1 + e^u), which has the same minimiser for every divergence and
/// bounded gradients where the own bound's explode.
struct LogisticLoss {
  static constexpr const char* name = "LogisticLoss";
  template <class Divergence, class U>
  auto slope_p(const Divergence&, const U& u) const {
    return -1.0 / (1.0 + exp(u));
  }
  template <class Divergence, class U>
  auto slope_base(const Divergence&, const U& u) const {
    return 1.0 / (1.0 + exp(-1.0 * u));
  }
};

}  // namespace wgf
