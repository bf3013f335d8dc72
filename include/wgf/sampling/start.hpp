// SPDX-License-Identifier: BSL-1.0
#pragma once
// Where the flow of sample() starts: mixtures fitted to the particles of sequential Monte Carlo,
// which is repeated from the mixture as long as that fits badly.
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../diagnostics/importance.hpp"
#include "../measure/block_mixture.hpp"
#include "../measure/fit_blocks.hpp"
#include "../options/options.hpp"
#include "smc.hpp"

namespace wgf {

/// The width s of N(0, s² I), among 1, 3, 10, …, 1000, from which small runs of sequential Monte
/// Carlo find the most mass.
template <class T>
double most_useful_width(const T& target, std::uint64_t seed, int threads) {
  double best = 1, most = -std::numeric_limits<double>::infinity();
  for (const double s : {1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0}) {
    SmcOptions small{.particles = 500, .seed = seed, .max_temperatures = 200};
    small.threads = threads;
    try {
      const auto run = smc(target, Gaussian::isotropic(target.dim(), s), small);
      // A wider start must find noticeably more: its estimate is noisier.
      const double found = run.log_evidence - run.log_evidence_error;
      if (found > most) most = found, best = s;
    } catch (const std::runtime_error&) {     // too many temperatures: too far from the target
    } catch (const std::invalid_argument&) {  // zero density at all particles
    }
  }
  return best;
}

namespace detail {

/// 1/(n Σw²) for weights given by their logarithms: the relative effective sample size.
inline double relative_ess(const Eigen::VectorXd& log_weights) {
  const double top = log_weights.maxCoeff();
  if (!std::isfinite(top)) return 0;
  const Eigen::ArrayXd w = (log_weights.array() - top).exp();
  return w.sum() * w.sum() / w.square().sum() / static_cast<double>(w.size());
}

/// How a fitted law is widened, so that it covers the tails: weights q/p must be bounded.
struct Widening {
  double factor;  ///< of the components' covariances
  double share;   ///< of N(m, 9 C) with the moments m, C of the particles
  explicit Widening(int dim)
      : factor(1 + 0.6 / std::sqrt(dim)),
        share(dim <= 5    ? 0.3
              : dim <= 20 ? 0.1
                          : 0) {}
};
/// A fitted law, widened.
inline BlockMixture widened(const BlockMixture& fit, const Particles& particles,
                            Widening widening) {
  const double share = widening.share / static_cast<double>(fit.blocks().size());
  std::vector<BlockMixture::Block> blocks;
  for (const BlockMixture::Block& block : fit.blocks()) {
    std::vector<Gaussian> parts;
    std::vector<double> shares;
    for (std::size_t k = 0; k < block.law.weights().size(); ++k) {
      const Gaussian& part = block.law.components()[k];
      parts.emplace_back(part.mean(), widening.factor * part.covariance());
      shares.push_back((1 - share) * block.law.weights()[k]);
    }
    if (share > 0) {
      const Gaussian whole = Gaussian::fit(rows(particles, block.coordinates));
      parts.emplace_back(whole.mean(), 9 * whole.covariance()), shares.push_back(share);
    }
    blocks.push_back({block.coordinates, GaussianMixture(shares, parts)});
  }
  return BlockMixture(std::move(blocks));
}

/// log Z and its standard error.
struct Evidence {
  double log = 0, error = 0;
};
/// P_0 of sample(), and the run to which it was fitted.
struct SampleStart {
  SmcResult pilot;
  BlockMixture fit;  ///< to its particles
  BlockMixture law;  ///< the fit, widened
  double ess;        ///< the relative effective sample size of draws from the law
  int runs = 1;      ///< of sequential Monte Carlo
  Evidence most{};   ///< the largest that a run has found

  /// In words, as a part of a sentence.
  std::string description() const {
    std::size_t components = 0;
    for (const BlockMixture::Block& block : fit.blocks())
      components += block.law.components().size();
    const auto blocks = fit.blocks().size();
    const Widening widening(fit.dim());
    return text("a mixture of %zu Gaussians%s fitted to %s, covariances times %.3g", components,
                blocks == 1 ? ""
                            : text(" in %zu independent blocks of coordinates,", blocks).c_str(),
                runs == 1 ? "a pilot run" : text("one of %d pilot runs", runs).c_str(),
                widening.factor) +
           (widening.share > 0
                ? text(", with a share of %.3g%s of N(m, 9 C), the moments m, C of the run",
                       widening.share / static_cast<double>(blocks),
                       blocks == 1 ? "" : " in each block")
                : "");
  }
};

/// The fit with the largest effective sample size among several divisions into blocks.
template <class T>
SampleStart start_from(const T& target, SmcResult pilot, std::uint64_t seed) {
  constexpr long draws = 4000;
  std::vector<std::vector<int>> before;
  std::optional<SampleStart> best;
  for (const double dependence : {0.0, 0.15, 0.3, 2.0}) {
    std::vector<std::vector<int>> blocks = dependent_blocks(pilot.particles, dependence);
    if (blocks == before) continue;
    BlockMixture fit = fit_block_mixture(pilot.particles, blocks, {.seed = seed});
    BlockMixture law = widened(fit, pilot.particles, Widening(target.dim()));
    const Particles x = law.sample(draws, mixed_seed(seed + 3));
    const double ess = relative_ess(log_densities(target, x) - log_densities(law, x));
    if (!best || ess > best->ess) best = SampleStart{pilot, std::move(fit), std::move(law), ess};
    before = std::move(blocks);
  }
  return *best;
}

/// Sequential Monte Carlo from `wide`, then from the laws that were fitted to its particles, with
/// twice as many particles and ten times as many moves, until such a law has an effective sample
/// size of a half or `may_go_on` says no. Of the runs that do not miss mass which another one has
/// found, that with the largest effective sample size is taken.
template <class T, class MayGoOn>
SampleStart find_start(const T& target, const Gaussian& wide, long particles, std::uint64_t seed,
                       int threads, MayGoOn&& may_go_on) {
  constexpr std::size_t most_runs = 5;
  SmcOptions with{.particles = particles, .seed = seed + 1};
  with.threads = threads;
  std::vector<SampleStart> found{start_from(target, smc(target, wide, with), seed)};
  with.move = Hmc{.moves = 20}, with.particles = 2 * particles;
  Widening slightly(target.dim());
  slightly.share = 0;
  while (found.back().ess < 0.5 && found.size() < most_runs && may_go_on()) {
    with.seed = mixed_seed(seed + 100 + found.size());
    const SampleStart& last = found.back();
    try {
      found.push_back(start_from(
          target, smc(target, widened(last.fit, last.pilot.particles, slightly), with), seed));
    } catch (const std::runtime_error&) {  // the runs before are worth keeping
      break;
    } catch (const std::invalid_argument&) {
      break;
    }
  }
  const auto evidence = [](const SampleStart& s) {
    return Evidence{s.pilot.log_evidence, s.pilot.log_evidence_error};
  };
  Evidence most = evidence(found.front());
  for (const SampleStart& s : found)
    if (evidence(s).log > most.log) most = evidence(s);
  const SampleStart* best = nullptr;
  for (const SampleStart& s : found) {
    const bool misses =
        evidence(s).log < most.log - 0.05 - 2 * std::hypot(evidence(s).error, most.error);
    if (!misses && (!best || s.ess > best->ess)) best = &s;
  }
  SampleStart start = *best;  // there is one: the run with the largest log Z misses nothing
  start.runs = static_cast<int>(found.size()), start.most = most;
  return start;
}

}  // namespace detail

}  // namespace wgf
