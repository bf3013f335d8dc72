// SPDX-License-Identifier: BSL-1.0
#include <wgf/exact/aggregation.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/exact/porous_medium.hpp>
#include <wgf/exact/quantile_jko.hpp>

#include <cmath>

#include "catch.hpp"
#include "convergence.hpp"
#include "support.hpp"

using Eigen::VectorXd;
using wgf::Barenblatt;
using wgf::Gaussian;
using wgf::LineEnergy;
using wgf::OrnsteinUhlenbeck;
using wgf::PorousMedium;
using wgf::QuantileJko;
using wgf::test::converging_error;
using wgf::test::message_of;
using Invalid = std::invalid_argument;

namespace {
double normal_quantile(double u) {
  double low = -10, high = 10;
  for (int i = 0; i < 80; ++i)
    (0.5 * std::erfc(-0.5 * (low + high) / std::sqrt(2.0)) < u ? low : high) = 0.5 * (low + high);
  return 0.5 * (low + high);
}
VectorXd normal_quantiles(const Gaussian& p, int n) {
  return QuantileJko::quantiles(
      [&](double u) { return p.mean()(0) + p.factor()(0, 0) * normal_quantile(u); }, n);
}
// Inverts u = ½ + ¾(z − z³/3) for m = 2; for m = 3 the profile is a semicircle.
VectorXd barenblatt_quantiles(const Barenblatt& p, int n) {
  if (p.exponent() == 2)
    return QuantileJko::quantiles(
        [&](double u) { return 2 * p.radius() * std::sin(std::asin(2 * u - 1) / 3); }, n);
  return QuantileJko::quantiles(
      [law = wgf::Semicircle(p.radius())](double u) { return law.quantile(u); }, n);
}
double rms(const VectorXd& x) { return x.norm() / std::sqrt(static_cast<double>(x.size())); }
double standard_deviation(const VectorXd& q) { return rms((q.array() - q.mean()).matrix()); }
// V(x) = (x² − 1)²/4, concave between the wells.
LineEnergy double_well(double diffusion, double exponent) {
  return {.diffusion = diffusion,
          .exponent = exponent,
          .potential = [](double x) { return 0.25 * (x * x - 1) * (x * x - 1); },
          .potential_derivative = [](double x) { return x * (x * x - 1); },
          .potential_curvature = [](double x) { return 3 * x * x - 1; }};
}
}  // namespace

TEST_CASE("QuantileJko: two particles have a step in closed form") {
  // ±y with (y − s)/a = ½κ N^{1−m} (2y)^{−m} N from ±s; for m = 1 the root of y² − sy − ½aκ.
  const double s = 0.4, a = 0.3, kappa = 0.7;
  const VectorXd p = (VectorXd(2) << -s, s).finished();
  const VectorXd q = QuantileJko({.diffusion = kappa}, a).step(p);
  CHECK(q(1) == Approx(0.5 * (s + std::sqrt(s * s + 2 * a * kappa))).epsilon(1e-12));
  CHECK(q(0) == Approx(-q(1)).epsilon(1e-12));
  // Gap g = 2y of mass ½: for m = 2 the energy of both is κ/(2g), its derivative by y −κ/(4y²),
  // that of the transport 2(y − s)/a.
  const double y = QuantileJko({.diffusion = kappa, .exponent = 2}, a).step(p)(1);
  CHECK(2 * (y - s) / a == Approx(kappa / (4 * y * y)).epsilon(1e-12));
}

TEST_CASE("QuantileJko: without diffusion every particle moves by itself") {
  const VectorXd p = VectorXd::LinSpaced(41, -1.5, 1.7),
                 q = QuantileJko(double_well(0, 1), 0.4).step(p);
  CHECK(((q - p).array() / 0.4 + q.array() * (q.array().square() - 1)).abs().maxCoeff() < 1e-8);
  CHECK(QuantileJko({.diffusion = 0}, 1).step(p) == p);
}

TEST_CASE("QuantileJko: a step has no derivative in any direction") {
  const int n = 60;
  const double a = 0.5;
  const VectorXd p = VectorXd::LinSpaced(n, -1, 1.2);
  for (const double m : {1.0, 1.5, 3.0}) {
    const QuantileJko solver(double_well(0.05, m), a);
    const VectorXd q = solver.step(p);
    // The functional, written down anew.
    const auto objective = [&](const VectorXd& x) {
      double sum = (x - p).squaredNorm() / (2 * a * n);
      for (const double v : x) sum += 0.25 * (v * v - 1) * (v * v - 1) / n;
      const VectorXd density = QuantileJko::density(x);
      for (const double v : density)
        sum += 0.05 * (m > 1 ? std::pow(v, m - 1) / (m - 1) : std::log(v)) / n;
      return sum;
    };
    CHECK(objective(q) < objective(p));
    CHECK(wgf::test::numerical_gradient(objective, q, 1e-4).norm() < 1e-9);
  }
}

TEST_CASE("QuantileJko: quantiles, midpoints and density") {
  const VectorXd q = QuantileJko::quantiles([](double u) { return 3 * u; }, 30);
  CHECK(q(0) == Approx(0.05));
  CHECK(q(29) == Approx(2.95));
  CHECK((QuantileJko::density(q).array() - 1.0 / 3).abs().maxCoeff() < 1e-13);
  CHECK(QuantileJko::midpoints(q)(0) == Approx(0.1));
  const Barenblatt p = Barenblatt::with_radius(1, 2, 1);
  const VectorXd b = barenblatt_quantiles(p, 1000), density = QuantileJko::density(b),
                 at = QuantileJko::midpoints(b);
  for (int i = 100; i < 900; i += 100)
    CHECK(density(i) == Approx(p.density(VectorXd::Constant(1, at(i)))).epsilon(1e-5));
}

TEST_CASE("QuantileJko converges to the Barenblatt iterates") {
  for (const double m : {2.0, 3.0}) {
    const Barenblatt start = Barenblatt::at(1, m, 0.002),
                     end = PorousMedium(1, m).jko(start, 10, 1e-3);
    const double error =
        converging_error({200, 400, 800}, 0.56, [&](int n) {  // order 0.85 at least
          const auto iterates =
              QuantileJko({.exponent = m}, 1e-3).run(barenblatt_quantiles(start, n), 10);
          REQUIRE(iterates.size() == 11);
          return rms(iterates.back() - barenblatt_quantiles(end, n));
        });
    CHECK(error < 5e-5 * end.radius());
  }
}

TEST_CASE("QuantileJko converges to the Ornstein–Uhlenbeck iterates") {
  const double rate = 2, b = 0.5, a = 0.1;
  const OrnsteinUhlenbeck flow(Eigen::MatrixXd::Constant(1, 1, rate), VectorXd::Constant(1, b));
  const QuantileJko solver({.potential = [=](double x) { return 0.5 * rate * (x - b) * (x - b); },
                            .potential_derivative = [=](double x) { return rate * (x - b); },
                            .potential_curvature = [=](double) { return rate; }},
                           a);
  const Gaussian end = flow.jko(8, a);
  const double error = converging_error({400, 800, 1600}, 0.53, [&](int n) {  // order 0.9 at least
    const VectorXd q = solver.run(normal_quantiles(Gaussian::isotropic(1, 1), n), 8).back(),
                   exact = normal_quantiles(end, n);
    CHECK(q.mean() == Approx(end.mean()(0)).epsilon(1e-12));
    CHECK((q - exact).segment(n / 4, n / 2).cwiseAbs().maxCoeff() < 0.1 / n);
    return std::abs(standard_deviation(q) - end.factor()(0, 0));
  });
  CHECK(error < 3e-4);
}

TEST_CASE("QuantileJko: the interaction takes the forward half of the step") {
  const auto derivative = [](double x) { return x; };  // W = x²/2
  const double a = 0.2;
  const VectorXd p =
      normal_quantiles(Gaussian::isotropic(VectorXd(VectorXd::Constant(1, 0.7)), 1.3), 800);
  const VectorXd still =
      QuantileJko({.diffusion = 0, .interaction_derivative = derivative}, a).step(p);
  const Eigen::MatrixXd exact = wgf::QuadraticInteraction::contracted(
      p.transpose(), wgf::QuadraticInteraction::explicit_factor(a));
  CHECK((still.transpose() - exact).norm() < 1e-12);
  // With diffusion: the heat equation's exact step from the contracted Gaussian.
  const VectorXd q = QuantileJko({.interaction_derivative = derivative}, a).step(p);
  const Gaussian next = wgf::Heat::jko_iterate(Gaussian::isotropic(1, (1 - a) * 1.3), a);
  CHECK(q.mean() == Approx(0.7).epsilon(1e-12));
  CHECK(standard_deviation(q) == Approx(next.factor()(0, 0)).epsilon(2e-3));
}

TEST_CASE("QuantileJko refuses what makes no sense") {
  CHECK(message_of<Invalid>([] { QuantileJko({.diffusion = -1}, 1); }) ==
        "wgf::QuantileJko: the diffusion must not be negative, got -1.000000");
  CHECK(message_of<Invalid>([] { QuantileJko({.exponent = 0.5}, 1); }) ==
        "wgf::QuantileJko: the exponent must be at least 1, got 0.500000");
  CHECK(message_of<Invalid>([] { QuantileJko({}, 0); }) ==
        "wgf::QuantileJko: step_size must be positive, got 0.000000");
  CHECK(message_of<Invalid>([] { QuantileJko({.potential = [](double x) { return x; }}, 1); }) ==
        "wgf::QuantileJko: a potential needs its value, derivative and curvature");
  const QuantileJko solver({.diffusion = 0, .interaction_derivative = [](double x) { return x; }},
                           3);
  CHECK(message_of<Invalid>([&] { solver.step(VectorXd::Zero(3)); }) ==
        "wgf::QuantileJko::step: at least two quantiles in strictly ascending order are needed");
  CHECK(message_of<Invalid>([&] { solver.run(VectorXd::LinSpaced(3, 0, 1), -1); }) ==
        "wgf::QuantileJko::run: steps must not be negative, got -1");
  CHECK(message_of<std::runtime_error>([&] { solver.step(VectorXd::LinSpaced(3, 0, 1)); }) ==
        "wgf::QuantileJko::step: particles pass one another in the interaction's forward step; "
        "step_size 3.000000 is too long");
}
