// SPDX-License-Identifier: BSL-1.0
// Pareto-smoothed importance sampling against laws whose tails, normalisers and effective sizes are
// known.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/diagnostics/importance.hpp>
#include <wgf/flow/flow.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include "catch.hpp"
#include "support.hpp"

using namespace wgf;
using Eigen::VectorXd;
using wgf::test::message_of;

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();

// Draws of a proposal, weighted for a target.
template <class P, class Q>
ImportanceSampling weigh(const P& target, const Q& proposal, long n, std::uint64_t seed) {
  const Particles x = proposal.sample(n, seed);
  return importance(detail::log_densities(target, x), detail::log_densities(proposal, x));
}
}  // namespace

TEST_CASE("the Pareto fit finds the shape of exact draws") {
  const long n = 10'000;
  for (const double shape : {-0.4, 0.2, 0.5, 1.0, 2.0}) {
    INFO("shape " << shape);
    const GeneralisedPareto law{shape, 3.0};
    Particles u = standard_uniforms(1, n, 7);
    std::sort(u.data(), u.data() + n);
    VectorXd x(n);
    for (long i = 0; i < n; ++i) x[i] = law.quantile(u(0, i));
    const auto fit = GeneralisedPareto::fit(x);
    // Standard errors of the maximum of the likelihood (Smith, 1987), four of them; the prior moves
    // the shape by (shape − ½)/1000.
    CHECK(std::abs(fit.shape - shape) < 4 * (1 + shape) / std::sqrt(n) + 0.002);
    CHECK(std::abs(fit.scale / 3 - 1) < 4 * std::sqrt(2 * (1 + shape) / n) + 0.002);
    CHECK(GeneralisedPareto::fit(1e-5 * x).shape ==
          Approx(fit.shape).epsilon(1e-9));  // has no unit
  }
  // The law itself: P(X > quantile(p)) = 1 − p, and its limit of an exponential.
  CHECK(std::pow(1 + 0.3 * GeneralisedPareto{0.3, 2}.quantile(0.9) / 2, -1 / 0.3) == Approx(0.1));
  CHECK(GeneralisedPareto{0, 2}.quantile(0.9) == Approx(GeneralisedPareto{1e-9, 2}.quantile(0.9)));
}

TEST_CASE("the mean of a generalised Pareto law below a quantile") {
  for (const double shape : {-0.5, 0.0, 0.4, 1.0, 1.7}) {
    const GeneralisedPareto law{shape, 2};
    // The integral of its quantiles, in u = −log(1 − p), by the midpoint rule.
    const double epsilon = 1e-3, end = -std::log(epsilon);
    const int cells = 20'000;
    double sum = 0;
    for (int i = 0; i < cells; ++i) {
      const double u = (i + 0.5) * end / cells;
      sum += law.quantile(-std::expm1(-u)) * std::exp(-u) * end / cells;
    }
    CAPTURE(shape);
    CHECK(law.mean_below(epsilon) == Approx(sum).epsilon(1e-5));
  }
}
TEST_CASE("weights so nearly equal that the shape of their tail does not matter") {
  // Weights 1 + size·(a Pareto law of infinite mean), in random order of the draws.
  const long n = 4000;
  const auto u = standard_uniforms(1, n, 3);
  const auto weighted = [&](double size) {
    VectorXd log(n);
    for (long i = 0; i < n; ++i)
      log[i] = std::log1p(size * GeneralisedPareto{1.2, 1}.quantile(u(0, i)));
    return importance(log, VectorXd::Zero(n));
  };
  const auto small = weighted(1e-6), large = weighted(1e-2);
  CHECK(small.pareto_k > 1);
  CHECK(small.verdict() == Verdict::inconclusive);
  CHECK(small.summary().find("nearly equal") != std::string::npos);
  // 100 n draws of it have a mean of some hundreds.
  CHECK(small.tail_excess > 1e-5);
  CHECK(small.tail_excess < 1e-2);
  CHECK(large.verdict() == Verdict::problem);
  // A mode with 20 % of the mass in which the flow has put two of 4,000 draws, or one.
  for (const long found : {1L, 2L}) {
    VectorXd log = VectorXd::Zero(n);
    for (long i = 0; i < n; ++i) log[i] = 1e-5 * u(0, i);
    log.head(found).setConstant(std::log(1000.0 / static_cast<double>(found)));
    CHECK(importance(log, VectorXd::Zero(n)).verdict() == Verdict::problem);
  }
}
TEST_CASE("k-hat of Gaussians: 1 − σ² for a narrow proposal, not positive for a wide one") {
  // In two dimensions exp(|x|²/(2σ²)) of a draw of N(0, σ²I) is exactly Pareto, so the tail is a
  // generalised Pareto law for σ < 1, and one of shape −1 to first order for σ > 1, where the
  // weights are bounded. M = 3,000 values give a standard error of (1 + k)/√M.
  const long n = 1'000'000;
  for (const double sd : {0.4, 0.5, 0.7, 0.9}) {
    INFO("σ = " << sd);
    const auto w = weigh(Gaussian::isotropic(2, 1.0), Gaussian::isotropic(2, sd), n, 5);
    const double k = 1 - sd * sd;
    CHECK(std::abs(w.pareto_k - k) < 4 * (1 + k) / std::sqrt(3000.0) + 0.003);
    CHECK(w.verdict() == (w.pareto_k > 0.7 ? Verdict::problem : Verdict::ok));
  }
  for (const double sd : {1.1, 1.5}) {
    CHECK(weigh(Gaussian::isotropic(2, 1.0), Gaussian::isotropic(2, sd), n, 5).pareto_k ==
          Approx(-1).margin(0.1));
    CHECK(weigh(Gaussian::isotropic(1, 1.0), Gaussian::isotropic(1, sd), 10'000, 5).pareto_k < 0);
  }
  // In words.
  CHECK(weigh(Gaussian::isotropic(2, 1.0), Gaussian::isotropic(2, 0.4), 10'000, 5)
            .summary()
            .find("do not trust") != std::string::npos);
  CHECK(weigh(Gaussian::isotropic(2, 1.0), Gaussian::isotropic(2, 0.9), 10'000, 5)
            .summary()
            .find("weights reliable") != std::string::npos);
}

TEST_CASE("effective sample size, log Z and means, where they are known") {
  for (const int d : {1, 3}) {
    for (const double sd : {0.9, 1.3}) {
      const Gaussian q = Gaussian::isotropic(d, sd);
      const long n = 200'000;
      const Particles x = q.sample(n, 11);
      // log p is that of N(0, I) and 2.5 more: Z = e^{2.5}.
      const auto w =
          importance((detail::log_densities(Gaussian::isotropic(d, 1.0), x).array() + 2.5).matrix(),
                     detail::log_densities(q, x));
      INFO("d = " << d << ", σ = " << sd);
      // E_q[w²] = (σ²/√(2σ² − 1))^d; the mean of w² scatters by less than 1 %.
      CHECK(w.effective_sample_size / n ==
            Approx(std::pow(std::sqrt(2 * sd * sd - 1) / (sd * sd), d)).epsilon(0.01));
      CHECK(std::abs(w.log_normaliser - 2.5) < 4 * w.standard_error);
      CHECK(w.standard_error < 0.003);
      CHECK(w.log_weights.array().exp().sum() == Approx(1));
      const double error = 4 / std::sqrt(w.effective_sample_size);
      CHECK(w.mean(x).cwiseAbs().maxCoeff() < error);
      CHECK(w.mean(x.cwiseProduct(x)).maxCoeff() == Approx(1).margin(2 * error));
      const Particles drawn = w.resample(x, 50'000, 3);
      CHECK(Gaussian::fit(drawn).covariance().isApprox(Eigen::MatrixXd::Identity(d, d),
                                                       0.04));  // 4 of its standard errors are 0.03
    }
  }
}

TEST_CASE("the error that is stated is the error that is made") {
  // z-values of log Z of a mixture over 200 seeds: mean square 1 within four times its standard
  // error √(2/200).
  const GaussianMixture mixture({1, 2},
                                {Gaussian::isotropic(2, 0.8),
                                 Gaussian::isotropic(VectorXd(VectorXd::Constant(2, 1.0)), 0.6)});
  double squares = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto w = weigh(mixture, Gaussian::isotropic(2, 1.5), 1000, seed);
    squares += std::pow(w.log_normaliser / w.standard_error, 2) / 200;
  }
  CHECK(squares == Approx(1).margin(0.4));
}

TEST_CASE("weights without a tail, without a target, and of enormous range") {
  const VectorXd zero = VectorXd::Zero(100);
  const auto equal = importance((zero.array() + 3).matrix(), zero);
  CHECK(equal.pareto_k == 0);
  CHECK(equal.effective_sample_size == Approx(100));
  CHECK(equal.log_normaliser == Approx(3));
  CHECK(equal.standard_error == Approx(0).margin(1e-7));

  // Half of the draws outside of the support: weight zero, and half of the mass.
  VectorXd half = zero;
  half.head(50).setConstant(-infinity);
  const auto cut = importance(half, zero);
  CHECK(cut.log_normaliser == Approx(std::log(0.5)));
  CHECK(cut.effective_sample_size == Approx(50));
  CHECK(cut.log_weights[0] == -infinity);
  CHECK(cut.verdict() == Verdict::ok);
  // Almost all, and all.
  half.head(97).setConstant(-infinity);
  CHECK(importance(half, zero).pareto_k == infinity);
  CHECK(importance(half, zero).verdict() == Verdict::problem);
  const auto nowhere = importance(VectorXd::Constant(100, -infinity), zero);
  CHECK(nowhere.verdict() == Verdict::problem);
  CHECK(nowhere.summary().find("no draw lies in the target's support") != std::string::npos);

  const auto far = importance(1e5 * VectorXd::LinSpaced(100, 0, 1), zero);
  CHECK(far.verdict() == Verdict::problem);
  CHECK(far.effective_sample_size >= 1);
}

TEST_CASE("a flow's own weights") {
  // An affine stage, so that P_1 is known in closed form.
  const EigenBackend<double> backend{.seed = 3, .threads = 1};
  Flow<Affine, EigenBackend<double>> flow(Gaussian::isotropic(2, 1.0), Affine{}, 0.1, backend);
  auto parameters = backend.start().network(Affine{}, 2, 1, 0, Keep::tile).parameters();
  parameters[0] += 1;
  flow.stages.push_back({{VectorXd::Ones(2), Eigen::MatrixXd::Identity(2, 2)}, parameters, 1});
  const auto exact = importance(flow, flow.gaussian(), 1000, 4);
  CHECK(exact.pareto_k == 0);  // the weights are equal, but for rounding
  CHECK(exact.log_normaliser == Approx(0).margin(1e-12));
  CHECK(exact.particles.cols() == 1000);
  CHECK(exact.particles == importance(flow, flow.gaussian(), 1000, 4).particles);
  CHECK(importance(flow, Gaussian::isotropic(2, 9.0), 10'000, 4).verdict() == Verdict::problem);

  // A residual map that folds has no density, and one says so.
  const ResidualMlp<16, 2, Silu> map;
  Flow<ResidualMlp<16, 2, Silu>, EigenBackend<double>> folded(Gaussian::isotropic(2, 1.0), map, 0.1,
                                                              backend);
  auto wild = backend.start().network(map, 2, 1, 7, Keep::tile).parameters();
  const Particles noise = standard_normals(static_cast<int>(wild.size()), 1, 5);
  for (std::size_t i = 0; i < wild.size(); ++i) wild[i] += 3 * noise(static_cast<long>(i), 0);
  folded.stages.push_back({Frame::none(2), wild});
  const auto none = importance(folded, Gaussian::isotropic(2, 1.0), 1000);
  CHECK(none.verdict() == Verdict::inconclusive);
  CHECK(none.summary().find(
            "cannot tell: the flow's density is not known: wgf::Flow: the map of step 1") !=
        std::string::npos);
}

TEST_CASE("importance sampling refuses what makes no sense") {
  const VectorXd zero = VectorXd::Zero(100);
  const auto refused = [](const VectorXd& p, const VectorXd& q) {
    return message_of<std::invalid_argument>([&] { importance(p, q); });
  };
  CHECK(refused(zero, VectorXd::Zero(99)) ==
        "wgf::importance: every draw has two log-densities, got 100 of the target and 99 of the "
        "proposal");
  CHECK(refused(VectorXd::Zero(24), VectorXd::Zero(24)) ==
        "wgf::importance: at least 25 draws are needed, got 24");
  for (const double bad : {infinity, std::numeric_limits<double>::quiet_NaN()}) {
    VectorXd one = zero;
    one[3] = bad;
    CHECK(refused(one, zero) ==
          "wgf::importance: the target's log-densities must be numbers below +∞");
    CHECK(refused(zero, one) == "wgf::importance: the proposal's log-densities must be finite");
  }
  CHECK(refused(zero, VectorXd::Constant(100, -infinity)) ==
        "wgf::importance: the proposal's log-densities must be finite");
  CHECK(message_of<std::invalid_argument>([] {
          GeneralisedPareto::fit(VectorXd::Ones(4));
        }).find("at least 5") != std::string::npos);
  CHECK(message_of<std::invalid_argument>([] {
          GeneralisedPareto::fit(VectorXd::Zero(5));
        }).find("positive") != std::string::npos);
  CHECK(message_of<std::invalid_argument>([&] {
          importance(zero, zero).mean(Particles::Zero(2, 7));
        }) == "wgf::ImportanceSampling: there are 100 weights, for 7 columns");
  CHECK(message_of<std::invalid_argument>([&] {
          importance(zero, zero).resample(Particles::Zero(2, 100), 0, 1);
        }).find("at least one draw") != std::string::npos);
  const Flow<Affine, EigenBackend<double>> flow(Gaussian::isotropic(2, 1.0), Affine{}, 0.1, {});
  CHECK(message_of<std::invalid_argument>([&] {
          importance(flow, Gaussian::isotropic(3, 1.0), 100);
        }) == "wgf::importance: the samples have dimension 2, the target 3");
}
