// SPDX-License-Identifier: BSL-1.0
// Adam and the average of iterates, by the books.
#include <wgf/network/affine_form.hpp>

#include "network_probe.hpp"

using namespace wgf;
using namespace wgf::test;

namespace {
// Algorithm 1 of Kingma and Ba for one number.
struct ScalarAdam {
  double rate, beta1, beta2, epsilon = 1e-8, m = 0, v = 0;
  int t = 0;
  double step(double p, double g) {
    ++t;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const double m_hat = m / (1 - std::pow(beta1, t)), v_hat = v / (1 - std::pow(beta2, t));
    return p - rate * m_hat / (std::sqrt(v_hat) + epsilon);
  }
};

// Affine in 3 dimensions: 12 parameters, rows of padded registers.
struct Net {
  eigen::EigenRuntime<double> runtime;
  eigen::AffineNetwork<double> net;
  eigen::Points<double> x, dy;
  explicit Net(int threads, long n = 500)
      : runtime(EigenBackend<double>{.threads = threads}.start()),
        net(runtime.network(Affine{}, 3, n, 0, Keep::tile)),
        x(runtime.points(3, n)),
        dy(runtime.points(3, n)) {}
  // A gradient that changes with the step.
  std::vector<double> pull(std::uint32_t step) {
    runtime.upload(numbers(3, x.count(), 100 + step), x),
        runtime.upload(numbers(3, x.count(), 200 + step) / 500, dy);
    runtime.parallel(x.count(), [&](eigen::Slice s) {
      net.forward(s, x(s)), net.accumulate_vjp(s, x(s), dy(s));
    });
    return net.gradient();
  }
};
}  // namespace

TEST_CASE("Adam's rule") {
  for (const int threads : {1, 3}) {
    Net a(threads);
    auto expected = list(numbers(1, 12, 1).row(0).transpose());
    a.net.set_parameters(expected);
    std::vector<ScalarAdam> rule(12, ScalarAdam{0.01, 0.5, 0.9});
    for (std::uint32_t k = 0; k < 20; ++k) {
      const auto g = a.pull(k);
      a.net.descend({.rate = 0.01, .beta1 = 0.5, .beta2 = 0.9});
      for (std::size_t i = 0; i < 12; ++i) {
        expected[i] = rule[i].step(expected[i], g[i]);
        CHECK(a.net.parameters()[i] == Approx(expected[i]).epsilon(1e-13));
      }
      CHECK(vector(a.net.gradient()).isZero(0));  // a step uses the gradient up
    }
    // Forgetting the moments starts the rule anew.
    a.net.reset_optimiser();
    rule.assign(12, ScalarAdam{0.02, 0.9, 0.999});
    for (std::uint32_t k = 0; k < 3; ++k) {
      const auto g = a.pull(k);
      a.net.descend({.rate = 0.02, .beta1 = 0.9, .beta2 = 0.999});
      for (std::size_t i = 0; i < 12; ++i)
        CHECK(a.net.parameters()[i] ==
              Approx(expected[i] = rule[i].step(expected[i], g[i])).epsilon(1e-13));
    }
  }
}

TEST_CASE("a pullback adds to the gradient") {
  Net a(2);
  const Eigen::VectorXd once = vector(a.pull(1)), both = vector(a.pull(2));
  a.net.clear_gradient();
  CHECK((both - once - vector(a.pull(2))).norm() < 1e-14);
}

TEST_CASE("use_average is the mean of the accumulated iterates") {
  Net a(2);
  for (const int rounds : {7, 3}) {  // the second average begins afresh
    Eigen::VectorXd sum = Eigen::VectorXd::Zero(12);
    for (std::uint32_t k = 0; k < 10; ++k) {
      a.pull(k);
      a.net.descend({.rate = 0.1});
      if (k < 10u - static_cast<unsigned>(rounds)) continue;
      a.net.accumulate_average();
      sum += vector(a.net.parameters());
    }
    const auto last = a.net.parameters();
    a.net.use_average();
    CHECK((vector(a.net.parameters()) - sum / rounds).norm() < 1e-14);
    CHECK(a.net.parameters() != last);
    // The map is the averaged one at once.
    const AffineForm form = affine_form(Affine{}, 3, a.net.parameters());
    const Particles x = numbers(3, 500, 9);
    a.runtime.upload(x, a.x);
    a.runtime.parallel(500, [&](eigen::Slice s) { a.dy(s) = a.net.forward(s, a.x(s)); });
    CHECK((a.runtime.download(a.dy) - ((form.matrix * x).colwise() + form.offset))
              .cwiseAbs()
              .maxCoeff() < 1e-13);
  }
  // Nothing accumulated: the last iterate stays.
  const auto last = a.net.parameters();
  a.net.use_average();
  CHECK(a.net.parameters() == last);
}

TEST_CASE("parameters that are set begin a new average") {
  Net a(1);
  a.pull(1);
  a.net.descend({.rate = 0.1});
  a.net.accumulate_average();
  const std::vector<double> ones(12, 1.0);
  a.net.set_parameters(ones);
  a.net.accumulate_average();
  a.net.use_average();
  CHECK(a.net.parameters() == ones);
}

TEST_CASE(
    "averages of a deep linear map and of a sum of dual networks are those of their parameters") {
  const auto runtime = EigenBackend<double>{.threads = 1}.start();
  auto x = runtime.points(2, 50), dy = runtime.points(2, 50);
  runtime.upload(numbers(2, 50, 1), x), runtime.upload(numbers(2, 50, 2), dy);
  const auto check = [&](auto net, auto upstream) {
    Eigen::VectorXd sum = Eigen::VectorXd::Zero(static_cast<long>(net.parameters().size()));
    for (int k = 0; k < 5; ++k) {
      runtime.parallel(
          50, [&](eigen::Slice s) { net.forward(s, x(s)), net.accumulate_vjp(s, x(s), upstream); });
      net.descend({.rate = 0.1});
      net.accumulate_average();
      sum += vector(net.parameters());
    }
    net.use_average();
    CHECK((vector(net.parameters()) - sum / 5).norm() < 1e-13 * sum.norm());
  };
  check(runtime.network(DeepLinear<16, 2>{}, 2, 50, 0, Keep::tile), dy.all());
  check(runtime.network(Quadratic{} + Quadratic{}, 2, 50, 0, Keep::tile),
        Eigen::ArrayXd(Eigen::ArrayXd::Ones(50)));
}
