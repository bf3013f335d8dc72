// SPDX-License-Identifier: BSL-1.0
// The library's functionals and custom ones: the variance of each flow beside the exact one.
#include <cmath>
#include <cstdio>
#include <wgf/wgf.hpp>

struct AlphaDivergence {  // a divergence is its generator f; here α = 3/2
  auto f(const auto& r) const { return (pow(r, 1.5) - 1.5 * r + 0.5) / 0.75; }
};
struct Quartic {  // a potential is its value, V(x) = |x|⁴/4
  int dim() const { return 2; }
  template <class T>
  T value(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    const T q = x.squaredNorm();
    return 0.25 * q * q;
  }
};
struct Spring {  // an interaction kernel is an even function, W(x) = |x|²/2
  template <class T>
  T value(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    return 0.5 * x.squaredNorm();
  }
};
struct Plasma {  // stands for a third-party type, adapted below
  double stiffness;
};
template <>
struct wgf::Adapt<Plasma> {
  static auto read(const Plasma& p) {
    return wgf::GaussianKernel{.amplitude = 1, .width = 1 / std::sqrt(p.stiffness)};
  }
};

/// The variance per coordinate after five steps of the flow from N(0, I) in the plane.
double variance(const auto& functional, double time) {
  const wgf::JkoSolver solver{functional, wgf::ResidualMlp<32, 3, wgf::Silu>{},
                              wgf::Backward{.step_size = time / 5}, wgf::EigenBackend<float>{}};
  const auto flow =
      solver.run(wgf::Gaussian::isotropic(2, 1.0),
                 {.steps = 5, .training = {.iterations = 150, .batch = 500, .dual_rate = 4e-3}});
  return flow.sample(20'000).squaredNorm() / 40'000;
}

int main() {
  const wgf::Dual<wgf::NetworkSum<wgf::Quadratic, wgf::Mlp<32, 3, wgf::Silu>>> dual{};
  const auto q = wgf::Gaussian::isotropic(2, 0.5);
  const auto show = [](const char* name, double flow, double exact) {
    std::printf("%-12s %.3f (exact: %.3f)\n", name, flow, exact);
  };
  show("kl", variance(wgf::kl(q, dual), 0.1), 0.25 + 0.75 * std::exp(-0.8));
  show("entropy", variance(wgf::entropy(dual), 0.5), 2);
  show("potential", variance(wgf::potential(q), 0.1), std::exp(-0.8));
  show("interaction", variance(wgf::interaction(Spring{}), 0.5), std::exp(-1.0));
  const auto divergence = wgf::divergence_to(q.sample(20'000, 3), AlphaDivergence{}, dual);
  show("divergence", variance(divergence, 1), 0.25);
  const auto sum = wgf::potential(Quartic{}) + 0.1 * wgf::generalized_entropy(3, dual) +
                   0.5 * wgf::interaction(Plasma{2.0});
  std::printf("sum          %.3f\n", variance(sum, 0.5));
}
