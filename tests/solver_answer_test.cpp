// SPDX-License-Identifier: BSL-1.0
// The solver on Gaussian flows, whose exact JKO iterates are known.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/metric/sym_kl.hpp>
#include <wgf/solver/jko_solver.hpp>

#include <functional>

#include "catch.hpp"

using namespace wgf;

namespace {
const OrnsteinUhlenbeck process = OrnsteinUhlenbeck::random(2, 3);

using Solver = JkoSolver<Functional<Entropy<Dual<Quadratic>>, Potential<Gaussian>>, Affine,
                         Backward, EigenBackend<double>>;
Solver make_solver(double step_size = 0.1, double inflation = 1,
                   EigenBackend<double> backend = {.seed = 1, .threads = 1}) {
  return {kl(process.target(), Dual<Quadratic>{.inflation = inflation}), Affine{},
          Backward{.step_size = step_size}, backend};
}
// One type of observer for all of this: the step is compiled for each.
using Observer = std::function<bool(const Progress&)>;
const Observer none = [](const Progress&) { return true; };
template <class Initial>
Solver::Flow run(const Solver& solver, const Initial& initial, const RunOptions& options = {},
                 const Observer& observer = none) {
  return solver.run(initial, options, observer);
}

// The exact iterates from P_0, by as many steps.
Gaussian exact(Gaussian p, int steps, double step_size = 0.1) {
  for (int k = 0; k < steps; ++k) p = process.jko_iterate(p, step_size);
  return p;
}
}  // namespace

TEST_CASE("a Gaussian flow is the exact JKO iterate at every step") {
  const auto flow = run(make_solver(), Gaussian::isotropic(2, 1),
                        {.steps = 4,
                         .training = {.iterations = 200,
                                      .batch = 1000,
                                      .map_rate = 2e-3,
                                      .dual_rate = 2e-3,
                                      .first_step = 4,
                                      .common_random_numbers = true}});
  REQUIRE(flow.size() == 4);
  for (int k = 1; k <= 4; ++k) {
    INFO("step " << k);
    CHECK(sym_kl(flow.gaussian(k), process.jko(k, 0.1)) < 1e-6);
    CHECK(sym_kl(process.jko(k - 1, 0.1), process.jko(k, 0.1)) >
          1e-3);  // there was something to be done
  }
}

TEST_CASE("an inflated base does not move the answer, whether its samples are coupled or not") {
  for (const bool coupled : {true, false}) {
    const auto flow = run(make_solver(0.1, 1.2), Gaussian::isotropic(2, 1),
                          {.steps = 2,
                           .training = {.iterations = 300,
                                        .batch = 1000,
                                        .map_rate = 2e-3,
                                        .dual_rate = 2e-3,
                                        .first_step = 4,
                                        .common_random_numbers = coupled}});
    INFO((coupled ? "coupled" : "independent"));
    CHECK(sym_kl(flow.gaussian(), process.jko(2, 0.1)) < 1e-4);
  }
}

TEST_CASE("without whitening the answer is the same") {
  const Gaussian start =
      Gaussian::isotropic(Eigen::VectorXd(Eigen::VectorXd::Constant(2, 0.5)), 1.3);
  const auto flow = run(make_solver(), start,
                        {.steps = 2,
                         .training = {.iterations = 300,
                                      .batch = 1000,
                                      .map_rate = 2e-3,
                                      .dual_rate = 2e-3,
                                      .first_step = 4,
                                      .whiten = false}});
  CHECK(flow.stages[0].frame.identity);
  CHECK(sym_kl(flow.gaussian(), exact(start, 2)) < 1e-4);
}

TEST_CASE("what observers are told is the functional") {
  // With the dual network at its optimum, direct + dual estimates KL(P‖q): here between Gaussians,
  // known in closed form.
  std::vector<Progress> history;
  const auto flow = run(make_solver(), Gaussian::isotropic(2, 1),
                        {.steps = 1,
                         .training = {.iterations = 300,
                                      .batch = 5000,
                                      .map_rate = 3e-3,
                                      .dual_rate = 3e-3,
                                      .common_random_numbers = true}},
                        [&](const Progress& p) { return history.push_back(p), true; });
  const Gaussian p = flow.gaussian(), &q = process.target();
  const Eigen::VectorXd shift = p.mean() - q.mean();
  const double kl_pq =
      0.5 * ((q.precision() * p.covariance()).trace() - 2 + shift.dot(q.precision() * shift)) +
      p.factor().diagonal().array().log().sum() * -1 + q.factor().diagonal().array().log().sum();
  // The error is that of an average of 5000 numbers of size one.
  CHECK(history.back().functional() == Approx(kl_pq).margin(0.05));
  // E|X − T(X)|²/(2a) of the affine map T from N(0, I).
  const AffineForm form = flow.affine_form(0);
  const double moved =
      ((form.matrix - Eigen::MatrixXd::Identity(2, 2)).squaredNorm() + form.offset.squaredNorm()) /
      0.2;
  CHECK(history.back().transport == Approx(moved).epsilon(0.05));
}

TEST_CASE("three steps and two more are five") {
  const Solver solver = make_solver();
  const RunOptions careful{.steps = 3,
                           .training = {.iterations = 200,
                                        .batch = 1000,
                                        .map_rate = 2e-3,
                                        .dual_rate = 2e-3,
                                        .first_step = 4,
                                        .common_random_numbers = true}};
  RunOptions more = careful;
  more.steps = 2;
  const auto five = run(solver, run(solver, Gaussian::isotropic(2, 1), careful), more);
  CHECK(five.size() == 5);
  CHECK(sym_kl(five.gaussian(), process.jko(5, 0.1)) < 1e-6);
}
