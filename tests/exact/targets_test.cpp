// SPDX-License-Identifier: BSL-1.0
// The sampling targets: gradients against finite differences, log Z against quadrature and
// published figures, exact samples against the density.
#include <wgf/concepts.hpp>
#include <wgf/exact/targets.hpp>
#include <wgf/functional/target.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numbers>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using Eigen::MatrixXd;
using Eigen::Vector2d;
using Eigen::VectorXd;
using wgf::DoubleWell;
using wgf::Funnel;
using wgf::GaussianMixture;
using wgf::LogisticRegression;
using wgf::ManyWell;
using wgf::Mustache;
using wgf::Particles;
using wgf::StudentMixture;
using wgf::test::message_of;
using wgf::test::numerical_gradient;

namespace {

const double log_two_pi = std::log(2 * std::numbers::pi);

struct Sonar {
  MatrixXd features;  // 208 × 60
  VectorXd labels;    // 208
};
Sonar sonar_data() {
  const auto file = std::filesystem::path(__FILE__).parent_path() / ".." / ".." / "examples" /
                    "data" / "sonar" / "sonar.csv";
  std::ifstream in(file);
  std::string line, cell;
  std::getline(in, line);  // the names
  std::vector<std::vector<double>> rows;
  while (std::getline(in, line)) {
    rows.emplace_back();
    for (std::istringstream cells(line); std::getline(cells, cell, ',');)
      rows.back().push_back(std::stod(cell));
  }
  Sonar data{MatrixXd(rows.size(), 60), VectorXd(rows.size())};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    REQUIRE(rows[i].size() == 61);
    for (std::size_t j = 0; j < 60; ++j)
      data.features(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = rows[i][j];
    data.labels(static_cast<Eigen::Index>(i)) = rows[i][60];
  }
  return data;
}
LogisticRegression sonar() {
  const Sonar data = sonar_data();
  return LogisticRegression::standardised(data.features, data.labels);
}
/// The Gaussian q that minimises KL(q‖p) for the posterior p with prior N(0, I) of a logistic
/// regression whose design has the rows of label 0 negated: m ← m + C E_q[∇ log p] and C ←
/// −E_q[∇² log p]⁻¹, where expectations are integrals over each margin, which is Gaussian.
wgf::Gaussian variational_fit(const MatrixXd& negated) {
  const Eigen::Index d = negated.cols();
  VectorXd mean = VectorXd::Zero(d);
  MatrixXd covariance = MatrixXd::Identity(d, d);
  for (int step = 0; step < 60; ++step) {
    const VectorXd centre = negated * mean;
    const VectorXd spread =
        (negated * covariance).cwiseProduct(negated).rowwise().sum().cwiseSqrt();
    VectorXd slope = VectorXd::Zero(centre.size()), curvature = slope;
    for (double z = -7; z <= 7; z += 0.25) {
      const double weight = 0.25 * std::exp(-0.5 * (z * z + log_two_pi));
      for (Eigen::Index i = 0; i < slope.size(); ++i) {
        const double p = 1 / (1 + std::exp(centre(i) + z * spread(i)));
        slope(i) += weight * p, curvature(i) += weight * p * (1 - p);
      }
    }
    const MatrixXd precision =
        MatrixXd::Identity(d, d) + negated.transpose() * curvature.asDiagonal() * negated;
    const MatrixXd factor = wgf::detail::inverse_of_lower(wgf::detail::cholesky(precision));
    covariance = factor.transpose() * factor;
    mean += covariance * (negated.transpose() * slope - mean);
  }
  return {mean, covariance};
}
/// A regression with 3 coefficients and 70 observations: more than one block of the implementation.
LogisticRegression small_regression() {
  const MatrixXd design = wgf::standard_normals(3, 70, 11).transpose();
  const VectorXd noise = wgf::standard_uniforms(1, 70, 12).transpose();
  VectorXd labels(70);
  for (Eigen::Index i = 0; i < 70; ++i)
    labels(i) = noise(i) < 1 / (1 + std::exp(-design(i, 0) + 2 * design(i, 2))) ? 1 : 0;
  return {design, labels, 1.5};
}

/// The largest relative difference of the gradient from finite differences of the log-density, at
/// the points x (d × n).
template <class Target>
double gradient_error(const Target& target, const Particles& x) {
  STATIC_REQUIRE(wgf::DifferentiatedTarget<Target>);
  double worst = 0;
  for (Eigen::Index i = 0; i < x.cols(); ++i) {
    const VectorXd g = target.gradient(x.col(i));
    REQUIRE(g.allFinite());
    const auto f = [&](const VectorXd& at) { return target.log_density(at); };
    worst = std::max(worst, (numerical_gradient(f, x.col(i)) - g).norm() / (1 + g.norm()));
  }
  return worst;
}
/// The largest z-score of Stein's identities E[∇ log q] = 0 and E[φ(x_i) ∂_j log q] = −δ_ij
/// E[φ'(x_i)] under exact samples; φ is the identity, or atan where moments do not exist.
template <class Target>
double stein_z_score(const Target& target, const Particles& x, bool bounded = false) {
  const Eigen::Index d = x.rows();
  const double n = static_cast<double>(x.cols());
  Particles g(d, x.cols()), value = x, derivative = Particles::Ones(d, x.cols());
  for (Eigen::Index i = 0; i < x.cols(); ++i) g.col(i) = target.gradient(x.col(i));
  if (bounded) value = x.array().atan(), derivative = (1 + x.array().square()).inverse();
  // Means and mean squares of φ(x_i) ∂_j log q + δ_ij φ'(x_i), and in the last row of ∂_j log q.
  MatrixXd mean(d + 1, d), square(d + 1, d);
  mean << value * g.transpose(), g.rowwise().sum().transpose();
  square << value.cwiseAbs2() * g.cwiseAbs2().transpose(), g.rowwise().squaredNorm().transpose();
  for (Eigen::Index i = 0; i < d; ++i) {
    const Eigen::ArrayXd terms = value.row(i).cwiseProduct(g.row(i)) + derivative.row(i);
    mean(i, i) = terms.sum(), square(i, i) = terms.square().sum();
  }
  mean /= n, square /= n;
  const Eigen::ArrayXXd error = ((square - mean.cwiseAbs2()) / n).cwiseSqrt();
  const Eigen::ArrayXXd z = mean.array().abs() / error;
  return z.allFinite() ? z.maxCoeff() : std::numeric_limits<double>::infinity();
}
/// The distance of a mean of `terms` from `exact`, in standard errors.
double z_score(const Eigen::ArrayXd& terms, double exact) {
  const double mean = terms.mean();
  return (mean - exact) /
         std::sqrt((terms - mean).square().mean() / static_cast<double>(terms.size()));
}
/// Whether the gradient vanishes at every column and the Hessian is negative definite.
template <class Target>
bool are_local_maxima(const Target& target, const MatrixXd& modes) {
  for (Eigen::Index k = 0; k < modes.cols(); ++k) {
    const auto gradient = [&](const VectorXd& x) { return target.gradient(x); };
    const MatrixXd hessian = wgf::detail::jacobian_by_differences(gradient, modes.col(k));
    if (!(gradient(modes.col(k)).norm() < 1e-9 * hessian.norm())) return false;
    if (!wgf::detail::is_positive_definite(-hessian)) return false;
  }
  return true;
}
double sum(const std::vector<double>& weights) {
  double total = 0;
  for (const double w : weights) total += w;
  return total;
}
template <class Target>
bool is_reproducible(const Target& target) {
  const Particles x = target.sample(20, 3);
  return x == target.sample(20, 3) && x == target.sample(30, 3).leftCols(20) &&
         x != target.sample(20, 4) && x.rows() == target.dim();
}
/// ∫ exp(f) on a grid of squares, by the trapezoidal rule, and the means of `moments`.
template <class F, class M>
std::vector<double> plane_integral(F&& log_density, const Vector2d& low, const Vector2d& high,
                                   double h, M&& moments) {
  std::vector<double> sums;
  double total = 0;
  VectorXd x(2);
  for (x[0] = low[0]; x[0] < high[0]; x[0] += h)
    for (x[1] = low[1]; x[1] < high[1]; x[1] += h) {
      const double weight = std::exp(log_density(x));
      if (weight == 0) continue;
      const std::vector<double> m = moments(x);
      sums.resize(m.size());
      total += weight;
      for (std::size_t i = 0; i < m.size(); ++i) sums[i] += weight * m[i];
    }
  for (double& s : sums) s /= total;
  sums.insert(sums.begin(), total * h * h);
  return sums;
}
double plane_mass(const GaussianMixture& mixture, double half_width, double h) {
  return plane_integral([&](const VectorXd& x) { return mixture.log_density(x); },
                        Vector2d::Constant(-half_width), Vector2d::Constant(half_width), h,
                        [](const VectorXd&) { return std::vector<double>{}; })[0];
}
/// ∫ exp(f) over the line, by the trapezoidal rule on [−b, b].
template <class F>
double line_integral(F&& log_density, double b = 6, int n = 20'000) {
  double total = 0;
  for (int i = 0; i < n; ++i) total += std::exp(log_density(b * (2.0 * i / n - 1)));
  return total * 2 * b / n;
}
/// The Kolmogorov–Smirnov distance of a sample from the law with the density exp(f) up to a
/// constant, in units of n^−½: above 2.3 with probability 5e-5, as there are about 50 such checks.
template <class F>
double kolmogorov(Eigen::VectorXd x, F&& log_density, double b) {
  std::sort(x.begin(), x.end());
  const int nodes = 40'000;
  const double h = 2 * b / nodes;
  std::vector<double> cdf{0.0};
  for (int i = 0; i < nodes; ++i)
    cdf.push_back(cdf.back() + std::exp(log_density((i + 0.5) * h - b)));
  double worst = 0;
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    const double at = (x[i] + b) / h, cell = std::floor(at);
    const auto k = static_cast<std::size_t>(cell);
    const double p = (cdf[k] + (at - cell) * (cdf[k + 1] - cdf[k])) / cdf.back();
    worst = std::max(worst,
                     std::abs(p - (static_cast<double>(i) + 0.5) / static_cast<double>(x.size())));
  }
  return worst * std::sqrt(static_cast<double>(x.size()));
}

}  // namespace

TEST_CASE("targets: gradients are the derivatives of the log-densities") {
  const auto points = [](int dim, double scale) -> Particles {
    return scale * wgf::standard_normals(dim, 10, 5);
  };
  for (const double scale : {1.0, 3.0}) {
    CAPTURE(scale);
    CHECK(gradient_error(wgf::two_moons(), points(2, scale)) < 1e-6);
    CHECK(gradient_error(wgf::mixture64(), points(64, scale)) < 1e-7);
    CHECK(gradient_error(wgf::eight_modes(), points(2, 0.5 * scale)) < 1e-5);
    CHECK(gradient_error(wgf::gmm40(), points(2, 20 * scale)) < 1e-7);
    CHECK(gradient_error(Funnel(), points(10, scale)) < 1e-7);
    CHECK(gradient_error(Funnel(3, 2), points(3, scale)) < 1e-7);
    CHECK(gradient_error(Mustache(), points(2, scale)) < 1e-7);
    CHECK(gradient_error(Mustache(-0.5), points(2, scale)) < 1e-7);
    CHECK(gradient_error(StudentMixture::uniform(), points(50, 5 * scale)) < 1e-7);
    CHECK(gradient_error(StudentMixture::uniform(2, 4, 3), points(2, scale)) < 1e-7);
    CHECK(gradient_error(ManyWell(), points(32, scale)) < 1e-7);
    CHECK(gradient_error(DoubleWell(), points(5, scale)) < 1e-7);
    CHECK(gradient_error(DoubleWell(7, 3, 2), points(7, scale)) < 1e-7);
    CHECK(gradient_error(sonar(), points(61, scale)) < 1e-7);
    CHECK(gradient_error(small_regression(), points(3, scale)) < 1e-7);
  }
}

TEST_CASE("targets: far from the origin values are right, not overflown") {
  const auto far = [](int dim) -> VectorXd { return VectorXd::Constant(dim, 1e3); };
  CHECK(Mustache().log_density(far(2)) ==
        Approx(-0.5 * (1e6 + std::pow(1e3 - std::pow(1e6 - 1, 2) - 900, 2) / 0.19)).epsilon(1e-12));
  CHECK(Funnel().log_density(far(10)) ==
        Approx(-0.5 * (1e6 / 9 + 9e3 + 10 * log_two_pi + std::log(9.0))).epsilon(1e-12));
  VectorXd neck = VectorXd::Zero(10);
  neck[0] = -1e3, neck[1] = 1e-218;  // x₂² e^1000 = 0.0197
  CHECK(Funnel().log_density(neck) ==
        Approx(-0.5 * (1e6 / 9 - 9e3 + 10 * log_two_pi + std::log(9.0)) -
               0.5 * std::exp(1000 - 2 * 218 * std::log(10.0)))
            .epsilon(1e-12));
  CHECK(Funnel().gradient(neck)[0] == Approx(1e3 / 9 - 4.5).epsilon(1e-3));
  neck[0] = -2e3, neck[1] = 1;  // beyond the range of double
  CHECK(Funnel().log_density(neck) == -std::numeric_limits<double>::infinity());
  CHECK(!Funnel().gradient(neck).hasNaN());
  CHECK(ManyWell().log_density(far(32)) == Approx(16 * (-1e12 + 6e6 + 500 - 5e5)).epsilon(1e-12));
  CHECK(DoubleWell(3, 1, 4).log_density(far(3)) == Approx(-std::pow(1e6 - 4, 2) - 1e6));
  // Every component is about (1 + z²/2)^{−3/2} in each coordinate.
  CHECK(StudentMixture(MatrixXd::Zero(50, 2)).log_density(far(50)) ==
        Approx(-75 * std::log(1e6 + 2)).epsilon(1e-12));
  CHECK(StudentMixture::uniform().gradient(far(50)).maxCoeff() == Approx(-3 / 1e3).epsilon(0.02));
  CHECK(StudentMixture::uniform().gradient(far(50)).minCoeff() == Approx(-3 / 1e3).epsilon(0.02));
  // −Σ log(1 + e^{−m}) is −|m| for margins of −10³ and 0 for 10³.
  const MatrixXd design = Vector2d(1, 1);
  const LogisticRegression one(design, Vector2d(1, 0));
  CHECK(one.log_density(far(1)) == Approx(-1e3 - 5e5 - 0.5 * log_two_pi).epsilon(1e-12));
  CHECK(one.log_density(-far(1)) == Approx(-1e3 - 5e5 - 0.5 * log_two_pi).epsilon(1e-12));
  CHECK(one.gradient(far(1))[0] == Approx(-1 - 1e3).epsilon(1e-12));
  CHECK(one.gradient(-far(1))[0] == Approx(1 + 1e3).epsilon(1e-12));
  CHECK(std::isfinite(wgf::gmm40().log_density(far(2))));
}

TEST_CASE("targets: exact samples are reproducible and satisfy Stein's identities") {
  CHECK(is_reproducible(wgf::mixture64()));
  CHECK(is_reproducible(Funnel()));
  CHECK(is_reproducible(Mustache()));
  CHECK(is_reproducible(StudentMixture::uniform()));
  CHECK(is_reproducible(ManyWell()));
  CHECK(is_reproducible(DoubleWell(7, 3, 2)));

  // The largest of d² + d scores that are nearly standard normal: in 64 dimensions 4 is expected.
  const auto stein = [](const auto& target, long n, bool bounded = false) {
    return stein_z_score(target, target.sample(n, 21), bounded);
  };
  CHECK(stein(wgf::two_moons(), 40'000) < 4);
  CHECK(stein(wgf::mixture64(), 20'000) < 5);
  CHECK(stein(wgf::concentrated_mixture(20), 20'000) < 4.5);
  CHECK(stein(wgf::gmm40(), 40'000) < 4);
  CHECK(stein(wgf::eight_modes(), 40'000) < 4);
  CHECK(stein(wgf::eight_peaky_modes(), 40'000) < 4);
  CHECK(stein(Funnel(), 40'000) < 4.5);
  CHECK(stein(Mustache(), 40'000) < 4);
  CHECK(stein(StudentMixture::uniform(), 20'000, true) < 5);
  CHECK(stein(StudentMixture::uniform(2, 4, 3), 40'000, true) < 4);
  CHECK(stein(ManyWell(), 20'000) < 4.5);
  CHECK(stein(DoubleWell(), 40'000) < 4);
  CHECK(stein(DoubleWell(7, 3, 0.5), 40'000) < 4);
}

TEST_CASE("targets: mixtures have mass 1 and known means") {
  CHECK(plane_mass(wgf::two_moons(), 6, 0.1) == Approx(1).epsilon(1e-9));
  CHECK(plane_mass(wgf::eight_modes(), 3, 0.02) == Approx(1).epsilon(1e-9));
  CHECK(plane_mass(wgf::eight_peaky_modes(), 3, 0.02) == Approx(1).epsilon(1e-9));
  CHECK(plane_mass(wgf::gmm40(), 48, 0.5) == Approx(1).epsilon(1e-9));

  const GaussianMixture eight = wgf::eight_peaky_modes();
  CHECK((eight.mean() - Vector2d(-1, 0)).norm() < 1e-15);
  for (const auto& c : eight.components()) {
    CHECK((c.mean() - Vector2d(-1, 0)).norm() == Approx(1).epsilon(1e-12));
    CHECK(c.covariance()(0, 0) == Approx(0.005).epsilon(1e-12));
  }
  CHECK(wgf::eight_modes().components()[0].covariance()(1, 1) == Approx(0.01).epsilon(1e-12));
  const auto bounded_means = [](const GaussianMixture& m, double half_width, double variance) {
    for (const auto& c : m.components())
      if (!(c.mean().lpNorm<Eigen::Infinity>() <= half_width) ||
          std::abs(c.covariance()(0, 0) - variance) > 1e-12)
        return false;
    return true;
  };
  CHECK(wgf::mixture64().components().size() == 10);
  CHECK(wgf::mixture64().dim() == 64);
  CHECK(bounded_means(wgf::mixture64(), 2, 1));
  CHECK(!bounded_means(wgf::mixture64(), 1.9, 1));
  CHECK(wgf::gmm40(50).components().size() == 40);
  CHECK(bounded_means(wgf::gmm40(50), 40, 1));
  CHECK(wgf::concentrated_mixture(200).dim() == 200);
  CHECK(bounded_means(wgf::concentrated_mixture(200), 1, 0.01));
  CHECK(wgf::uniform_mixture(3, 4, 2, 1, 9).components()[2].mean() ==
        wgf::uniform_mixture(5, 4, 2, 1, 9).components()[2].mean());
  CHECK(wgf::gmm40(2, 1).mean() != wgf::gmm40(2, 2).mean());
  CHECK(wgf::log_evidence(eight) == 0);
  CHECK(wgf::log_evidence(Funnel()) == 0);
  CHECK(wgf::log_evidence(DoubleWell()) == DoubleWell().log_evidence());
}

TEST_CASE("targets: modes are local maxima and weights have sum 1") {
  const auto moons = wgf::two_moons();
  const MatrixXd modes = wgf::modes(moons);
  CHECK(are_local_maxima(moons, modes));
  for (int k = 0; k < 16; ++k) {  // neighbours overlap a little: 3.6 standard deviations
    const double distance = (modes.col(k) - moons.components()[std::size_t(k)].mean()).norm();
    CHECK((distance > 1e-4 && distance < 0.01));
  }
  CHECK(are_local_maxima(wgf::eight_modes(), wgf::modes(wgf::eight_modes())));
  CHECK(are_local_maxima(wgf::gmm40(), wgf::modes(wgf::gmm40())));
  CHECK(are_local_maxima(wgf::mixture64(), wgf::modes(wgf::mixture64())));
  // Full covariances, of which two merge.
  const MatrixXd wide = (MatrixXd(2, 2) << 1, 0.5, 0.5, 2).finished();
  const GaussianMixture merged({1.0, 2.0, 1.0}, {wgf::Gaussian(Vector2d(0, 0), wide),
                                                 wgf::Gaussian(Vector2d(1, 0), 0.5 * wide),
                                                 wgf::Gaussian(Vector2d(9, 0), wide)});
  const MatrixXd two = wgf::modes(merged);
  CHECK(are_local_maxima(merged, two));
  CHECK((two.col(0) - two.col(1)).norm() < 1e-10);

  CHECK(are_local_maxima(Funnel(3, 2), Funnel(3, 2).modes()));
  CHECK(Funnel().gradient(Funnel().modes()).norm() < 1e-12);
  CHECK(are_local_maxima(Mustache(), Mustache().modes()));
  CHECK(are_local_maxima(StudentMixture::uniform(), StudentMixture::uniform().modes()));
  const auto students = StudentMixture::uniform(2, 4, 3);
  CHECK(are_local_maxima(students, students.modes()));
  CHECK(are_local_maxima(DoubleWell(), DoubleWell().modes()));
  CHECK(are_local_maxima(DoubleWell(4, 2, 3), DoubleWell(4, 2, 3).modes()));
  CHECK(are_local_maxima(ManyWell(3), ManyWell(3).modes()));
  CHECK(are_local_maxima(small_regression(), small_regression().modes()));
  CHECK(are_local_maxima(sonar(), sonar().modes()));

  CHECK(sum(moons.weights()) == Approx(1).epsilon(1e-14));
  CHECK(sum(StudentMixture::uniform().weights()) == Approx(1).epsilon(1e-14));
  CHECK(sum(Funnel().weights()) == 1);
  CHECK(DoubleWell().modes().cols() == 32);
  CHECK(DoubleWell().weights() == std::vector<double>(32, 1.0 / 32));
  const ManyWell many;
  const MatrixXd all = many.modes();
  const std::vector<double> weights = many.weights();
  REQUIRE(all.cols() == 1 << 16);
  REQUIRE(weights.size() == 1 << 16);
  CHECK(sum(weights) == Approx(1).epsilon(1e-12));
  for (const long k : {0L, 1L, 2L, 40'000L, 65'535L}) {
    CHECK(many.mode_of(all.col(k)) == k);
    const int right = std::popcount(static_cast<unsigned long>(k));
    CHECK(weights[static_cast<std::size_t>(k)] ==
          Approx(std::pow(many.right_share(), right) * std::pow(1 - many.right_share(), 16 - right))
              .epsilon(1e-12));
  }
}

TEST_CASE("Funnel: mass and moments by quadrature in polar coordinates") {
  // x = (x₁, e^s ω) with ω on the unit sphere of 9 dimensions, whose area is 2π^4.5/Γ(4.5).
  const Funnel funnel;
  const double log_area = std::log(2.0) + 4.5 * std::log(std::numbers::pi) - std::lgamma(4.5);
  VectorXd x = VectorXd::Zero(10);
  const auto moments = plane_integral(
      [&](const VectorXd& at) {
        x[0] = at[0], x.tail(9).setConstant(std::exp(at[1]) / 3);
        return funnel.log_density(x) + log_area + 9 * at[1];
      },
      Vector2d(-24, -20), Vector2d(24, 20), 0.1,
      [](const VectorXd& at) {
        return std::vector<double>{at[0] * at[0], at[1], at[0] * at[1]};
      });
  CHECK(moments[0] == Approx(1).epsilon(1e-9));
  CHECK(moments[1] == Approx(9).epsilon(1e-9));
  const Particles samples = funnel.sample(100'000, 2);
  const Eigen::ArrayXd first = samples.row(0).transpose(),
                       log_radius =
                           samples.bottomRows(9).colwise().norm().transpose().array().log();
  CHECK(std::abs(z_score(first, 0)) < 3.5);
  CHECK(std::abs(z_score(first.square(), moments[1])) < 3.5);
  CHECK(std::abs(z_score(log_radius, moments[2])) < 3.5);
  CHECK(std::abs(z_score(first * log_radius, moments[3])) < 3.5);
  CHECK(kolmogorov(
            first, [](double t) { return -t * t / 18; }, 30) < 2.3);
}

TEST_CASE("Mustache: mass and moments by quadrature") {
  const Mustache mustache;
  const auto moments = plane_integral(
      [&](const VectorXd& x) { return mustache.log_density(x); }, Vector2d(-6.5, -8),
      Vector2d(6.5, 1'700), 0.15,
      [](const VectorXd& x) {
        return std::vector<double>{x[0], x[1], x[0] * x[1], x[1] * x[1], x[0] * x[0]};
      });
  CHECK(moments[0] == Approx(1).epsilon(1e-8));
  CHECK(moments[1] == Approx(0).margin(1e-7));
  CHECK(moments[2] == Approx(2).epsilon(1e-6));  // E (x² − 1)²
  CHECK(moments[3] == Approx(0.9).epsilon(1e-6));
  CHECK(moments[4] == Approx(61).epsilon(1e-3));  // 1 + E (x² − 1)⁴
  CHECK(moments[5] == Approx(1).epsilon(1e-6));
  const Particles samples = mustache.sample(200'000, 2);
  const Eigen::ArrayXd x = samples.row(0).transpose(), y = samples.row(1).transpose();
  CHECK(std::abs(z_score(x, 0)) < 3.5);
  CHECK(std::abs(z_score(y, moments[2])) < 3.5);
  CHECK(std::abs(z_score(x * y, moments[3])) < 3.5);
  CHECK(std::abs(z_score(y.square(), moments[4])) < 3.5);
  // Given x, y is normal with mean (x² − 1)² + 0.9 x and variance 0.19; x is standard normal.
  const auto normal = [](double t) { return -0.5 * t * t; };
  const Eigen::ArrayXd residual = (y - (x.square() - 1).square() - 0.9 * x) / std::sqrt(0.19);
  CHECK(kolmogorov(x, normal, 7) < 2.3);
  CHECK(kolmogorov(residual, normal, 7) < 2.3);
  CHECK(std::abs(z_score(residual * x, 0)) < 3.5);
}

TEST_CASE("StudentMixture: mass, product form and quantiles") {
  // x = sinh(t): the tails decay exponentially in t.
  const StudentMixture line((MatrixXd(1, 3) << -4, 0, 5).finished());
  const double mass = line_integral(
      [&](double t) {
        return line.log_density(VectorXd::Constant(1, std::sinh(t))) + std::log(std::cosh(t));
      },
      20);
  CHECK(mass == Approx(1).epsilon(1e-10));
  const StudentMixture plane(Vector2d(1, -2));
  const VectorXd x = Vector2d(0.3, 4);
  const auto t2 = [](double z) { return std::pow(2 + z * z, -1.5); };
  CHECK(plane.log_density(x) == Approx(std::log(t2(-0.7) * t2(6))).epsilon(1e-12));
  // P(|z| < 1) = 1/√3 for t₂.
  const StudentMixture origin(MatrixXd::Zero(4, 1));
  const Eigen::ArrayXd inside =
      (origin.sample(40'000, 6).array().abs() < 1).cast<double>().reshaped();
  CHECK(std::abs(z_score(inside, 1 / std::sqrt(3.0))) < 3.5);
  // Equal shares of the components.
  const StudentMixture apart((MatrixXd(1, 2) << -1e4, 1e4).finished());
  CHECK(std::abs(z_score((apart.sample(40'000, 6).row(0).transpose().array() > 0).cast<double>(),
                         0.5)) < 3.5);
}

TEST_CASE("ManyWell and DoubleWell: log Z, shares and samples") {
  // Published for FAB's many-well: 164.69567532 in 32 dimensions.
  CHECK(ManyWell(16).log_evidence() == Approx(164.695675313182).epsilon(1e-12));
  CHECK(ManyWell(32).log_evidence() == Approx(329.391350626363).epsilon(1e-12));
  CHECK(ManyWell(32).dim() == 64);
  CHECK(DoubleWell().log_evidence() == Approx(-0.541055512879).epsilon(1e-11));
  // By another quadrature, with other parameters. Log-densities are sums over coordinates.
  const auto total = [](double t) { return -t * t * t * t + 6 * t * t + 0.5 * t; };
  CHECK(ManyWell(1).log_evidence() ==
        Approx(std::log(line_integral(total)) + 0.5 * log_two_pi).epsilon(1e-12));
  for (const double delta : {0.05, 0.5, 2.0, 3.0, 10.0}) {
    const auto well = [&](double t) { return -std::pow(t * t - delta, 2); };
    CHECK(DoubleWell(7, 3, delta).log_evidence() ==
          Approx(3 * std::log(line_integral(well)) + 2 * log_two_pi).epsilon(1e-11));
    CHECK(DoubleWell(7, 3, delta).right_share() == Approx(0.5).epsilon(1e-12));
    const Particles x = DoubleWell(7, 3, delta).sample(20'000, 17);
    CHECK(kolmogorov(x.row(0).transpose(), well, 6) < 2.3);
    CHECK(kolmogorov(x.row(2).transpose(), well, 6) < 2.3);
    CHECK(kolmogorov(
              x.row(3).transpose(), [](double t) { return -0.5 * t * t; }, 7) < 2.3);
  }
  // Deep wells are nearly Gaussians of variance 1/(8δ): 10⁶ of the barrier.
  CHECK(DoubleWell(1, 1, 1e3).log_evidence() ==
        Approx(std::log(2.0) + 0.5 * (log_two_pi - std::log(8e3))).epsilon(1e-4));

  const ManyWell many;
  VectorXd x = wgf::standard_normals(32, 1, 8);
  double value = 0;
  for (int i = 0; i < 16; ++i) value += total(x[2 * i]) - 0.5 * x[2 * i + 1] * x[2 * i + 1];
  CHECK(many.log_density(x) == Approx(value).epsilon(1e-12));
  CHECK(many.right_share() == Approx(0.84430).epsilon(1e-4));

  const Particles samples = many.sample(50'000, 17);
  const auto moment = [&](int power) {
    return line_integral(
               [&](double t) { return total(t) + power * std::log(std::abs(t) + 1e-300); }) /
           line_integral(total);
  };
  for (const int row : {0, 14, 30}) {
    const Eigen::ArrayXd t = samples.row(row).transpose();
    CHECK(std::abs(z_score(t.square(), moment(2))) < 3.5);
    CHECK(std::abs(z_score(t.square().square(), moment(4))) < 3.5);
    CHECK(std::abs(z_score((t > 0).cast<double>(), many.right_share())) < 3.5);
    CHECK(kolmogorov(t, total, 6) < 2.3);
    CHECK(kolmogorov(
              samples.row(row + 1).transpose(), [](double s) { return -0.5 * s * s; }, 7) < 2.3);
  }
  // The masses of the modes of two copies.
  const ManyWell two(2);
  const Particles y = two.sample(50'000, 4);
  for (long k = 0; k < 4; ++k) {
    Eigen::ArrayXd in(y.cols());
    for (Eigen::Index i = 0; i < y.cols(); ++i) in[i] = two.mode_of(y.col(i)) == k;
    CHECK(std::abs(z_score(in, two.weights()[static_cast<std::size_t>(k)])) < 3.5);
  }
}

TEST_CASE("LogisticRegression: the density as written, batches, the Laplace approximation") {
  const auto regression = small_regression();
  const Particles w = wgf::standard_normals(3, 300, 2);
  Particles batch;
  regression.gradients(w, batch);
  double worst = 0;
  for (Eigen::Index i = 0; i < w.cols(); ++i)
    worst = std::max(worst, (batch.col(i) - regression.gradient(w.col(i))).norm());
  CHECK(worst < 1e-12);
  const auto gradient = [&](const VectorXd& at) { return regression.gradient(at); };
  CHECK((regression.hessian(w.col(0)) - wgf::detail::jacobian_by_differences(gradient, w.col(0)))
            .norm() < 1e-8);

  const MatrixXd design = (MatrixXd(2, 2) << 1, 0.5, -2, 3).finished();
  const LogisticRegression two(design, Vector2d(0, 1), 2);
  const VectorXd at = Vector2d(0.3, -0.4);
  const double p0 = 1 / (1 + std::exp(-0.1)), p1 = 1 / (1 + std::exp(1.8));
  CHECK(two.log_density(at) ==
        Approx(std::log(1 - p0) + std::log(p1) - 0.25 / 8 - log_two_pi - std::log(4.0))
            .epsilon(1e-13));
  CHECK(two.observations() == 2);

  // log Z in one dimension, with the Laplace approximation within its O(1/n) error.
  const VectorXd labels = (VectorXd(4) << 1, 1, 0, 1).finished();
  const LogisticRegression coin(MatrixXd::Ones(4, 1), labels);
  const auto log_density = [&](double t) { return coin.log_density(VectorXd::Constant(1, t)); };
  const wgf::Gaussian laplace = coin.laplace();
  CHECK(coin.gradient(laplace.mean()).norm() < 1e-13);
  CHECK(coin.log_density(laplace.mean()) - laplace.log_density(laplace.mean()) ==
        Approx(std::log(line_integral(log_density, 10))).margin(0.02));
}

TEST_CASE("LogisticRegression: Sonar has the published evidence") {
  const Sonar data = sonar_data();
  REQUIRE(data.labels.size() == 208);
  CHECK((data.labels.array() == 1).count() == 97);
  CHECK((data.labels.array() == 0).count() == 111);
  CHECK(data.features.minCoeff() >= -1);
  CHECK(data.features.maxCoeff() <= 1);
  const LogisticRegression target = sonar();
  REQUIRE(target.dim() == 61);
  CHECK(target.log_density(VectorXd::Zero(61)) ==
        Approx(-208 * std::log(2.0) - 30.5 * log_two_pi).epsilon(1e-13));
  CHECK(target.gradient(VectorXd::Zero(61))[0] == Approx(97 - 104).epsilon(1e-12));
  CHECK(target.log_density(VectorXd::Unit(61, 0)) ==
        Approx(-97 * std::log1p(std::exp(-1.0)) - 111 * std::log1p(std::exp(1.0)) - 0.5 -
               30.5 * log_two_pi)
            .epsilon(1e-13));

  // log Z by importance sampling, from the best Gaussian, wider by 10 % in the standard deviation.
  MatrixXd negated(208, 61);
  negated << VectorXd::Ones(208), data.features.rowwise() - data.features.colwise().mean();
  for (int j = 1; j < 61; ++j) negated.col(j) /= negated.col(j).norm() / std::sqrt(208.0);
  for (int i = 0; i < 208; ++i)
    if (data.labels(i) == 0) negated.row(i) *= -1;
  const wgf::Gaussian best = variational_fit(negated),
                      proposal(best.mean(), 1.21 * best.covariance());
  const Particles w = proposal.sample(20'000, 5);
  Eigen::ArrayXd log_weights(w.cols());
  for (Eigen::Index i = 0; i < w.cols(); ++i)
    log_weights(i) = target.log_density(w.col(i)) - proposal.log_density(w.col(i));
  const double largest = log_weights.maxCoeff();
  const Eigen::ArrayXd weights = (log_weights - largest).exp();
  const double estimate = largest + std::log(weights.mean());
  const double error = std::sqrt((weights / weights.mean() - 1).square().mean() / 20'000);
  CAPTURE(estimate, error);
  CHECK(error < 0.02);
  CHECK(std::abs(estimate - wgf::sonar_log_evidence) < 3 * std::hypot(error, 0.01));
  // The lower bound of the best Gaussian: published −108.83 for better families.
  const Particles z = best.sample(5'000, 6);
  Eigen::ArrayXd bound(z.cols());
  for (Eigen::Index i = 0; i < z.cols(); ++i)
    bound(i) = target.log_density(z.col(i)) - best.log_density(z.col(i));
  CHECK(bound.mean() < wgf::sonar_log_evidence);
  CHECK(bound.mean() > -109.5);
}

TEST_CASE("targets: errors name the function and the value") {
  const auto message = [](auto&& f) { return message_of<std::invalid_argument>(f); };
  CHECK(message([] { (void)Funnel(1); }) == "wgf::Funnel: the dimension must be at least 2, got 1");
  CHECK(message([] { (void)Funnel(3, 0); }) ==
        "wgf::Funnel: the variance must be positive, got 0.000000");
  CHECK(message([] { (void)Mustache(1); }) ==
        "wgf::Mustache: the correlation must be in (-1, 1), got 1.000000");
  CHECK(message([] { (void)ManyWell(0); }) ==
        "wgf::ManyWell: the number of copies must be from 1 to 62, got 0");
  CHECK(message([] { (void)ManyWell(32).modes(); }) ==
        "wgf::ManyWell::modes: 2^32 modes are too many for a list; it has at most 2^20");
  CHECK(message([] { (void)DoubleWell(2, 3); }) ==
        "wgf::DoubleWell: the number of wells must be from 1 to 2, got 3");
  CHECK(message([] { (void)DoubleWell(2, 2, -1); }) ==
        "wgf::DoubleWell: delta must be positive, got -1.000000");
  CHECK(message([] { (void)StudentMixture(MatrixXd(2, 0)); }) ==
        "wgf::StudentMixture: the number of components must be at least 1, got 0");
  CHECK(message([] { (void)wgf::uniform_mixture(0, 2, 1, 1); }) ==
        "wgf::uniform_mixture: the number of components must be at least 1, got 0");
  CHECK(message([] { (void)wgf::uniform_mixture(1, 2, -1, 1); }) ==
        "wgf::uniform_mixture: the half width must be positive, got -1.000000");
  CHECK(message([] { (void)Mustache().sample(0, 1); }) ==
        "wgf::Mustache::sample: at least one sample must be asked for, got 0");
  CHECK(message([] { (void)Funnel().gradient(VectorXd::Zero(2)); }) ==
        "wgf::Funnel::gradient: the point must have 10 coordinates, got 2");
  const MatrixXd ones = MatrixXd::Ones(2, 1);
  CHECK(message([&] { (void)LogisticRegression(ones, VectorXd::Ones(3)); }) ==
        "wgf::LogisticRegression: every row of the design needs a label, got 3 labels for 2 rows");
  CHECK(message([&] { (void)LogisticRegression(ones, Vector2d(1, 2)); }) ==
        "wgf::LogisticRegression: the labels must be 0 or 1, got 2.000000");
  CHECK(message([&] { (void)LogisticRegression(ones, Vector2d(1, 0), 0); }) ==
        "wgf::LogisticRegression: the prior's standard deviation must be positive, got 0.000000");
  CHECK(message([] { (void)LogisticRegression(MatrixXd(0, 2), VectorXd()); }) ==
        "wgf::LogisticRegression: the design must have rows and columns, got 0 x 2");
  CHECK(message([&] { (void)LogisticRegression::standardised(ones, Vector2d(1, 0)); }) ==
        "wgf::LogisticRegression::standardised: the columns must not be constant, column 0 is");
}
