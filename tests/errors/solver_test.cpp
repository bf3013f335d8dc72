// SPDX-License-Identifier: BSL-1.0
#include <wgf/functional/tempered.hpp>
#include <wgf/solver/checkpoint.hpp>

#include "files.hpp"
#include "solver.hpp"

using namespace wgf;
using Eigen::VectorXd;
using namespace wgf::test;

namespace {
struct Nowhere {  // a measure of the user's own without a dimension
  int dim() const { return 0; }
  Particles sample(long n, std::uint64_t) const { return Particles(0, n); }
};
struct Everywhere {  // log-density and gradient at every point alike
  double value = 0;
  VectorXd derivative = VectorXd::Zero(2);
  int dim() const { return 2; }
  double log_density(const VectorXd&) const { return value; }
  VectorXd gradient(const VectorXd&) const { return derivative; }
};
auto of_target(Everywhere target) {
  return JkoSolver{kl(target, Quadratic{}), ResidualMlp<16, 2>{}, Backward{}, backend};
}
auto pairs() {
  return JkoSolver{interaction(QuadraticKernel{}), ResidualMlp<16, 2>{}, Backward{}, backend};
}
auto boxed() {
  return JkoSolver{generalized_entropy(2, Mlp<16, 2>{}), Affine{}, Backward{}, backend};
}
CustomMeasure custom(long rows) {
  return {2, [rows](long n, std::uint64_t) -> Particles { return Particles::Zero(rows, n); }};
}
const RunOptions small_pool{.training = {.batch = 10}, .population = {.size = 5}},
    one{.training = {.batch = 1}, .population = {.size = 5}},
    coupled{.training = {.batch = 10, .common_random_numbers = true}},
    coupled_in_x{.training = {.batch = 10, .whiten = false, .common_random_numbers = true}};
}  // namespace

TEST_CASE("errors of start and run") {
  REFUSED(std::invalid_argument, "wgf::RunOptions: steps must not be negative, got -1",
          solver().run(normal, {.steps = -1}));
  REFUSED(std::invalid_argument, "wgf::Backward: step_size must be positive, got -1.000000",
          solver(ResidualMlp<16, 2>{}, Backward{.step_size = -1}).run(normal, tiny));
  REFUSED(std::invalid_argument, "wgf::ResidualMlp: input_scale must be positive, got 0.000000",
          solver(ResidualMlp<16, 2>{.input_scale = 0}).run(normal, tiny));
  REFUSED(std::invalid_argument, "wgf::JkoSolver: the functional has dimension 2, P_0 has 3",
          solver().run(Gaussian::isotropic(3, 1), tiny));
  REFUSED(std::invalid_argument, "wgf::Flow: P_0 must have at least one dimension, got 0",
          solver().run(Nowhere{}, tiny));
  REFUSED(std::invalid_argument, "wgf::Flow: P_0's sample must be 2 x 20, got 3 x 20",
          solver().run(custom(3), tiny));
  REFUSED(std::logic_error,
          "wgf::Flow: P_0 was a measure of the user's own, which a file does not keep: assign "
          "flow.initial, or push particles",
          solver().run(CustomMeasure{2, {}}, tiny));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: population.size must hold at least a batch, got 5",
          solver().run(normal, small_pool));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: population.stratified does not apply to a Gaussian flow (an affine map "
          "and a Gaussian P_0), which has no particles",
          solver(Affine{}).run(normal, {.population = {.stratified = true}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: population.points does not apply to a Gaussian flow (an affine map and "
          "a Gaussian P_0), which has no particles",
          solver(Affine{}).run(normal, {.population = {.points = PointSet::quasi_random}}));
  REFUSED(std::invalid_argument,
          "wgf::Flow: P_0 has no quasi_random(n, seed), which population.points = "
          "PointSet::quasi_random needs",
          solver().run(custom(2), {.population = {.points = PointSet::quasi_random}}));
  REFUSED(std::invalid_argument,
          "wgf::interaction: a batch must have at least two particles, got 1",
          pairs().run(normal, one));
  REFUSED(
      std::invalid_argument,
      "wgf::RunOptions: training.common_random_numbers needs a Gaussian flow: an affine map and a "
      "Gaussian P_0",
      solver().run(normal, coupled));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: training.common_random_numbers needs training.whiten",
          solver(Affine{}).run(normal, coupled_in_x));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: training.common_random_numbers needs Gaussian references, as the "
          "entropy has",
          boxed().run(normal, coupled));
}

TEST_CASE("errors of a run that goes on") {
  const auto flow = solver().run(normal, tiny);
  REFUSED(std::invalid_argument,
          "wgf::JkoSolver: the flow to continue has the map ResidualMlp<16, 2, PRelu>{input_scale "
          "= 1, affine = 0}, the solver ResidualMlp<16, 2, "
          "PRelu>{input_scale = 2, affine = 0}",
          solver(ResidualMlp<16, 2>{.input_scale = 2}).run(flow, tiny));
  REFUSED(std::invalid_argument,
          "wgf::JkoSolver: the flow to continue has step size 0.100000, the scheme 0.200000",
          solver(ResidualMlp<16, 2>{}, Backward{.step_size = 0.2}).run(flow, tiny));
}

TEST_CASE("errors of steps") {
  REFUSED(StepError, "wgf::JkoSolver: step 1, iteration 0: the particles are not finite",
          solver().run(CustomMeasure{2,
                                     [](long n, std::uint64_t) -> Particles {
                                       return Particles::Constant(2, n, NaN);
                                     }},
                       tiny));
  REFUSED(
      StepError,
      "wgf::JkoSolver: step 1, iteration 0: the particles have collapsed: their covariance is not "
      "positive definite",
      solver().run(Empirical(Particles::Ones(2, 5)), tiny));
  REFUSED(
      StepError,
      "wgf::JkoSolver: step 1, iteration 1: the gradient at a point must have 2 coordinates, got 1",
      of_target({.derivative = VectorXd::Zero(1)}).run(normal, tiny));
  const auto begins = [](const Everywhere& target) {
    const auto what = message_of<StepError>([&] { of_target(target).run(normal, tiny); });
    return what.substr(0, what.find(" at x = "));
  };
  CHECK(begins({.value = NaN}) ==
        "wgf::JkoSolver: step 1, iteration 1: the target's log-density is nan");
  CHECK(begins({.derivative = VectorXd::Constant(2, inf)}) ==
        "wgf::JkoSolver: step 1, iteration 1: the target's log-density has a gradient that is not "
        "finite");
  CHECK(begins({.derivative = VectorXd::Constant(2, 1e200)}) ==
        "wgf::JkoSolver: step 1, iteration 1: the target's log-density has a gradient too large "
        "for the backend's numbers");
}

TEST_CASE("errors of dual_log_density") {
  auto state = solver().start(normal, tiny);
  REFUSED(std::logic_error, "wgf::JkoSolver: dual_log_density needs a step to be done",
          state.dual_log_density(Particles::Zero(2, 1)));
  REFUSED(std::logic_error, "wgf::JkoSolver: dual_gaps needs a step to be done", state.dual_gaps());
  solver().step(state);
  REFUSED(std::invalid_argument, "wgf::JkoSolver: dual_gaps needs at least 2 batches, got 1",
          state.dual_gaps(1));
  REFUSED(std::invalid_argument,
          "wgf::JkoSolver: dual_log_density was given points of dimension 3, the flow has 2",
          state.dual_log_density(Particles::Zero(3, 1)));
}

TEST_CASE("errors of checkpoints") {
  const OwnFolder here;
  REFUSED(FileError, "wgf::Checkpoint: cannot write .: it is a folder", Checkpoint("."));
  REFUSED(FileError, "wgf::JkoSolver::resume: run.ckpt: cannot be read: No such file or directory",
          solver().resume("run.ckpt", normal, tiny));
  wgf::test::write("run.ckpt", "some text");
  REFUSED(FileError, "wgf::JkoSolver::resume: run.ckpt: this is not a file of a wgf run",
          solver().resume("run.ckpt", normal, tiny));
  auto state = solver().start(normal, tiny);
  state.save("run.ckpt");
  const auto whole = wgf::test::read("run.ckpt");
  wgf::test::write("cut.ckpt", whole.substr(0, whole.size() / 2));
  REFUSED(
      FileError,
      "wgf::JkoSolver::resume: cut.ckpt: the checksum is wrong: the file is damaged or truncated",
      solver().resume("cut.ckpt", normal, tiny));
  REFUSED(FileError, "wgf::save: cannot write no/where: No such file or directory",
          (state.save("no/where"), 0));
  const auto other = message_of<FileError>(
      [&] { solver(ResidualMlp<16, 2>{.input_scale = 2}).resume("run.ckpt", normal, tiny); });
  CHECK(other.find("wgf::JkoSolver::resume: run.ckpt: it was saved by a run with another map: ") ==
        0);
}

TEST_CASE("errors of solvers with tempered targets") {
  const Gaussian normal = Gaussian::isotropic(2, 1);
  const JkoSolver other{kl(tempered(normal, Gaussian::isotropic(2, 3), {0.5, 1}, 0.1), Quadratic{}),
                        Affine{}, Backward{.step_size = 0.2}, EigenBackend<double>{}};
  REFUSED(std::invalid_argument,
          "wgf::JkoSolver: the target was tempered for steps of size 0.100000, the scheme has step "
          "size 0.200000",
          other.start(normal));
}
