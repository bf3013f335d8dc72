// SPDX-License-Identifier: BSL-1.0
// Running the solver: options, stopping, continuing, driving the loop.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

#include <functional>

#include "catch.hpp"
#include "support.hpp"

using namespace wgf;
using wgf::test::message_of;
using Invalid = std::invalid_argument;

namespace {
using Solver = JkoSolver<Functional<Entropy<Dual<Quadratic>>, Potential<Gaussian>>, Affine,
                         Backward, EigenBackend<double>>;
Solver make_solver(double step_size = 0.1, double inflation = 1,
                   EigenBackend<double> backend = {.seed = 1, .threads = 1}) {
  return {kl(Gaussian::isotropic(Eigen::VectorXd(Eigen::VectorXd::Ones(2)), 0.7),
             Dual<Quadratic>{.inflation = inflation}),
          Affine{}, Backward{.step_size = step_size}, backend};
}
// One type of observer for all of this: the step is compiled for each.
using Observer = std::function<bool(const Progress&)>;
const Observer none = [](const Progress&) { return true; };
template <class Initial>
Solver::Flow run(const Solver& solver, const Initial& initial, const RunOptions& options = {},
                 const Observer& observer = none) {
  return solver.run(initial, options, observer);
}

const RunOptions brief{.steps = 3,
                       .training = {.iterations = 20, .batch = 50, .first_step = 1},
                       .population = {.size = 500}};
}  // namespace

TEST_CASE("options that make no sense are named with their value") {
  const Gaussian start = Gaussian::isotropic(2, 1);
  const auto why = [&](const RunOptions& options) {
    return message_of<Invalid>([&] { run(make_solver(), start, options); });
  };
  CHECK(why({.training = {.batch = 0}}) ==
        "wgf::RunOptions: training.batch must be positive and at most 10^12, got 0");
  CHECK(why({.training = {.batch = -5}}) ==
        "wgf::RunOptions: training.batch must be positive and at most 10^12, got -5");
  CHECK(why({.population = {.size = 0}}) ==
        "wgf::RunOptions: population.size must be positive and at most 10^12, got 0");
  CHECK(why({.training = {.iterations = 600'000'000, .first_step = 4}}) ==
        "wgf::RunOptions: a step must not have more than 10^9 iterations, got 2400000000.000000");
  CHECK(why({.steps = -1}) == "wgf::RunOptions: steps must not be negative, got -1");
  CHECK(why({.training = {.iterations = 0}}) ==
        "wgf::RunOptions: training.iterations must be positive, got 0");
  CHECK(why({.training = {.dual_steps = 0}}) ==
        "wgf::RunOptions: training.dual_steps must be positive, got 0");
  CHECK(why({.training = {.map_rate = -1e-3}}) ==
        "wgf::RunOptions: training.map_rate must be positive, got -0.001000");
  CHECK(why({.training = {.dual_rate = 0}}) ==
        "wgf::RunOptions: training.dual_rate must be positive, got 0.000000");
  CHECK(why({.training = {.map_rate = std::nan("")}})
            .find("wgf::RunOptions: training.map_rate must be positive, got ") == 0);
  CHECK(why({.training = {.final_rate_fraction = 1.5}}) ==
        "wgf::RunOptions: training.final_rate_fraction must be in (0, 1], got 1.500000");
  CHECK(why({.training = {.tail_average = -0.5}}) ==
        "wgf::RunOptions: training.tail_average must be in [0, 1], got -0.500000");
  CHECK(why({.training = {.first_step = 0}}) ==
        "wgf::RunOptions: training.first_step must be positive, got 0.000000");
  CHECK(why({.population = {.refresh_every = -1}}) ==
        "wgf::RunOptions: population.refresh_every must not be negative, got -1");
  CHECK(why({.reports = 0}) == "wgf::RunOptions: reports must be positive, got 0");
  CHECK(why({.training = {.whiten = false, .common_random_numbers = true}}) ==
        "wgf::RunOptions: training.common_random_numbers needs training.whiten");

  CHECK(message_of<Invalid>([&] { run(make_solver(-0.1), start); }) ==
        "wgf::Backward: step_size must be positive, got -0.100000");
  CHECK(message_of<Invalid>([&] { run(make_solver(0), start); }) ==
        "wgf::Backward: step_size must be positive, got 0.000000");
  CHECK(message_of<Invalid>([&] { run(make_solver(0.1, 1, {.threads = -2}), start); }) ==
        "wgf::EigenBackend: threads must be positive, or 0 for all cores, got -2");
  CHECK(message_of<Invalid>([&] { run(make_solver(), Gaussian::isotropic(3, 1)); }) ==
        "wgf::JkoSolver: the functional has dimension 2, P_0 has 3");
  // Only a flow that is not Gaussian has a pool.
  CHECK(message_of<Invalid>([&] {
          run(make_solver(), UniformBox::cube(2, 1),
              {.training = {.batch = 100}, .population = {.size = 99}});
        }) == "wgf::RunOptions: population.size must hold at least a batch, got 99");
  CHECK(run(make_solver(), start,
            {.steps = 1,
             .training = {.iterations = 1, .batch = 100, .first_step = 1},
             .population = {.size = 99}})
            .size() == 1);
  CHECK(
      message_of<Invalid>([&] {
        run(make_solver(), UniformBox::cube(2, 1), {.training = {.common_random_numbers = true}});
      }) ==
      "wgf::RunOptions: training.common_random_numbers needs a Gaussian flow: an affine map and a "
      "Gaussian P_0");
}

TEST_CASE("no steps: the flow is P_0") {
  const auto flow = run(make_solver(), Gaussian::isotropic(2, 1.5), {.steps = 0});
  CHECK(flow.size() == 0);
  CHECK(flow.sample(10, 1) == Gaussian::isotropic(2, 1.5).sample(10, 1));
}

TEST_CASE("an observer that returns false stops the run, and the steps done so far stay") {
  const auto full = run(make_solver(), Gaussian::isotropic(2, 1), brief);
  const auto stopped_in = [&](int step, int iteration) {
    return run(make_solver(), Gaussian::isotropic(2, 1), brief, Observer([&](const Progress& p) {
                 return !(p.step == step && p.iteration >= iteration);
               }));
  };
  CHECK(stopped_in(1, 1).size() == 0);
  const auto two = stopped_in(3, 7);
  REQUIRE(two.size() == 2);
  for (std::size_t k = 0; k < 2; ++k) CHECK(two.stages[k].parameters == full.stages[k].parameters);
  CHECK(stopped_in(2, 20).size() == 2);  // told at its end, the step is done
  CHECK(stopped_in(9, 1).size() == 3);
}

TEST_CASE("driving the loop by hand is run()") {
  const Solver solver = make_solver();
  const auto whole = run(solver, Gaussian::isotropic(2, 1), brief);
  auto state = solver.start(Gaussian::isotropic(2, 1), brief);
  CHECK(state.flow().size() == 0);
  for (int k = 0; k < 3; ++k) {
    CHECK(solver.step(state, none));
    CHECK(state.flow().size() == k + 1);
  }
  for (std::size_t k = 0; k < 3; ++k)
    CHECK(state.flow().stages[k].parameters == whole.stages[k].parameters);
  CHECK(state.particles().cols() == brief.population.size);
  // It may go on beyond what the options asked for.
  CHECK(solver.step(state, none));
  CHECK(state.flow().size() == 4);
}

TEST_CASE("a run continues from a flow") {
  const Solver solver = make_solver();
  std::vector<Progress> history;
  const auto first = run(solver, Gaussian::isotropic(2, 1), brief);
  RunOptions options = brief;
  options.steps = 2;
  const auto second =
      run(solver, first, options, [&](const Progress& p) { return history.push_back(p), true; });
  REQUIRE(second.size() == 5);
  for (std::size_t k = 0; k < 3; ++k)
    CHECK(second.stages[k].parameters == first.stages[k].parameters);
  CHECK(second.step_size == first.step_size);
  CHECK(history.front().step == 4);
  CHECK(history.front().steps == 5);
  CHECK(history.back().step == 5);
  CHECK(solver.start(first, options).flow().size() == 3);
  // With other random numbers: not the particles of the first run again.
  CHECK(solver.start(first, options).particles() !=
        first.push(solver.start(Gaussian::isotropic(2, 1), options).particles()));
}

TEST_CASE("a flow with another step size is not continued") {
  const auto flow =
      run(make_solver(0.1), Gaussian::isotropic(2, 1), {.steps = 1, .training = {.iterations = 5}});
  CHECK(message_of<Invalid>([&] { run(make_solver(0.3), flow); }) ==
        "wgf::JkoSolver: the flow to continue has step size 0.100000, the scheme 0.300000");
}

TEST_CASE("seeds make the run") {
  const auto seeded = [](std::uint64_t seed) {
    return run(make_solver(0.1, 1, {.seed = seed, .threads = 1}), Gaussian::isotropic(2, 1), brief)
        .stages.back()
        .parameters;
  };
  CHECK(seeded(1) == seeded(1));
  CHECK(seeded(1) != seeded(2));
}

TEST_CASE("a map that explodes is a step that failed, with the flow so far") {
  // In one iteration the parameters get so large that P_1's covariance overflows; in the second,
  // the points.
  const int iterations = GENERATE(1, 5);
  RunOptions options = brief;
  options.training.map_rate = 1e200, options.training.iterations = iterations,
  options.training.tail_average = 0;
  bool caught = false;
  try {
    run(make_solver(), Gaussian::isotropic(2, 1), options);
  } catch (const FlowError<Solver::Flow>& e) {
    caught = true;
    CHECK(e.step() == 1);
    CHECK(e.flow().size() == 0);
  } catch (const std::exception& e) {
    FAIL_CHECK("another exception: " << e.what());
  }
  CHECK(caught);
}
