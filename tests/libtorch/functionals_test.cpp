// SPDX-License-Identifier: BSL-1.0
// Functionals and schemes on LibTorch against Eigen: generalized entropies, divergences to samples,
// interaction energies, forward halves.
#include <wgf/scheme/forward_backward.hpp>

#include "both.hpp"

using namespace wgf;
using namespace wgf::test;

namespace {
/// W with only a value, and not radial.
struct Anisotropic {
  template <class T>
  T value(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    return 0.5 * (x[0] * x[0] + 2.0 * x[1] * x[1]) + 0.1 * x[0] * x[0] * x[0] * x[0];
  }
};
const UniformBox square = UniformBox::cube(2, 1.0);
const RunOptions short_run{
    .steps = 2,
    .reports = 1,
    .training = {.iterations = 3, .dual_steps = 2, .batch = 250, .first_step = 1},
    .population = {.size = 600, .stratified = true, .forward_samples = 300}};
}  // namespace

TEST_CASE(
    "aggregation and diffusion, forward-backward, with the density through the forward halves") {
  const auto energy = 3.0 * interaction(GaussianKernel{}) +
                      0.2 * generalized_entropy(3, Dual<Mlp<16, 2, Silu>, VariationalBound>{});
  const auto [eigen, torch] = run_on_both<double>(
      energy, IcnnGradient<16, 1>{}, ForwardBackward{.step_size = 0.1}, square, short_run);
  const Particles x = 0.5 * square.sample(20, 3);
  CHECK(difference(eigen.log_density(x), torch.log_density(x)) < 1e-10);
  CHECK(difference(eigen.push(x), torch.push(x)) < 1e-10);
}

TEST_CASE("aggregation and diffusion, all backward, in float to its rounding") {
  const auto energy =
      3.0 * interaction(GaussianKernel{}) + 0.2 * generalized_entropy(2, Mlp<16, 2>{});
  run_on_both<double>(energy, ResidualMlp<16, 2>{}, Backward{.step_size = 0.1}, square, short_run);
  RunOptions one = short_run;
  one.steps = 1, one.training.iterations = 1;
  run_on_both<float>(energy, ResidualMlp<16, 2>{}, Backward{.step_size = 0.1}, square, one);
}

TEST_CASE("kernels of one's own, forward and backward") {
  run_on_both<double>(interaction(Anisotropic{}), Affine{}, Forward{.step_size = 0.1}, square,
                      short_run);
  // Offsets start at zero, and their gradients are mostly rounding: 1e-16 in size. Adam divides
  // them by their size plus 1e-8, so that steps, relative to those of other parameters, differ by
  // 1e-8.
  run_on_both<double>(interaction(Anisotropic{}), Affine{}, Backward{.step_size = 0.1}, square,
                      short_run, 1e-8);
  run_on_both<double>(interaction(RingKernel{}) + potential(Gaussian::isotropic(2, 2.0)), Affine{},
                      Forward{.step_size = 0.1}, square, short_run);
}

TEST_CASE("divergences to a law known by samples") {
  const Particles samples = Gaussian::isotropic(2, 0.5).sample(400, 1);
  run_on_both<double>(divergence_to(samples, JensenShannon{}, Mlp<16, 2>{}), Affine{},
                      Backward{.step_size = 0.2}, square, short_run);
  run_on_both<double>(divergence_to(samples, ChiSquared{}, Dual<Mlp<16, 2>, VariationalBound>{}) +
                          0.5 * divergence_to(samples, SquaredHellinger{}, Mlp<16, 2>{}),
                      Affine{}, Backward{.step_size = 0.2}, square, short_run);
  run_on_both<double>(
      divergence_to(samples, KullbackLeibler{}, Dual<Mlp<16, 2>, DonskerVaradhan>{}), Affine{},
      Backward{.step_size = 0.2}, square, short_run);
}
