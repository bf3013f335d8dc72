// SPDX-License-Identifier: BSL-1.0
#pragma once
// Tempered sequential Monte Carlo (Del Moral, Doucet, Jasra, JRSS B 68, 2006): particles of p₀ are
// led to q along π_β ∝ q^β p₀^{1−β}, 0 = β_0 < β_1 < … < β_T = 1. At each temperature they are
// weighted by (q/p₀)^{β_t − β_{t−1}}, resampled if the weights are uneven, and moved by MALA or
// HMC. The product of the mean weights is an estimate of Z = ∫q.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <Eigen/Core>

#include "../adapt.hpp"
#include "../concepts.hpp"
#include "../functional/target.hpp"
#include "../markov_moves.hpp"
#include "../particles.hpp"
#include "../random.hpp"
#include "../resampling.hpp"

namespace wgf {

/// Options of smc().
struct SmcOptions {
  long particles = 4000;  ///< n, at least 2
  std::uint64_t seed = 0;
  std::variant<Hmc, Mala> move = Hmc{};
  /// The temperatures: the conditional effective sample size of each weighting, relative to n
  /// (Zhou, Johansen, Aston, JCGS 25, 2016).
  double relative_ess = 0.9;
  /// The particles are resampled when their effective sample size falls below this fraction of n.
  double resample_below = 0.5;
  /// Resample at the last temperature in any case, before its moves, so that all weights are 1/n.
  bool equal_weights = true;
  int max_temperatures = 1000;
  int threads = 0;  ///< 0 for all cores; the result does not depend on it

  /// \throws std::invalid_argument for a field out of range.
  void check() const {
    const auto refuse = [](const std::string& sentence) {
      throw std::invalid_argument("wgf::SmcOptions: " + sentence);
    };
    if (particles < 2 || particles > std::numeric_limits<std::uint32_t>::max())
      refuse("particles must be from 2 to 4294967295, got " + std::to_string(particles));
    if (!(relative_ess > 0 && relative_ess < 1))
      refuse("relative_ess must be between 0 and 1, got " + std::to_string(relative_ess));
    if (!(resample_below >= 0 && resample_below <= 1))
      refuse("resample_below must be from 0 to 1, got " + std::to_string(resample_below));
    if (max_temperatures < 1)
      refuse("max_temperatures must be at least 1, got " + std::to_string(max_temperatures));
    if (threads < 0 || threads > 1024)
      refuse("threads must be from 1 to 1024, or 0 for all cores, got " + std::to_string(threads));
    std::visit([](const auto& policy) { policy.check(); }, move);
  }
};

/// What smc() returns.
struct SmcResult {
  Particles particles;          ///< d × n, approximate draws from q
  Eigen::VectorXd log_weights;  ///< n, of the particles, normalised: their exponentials sum to 1;
                                ///< all −log n if `equal_weights`
  Eigen::VectorXd log_density;  ///< n, log q at the particles
  double log_evidence = 0;      ///< the estimate of log Z = log ∫q, for a normalised p₀
  /// An estimate of the standard deviation of log_evidence, in nats, from the genealogy of this
  /// run: with W_k the total final weight of the descendants of the k-th particle of p₀, the root
  /// of n/(n−1) Σ_k (W_k − 1/n)² (Chan and Lai, Annals of Statistics 41, 2013; Lee and Whiteley,
  /// Biometrika 105, 2018, who prove consistency for multinomial resampling). For systematic
  /// resampling there is no proof. Over 30 or 60 seeds the mean of its square was 0.6 to 1.6 times
  /// the variance of log_evidence, for seven targets in 1 to 50 dimensions; for forty separate
  /// modes it was 5 times the variance (8 seeds). It means little with fewer than about 20
  /// families, and knows nothing of regions that no particle has found.
  double log_evidence_error = 0;
  long families = 0;  ///< particles of p₀ that have descendants with a positive weight
  std::vector<double> temperatures;      ///< β_1 < … < β_T = 1
  std::vector<double> acceptance_rates;  ///< at each temperature, the mean over its moves
  long resamplings = 0;
  long target_evaluations = 0;  ///< log q and its gradient at one point count once
};

namespace detail {
/// The largest step of temperature, at most `remaining`, that keeps the conditional effective
/// sample size (Σ w v)²/Σ w v², v = e^{step·r}, at or above `relative`, by bisection.
/// \param weights n, with sum 1, and 0 where r = −∞.
inline double temperature_step(const Eigen::ArrayXd& weights, const Eigen::ArrayXd& log_ratio,
                               double relative, double remaining) {
  const double largest =
      (weights > 0).select(log_ratio, -std::numeric_limits<double>::infinity()).maxCoeff();
  const Eigen::ArrayXd centred = (weights > 0).select(log_ratio - largest, 0);
  const auto keeps = [&](double step) {
    const Eigen::ArrayXd v = (step * centred).exp();
    const double sum = (weights * v).sum();
    return sum * sum >= relative * (weights * v.square()).sum();
  };
  if (keeps(remaining)) return remaining;
  double high = remaining, low = 0.5 * remaining;
  while (!keeps(low)) high = low, low *= 0.5;  // ends: v = 1 where step·r vanishes
  for (int k = 0; k < 40; ++k) {
    const double middle = 0.5 * (low + high);
    (keeps(middle) ? low : high) = middle;
  }
  return low;
}
}  // namespace detail

/// Draws from an unnormalised target, and its normalising constant. The result is a function of the
/// options without `threads`, bit for bit.
/// \param target any Target that kl() accepts: log q, with or without its gradient. −∞ is allowed.
/// \param start p₀: dim(), sample(n, seed), its normalised log_density(x) and, unless that is a
/// template over the scalar type, gradient(x); for example a Gaussian. It should be as wide as the
/// target: modes that it does not reach are not found.
/// \throws std::invalid_argument for invalid options, a start of another dimension than the target,
/// a target that is 0 at all particles of the start, or a log-density that is NaN or +∞.
/// \throws std::runtime_error if `max_temperatures` do not reach β = 1.
template <class T, class P>
SmcResult smc(const T& target, const P& start, const SmcOptions& options = {}) {
  const auto& density = Adapt<T>::read(target);
  using Density = std::remove_cvref_t<decltype(density)>;
  static_assert(
      Target<Density>,
      "wgf::smc: the target needs dim(), log_density(x), and gradient(x) unless log_density "
      "is a template over the scalar type");
  static_assert(Measure<P> && Target<P>,
                "wgf::smc: the start needs dim(), sample(n, seed), log_density(x), and gradient(x) "
                "unless log_density is a template over the scalar type");
  options.check();
  if (start.dim() != density.dim())
    throw std::invalid_argument("wgf::smc: the start must have the target's dimension " +
                                std::to_string(density.dim()) + ", got " +
                                std::to_string(start.dim()));
  constexpr std::uint32_t stream = 0x534d4320;  // "SMC "
  const auto n = static_cast<Eigen::Index>(options.particles);
  const double count = static_cast<double>(n);
  TemperedParticles<Density, P> particles(density, start,
                                          start.sample(options.particles, options.seed),
                                          options.seed, options.threads, "wgf::smc");
  if (particles.x().cols() != n)
    throw std::invalid_argument("wgf::smc: the start must give " + std::to_string(n) +
                                " particles, got " + std::to_string(particles.x().cols()));
  if (!(particles.log_target().maxCoeff() > -std::numeric_limits<double>::infinity()))
    throw std::invalid_argument(
        "wgf::smc: the target's log-density must be finite at some of the start's particles, got "
        "-inf "
        "at all " +
        std::to_string(n));

  SmcResult result;
  Eigen::ArrayXd weights = Eigen::ArrayXd::Constant(n, 1 / count);
  detail::Genealogy genealogy(n);
  for (double beta = 0; beta < 1;) {
    if (result.temperatures.size() == static_cast<std::size_t>(options.max_temperatures))
      throw std::runtime_error(
          "wgf::smc: " + std::to_string(options.max_temperatures) +
          " temperatures reach only beta = " + std::to_string(beta) +
          "; the start is too far from the target, or max_temperatures too low");
    // Particles where q = 0 lose their weights first: no step of temperature, however short, could
    // keep them.
    const Eigen::ArrayXd log_ratio = particles.log_target() - particles.log_start();
    weights = (log_ratio > -std::numeric_limits<double>::infinity()).select(weights, 0);
    const double mass = weights.sum();
    weights /= mass;
    const double remaining = 1 - beta, step = detail::temperature_step(
                                           weights, log_ratio, options.relative_ess, remaining);
    beta = step < remaining ? beta + step : 1;
    result.temperatures.push_back(beta);

    Eigen::ArrayXd log =
        (weights > 0)
            .select(weights.log() + step * log_ratio, -std::numeric_limits<double>::infinity());
    const double largest = log.maxCoeff();
    weights = (log - largest).exp();
    const double sum = weights.sum();
    weights /= sum;
    result.log_evidence += std::log(mass) + largest + std::log(sum);

    const bool last = beta == 1;
    if (last) {
      const Eigen::ArrayXd family = genealogy.families(weights);
      result.log_evidence_error = detail::relative_error(family);
      result.families = static_cast<long>((family > 0).count());
    }
    const auto move = [&](const auto& policy) {
      particles.set_metric(policy.metric, weights.matrix());
      if (1 / weights.square().sum() < options.resample_below * count ||
          (last && options.equal_weights)) {
        const auto parents = detail::systematic(
            weights, options.particles,
            Random{options.seed}.shared_uniform(
                stream, static_cast<std::uint32_t>(result.temperatures.size()), 0));
        particles.select(parents);
        genealogy.select(parents);
        weights.setConstant(1 / count);
        ++result.resamplings;
      }
      double acceptance = 0;
      for (int k = 0; k < policy.moves; ++k)
        acceptance += particles.move(policy, beta, weights.matrix());
      result.acceptance_rates.push_back(acceptance / policy.moves);
    };
    std::visit(move, options.move);
  }
  result.particles = particles.x();
  result.log_density = particles.log_target();
  result.log_weights = weights.log();
  result.target_evaluations = particles.evaluations();
  return result;
}

}  // namespace wgf
