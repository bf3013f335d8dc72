// SPDX-License-Identifier: BSL-1.0
// log det ∇T of the maps of the Eigen backend, against determinants of differences and of the
// vector-Jacobian products, and its gradient in the parameters against differences.
#include <cmath>

#include "random_map.hpp"

using namespace wgf;
using namespace wgf::test;

namespace {
template <class Spec>
void check(const Spec& spec, int dim, double tolerance = 1e-11) {
  Map<Spec> map(spec, dim);
  CAPTURE(Spec::name(), dim);
  const Eigen::VectorXd log_det = map.log_determinants(), expected = map.by_products();
  REQUIRE(expected.allFinite());
  CHECK((log_det - expected).cwiseAbs().maxCoeff() < tolerance);
  for (const double e : {0.3, 1.4})
    CHECK((map.log_determinants(0, e) - map.by_products(e)).cwiseAbs().maxCoeff() < tolerance);

  // The gradient of a sum, against fourth-order differences in a few parameters.
  map.log_determinants(0.7);
  const auto accumulated = map.net.gradient();
  const Eigen::VectorXd gradient = vector({accumulated.begin(), accumulated.end()});
  map.net.clear_gradient();
  const Eigen::VectorXd p = map.parameters();
  const double h = 1e-3;
  const auto step = std::max<Eigen::Index>(1, p.size() / 37);
  for (Eigen::Index k = 0; k < p.size(); k += step) {
    const auto at = [&](double shift) {
      Eigen::VectorXd q = p;
      q[k] += shift;
      map.set(q);
      return 0.7 * map.log_determinants().sum();
    };
    const double difference = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
    CAPTURE(k);
    CHECK(gradient[k] == Approx(difference).epsilon(1e-6).margin(1e-6));
  }
}
}  // namespace

TEST_CASE("log det of residual networks, and its gradient") {
  for (const int dim : {1, 2, 5, 17}) {
    check(ResidualMlp<16, 3, Silu>{.input_scale = 1.5}, dim);
    check(ResidualMlp<48, 2, Softplus>{}, dim);
  }
  for (const int dim : {1, 5, 17})
    check(ResidualMlp<16, 3, Silu>{.input_scale = 1.5, .affine = true}, dim);
  check(ResidualMlp<32, 4, Silu>{}, 40);
  check(ResidualMlp<16, 2, Silu>{}, 100);
}
TEST_CASE("log det of affine maps, and its gradient") {
  for (const int dim : {1, 3, 40}) {
    check(Affine{}, dim);
    check(DeepLinear<16, 3>{.input_scale = 0.5}, dim);
  }
}
TEST_CASE("log det of gradients of convex networks, and its gradient") {
  for (const int dim : {1, 2, 5, 20}) {
    check(IcnnGradient<16, 1>{.strong_convexity = 0.6, .input_scale = 0.7}, dim);
    check(IcnnGradient<16, 2>{.strong_convexity = 0.4}, dim);
    check(IcnnGradient<16, 4>{.strong_convexity = 0.5, .input_scale = 1.5}, dim);
  }
  check(IcnnGradient<48, 3>{.strong_convexity = 0.5}, 3);
  check(IcnnGradient<16, 2>{.strong_convexity = 0.5}, 100);
}
TEST_CASE("log det of a residual network with a learned slope") {
  // Its derivative jumps, so that differences need points away from the jumps: few parameters.
  Map<ResidualMlp<16, 2, PRelu>> map(ResidualMlp<16, 2, PRelu>{}, 2);
  CHECK((map.log_determinants() - map.by_products()).cwiseAbs().maxCoeff() < 1e-12);
  map.log_determinants(1);
  const auto gradient = map.net.gradient();
  const Eigen::VectorXd p = map.parameters();
  // The weights of the last layer and the slope: det is smooth in them.
  for (const Eigen::Index k : {Eigen::Index(48), Eigen::Index(49), p.size() - 3, p.size() - 30}) {
    const auto at = [&](double shift) {
      Eigen::VectorXd q = p;
      q[k] += shift;
      map.set(q);
      return map.log_determinants().sum();
    };
    CAPTURE(k);
    CHECK(gradient[static_cast<std::size_t>(k)] ==
          Approx((at(1e-5) - at(-1e-5)) / 2e-5).epsilon(1e-6).margin(1e-6));
  }
}
TEST_CASE("log det is NaN where a map folds, and such points have no gradient") {
  Map<Affine> map(Affine{}, 2);
  map.set(Eigen::VectorXd::Zero(6));
  CHECK((map.log_determinants().array() == 0).all());
  Eigen::VectorXd mirror = Eigen::VectorXd::Zero(6);
  mirror[0] = -2;  // x → −x in the first coordinate
  map.set(mirror);
  CHECK(map.log_determinants(1).array().isNaN().all());
  CHECK(vector(map.net.gradient()).norm() == 0);
  mirror[0] = -1;  // singular
  map.set(mirror);
  CHECK(map.log_determinants().array().isNaN().all());
  mirror[3] = -2, mirror[0] = -2;  // a rotation by π keeps the orientation
  map.set(mirror);
  CHECK(map.log_determinants().norm() < 1e-15);

  // A residual network folds at some points only; the determinant's sign is that of the products.
  Map<ResidualMlp<16, 3, Silu>> wild(ResidualMlp<16, 3, Silu>{}, 2, 3.0);
  const Eigen::VectorXd log_det = wild.log_determinants(), expected = wild.by_products();
  CHECK((log_det.array().isNaN() == expected.array().isNaN()).all());
  const auto folded = log_det.array().isNaN().count();
  CHECK((folded > 0 && folded < log_det.size()));
}
TEST_CASE("log det of a gradient of a convex network is NaN where the derivative is not definite") {
  const IcnnGradient<16, 2> spec{.strong_convexity = 0.3};
  Map<IcnnGradient<16, 2>> map(spec, 2);
  Eigen::VectorXd p = Eigen::VectorXd::Zero(map.parameters().size());
  p[p.size() - 6] = p[p.size() - 3] = -1;  // C = −I: the derivative is αI
  map.set(p);
  CHECK((map.log_determinants(1).array() - 2 * std::log(0.3)).abs().maxCoeff() < 1e-15);
  const auto gradient = map.net.gradient();
  CHECK(std::abs(gradient[gradient.size() - 6]) < 1e-13);  // ∂S/∂C = 0 there
  CHECK((map.log_determinants(0, 0.5).array() - 2 * std::log(0.65)).abs().maxCoeff() < 1e-15);
  // Two eigenvalues of −0.4: the determinant is positive, but no convex function has this Hessian.
  CHECK(map.log_determinants(0, 2).array().isNaN().all());
  map.set(Eigen::VectorXd::Zero(p.size()));
  CHECK((map.log_determinants(0, 2).array() == 0).all());
}
namespace {
template <class Spec>
void check_float(const Spec& spec, int dim) {
  CAPTURE(Spec::name(), dim);
  Map<Spec, float> one(spec, dim, 0.3, 1), three(spec, dim, 0.3, 3);
  Map<Spec> exact(spec, dim);
  CHECK((one.log_determinants(1) - exact.log_determinants(1)).cwiseAbs().maxCoeff() < 1e-5);
  CHECK(one.log_determinants() == three.log_determinants(1));
  CHECK(one.net.gradient() == three.net.gradient());
  const std::vector<float> single = one.net.gradient();
  const Eigen::VectorXd g = vector(exact.net.gradient());
  CHECK((vector({single.begin(), single.end()}) - g).norm() < 1e-5 * g.norm());
}
}  // namespace
TEST_CASE("log det in float is that in double to rounding, with the same bits on any threads") {
  check_float(ResidualMlp<32, 3, Silu>{}, 3);
  for (const int dim : {1, 2, 5, 20}) {
    check_float(IcnnGradient<32, 1>{}, dim);
    check_float(IcnnGradient<16, 4>{.input_scale = 1.5}, dim);
  }
}
