// SPDX-License-Identifier: BSL-1.0
// Flows of Gaussians whose exact JKO iterates are Gaussians: heat, quadratic interaction, and KL
// with quadratic interaction. Means and covariances, in closed form from the affine maps, within 1
// %; and the midpoint scheme against the PDE.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/exact/aggregation.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/metric/sym_kl.hpp>
#include <wgf/scheme/midpoint.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "../catch.hpp"

using namespace wgf;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {
const EigenBackend<float> backend{.seed = 1, .threads = 1};
const Gaussian start((VectorXd(2) << 1, -0.5).finished(),
                     (MatrixXd(2, 2) << 1, 0.3, 0.3, 0.6).finished());
const RunOptions careful{.steps = 6,
                         .training = {.iterations = 300,
                                      .batch = 1000,
                                      .map_rate = 2e-3,
                                      .dual_rate = 2e-3,
                                      .final_rate_fraction = 0.01,
                                      .first_step = 4}};

void check(const Gaussian& found, const Gaussian& exact) {
  const double size = std::sqrt(exact.covariance().trace());
  CHECK((found.mean() - exact.mean()).norm() < 0.01 * size);
  CHECK((found.covariance() - exact.covariance()).norm() < 0.01 * exact.covariance().norm());
}
}  // namespace

TEST_CASE("heat from a Gaussian") {
  const JkoSolver solver{entropy(Quadratic{}), Affine{}, Backward{.step_size = 0.1}, backend};
  check(solver.run(start, careful).gaussian(), Heat::jko(start, 6, 0.1));
}

TEST_CASE("quadratic interaction") {
  const JkoSolver solver{interaction(QuadraticKernel{}), Affine{}, Backward{.step_size = 0.1},
                         backend};
  const double factor = std::pow(1.1, -6);
  check(solver.run(start, careful).gaussian(),
        Gaussian(start.mean(), factor * factor * start.covariance()));
}

TEST_CASE("KL with quadratic interaction") {
  // In the target's eigenbasis, λ an eigenvalue of its precision and s one of P_k's standard
  // deviations (P_0 is isotropic, all commute): m' = (m + aλb)/(1 + aλ), s' = (s + √(s² +
  // 4ac))/(2c), c = 1 + a(λ + 1).
  const double a = 0.1;
  const OrnsteinUhlenbeck process = OrnsteinUhlenbeck::random(3, 5);
  const Gaussian& q = process.target();
  const Eigen::SelfAdjointEigenSolver<MatrixXd> basis(q.precision());
  Eigen::ArrayXd m = Eigen::ArrayXd::Zero(3), s = Eigen::ArrayXd::Constant(3, 1.2);
  const Eigen::ArrayXd b = basis.eigenvectors().transpose() * q.mean(), rate = basis.eigenvalues(),
                       c = 1 + a * (rate + 1);
  for (int k = 0; k < 6; ++k) {
    m = (m + a * rate * b) / (1 + a * rate);
    s = (s + (s * s + 4 * a * c).sqrt()) / (2 * c);
  }
  const MatrixXd v = basis.eigenvectors();
  const JkoSolver solver{kl(q, Quadratic{}) + interaction(QuadraticKernel{}), Affine{},
                         Backward{.step_size = a}, backend};
  check(solver.run(Gaussian::isotropic(3, 1.2), careful).gaussian(),
        Gaussian(v * m.matrix(), v * (s * s).matrix().asDiagonal() * v.transpose()));
}

namespace {
// Mean over five targets of the distance to the PDE's law at t = 0.9, a = 0.05.
double midpoint_error(int dim, int iterations, double rate) {
  double total = 0;
  for (std::uint64_t i = 1; i <= 5; ++i) {
    const auto process = OrnsteinUhlenbeck::random(dim, i);
    const JkoSolver solver{kl(process.target(), Quadratic{}), Affine{}, Midpoint{.step_size = 0.05},
                           EigenBackend<float>{.seed = i, .threads = 1}};
    const auto flow =
        solver.run(Gaussian::isotropic(dim, 1.0), {.steps = 18,
                                                   .training = {.iterations = iterations,
                                                                .batch = 1000,
                                                                .map_rate = rate,
                                                                .dual_rate = rate,
                                                                .final_rate_fraction = 0.002,
                                                                .first_step = 4,
                                                                .common_random_numbers = true}});
    total += sym_kl(flow.gaussian(), process.at(0.9)) / 5;
  }
  return total;
}
}  // namespace

TEST_CASE("OU by the midpoint scheme in 2 dimensions is within 1e-7 of the PDE") {
  CHECK(midpoint_error(2, 500, 5e-3) <= 1e-7);
}
TEST_CASE("OU by the midpoint scheme in 8 dimensions is within 1e-5 of the PDE") {
  CHECK(midpoint_error(8, 300, 2e-3) <= 1e-5);
}
TEST_CASE("OU by the midpoint scheme in 32 dimensions is within 2e-5 of the PDE") {
  CHECK(midpoint_error(32, 500, 2e-3) <= 2e-5);
}
