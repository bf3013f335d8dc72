// SPDX-License-Identifier: BSL-1.0
// wgf::sample on targets with exact values: log Z, masses of modes and moments, in several units;
// and what it says of a target that it cannot sample.
#include <wgf/exact/targets.hpp>
#include <wgf/metric/energy_distance.hpp>
#include <wgf/metric/mode_masses.hpp>
#include <wgf/sampling/sample.hpp>

#include "../catch.hpp"

using namespace wgf;
using Eigen::VectorXd;

namespace {
/// A mixture whatever its units: one type of target keeps the test's compilation short.
struct Scaled {
  GaussianMixture mixture;
  double length = 1, log_factor = 0;
  VectorXd shift = VectorXd::Zero(2);
  int dim() const { return mixture.dim(); }
  double log_density(const VectorXd& x) const {
    return mixture.log_density((x - shift) / length) + log_factor;
  }
  VectorXd gradient(const VectorXd& x) const {
    return mixture.gradient((x - shift) / length) / length;
  }
};
void check(const Scaled& q, const SampleOptions& options) {
  const auto result = sample(q, options);
  CAPTURE(result.summary(), result.policies());
  const double exact = q.log_factor + q.dim() * std::log(q.length);
  CHECK(std::abs(result.log_evidence() - exact) < 5 * result.log_evidence_error() + 0.01);
  CHECK(result.log_evidence_error() < 0.02);
  CHECK(result.ess_fraction() > 0.9);
  CHECK(result.verdict() != Verdict::problem);
  const long n = 4000;
  const Particles x = (result.draws(n, 3).colwise() - q.shift) / q.length;
  const auto modes = static_cast<double>(q.mixture.components().size());
  const double chance = std::sqrt((modes - 1) / (2 * std::numbers::pi * n));
  const VectorXd weights = VectorXd::Constant(static_cast<Eigen::Index>(modes), 1 / modes);
  CHECK(total_variation(mode_masses(x, q.mixture), weights) < 2 * chance);
  CHECK(energy_distance(x, q.mixture.sample(n, 5)) < 0.01);
  CHECK(result.draws(50, 3) == result.draws(50, 3));
}
}  // namespace

TEST_CASE("sample: two moons at the chance level, whatever the factor of the density") {
  check({two_moons()}, {.seed = 1});
  check({two_moons(), 1, 200}, {.seed = 2});
}
TEST_CASE("sample: in other units and far from the origin, from a start of that size") {
  for (const double length : {1e-4, 1e3}) {
    CAPTURE(length);
    const VectorXd shift = VectorXd::Constant(2, 20 * length);
    check({two_moons(), length, 0, shift},
          {.seed = 1,
           .start = Gaussian(shift, 9 * length * length * Eigen::MatrixXd::Identity(2, 2))});
  }
}
TEST_CASE("sample: the same on any threads") {
  const Scaled q{eight_modes()};
  const auto one = sample(q, {.seed = 1, .threads = 1}),
             three = sample(q, {.seed = 1, .threads = 3});
  CHECK(one.draws(200) == three.draws(200));
  CHECK(one.log_evidence() == three.log_evidence());
  CHECK(one.policies() == three.policies());
}
TEST_CASE("sample: a goal that is not reached is said") {
  // No step is begun after a budget that the pilot run has used up.
  const auto result = sample(Scaled{eight_modes()}, {.seed = 1, .budget = 1e-9});
  CHECK(result.ess_fraction() < 0.5);
  CHECK(result.verdict() != Verdict::ok);
  CHECK(result.summary().find("stayed below the goal") != std::string::npos);
}
TEST_CASE("sample: options out of range") {
  const Scaled q{eight_modes()};
  CHECK_THROWS_AS(sample(q, {.budget = 0}), std::invalid_argument);
  CHECK_THROWS_AS(sample(q, {.ess = 1}), std::invalid_argument);
  CHECK_THROWS_AS(sample(q, {.population = 10}), std::invalid_argument);
  CHECK_THROWS_AS(sample(q, {.pilot = 1}), std::invalid_argument);
}
