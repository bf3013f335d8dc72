// SPDX-License-Identifier: BSL-1.0
// Backward steps on LibTorch against Eigen: the figures on the way, the maps, and densities.
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/metric/sym_kl.hpp>
#include <wgf/scheme/midpoint.hpp>

#include "both.hpp"

using namespace wgf;
using namespace wgf::test;

namespace {
struct Banana {
  int dim() const { return 2; }
  template <class T>
  T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    const T bent = x[1] - 0.5 * x[0] * x[0];
    return -0.5 * (x[0] * x[0] + 4.0 * bent * bent);
  }
};
const Gaussian start = Gaussian::isotropic(2, 1.5);
const RunOptions short_run{
    .steps = 2,
    .reports = 2,
    .training = {.iterations = 4, .dual_steps = 2, .batch = 250, .first_step = 1},
    .population = {.size = 1000}};
}  // namespace

TEMPLATE_TEST_CASE("a KL divergence to a mixture, by a residual map", "", float, double) {
  const GaussianMixture target(
      {0.3, 0.7}, {Gaussian::isotropic(2, 0.5),
                   Gaussian(Eigen::Vector2d(1, -1), Eigen::Matrix2d{{1, 0.3}, {0.3, 0.5}})});
  RunOptions one = short_run;
  one.steps = 1, one.training.iterations = 1;
  run_on_both<TestType>(kl(target, Mlp<16, 3>{.dropout = 0.2}), ResidualMlp<16, 3>{},
                        Backward{.step_size = 0.3}, start, one);
  run_on_both<double>(kl(target, Mlp<16, 3>{}), ResidualMlp<16, 3>{}, Backward{.step_size = 0.3},
                      start, short_run);
}

TEST_CASE("a target of one's own, by the gradient of a convex network, and its density") {
  const auto [eigen, torch] =
      run_on_both<double>(kl(Banana{}, Quadratic{} + Mlp<16, 2, Silu>{}), IcnnGradient<16, 2>{},
                          Backward{.step_size = 0.2}, start, short_run);
  const Particles x = eigen.sample(50);
  CHECK(difference(x, torch.sample(50)) < 1e-10);
  CHECK(difference(eigen.log_density(x), torch.log_density(x)) < 1e-10);
}

TEST_CASE("an Ornstein-Uhlenbeck flow by midpoint steps, in closed form") {
  const Gaussian target(Eigen::Vector2d(1, 2), Eigen::Matrix2d{{0.5, 0.1}, {0.1, 0.8}});
  const auto [eigen, torch] =
      run_on_both<double>(kl(target, Dual<Quadratic, VariationalBound>{}), Affine{},
                          Midpoint{.step_size = 0.2}, start, short_run);
  CHECK(difference(eigen.gaussian().covariance(), torch.gaussian().covariance()) < 1e-10);
  CHECK(difference(eigen.gaussian().mean(), torch.gaussian().mean()) < 1e-10);
  run_on_both<double>(kl(target, Quadratic{}), DeepLinear<16, 3>{}, Backward{.step_size = 0.2},
                      start, short_run);
}

TEST_CASE("a coupled Ornstein-Uhlenbeck flow against the exact JKO iterate") {
  // Not against Eigen: gradients of the dual that vanish at the start are rounding, of which Adam
  // takes the sign.
  const Gaussian target(Eigen::Vector2d(1, 2), Eigen::Matrix2d{{0.5, 0.1}, {0.1, 0.8}});
  const JkoSolver solver{kl(target, Quadratic{}), Affine{}, Backward{.step_size = 0.2},
                         on_torch<double>()};
  const auto flow =
      solver.run(Gaussian::isotropic(2, 1.0), {.steps = 1,
                                               .training = {.iterations = 300,
                                                            .batch = 500,
                                                            .map_rate = 1e-2,
                                                            .dual_rate = 1e-2,
                                                            .common_random_numbers = true}});
  const OrnsteinUhlenbeck reference(target.precision(), target.mean());
  const Gaussian exact = reference.jko(1, 0.2);
  CHECK(sym_kl(flow.gaussian(), exact) < 1e-5);
  CHECK(sym_kl(flow.gaussian(), Gaussian::isotropic(2, 1.0)) > 0.1);
}
