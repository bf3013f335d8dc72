// SPDX-License-Identifier: BSL-1.0
#include <wgf/sampling/smc.hpp>

#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <numbers>

#include <wgf/measure/gaussian.hpp>
#include <wgf/measure/gaussian_mixture.hpp>
#include <wgf/metric/mode_masses.hpp>

#include "catch.hpp"
#include "support.hpp"

using Eigen::MatrixXd;
using Eigen::VectorXd;
using wgf::Gaussian;
using wgf::GaussianMixture;
using wgf::Hmc;
using wgf::Mala;
using wgf::Metric;
using wgf::Particles;
using wgf::SmcOptions;
using wgf::SmcResult;
using wgf::TemperedParticles;
using wgf::test::message_of;

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();

// e^c times a normalised density: log Z = c.
template <class T>
struct Unnormalised {
  T law;
  double log_constant;
  int dim() const { return law.dim(); }
  double log_density(const VectorXd& x) const { return log_constant + law.log_density(x); }
  VectorXd gradient(const VectorXd& x) const { return law.gradient(x); }
};
// x₀ ~ N(0, 3²), x_i ~ N(0, e^{x₀}), in ten dimensions; without its gradient.
struct Funnel {
  int dim() const { return 10; }
  template <class T>
  T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    T squares(0);
    for (Eigen::Index i = 1; i < x.size(); ++i) squares += x[i] * x[i];
    return -x[0] * x[0] / 18.0 - 4.5 * x[0] - 0.5 * squares * exp(-x[0]) -
           (5 * std::log(2 * std::numbers::pi) + std::log(3.0));
  }
};
// N(0, I) where x₀ > 0: Z = ½.
struct HalfGaussian {
  int d = 2;
  int dim() const { return d; }
  double log_density(const VectorXd& x) const {
    return x[0] > 0 ? -0.5 * x.squaredNorm() - 0.5 * d * std::log(2 * std::numbers::pi) : -infinity;
  }
  VectorXd gradient(const VectorXd& x) const { return -x; }
};
// A target given by functions.
template <class F, class G>
struct Given {
  int d;
  F log;
  G slope;
  int dim() const { return d; }
  double log_density(const VectorXd& x) const { return log(x); }
  VectorXd gradient(const VectorXd& x) const { return slope(x); }
};
template <class F, class G>
Given(int, F, G) -> Given<F, G>;

Gaussian correlated() {
  return {Eigen::Vector3d(4, -2, 1),
          (MatrixXd(3, 3) << 1, 0.5, 0, 0.5, 2, 0.3, 0, 0.3, 0.5).finished()};
}
GaussianMixture two_modes() {
  return {{0.3, 0.7},
          {Gaussian::isotropic(Eigen::Vector2d(-3, 0), 0.5),
           Gaussian::isotropic(Eigen::Vector2d(3, 1), 0.8)}};
}
// The largest |difference|/(standard error) of the means and second moments about the mean of n
// equally weighted particles; the standard errors are those of n independent draws of a Gaussian.
double moments_z(const Particles& x, const Gaussian& law) {
  const double n = static_cast<double>(x.cols());
  const Particles centred = x.colwise() - law.mean();
  const VectorXd mean = centred.rowwise().mean();
  const MatrixXd second = centred * centred.transpose() / n, &s = law.covariance();
  double z = 0;
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    z = std::max(z, std::abs(mean[i]) / std::sqrt(s(i, i) / n));
    for (Eigen::Index j = 0; j <= i; ++j)
      z = std::max(z, std::abs(second(i, j) - s(i, j)) /
                          std::sqrt((s(i, i) * s(j, j) + s(i, j) * s(i, j)) / n));
  }
  return z;
}
// |mean| in standard errors of n independent values.
double mean_z(const Eigen::ArrayXd& values) {
  const double n = static_cast<double>(values.size()), mean = values.mean();
  return std::abs(mean) / std::sqrt((values - mean).square().sum() / n / (n - 1));
}
// Markov moves from exact draws at β = 1: x and x' are then exchangeable. Returns the largest
// z-score of the means of f(x') − E f and of f(x)g(x') − g(x)f(x').
template <class Move, class T>
double exchangeability_z(const Move& move, const T& law, long n, int moves, double* acceptance) {
  const Particles x = law.sample(n, 11);
  const VectorXd weights = VectorXd::Constant(n, 1 / static_cast<double>(n));
  TemperedParticles particles(law, law, x, 12, 1);
  for (int k = 0; k < moves; ++k) *acceptance = particles.move(move, 1.0, weights);
  const Particles& y = particles.x();
  double z = 0;
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    const Eigen::ArrayXd a = x.row(i).transpose(), b = y.row(i).transpose(),
                         c = x.row(x.rows() - 1 - i).transpose(),
                         d = y.row(x.rows() - 1 - i).transpose();
    for (const Eigen::ArrayXd& v :
         {Eigen::ArrayXd(b - a), Eigen::ArrayXd(b.square() - a.square()),
          Eigen::ArrayXd(b.cube() - a.cube()), Eigen::ArrayXd(a * b.square() - b * a.square()),
          Eigen::ArrayXd(a.square() * b.square().square() - b.square() * a.square().square()),
          Eigen::ArrayXd((b - d).abs() - (a - c).abs())})
      if (v.abs().maxCoeff() > 0) z = std::max(z, mean_z(v));
  }
  return z;
}
template <class F>
std::string refusal(F&& f) {
  return message_of<std::invalid_argument>(std::forward<F>(f));
}
}  // namespace

// ---- the moves alone

TEST_CASE("MALA and HMC keep the law of exact draws, with small and large steps") {
  const GaussianMixture law = two_modes();
  double acceptance = 0;
  // 18 tests per call: |z| > 4.5 has probability 1e-4.
  for (const Metric metric : {Metric::diagonal, Metric::full}) {
    CHECK(exchangeability_z(Hmc{.step_size = 0.1, .metric = metric}, law, 20'000, 1, &acceptance) <
          4.5);
    CHECK(acceptance > 0.95);
    CHECK(exchangeability_z(Hmc{.step_size = 0.6, .metric = metric}, law, 20'000, 3, &acceptance) <
          4.5);
    CHECK(acceptance < 0.5);
    CHECK(acceptance > 0.05);
    CHECK(exchangeability_z(Mala{.step_size = 0.2, .metric = metric}, law, 20'000, 1, &acceptance) <
          4.5);
    CHECK(acceptance > 0.85);
    CHECK(exchangeability_z(Mala{.step_size = 0.8, .metric = metric}, law, 20'000, 10,
                            &acceptance) < 4.5);
    CHECK(acceptance < 0.6);
    CHECK(acceptance > 0.05);
  }
}

TEST_CASE("moves at a temperature keep the tempered law of two Gaussians") {
  // q^β p₀^{1−β} has the precision β A + (1 − β) A₀.
  const Gaussian q = correlated(), p = Gaussian::isotropic(3, 1.5);
  const double beta = 0.3;
  const MatrixXd precision = beta * q.precision() + (1 - beta) * p.precision(),
                 inverse = wgf::detail::inverse_of_lower(wgf::detail::cholesky(precision)),
                 covariance = inverse.transpose() * inverse;
  const Gaussian law(covariance * (beta * q.precision() * q.mean()), covariance);
  const VectorXd weights = VectorXd::Constant(20'000, 1.0 / 20'000);
  TemperedParticles<Gaussian, Gaussian> particles(q, p, law.sample(20'000, 3), 4, 1);
  double acceptance = 0;
  for (int k = 0; k < 10; ++k) acceptance = particles.move(Hmc{.step_size = 1.2}, beta, weights);
  CHECK(acceptance < 0.8);
  CHECK(moments_z(particles.x(), law) < 4);  // 9 tests: probability 6e-4
  for (int k = 0; k < 20; ++k) particles.move(Mala{}, beta, weights);
  CHECK(moments_z(particles.x(), law) < 4);
}

TEST_CASE("the step size is adapted to the acceptance of the policy") {
  const Gaussian law = Gaussian::isotropic(20, 1);
  const VectorXd weights = VectorXd::Constant(2000, 1.0 / 2000);
  const auto settled = [&](const auto& policy) {
    TemperedParticles<Gaussian, Gaussian> particles(law, law, law.sample(2000, 5), 6, 1);
    particles.set_metric(policy.metric, weights);
    double mean = 0;
    for (int k = 0; k < 30; ++k)
      mean +=
          k < 10 ? 0 * particles.move(policy, 1, weights) : particles.move(policy, 1, weights) / 20;
    return mean;
  };
  CHECK(settled(Hmc{}) == Approx(0.8).margin(0.03));
  CHECK(settled(Hmc{.acceptance = 0.6}) == Approx(0.6).margin(0.05));
  CHECK(settled(Mala{}) == Approx(0.57).margin(0.03));
}

TEST_CASE("the full metric removes correlations: longer steps than the diagonal one") {
  MatrixXd covariance = MatrixXd::Constant(5, 5, 0.99);
  covariance.diagonal().setOnes();
  const Gaussian law(VectorXd::Zero(5), covariance);
  const VectorXd weights = VectorXd::Constant(2000, 1.0 / 2000);
  const auto step = [&](Metric metric) {
    TemperedParticles<Gaussian, Gaussian> particles(law, law, law.sample(2000, 5), 6, 1);
    particles.set_metric(metric, weights);
    for (int k = 0; k < 20; ++k) particles.move(Mala{}, 1, weights);
    return particles.step_size();
  };
  CHECK(step(Metric::full) > 4 * step(Metric::diagonal));
}

// ---- known answers

TEST_CASE("smc finds log Z, mean and covariance of a Gaussian") {
  const Unnormalised<Gaussian> target{correlated(), 12.5};
  for (const auto& move : {std::variant<Hmc, Mala>(Hmc{}), std::variant<Hmc, Mala>(Mala{}),
                           std::variant<Hmc, Mala>(Hmc{.metric = Metric::diagonal})}) {
    const SmcResult result =
        wgf::smc(target, Gaussian::isotropic(3, 1), {.seed = 1, .move = move, .threads = 1});
    CHECK(std::abs(result.log_evidence - 12.5) < 3 * result.log_evidence_error);
    CHECK(result.log_evidence_error < 0.04);
    // The draws are not independent: 5 standard errors of 4000 independent ones.
    CHECK(moments_z(result.particles, target.law) < 5);
    CHECK(result.temperatures.back() == 1);
    CHECK(std::is_sorted(result.temperatures.begin(), result.temperatures.end()));
    CHECK(result.acceptance_rates.size() == result.temperatures.size());
    CHECK((result.log_weights.array() == -std::log(4000.0)).all());
    for (const Eigen::Index i : {0, 1999, 3999})
      CHECK(result.log_density[i] == target.log_density(result.particles.col(i)));
  }
}

TEST_CASE("smc with uneven weights at the end: they are normalised and belong to the particles") {
  const Unnormalised<Gaussian> target{correlated(), 0};
  const SmcResult result =
      wgf::smc(target, Gaussian::isotropic(3, 1),
               {.seed = 2, .resample_below = 0.2, .equal_weights = false, .threads = 1});
  const Eigen::VectorXd weights = result.log_weights.array().exp();
  CHECK(weights.sum() == Approx(1).epsilon(1e-12));
  const double effective = 1 / weights.squaredNorm();
  CHECK(effective < 3900);
  const VectorXd mean = result.particles * weights;
  for (Eigen::Index i = 0; i < 3; ++i)
    CHECK(std::abs(mean[i] - target.law.mean()[i]) <
          5 * std::sqrt(target.law.covariance()(i, i) / effective));
}

TEST_CASE("smc finds the masses of two modes") {
  const Unnormalised<GaussianMixture> target{two_modes(), -3};
  const SmcResult result = wgf::smc(target, Gaussian::isotropic(2, 3), {.seed = 3, .threads = 1});
  CHECK(std::abs(result.log_evidence + 3) < 3 * result.log_evidence_error);
  const VectorXd masses = wgf::mode_masses(result.particles, target.law);
  // Four standard errors of 2000 independent draws; 0.3 ± 0.041.
  CHECK(std::abs(masses[0] - 0.3) < 4 * std::sqrt(0.3 * 0.7 / 2000));
  CHECK(std::abs(masses[1] - 0.7) < 4 * std::sqrt(0.3 * 0.7 / 2000));
}

TEST_CASE("log_evidence_error is calibrated") {
  // Over 40 seeds Σ (error/estimated error)² is χ² with 40 degrees of freedom: its quantiles at
  // 0.001 and 0.999 are 17.9 and 73.4. Estimates too small or too large by a factor of 2 give 160
  // and 10.
  const auto chi_square = [](const auto& target, const auto& start, const SmcOptions& given) {
    SmcOptions options = given;
    double sum = 0;
    for (options.seed = 1; options.seed <= 40; ++options.seed) {
      const SmcResult result = wgf::smc(target, start, options);
      sum += std::pow(result.log_evidence / result.log_evidence_error, 2);
    }
    return sum;
  };
  const std::array values = {
      chi_square(correlated(), Gaussian::isotropic(3, 1), {.particles = 500, .threads = 1}),
      chi_square(correlated(), Gaussian::isotropic(3, 1),
                 {.particles = 500, .move = Mala{}, .threads = 1}),
      chi_square(two_modes(), Gaussian::isotropic(2, 3), {.particles = 500, .threads = 1}),
      chi_square(Gaussian::isotropic(Eigen::Vector2d(10, 0), 0.5), Gaussian::isotropic(2, 1),
                 {.particles = 500, .threads = 1})};
  for (const double value : values) {
    CHECK(value > 17.9);
    CHECK(value < 73.4);
  }
}

TEST_CASE("smc in one dimension and in fifty") {
  const Gaussian line = Gaussian::isotropic(VectorXd::Constant(1, 3.0), 0.5);
  const SmcResult one = wgf::smc(line, Gaussian::isotropic(1, 2), {.seed = 4, .threads = 1});
  CHECK(std::abs(one.log_evidence) < 3 * one.log_evidence_error);
  CHECK(moments_z(one.particles, line) < 5);

  // 1000 particles only: a metric that knows the particles it moves makes log Z too small by 0.6.
  const Gaussian fifty = Gaussian::isotropic(VectorXd::Ones(50), 0.5);
  double sum = 0, variance = 0;
  for (const std::uint64_t seed : {1, 2, 3, 4}) {
    const SmcResult result = wgf::smc(fifty, Gaussian::isotropic(50, 1),
                                      {.particles = 1000, .seed = seed, .threads = 1});
    sum += result.log_evidence, variance += std::pow(result.log_evidence_error, 2);
    // 1325 moments of correlated draws.
    CHECK(moments_z(result.particles, fifty) < 7);
  }
  CHECK(std::sqrt(variance / 4) < 0.12);
  CHECK(std::abs(sum) < 3 * std::sqrt(variance));
}

TEST_CASE("smc reaches a target a hundred standard deviations away") {
  const Gaussian target = Gaussian::isotropic(Eigen::Vector2d(100, -20), 1);
  const SmcResult result =
      wgf::smc(target, Gaussian::isotropic(2, 1), {.particles = 2000, .seed = 5, .threads = 1});
  CHECK(std::abs(result.log_evidence) < 3 * result.log_evidence_error);
  CHECK(result.log_evidence_error < 0.4);
  CHECK(result.families >= 20);
  CHECK(result.families < 200);  // all others have died out
  CHECK(moments_z(result.particles, target) < 5);
}

TEST_CASE("smc does not depend on the units") {
  const auto scaled = [](double unit) {
    const MatrixXd covariance = unit * unit * correlated().covariance();
    return wgf::smc(Gaussian(unit * correlated().mean(), covariance), Gaussian::isotropic(3, unit),
                    {.particles = 1000, .seed = 6, .threads = 1});
  };
  const SmcResult one = scaled(1);
  for (const double unit : {1e6, 1e-6, 0x1p40}) {
    const SmcResult other = scaled(unit);
    CHECK(other.temperatures.size() == one.temperatures.size());
    CHECK(other.log_evidence == Approx(one.log_evidence).margin(1e-8));
    CHECK(other.log_evidence_error == Approx(one.log_evidence_error).epsilon(1e-8));
    CHECK((other.particles / unit - one.particles).cwiseAbs().maxCoeff() < 1e-8);
  }
}

TEST_CASE("smc gives the same bits on any number of threads") {
  for (const auto& move : {std::variant<Hmc, Mala>(Hmc{}), std::variant<Hmc, Mala>(Mala{})}) {
    const auto on = [&](int threads) {
      return wgf::smc(two_modes(), Gaussian::isotropic(2, 3),
                      {.particles = 777, .seed = 7, .move = move, .threads = threads});
    };
    const SmcResult one = on(1);
    for (const int threads : {2, 3}) {
      const SmcResult other = on(threads);
      CHECK(other.particles == one.particles);
      CHECK(other.log_evidence == one.log_evidence);
      CHECK(other.log_evidence_error == one.log_evidence_error);
      CHECK(other.temperatures == one.temperatures);
      CHECK(other.acceptance_rates == one.acceptance_rates);
    }
  }
  const SmcResult first = wgf::smc(two_modes(), Gaussian::isotropic(2, 3), {.particles = 100}),
                  second = wgf::smc(two_modes(), Gaussian::isotropic(2, 3),
                                    {.particles = 100, .seed = 1});
  CHECK(first.particles != second.particles);
}

TEST_CASE("smc on the funnel") {
  const SmcResult result = wgf::smc(
      Funnel{}, Gaussian::isotropic(10, 1),
      {.particles = 2000, .seed = 8, .move = Hmc{.moves = 10}, .relative_ess = 0.95, .threads = 1});
  const VectorXd neck = result.particles.row(0).transpose();
  const double mean = neck.mean(), spread = std::sqrt((neck.array() - mean).square().mean());
  INFO("neck " << mean << " ± " << spread << ", log Z " << result.log_evidence << " ± "
               << result.log_evidence_error << ", families " << result.families << ", evaluations "
               << result.target_evaluations);
  // Exact: 0, 3 and 0. No step size suits both the neck and the mouth: the particles stay between
  // −5 and 7, and log_evidence_error does not show it. Hence these wide bounds.
  CHECK(std::abs(mean) < 1);
  CHECK(spread > 1.8);
  CHECK(spread < 3.5);
  CHECK(std::abs(result.log_evidence) < 0.4);
}

TEST_CASE("particles where the target is 0 lose their weight") {
  const SmcResult result =
      wgf::smc(HalfGaussian{}, Gaussian::isotropic(2, 1), {.seed = 9, .threads = 1});
  // Half of the particles are lost: the standard error of log Z is √((1 − ½)/(½ n)).
  const double exact_error = std::sqrt(1 / 4000.0);
  CHECK(std::abs(result.log_evidence - std::log(0.5)) < 3 * exact_error);
  CHECK(result.log_evidence_error == Approx(exact_error).epsilon(0.1));
  CHECK((result.particles.row(0).array() > 0).all());
  // E x₀ = √(2/π), with variance 1 − 2/π.
  CHECK(std::abs(result.particles.row(0).mean() - std::sqrt(2 / std::numbers::pi)) <
        5 * std::sqrt((1 - 2 / std::numbers::pi) / 2000));
}

TEST_CASE("a start that is the target needs one temperature and has no error") {
  const Gaussian law = Gaussian::isotropic(2, 1);
  const SmcResult result = wgf::smc(Unnormalised<Gaussian>{law, 1}, law, {.particles = 100});
  CHECK(result.temperatures == std::vector<double>{1});
  CHECK(result.log_evidence == Approx(1).epsilon(1e-14));
  CHECK(result.log_evidence_error < 1e-7);
  CHECK(result.families == 100);
}

TEST_CASE("smc counts the evaluations of the target") {
  std::atomic<long> values{0}, gradients{0};
  const Gaussian law = correlated();
  const Given target{3, [&](const VectorXd& x) { return ++values, law.log_density(x); },
                     [&](const VectorXd& x) { return ++gradients, law.gradient(x); }};
  const SmcResult result = wgf::smc(target, Gaussian::isotropic(3, 1),
                                    {.particles = 200, .move = Hmc{.moves = 3}, .threads = 2});
  CHECK(result.target_evaluations == gradients);
  CHECK(values == 200 * (1 + 3 * static_cast<long>(result.temperatures.size())));
}

TEST_CASE("each weighting keeps the conditional effective sample size") {
  const wgf::SmcResult fine = wgf::smc(correlated(), Gaussian::isotropic(3, 1),
                                       {.relative_ess = 0.99, .threads = 1}),
                       coarse = wgf::smc(correlated(), Gaussian::isotropic(3, 1),
                                         {.relative_ess = 0.6, .threads = 1});
  CHECK(fine.temperatures.size() > 2 * coarse.temperatures.size());
  const Eigen::ArrayXd r = wgf::standard_normals(1, 1000, 1).transpose().array() * 30;
  const Eigen::ArrayXd weights = Eigen::ArrayXd::Constant(1000, 1e-3);
  const double step = wgf::detail::temperature_step(weights, r, 0.9, 1);
  const Eigen::ArrayXd v = (step * r).exp();
  CHECK(std::pow(v.sum(), 2) / v.square().sum() / 1000 == Approx(0.9).epsilon(1e-6));
  CHECK(wgf::detail::temperature_step(weights, 1e-9 * r, 0.9, 0.25) == 0.25);
}

TEST_CASE("systematic resampling copies a particle n w times, up to rounding, none of weight 0") {
  Eigen::ArrayXd weights(6);
  weights << 0, 0.5, 0.1, 0.3, 0.1, 0;
  for (const double shift : {0.0, 0.25, 0.9999999}) {
    std::array<int, 6> copies{};
    for (const Eigen::Index parent : wgf::detail::systematic(weights, 6, shift))
      ++copies[static_cast<std::size_t>(parent)];
    for (int k = 0; k < 6; ++k)
      CHECK(std::abs(copies[static_cast<std::size_t>(k)] - 6 * weights[k]) < 1);
    CHECK(copies[0] == 0);
    CHECK(copies[5] == 0);
  }
}

TEST_CASE("trajectories that leave the range of numbers are rejected") {
  // −x⁸: with a step of 2 many leapfrog steps diverge to infinity, where the density is NaN.
  const Given steep{1,
                    [](const VectorXd& x) {
                      const double v = std::pow(x[0], 8);
                      return std::isfinite(v) ? -v : std::numeric_limits<double>::quiet_NaN();
                    },
                    [](const VectorXd& x) -> VectorXd { return -8 * x.array().pow(7); }};
  const SmcResult result = wgf::smc(steep, Gaussian::isotropic(1, 3),
                                    {.seed = 1, .move = Hmc{.step_size = 1.5}, .threads = 1});
  // Z = 2 Γ(9/8); the start's constant is normalised.
  CHECK(std::abs(result.log_evidence - std::log(2 * std::tgamma(1.125))) <
        3 * result.log_evidence_error);
  CHECK(result.particles.allFinite());
}

// ---- wrong arguments

TEST_CASE("smc refuses wrong arguments with one sentence") {
  const Gaussian normal = Gaussian::isotropic(2, 1);
  const auto options = [&](const SmcOptions& wrong) {
    return refusal([&] { wgf::smc(normal, normal, wrong); });
  };
  CHECK(refusal([&] { wgf::smc(Gaussian::isotropic(3, 1), normal); }) ==
        "wgf::smc: the start must have the target's dimension 3, got 2");
  CHECK(options({.particles = 1}) ==
        "wgf::SmcOptions: particles must be from 2 to 4294967295, got 1");
  CHECK(options({.relative_ess = 1}) ==
        "wgf::SmcOptions: relative_ess must be between 0 and 1, got 1.000000");
  CHECK(options({.relative_ess = std::nan("")}) ==
        "wgf::SmcOptions: relative_ess must be between 0 and 1, got nan");
  CHECK(options({.resample_below = 1.5}) ==
        "wgf::SmcOptions: resample_below must be from 0 to 1, got 1.500000");
  CHECK(options({.max_temperatures = 0}) ==
        "wgf::SmcOptions: max_temperatures must be at least 1, got 0");
  CHECK(options({.threads = -1}) ==
        "wgf::SmcOptions: threads must be from 1 to 1024, or 0 for all cores, got -1");
  CHECK(options({.move = Hmc{.leapfrog_steps = 0}}) ==
        "wgf::Hmc: leapfrog_steps must be from 1 to 1000000, got 0");
  CHECK(options({.move = Hmc{.moves = 0}}) == "wgf::Hmc: moves must be at least 1, got 0");
  CHECK(options({.move = Hmc{.acceptance = 0}}) ==
        "wgf::Hmc: acceptance must be between 0 and 1, got 0.000000");
  CHECK(options({.move = Hmc{.step_size = infinity}}) ==
        "wgf::Hmc: step_size must be positive, or 0 to be adapted, got inf");
  CHECK(options({.move = Mala{.moves = 0}}) == "wgf::Mala: moves must be at least 1, got 0");
  CHECK(options({.move = Mala{.acceptance = 1}}) ==
        "wgf::Mala: acceptance must be between 0 and 1, got 1.000000");
  CHECK(options({.move = Mala{.step_size = -1}}) ==
        "wgf::Mala: step_size must be positive, or 0 to be adapted, got -1.000000");

  const auto target = [&](double value, const VectorXd& slope) {
    return refusal([&] {
      wgf::smc(
          Given{2, [=](const VectorXd&) { return value; }, [=](const VectorXd&) { return slope; }},
          normal, {.particles = 10, .threads = 1});
    });
  };
  const VectorXd zero = VectorXd::Zero(2);
  CHECK(target(-infinity, zero) ==
        "wgf::smc: the target's log-density must be finite at some of the start's particles, got "
        "-inf at all 10");
  CHECK(target(std::nan(""), zero) ==
        "wgf::smc: the target's log-density must be a number below +∞, got nan");
  CHECK(target(infinity, zero) ==
        "wgf::smc: the target's log-density must be a number below +∞, got inf");
  CHECK(target(0, VectorXd::Zero(3)) == "wgf::smc: a gradient must have 2 coordinates, got 3");
  CHECK(target(0, VectorXd::Constant(2, infinity)) ==
        "wgf::smc: the target's gradient must be finite where its log-density is");
  // NaN that only a proposal meets, on any number of threads.
  const Given hole{
      2,
      [](const VectorXd& x) { return x[0] > 4.5 ? std::nan("") : -0.5 * (x[0] - 6) * (x[0] - 6); },
      [](const VectorXd& x) -> VectorXd { return Eigen::Vector2d(6 - x[0], 0); }};
  for (const int threads : {1, 3})
    CHECK(refusal([&] { wgf::smc(hole, normal, {.threads = threads}); }) ==
          "wgf::smc: the target's log-density must be a number below +∞, got nan");
  CHECK(message_of<std::runtime_error>([&] {
          wgf::smc(Gaussian::isotropic(Eigen::Vector2d(50, 0), 1), normal,
                   {.particles = 100, .max_temperatures = 3, .threads = 1});
        }).starts_with("wgf::smc: 3 temperatures reach only beta = 0.0"));
  CHECK(refusal([&] {
          TemperedParticles<Gaussian, Gaussian>(normal, normal, Particles::Zero(3, 5), 1);
        }) == "wgf::TemperedParticles: the densities must have the particles' dimension 3, got 2");
  CHECK(refusal([&] {
          TemperedParticles<Gaussian, Gaussian>(normal, normal, Particles::Constant(2, 5, infinity),
                                                1);
        }) == "wgf::TemperedParticles: the particles must be finite");
}
