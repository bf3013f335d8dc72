// SPDX-License-Identifier: BSL-1.0
// Base densities, divergences, fits, and sums of terms: values, gradients and derivatives against
// differences and closed forms.
#include <wgf/functional/functional.hpp>

#include "terms.hpp"

using namespace wgf;
using namespace wgf::test;
using Eigen::ArrayXd;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using Invalid = std::invalid_argument;

TEST_CASE(
    "the adaptive Gaussian base: density, gradient and samples, in either coordinates, inflated or "
    "not") {
  const auto runtime = EigenBackend<double>{.seed = 4, .threads = 1}.start();
  const long n = 100000;
  const Gaussian cloud = random_gaussian(3, 3);
  // GaussianReference adds + ∇ log μ, its log_density is log μ: the signature of a direct term.
  struct AsTerm {
    GaussianReference<DoubleRuntime> base;
    void begin_step(const DoubleRuntime& r, const StepContext<DoubleRuntime>& context,
                    double weight) {
      base.begin_step(r, context, weight);
    }
    void add_gradient(eigen::Slice s, const eigen::PointsView<double>& y,
                      eigen::PointsView<double>& g) {
      base.add_gradient(y(s), g(s));
    }
    double value(eigen::Slice s, const eigen::PointsView<double>& y) {
      return base.log_density(s, y(s));
    }
  };
  for (const Frame& frame : {Frame::none(3), Frame::whitening(cloud), Frame::scaling(cloud),
                             Frame::whitening(random_gaussian(3, 8))})
    for (const double inflation : {1.0, 1.5}) {
      AsTerm term{GaussianReference<DoubleRuntime>(runtime, 3, n, inflation)};
      check_direct(term, runtime, frame, cloud, 0.7);
      const Gaussian inflated(cloud.mean(), inflation * inflation * cloud.covariance());
      auto y = runtime.points(3, n);
      const VectorXd at = standard_normals(3, 1, 9, 8);
      runtime.upload(at, y.window(0, 1));
      CHECK(term.value({0, 1, 0, 0}, y) ==
            Approx(inflated.log_density(frame.mean + frame.factor * at)).epsilon(1e-12));
      // Samples: the inflated Gaussian in x, within five standard errors.
      runtime.parallel(n, [&](eigen::Slice s) { term.base.sample(runtime, s, y(s), 77, 5); });
      const Particles x = (frame.factor * runtime.download(y)).colwise() + frame.mean;
      const Gaussian fitted = Gaussian::fit(x);
      for (int i = 0; i < 3; ++i) {
        CHECK(std::abs(fitted.mean()[i] - inflated.mean()[i]) <
              5 * std::sqrt(inflated.covariance()(i, i) / n));
        for (int j = 0; j < 3; ++j)
          CHECK(std::abs(fitted.covariance()(i, j) - inflated.covariance()(i, j)) <
                5 * std::sqrt(2 * inflated.covariance()(i, i) * inflated.covariance()(j, j) / n));
      }
    }
}

TEST_CASE(
    "Kullback-Leibler: the derivatives are derivatives, the bound is greatest at u = log p/q") {
  const KullbackLeibler kl;
  const ArrayXd u = ArrayXd::LinSpaced(201, -10, 10);
  const double h = 1e-3;
  const auto derivative = [&](auto f) {
    return ArrayXd((8 * (f(u + h) - f(u - h)) - (f(u + 2 * h) - f(u - 2 * h))) / (12 * h));
  };
  const ArrayXd gain_derivative = derivative([&](const ArrayXd& v) { return ArrayXd(kl.gain(v)); });
  const ArrayXd cost_derivative = derivative([&](const ArrayXd& v) { return ArrayXd(kl.cost(v)); });
  CHECK((ArrayXd(kl.gain_derivative(u)) - gain_derivative).abs().maxCoeff() < 1e-10);
  CHECK(((ArrayXd(kl.cost_derivative(u)) - cost_derivative) / (1 + cost_derivative.abs()))
            .abs()
            .maxCoeff() < 1e-10);
  // p A'(u) = q B'(u) where e^u = p/q.
  const ArrayXd ratio = u.exp();
  CHECK((ratio * ArrayXd(kl.gain_derivative(u)) - ArrayXd(kl.cost_derivative(u))).abs().maxCoeff() <
        1e-11 * ratio.maxCoeff());
  CHECK(ArrayXd(kl.cost(ArrayXd::Zero(1)))[0] == 0);
  // Nothing overflows, in float either.
  const Eigen::ArrayXf large = Eigen::ArrayXf::Constant(3, 500);
  CHECK(Eigen::ArrayXf(kl.cost(large)).allFinite());
  CHECK(Eigen::ArrayXf(kl.cost_derivative(large)).allFinite());
}

TEST_CASE(
    "the losses that fit u: their derivatives are derivatives, and they have the same minimiser") {
  const KullbackLeibler kl;
  const VariationalBound own;
  const LogisticLoss logistic;
  const ArrayXd u = ArrayXd::LinSpaced(201, -10, 10);
  const double h = 1e-3;
  const auto check = [&](const ArrayXd& derivative, auto loss) {
    const ArrayXd expected =
        (8 * (loss(u + h) - loss(u - h)) - (loss(u + 2 * h) - loss(u - 2 * h))) / (12 * h);
    CHECK(((derivative - expected) / (1 + expected.abs())).abs().maxCoeff() < 1e-10);
  };
  check(own.derivative_p(kl, u), [&](const ArrayXd& v) { return ArrayXd(-kl.gain(v)); });
  check(own.derivative_reference(kl, u), [&](const ArrayXd& v) { return ArrayXd(kl.cost(v)); });
  check(logistic.derivative_p(kl, u),
        [](const ArrayXd& v) { return ArrayXd((1 + (-v).exp()).log()); });
  check(logistic.derivative_reference(kl, u),
        [](const ArrayXd& v) { return ArrayXd((1 + v.exp()).log()); });
  // At u = log p/q the derivatives under p and under q cancel.
  for (const double p : {0.1, 0.5, 3.0}) {
    const ArrayXd at = ArrayXd::Constant(1, std::log(p));
    CHECK(p * ArrayXd(own.derivative_p(kl, at))[0] + ArrayXd(own.derivative_reference(kl, at))[0] ==
          Approx(0).margin(1e-14));
    CHECK(p * ArrayXd(logistic.derivative_p(kl, at))[0] +
              ArrayXd(logistic.derivative_reference(kl, at))[0] ==
          Approx(0).margin(1e-14));
  }
  for (const float far : {-500.f, 500.f}) {
    const Eigen::ArrayXf at = Eigen::ArrayXf::Constant(3, far);
    CHECK(Eigen::ArrayXf(logistic.derivative_p(kl, at)).isApproxToConstant(far < 0 ? -1 : 0));
    CHECK(
        Eigen::ArrayXf(logistic.derivative_reference(kl, at)).isApproxToConstant(far < 0 ? 0 : 1));
  }
}

TEST_CASE("functionals add and scale") {
  const Gaussian q = random_gaussian(2, 1);
  const auto f = kl(q, Quadratic{});
  CHECK(f.dim() == 2);
  CHECK(entropy(Quadratic{}).dim() == 0);
  const auto sum = f + 0.5 * (potential(q) + 3.0 * entropy(Quadratic{}));
  std::vector<double> weights;
  hana::for_each(sum.terms, [&](const auto& t) { weights.push_back(t.weight); });
  CHECK(weights == std::vector<double>{1, 1, 0.5, 1.5});
  CHECK(sum.dim() == 2);
  CHECK(message_of<Invalid>([&] { (potential(q) + potential(random_gaussian(3, 1))).dim(); }) ==
        "wgf::Functional: its terms have dimensions 2 and 3");
  CHECK(message_of<Invalid>([&] { -1.0 * f; }) ==
        "wgf::Functional: a weight must be positive, got -1.000000");
  CHECK_THROWS_AS(0.0 * f, Invalid);
  CHECK_THROWS_AS(std::nan("") * f, Invalid);
  CHECK_THROWS_AS(HUGE_VAL * f, Invalid);
  CHECK(message_of<Invalid>([&] { kl(q, Dual<Quadratic, VariationalBound>{.inflation = 0}); }) ==
        "wgf::entropy: the reference's inflation must be positive, got 0.000000");
  CHECK_THROWS_AS((entropy(Dual<Quadratic, VariationalBound>{.inflation = -1.5})), Invalid);
}

TEST_CASE("half a functional has half the gradient") {
  const auto runtime = EigenBackend<double>{.threads = 1}.start();
  const Gaussian q = random_gaussian(2, 1), cloud = random_gaussian(2, 2);
  const Particles points = standard_normals(2, 50, 3);
  const auto gradient = [&](const auto& f) {
    auto terms = f.bind(runtime, 2, 50, 0);
    auto y = runtime.points(2, 50), g = runtime.points(2, 50);
    runtime.upload(points, y);
    hana::for_each(terms, [&](auto& t) {
      t.term.begin_step(
          runtime, wgf::test::context<DoubleRuntime>(Frame::whitening(cloud), cloud, y), t.weight);
    });
    runtime.parallel(50, [&](eigen::Slice s) {
      each_direct<DoubleRuntime>(terms, [&](auto& term, double) { term.add_gradient(s, y, g); });
    });
    return runtime.download(g);
  };
  const Particles whole = gradient(kl(q, Quadratic{})), half = gradient(0.5 * kl(q, Quadratic{}));
  CHECK((whole - 2 * half).norm() < 1e-13 * whole.norm());
  CHECK((gradient(kl(q, Quadratic{}) + 0.5 * kl(q, Quadratic{})) - whole - half).norm() <
        1e-13 * whole.norm());
  // Direct in KL(P‖q): −log q + log μ, whose gradient in the whitened frame is Lᵀ Σ_q⁻¹ (m + L y −
  // m_q) − y.
  const MatrixXd x = (cloud.factor() * points).colwise() + cloud.mean();
  CHECK((whole - (cloud.factor().transpose() * q.precision() * (x.colwise() - q.mean()) - points))
            .norm() < 1e-12 * whole.norm());
}

TEST_CASE("every dual of a sum has random numbers of its own") {
  const auto runtime = EigenBackend<double>{.threads = 1}.start();
  using Net = Mlp<16, 2>;
  const auto f = entropy(Net{}) + entropy(Net{}) + entropy(Net{} + Net{} + Net{});
  auto terms = f.bind(runtime, 2, 50, 1100);
  const Gaussian cloud = Gaussian::isotropic(2, 1);
  std::vector<std::vector<double>> parameters;
  std::vector<Particles> samples;
  each_dual<DoubleRuntime>(terms, [&](auto& dual, double) {
    dual.begin_step(
        runtime,
        wgf::test::context<DoubleRuntime>(Frame::whitening(cloud), cloud, dual.reference_batch), 1);
    runtime.parallel(
        50, [&](eigen::Slice s) { dual.sample_reference(runtime, s, dual.reference_batch(s), 3); });
    samples.push_back(runtime.download(dual.reference_batch));
    const auto list = dual.network.parameters();
    for (std::size_t i = 0; i < list.size(); i += 66)
      parameters.push_back(
          {list.begin() + static_cast<long>(i), list.begin() + static_cast<long>(i) + 66});
  });
  REQUIRE(parameters.size() == 5);
  REQUIRE(samples.size() == 3);
  for (std::size_t i = 0; i < parameters.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) CHECK(parameters[i] != parameters[j]);
  for (std::size_t i = 0; i < samples.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) CHECK(samples[i] != samples[j]);
}
