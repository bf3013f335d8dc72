// SPDX-License-Identifier: BSL-1.0
#include <wgf/measure/empirical.hpp>
#include <wgf/measure/gaussian.hpp>
#include <wgf/measure/gaussian_mixture.hpp>
#include <wgf/measure/uniform_box.hpp>

#include <cmath>
#include <limits>
#include <map>
#include <numbers>

#include <Eigen/LU>

#include "catch.hpp"
#include "support.hpp"

using Eigen::MatrixXd;
using Eigen::VectorXd;
using wgf::Empirical;
using wgf::Gaussian;
using wgf::GaussianMixture;
using wgf::Particles;
using wgf::UniformBox;
using wgf::test::message_of;
using wgf::test::numerical_gradient;
using Invalid = std::invalid_argument;

namespace {
const double not_a_number = std::numeric_limits<double>::quiet_NaN();

VectorXd vector(std::initializer_list<double> values) {
  return Eigen::Map<const VectorXd>(values.begin(), static_cast<Eigen::Index>(values.size()));
}
MatrixXd random_covariance(int dim, std::uint64_t seed) {
  const MatrixXd a = wgf::standard_normals(dim, dim, seed);
  return MatrixXd::Identity(dim, dim) * 0.3 + a * a.transpose() / dim;
}
Gaussian random_gaussian(int dim, std::uint64_t seed) {
  return {wgf::standard_normals(dim, 1, seed, 9).col(0), random_covariance(dim, seed)};
}
Gaussian diagonal_gaussian(int dim, std::uint64_t seed) {
  return {
      wgf::standard_normals(dim, 1, seed, 9).col(0),
      MatrixXd((0.3 + wgf::standard_uniforms(dim, 1, seed).col(0).array()).matrix().asDiagonal())};
}
GaussianMixture random_mixture(int dim) {
  return {{1, 2.5, 0.5},
          {random_gaussian(dim, 1), diagonal_gaussian(dim, 2), random_gaussian(dim, 3)}};
}
// By the textbook: inverse and determinant.
double textbook_density(const Gaussian& g, const VectorXd& x) {
  return std::exp(-0.5 * (x - g.mean()).dot(g.covariance().inverse() * (x - g.mean()))) /
         std::sqrt((2 * std::numbers::pi * g.covariance()).determinant());
}
// Mean and covariance of n samples agree with the law's to `sigmas` standard errors. Var of s_ij is
// at most (kurtosis of the law) c_ii c_jj / n.
void check_moments(const Particles& x, const VectorXd& mean, const MatrixXd& covariance,
                   double kurtosis, double sigmas) {
  const double n = static_cast<double>(x.cols());
  const VectorXd m = x.rowwise().mean();
  const MatrixXd s = (x.colwise() - mean) * (x.colwise() - mean).transpose() / n;
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    CHECK(std::abs(m(i) - mean(i)) < sigmas * std::sqrt(covariance(i, i) / n));
    for (Eigen::Index j = 0; j <= i; ++j)
      CHECK(std::abs(s(i, j) - covariance(i, j)) <
            sigmas * std::sqrt(kurtosis * covariance(i, i) * covariance(j, j) / n));
  }
}
}  // namespace

TEST_CASE("Gaussian: density, gradient and factors") {
  for (const int dim : {1, 2, 5})
    for (const Gaussian& g :
         {random_gaussian(dim, 11), diagonal_gaussian(dim, 12), Gaussian::isotropic(dim, 1.5)}) {
      CHECK(g.dim() == dim);
      CHECK((g.factor() * g.factor().transpose() - g.covariance()).norm() < 1e-14 * dim);
      CHECK(g.factor().isLowerTriangular(0));
      CHECK((g.precision() * g.covariance() - MatrixXd::Identity(dim, dim)).norm() < 1e-13 * dim);
      const Particles x = 2 * wgf::standard_normals(dim, 20, 13);
      Particles all;
      g.gradients(x, all);
      for (Eigen::Index i = 0; i < x.cols(); ++i) {
        const VectorXd at = x.col(i), gradient = g.gradient(at);
        CHECK(g.log_density(at) == Approx(std::log(textbook_density(g, at))).epsilon(1e-12));
        CHECK(
            (gradient - numerical_gradient([&](const VectorXd& y) { return g.log_density(y); }, at))
                .norm() < 1e-9 * (1 + gradient.norm()));
        CHECK((all.col(i) - gradient).norm() < 1e-13 * (1 + gradient.norm()));
      }
    }
  CHECK(Gaussian::isotropic(3, 0.5).covariance() == 0.25 * MatrixXd::Identity(3, 3));
  CHECK(Gaussian::isotropic(vector({1, 2}), 2).mean() == vector({1, 2}));
}

TEST_CASE("Gaussian: samples have its moments and depend on the seed alone") {
  for (const Gaussian& g : {random_gaussian(4, 21), diagonal_gaussian(4, 22)}) {
    const Particles x = g.sample(100000, 5);
    REQUIRE(x.rows() == 4);
    REQUIRE(x.cols() == 100000);
    check_moments(x, g.mean(), g.covariance(), 2, 4.5);
    CHECK(x.leftCols(10).isApprox(g.sample(10, 5), 1e-14));
    CHECK(g.sample(10, 6) != g.sample(10, 5));
  }
}

TEST_CASE("Gaussian::fit returns mean and covariance with 1/n") {
  Particles x(2, 4);
  x << 0, 2, 0, 2,  //
      0, 0, 4, 8;
  const Gaussian g = Gaussian::fit(x);
  CHECK((g.mean() - vector({1, 3})).norm() < 1e-15);
  CHECK(g.covariance()(0, 0) == Approx(1));
  CHECK(g.covariance()(1, 1) == Approx((9 + 9 + 1 + 25) / 4.0));
  CHECK(g.covariance()(0, 1) == Approx((3 - 3 - 1 + 5) / 4.0));
  // Far from the origin nothing is lost but the digits of the coordinates.
  const Gaussian far = Gaussian::fit((x.array() + 1e8).matrix());
  CHECK((far.covariance() - g.covariance()).norm() < 1e-6);
}

TEST_CASE("Gaussian refuses what is none") {
  const MatrixXd identity = MatrixXd::Identity(2, 2);
  CHECK(message_of<Invalid>([&] {
          Gaussian(vector({0, 0}), MatrixXd(vector({1, -0.25}).asDiagonal()));
        }) == "wgf::Gaussian: the covariance must be positive definite to working precision");
  MatrixXd singular(2, 2);
  singular << 1, 1, 1, 1;
  CHECK_THROWS_AS(Gaussian(vector({0, 0}), singular), Invalid);
  CHECK_THROWS_AS(Gaussian(vector({0, 0}), MatrixXd::Zero(2, 2)), Invalid);
  // Small is not singular.
  CHECK_NOTHROW(Gaussian(vector({0, 0}), MatrixXd(vector({1, 1e-20}).asDiagonal())));
  MatrixXd skew = identity;
  skew(0, 1) = 0.5;
  CHECK(message_of<Invalid>([&] {
          Gaussian(vector({0, 0}), skew);
        }) ==
        "wgf::Gaussian: the covariance must be symmetric, it differs from its transpose by 0.5");
  CHECK(message_of<Invalid>([&] {
          Gaussian(vector({0, 0, 0}), identity);
        }) == "wgf::Gaussian: the covariance must be 3 x 3 like the mean, got 2 x 2");
  CHECK(message_of<Invalid>([&] {
          Gaussian(vector({0, not_a_number}), identity);
        }) == "wgf::Gaussian: mean and covariance must be finite");
  CHECK(message_of<Invalid>([&] {
          Gaussian(vector({0, 0}), not_a_number * identity);
        }) == "wgf::Gaussian: mean and covariance must be finite");
  CHECK(message_of<Invalid>([&] { Gaussian(VectorXd(), MatrixXd()); }) ==
        "wgf::Gaussian: the mean must have at least one coordinate, got none");
  CHECK(message_of<Invalid>([&] { Gaussian::isotropic(2, -1.5); }) ==
        "wgf::Gaussian: the standard deviation must be positive, got -1.5");
  CHECK(message_of<Invalid>([&] { Gaussian::isotropic(0, 1); }) ==
        "wgf::Gaussian: the dimension must be at least 1, got 0");
  CHECK(message_of<Invalid>([&] { Gaussian::isotropic(2, 1).sample(0, 1); }) ==
        "wgf::Gaussian::sample: at least one sample must be asked for, got 0");
  CHECK(message_of<Invalid>([&] { Gaussian::isotropic(2, 1).log_density(vector({1})); }) ==
        "wgf::Gaussian::log_density: the point must have 2 coordinates, got 1");
  CHECK_THROWS_AS(Gaussian::isotropic(2, 1).gradient(vector({1, 2, 3})), Invalid);
  CHECK(message_of<Invalid>([&] { Gaussian::fit(Particles::Zero(2, 2)); }) ==
        "wgf::Gaussian::fit: more particles than dimensions are needed, got 2 in 2 dimensions");
  CHECK_THROWS_AS(Gaussian::fit(Particles::Ones(2, 5)), Invalid);  // all in one place
  const Particles line = (Particles(2, 1) << 1, 3).finished() * wgf::standard_normals(1, 50, 1);
  CHECK_THROWS_AS(Gaussian::fit(line), Invalid);
}

TEST_CASE("GaussianMixture: density and gradient") {
  for (const int dim : {1, 2, 5}) {
    const GaussianMixture mixture = random_mixture(dim);
    const Particles x =
        2 * wgf::standard_normals(
                dim, 300, 31);  // more than a block of the batched version, and not a multiple
    Particles all;
    mixture.gradients(x, all);
    for (Eigen::Index i = 0; i < x.cols(); ++i) {
      const VectorXd at = x.col(i), gradient = mixture.gradient(at);
      double density = 0, most = 0;
      int mode = -1;
      for (std::size_t k = 0; k < 3; ++k) {
        const double part =
            std::vector{0.25, 0.625, 0.125}[k] * textbook_density(mixture.components()[k], at);
        density += part;
        if (part > most) most = part, mode = static_cast<int>(k);
      }
      CHECK(mixture.log_density(at) == Approx(std::log(density)).epsilon(1e-12));
      CHECK(mixture.mode_of(at) == mode);
      CHECK((gradient -
             numerical_gradient([&](const VectorXd& y) { return mixture.log_density(y); }, at))
                .norm() < 1e-8 * (1 + gradient.norm()));
      CHECK((all.col(i) - gradient).norm() < 1e-12 * (1 + gradient.norm()));
    }
  }
}

TEST_CASE("GaussianMixture: far from every mode nothing underflows") {
  const GaussianMixture mixture =
      GaussianMixture::isotropic((MatrixXd(1, 2) << -1, 1).finished(), 0.1);
  // At x = 100 the densities are below the least double; the nearer component has all the
  // responsibility.
  CHECK(mixture.log_density(vector({100})) ==
        Approx(std::log(0.5) + mixture.components()[1].log_density(vector({100}))).epsilon(1e-14));
  CHECK(mixture.gradient(vector({100}))(0) == Approx(-9900));
  Particles g;
  mixture.gradients(Particles::Constant(1, 1, 100), g);
  CHECK(g(0, 0) == Approx(-9900));
  CHECK(mixture.log_density(vector({1e200})) == -std::numeric_limits<double>::infinity());
}

TEST_CASE("GaussianMixture: the density integrates to one") {
  const GaussianMixture mixture = random_mixture(2);
  double mass = 0;
  const double h = 0.1;
  for (double x = -12; x <= 12; x += h)
    for (double y = -12; y <= 12; y += h)
      mass += h * h * std::exp(mixture.log_density(vector({x, y})));
  CHECK(mass == Approx(1).epsilon(1e-10));
}

TEST_CASE("GaussianMixture: weights, moments, samples") {
  const GaussianMixture mixture = random_mixture(3);
  CHECK(mixture.weights() == std::vector{0.25, 0.625, 0.125});
  const Particles x = mixture.sample(200000, 77);
  const double n = 200000;
  // A mixture's kurtosis depends on it; 4 is above this one's.
  check_moments(x, mixture.mean(), mixture.covariance(), 4, 4.5);
  CHECK(x.leftCols(10) == mixture.sample(10, 77));

  // Modes so far apart that a particle's component can be told.
  const GaussianMixture apart({1, 2, 5}, {Gaussian::isotropic(vector({-20, 0}), 1),
                                          Gaussian(vector({20, 0}), random_covariance(2, 5)),
                                          Gaussian::isotropic(vector({0, 20}), 0.5)});
  const Particles y = apart.sample(200000, 78);
  VectorXd counts = VectorXd::Zero(3);
  for (Eigen::Index i = 0; i < y.cols(); ++i) ++counts(apart.mode_of(y.col(i)));
  for (int k = 0; k < 3; ++k) {
    const double p = apart.weights()[static_cast<std::size_t>(k)];
    CHECK(std::abs(counts(k) / n - p) < 4 * std::sqrt(p * (1 - p) / n));
  }
  const GaussianMixture equal = GaussianMixture::isotropic(MatrixXd::Random(2, 4), 0.3);
  CHECK(equal.weights() == std::vector<double>(4, 0.25));
  CHECK(equal.components()[2].covariance()(1, 1) == Approx(0.09));
}

TEST_CASE("a mixture and a Gaussian sampled with the same seed are independent") {
  const long n = 100000;
  const VectorXd x = Gaussian::isotropic(1, 1).sample(n, 3).row(0),
                 y = GaussianMixture::isotropic(MatrixXd::Zero(1, 1), 1).sample(n, 3).row(0),
                 u = UniformBox::cube(1, std::sqrt(3.0)).sample(n, 3).row(0);
  const double bound = 4 * std::sqrt(static_cast<double>(n));
  CHECK(std::abs(x.dot(y)) < bound);
  CHECK(std::abs(x.dot(u)) < bound);
  CHECK(std::abs(y.dot(u)) < bound);
}

TEST_CASE("GaussianMixture refuses what is none") {
  const Gaussian g = Gaussian::isotropic(2, 1);
  CHECK(message_of<Invalid>([&] { GaussianMixture({}, {}); }) ==
        "wgf::GaussianMixture: at least one component is needed, got none");
  CHECK(message_of<Invalid>([&] {
          GaussianMixture({1}, {g, g});
        }) ==
        "wgf::GaussianMixture: every component needs a weight, got 1 weights for 2 components");
  CHECK(message_of<Invalid>([&] {
          GaussianMixture({1, 0}, {g, g});
        }) == "wgf::GaussianMixture: the weights must be positive, got 0.000000");
  CHECK_THROWS_AS(GaussianMixture({1, -1}, {g, g}), Invalid);
  CHECK_THROWS_AS(GaussianMixture({1, not_a_number}, {g, g}), Invalid);
  CHECK(message_of<Invalid>([&] {
          GaussianMixture({1, 1}, {g, Gaussian::isotropic(3, 1)});
        }) == "wgf::GaussianMixture: the components must have the same dimension, got 2 and 3");
  CHECK_THROWS_AS(GaussianMixture::isotropic(MatrixXd(2, 0), 1), Invalid);
  const GaussianMixture mixture({1}, {g});
  CHECK(message_of<Invalid>([&] { mixture.sample(-1, 0); }) ==
        "wgf::GaussianMixture::sample: at least one sample must be asked for, got -1");
  CHECK(message_of<Invalid>([&] { mixture.gradient(vector({1})); }) ==
        "wgf::GaussianMixture::gradient: the point must have 2 coordinates, got 1");
  CHECK_THROWS_AS(mixture.log_density(vector({1})), Invalid);
  CHECK_THROWS_AS(mixture.mode_of(vector({1})), Invalid);
}

TEST_CASE("UniformBox") {
  const UniformBox box(vector({-1, 2}), vector({1, 5}));
  CHECK(box.dim() == 2);
  CHECK(box.volume() == Approx(6));
  CHECK(box.log_density(vector({0, 3})) == Approx(-std::log(6.0)));
  CHECK(box.log_density(vector({0, 5.001})) == -std::numeric_limits<double>::infinity());
  CHECK(box.log_density(vector({-1.001, 3})) == -std::numeric_limits<double>::infinity());
  const Particles x = box.sample(100000, 4);
  CHECK((x.rowwise().minCoeff().array() > box.lower().array()).all());
  CHECK((x.rowwise().maxCoeff().array() < box.upper().array()).all());
  check_moments(x, vector({0, 3.5}), MatrixXd(vector({4 / 12.0, 9 / 12.0}).asDiagonal()), 1, 4.5);
  CHECK(UniformBox::cube(3, 0.5).volume() == Approx(1));

  CHECK(message_of<Invalid>([] {
          UniformBox(vector({0, 1}), vector({1, 1}));
        }) ==
        "wgf::UniformBox: lower must be below upper and both finite, got 1.000000 and 1.000000 in "
        "coordinate 1");
  CHECK(message_of<Invalid>([] {
          UniformBox(vector({0}), vector({1, 1}));
        }) == "wgf::UniformBox: the corners must have the same dimension, got 1 and 2");
  CHECK_THROWS_AS(UniformBox(vector({0}), vector({std::numeric_limits<double>::infinity()})),
                  Invalid);
  CHECK_THROWS_AS(UniformBox(VectorXd(), VectorXd()), Invalid);
  CHECK_THROWS_AS(UniformBox::cube(2, 0), Invalid);
  CHECK_THROWS_AS(UniformBox::cube(0, 1), Invalid);
  CHECK_THROWS_AS(box.sample(0, 1), Invalid);
  CHECK_THROWS_AS(box.log_density(vector({0})), Invalid);
}

TEST_CASE("Empirical draws its particles evenly, with replacement") {
  Particles particles(2, 5);
  particles << 0, 1, 2, 3, 4,  //
      0, 10, 20, 30, 40;
  const Empirical measure(particles);
  CHECK(measure.dim() == 2);
  CHECK(measure.particles() == particles);
  const double n = 100000;
  const Particles x = measure.sample(100000, 6);
  std::map<double, int> counts;
  CHECK(x.row(1) == 10 * x.row(0));
  for (Eigen::Index i = 0; i < x.cols(); ++i) ++counts[x(0, i)];
  REQUIRE(counts.size() == 5);
  for (const auto& [value, count] : counts)
    CHECK(std::abs(count / n - 0.2) < 4 * std::sqrt(0.16 / n));
  CHECK(x.leftCols(7) == measure.sample(7, 6));
  CHECK(measure.sample(50, 6) != measure.sample(50, 7));

  CHECK(message_of<Invalid>([] { Empirical(Particles(2, 0)); }) ==
        "wgf::Empirical: at least one particle is needed, got 0 in 2 dimensions");
  CHECK(message_of<Invalid>([] { Empirical(Particles::Constant(1, 1, not_a_number)); }) ==
        "wgf::Empirical: the particles must be finite");
  CHECK(message_of<Invalid>([&] { measure.sample(0, 1); }) ==
        "wgf::Empirical::sample: at least one sample must be asked for, got 0");
}
