// SPDX-License-Identifier: BSL-1.0
// Potentials: gradients derived automatically, values and gradients in a step's coordinates.
#include <wgf/functional/potential.hpp>
#include <wgf/measure/uniform_box.hpp>

#include "terms.hpp"

using namespace wgf;
using namespace wgf::test;
using Eigen::ArrayXd;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using Invalid = std::invalid_argument;

namespace {
// Every function that a log-density is likely to be made of.
struct Elaborate {
  int dimension;
  int dim() const { return dimension; }
  template <class T>
  T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    T sum = T(0.5) * log(T(1) + x.squaredNorm());
    for (Eigen::Index i = 0; i < x.size(); ++i) {
      const double c = 1 + 0.1 * static_cast<double>(i);
      sum += tanh(c * x[i]) - c * exp(-x[i] * x[i]) + sqrt(T(2) + sin(x[i])) -
             pow(T(1) + x[i] * x[i], 1.5) + cos(c * x[i]) / (T(3) + abs(x[i]));
    }
    return sum + x[0] * x[x.size() - 1];
  }
  VectorXd by_hand(const VectorXd& x) const {
    VectorXd g = x / (1 + x.squaredNorm());
    for (Eigen::Index i = 0; i < x.size(); ++i) {
      const double c = 1 + 0.1 * static_cast<double>(i), t = x[i], th = std::tanh(c * t),
                   a = 3 + std::abs(t), sign = t < 0 ? -1 : 1;
      g[i] += c * (1 - th * th) + 2 * c * t * std::exp(-t * t) +
              std::cos(t) / (2 * std::sqrt(2 + std::sin(t))) - 3 * t * std::sqrt(1 + t * t) -
              c * std::sin(c * t) / a - sign * std::cos(c * t) / (a * a);
    }
    g[0] += x[x.size() - 1], g[x.size() - 1] += x[0];
    return g;
  }
};
// The same, with its gradient.
struct WithGradient : Elaborate {
  VectorXd gradient(const VectorXd& x) const { return by_hand(x); }
};
// A log-density that does not depend on all coordinates, or on none.
struct First {
  int dim() const { return 12; }
  template <class T>
  T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    return -x[0] * x[0];
  }
};
struct Flat {
  int dim() const { return 2; }
  template <class T>
  T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>&) const {
    return T(1);
  }
};

template <class Target>
void check_potential(const Target& target) {
  const auto runtime = EigenBackend<double>{.threads = 1}.start();
  const int d = target.dim();
  const Gaussian cloud = random_gaussian(d, 3);
  auto bound = Potential<Target>{target}.bind(runtime, d, 10, 0);
  for (const Frame& frame : {Frame::none(d), Frame::whitening(cloud)})
    for (const double weight : {1.0, 2.5}) {
      check_direct(bound, runtime, frame, cloud, weight);
      // The value is −log q at x = m + L y.
      auto y = runtime.points(d, 1);
      const VectorXd at = standard_normals(d, 1, 9, 8);
      runtime.upload(at, y);
      CHECK(bound.value({0, 1, 0, 0}, y) ==
            Approx(-target.log_density(VectorXd(frame.mean + frame.factor * at))).epsilon(1e-12));
    }
}
}  // namespace

TEST_CASE("a templated log-density's gradient is derived automatically") {
  STATIC_REQUIRE(TemplatedTarget<Elaborate>);
  STATIC_REQUIRE(DifferentiatedTarget<WithGradient>);
  for (const int dim : {1, 2, 7, 8, 9, 16, 20}) {
    const Elaborate target{dim};
    for (std::uint64_t k = 0; k < 5; ++k) {
      const VectorXd x = standard_normals(dim, 1, k), derived = log_density_gradient(target, x),
                     by_hand = target.by_hand(x);
      CHECK((derived - by_hand).norm() < 1e-13 * (1 + by_hand.norm()));
      CHECK((derived -
             numerical_gradient([&](const VectorXd& at) { return target.log_density(at); }, x))
                .norm() < 1e-8 * (1 + by_hand.norm()));
      CHECK(log_density_gradient(WithGradient{{dim}}, x) == by_hand);
    }
  }
  const VectorXd x = standard_normals(12, 1, 1), g = log_density_gradient(First{}, x);
  CHECK(g[0] == Approx(-2 * x[0]));
  CHECK(g.tail(11).isZero(0));
  CHECK(log_density_gradient(Flat{}, VectorXd::Ones(2)).isZero(0));
}

TEST_CASE("the concepts of targets accept and reject") {
  STATIC_REQUIRE(Target<Gaussian>);
  STATIC_REQUIRE(Target<GaussianMixture>);
  STATIC_REQUIRE(Target<Flat>);
  STATIC_REQUIRE_FALSE(Target<int>);
  STATIC_REQUIRE_FALSE(Target<UniformBox>);  // no gradient, and its log-density takes doubles only
  STATIC_REQUIRE_FALSE(TemplatedTarget<Gaussian>);
}

TEST_CASE("potential of a Gaussian: gradient and value in a step's coordinates") {
  check_potential(random_gaussian(3, 8));
}
TEST_CASE("potential of a mixture: gradient and value in a step's coordinates") {
  check_potential(GaussianMixture({1, 2}, {random_gaussian(3, 8), random_gaussian(3, 9)}));
}
TEST_CASE("potential of a target with a gradient: gradient and value in a step's coordinates") {
  check_potential(WithGradient{{3}});
}
TEST_CASE("potential of a templated target: gradient and value in a step's coordinates") {
  check_potential(Elaborate{3});
}
