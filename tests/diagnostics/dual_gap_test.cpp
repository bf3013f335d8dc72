// SPDX-License-Identifier: BSL-1.0
// Dual values where the networks were trained and on samples that they never saw.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/functional/functional.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "../catch.hpp"
#include "../support.hpp"

using namespace wgf;
using Eigen::MatrixXd, Eigen::VectorXd;
using wgf::test::message_of;

namespace {
const Gaussian target(VectorXd::Constant(2, 1), 0.3 * MatrixXd::Identity(2, 2));
const Gaussian start = Gaussian::isotropic(2, 1);

/// KL(p‖q).
double divergence(const Gaussian& p, const Gaussian& q) {
  const MatrixXd precision = q.covariance().inverse();
  const VectorXd shift = p.mean() - q.mean();
  return 0.5 * ((precision * p.covariance()).trace() - p.dim() + shift.dot(precision * shift) +
                std::log(q.covariance().determinant() / p.covariance().determinant()));
}
}  // namespace

TEST_CASE(
    "in a Gaussian flow both dual values are the divergence from the base, and there is no gap") {
  const JkoSolver solver{kl(target, Quadratic{}), Affine{}, Backward{0.5},
                         EigenBackend<double>{.seed = 1, .threads = 1}};
  auto state = solver.start(
      start, {.steps = 1,
              .training = {.iterations = 600, .batch = 1000, .map_rate = 5e-3, .dual_rate = 5e-3}});
  CHECK(message_of<std::logic_error>([&] { state.dual_gaps(); }) ==
        "wgf::JkoSolver: dual_gaps needs a step to be done");
  REQUIRE(solver.step(state));
  const auto values = state.dual_gaps(100);
  REQUIRE(values.size() == 1);
  const double exact = divergence(state.flow().gaussian(),
                                  start);  // the base has the moments of the law before the step
  CHECK(values[0].seen == Approx(exact).margin(0.01));
  CHECK(values[0].held_out == Approx(exact).margin(0.01));
  CHECK(std::abs(values[0].gap()) < 4 * values[0].error);
  CHECK(message_of<std::invalid_argument>([&] { state.dual_gaps(1); }) ==
        "wgf::JkoSolver: dual_gaps needs at least 2 batches, got 1");
}

TEST_CASE("a pool that the networks learn by heart shows as a gap, a large one does not") {
  const auto values = [](long pool) {
    const JkoSolver solver{kl(target, Mlp<64, 3>{}), ResidualMlp<16, 2>{}, Backward{0.2},
                           EigenBackend<float>{.seed = 1, .threads = 1}};
    auto state =
        solver.start(start, {.steps = 3,
                             .training = {.iterations = 800, .batch = 100, .dual_rate = 3e-3},
                             .population = {.size = pool}});
    for (int k = 0; k < 3; ++k) solver.step(state);
    return state.dual_gaps(100).at(0);
  };
  const auto by_heart = values(100), sound = values(50'000);
  INFO(by_heart.gap() << " +- " << by_heart.error << ", " << sound.gap() << " +- " << sound.error);
  CHECK(by_heart.gap() > 10 * by_heart.error);
  CHECK(by_heart.gap() > 0.3);
  CHECK(by_heart.verdict() == Verdict::problem);
  CHECK(by_heart.summary().find("the networks have learnt the pool by heart") != std::string::npos);
  CHECK(sound.verdict() == Verdict::ok);
  CHECK(sound.summary().find(": no sign that the pool was learnt by heart") != std::string::npos);
  CHECK(std::abs(sound.gap()) < 4 * sound.error);
}

TEST_CASE(
    "a functional without a dual term has no dual values, and after a failed step there are none") {
  const JkoSolver solver{potential(target), Affine{}, Backward{0.5},
                         EigenBackend<double>{.seed = 1, .threads = 1}};
  auto state = solver.start(start, {.training = {.iterations = 20, .batch = 50}});
  solver.step(state);
  CHECK(state.dual_gaps().empty());
  CHECK_THROWS_AS(solver.step(state, [](const Progress&) { throw std::runtime_error("stop"); }),
                  std::runtime_error);
  CHECK(message_of<std::logic_error>([&] { state.dual_gaps(); }) ==
        "wgf::JkoSolver: dual_gaps needs a step to be done since the run was resumed, or since a "
        "step failed");
}
