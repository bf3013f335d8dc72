// SPDX-License-Identifier: BSL-1.0
#pragma once
// Reweighted stages: after a stage's map, particles of a law with known density p are weighted by
// π/p for the (possibly tempered) target π of the step, resampled, and moved by Markov chains that
// leave π invariant: sequential Monte Carlo with learned transports (Arbel, Matthews, Doucet,
// "Annealed flow transport Monte Carlo", 2021).
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <Eigen/Core>

#include "../checks.hpp"
#include "../functional/target.hpp"
#include "../hana.hpp"
#include "../markov_moves.hpp"
#include "../particles.hpp"
#include "../random.hpp"
#include "../random_streams.hpp"
#include "../resampling.hpp"
#include "rejection.hpp"

namespace wgf {

/// The reweighting of a stage: its policy, and what it found in the population of the run.
struct Reweighting {
  std::variant<Hmc, Mala> move = Hmc{};
  double step_size = 0;  ///< ε after its moves, with which those of the next stage begin
  /// log Z_k = log ∫π_k, the log of the mean of π_k/p; p is normalised by the Z of the stage
  /// before.
  double log_evidence = 0;
  /// The standard error of this mean alone, relative to it, as if the particles were independent.
  double error = 0;
  double ess_fraction = 0;  ///< (Σw)²/(n Σw²) of the n weights
  double acceptance = 0;    ///< the mean of the moves' acceptances
};

/// Particles that a flow with reweighted stages draws together, and what they tell about ∫q.
struct ReweightedSample {
  Particles particles;            ///< d × n, equally weighted, not independent
  Eigen::VectorXd log_densities;  ///< n: after the last stage's reweighting log π − log Z
  /// log Z of the last reweighted stage's target. The bias of Z is of order 1/n, as step sizes and
  /// metrics of the moves are adapted to the particles; where maps fold, Z is too large by up to
  /// the share of the particles at which they do.
  double log_evidence = 0;
  /// An estimate of its standard deviation from the genealogy, as SmcResult::log_evidence_error.
  double log_evidence_error = 0;
  long families = 0;  ///< of the first particles, those with descendants of positive weight
  std::vector<double> ess_fractions{};  ///< of each reweighting
  long folded = 0;                      ///< particles, of all stages, at which a map folds
};

namespace detail {

/// A target at one time, and its exponent.
template <class T>
struct Factor {
  double weight;
  T target;
};
/// π, the product of the targets of weighted potentials at one time, up to a constant.
template <class Factors>
struct ProductTarget {
  int d;
  Factors factors;

  int dim() const { return d; }
  double log_density(const Eigen::VectorXd& x) const {
    double log = 0;
    hana::for_each(factors, [&](const auto& f) {
      log += f.weight * static_cast<double>(f.target.log_density(x));
    });
    return log;
  }
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const {
    Eigen::VectorXd sum = Eigen::VectorXd::Zero(d);
    hana::for_each(factors,
                   [&](const auto& f) { sum += f.weight * log_density_gradient(f.target, x); });
    return sum;
  }
};
/// The target of a corrected flow's stage k.
template <class Flow>
auto target_of_stage(const Flow& flow, int k) {
  const double time = flow.time(k + 1);
  auto factors = hana::transform(flow.corrections, [&](const auto& t) {
    return Factor<TargetAt<std::remove_cvref_t<decltype(t.term.target)>>>{
        t.weight, target_at(t.term.target, time)};
  });
  return ProductTarget<decltype(factors)>{flow.dim(), std::move(factors)};
}
/// log p = 0: what TemperedParticles needs as a start, but does not use at β = 1.
struct NoStart {
  int d;
  int dim() const { return d; }
  double log_density(const Eigen::VectorXd&) const { return 0; }
  Eigen::VectorXd gradient(const Eigen::VectorXd&) const { return Eigen::VectorXd::Zero(d); }
};

/// Weights particles of a law with known density by π/p, resamples and moves them.
/// \param r its policy is read, and its results are set. \param cloud log p is NaN at particles
/// whose weight is 0; afterwards it is log π − log Z. \param step_size ε of the first move if the
/// policy adapts it; 0: that of the policy. \returns the normalised weights before the resampling
/// and the parents chosen by it.
/// \throws std::runtime_error if all weights are 0; as TemperedParticles does
template <Target T>
std::pair<Eigen::ArrayXd, std::vector<Eigen::Index>> reweight(const T& target, Reweighting& r,
                                                              Cloud& cloud, double step_size,
                                                              std::uint64_t seed, int threads) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Eigen::Index n = cloud.x.cols();
  const double count = static_cast<double>(n);
  const NoStart none{target.dim()};
  TemperedParticles<T, NoStart> particles(target, none, std::move(cloud.x), seed, threads,
                                          "wgf::Reweighted");
  Eigen::ArrayXd log = particles.log_target() - cloud.log_densities;
  log = log.isNaN().select(-infinity, log);
  const double largest = log.maxCoeff();
  if (!std::isfinite(largest))
    throw std::runtime_error("wgf::Reweighted: the target's density is zero at all particles");
  Eigen::ArrayXd weights = (log - largest).exp();
  const double sum = weights.sum();
  weights /= sum;
  r.log_evidence = largest + std::log(sum / count);
  r.ess_fraction = 1 / (count * weights.square().sum());
  r.error = relative_error(weights);

  auto parents = systematic(weights, static_cast<long>(n),
                            Random{seed}.shared_uniform(resampling_stream, 0, 0));
  particles.set_step_size(step_size);
  double acceptance = 0;
  int moves = 0;
  std::visit(
      [&](const auto& policy) {
        // In this order, so that no half has its metric from its own parents.
        particles.select(parents);
        const Eigen::VectorXd equal = Eigen::VectorXd::Constant(n, 1 / count);
        particles.set_metric(policy.metric, equal);
        for (moves = 0; moves < policy.moves; ++moves)
          acceptance += particles.move(policy, 1, equal);
      },
      r.move);
  r.acceptance = acceptance / moves;
  r.step_size = particles.step_size();
  cloud.x = particles.x();
  cloud.log_target = particles.log_target();
  cloud.log_densities = cloud.log_target.array() - r.log_evidence;
  return {std::move(weights), std::move(parents)};
}

/// The worker threads of a backend; 0 for all cores.
template <class Backend>
int threads_of(const Backend& backend) {
  if constexpr (requires { backend.threads; }) return backend.threads;
  else return 0;
}
/// The number of stages before the first one that is reweighted.
template <class Flow>
int stages_before_reweighting(const Flow& flow) {
  int k = 0;
  while (k < flow.size() && !flow.stages[static_cast<std::size_t>(k)].reweighting) ++k;
  return k;
}
/// \throws std::invalid_argument if one of the stages [from, to) is reweighted.
template <class Flow>
void refuse_reweighting(const Flow& flow, int from, int to, const char* who) {
  for (int k = from; k < to; ++k)
    if (flow.stages[static_cast<std::size_t>(k)].reweighting)
      throw std::invalid_argument(
          std::string("wgf::Flow::") + who + ": stage " + std::to_string(k + 1) +
          " weights and resamples its particles together: use sample, sample_path or "
          "sample_with_evidence");
}
/// Reweights the particles of a run after the map of a flow's last stage, in which the results are
/// stored.
template <class Flow>
void reweight_last(Flow& flow, Cloud& cloud, std::uint64_t seed) {
  const int k = flow.size() - 1;
  double step_size = 0;
  if (k > 0)
    if (const auto& before = flow.stages[static_cast<std::size_t>(k) - 1].reweighting)
      step_size = before->step_size;
  reweight(target_of_stage(flow, k), *flow.stages.back().reweighting, cloud, step_size,
           mixed_seed(mixed_seed(seed + resampling_stream) + static_cast<std::uint64_t>(k)),
           threads_of(flow.backend));
}

/// n particles of a flow with reweighted stages: independent draws as far as there are no
/// reweightings, then n particles that are weighted, resampled and moved together.
/// \param visit called as visit(particles) after each stage from the first reweighted one.
/// \throws InversionError if a map folds at more than a hundredth of the particles; those at which
/// it does have weight 0.
template <class Flow, class Visit>
ReweightedSample draw_reweighted(const Flow& flow, long n, std::uint64_t seed, Visit&& visit) {
  check_at_least(n, 2, "wgf::Flow", "the number of particles of a reweighted flow");
  const int first = stages_before_reweighting(flow);
  ReweightedSample result;
  Cloud cloud;
  std::tie(cloud.x, cloud.log_densities) = flow.sample_with_log_density(n, seed, first);
  Genealogy genealogy(n);
  for (int k = first; k < flow.size(); ++k) {
    const auto& stage = flow.stages[static_cast<std::size_t>(k)];
    const Particles before = cloud.x;
    std::tie(cloud.x, cloud.log_densities) = flow.push_maps_with_log_density(
        std::move(cloud.x), std::move(cloud.log_densities), k, k + 1, true);
    const auto folds = cloud.log_densities.array().isNaN();
    const long folded = folds.count();
    result.folded += folded;
    if (folded > (stage.reweighting ? n / 100 : 0)) {
      Eigen::Index i = 0;
      while (!folds[i]) ++i;
      throw InversionError(k + 1, before.col(i),
                           "is not one to one: its determinant is not positive");
    }
    if (stage.reweighting) {
      Reweighting r = *stage.reweighting;
      const auto [weights, parents] =
          reweight(target_of_stage(flow, k), r, cloud, r.step_size,
                   mixed_seed(mixed_seed(mixed_seed(seed) + resampling_stream) +
                              static_cast<std::uint64_t>(k)),
                   threads_of(flow.backend));
      const Eigen::ArrayXd family = genealogy.families(weights);
      genealogy.select(parents);
      result.log_evidence = r.log_evidence;
      result.log_evidence_error = relative_error(family);
      result.families = static_cast<long>((family > 0).count());
      result.ess_fractions.push_back(r.ess_fraction);
    }
    visit(cloud.x);
  }
  result.particles = std::move(cloud.x);
  result.log_densities = std::move(cloud.log_densities);
  return result;
}

/// n particles that represent the law of a corrected flow, and their log-densities.
template <class Flow>
std::pair<Particles, Eigen::VectorXd> draw_population(const Flow& flow, long n,
                                                      std::uint64_t seed) {
  if (stages_before_reweighting(flow) == flow.size()) return flow.sample_with_log_density(n, seed);
  ReweightedSample sample = draw_reweighted(flow, n, seed, [](const Particles&) {});
  return {std::move(sample.particles), std::move(sample.log_densities)};
}

}  // namespace detail
}  // namespace wgf
