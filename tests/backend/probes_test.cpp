// SPDX-License-Identifier: BSL-1.0
// log det ∇T and its gradient by random probes, against the exact ones.
#include <wgf/functional/internal_energy.hpp>

#include <map>

#include "random_map.hpp"

using namespace wgf;
using namespace wgf::test;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {
/// Sums and sums of squares of draws of a vector, for the mean's distance in standard errors.
struct Moments {
  VectorXd sum, squares;
  int count = 0;
  void add(const VectorXd& v) {
    if (count++ == 0) sum = squares = VectorXd::Zero(v.size());
    sum += v, squares += v.cwiseAbs2();
  }
  VectorXd mean() const { return sum / count; }
  VectorXd deviations(const VectorXd& from) const {
    const VectorXd variance = (squares / count - mean().cwiseAbs2()).cwiseMax(1e-30);
    return (mean() - from).cwiseQuotient((variance / count).cwiseSqrt());
  }
};
using Residual = ResidualMlp<16, 3, Silu>;
using Convex = IcnnGradient<16, 2>;
const Residual residual{.input_scale = 1.5, .affine = true};
const Convex convex{.strong_convexity = 0.4, .input_scale = 1.5};
constexpr double exactly = 1e-14;

/// One random draw for each of the 2^d vectors of signs, at one point: their mean is exact.
template <class Spec>
void check_all_signs(const Spec& spec, int dim) {
  CAPTURE(Spec::name(), dim);
  Map<Spec> map(spec, dim, 0.3, 1, 1);
  const VectorXd log_det = map.log_determinants(1), gradient = map.gradient();
  REQUIRE(log_det.allFinite());
  VectorXd mean = VectorXd::Zero(gradient.size());
  double value = 0, spread = 0;
  std::map<int, std::uint32_t> draws;
  for (std::uint32_t draw = 0; draws.size() < (1u << dim); ++draw) {
    REQUIRE(draw < 1000);
    const Probes probes{1, exactly, 9, draw};
    VectorXd signs = VectorXd::Zero(32);
    eigen::draw_signs(Random{3}, probes, 0, 1, dim, signs.data(), 32);
    REQUIRE((signs.head(dim).array().abs() == 1).all());
    REQUIRE(signs.tail(32 - dim).norm() == 0);
    int which = 0;
    for (int j = 0; j < dim; ++j) which = 2 * which + (signs[j] > 0);
    if (!draws.emplace(which, draw).second) continue;
    const VectorXd one = map.estimated_gradient(probes);
    mean += one / (1 << dim), value += map.estimates(probes)[0] / (1 << dim);
    spread = std::max(spread, (one - gradient).norm());
  }
  CHECK((mean - gradient).norm() < 1e-13 * gradient.norm());
  CHECK(std::abs(value - log_det[0]) < 1e-13);
  if (dim > 1) CHECK(spread > 1e-3 * gradient.norm());  // a single draw is not exact
}
/// The mean over many draws, against the exact values.
template <class Spec>
void check_mean(const Spec& spec, int dim, int count) {
  CAPTURE(Spec::name(), dim, count);
  Map<Spec> map(spec, dim);
  const VectorXd log_det = map.log_determinants(0.7), gradient = map.gradient();
  REQUIRE(log_det.allFinite());
  Moments gradients, values;
  for (std::uint32_t draw = 0; draw < 100; ++draw) {
    const Probes probes{count, 1e-10, 9, draw};
    gradients.add(map.estimated_gradient(probes, 0.7)), values.add(map.estimates(probes));
  }
  // Root mean square over all parameters and points: 1 for independent unbiased estimates.
  const auto rms = [](const VectorXd& v) { return v.norm() / std::sqrt(double(v.size())); };
  CHECK(rms(values.deviations(log_det)) < 1.3);
  CHECK(rms(gradients.deviations(gradient)) < 1.3);
  const double expected = std::sqrt(
      (gradients.squares / gradients.count - gradients.mean().cwiseAbs2()).sum() / gradients.count);
  CHECK((gradients.mean() - gradient).norm() < 1.5 * expected);
}
}  // namespace

TEST_CASE("GMRES: linear systems with matrices of any kind") {
  const int d = 11, n = 3, row = eigen::simd::padded<double>(d);
  std::vector<MatrixXd> matrices;
  for (std::uint32_t i = 0; i < n; ++i)
    matrices.push_back(MatrixXd::Identity(d, d) + 0.1 * numbers(d, d, 20 + i));
  matrices[2] = MatrixXd::Identity(d, d);  // solved at once
  MatrixXd b = MatrixXd::Zero(row, n), x = b;
  b.topRows(d) = numbers(d, n, 30);
  eigen::Krylov<double> krylov(d, n);
  const auto multiply = [&](const double* v, double* to) {
    for (int r = 0; r < n; ++r)
      Eigen::Map<VectorXd>(to + r * row, d) =
          matrices[static_cast<std::size_t>(r)] * Eigen::Map<const VectorXd>(v + r * row, d);
  };
  for (const double tolerance : {1e-2, 1e-13}) {
    const int iterations = krylov.run(b.data(), n, tolerance, multiply);
    CHECK(iterations <= d);
    for (int r = 0; r < n; ++r) {
      krylov.solution(r, x.data() + r * row);
      const VectorXd residual_of_r =
          matrices[static_cast<std::size_t>(r)] * x.col(r).head(d) - b.col(r).head(d);
      CHECK(residual_of_r.norm() <= (tolerance + 1e-13) * b.col(r).norm());
    }
    if (tolerance > 1e-3) CHECK(iterations < d);
    CHECK((x.col(2) - b.col(2)).norm() < 1e-14);
  }
}
TEST_CASE("Lanczos quadrature is exact at k steps for a matrix with k eigenvalues") {
  const int d = 40, k = 4, row = eigen::simd::padded<double>(d);
  const MatrixXd q = numbers(d, d, 5).householderQr().householderQ();
  VectorXd values(d), logs(d);
  for (int i = 0; i < d; ++i) values[i] = std::pow(3.0, i % k - 1), logs[i] = std::log(values[i]);
  const MatrixXd m = q * values.asDiagonal() * q.transpose(),
                 log_m = q * logs.asDiagonal() * q.transpose();
  VectorXd b = VectorXd::Zero(row);
  b.head(d) = numbers(d, 1, 6);
  eigen::Krylov<double> krylov(d, 1);
  const int iterations = krylov.run(b.data(), 1, 1e-12, [&](const double* v, double* to) {
    Eigen::Map<VectorXd>(to, d) = m * Eigen::Map<const VectorXd>(v, d);
  });
  CHECK(iterations == k);
  CHECK(std::abs(krylov.log_quadrature(0) - b.head(d).dot(log_m * b.head(d))) < 1e-12);
}
TEST_CASE("a singular system has no solution of infinite size, and no logarithm") {
  const int d = 3, row = eigen::simd::padded<double>(d);
  VectorXd b = VectorXd::Zero(row), x = VectorXd::Ones(row);
  b.head(d).setOnes();
  eigen::Krylov<double> krylov(d, 1);
  krylov.run(b.data(), 1, 1e-12, [&](const double*, double* to) { std::fill_n(to, row, 0.0); });
  krylov.solution(0, x.data());
  CHECK(x.norm() == 0);
  CHECK(std::isnan(krylov.log_quadrature(0)));
}
TEST_CASE("the mean over all vectors of signs is exact") {
  for (const int dim : {1, 2, 3, 5}) {
    check_all_signs(convex, dim);
    check_all_signs(IcnnGradient<16, 1>{.strong_convexity = 0.6}, dim);
    check_all_signs(residual, dim);
    check_all_signs(ResidualMlp<32, 2, Softplus>{}, dim);
  }
  check_all_signs(IcnnGradient<16, 4>{.strong_convexity = 0.5}, 3);
  check_all_signs(ResidualMlp<16, 4, PRelu>{}, 3);
}
TEST_CASE("estimates by probes are unbiased") {
  check_mean(convex, 9, 1);
  check_mean(convex, 20, 3);
  check_mean(residual, 9, 1);
  check_mean(residual, 20, 3);
  check_mean(ResidualMlp<16, 2, Silu>{}, 70, 2);
}
TEST_CASE("more probes than rows of a tile, and estimates at the default tolerance") {
  const LogDeterminant form;
  const auto check = [&](const auto& spec) {
    Map map(spec, 12);
    const Probes exact{200, exactly, 9, 4}, loose{200, form.tolerance, 9, 4};
    const VectorXd gradient = map.estimated_gradient(exact), value = map.estimates(exact);
    CHECK((map.estimated_gradient(loose) - gradient).norm() < 1e-3 * gradient.norm());
    CHECK((map.estimates(loose) - value).cwiseAbs().maxCoeff() < 1e-4);
    // The error of 131 · 200 probes.
    map.log_determinants(1);
    const VectorXd all = map.gradient();
    CHECK((gradient - all).norm() < 0.03 * all.norm());
  };
  check(convex);
  check(residual);
}
TEST_CASE("estimates by probes in float, and the same bits on any threads") {
  const auto check = [](const auto& spec) {
    using Spec = std::remove_cvref_t<decltype(spec)>;
    constexpr Probes probes{2, 1e-5, 9, 4};
    Map<Spec, float> one(spec, 20, 0.3, 1, 500), three(spec, 20, 0.3, 3, 500);
    Map<Spec> exact(spec, 20, 0.3, 1, 500);
    const VectorXd single = one.estimated_gradient(probes), values = one.estimates(probes);
    CHECK(single == three.estimated_gradient(probes));
    CHECK(values == three.estimates(probes));
    const VectorXd gradient = exact.estimated_gradient(probes);
    CHECK((single - gradient).norm() < 3e-5 * gradient.norm());
    CHECK((values - exact.estimates(probes)).cwiseAbs().maxCoeff() < 1e-4);
    CHECK(single != one.estimated_gradient({2, 1e-5, 9, 5}));
    CHECK(single != one.estimated_gradient({2, 1e-5, 8, 4}));
  };
  check(convex);
  check(residual);
}
