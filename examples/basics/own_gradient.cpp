// SPDX-License-Identifier: BSL-1.0
// A posterior with a hand-written gradient: logistic regression on the Challenger's O-rings.
// Did cold damage the seals? The data are the 23 earlier launches.
#include <cstdio>
#include <wgf/wgf.hpp>

/// Damage y ∈ {0, 1} at temperature f (Fahrenheit): P(y = 1) = σ(b₀ + b₁ t), t = (f − 70)/7, priors
/// b ~ N(0, 3² I). Data: Dalal, Fowlkes and Hoadley, J. Amer. Statist. Assoc. 84 (1989).
struct Seals {
  Eigen::ArrayXd temperature{
      {66, 70, 69, 68, 67, 72, 73, 70, 57, 63, 70, 78, 67, 53, 67, 75, 70, 81, 76, 79, 75, 76, 58}};
  Eigen::ArrayXd damaged{{0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1}};
  Eigen::ArrayXd t = (temperature - 70) / 7;

  int dim() const { return 2; }
  double log_density(const Eigen::VectorXd& b) const {
    const Eigen::ArrayXd score = b[0] + b[1] * t;
    return (damaged * score - score.max(0) - (-score.abs()).exp().log1p()).sum() -
           b.squaredNorm() / 18;
  }
  Eigen::VectorXd gradient(const Eigen::VectorXd& b) const {
    const Eigen::ArrayXd excess = damaged - 1 / (1 + (-b[0] - b[1] * t).exp());
    return Eigen::Vector2d(excess.sum(), (excess * t).sum()) - b / 9;
  }
};

int main() {
  const Seals target;
  using Network = wgf::NetworkSum<wgf::Quadratic, wgf::Mlp<32, 3, wgf::Silu>>;
  const wgf::JkoSolver solver{wgf::kl(target, wgf::Dual<Network>{.inflation = 1.3}),
                              wgf::ResidualMlp<32, 3, wgf::Silu>{}, wgf::Backward{.step_size = 1},
                              wgf::EigenBackend<float>{.seed = 1}};
  const auto flow =
      solver.run(wgf::Gaussian::isotropic(2, 1.0),
                 {.steps = 10, .training = {.iterations = 200, .batch = 500, .dual_rate = 4e-3}});
  const auto b = flow.sample(20'000);

  // With two parameters the exact posterior mean can be integrated on a grid.
  Eigen::Vector2d mean = Eigen::Vector2d::Zero();
  double mass = 0;
  for (double b0 = -6; b0 < 4; b0 += 0.02)
    for (double b1 = -7; b1 < 3; b1 += 0.02) {
      const double p = std::exp(target.log_density(Eigen::Vector2d(b0, b1)));
      mass += p;
      mean += p * Eigen::Vector2d(b0, b1);
    }
  mean /= mass;
  std::printf("posterior mean of b: %.3f %.3f (on a grid: %.3f %.3f)\n", b.row(0).mean(),
              b.row(1).mean(), mean[0], mean[1]);
  std::printf("posterior probability that cold causes damage (b1 < 0): %.3f\n",
              (b.row(1).array() < 0).cast<double>().mean());
}
