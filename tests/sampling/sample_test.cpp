// SPDX-License-Identifier: BSL-1.0
// wgf::sample on targets with exact values: log Z, masses of modes and moments, in several units;
// and what it says of a target that it cannot sample.
#include <functional>
#include <numbers>

#include <wgf/exact/targets.hpp>
#include <wgf/metric/energy_distance.hpp>
#include <wgf/metric/mode_masses.hpp>
#include <wgf/sampling/sample.hpp>

#include "../catch.hpp"

using namespace wgf;
using Eigen::MatrixXd, Eigen::VectorXd;

namespace {
/// Any target: one type keeps the test's compilation short.
struct AnyTarget {
  int dimension;
  std::function<double(const VectorXd&)> log_q;
  std::function<VectorXd(const VectorXd&)> slope;
  int dim() const { return dimension; }
  double log_density(const VectorXd& x) const { return log_q(x); }
  VectorXd gradient(const VectorXd& x) const { return slope(x); }
};
/// A mixture in other units, moved, and times a factor.
struct Scaled {
  GaussianMixture mixture;
  double length = 1, log_factor = 0;
  VectorXd shift = VectorXd::Zero(2);
  AnyTarget target() const {
    return {mixture.dim(),
            [*this](const VectorXd& x) {
              return mixture.log_density((x - shift) / length) + log_factor;
            },
            [*this](const VectorXd& x) -> VectorXd {
              return mixture.gradient((x - shift) / length) / length;
            }};
  }
};
void check(const Scaled& q, const SampleOptions& options) {
  const auto result = sample(q.target(), options);
  CAPTURE(result.summary(), result.policies());
  const double exact = q.log_factor + q.mixture.dim() * std::log(q.length);
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
TEST_CASE("sample: modes in sixty-four dimensions, which a mixture fitted to a pilot run finds") {
  const auto law = uniform_mixture(4, 64, 2, 1, 1);
  check({law, 1, 0, VectorXd::Zero(64)},
        {.seed = 1, .budget = 300, .start = Gaussian::isotropic(64, 2.5)});
}
TEST_CASE("sample: independent wells, more modes than a mixture has components") {
  const ManyWell wells(8);  // 256 modes in 16 dimensions
  const auto result =
      sample(AnyTarget{16, [&](const VectorXd& x) { return wells.log_density(x); },
                       [&](const VectorXd& x) -> VectorXd { return wells.gradient(x); }},
             {.seed = 1, .budget = 300});
  CAPTURE(result.summary(), result.policies());
  CHECK(result.policies().find("16 independent blocks") != std::string::npos);
  CHECK(result.ess_fraction() > 0.95);
  CHECK(std::abs(result.log_evidence() - wells.log_evidence()) < 0.02);
  const long n = 10'000;  // the standard error of a share is 0.0036
  const Particles x = result.draws(n, 3);
  for (int i = 0; i < 16; i += 2)
    CHECK((x.row(i).array() > 0).cast<double>().mean() ==
          Approx(wells.right_share()).margin(0.016));
}
TEST_CASE("sample: what no mixture fits is reached by maps") {
  // Three pairs x ~ N(0, 1), y ~ N(x², ¼²), turned so that no coordinates are independent: a
  // mixture would need the cube of the components that one pair needs.
  constexpr int pairs = 3, dim = 2 * pairs;
  constexpr double sd = 0.25;
  MatrixXd turned(dim, dim);  // the cosine transform, which is orthogonal
  for (int i = 0; i < dim; ++i)
    for (int j = 0; j < dim; ++j)
      turned(i, j) =
          std::sqrt((i == 0 ? 1.0 : 2.0) / dim) * std::cos(std::numbers::pi * (j + 0.5) * i / dim);
  const AnyTarget bananas{dim,
                          [turned](const VectorXd& at) {
                            const VectorXd x = turned * at;
                            double log = 0;
                            for (int i = 0; i < dim; i += 2)
                              log -= 0.5 * x[i] * x[i] +
                                     0.5 * std::pow((x[i + 1] - x[i] * x[i]) / sd, 2);
                            return log;
                          },
                          [turned](const VectorXd& at) -> VectorXd {
                            const VectorXd x = turned * at;
                            VectorXd g(x.size());
                            for (int i = 0; i < dim; i += 2) {
                              const double bend = (x[i + 1] - x[i] * x[i]) / (sd * sd);
                              g[i] = -x[i] + 2 * x[i] * bend, g[i + 1] = -bend;
                            }
                            return turned.transpose() * g;
                          }};
  const auto result =
      sample(bananas, {.seed = 1, .budget = 1000, .ess = 0.3, .population = 5000, .pilot = 500});
  CAPTURE(result.summary(), result.policies());
  CHECK(result.policies().find("a map") != std::string::npos);
  CHECK(result.ess_fraction() > 0.2);
  CHECK(result.log_evidence() == Approx(pairs * std::log(2 * std::numbers::pi * sd)).margin(0.1));
  // E x² = 1 and E y = 1, whose standard errors by 4,000 draws are 0.022 and 0.023.
  const Particles x = turned * result.draws(4000, 3);
  for (int i = 0; i < dim; i += 2) {
    CHECK(x.row(i).array().square().mean() == Approx(1).margin(0.2));
    CHECK(x.row(i + 1).mean() == Approx(1).margin(0.2));
  }
}
TEST_CASE("sample: a mode that the pilot run does not reach is missed, and the verdict says so") {
  const GaussianMixture law({1, 1}, {Gaussian::isotropic(VectorXd{{-6, 0}}, 1),
                                     Gaussian::isotropic(VectorXd{{6, 0}}, 1)});
  // Without a step after the pilot run: the wide part of P_0 would find the mode in the end.
  const auto result = sample(
      Scaled{law}.target(),
      {.seed = 1, .budget = 1e-9, .start = Gaussian(VectorXd{{6, 0}}, MatrixXd::Identity(2, 2))});
  CAPTURE(result.summary(), result.missed_mass().share, result.missed_mass().error);
  CHECK(std::abs(result.log_evidence() + std::log(2)) < 0.05);
  CHECK(result.missed_mass().verdict() == Verdict::problem);
  CHECK(result.verdict() == Verdict::problem);
}
TEST_CASE("sample: the same on any threads") {
  const auto q = Scaled{eight_modes()}.target();
  const auto one = sample(q, {.seed = 1, .threads = 1}),
             three = sample(q, {.seed = 1, .threads = 3});
  CHECK(one.draws(200) == three.draws(200));
  CHECK(one.log_evidence() == three.log_evidence());
  CHECK(one.policies() == three.policies());
}
TEST_CASE("sample: a goal that is not reached is said") {
  // No step is begun after a budget that the pilot run has used up.
  const auto result = sample(Scaled{eight_modes()}.target(), {.seed = 1, .budget = 1e-9});
  CHECK(result.ess_fraction() < 0.85);
  CHECK(result.verdict() != Verdict::ok);
  CHECK(result.summary().find("stayed below the goal") != std::string::npos);
}
TEST_CASE("sample: options out of range") {
  const auto q = Scaled{eight_modes()}.target();
  CHECK_THROWS_AS(sample(q, {.budget = 0}), std::invalid_argument);
  CHECK_THROWS_AS(sample(q, {.ess = 1}), std::invalid_argument);
  CHECK_THROWS_AS(sample(q, {.population = 10}), std::invalid_argument);
  CHECK_THROWS_AS(sample(q, {.pilot = 1}), std::invalid_argument);
}
