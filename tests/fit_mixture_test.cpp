// SPDX-License-Identifier: BSL-1.0
// A Gaussian mixture fitted to particles: laws that are mixtures are found again, in any units.
#include "catch.hpp"

#include <limits>
#include <numbers>

#include <Eigen/Eigenvalues>

#include <wgf/exact/targets/mixtures.hpp>
#include <wgf/measure/fit_mixture.hpp>

using namespace wgf;

namespace {
/// The KL divergence from law to fit, by the mean over samples of the law, and its standard error.
std::pair<double, double> divergence(const GaussianMixture& law, const GaussianMixture& fit) {
  const Particles x = law.sample(20'000, 77);
  Eigen::ArrayXd difference(x.cols());
  for (Eigen::Index i = 0; i < x.cols(); ++i)
    difference[i] = law.log_density(x.col(i)) - fit.log_density(x.col(i));
  const double mean = difference.mean();
  return {mean, std::sqrt((difference - mean).square().mean() / static_cast<double>(x.cols()))};
}
GaussianMixture single(const Gaussian& g) { return {{1.0}, {g}}; }
}  // namespace

TEST_CASE("a Gaussian is fitted by its moments") {
  for (const int d : {1, 3, 20}) {
    Eigen::MatrixXd covariance = Eigen::MatrixXd::Identity(d, d);
    for (int j = 0; j + 1 < d; ++j) covariance(j, j + 1) = covariance(j + 1, j) = 0.4;
    const auto law = single(Gaussian(Eigen::VectorXd::LinSpaced(d, -1, 2), covariance));
    const auto fit = fit_mixture(law.sample(3000, 5));
    CAPTURE(d);
    CHECK(fit.components().size() <= 4);
    // An efficient estimate has the expected divergence parameters/(2 n).
    CHECK(divergence(law, fit).first < 2 * (d + d * (d + 1) / 2) / (2 * 3000.0));
  }
}
TEST_CASE("separate modes are found with their weights") {
  for (const int d : {1, 2, 10, 64}) {
    const auto law = uniform_mixture(5, d, 20.0 / std::sqrt(d), 0.5, 3);
    const auto fit = fit_mixture(law.sample(3000, 6));
    CAPTURE(d, fit.components().size());
    CHECK(fit.components().size() >= 4);  // in one dimension two may overlap
    const auto [kl, error] = divergence(law, fit);
    // 5 means and spreads by 3000 particles; the full covariances of d = 64 would cost 1.7.
    CHECK(kl < 3 * 5 * (d + 1) / (2 * 3000.0) + 0.01 + 3 * error);
  }
}
TEST_CASE("forty modes in the plane are all covered") {
  const auto law = gmm40();
  const auto fit = fit_mixture(law.sample(4000, 7));
  const auto [kl, error] = divergence(law, fit);
  CHECK(kl < 0.15);
  // Every centre is likely under the fit.
  for (const auto& c : law.components())
    CHECK(fit.log_density(c.mean()) > law.log_density(c.mean()) - 1);
}
TEST_CASE("a fit does not depend on units and origin") {
  const auto law = uniform_mixture(4, 3, 8, 0.5, 2);
  const Particles x = law.sample(2000, 8);
  const auto fit = fit_mixture(x);
  for (const double unit : {1e-6, 1e6}) {
    const Particles moved = (unit * x).colwise() + Eigen::Vector3d::Constant(1e3 * unit);
    const auto other = fit_mixture(moved);
    REQUIRE(other.components().size() == fit.components().size());
    for (std::size_t k = 0; k < fit.components().size(); ++k) {
      const Eigen::VectorXd mean =
          (other.components()[k].mean() - Eigen::VectorXd(Eigen::Vector3d::Constant(1e3 * unit))) /
          unit;
      CHECK((mean - fit.components()[k].mean()).norm() < 1e-6);
      CHECK((other.components()[k].covariance() / (unit * unit) - fit.components()[k].covariance())
                .norm() < 1e-6);
    }
  }
  // The same seed gives the same fit.
  CHECK(fit_mixture(x).components()[0].mean() == fit.components()[0].mean());
}
namespace {
double smallest_eigenvalue(const GaussianMixture& m) {
  double smallest = std::numeric_limits<double>::infinity();
  for (const auto& c : m.components())
    smallest = std::min(
        smallest, Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(c.covariance()).eigenvalues()[0]);
  return smallest;
}
/// x_1 = x_0 + s z beside independent coordinates.
Gaussian correlated(int d, double s) {
  Eigen::MatrixXd covariance = Eigen::MatrixXd::Identity(d, d);
  covariance(0, 1) = covariance(1, 0) = 1, covariance(1, 1) = 1 + s * s;
  return {Eigen::VectorXd::Zero(d), covariance};
}
}  // namespace
TEST_CASE("strong correlations are kept") {
  for (const int d : {2, 10})
    for (const double s : {0.1, 0.01, 1e-3, 1e-4}) {
      const auto law = single(correlated(d, s));
      const auto fit = fit_mixture(law.sample(2000, 5));
      CAPTURE(d, s, fit.components().size());
      // The expected divergence of a fit with four components; one is enough, but some are split.
      CHECK(divergence(law, fit).first < 4 * (d + d * (d + 1) / 2) / (2 * 2000.0));
    }
}
TEST_CASE("two narrow Gaussians that cross") {
  const double sd = 0.03;
  const GaussianMixture law(
      {0.5, 0.5},
      {Gaussian(Eigen::Vector2d(0, 0), Eigen::Vector2d(1, sd * sd).asDiagonal().toDenseMatrix()),
       Gaussian(Eigen::Vector2d(0, 0), Eigen::Vector2d(sd * sd, 1).asDiagonal().toDenseMatrix())});
  const auto fit = fit_mixture(law.sample(3000, 5));
  CAPTURE(fit.components().size());
  CHECK(divergence(law, fit).first < 0.05);
  CHECK(smallest_eigenvalue(fit) > 0.1 * sd * sd);
}
TEST_CASE("no component collapses onto a particle, nor onto equal ones") {
  // Sixteen modes in a hundred dimensions: fewer particles a mode than dimensions.
  const int d = 100;
  Particles x = standard_normals(d, 2000, 3);
  for (Eigen::Index i = 0; i < x.cols(); ++i) x(i % 16, i) += 30;
  CHECK(smallest_eigenvalue(fit_mixture(x)) > 0.03);
  // Every particle eight times.
  const Particles few = standard_normals(2, 300, 4);
  Particles many(2, 2400);
  for (Eigen::Index i = 0; i < many.cols(); ++i) many.col(i) = few.col(i % 300);
  CHECK(smallest_eigenvalue(fit_mixture(many)) > 0.01);
}
TEST_CASE("particles that are few or equal") {
  Particles x = Particles::Random(2, 40);
  x.rightCols(20) = x.leftCols(20);  // each twice
  CHECK(fit_mixture(x).weights().size() >= 1);
  // Two points, each many times.
  Particles two(1, 100);
  for (int i = 0; i < 100; ++i) two(0, i) = i % 2;
  CHECK_THROWS_AS(fit_mixture(two), std::invalid_argument);
}
