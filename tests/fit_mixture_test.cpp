// SPDX-License-Identifier: BSL-1.0
// A Gaussian mixture fitted to particles: laws that are mixtures are found again, in any units.
#include "catch.hpp"

#include <numbers>

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
TEST_CASE("particles that are few or equal") {
  Particles x = Particles::Random(2, 40);
  x.rightCols(20) = x.leftCols(20);  // each twice
  CHECK(fit_mixture(x).weights().size() >= 1);
  // Two points, each many times: two narrow components would be infinitely likely.
  Particles two(1, 100);
  for (int i = 0; i < 100; ++i) two(0, i) = i % 2;
  const auto fit = fit_mixture(two);
  CHECK(std::isfinite(fit.log_density(Eigen::VectorXd::Zero(1))));
}
