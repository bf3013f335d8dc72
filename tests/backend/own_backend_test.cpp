// SPDX-License-Identifier: BSL-1.0
// A backend written outside the library, on the formulas of another one: it counts the passes over
// batches.
#include <wgf/backend/plain/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

#include <memory>

#include "../catch.hpp"

using namespace wgf;

namespace {
struct CountingRuntime : plain::Runtime<double> {
  CountingRuntime(std::uint64_t seed, std::shared_ptr<long> counter)
      : plain::Runtime<double>(seed), passes(std::move(counter)) {}
  void parallel(long n, auto&& f) const {
    ++*passes;
    plain::Runtime<double>::parallel(n, f);
  }
  std::shared_ptr<long> passes;
};
static_assert(Runtime<CountingRuntime>);

struct CountingBackend {
  using Scalar = double;
  std::uint64_t seed = 0;
  std::shared_ptr<long> passes = std::make_shared<long>(0);

  CountingRuntime start() const { return {seed, passes}; }
  CountingBackend precise() const { return *this; }
};
static_assert(BackendPolicy<CountingBackend>);
}  // namespace

TEST_CASE("a flow on a backend from outside is that of the backend it is made of") {
  const Gaussian target(Eigen::Vector2d(1, -0.5), Eigen::Matrix2d{{1.0, 0.4}, {0.4, 0.5}});
  const auto start = Gaussian::isotropic(2, 1.2);
  const RunOptions options{.steps = 2,
                           .training = {.iterations = 10, .dual_steps = 2, .batch = 50},
                           .population = {.size = 200}};
  const CountingBackend counting{.seed = 3};
  const auto on = [&](const auto& backend) {
    const JkoSolver solver{kl(target, Quadratic{}), ResidualMlp<16, 2, Silu>{},
                           Backward{.step_size = 0.2}, backend};
    return solver.run(start, options);
  };
  const auto flow = on(counting);
  const auto plain = on(PlainBackend<double>{.seed = 3});
  REQUIRE(flow.size() == 2);
  CHECK(flow.stages[1].parameters == plain.stages[1].parameters);
  const Particles x = start.sample(20, 1);
  CHECK(flow.push_with_log_density(x, flow.initial_log_density(x)).second ==
        plain.push_with_log_density(x, plain.initial_log_density(x)).second);
  // At least the map's pass, two fits of the dual network and the map's descent in each of the 20 +
  // 10 iterations: the first step has twice as many.
  CHECK(*counting.passes >= 30 * 4);
}
