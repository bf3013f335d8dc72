// SPDX-License-Identifier: BSL-1.0
// A potential that depends on time: a Gaussian follows a quadratic well that moves at speed 1.
#include <cmath>
#include <cstdio>
#include <wgf/wgf.hpp>

struct MovingWell {  // V(x, t) = |x − c(t)|²/2 with centre c(t) = (t, 0)
  int dim() const { return 2; }
  double value(const Eigen::VectorXd& x, double t) const {
    return 0.5 * (x - centre(t)).squaredNorm();
  }
  Eigen::VectorXd gradient(const Eigen::VectorXd& x, double t) const { return x - centre(t); }
  static Eigen::Vector2d centre(double t) { return {t, 0}; }
};

int main() {
  const double a = 0.1;
  const wgf::JkoSolver solver{
      wgf::potential(MovingWell{}) + wgf::entropy(wgf::Dual<wgf::Quadratic>{}), wgf::Affine{},
      wgf::Backward{.step_size = a}, wgf::EigenBackend<float>{.seed = 1}};
  const auto flow =
      solver.run(wgf::Gaussian::isotropic(2, 1.0), {.steps = 20,
                                                    .training = {.iterations = 300,
                                                                 .batch = 1000,
                                                                 .map_rate = 2e-3,
                                                                 .dual_rate = 2e-3,
                                                                 .common_random_numbers = true}});

  // The mean of the exact JKO iterate follows implicit Euler for m' = c(t) − m, and that of the
  // gradient flow is t − 1 + e^{−t}.
  Eigen::Vector2d exact = Eigen::Vector2d::Zero();
  std::printf("   t   mean of the flow   implicit Euler   gradient flow\n");
  for (int k = 1; k <= flow.size(); ++k) {
    const double t = k * a;
    exact = (exact + a * MovingWell::centre(t)) / (1 + a);
    if (k % 5 == 0)
      std::printf("%4.1f %18.4f %16.4f %15.4f\n", t, flow.gaussian(k).mean()[0], exact[0],
                  t - 1 + std::exp(-t));
  }
}
