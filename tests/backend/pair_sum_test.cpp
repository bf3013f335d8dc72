// SPDX-License-Identifier: BSL-1.0
// Sums over pairs of an interaction kernel against plain sums in double precision.
#include <wgf/backend/eigen/pair_sum.hpp>

#include "../catch.hpp"
#include "../support.hpp"

using namespace wgf;
using namespace wgf::test;
using namespace wgf::eigen;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {
struct Skew {  // not radial, its gradient derived
  template <class T>
  T value(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    return exp(-x[0] * x[0]) * cos(x[x.size() - 1]);
  }
};
struct Exponential {  // radial, with Eigen's exponential
  template <class Q>
  auto value(const Q& q) const {
    return exp(-2 * q);
  }
  template <class Q>
  auto derivative(const Q& q) const {
    return -2 * exp(-2 * q);
  }
  template <class Q>
  auto curvature(const Q& q) const {
    return 4 * exp(-2 * q);
  }
  double value(double q) const { return std::exp(-2 * q); }
  double derivative(double q) const { return -2 * std::exp(-2 * q); }
  double curvature(double q) const { return 4 * std::exp(-2 * q); }
};

template <class Scalar>
struct Numbers : Points<Scalar> {
  MatrixXd numbers;  // exactly what the memory holds
  Numbers(int dim, long n, std::uint64_t seed)
      : Points<Scalar>(dim, n),
        numbers(standard_normals(dim, n, seed).cast<Scalar>().template cast<double>()) {
    this->all() = numbers.array().template cast<Scalar>();
  }
};
template <class Scalar>
MatrixXd numbers_of(const PointsView<Scalar>& x) {
  return x.all().template cast<double>().matrix();
}
/// Means over the samples y, but for sample first + i at point i.
template <class K>
MatrixXd plain_gradients(const K& kernel, const MatrixXd& x, const MatrixXd& y,
                         long first = -1'000'000) {
  MatrixXd out = MatrixXd::Zero(x.rows(), x.cols());
  for (long i = 0; i < x.cols(); ++i)
    for (long j = 0; j < y.cols(); ++j)
      if (j != first + i) out.col(i) += kernel_gradient(kernel, x.col(i) - y.col(j));
  return out / static_cast<double>(y.cols() - (first >= 0));
}
template <class K>
VectorXd plain_values(const K& kernel, const MatrixXd& x, const MatrixXd& y,
                      long first = -1'000'000) {
  VectorXd out = VectorXd::Zero(x.cols());
  for (long i = 0; i < x.cols(); ++i)
    for (long j = 0; j < y.cols(); ++j)
      if (j != first + i) out[i] += kernel_value(kernel, x.col(i) - y.col(j));
  return out / static_cast<double>(y.cols() - (first >= 0));
}
template <class Scalar>
constexpr double tolerance = std::is_same_v<Scalar, float> ? 1e-6 : 1e-13;

template <class Scalar, class K>
void check_kernel_in(int dim, const K& kernel, long n, long m) {
  INFO("dimension " << dim << ", " << n << " points, " << m << " samples");
  const Numbers<Scalar> x(dim, n, 1), y(dim, m, 2);
  const MatrixXd gradients = plain_gradients(kernel, x.numbers, y.numbers),
                 own = plain_gradients(kernel, x.numbers, x.numbers, 0);
  const VectorXd values = plain_values(kernel, x.numbers, y.numbers),
                 own_values = plain_values(kernel, x.numbers, x.numbers, 0);
  MatrixXd first, first_own;
  VectorXd first_values;
  for (const int threads : {1, 2, 3}) {
    ThreadTeam team(threads, 1);
    const Points<Scalar> out(dim, n), out_own(dim, n);
    pair_gradients<K, Scalar>(team, kernel, x, y, out),
        self_gradients<K, Scalar>(team, kernel, x, out_own);
    const VectorXd got_values = pair_values<K, Scalar>(team, kernel, x, y),
                   got_own = self_values<K, Scalar>(team, kernel, x);
    const MatrixXd got = numbers_of<Scalar>(out), self = numbers_of<Scalar>(out_own);
    if (threads == 1) {
      const auto near = [](const auto& a, const auto& b) {
        return (a - b).cwiseAbs().maxCoeff() <= tolerance<Scalar> * (1 + b.cwiseAbs().maxCoeff());
      };
      CHECK(near(got, gradients));
      CHECK(near(self, own));
      CHECK(near(got_values, values));
      CHECK(near(got_own, own_values));
      first = got, first_own = self, first_values = got_values;
    } else {
      CHECK(got == first);
      CHECK(self == first_own);
      CHECK(got_values == first_values);
    }
  }
}
}  // namespace

TEMPLATE_TEST_CASE(
    "means over pairs are the plain ones, with the same bits on any number of threads", "", float,
    double) {
  for (const int dim : {1, 2, 3, 5}) {
    for (const auto& [n, m] : {std::pair{2L, 1L}, {33L, 130L}, {300L, 257L}, {707L, 90L}}) {
      check_kernel_in<TestType>(dim, GaussianKernel{.amplitude = -0.5, .width = 0.8}, n, m);
      check_kernel_in<TestType>(dim, LogarithmicKernel{.softening = 0.1}, n, m);
    }
    check_kernel_in<TestType>(dim, RingKernel{}, 140, 90);
    check_kernel_in<TestType>(dim, QuadraticKernel{}, 140, 90);
    check_kernel_in<TestType>(dim, Exponential{}, 140, 90);
    check_kernel_in<TestType>(dim, Skew{}, 50, 40);
  }
}

TEST_CASE("a singular kernel leaves out a point's own term") {
  const Numbers<float> x(2, 600, 1);
  const LogarithmicKernel kernel{};
  ThreadTeam team(2, 1);
  const Points<float> out(2, 600);
  self_gradients<LogarithmicKernel, float>(team, kernel, x, out);
  const MatrixXd expected = plain_gradients(kernel, x.numbers, x.numbers, 0);
  CHECK(((numbers_of<float>(out) - expected).colwise().norm().array() <
         1e-5 * (1 + expected.colwise().norm().array()))
            .all());
}

TEMPLATE_TEST_CASE("tiles of a batch meet the batch itself", "", float, double) {
  for (const int dim : {1, 2, 3, 5}) {
    const long n = 500;
    const Numbers<TestType> y(dim, n, 3);
    const GaussianKernel kernel{};
    const MatrixXd expected = 1 - 0.3 * plain_gradients(kernel, y.numbers, y.numbers, 0).array();
    const double energy = plain_values(kernel, y.numbers, y.numbers, 0).sum();
    double first = 0;
    for (const int threads : {1, 2}) {
      ThreadTeam team(threads, 1);
      PairSum<GaussianKernel, TestType> sum(kernel, dim, threads);
      const Points<TestType> g(dim, n);
      g.all().setOnes();
      BatchSum total;
      team.parallel(n, [&](Slice s) {
        sum.add_gradient(s, y(s), y, g(s), -0.3, s.begin);
        total.add(s, sum.value(s, y(s), y, s.begin));
      });
      CHECK((numbers_of<TestType>(g) - expected).cwiseAbs().maxCoeff() < tolerance<TestType>);
      CHECK(total.value() == Approx(energy).epsilon(tolerance<TestType>));
      if (threads == 1) first = total.value();
      else CHECK(total.value() == first);
    }
  }
}

TEST_CASE("ten thousand samples lose nothing in float") {
  // All samples on one side: ten thousand terms of about the same size, which a float would add
  // with errors of 1e-4.
  const long m = 10'000;
  const Numbers<float> x(2, 40, 1);
  Numbers<float> y(2, m, 2);
  y.all() += 20.0f;
  y.numbers = numbers_of<float>(y);
  ThreadTeam team(2, 1);
  const Points<float> out(2, 40);
  pair_gradients<QuadraticKernel, float>(team, {}, x, y, out);
  const MatrixXd expected = plain_gradients(QuadraticKernel{}, x.numbers, y.numbers);
  CHECK((numbers_of<float>(out) - expected).cwiseAbs().maxCoeff() <
        2.5e-7 * expected.cwiseAbs().maxCoeff());
}

TEST_CASE("the register's powers of two are exact to 2e-7") {
  constexpr int n = simd::lanes<float>;
  double worst = 0;
  for (float x = -125.9f; x < 127.9f; x += 0.0037f) {
    const auto power = simd::exp2<float>(simd::broadcast(x));
    worst = std::max(
        worst, std::abs(static_cast<double>(power[n - 1]) / std::exp2(static_cast<double>(x)) - 1));
  }
  CHECK(worst < 2e-7);
  const auto of = [](float x) { return simd::exp2<float>(simd::broadcast(x))[0]; };
  for (const float x : {-127.0f, -128.0f, -1e10f, -std::numeric_limits<float>::infinity()})
    CHECK(of(x) == 0);
  for (float x = -127.0f; x < -125.5f; x += 1e-3f) CHECK(std::abs(of(x) - std::exp2(x)) < 1.2e-38f);
  for (const float x : {128.0f, 129.0f, 1e10f, std::numeric_limits<float>::infinity()})
    CHECK(of(x) == std::numeric_limits<float>::infinity());
  CHECK(of(0) == 1);
  CHECK(std::isnan(of(std::nanf(""))));
  CHECK(std::isnan(of(-std::nanf(""))));
}

TEST_CASE("what is not finite is not hidden") {
  Numbers<float> x(2, 50, 1);
  const Numbers<float> y(2, 60, 2);
  x.row(7)[1] = std::numeric_limits<float>::quiet_NaN();
  ThreadTeam team(1, 1);
  const Points<float> out(2, 50);
  pair_gradients<GaussianKernel, float>(team, {}, x, y, out);
  CHECK(std::isnan(out.row(7)[0]));
  CHECK(std::isfinite(out.row(6)[0]));
  CHECK(std::isnan(pair_values<GaussianKernel, float>(team, {}, x, y)[7]));
}

TEMPLATE_TEST_CASE("derivatives at a point are means over the samples", "", float, double) {
  const auto check = [](const auto& kernel) {
    for (const int dim : {1, 2, 5}) {
      const Numbers<TestType> y(dim, 700, 4);
      const VectorXd x = standard_normals(dim, 1, 9);
      const auto got = pair_derivatives<std::decay_t<decltype(kernel)>, TestType>(kernel, x, y);
      double value = 0;
      VectorXd gradient = VectorXd::Zero(dim);
      MatrixXd hessian = MatrixXd::Zero(dim, dim);
      for (long j = 0; j < 700; ++j) {
        const VectorXd at = x - y.numbers.col(j);
        value += kernel_value(kernel, at) / 700, gradient += kernel_gradient(kernel, at) / 700,
            hessian += kernel_hessian(kernel, at) / 700;
      }
      CHECK(got.value == Approx(value).epsilon(1e-12));
      CHECK((got.gradient - gradient).norm() < 1e-12 * (1 + gradient.norm()));
      CHECK((got.hessian - hessian).norm() < 1e-12 * (1 + hessian.norm()));
    }
  };
  check(GaussianKernel{.width = 1.5});
  check(RingKernel{});
  check(QuadraticKernel{});
  check(LogarithmicKernel{.softening = 0.2});
  check(Skew{});
}

TEST_CASE("sums over pairs refuse clouds that do not fit") {
  using Invalid = std::invalid_argument;
  ThreadTeam team(1, 1);
  const Points<float> two(2, 5), three(3, 5), none(2, 0), one(2, 1);
  CHECK(message_of<Invalid>([&] {
          pair_gradients<RingKernel, float>(team, {}, two, three, two);
        }) == "wgf::pair_gradients: points and samples must have the same dimension, got 2 and 3");
  CHECK(message_of<Invalid>([&] { pair_gradients<RingKernel, float>(team, {}, two, none, two); }) ==
        "wgf::pair_gradients: there must be at least 1 samples, got 0");
  CHECK(message_of<Invalid>([&] { self_gradients<RingKernel, float>(team, {}, one, one); }) ==
        "wgf::self_gradients: there must be at least 2 samples, got 1");
  CHECK(message_of<Invalid>([&] {
          pair_values<GaussianKernel, float>(team, {.width = -1}, two, two);
        }) == "wgf::GaussianKernel: width must be positive, got -1.000000");
}
