// SPDX-License-Identifier: BSL-1.0
#pragma once
// Adam (Kingma and Ba, 2015), once for every backend.
#include <cmath>
#include <stdexcept>
#include <string>

namespace wgf {

/// Adam's rule. The defaults of the betas are those that suit a min–max problem; the rate is the
/// paper's (appendix D).
struct Adam {
  double rate = 1e-3;
  double beta1 = 0.5, beta2 = 0.9;
  double epsilon = 1e-8;

  static std::string name() { return "Adam"; }
  /// \throws std::invalid_argument for numbers that make no sense.
  void check() const {
    const auto need = [](bool good, const char* what, double got) {
      if (!good)
        throw std::invalid_argument(std::string("wgf::Adam: ") + what + ", got " +
                                    std::to_string(got));
    };
    need(beta1 >= 0 && beta1 < 1, "beta1 must be in [0, 1)", beta1);
    need(beta2 >= 0 && beta2 < 1, "beta2 must be in [0, 1)", beta2);
    need(epsilon > 0, "epsilon must be positive", epsilon);
  }

  /// One descent step: parameters p, running moments m and v, gradient g (arrays or tensors of one
  /// shape), t = 1, 2, … the number of the step.
  template <class P, class M, class V, class G>
  void update(P& p, M& m, V& v, const G& g, long t) const {
    using std::sqrt;
    const double correction1 = 1 - std::pow(beta1, t), correction2 = 1 - std::pow(beta2, t);
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    p -= (rate / correction1) * m / (sqrt(v * (1 / correction2)) + epsilon);
  }
};

}  // namespace wgf
