// SPDX-License-Identifier: BSL-1.0
// Steps that diverge: each kind is told apart, ends the run with the last good state, or is rolled
// back and solved with smaller rates.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>
#include <wgf/solver/observers.hpp>

#include <atomic>
#include <limits>
#include <memory>

#include "catch.hpp"
#include "same_flow.hpp"
#include "support.hpp"

using namespace wgf;
using Eigen::MatrixXd, Eigen::VectorXd;
using wgf::test::message_of, wgf::test::same_flow;

namespace {
const Gaussian start = Gaussian::isotropic(2, 1);
const Gaussian target(VectorXd::Constant(2, 1), MatrixXd::Identity(2, 2));

/// What ended a run: its fault, its step, the steps that were kept.
struct Ending {
  Fault fault = Fault::failed;
  int step = 0, kept = -1;
  std::string why;
};
template <class Solver>
Ending ending(const Solver& solver, const RunOptions& options) {
  try {
    solver.run(start, options);
  } catch (const FlowError<typename Solver::Flow>& e) {
    return {e.fault(), e.step(), e.flow().size(), e.what()};
  }
  return {};
}
auto residual() {
  return JkoSolver{kl(target, Mlp<16, 2>{}), ResidualMlp<16, 2>{}, Backward{0.2},
                   EigenBackend<float>{.seed = 5, .threads = 1}};
}
const RunOptions small{
    .steps = 3, .training = {.iterations = 100, .batch = 100}, .population = {.size = 1000}};
}  // namespace

TEST_CASE("an explosion ends the run, or is rolled back with smaller rates until there is none") {
  RunOptions options = small;
  options.training.map_rate = 10;
  const Ending end = ending(residual(), options);
  CHECK(end.fault == Fault::exploded);
  CHECK(end.step == 1);
  CHECK(end.kept == 0);
  CHECK(end.why.find("transport cost plus functional have risen from ") != std::string::npos);
  CHECK(end.why.find("; a smaller map_rate or dual_rate may help") != std::string::npos);

  options.safeguards = {.retries = 1,
                        .rate_factor = 0.99};  // not small enough: the same end, one attempt later
  CHECK(ending(residual(), options).fault == Fault::exploded);

  options.safeguards = {.retries = 8, .rate_factor = 0.1};
  Recorder told;
  const auto flow = residual().run(start, options, told);
  CHECK(flow.size() == 3);
  CHECK(told.history.back().rolled_back > 0);
  CHECK((flow.sample(2000).rowwise().mean() - target.mean()).norm() <
        1);  // halfway there, where the start is 1.4 away

  // A roll-back leaves nothing of what it took back: the first step is that of a run which had the
  // smaller rate from the start.
  const auto rolled_back_in_first = [&] {
    int n = 0;
    for (const Progress& p : told.history)
      if (p.step == 1) n = p.rolled_back;
    return n;
  }();
  options.safeguards.retries = 0, options.steps = 1;
  for (int k = 0; k < rolled_back_in_first; ++k)
    options.training.map_rate *= 0.1, options.training.dual_rate *= 0.1;
  const auto gently = residual().run(start, options);
  REQUIRE(gently.stages[0].parameters.size() == flow.stages[0].parameters.size());
  double difference = 0;
  for (std::size_t i = 0; i < gently.stages[0].parameters.size(); ++i)
    difference = std::max(difference, std::abs(static_cast<double>(gently.stages[0].parameters[i] -
                                                                   flow.stages[0].parameters[i])));
  CHECK(difference < 1e-4);  // but for the rounding of 0.1 · 0.1 …
}

TEST_CASE("a roll-back after a target's hiccup: the run that had none") {
  struct Hiccup {
    std::shared_ptr<std::atomic<long>> calls;
    int dim() const { return 2; }
    double log_density(const VectorXd& x) const { return target.log_density(x); }
    VectorXd gradient(const VectorXd& x) const {
      const bool bad = ++*calls == 25'000;
      return bad ? VectorXd(VectorXd::Constant(2, std::numeric_limits<double>::quiet_NaN()))
                 : VectorXd(target.mean() - x);
    }
  };
  const auto solver = [](long calls_before) {
    return JkoSolver{kl(Hiccup{std::make_shared<std::atomic<long>>(calls_before)}, Mlp<16, 2>{}),
                     ResidualMlp<16, 2>{}, Backward{0.2},
                     EigenBackend<float>{.seed = 5, .threads = 1}};
  };
  RunOptions options = small;
  const Ending end = ending(solver(0), options);
  CHECK(end.fault == Fault::not_finite);
  CHECK(end.step == 2);  // 200 iterations of 100 gradients in the first step
  CHECK(end.kept == 1);
  options.safeguards = {.retries = 1, .rate_factor = 1};
  Recorder told;
  const auto flow = solver(0).run(start, options, told);
  CHECK(told.history.back().rolled_back == 1);
  CHECK(same_flow(flow, solver(1'000'000).run(start, small)));

  // What is not carried from step to step is not carried into the second attempt either.
  for (bool TrainingOptions::*carry :
       {&TrainingOptions::carry_optimiser, &TrainingOptions::carry_dual}) {
    RunOptions plain = small;
    plain.training.*carry = false;
    options = plain, options.safeguards = {.retries = 1, .rate_factor = 1};
    CHECK(same_flow(solver(0).run(start, options), solver(1'000'000).run(start, plain)));
  }
}

TEST_CASE(
    "what an observer throws reaches its caller, also if it is the error of another run's step") {
  RunOptions options = small;
  options.safeguards.retries = 2;
  int told = 0;
  const auto observer = [&](const Progress&) {
    if (++told == 3) throw StepError(7, 1, "of another run", Fault::exploded);
  };
  CHECK(message_of<StepError>([&] { residual().run(start, options, observer); }) ==
        "wgf::JkoSolver: step 7, iteration 1: of another run");
  CHECK(told == 3);
}

TEST_CASE("what a user's function throws is not tried again") {
  struct Throws {
    std::shared_ptr<long> calls = std::make_shared<long>(0);
    int dim() const { return 2; }
    double log_density(const VectorXd&) const { return 0; }
    VectorXd gradient(const VectorXd&) const {
      ++*calls;
      throw std::runtime_error("not today");
    }
  };
  const Throws throws;
  RunOptions options = small;
  options.safeguards.retries = 5;
  const JkoSolver solver{kl(throws, Quadratic{}), ResidualMlp<16, 2>{}, Backward{0.2},
                         EigenBackend<float>{.threads = 1}};
  CHECK(ending(solver, options).fault == Fault::failed);
  CHECK(*throws.calls == 1);
}

TEST_CASE("a cloud that a step flattens is called collapsed, unless that is allowed") {
  // The target is a hundred-thousandth of the start wide, and the step is so long that it goes
  // there at once.
  const Gaussian narrow(VectorXd::Zero(2), 1e-12 * MatrixXd::Identity(2, 2));
  const JkoSolver solver{kl(narrow, Quadratic{}), Affine{}, Backward{1000},
                         EigenBackend<double>{.seed = 5, .threads = 1}};
  RunOptions options{.steps = 1,
                     .training = {.iterations = 3000,
                                  .map_rate = 1e-2,
                                  .dual_rate = 1e-2,
                                  .final_rate_fraction = 1e-5},
                     .safeguards = {.collapse = 1e-3}};
  const Ending end = ending(solver, options);
  CHECK(end.fault == Fault::collapsed);
  CHECK(end.kept == 0);
  CHECK(
      end.why ==
      "wgf::JkoSolver: step 1, iteration 6000: the particles have collapsed: in some direction the "
      "step shrinks their standard deviation to less than "
      "safeguards.collapse of what it was");
  options.safeguards.collapse = 0;
  CHECK(ending(solver, options).kept == -1);
}

TEST_CASE("dual networks that tell two laws apart with certainty are called saturated") {
  const auto solver = [](double distance) {
    const Particles others = (standard_normals(2, 1000, 3).array() + distance).matrix();
    return JkoSolver{divergence_to(others, JensenShannon{}, Mlp<16, 2>{}), ResidualMlp<16, 2>{},
                     Backward{0.01}, EigenBackend<double>{.seed = 5, .threads = 1}};
  };
  RunOptions options = small;
  options.training.iterations = 300, options.training.dual_rate = 1e-2;
  const Ending end = ending(solver(300), options);
  CHECK(end.fault == Fault::saturated);
  CHECK(end.kept == 0);
  CHECK(end.why.find("the dual networks are saturated: the root mean square of u is 2") !=
        std::string::npos);
  CHECK(ending(solver(1), options).kept == -1);
}

TEST_CASE(
    "a network that gives a power of the ratio is not saturated where the ratio is moderate") {
  // The network gives (P·|Ω|)², a hundred and more at the centre of a Gaussian in the box of its
  // samples; the log-ratio is 2.4 there.
  const JkoSolver solver{generalized_entropy(3, Dual<Mlp<32, 3>, VariationalBound>{}),
                         ResidualMlp<16, 2>{}, Backward{1},
                         EigenBackend<float>{.seed = 5, .threads = 1}};
  RunOptions options = small;
  options.steps = 1, options.training.iterations = 300, options.training.dual_rate = 1e-2,
  options.population.size = 20'000;
  CHECK(ending(solver, options).why.empty());
}
