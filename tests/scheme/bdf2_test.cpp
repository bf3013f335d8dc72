// SPDX-License-Identifier: BSL-1.0
// The variational BDF2 scheme against its exact iterates between Gaussians, and its order.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/metric/sym_kl.hpp>
#include <wgf/scheme/bdf2.hpp>
#include <wgf/solver/jko_solver.hpp>

#include <cmath>
#include <vector>

#include "../catch.hpp"
#include "../folder.hpp"
#include "../support.hpp"

using namespace wgf;
using Eigen::MatrixXd, Eigen::VectorXd;

namespace {
const MatrixXd precision = VectorXd{{1.0, 2.0, 0.5}}.asDiagonal();
const VectorXd mean{{1.0, -0.5, 2.0}};
const OrnsteinUhlenbeck process(precision, mean);
const Gaussian start = Gaussian::isotropic(3, 1);

/// P_1, …, P_K exactly: the JKO step of 2a/3 from the law of X_k + (X_k − X_{k−1})/3, all maps
/// being diagonal; x_k = s·x_0 + m for each coordinate.
std::vector<Gaussian> exact_iterates(int steps, double a) {
  Eigen::ArrayXd s = Eigen::ArrayXd::Ones(3), m = Eigen::ArrayXd::Zero(3), s_old = s, m_old = m;
  std::vector<Gaussian> all;
  for (int k = 0; k < steps; ++k) {
    const double w = k == 0 ? 0 : 1.0 / 3;
    const Eigen::ArrayXd s_y = s + w * (s - s_old), m_y = m + w * (m - m_old);
    const Gaussian y(VectorXd(m_y), MatrixXd(s_y.square().matrix().asDiagonal()));
    all.push_back(process.jko_iterate(y, k == 0 ? a : 2 * a / 3));
    // The optimal map from y scales each coordinate about its mean; y's own scale is positive.
    s_old = s, m_old = m;
    s = all.back().covariance().diagonal().array().sqrt();
    m = all.back().mean().array();
  }
  return all;
}
double error_at(double time, int steps) {
  return sym_kl(exact_iterates(steps, time / steps).back(), process.at(time));
}
}  // namespace

TEST_CASE("BDF2 trained between Gaussians is its exact iterate") {
  const double a = 0.2;
  const JkoSolver solver{kl(process.target(), Quadratic{}), Affine{}, Bdf2{.step_size = a},
                         EigenBackend<double>{.seed = 2, .threads = 1}};
  const auto flow = solver.run(start, {.steps = 5,
                                       .training = {.iterations = 500,
                                                    .batch = 1000,
                                                    .map_rate = 2e-3,
                                                    .dual_rate = 2e-3,
                                                    .final_rate_fraction = 1e-3,
                                                    .common_random_numbers = true}});
  const auto exact = exact_iterates(5, a);
  for (int k = 1; k <= 5; ++k) {
    CAPTURE(k);
    CHECK(flow.stages[static_cast<std::size_t>(k - 1)].inertia == (k == 1 ? 0 : 1.0 / 3));
    CHECK(sym_kl(flow.gaussian(k), exact[static_cast<std::size_t>(k - 1)]) < 1e-5);
    CHECK(flow.time(k) == Approx(k * a));
  }
  // It is nearer to the PDE than the backward scheme's exact iterates by an order.
  CHECK(sym_kl(flow.gaussian(), process.at(5 * a)) <
        0.05 * sym_kl(process.jko(5, a), process.at(5 * a)));
  // Samples go through the same two-step recursion as the closed form.
  const Particles x = flow.sample(200'000, 7);
  const Gaussian fitted = Gaussian::fit(x);
  CHECK((fitted.mean() - flow.gaussian().mean()).norm() < 0.01);
  CHECK((fitted.covariance() - flow.gaussian().covariance()).norm() < 0.02);
  const auto path = flow.trajectory(x.leftCols(10));
  CHECK((path.back() - flow.push(x.leftCols(10))).norm() == 0);
  CHECK_THROWS_AS(flow.push(x.leftCols(10), 2), std::invalid_argument);
  CHECK_THROWS_AS(flow.log_density(x.leftCols(10)), std::invalid_argument);
}

TEST_CASE("BDF2's exact iterates are of second order") {
  const double first = error_at(1, 8), second = error_at(1, 16), third = error_at(1, 32);
  // SymKL is quadratic in the error of the moments: a slope of 4 in log₂ is second order.
  CHECK(std::log2(first / second) == Approx(4).margin(0.5));
  CHECK(std::log2(second / third) == Approx(4).margin(0.4));
}

TEST_CASE("BDF2 with particles: the pool remembers, also in files and refreshed populations") {
  const wgf::test::Folder folder("bdf2");
  const GaussianMixture target =
      GaussianMixture::isotropic((MatrixXd(2, 2) << -1, 1, 0, 0).finished(), 0.7);
  const JkoSolver solver{kl(target, Mlp<16, 2, Silu>{}), ResidualMlp<16, 2, Silu>{},
                         Bdf2{.step_size = 0.2}, EigenBackend<double>{.seed = 5, .threads = 1}};
  const RunOptions options{.steps = 4,
                           .training = {.iterations = 30, .batch = 100},
                           .population = {.size = 500, .refresh_every = 2}};
  const auto p0 = Gaussian::isotropic(2, 1);
  const auto flow = solver.run(p0, options);
  // The flow's own maps take fresh draws where the pool went.
  auto state = solver.start(
      p0, {.steps = 4, .training = {.iterations = 30, .batch = 100}, .population = {.size = 500}});
  const Particles before = state.particles();
  while (!state.finished()) solver.step(state);
  CHECK((state.flow().push(before) - state.particles()).norm() < 1e-10 * before.norm());

  save(flow, folder / "flow");
  const auto loaded = load<decltype(solver)::Flow>(folder / "flow");
  CHECK(loaded.sample(50) == flow.sample(50));

  auto interrupted = solver.start(p0, options);
  for (int k = 0; k < 3; ++k) solver.step(interrupted);
  interrupted.save(folder / "run");
  const auto resumed = solver.resume(folder / "run", p0, options);
  REQUIRE(resumed.size() == 4);
  CHECK(resumed.stages[3].parameters == flow.stages[3].parameters);
}
