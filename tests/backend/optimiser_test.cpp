// SPDX-License-Identifier: BSL-1.0
// Update rules and the average of iterates, by the books.
#include <wgf/network/affine_form.hpp>
#include <wgf/training/adam.hpp>
#include <wgf/training/momentum.hpp>

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
template <class Rule = Adam>
struct Net {
  eigen::EigenRuntime<double> runtime;
  eigen::AffineNetwork<double> net;
  eigen::Optimiser<Rule, double> optimiser;
  eigen::Points<double> x, dy;
  explicit Net(int threads, const Rule& rule = {}, long n = 500)
      : runtime(EigenBackend<double>{.threads = threads}.start()),
        net(runtime.network(Affine{}, 3, n, 0, Keep::tile)),
        optimiser(runtime.optimiser(rule, net)),
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
      a.optimiser.descend(a.net, 0.01);
      for (std::size_t i = 0; i < 12; ++i) {
        expected[i] = rule[i].step(expected[i], g[i]);
        CHECK(a.net.parameters()[i] == Approx(expected[i]).epsilon(1e-13));
      }
      CHECK(vector(a.net.gradient()).isZero(0));  // a step uses the gradient up
    }
    // Forgetting the moments starts the rule anew.
    a.optimiser.reset();
    rule.assign(12, ScalarAdam{0.02, 0.5, 0.9});
    for (std::uint32_t k = 0; k < 3; ++k) {
      const auto g = a.pull(k);
      a.optimiser.descend(a.net, 0.04, 0.5, true);
      for (std::size_t i = 0; i < 12; ++i)
        CHECK(a.net.parameters()[i] ==
              Approx(expected[i] = rule[i].step(expected[i], g[i])).epsilon(1e-13));
    }
  }
}

TEST_CASE("Adam's betas") {
  Net a(1, Adam{.beta1 = 0.9, .beta2 = 0.999});
  auto expected = a.net.parameters();
  std::vector<ScalarAdam> rule(12, ScalarAdam{0.02, 0.9, 0.999});
  for (std::uint32_t k = 0; k < 3; ++k) {
    const auto g = a.pull(k);
    a.optimiser.descend(a.net, 0.02);
    for (std::size_t i = 0; i < 12; ++i)
      CHECK(a.net.parameters()[i] ==
            Approx(expected[i] = rule[i].step(expected[i], g[i])).epsilon(1e-13));
  }
}

TEST_CASE("Momentum's rule, and plain gradient descent") {
  for (const double beta : {0.9, 0.0}) {
    Net a(2, Momentum{.beta = beta});
    Eigen::VectorXd p = vector(a.net.parameters()), m = Eigen::VectorXd::Zero(12);
    for (std::uint32_t k = 0; k < 5; ++k) {
      m = beta * m + vector(a.pull(k));
      p -= 0.1 * m;
      a.optimiser.descend(a.net, 0.1);
      CHECK((vector(a.net.parameters()) - p).norm() < 1e-14);
    }
    a.optimiser.reset();
    p -= 0.1 * vector(a.pull(9));
    a.optimiser.descend(a.net, 0.1);
    CHECK((vector(a.net.parameters()) - p).norm() < 1e-14);
  }
}

namespace {
// What the concept asks, and no more: no moments, and numbers for t and the rate.
struct Decaying {
  static constexpr int moments = 0;
  static std::string name() { return "Decaying"; }
  static constexpr auto fields() { return hana::make_tuple(); }
  void check() const {}
  template <class P, class G>
  void update(P& p, const G& g, long t, double rate) const {
    p -= rate / static_cast<double>(t) * g;
  }
};
struct NoUpdate : Decaying {
  void update() const;
};
struct OneMomentTooMany : Decaying {
  static constexpr int moments = 1;
};
struct NoCheck : Decaying {
  void check() = delete;
};
static_assert(UpdateRule<Decaying>);
static_assert(!UpdateRule<NoUpdate> && !UpdateRule<OneMomentTooMany> && !UpdateRule<NoCheck> &&
              !UpdateRule<double>);
}  // namespace

TEST_CASE("a rule of one's own") {
  Net a(1, Decaying{});
  const Eigen::VectorXd p = vector(a.net.parameters()), once = vector(a.pull(1));
  a.optimiser.descend(a.net, 1.0);
  const Eigen::VectorXd twice = vector(a.pull(2));
  a.optimiser.descend(a.net, 1.0);
  CHECK((vector(a.net.parameters()) - (p - once - twice / 2)).norm() < 1e-14);
}

TEST_CASE("rules refuse numbers that make no sense") {
  Net a(1);
  const auto make = [&](const auto& rule) { (void)a.runtime.optimiser(rule, a.net); };
  CHECK_THROWS_WITH(make(Adam{.beta1 = 1}), "wgf::Adam: beta1 must be in [0, 1), got 1.000000");
  CHECK_THROWS_WITH(make(Adam{.beta2 = -1}), "wgf::Adam: beta2 must be in [0, 1), got -1.000000");
  CHECK_THROWS_WITH(make(Adam{.epsilon = 0}), "wgf::Adam: epsilon must be positive, got 0.000000");
  CHECK_THROWS_WITH(make(Momentum{.beta = 1}),
                    "wgf::Momentum: beta must be in [0, 1), got 1.000000");
}

TEST_CASE("a step is made only where the gradient is finite") {
  Net a(1);
  const auto before = a.net.parameters(), g = a.pull(1);
  a.optimiser.descend(a.net, 0.1, 1.0, false);
  CHECK(a.net.parameters() == before);
  CHECK(a.net.gradient() == g);
}

TEST_CASE("an optimiser's state is all that training has left, bit for bit") {
  const auto runtime = EigenBackend<float>{.threads = 2}.start();
  auto x = runtime.points(3, 300);
  runtime.upload(numbers(3, 300, 1), x);
  const auto check = [&](const auto& rule, const auto& spec) {
    const auto train = [&](auto& net, auto& optimiser, int steps) {
      for (int k = 0; k < steps; ++k) {
        runtime.parallel(300, [&](eigen::Slice s) {
          const Eigen::ArrayXf dy = (net.forward(s, x(s)) + 1.0f) / 300.0f;
          net.accumulate_vjp(s, x(s), dy);
        });
        optimiser.descend(net, 0.01);
        optimiser.accumulate_average(net);
      }
    };
    auto a = runtime.network(spec, 3, 300, 0, Keep::tile),
         b = runtime.network(spec, 3, 300, 1, Keep::tile);
    auto of_a = runtime.optimiser(rule, a), of_b = runtime.optimiser(rule, b);
    train(a, of_a, 3);
    const auto state = of_a.state(a);
    of_b.set_state(b, state);
    CHECK(of_b.state(b) == state);
    train(a, of_a, 2), train(b, of_b, 2);
    CHECK(of_b.state(b) == of_a.state(a));
    of_a.use_average(a), of_b.use_average(b);
    CHECK(a.parameters() == b.parameters());

    auto other = state;
    other.pop_back();
    CHECK_THROWS_WITH(of_b.set_state(b, other), "wgf: the training state of this network has " +
                                                    std::to_string(state.size()) + " numbers, " +
                                                    std::to_string(other.size()) + " were given");
    other = state, other[0] = -1;
    CHECK_THROWS_WITH(of_b.set_state(b, other), "wgf: a count of a training state is out of range");
  };
  check(Adam{}, Mlp<16, 2, Silu>{});
  check(Momentum{}, Quadratic{} + Mlp<16, 2>{});
  check(Decaying{}, Quadratic{});
  // Steps, iterates, then the parameters, both moments and the average.
  auto net = runtime.network(Quadratic{}, 1, 1, 0, Keep::tile);
  CHECK(runtime.optimiser(Adam{}, net).state(net).size() == 2 + 4 * 3);
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
      a.optimiser.descend(a.net, 0.1);
      if (k < 10u - static_cast<unsigned>(rounds)) continue;
      a.optimiser.accumulate_average(a.net);
      sum += vector(a.net.parameters());
    }
    const auto last = a.net.parameters();
    a.optimiser.use_average(a.net);
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
  a.optimiser.use_average(a.net);
  CHECK(a.net.parameters() == last);
}

TEST_CASE("parameters that are set begin a new average") {
  Net a(1);
  a.pull(1);
  a.optimiser.descend(a.net, 0.1);
  a.optimiser.accumulate_average(a.net);
  const std::vector<double> ones(12, 1.0);
  a.net.set_parameters(ones);
  a.optimiser.accumulate_average(a.net);
  a.optimiser.use_average(a.net);
  CHECK(a.net.parameters() == ones);
}

TEST_CASE(
    "averages of a deep linear map and of a sum of dual networks are those of their parameters") {
  const auto runtime = EigenBackend<double>{.threads = 1}.start();
  auto x = runtime.points(2, 50), dy = runtime.points(2, 50);
  runtime.upload(numbers(2, 50, 1), x), runtime.upload(numbers(2, 50, 2), dy);
  const auto check = [&](auto net, auto upstream) {
    Eigen::VectorXd sum = Eigen::VectorXd::Zero(static_cast<long>(net.parameters().size()));
    auto optimiser = runtime.optimiser(Adam{}, net);
    for (int k = 0; k < 5; ++k) {
      runtime.parallel(
          50, [&](eigen::Slice s) { net.forward(s, x(s)), net.accumulate_vjp(s, x(s), upstream); });
      optimiser.descend(net, 0.1);
      optimiser.accumulate_average(net);
      sum += vector(net.parameters());
    }
    optimiser.use_average(net);
    CHECK((vector(net.parameters()) - sum / 5).norm() < 1e-13 * sum.norm());
  };
  check(runtime.network(DeepLinear<16, 2>{}, 2, 50, 0, Keep::tile), dy.all());
  check(runtime.network(Quadratic{} + Quadratic{}, 2, 50, 0, Keep::tile),
        Eigen::ArrayXd(Eigen::ArrayXd::Ones(50)));
}
