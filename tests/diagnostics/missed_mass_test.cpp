// SPDX-License-Identifier: BSL-1.0
// Missed modes: what the samples' own diagnostics cannot see, the wider proposal does, as far as it
// reaches.
#include <wgf/diagnostics/missed_mass.hpp>
#include <wgf/diagnostics/stein.hpp>

#include <cmath>

#include "catch.hpp"
#include "support.hpp"

using namespace wgf;
using Eigen::VectorXd;
using wgf::test::message_of;

namespace {
// A law of the library stands for a flow: samples with their density.
struct Own {
  Particles x;
  ImportanceSampling weights;
};
template <class P, class T>
Own own(const P& p, const T& target, long n = 10'000, std::uint64_t seed = 3) {
  const Particles x = p.sample(n, seed);
  return {x, importance(detail::log_densities(target, x), detail::log_densities(p, x))};
}
// Two modes of sd 1 at a distance along the diagonal; the share is that of the second.
GaussianMixture two_modes(int dim, double distance, double share) {
  const VectorXd away = VectorXd::Constant(dim, distance / std::sqrt(dim));
  return {{1 - share, share}, {Gaussian::isotropic(dim, 1.0), Gaussian::isotropic(away, 1.0)}};
}
}  // namespace

TEST_CASE("the Student proposal has the density of its draws") {
  const Gaussian shape(VectorXd{{1, -1}}, Eigen::MatrixXd{{2, 0.5}, {0.5, 1}});
  const detail::Student student{shape, 1.5, 5};
  const Particles x = student.sample(200'000, 1);
  // Mean, and covariance ν/(ν − 2) s²Σ, within 4 standard errors; its fourth moments are heavy, so
  // by measurement for the latter.
  CHECK((x.rowwise().mean() - shape.mean()).norm() < 0.03);
  CHECK(Gaussian::fit(x).covariance().isApprox(5.0 / 3 * 2.25 * shape.covariance(), 0.03));
  // Mass one, seen from draws of another law, and vice versa.
  const Gaussian wide(shape.mean(), 4 * shape.covariance());
  const Particles y = wide.sample(200'000, 2);
  const Eigen::ArrayXd ratio =
      (detail::log_densities(wide, x) - student.log_density(x)).array().exp();
  CHECK(ratio.mean() == Approx(1).margin(4 * std::sqrt((ratio - 1).square().mean() / 200'000)));
  // In one dimension Cauchy's law.
  const Gaussian unit = Gaussian::isotropic(1, 1.0);
  CHECK(detail::Student{unit, 2, 1}.log_density(Particles::Constant(1, 1, 3.0))[0] ==
        Approx(-std::log(2 * M_PI * (1 + 2.25))));
}

TEST_CASE("a missed mode: weights and Stein discrepancy do not see it, the wider proposal does") {
  for (const int dim : {1, 2, 3}) {
    for (const double share : {0.5, 0.2}) {
      INFO("d = " << dim << ", share " << share);
      const GaussianMixture target = two_modes(dim, 12, share);
      const auto [x, weights] =
          own(target.components()[0], target);  // sits on the first mode, exactly
      CHECK(weights.verdict() == Verdict::ok);
      CHECK(stein_discrepancy(x, target).verdict() == Verdict::ok);
      const MissedMass missed =
          missed_mass(weights, x, target, {.draws = dim < 3 ? 50'000 : 500'000, .seed = 5});
      CHECK(missed.verdict() == Verdict::problem);
      CHECK(std::abs(missed.share - share) < 4 * missed.error);
      CHECK(missed.error < 0.06);
      CHECK(missed.widening == 3);
    }
  }
  const GaussianMixture target = two_modes(2, 9, 0.5);
  const auto [x, weights] = own(target.components()[0], target);
  CHECK(weights.verdict() == Verdict::problem);  // nearer: the other mode's tail is seen in a few
                                                 // weights that grow out of all measure
  CHECK(missed_mass(weights, x, target).summary().find("missed mass: log Z by the samples is 0.") ==
        0);
}

TEST_CASE("no mass is missed: nothing is flagged") {
  int faults = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const GaussianMixture target = two_modes(2, 6, 0.4);
    const auto [x, weights] = own(target, target, 5000, seed);
    const auto missed = missed_mass(weights, x, target, {.draws = 5000, .seed = seed});
    CHECK(missed.verdict() != Verdict::inconclusive);
    faults += missed.verdict() == Verdict::problem;
  }
  CHECK(faults <= 2);  // above 3 standard errors 0.07 are expected
  for (const int dim : {1, 4, 8, 16}) {
    INFO("d = " << dim);
    const Gaussian target = Gaussian::isotropic(dim, 2.0);
    const auto [x, weights] = own(target, target);
    const auto missed = missed_mass(weights, x, target);
    CHECK(missed.verdict() == Verdict::ok);
    CHECK(missed.summary().find("no sign of any within reach") != std::string::npos);
    CHECK(missed.widening <= 3);
  }
}

TEST_CASE("where the wider proposal does not reach it is blind too, and says how far it reaches") {
  const GaussianMixture target = two_modes(2, 1000, 0.5);
  const auto [x, weights] = own(target.components()[0], target);
  const auto missed = missed_mass(weights, x, target);
  CHECK(missed.verdict() == Verdict::ok);  // half of the mass is missed
  CHECK(missed.summary().find("within reach of a proposal 3.0 times as wide") != std::string::npos);
  CHECK(missed_mass(weights, x, target, {.draws = 200'000, .widening = 300}).verdict() !=
        Verdict::ok);
}

TEST_CASE("the missed mass cannot be told where weights are unreliable") {
  // Far too wide for the dimension: a handful of draws carry all weight.
  const Gaussian target = Gaussian::isotropic(16, 1.0);
  const auto [x, weights] = own(target, target);
  const auto wide = missed_mass(weights, x, target, {.widening = 3});
  CHECK(wide.verdict() == Verdict::inconclusive);
  CHECK(wide.summary().find(
            "cannot tell: the wider proposal's weights are themselves unreliable (k̂ = ") !=
        std::string::npos);
  // Nothing is flagged, whatever a few large weights make of Z.
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    INFO("seed " << seed);
    CHECK(missed_mass(weights, x, target, {.draws = 5000, .widening = 3, .seed = seed}).verdict() ==
          Verdict::inconclusive);
  }
  // Without weights of the samples' own there is nothing to compare.
  ImportanceSampling none;
  none.unknown = "a map folds";
  CHECK(missed_mass(none, x, target).summary() == "missed mass: cannot tell: a map folds");
}

TEST_CASE("tails that narrow samples have missed are missed mass") {
  // P(|x| > 1.3) of N(0, I) is 43 %; 10,000 draws of N(0, 0.3²I) reach |x| = 0.3·√(2 log 10⁴)
  // = 1.3.
  const auto [x, weights] = own(Gaussian::isotropic(2, 0.3), Gaussian::isotropic(2, 1.0));
  const auto missed = missed_mass(weights, x, Gaussian::isotropic(2, 1.0), {.widening = 6});
  CHECK(missed.verdict() == Verdict::problem);
  CHECK(missed.share > 0.1);
}

TEST_CASE("the missed mass refuses what makes no sense") {
  const Gaussian target = Gaussian::isotropic(2, 1.0);
  const auto [x, weights] = own(target, target, 100);
  const auto refused = [&, &x = x, &weights = weights](
                           const Gaussian& of, const MissedMassOptions& options, long n = 100) {
    return message_of<std::invalid_argument>(
        [&] { missed_mass(weights, x.leftCols(n), of, options); });
  };
  CHECK(refused(Gaussian::isotropic(3, 1.0), {}) ==
        "wgf::missed_mass: the samples have dimension 2, the target 3");
  CHECK(refused(target, {}, 99) == "wgf::missed_mass: there are 100 weights for 99 samples");
  CHECK(refused(target, {.draws = 100}).find("draws must be at least 400") != std::string::npos);
  CHECK(refused(target, {.widening = 0.5}).find("widening 0 or at least 1") != std::string::npos);
  CHECK(refused(target, {.degrees = 0}).find("degrees at least 1") != std::string::npos);
}
