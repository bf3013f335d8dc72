// SPDX-License-Identifier: BSL-1.0
// A custom target given by its log-density alone; the gradient is derived automatically.
#include <iostream>
#include <wgf/wgf.hpp>

struct Banana {  // x ~ N(0, 1), y ~ N(x²/2, ½²), up to a constant
  int dim() const { return 2; }
  template <class T>
  T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    const T residual = x[1] - 0.5 * x[0] * x[0];
    return -0.5 * x[0] * x[0] - 2.0 * residual * residual;
  }
};

int main() {
  const wgf::JkoSolver solver{
      wgf::kl(Banana{}, wgf::Dual<wgf::Mlp<32, 4, wgf::Silu>>{.inflation = 1.5}),
      wgf::ResidualMlp<32, 4, wgf::Silu>{}, wgf::Backward{.step_size = 0.3},
      wgf::EigenBackend<float>{.seed = 1}};
  const auto flow =
      solver.run(wgf::Gaussian::isotropic(2, 1.0),
                 {.steps = 20, .training = {.iterations = 300, .batch = 500, .dual_rate = 4e-3}},
                 wgf::print_progress);
  const Eigen::MatrixXd samples = flow.sample(10'000);  // 2 × 10,000, one sample per column
  std::cout << "mean " << samples.rowwise().mean().transpose() << " (exact: 0 0.5)\n";
}
