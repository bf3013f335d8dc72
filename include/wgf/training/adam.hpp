// SPDX-License-Identifier: BSL-1.0
#pragma once
// Adam (Kingma and Ba, 2015), one implementation for all backends.
#include <cmath>
#include <stdexcept>
#include <string>

#include "../hana.hpp"
#include "../update_rule.hpp"

namespace wgf {

/// Adam's rule. The default betas suit a min–max problem.
struct Adam {
  double beta1 = 0.5, beta2 = 0.9;  ///< decay of the first and of the second moment
  double epsilon = 1e-8;            ///< added to the square root of the second moment

  static constexpr int moments = 2;
  static std::string name() { return "Adam"; }
  static constexpr auto fields() {
    return hana::make_tuple(hana::make_pair("beta1", &Adam::beta1),
                            hana::make_pair("beta2", &Adam::beta2),
                            hana::make_pair("epsilon", &Adam::epsilon));
  }
  /// \throws std::invalid_argument for invalid values.
  void check() const {
    const auto need = [](bool good, const char* what, double got) {
      if (!good)
        throw std::invalid_argument(std::string("wgf::Adam: ") + what + ", got " +
                                    std::to_string(got));
    };
    need(beta1 >= 0 && beta1 < 1, "beta1 must be in [0, 1)", beta1);
    need(beta2 >= 0 && beta2 < 1, "beta2 must be in [0, 1)", beta2);
    need(epsilon > 0 && std::isfinite(epsilon), "epsilon must be positive", epsilon);
  }

  /// One descent step: parameters p, running moments m and v, gradient g, and the step number t =
  /// 1, 2, ….
  template <class P, class M, class V, class G, class Steps, class Rate>
  void update(P& p, M& m, V& v, const G& g, const Steps& t, const Rate& rate) const {
    using std::pow, std::sqrt;
    const auto correction1 = 1 - pow(beta1, t), correction2 = 1 - pow(beta2, t);
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    p -= (rate / correction1) * m / (sqrt(v * (1 / correction2)) + epsilon);
  }
};
static_assert(UpdateRule<Adam>);

}  // namespace wgf
