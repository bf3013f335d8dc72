// SPDX-License-Identifier: BSL-1.0
// The kernel Stein discrepancy: against differences of the kernel, under the hypothesis, and away
// from it.
#include <wgf/diagnostics/stein.hpp>
#include <wgf/measure/barenblatt.hpp>

#include <cmath>

#include <Eigen/LU>

#include "catch.hpp"
#include "support.hpp"

using namespace wgf;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using wgf::test::message_of;
using wgf::test::numerical_gradient;

namespace {
const GaussianMixture mixture({1, 2},
                              {Gaussian::isotropic(3, 0.8),
                               Gaussian::isotropic(VectorXd(VectorXd::Constant(3, 1.0)), 1.2)});

// A log-density without a gradient.
struct Plain {
  int dim() const { return 2; }
  template <class T>
  T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& y) const {
    return -0.5 * y.squaredNorm();
  }
};

double kernel(const VectorXd& x, const VectorXd& y, double c) {
  return 1 / std::sqrt(c * c + (x - y).squaredNorm());
}
}  // namespace

TEST_CASE("the discrepancy of a few points is that of the kernel's derivatives by differences") {
  const int n = 5;
  const Particles x = standard_normals(3, n, 2);
  const double c = 1.3;
  double sum = 0;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) {
      if (i == j) continue;
      const VectorXd a = x.col(i), b = x.col(j), s = mixture.gradient(a), t = mixture.gradient(b);
      const auto by_a = [&](const VectorXd& at, const VectorXd& other) {
        return numerical_gradient([&](const VectorXd& p) { return kernel(p, other, c); }, at);
      };
      double trace = 0;
      for (int k = 0; k < 3; ++k)
        trace += numerical_gradient([&](const VectorXd& q) { return by_a(a, q)[k]; }, b)[k];
      sum += trace + t.dot(by_a(a, b)) + s.dot(by_a(b, a)) + s.dot(t) * kernel(a, b, c);
    }
  const auto stein = stein_discrepancy(x, mixture, {.scale = c, .whiten = false});
  CHECK(stein.squared ==
        Approx(sum / (n * (n - 1))).epsilon(1e-7));  // what differences of differences leave
  CHECK(stein.scale == c);
  CHECK(stein.points == n);

  // A change of coordinates of samples and target changes nothing in the whitened ones.
  struct Moved {
    MatrixXd a;  // of the samples A x
    int dim() const { return 3; }
    double log_density(const VectorXd& y) const { return mixture.log_density(a.lu().solve(y)); }
    VectorXd gradient(const VectorXd& y) const {
      return a.transpose().lu().solve(mixture.gradient(a.lu().solve(y)));
    }
  };
  MatrixXd a(3, 3);
  a << 20, 0, 0, 3, 0.1, 0, -1, 0,
      2;  // lower triangular: whitening factors are, and the kernel is isotropic anyhow
  const Particles many = mixture.sample(50, 3);
  const auto here = stein_discrepancy(many, mixture), there = stein_discrepancy(a * many, Moved{a});
  CHECK(there.squared == Approx(here.squared).epsilon(1e-8));
  CHECK(there.p_value == here.p_value);
}

TEST_CASE("under the hypothesis p-values are about uniform") {
  // Rejections at level 0.05 and 0.5 of 200: outside of these bounds with a probability of 1e-4,
  // were the bootstrap exact.
  int at_5 = 0, at_50 = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto stein =
        stein_discrepancy(Gaussian::isotropic(2, 1.0).sample(150, 100 + seed),
                          Gaussian::isotropic(2, 1.0), {.bootstraps = 199, .seed = seed});
    at_5 += stein.p_value <= 0.05, at_50 += stein.p_value <= 0.5;
  }
  CHECK(at_5 <= 23);
  CHECK(at_5 >= 1);
  CHECK(at_50 <= 127);
  CHECK(at_50 >= 73);
}

TEST_CASE("samples of another law are told from the target's") {
  const Gaussian target = Gaussian::isotropic(2, 1.0);
  const auto p = [&](const Particles& x, SteinOptions options = {}) {
    return stein_discrepancy(x, target, options).p_value;
  };
  CHECK(p(target.sample(1000, 4)) > 0.05);
  CHECK(p(Gaussian::isotropic(VectorXd(VectorXd::Constant(2, 0.2)), 1.0).sample(1000, 4)) < 0.01);
  CHECK(p(Gaussian::isotropic(2, 0.85).sample(1000, 4)) < 0.01);
  CHECK(p(Gaussian::isotropic(2, 1.2).sample(1000, 4)) < 0.01);
  // A direction much narrower than the other is seen in whitened coordinates, and not else.
  const Gaussian flat(VectorXd::Zero(2), VectorXd{{1, 1e4}}.asDiagonal().toDenseMatrix());
  const Particles narrow =
      Gaussian(VectorXd::Zero(2), VectorXd{{0.7, 1e4}}.asDiagonal().toDenseMatrix())
          .sample(1000, 4);
  CHECK(stein_discrepancy(narrow, flat).verdict() == Verdict::problem);
  CHECK(stein_discrepancy(narrow, flat, {.whiten = false}).verdict() == Verdict::ok);
  // In words.
  CHECK(stein_discrepancy(target.sample(1000, 4), target)
            .summary()
            .find("no difference to the target that 1000 samples") != std::string::npos);
  CHECK(stein_discrepancy(flat.sample(1000, 4), target).summary().find("1000 samples differ") !=
        std::string::npos);
}

TEST_CASE("many samples are thinned, the result is a function of the seed") {
  const Gaussian target = Gaussian::isotropic(2, 1.0);
  // In an order that the first of them would not stand for.
  const Particles drawn = target.sample(5000, 4);
  Particles x(2, 5000);
  for (Eigen::Index i = 0, front = 0, back = 5000; i < 5000; ++i)
    x.col(drawn(0, i) < 0 ? front++ : --back) = drawn.col(i);
  const auto one = stein_discrepancy(x, target, {.points = 500, .seed = 1}),
             same = stein_discrepancy(x, target, {.points = 500, .seed = 1}),
             two = stein_discrepancy(x, target, {.points = 500, .seed = 2});
  CHECK(one.points == 500);
  CHECK(one.p_value > 0.01);
  CHECK(one.squared == same.squared);
  CHECK(one.p_value == same.p_value);
  CHECK(one.squared != two.squared);
  // A log-density without a gradient will do.
  CHECK(stein_discrepancy(x, Plain{}, {.points = 500, .seed = 1}).squared == Approx(one.squared));
}

TEST_CASE("the Stein discrepancy refuses what makes no sense, and says where it cannot tell") {
  const Gaussian target = Gaussian::isotropic(2, 1.0);
  const Particles x = target.sample(100, 1);
  const auto refused = [&](const Particles& at, const SteinOptions& options = {}) {
    return message_of<std::invalid_argument>([&] { stein_discrepancy(at, target, options); });
  };
  CHECK(refused(Particles::Zero(3, 10)) ==
        "wgf::stein_discrepancy: the samples have dimension 3, the target 2");
  CHECK(refused(Particles::Zero(2, 1)).find("at least 2 samples") != std::string::npos);
  CHECK(refused(x / 0.0).find("all finite") != std::string::npos);
  CHECK(refused(x, {.scale = -1}).find("scale must not be negative") != std::string::npos);
  CHECK(refused(x, {.points = 1}).find("points at least 2") != std::string::npos);
  CHECK(refused(x, {.bootstraps = 0}).find("bootstraps at least 1") != std::string::npos);
  CHECK(refused(Particles::Zero(2, 10), {.whiten = false}).find("coincide: give a scale") !=
        std::string::npos);
  const auto outside = stein_discrepancy(x, Barenblatt::with_radius(2, 2, 0.5));
  CHECK(outside.verdict() == Verdict::inconclusive);
  CHECK(outside.summary().find("cannot tell: the gradient") != std::string::npos);
}
