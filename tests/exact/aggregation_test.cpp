// SPDX-License-Identifier: BSL-1.0
#include <wgf/concepts.hpp>
#include <wgf/exact/aggregation.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <Eigen/Eigenvalues>
#include <Eigen/LU>

#include "catch.hpp"
#include "convergence.hpp"
#include "support.hpp"

using Eigen::MatrixXd;
using Eigen::VectorXd;
using wgf::Gaussian;
using wgf::Heat;
using wgf::Particles;
using wgf::QuadraticInteraction;
using wgf::QuarticRing;
using wgf::Semicircle;
using wgf::test::message_of;
using Invalid = std::invalid_argument;

static_assert(wgf::Measure<Semicircle>);

namespace {
MatrixXd root(const MatrixXd& s) {
  return Eigen::SelfAdjointEigenSolver<MatrixXd>(s).operatorSqrt();
}
MatrixXd random_symmetric(int dim, std::uint64_t seed) {
  const MatrixXd a = wgf::standard_normals(dim, dim, seed, 77);
  return 0.5 * (a + a.transpose());
}
// One forward step (12) of W(x) = |x|⁴/4 − |x|²/2.
Particles quartic_step(const Particles& x, double a) {
  Particles y = x;
  for (Eigen::Index i = 0; i < x.cols(); ++i)
    for (Eigen::Index j = 0; j < x.cols(); ++j) {
      const VectorXd d = x.col(i) - x.col(j);
      y.col(i) -= a / static_cast<double>(x.cols()) * (d.squaredNorm() - 1) * d;
    }
  return y;
}
}  // namespace

TEST_CASE("QuarticRing: particles fall onto it and stay") {
  CHECK(QuarticRing::radius() == Approx(1 / std::sqrt(3.0)).epsilon(1e-15));
  CHECK(QuarticRing::radius(1) == 0.5);  // two points at the distance where W is least
  Particles x = 0.5 * wgf::standard_normals(2, 60, 1);
  x.colwise() -= VectorXd(x.rowwise().mean());
  for (int k = 0; k < 600; ++k) x = quartic_step(x, 0.2);
  const VectorXd radii = x.colwise().norm();
  CHECK(radii.minCoeff() == Approx(QuarticRing::radius()).epsilon(1e-2));
  CHECK(radii.maxCoeff() == Approx(QuarticRing::radius()).epsilon(1e-2));
  double energy = 0;
  for (int i = 0; i < 60; ++i)
    for (int j = 0; j < 60; ++j) {
      const double s = (x.col(i) - x.col(j)).squaredNorm();
      energy += (s * s / 4 - s / 2) / 7200;
    }
  CHECK(energy == Approx(QuarticRing::energy()).epsilon(1e-4));
  CHECK(QuarticRing::energy() == Approx(-1.0 / 12));
  // On a sphere in three dimensions, sampled antithetically along the axes, the forces balance too.
  Particles cross = Particles::Zero(3, 6);
  for (int i = 0; i < 6; ++i) cross(i / 2, i) = (i % 2 ? -1 : 1) * QuarticRing::radius(3);
  CHECK((quartic_step(cross, 1) - cross).norm() < 1e-14);
}

TEST_CASE("Semicircle: no force where attraction and repulsion balance") {
  const Semicircle law;
  CHECK(law.density(0) == Approx(std::numbers::sqrt2 / std::numbers::pi));
  CHECK(law.density(1) == Approx(1 / std::numbers::pi));
  CHECK(law.density(1.5) == 0);
  // ∫ W'(x − y) P(y) dy = x − PV ∫ P(y)/(x − y) dy, by the trapezoidal rule in y = R cos θ with x
  // between two nodes.
  const int n = 400;
  const double step = std::numbers::pi / n;
  for (const int j : {3, 57, 200, 301}) {
    const double x = law.radius() * std::cos((j + 0.5) * step);
    double force = x;
    for (int k = 1; k < n; ++k) {
      const double y = law.radius() * std::cos(k * step);
      force -= law.density(y) * law.radius() * std::sin(k * step) * step / (x - y);
    }
    CHECK(std::abs(force) < 1e-11);
  }
}

TEST_CASE("Semicircle: quantiles and samples") {
  const Semicircle law(1.7);
  for (const double u : {0.0, 1e-12, 1e-6, 0.01, 0.3, 0.5, 0.77, 0.999, 1 - 1e-9, 1.0})
    CHECK(law.cdf(law.quantile(u)) == Approx(u).epsilon(1e-9).margin(1e-15));
  CHECK(std::abs(law.quantile(0.5)) < 1e-15);
  CHECK(law.quantile(0.2) == Approx(-law.quantile(0.8)).epsilon(1e-14));
  const double h = 1e-4;
  for (const double x : {-1.2, 0.3, 1.6})
    CHECK((law.cdf(x + h) - law.cdf(x - h)) / (2 * h) == Approx(law.density(x)).epsilon(1e-6));

  const long n = 50000;
  VectorXd x = law.sample(n, 7).transpose();
  std::sort(x.begin(), x.end());
  double distance = 0;
  for (Eigen::Index i = 0; i < n; ++i)
    distance = std::max({distance, std::abs(law.cdf(x(i)) - static_cast<double>(i) / n),
                         std::abs(law.cdf(x(i)) - (i + 1.0) / n)});
  CHECK(distance < 1.95 / std::sqrt(n));  // Kolmogorov's bound with probability 0.999
  CHECK(law.sample(5, 1) == law.sample(9, 1).leftCols(5));
  CHECK(law.sample(5, 1) != law.sample(5, 2));
}

TEST_CASE(
    "QuadraticInteraction: the factors are those of the particles' equation and of its steps") {
  const Particles x = wgf::standard_normals(2, 40, 3);
  const double a = 0.3;
  const auto force = [](const Particles& y) {  // (1/N) Σ_j (y_i − y_j)
    Particles f = Particles::Zero(y.rows(), y.cols());
    for (Eigen::Index i = 0; i < y.cols(); ++i)
      for (Eigen::Index j = 0; j < y.cols(); ++j)
        f.col(i) += (y.col(i) - y.col(j)) / static_cast<double>(y.cols());
    return f;
  };
  CHECK((QuadraticInteraction::contracted(x, QuadraticInteraction::explicit_factor(a)) -
         (x - a * force(x)))
            .norm() < 1e-13);
  const Particles y = QuadraticInteraction::contracted(x, QuadraticInteraction::implicit_factor(a));
  CHECK(((y - x) / a + force(y)).norm() < 1e-13);
  const auto at = [&](double t) {
    return QuadraticInteraction::contracted(x, QuadraticInteraction::flow_factor(t));
  };
  CHECK(((at(a + 1e-4) - at(a - 1e-4)) / 2e-4 + force(at(a))).norm() < 1e-7);
}

TEST_CASE("Heat::jko_iterate minimises W₂²/(2a) + E[log P] over all Gaussians") {
  const Gaussian p(VectorXd(Eigen::Vector3d(1, 2, 3)),
                   MatrixXd::Identity(3, 3) + 0.2 * random_symmetric(3, 4));
  for (const double a : {0.05, 2.0}) {
    const Gaussian best = Heat::jko_iterate(p, a);
    CHECK(best.mean() == p.mean());
    const MatrixXd r = root(p.covariance());
    const auto objective = [&](const MatrixXd& s) {
      return ((p.covariance() + s - 2 * root(r * s * r)).trace()) / (2 * a) -
             0.5 * std::log(s.determinant());
    };
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const MatrixXd v = random_symmetric(3, seed);
      const double h = 1e-3;
      const auto at = [&](double e) { return objective(best.covariance() + e * v); };
      const double derivative = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h),
                   bend = (at(h) + at(-h) - 2 * at(0)) / (h * h);
      CHECK(bend > 0);
      CHECK(std::abs(derivative) < 1e-7 * bend);
    }
  }
}

TEST_CASE("Heat: the JKO iterates tend to the flow, to first order in the step") {
  const Gaussian p(VectorXd(Eigen::Vector2d(1, 2)),
                   (MatrixXd(2, 2) << 1, 0.4, 0.4, 0.5).finished());
  CHECK((Heat::at(p, 0.5).covariance() - p.covariance() - MatrixXd::Identity(2, 2)).norm() < 1e-15);
  CHECK((Heat::jko(p, 3, 0.2).covariance() -
         Heat::jko_iterate(Heat::jko_iterate(Heat::jko_iterate(p, 0.2), 0.2), 0.2).covariance())
            .norm() < 1e-13);
  const auto error = [&](int steps) {
    return (Heat::jko(p, steps, 0.5 / steps).covariance() - Heat::at(p, 0.5).covariance()).norm();
  };
  wgf::test::check_order(1, {256, 1024}, 2.5, error);
  CHECK(error(8192) < 1e-4);
}

TEST_CASE("Known answers refuse what makes no sense") {
  CHECK(message_of<Invalid>([] { QuarticRing::radius(0); }) ==
        "wgf::QuarticRing: the dimension must be at least 1, got 0");
  CHECK(message_of<Invalid>([] { Semicircle(0); }) ==
        "wgf::Semicircle: the radius must be positive, got 0.000000");
  CHECK(message_of<Invalid>([] { Semicircle().quantile(1.5); }) ==
        "wgf::Semicircle::quantile: u must be in [0, 1], got 1.500000");
  CHECK(message_of<Invalid>([] { Semicircle().sample(0, 1); }) ==
        "wgf::Semicircle::sample: at least one sample must be asked for, got 0");
  const Gaussian p = Gaussian::isotropic(2, 1);
  CHECK(message_of<Invalid>([&] { Heat::at(p, -1); }) ==
        "wgf::Heat::at: the time must not be negative, got -1.000000");
  CHECK(message_of<Invalid>([&] { Heat::jko(p, 1, 0); }) ==
        "wgf::Heat: step_size must be positive, got 0.000000");
  CHECK(message_of<Invalid>([&] { Heat::jko(p, -1, 1); }) ==
        "wgf::Heat::jko: steps must not be negative, got -1");
}
