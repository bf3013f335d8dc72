// SPDX-License-Identifier: BSL-1.0
// Runs that fail: something non-finite stops the step and is named; the steps before it are kept.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>
#include <wgf/solver/observers.hpp>

#include <atomic>
#include <functional>
#include <limits>
#include <memory>

#include "catch.hpp"
#include "support.hpp"

using namespace wgf;
using Eigen::VectorXd;
using wgf::test::message_of;

namespace {
// One type of target for all of this: functions.
struct Functions {
  std::function<double(const VectorXd&)> value;
  std::function<VectorXd(const VectorXd&)> slope;
  int dim() const { return 2; }
  double log_density(const VectorXd& x) const { return value(x); }
  VectorXd gradient(const VectorXd& x) const { return slope(x); }
};
const double nan_ = std::numeric_limits<double>::quiet_NaN(),
             infinity = std::numeric_limits<double>::infinity();
double normal(const VectorXd& x) { return -0.5 * x.squaredNorm(); }
VectorXd pull(const VectorXd& x) { return -x; }

using Solver = JkoSolver<Functional<Entropy<Dual<Quadratic>>, Potential<Functions>>,
                         ResidualMlp<16, 2>, Backward, EigenBackend<float>>;
Solver solver(Functions target, int threads = 1) {
  return {
      kl(std::move(target), Quadratic{}), {}, {.step_size = 0.1}, {.seed = 1, .threads = threads}};
}
const Gaussian start = Gaussian::isotropic(2, 1);

struct Failure {
  int step = 0, iteration = 0, size = -1;
  std::string message;
  std::vector<std::vector<float>> parameters;
};
Failure failure(const Solver& s, const RunOptions& options) {
  try {
    s.run(start, options);
  } catch (const FlowError<Solver::Flow>& e) {
    Failure f{e.step(), e.iteration(), e.flow().size(), e.what(), {}};
    for (const auto& stage : e.flow().stages) f.parameters.push_back(stage.parameters);
    return f;
  }
  return {};
}
}  // namespace

TEST_CASE(
    "a log-density that becomes NaN in the third step: the error says where, the flow has two "
    "steps") {
  // 10 iterations of 20 points, a gradient a point: the 481st call is in step 3, iteration 5.
  const auto calls = std::make_shared<std::atomic<long>>(0);
  const auto broken = [calls] { return *calls > 480; };
  const RunOptions options{.steps = 5,
                           .training = {.iterations = 10, .batch = 20, .first_step = 1},
                           .population = {.size = 200}};
  const Failure f =
      failure(solver({[=](const VectorXd& x) { return broken() ? nan_ : normal(x); },
                      [=](const VectorXd& x) {
                        ++*calls;
                        return broken() ? VectorXd(VectorXd::Constant(2, nan_)) : pull(x);
                      }}),
              options);
  CHECK(f.step == 3);
  CHECK(f.iteration == 5);
  REQUIRE(f.size == 2);
  const std::string expected =
      "wgf::JkoSolver: step 3, iteration 5: the target's log-density is nan at x = (";
  CHECK(f.message.substr(0, expected.size()) == expected);
  // The two steps are those of a run without the failure.
  RunOptions two = options;
  two.steps = 2;
  const auto good = solver({normal, pull}).run(start, two);
  CHECK(f.parameters[0] == good.stages[0].parameters);
  CHECK(f.parameters[1] == good.stages[1].parameters);
}

TEST_CASE("the first step can fail: the flow is empty") {
  const RunOptions options{
      .steps = 2, .training = {.iterations = 10, .batch = 500}, .population = {.size = 1000}};
  for (const int threads : {1, 3}) {
    // Outside of a disc the target is zero, with a gradient that is NaN there.
    const auto outside = [](const VectorXd& x) { return x.norm() > 2; };
    Failure f =
        failure(solver({[=](const VectorXd& x) { return outside(x) ? -infinity : normal(x); },
                        [=](const VectorXd& x) {
                          return outside(x) ? VectorXd(VectorXd::Constant(2, nan_)) : pull(x);
                        }},
                       threads),
                options);
    CHECK(f.step == 1);
    CHECK(f.iteration == 1);
    CHECK(f.size == 0);
    CHECK(f.message.find(
              "wgf::JkoSolver: step 1, iteration 1: the target's log-density is -inf at x = (") ==
          0);
    // The point that it names is one.
    double x = 0, y = 0;
    REQUIRE(std::sscanf(f.message.c_str() + f.message.find("x = ("), "x = (%lf, %lf)", &x, &y) ==
            2);
    CHECK(std::hypot(x, y) > 1.99);

    f = failure(solver({normal,
                        [=](const VectorXd& at) {
                          return outside(at) ? VectorXd(VectorXd::Constant(2, infinity)) : pull(at);
                        }},
                       threads),
                options);
    CHECK(f.message.find("wgf::JkoSolver: step 1, iteration 1: the target's log-density has a "
                         "gradient that is not finite at x = (") == 0);

    f = failure(solver({normal,
                        [=](const VectorXd& at) {
                          return outside(at) ? VectorXd(VectorXd::Constant(2, 1e60)) : pull(at);
                        }},
                       threads),
                options);
    CHECK(f.message.find("the target's log-density has a gradient too large for the backend's "
                         "numbers at x = (") != std::string::npos);
  }
}

TEST_CASE("a step that failed leaves the state's flow as it was") {
  const auto bad = std::make_shared<std::atomic<bool>>(false);
  const Solver s = solver({normal, [=](const VectorXd& x) {
                             return *bad ? VectorXd(VectorXd::Constant(2, nan_)) : pull(x);
                           }});
  auto state =
      s.start(start, {.training = {.iterations = 10, .batch = 20}, .population = {.size = 200}});
  REQUIRE(s.step(state));
  const Particles particles = state.particles();
  *bad = true;
  CHECK(message_of<StepError>([&] {
          s.step(state);
        }).find("wgf::JkoSolver: step 2, iteration 1: ") == 0);
  CHECK(state.flow().size() == 1);
  CHECK(state.particles() == particles);
  *bad = false;
  CHECK(s.step(state));  // nothing is left of the failure
  CHECK(state.flow().size() == 2);
}

TEST_CASE("gradients whose squares are no numbers fail the step, and nothing of them stays") {
  const auto size = std::make_shared<std::atomic<float>>(1.0f);
  const Solver s = solver(
      {normal, [=](const VectorXd& x) { return VectorXd(-static_cast<double>(*size) * x); }});
  const RunOptions options{.training = {.iterations = 10, .batch = 20, .first_step = 1},
                           .population = {.size = 200}};
  auto state = s.start(start, options);
  for (const float huge : {3e38f, 1e30f, 1e20f}) {
    *size = huge;
    const std::string why = message_of<StepError>([&] { s.step(state); });
    CHECK(why.find("wgf::JkoSolver: step 1, iteration 1: the target's log-density has a gradient "
                   "too large for the backend's numbers") == 0);
  }
  *size = 1;
  CHECK(s.step(state));
  // As if nothing had happened: the same first step as that of a solver which never failed, but for
  // its random numbers.
  CHECK(state.flow().size() == 1);
  CHECK((state.particles() - s.start(start, options).particles()).norm() > 1e-3);  // the map moves
}

TEST_CASE("a log-density that is not finite where its gradient is stops the step too") {
  const RunOptions options{
      .steps = 2, .training = {.iterations = 10, .batch = 200}, .population = {.size = 200}};
  const auto half = [](const VectorXd& x) { return x[0] > 0 ? normal(x) : nan_; };
  const Failure f = failure(solver({half, pull}), options);
  CHECK(f.step == 1);
  CHECK(f.size == 0);
  CHECK(f.message.find("the target's log-density is nan at x = (-") != std::string::npos);
}

TEST_CASE(
    "a target that throws where its gradient is not finite: its reason, and the flow so far") {
  const auto calls = std::make_shared<std::atomic<long>>(0);
  const Failure f =
      failure(solver({[=](const VectorXd& x) -> double {
                        if (*calls > 480) throw std::domain_error("outside the support");
                        return normal(x);
                      },
                      [=](const VectorXd& x) {
                        return ++*calls > 480 ? VectorXd(VectorXd::Constant(2, nan_)) : pull(x);
                      }}),
              {.steps = 5,
               .training = {.iterations = 10, .batch = 20, .first_step = 1},
               .population = {.size = 200}});
  CHECK(f.message == "wgf::JkoSolver: step 3, iteration 5: outside the support");
  CHECK(f.size == 2);
}

TEST_CASE("a gradient of another length is refused") {
  const Failure f = failure(solver({normal, [](const VectorXd& x) { return VectorXd(x.head(1)); }}),
                            {.steps = 1, .training = {.batch = 20}, .population = {.size = 200}});
  CHECK(f.message ==
        "wgf::JkoSolver: step 1, iteration 1: the gradient at a point must have 2 coordinates, got "
        "1");
}

TEST_CASE("a map that explodes in a step's last update is not kept") {
  const Solver s = solver({normal, pull});
  const RunOptions options{.steps = 1,
                           .training = {.iterations = 1,
                                        .batch = 20,
                                        .map_rate = 1e38,
                                        .tail_average = 0,
                                        .first_step = 1},
                           .population = {.size = 200}};
  auto state = s.start(start, options);
  const Particles before = state.particles();
  CHECK(message_of<StepError>([&] { s.step(state); }) ==
        "wgf::JkoSolver: step 1, iteration 1: the map sends particles to where they are not "
        "finite; a smaller map_rate may help");
  CHECK(state.flow().size() == 0);
  CHECK(state.particles() == before);
}

TEST_CASE("whatever else is thrown leaves the flow as it was") {
  const auto bad = std::make_shared<std::atomic<bool>>(false);
  const Solver s = solver({normal, [=](const VectorXd& x) -> VectorXd {
                             if (*bad) throw 42;
                             return pull(x);
                           }});
  auto state =
      s.start(start, {.training = {.iterations = 10, .batch = 20}, .population = {.size = 200}});
  REQUIRE(s.step(state));
  *bad = true;
  CHECK_THROWS_AS(s.step(state), int);
  *bad = false;
  CHECK(s.step(state));
  CHECK(state.flow().size() == 2);
}

TEST_CASE("rates that blow the networks up are named as the cause") {
  const Failure f = failure(solver({normal, pull}),
                            {.steps = 2,
                             .training = {.iterations = 200, .batch = 20, .map_rate = 1e150},
                             .population = {.size = 200}});
  CHECK(f.step == 1);
  CHECK(f.size == 0);
  CHECK(f.message.find("the networks' parameters are no longer finite; a smaller map_rate or "
                       "dual_rate may help") != std::string::npos);
}

TEST_CASE("what a target throws ends the step with its reason") {
  for (const int threads : {1, 3}) {
    const Solver s =
        solver({normal,
                [](const VectorXd&) -> VectorXd { throw std::runtime_error("no gradient today"); }},
               threads);
    CHECK(message_of<StepError>([&] {
            s.run(start, {.training = {.batch = 1000}, .population = {.size = 1000}});
          }) == "wgf::JkoSolver: step 1, iteration 1: no gradient today");
  }
}

TEST_CASE("a cloud without volume, or not finite, is named") {
  const Solver s = solver({normal, pull});
  const RunOptions options{
      .steps = 1, .training = {.iterations = 2, .batch = 10}, .population = {.size = 20}};
  CHECK(
      message_of<StepError>([&] { s.run(Empirical(Particles::Ones(2, 5)), options); }) ==
      "wgf::JkoSolver: step 1, iteration 0: the particles have collapsed: their covariance is not "
      "positive definite");
  const CustomMeasure nowhere{
      2, [](long n, std::uint64_t) -> Particles { return Particles::Constant(2, n, nan_); }};
  CHECK(message_of<StepError>([&] { s.run(nowhere, options); }) ==
        "wgf::JkoSolver: step 1, iteration 0: the particles are not finite");
}

TEST_CASE("networks with numbers that make no sense are refused") {
  const auto why = [](auto functional, ResidualMlp<16, 2> map) {
    return message_of<std::invalid_argument>([&] {
      JkoSolver{functional, map, Backward{}, EigenBackend<double>{.threads = 1}}.start(
          start, {.population = {.size = 100}});
    });
  };
  const auto f = kl(Functions{normal, pull}, Quadratic{});
  CHECK(why(f, {.input_scale = 0}) ==
        "wgf::ResidualMlp: input_scale must be positive, got 0.000000");
  CHECK(why(f, {.input_scale = -1}) ==
        "wgf::ResidualMlp: input_scale must be positive, got -1.000000");
  CHECK(why(f, {.input_scale = infinity}) ==
        "wgf::ResidualMlp: input_scale must be positive, got inf");
}
