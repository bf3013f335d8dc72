// SPDX-License-Identifier: BSL-1.0
#include <wgf/concepts.hpp>
#include <wgf/measure/barenblatt.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "catch.hpp"
#include "support.hpp"

using Eigen::VectorXd;
using wgf::Barenblatt;
using wgf::Particles;
using wgf::test::message_of;
using wgf::test::numerical_gradient;
using Invalid = std::invalid_argument;

static_assert(wgf::Measure<Barenblatt>);
static_assert(wgf::DifferentiatedTarget<Barenblatt>);

namespace {
VectorXd along_axis(const Barenblatt& p, double r) {
  VectorXd x = p.centre();
  x(p.dim() - 1) += r;
  return x;
}
// ∫ f(P(x), |x − c|) dx over the support: shells, by the midpoint rule in φ, r = R sin φ, which is
// smooth at the edge.
template <class F>
double integral(const Barenblatt& p, F&& f) {
  const int n = 20000;
  const double half = 0.5 * p.dim(),
               sphere = 2 * std::pow(std::numbers::pi, half) / std::tgamma(half);
  double sum = 0;
  for (int i = 0; i < n; ++i) {
    const double phi = (i + 0.5) / n * std::numbers::pi / 2, r = p.radius() * std::sin(phi);
    sum += f(p.density(along_axis(p, r)), r) * sphere * std::pow(r, p.dim() - 1) * p.radius() *
           std::cos(phi);
  }
  return sum * std::numbers::pi / 2 / n;
}
// The paper's formula with the constant of unit mass for n = 1, m = 2.
double textbook(double x, double time) {
  const double c = std::cbrt(3.0 / 64), value = c - x * x / 12 * std::pow(time, -2.0 / 3);
  return std::pow(time, -1.0 / 3) * std::max(0.0, value);
}
}  // namespace

TEST_CASE("Barenblatt: mass, spread and energy are those of quadrature") {
  for (const int dim : {1, 2, 3, 7})
    for (const double m : {1.3, 2.0, 3.0, 6.0}) {
      const Barenblatt p = Barenblatt::with_radius(VectorXd(VectorXd::Constant(dim, 0.3)), m, 1.7);
      CHECK(p.dim() == dim);
      CHECK(p.exponent() == m);
      CHECK(p.radius() == 1.7);
      CHECK(integral(p, [](double density, double) { return density; }) == Approx(1).epsilon(1e-5));
      CHECK(integral(p, [](double density, double r) { return r * r * density; }) ==
            Approx(std::pow(p.rms_radius(), 2)).epsilon(1e-5));
      CHECK(integral(p, [m](double density, double) { return std::pow(density, m) / (m - 1); }) ==
            Approx(p.energy()).epsilon(1e-5));
    }
}

TEST_CASE("Barenblatt::at is the paper's formula and solves the porous medium equation") {
  for (const double time : {0.002, 0.5, 3.0})
    for (const double x : {0.0, 0.1, 0.2, 0.7, 2.0})
      CHECK(Barenblatt::at(1, 2, time).density(VectorXd::Constant(1, x)) ==
            Approx(textbook(x, time)).margin(1e-12));
  for (const int dim : {1, 2, 5})
    for (const double m : {1.5, 2.0, 3.0}) {
      const double time = 0.7, h = 1e-3;
      const Barenblatt now = Barenblatt::at(dim, m, time);
      CHECK(now.time() == Approx(time).epsilon(1e-12));
      VectorXd x = VectorXd::Constant(dim, 0.4 * now.radius() / std::sqrt(dim));
      const auto power = [&](const VectorXd& y) { return std::pow(now.density(y), m); };
      double laplacian = 0;
      for (int i = 0; i < dim; ++i) {
        const auto at = [&](double shift) {
          VectorXd y = x;
          y(i) += shift;
          return power(y);
        };
        laplacian +=
            (-at(2 * h) + 16 * at(h) - 30 * at(0) + 16 * at(-h) - at(-2 * h)) / (12 * h * h);
      }
      const auto density = [&](const VectorXd& t) {
        return Barenblatt::at(dim, m, t(0)).density(x);
      };
      CHECK(numerical_gradient(density, VectorXd::Constant(1, time))(0) ==
            Approx(laplacian).epsilon(1e-6));
    }
}

TEST_CASE("Barenblatt: log-density and gradient") {
  const Barenblatt p = Barenblatt::at(VectorXd(Eigen::Vector3d(1, -2, 0.5)), 2.5, 0.1);
  for (const double part : {0.0, 0.3, 0.8}) {
    const VectorXd x = p.centre() + part * p.radius() * VectorXd(Eigen::Vector3d(2, -1, 2) / 3);
    CHECK(
        (p.gradient(x) - numerical_gradient([&](const VectorXd& y) { return p.log_density(y); }, x))
            .norm() < 1e-6);
    CHECK(p.density(x) == Approx(std::exp(p.log_density(x))));
  }
  const VectorXd outside = along_axis(p, 1.0001 * p.radius());
  CHECK(p.log_density(outside) == -std::numeric_limits<double>::infinity());
  CHECK(p.density(outside) == 0);
  CHECK(p.gradient(outside).array().isNaN().all());
}

TEST_CASE("Barenblatt: samples are of its law and depend on the seed alone") {
  const long n = 50000;
  for (const int dim : {1, 2, 3, 8})
    for (const double m : {1.2, 2.0, 3.0, 12.0}) {
      const Barenblatt p = Barenblatt::with_radius(VectorXd(VectorXd::Constant(dim, 0.5)), m, 2);
      const Particles x = p.sample(n, 3).colwise() - p.centre();
      REQUIRE(x.rows() == dim);
      REQUIRE(x.cols() == n);
      const Eigen::ArrayXd r = x.colwise().squaredNorm().transpose().array() / 4;
      CHECK(r.maxCoeff() <= 1 + 1e-12);
      // Moments of Beta(n/2, 1/(m−1) + 1), to four standard errors.
      const double a = 0.5 * dim, b = 1 / (m - 1) + 1;
      double moment = 1;
      for (int k = 1; k <= 3; ++k) {
        moment *= (a + k - 1) / (a + b + k - 1);
        double square = 1;
        for (int j = 0; j < 2 * k; ++j) square *= (a + j) / (a + b + j);
        CHECK(std::abs(r.pow(k).mean() - moment) < 4 * std::sqrt((square - moment * moment) / n));
      }
      const double spread = p.rms_radius() / std::sqrt(dim);
      CHECK(x.rowwise().mean().cwiseAbs().maxCoeff() < 4 * spread / std::sqrt(n));
      if (dim > 1) CHECK(std::abs(x.row(0).dot(x.row(1))) / n < 4 * spread * spread / std::sqrt(n));
    }
  // The whole law where its distribution function is a polynomial: Kolmogorov's distance stays
  // below 1.95/√n with probability 0.999.
  Eigen::VectorXd z = Barenblatt::with_radius(1, 2, 2).sample(n, 4).row(0).transpose() / 2;
  std::sort(z.begin(), z.end());
  double distance = 0;
  for (Eigen::Index i = 0; i < n; ++i) {
    const double cdf = 0.5 + 0.75 * (z(i) - z(i) * z(i) * z(i) / 3);
    distance = std::max({distance, std::abs(cdf - static_cast<double>(i) / n),
                         std::abs(cdf - static_cast<double>(i + 1) / n)});
  }
  CHECK(distance < 1.95 / std::sqrt(n));
  const Barenblatt p = Barenblatt::at(3, 2, 1);
  CHECK(p.sample(20, 1).isApprox(p.sample(30, 1).leftCols(20), 1e-14));
  CHECK(p.sample(20, 1) != p.sample(20, 2));
}

TEST_CASE("Barenblatt refuses what is none") {
  CHECK(message_of<Invalid>([] { Barenblatt::at(2, 2, 0); }) ==
        "wgf::Barenblatt::at: the time must be positive, got 0.000000");
  CHECK(message_of<Invalid>([] { Barenblatt::at(2, 1, 1); }) ==
        "wgf::Barenblatt: the exponent must be above 1, got 1.000000");
  CHECK(message_of<Invalid>([] { Barenblatt::with_radius(2, 2, -1); }) ==
        "wgf::Barenblatt: the radius must be positive, got -1.000000");
  CHECK(message_of<Invalid>([] { Barenblatt::with_radius(0, 2, 1); }) ==
        "wgf::Barenblatt: the dimension must be at least 1, got 0");
  CHECK_THROWS_AS(Barenblatt::with_radius(VectorXd(), 2, 1), Invalid);
  CHECK_THROWS_AS(Barenblatt::with_radius(VectorXd(VectorXd::Constant(1, std::nan(""))), 2, 1),
                  Invalid);
  const Barenblatt p = Barenblatt::with_radius(2, 2, 1);
  CHECK(message_of<Invalid>([&] { p.sample(0, 1); }) ==
        "wgf::Barenblatt::sample: at least one sample must be asked for, got 0");
  CHECK(message_of<Invalid>([&] { p.density(VectorXd::Zero(3)); }) ==
        "wgf::Barenblatt::log_density: the point must have 2 coordinates, got 3");
  CHECK_THROWS_AS(p.gradient(VectorXd::Zero(1)), Invalid);
}
