// SPDX-License-Identifier: BSL-1.0
#include <climits>

#include <wgf/network/icnn.hpp>
#include <wgf/sampling/sample.hpp>
#include <wgf/scheme/adaptive.hpp>
#include <wgf/scheme/corrected.hpp>
#include <wgf/scheme/forward_backward.hpp>
#include <wgf/scheme/midpoint.hpp>
#include <wgf/scheme/reweighted.hpp>

#include "solver.hpp"

using namespace wgf;
using wgf::test::NaN, wgf::test::inf;

namespace {
int check(const RunOptions& options) { return options.check(), 0; }
template <class Policy>
int check(const Policy& policy) {
  return policy.check(), 0;
}
}  // namespace

TEST_CASE("errors of RunOptions") {
  REFUSED(std::invalid_argument, "wgf::RunOptions: steps must not be negative, got -1",
          check({.steps = -1}));
  REFUSED(std::invalid_argument, "wgf::RunOptions: training.iterations must be positive, got 0",
          check({.training = {.iterations = 0}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: a step must not have more than 10^9 iterations, got 4294967294.000000",
          check({.training = {.iterations = std::numeric_limits<int>::max()}}));
  REFUSED(std::invalid_argument, "wgf::RunOptions: training.dual_steps must be positive, got 0",
          check({.training = {.dual_steps = 0}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: training.batch must be positive and at most 10^12, got 0",
          check({.training = {.batch = 0}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: training.map_rate must be positive, got 0.000000",
          check({.training = {.map_rate = 0}}));
  REFUSED(std::invalid_argument, "wgf::RunOptions: training.dual_rate must be positive, got inf",
          check({.training = {.dual_rate = inf}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: training.final_rate_fraction must be in (0, 1], got 0.000000",
          check({.training = {.final_rate_fraction = 0}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: training.tail_average must be in [0, 1], got nan",
          check({.training = {.tail_average = NaN}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: training.first_step must be positive, got -1.000000",
          check({.training = {.first_step = -1}}));
  REFUSED(std::invalid_argument, "wgf::Adam: beta1 must be in [0, 1), got 1.000000",
          check(Adam{.beta1 = 1}));
  REFUSED(std::invalid_argument, "wgf::Adam: beta2 must be in [0, 1), got -0.100000",
          check(Adam{.beta2 = -0.1}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: population.size must be positive and at most 10^12, got 0",
          check({.population = {.size = 0}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: population.size must be positive and at most 10^12, got "
          "9223372036854775807",
          check({.population = {.size = LONG_MAX}}));
  REFUSED(
      std::invalid_argument,
      "wgf::RunOptions: training.batch must be positive and at most 10^12, got 9223372036854775807",
      check({.training = {.batch = LONG_MAX}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: population.points must be random or quasi_random, got 7",
          check({.population = {.points = PointSet(7)}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: population.refresh_every must not be negative, got -1",
          check({.population = {.refresh_every = -1}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: population.forward_samples must be positive, got 0",
          check({.population = {.forward_samples = 0}}));
  REFUSED(std::invalid_argument, "wgf::RunOptions: reports must be positive, got 0",
          check({.reports = 0}));
  REFUSED(std::invalid_argument, "wgf::RunOptions: safeguards.retries must not be negative, got -1",
          check({.safeguards = {.retries = -1}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: safeguards.rate_factor must be in (0, 1], got 0.000000",
          check({.safeguards = {.rate_factor = 0}}));
  REFUSED(std::invalid_argument, "wgf::RunOptions: safeguards.explosion must be positive, got nan",
          check({.safeguards = {.explosion = NaN}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: safeguards.collapse must be in [0, 1), got 1.000000",
          check({.safeguards = {.collapse = 1}}));
  REFUSED(std::invalid_argument,
          "wgf::RunOptions: safeguards.saturation must be positive, got 0.000000",
          check({.safeguards = {.saturation = 0}}));
}

TEST_CASE("errors of schemes") {
  REFUSED(std::invalid_argument, "wgf::Backward: step_size must be positive, got 0.000000",
          check(Backward{.step_size = 0}));
  REFUSED(std::invalid_argument, "wgf::Backward: step_size must be positive, got nan",
          check(Backward{.step_size = NaN}));
  REFUSED(std::invalid_argument, "wgf::ForwardBackward: step_size must be positive, got -1.000000",
          check(ForwardBackward{.step_size = -1}));
  REFUSED(std::invalid_argument, "wgf::Forward: step_size must be positive, got inf",
          check(Forward{.step_size = inf}));
  REFUSED(std::invalid_argument, "wgf::Midpoint: step_size must be positive, got 0.000000",
          check(Midpoint{.step_size = 0}));
  REFUSED(std::invalid_argument, "wgf::Adaptive: step_size must be positive, got inf",
          check(Adaptive{.step_size = inf}));
  REFUSED(std::invalid_argument, "wgf::Adaptive: tolerance must be positive, got 0.000000",
          check(Adaptive{.tolerance = 0}));
  REFUSED(
      std::invalid_argument,
      "wgf::Adaptive: min_step must be at most step_size, or 0 for a hundredth of it, got 1.000000",
      check(Adaptive{.min_step = 1}));
  REFUSED(std::invalid_argument,
          "wgf::Adaptive: max_step must be at least step_size, or 0 for a hundred times it, got "
          "0.010000",
          check(Adaptive{.max_step = 0.01}));
  REFUSED(std::invalid_argument, "wgf::Adaptive: until must be positive, got nan",
          check(Adaptive{.until = NaN}));
  REFUSED(std::invalid_argument, "wgf::Corrected: step_size must be positive, got 0.000000",
          check(Corrected<>{.step_size = 0}));
  REFUSED(std::invalid_argument, "wgf::Corrected: growth must be positive, got 0.000000",
          check(Corrected<>{.growth = 0}));
  REFUSED(std::invalid_argument, "wgf::Corrected: rejections must not be negative, got -1.000000",
          check(Corrected<>{.rejections = -1}));
  REFUSED(std::invalid_argument, "wgf::Corrected: rejected must be between 0 and 1, got 0.000000",
          check(Corrected<>{.rejected = 0}));
  REFUSED(std::invalid_argument, "wgf::Corrected: rejected must be between 0 and 1, got 1.000000",
          check(Corrected<>{.rejected = 1}));
  REFUSED(std::invalid_argument, "wgf::Corrected: without_map must not be negative, got -1.000000",
          check(Corrected<>{.without_map = -1}));
  REFUSED(std::invalid_argument, "wgf::Corrected: maps must not be negative, got -1.000000",
          check(Corrected<>{.maps = -1}));
  REFUSED(std::invalid_argument, "wgf::Reweighted: step_size must be positive, got 0.000000",
          check(Reweighted<>{.step_size = 0}));
  REFUSED(std::invalid_argument, "wgf::Reweighted: maps must not be negative, got -1",
          check(Reweighted<>{.maps = -1}));
  REFUSED(std::invalid_argument, "wgf::Mala: moves must be at least 1, got 0",
          check(Reweighted<>{.move = Mala{.moves = 0}}));
}

TEST_CASE("errors of networks' specifications") {
  REFUSED(std::invalid_argument, "wgf::Mlp: dropout must be in [0, 1), got 1.000000",
          check(Mlp<16, 2>{.dropout = 1}));
  REFUSED(std::invalid_argument, "wgf::Mlp: input_scale must be positive, got 0.000000",
          check(Mlp<16, 2>{.input_scale = 0}));
  REFUSED(std::invalid_argument, "wgf::ResidualMlp: input_scale must be positive, got inf",
          check(ResidualMlp<16, 2>{.input_scale = inf}));
  REFUSED(std::invalid_argument, "wgf::ResidualMlp: input_scale must be positive, got nan",
          check(DeepLinear<16, 2>{.input_scale = NaN}));
  REFUSED(std::invalid_argument, "wgf::ResidualMlp: a deep linear map is affine already",
          check(DeepLinear<16, 2>{.affine = true}));
  REFUSED(std::invalid_argument,
          "wgf::IcnnGradient: strong_convexity must be in (0, 1), got 1.000000",
          check(IcnnGradient<16, 2>{.strong_convexity = 1}));
  REFUSED(std::invalid_argument, "wgf::IcnnGradient: input_scale must be positive, got -1.000000",
          check(IcnnGradient<16, 2>{.input_scale = -1}));
}

TEST_CASE("errors of backends") {
  REFUSED(std::invalid_argument,
          "wgf::EigenBackend: threads must be positive, or 0 for all cores, got -1",
          EigenBackend<float>{.threads = -1}.start());
  REFUSED(std::invalid_argument, "wgf::EigenBackend: threads must be at most 1024, got 2147483647",
          EigenBackend<float>{.threads = std::numeric_limits<int>::max()}.start());
  // More points than bytes can be counted of.
  const auto runtime = test::backend.start();
  CHECK_THROWS_AS(runtime.points(2, std::numeric_limits<long>::max()), std::bad_alloc);
  CHECK_THROWS_AS(runtime.points(2, std::numeric_limits<long>::max() / 64), std::bad_alloc);
  CHECK_THROWS_AS(runtime.points(2, -1), std::bad_alloc);
}

TEST_CASE("errors of SampleOptions") {
  REFUSED(std::invalid_argument, "wgf::SampleOptions: budget must be positive, got 0.000000",
          check(SampleOptions{.budget = 0}));
  REFUSED(std::invalid_argument, "wgf::SampleOptions: ess must be between 0 and 1, got 1.000000",
          check(SampleOptions{.ess = 1}));
  REFUSED(std::invalid_argument,
          "wgf::SampleOptions: population must be at least 1000, got 10.000000",
          check(SampleOptions{.population = 10}));
  REFUSED(std::invalid_argument, "wgf::SampleOptions: pilot must be at least 100, got 1.000000",
          check(SampleOptions{.pilot = 1}));
  REFUSED(std::invalid_argument,
          "wgf::SampleOptions: pilot must be at least four times the dimension, got 100.000000",
          SampleOptions{.pilot = 100}.check(30));
}
TEST_CASE("errors of rejections") {
  const Eigen::VectorXd none = Eigen::VectorXd::Constant(3, -inf);
  REFUSED(std::runtime_error, "the target's density is zero, or infinite, at all particles",
          detail::rejection_of(none, 0.2));
  const Gaussian wide = Gaussian::isotropic(1, 1);
  struct Nowhere {
    int dim() const { return 1; }
    double log_density(const Eigen::VectorXd&) const { return -inf; }
    Eigen::VectorXd gradient(const Eigen::VectorXd& x) const { return 0 * x; }
  } nowhere;
  detail::Cloud cloud{wide.sample(10, 1), Eigen::VectorXd::Zero(10)};
  Reweighting r;
  REFUSED(std::runtime_error, "wgf::Reweighted: the target's density is zero at all particles",
          detail::reweight(nowhere, r, cloud, 0, 1, 1));
}
