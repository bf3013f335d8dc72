// SPDX-License-Identifier: BSL-1.0
// Divergences from f alone, the generalized entropy's two forms, jets: against closed forms,
// differences and quadrature.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

#include <functional>

#include "../catch.hpp"
#include "../support.hpp"

using namespace wgf;
using Eigen::ArrayXd;
using wgf::test::message_of;

namespace {
const ArrayXd u = ArrayXd::LinSpaced(161, -4, 4);

template <class F>
ArrayXd derivative(F f, const ArrayXd& at) {
  const double h = 1e-3;
  return (8 * (f(at + h) - f(at - h)) - (f(at + 2 * h) - f(at - 2 * h))) / (12 * h);
}
template <class D>
void check_slopes(const D& d, const ArrayXd& at) {
  const ArrayXd gain = derivative([&](const ArrayXd& v) { return ArrayXd(d.gain(v)); }, at);
  const ArrayXd cost = derivative([&](const ArrayXd& v) { return ArrayXd(d.cost(v)); }, at);
  CHECK(((ArrayXd(d.gain_derivative(at)) - gain) / (1 + gain.abs())).abs().maxCoeff() < 1e-8);
  CHECK(((ArrayXd(d.cost_derivative(at)) - cost) / (1 + cost.abs())).abs().maxCoeff() < 1e-8);
}
// A and B by hand: f'(e^u) and e^u f'(e^u) − f(e^u).
template <class F>
void check_divergence(F f, const ArrayXd& gain, const ArrayXd& cost) {
  const DivergenceOf<F> d{f};
  CHECK(((ArrayXd(d.gain(u)) - gain) / (1 + gain.abs())).abs().maxCoeff() < 1e-11);
  CHECK(((ArrayXd(d.cost(u)) - cost) / (1 + cost.abs())).abs().maxCoeff() < 1e-11);
  check_slopes(d, u);
  const Eigen::ArrayXf far = (Eigen::ArrayXf(4) << -500, -40, 40, 500).finished();
  CHECK(Eigen::ArrayXf(d.gain_derivative(far)).allFinite());
}
// KL again, as a user would write it.
struct MyKl {
  auto f(const auto& r) const { return r * log(r); }
};
// The α-divergence (x^α − αx + α − 1)/(α(α − 1)).
struct Alpha {
  double alpha = 1.5;
  auto f(const auto& r) const {
    return (pow(r, alpha) - alpha * r + (alpha - 1.0)) / (alpha * (alpha - 1.0));
  }
};
}  // namespace

TEST_CASE("divergences from f alone") {
  const ArrayXd r = u.exp();
  check_divergence(MyKl{}, u + 1, r);
  check_divergence(ReverseKullbackLeibler{}, -1 / r, u - 1);
  check_divergence(JensenShannon{}, (2 * r / (1 + r)).log(), ((1 + r) / 2).log());
  check_divergence(SquaredHellinger{}, 1 - 1 / r.sqrt(), r.sqrt() - 1);
  check_divergence(ChiSquared{}, 2 * (r - 1), r * r - 1);
  const double a = 1.5;
  check_divergence(Alpha{a}, (r.pow(a - 1) - 1) / (a - 1), r.pow(a) / a - 1 / a);
}

TEST_CASE("jets follow the chain rule") {
  const auto f = [](const auto& x) {
    return exp(0.3 * x) * sqrt(x) / (1.0 + x) - 2.0 / x + log(x * x + 1.0) - pow(x, 2.5) * 0.01;
  };
  for (const double x : {0.2, 1.0, 3.0}) {
    const Jet<double> at = f(variable(x));
    const double h = 1e-3;
    const auto value = [&](double y) { return f(variable(y)).value; };
    const auto first = [&](double y) { return f(variable(y)).first; };
    CHECK(at.value == Approx(std::exp(0.3 * x) * std::sqrt(x) / (1 + x) - 2 / x +
                             std::log(x * x + 1) - 0.01 * std::pow(x, 2.5)));
    CHECK(at.first ==
          Approx((8 * (value(x + h) - value(x - h)) - (value(x + 2 * h) - value(x - 2 * h))) /
                 (12 * h))
              .epsilon(1e-8));
    CHECK(at.second ==
          Approx((8 * (first(x + h) - first(x - h)) - (first(x + 2 * h) - first(x - 2 * h))) /
                 (12 * h))
              .epsilon(1e-8));
  }
  for (const double p : {0.0, 1.0, 2.0}) {
    const Jet<double> at = pow(variable(3.0), p);
    CHECK(at.value == Approx(std::pow(3, p)));
    CHECK(at.first == Approx(p * std::pow(3, p - 1)));
    CHECK(at.second == Approx(p * (p - 1) * std::pow(3, p - 2)));
  }
}

TEST_CASE("the generalized entropy in both forms: derivatives, and the value at the optimum") {
  for (const double m : {1.5, 2.0, 3.0}) {
    PowerOfLogRatio in_u{m};
    PowerOfPressure in_h{m};
    in_u.begin_step(0.7), in_h.begin_step(0.7);
    check_slopes(in_u, u);
    check_slopes(in_h, u);
    // At r = P·|Ω|: E_P A − E_Ω B = ∫P^m/(m − 1), here for P constant on a half of Ω.
    const double volume = std::exp(0.7), r = 2,
                 exact = std::pow(r / volume, m) * (volume / 2) / (m - 1);
    const auto dual = [&](const auto& form, double at_half, double elsewhere) {
      const ArrayXd p = ArrayXd::Constant(1, at_half), q = ArrayXd::Constant(1, elsewhere);
      return ArrayXd(form.gain(p))[0] - 0.5 * (ArrayXd(form.cost(p))[0] + ArrayXd(form.cost(q))[0]);
    };
    const double v = std::pow(r, m - 1), h = std::log(std::expm1(4 * v)) / 4;
    CHECK(dual(in_u, std::log(r), -60) == Approx(exact).epsilon(1e-9));
    CHECK(dual(in_h, h, -20) == Approx(exact).epsilon(1e-9));
    CHECK(in_h.log_ratio(h) == Approx(std::log(r)));
    for (const double off : {-0.1, 0.1}) {  // and it is a maximum
      CHECK(dual(in_u, std::log(r) + off, -60) < exact);
      CHECK(dual(in_h, h + off, -20) < exact);
    }
  }
  const Eigen::ArrayXf far = (Eigen::ArrayXf(2) << -500, 500).finished();
  for (const double m : {1.5, 3.0}) {
    CHECK(Eigen::ArrayXf(PowerOfPressure{m}.cost_derivative(far)).allFinite());
    CHECK(Eigen::ArrayXf(PowerOfPressure{m}.cost(far)).allFinite());
  }
}

namespace {
// The dual value of D(P‖Q), P = N(0, 1) and Q = N(½, 1.2²), with the map held at the identity, and
// by quadrature.
template <class Divergence, class Fit>
double trained(Divergence divergence, Fit fit) {
  const Gaussian q(Eigen::VectorXd::Constant(1, 0.5), Eigen::MatrixXd::Constant(1, 1, 1.44));
  double value = 0;
  const std::function<void(const Progress&)> last = [&](const Progress& p) { value = p.dual; };
  const JkoSolver solver{divergence_to(q.sample(200'000, 3), divergence,
                                       Dual<Quadratic, std::remove_cvref_t<decltype(fit)>>{}),
                         ResidualMlp<16, 2>{}, Backward{.step_size = 0.1},
                         EigenBackend<double>{.seed = 2, .threads = 2}};
  solver.run(Gaussian::isotropic(1, 1),
             {.steps = 1,
              .training = {.iterations = 60,
                           .dual_steps = 5,
                           .batch = 50'000,
                           .map_rate = 1e-300,
                           .dual_rate = 2e-2,
                           .first_step = 1},
              .population = {.stratified = true}},
             last);
  return value;
}
template <class F>
double by_quadrature(F f) {
  double total = 0;
  const double h = 1e-3;
  for (double x = -12; x < 12; x += h) {
    const double p = std::exp(-x * x / 2) / std::sqrt(2 * M_PI),
                 q = std::exp(-std::pow((x - 0.5) / 1.2, 2) / 2) / (1.2 * std::sqrt(2 * M_PI));
    total += h * q * f(p / q);
  }
  return total;
}
}  // namespace

TEST_CASE("dual values between Gaussians are the divergences") {
  const auto value_of = [](auto d) { return [d](double r) { return d.f(variable(r)).value; }; };
  const auto check = [](double found, double exact) {
    INFO(found << " for " << exact);
    CHECK(std::abs(found - exact) < 0.03 * exact);
  };
  check(trained(JensenShannon{}, LogisticLoss{}), by_quadrature(value_of(JensenShannon{})));
  check(trained(ReverseKullbackLeibler{}, LogisticLoss{}),
        by_quadrature(value_of(ReverseKullbackLeibler{})));
  check(trained(SquaredHellinger{}, LogisticLoss{}), by_quadrature(value_of(SquaredHellinger{})));
  check(trained(ChiSquared{}, LogisticLoss{}), by_quadrature(value_of(ChiSquared{})));
  const double kl = by_quadrature([](double r) { return r * std::log(r); });
  check(trained(KullbackLeibler{}, LogisticLoss{}), kl);
  check(trained(KullbackLeibler{}, VariationalBound{}), kl);
  check(trained(KullbackLeibler{}, DonskerVaradhan{}), kl);
  check(trained(MyKl{}, VariationalBound{}), kl);
}

namespace {
// Donsker–Varadhan's loss, and E e^u over the base's batch after the normalisation, of every fit.
struct Watching : DonskerVaradhan {
  static inline std::vector<double> means{};
  template <class Ratio>
  auto derivative_reference(const KullbackLeibler& d, const Ratio& ratio) const {
    means.push_back(exp(ratio).mean());
    return DonskerVaradhan::derivative_reference(d, ratio);
  }
};
}  // namespace

TEST_CASE(
    "Donsker-Varadhan normalises over the batch that it fits on, coupled to the cloud's or not") {
  for (const bool coupled : {false, true}) {
    Watching::means.clear();
    JkoSolver{entropy(Dual<Quadratic, Watching>{}), Affine{}, Backward{.step_size = 0.5},
              EigenBackend<double>{.seed = 2, .threads = 1}}
        .run(Gaussian::isotropic(2, 1), {.steps = 1,
                                         .training = {.iterations = 5,
                                                      .dual_steps = 2,
                                                      .batch = 100,
                                                      .map_rate = 0.1,
                                                      .dual_rate = 0.1,
                                                      .first_step = 1,
                                                      .common_random_numbers = coupled}});
    REQUIRE(Watching::means.size() == 10);
    for (const double mean : Watching::means) CHECK(mean == Approx(1).epsilon(1e-12));
  }
}

TEST_CASE("functionals of the paper refuse numbers that make no sense") {
  using Invalid = std::invalid_argument;
  CHECK(message_of<Invalid>([] { generalized_entropy(1.0); }) ==
        "wgf::generalized_entropy: the exponent must be greater than 1, got 1.000000");
  CHECK(message_of<Invalid>([] { generalized_entropy(2, Dual<>{.margin = 0.5}); }) ==
        "wgf::generalized_entropy: the box's margin must be at least 1, got 0.500000");
  CHECK(message_of<Invalid>([] { divergence_to(Particles(2, 0), JensenShannon{}); }) ==
        "wgf::divergence_to: the samples must be finite, and at least one");
  CHECK(message_of<Invalid>([] { interaction(GaussianKernel{.width = -1}); }) ==
        "wgf::GaussianKernel: width must be positive, got -1.000000");
}
