// SPDX-License-Identifier: BSL-1.0
#pragma once
// Pareto-smoothed importance sampling: Vehtari, Simpson, Gelman, Yao, Gabry, "Pareto smoothed
// importance sampling", JMLR 25 (2024).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../adapt.hpp"
#include "../flow/inverse.hpp"
#include "../functional/potential.hpp"
#include "../random.hpp"
#include "../resampling.hpp"
#include "verdict.hpp"

namespace wgf {

/// The generalised Pareto distribution on (0, ∞): P(X > x) = (1 + shape·x/scale)^{−1/shape}. Its
/// moments of order below 1/shape are finite; for a negative shape the support is bounded.
struct GeneralisedPareto {
  double shape, scale;

  /// The distribution fitted to `ascending`, at least five positive values in ascending order, by
  /// the posterior mean of Zhang and Stephens (Technometrics 51, 2009). The shape is then shrunk
  /// towards ½ with the weight of ten further values (Vehtari et al., appendix C).
  /// \throws std::invalid_argument for fewer values, or values that are not positive, finite and
  /// ascending.
  static GeneralisedPareto fit(const Eigen::VectorXd& ascending) {
    const Eigen::Index n = ascending.size();
    if (n < 5)
      throw std::invalid_argument(
          "wgf::GeneralisedPareto::fit: at least 5 values are needed, got " + std::to_string(n));
    if (!(ascending[0] > 0) || !ascending.allFinite() ||
        !std::is_sorted(ascending.begin(), ascending.end()))
      throw std::invalid_argument(
          "wgf::GeneralisedPareto::fit: the values must be positive, finite and in ascending "
          "order");
    const double quartile =
        ascending[static_cast<Eigen::Index>(static_cast<double>(n) / 4 + 0.5) - 1];
    const auto shape_at = [&](double theta) { return (-theta * ascending.array()).log1p().mean(); };
    // The profile likelihood on a grid of θ = −shape/scale gives the weights of the posterior mean.
    const int points = 30 + static_cast<int>(std::sqrt(static_cast<double>(n)));
    Eigen::ArrayXd theta(points), log(points);
    for (int j = 0; j < points; ++j) {
      theta[j] = 1 / ascending[n - 1] + (1 - std::sqrt(points / (j + 0.5))) / (3 * quartile);
      const double shape = shape_at(theta[j]);
      log[j] = static_cast<double>(n) * (std::log(-theta[j] / shape) - shape - 1);
    }
    log = (log - log.maxCoeff()).exp();
    const double mean = (theta * log).sum() / log.sum(), shape = shape_at(mean),
                 count = static_cast<double>(n);
    return {(count * shape + 5) / (count + 10), -shape / mean};
  }
  /// The mean of the values below the quantile at probability 1 − ε, times 1 − ε.
  double mean_below(double epsilon) const {
    const double log = std::log(epsilon), rest = 1 - shape;
    if (shape == 0) return scale * (1 - epsilon + epsilon * log);
    return scale / shape * ((rest == 0 ? -log : -std::expm1(rest * log) / rest) - (1 - epsilon));
  }
  /// The quantile of the distribution at probability p.
  double quantile(double p) const {
    return shape == 0 ? -scale * std::log1p(-p)
                      : scale * std::expm1(-shape * std::log1p(-p)) / shape;
  }
};

/// Weights w = p/q of n draws from q, for an unnormalised target p with integral Z, and their
/// reliability.
struct ImportanceSampling {
  Particles
      particles;  ///< d × n, the draws; empty if the weights were computed from log-densities alone
  Eigen::VectorXd log_weights;       ///< n, smoothed and normalised: their exponentials sum to 1
  double effective_sample_size = 0;  ///< 1/Σw², between 1 and n: equivalent draws from p
  /// k̂, the shape of the tail of the weights; 0 if the tail is flat, +∞ if too few weights are
  /// positive or a few are far beyond the tail of the others.
  double pareto_k = 0;
  /// The excess of the largest weights over the others, relative to the sum of all: that of these
  /// draws or, if it is larger, of the fitted tail among 100 n draws; 0 if there is no tail, +∞ if
  /// k̂ is.
  double tail_excess = 0;
  double log_normaliser = 0;  ///< log Z, estimated by the log of the mean weight before smoothing;
                              ///< the estimate of Z itself is unbiased
  double standard_error = 0;  ///< of log_normaliser, by the delta method; in nats
  std::string unknown{};      ///< why there are no weights; empty otherwise

  long size() const { return log_weights.size(); }
  /// min(1 − 1/log₁₀ n, 0.7): n draws suffice if k̂ is below it (section 3.2.4).
  double threshold() const {
    return std::min(1 - 1 / std::log10(static_cast<double>(size())), 0.7);
  }
  /// Whether the weights are so nearly equal that their tail would hold less than 1 % of the mass.
  /// Means of bounded functions are then right within that; whether the far tails of the draws are
  /// too thin is not known.
  bool has_negligible_tail() const { return tail_excess < 0.01; }
  Verdict verdict() const {
    return !unknown.empty()          ? Verdict::inconclusive
           : pareto_k <= threshold() ? Verdict::ok
           : has_negligible_tail()   ? Verdict::inconclusive
                                     : Verdict::problem;
  }
  /// One line.
  std::string summary() const {
    if (!unknown.empty()) return "importance weights: cannot tell: " + unknown;
    if (log_normaliser == -std::numeric_limits<double>::infinity())
      return "importance weights: no draw lies in the target's support";
    const std::string tail =
        detail::text("importance weights: k̂ = %.2f (threshold %.2f): ", pareto_k, threshold());
    if (verdict() == Verdict::problem)
      return tail + "do not trust the tails, nor the means and log Z made of them";
    const std::string rest =
        detail::text("effective sample size %.0f of %ld, log Z = %.4f ± %.4f",
                     effective_sample_size, size(), log_normaliser, standard_error);
    return verdict() == Verdict::ok
               ? tail + "weights reliable, " + rest
               : tail + "nearly equal, " + rest + ", but the far tails may be too thin";
  }
  /// Σ w f, the mean under the target, for n columns of values.
  Eigen::VectorXd mean(const Particles& values) const {
    check(values);
    return values * log_weights.array().exp().matrix();
  }
  /// `count` approximate draws from the target: columns of x, chosen by their weights (systematic
  /// resampling, hence in the order of x).
  /// \throws std::invalid_argument unless x has n columns and count ≥ 1.
  Particles resample(const Particles& x, long count, std::uint64_t seed) const {
    check(x);
    if (count < 1)
      throw std::invalid_argument(
          "wgf::ImportanceSampling: at least one draw must be asked for, got " +
          std::to_string(count));
    const double shift = Random{seed}.shared_uniform(0x52455341, 0, 0);  // "RESA"
    return x(Eigen::all, detail::systematic(log_weights.array().exp(), count, shift));
  }

 private:
  void check(const Particles& x) const {
    if (!unknown.empty() || x.cols() != size())
      throw std::invalid_argument("wgf::ImportanceSampling: there are " + std::to_string(size()) +
                                  " weights, for " + std::to_string(x.cols()) + " columns" +
                                  (unknown.empty() ? "" : ": " + unknown));
  }
};

/// The weights of n ≥ 25 independent draws from q.
/// \param log_target log p at the draws, up to a constant; −∞ outside its support.
/// \param log_proposal log q at the draws, normalised.
/// \throws std::invalid_argument for fewer draws, sizes that differ, log p = +∞, log q = ±∞, or
/// NaN.
inline ImportanceSampling importance(const Eigen::VectorXd& log_target,
                                     const Eigen::VectorXd& log_proposal) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Eigen::Index n = log_target.size();
  if (log_proposal.size() != n)
    throw std::invalid_argument("wgf::importance: every draw has two log-densities, got " +
                                std::to_string(n) + " of the target and " +
                                std::to_string(log_proposal.size()) + " of the proposal");
  if (n < 25)
    throw std::invalid_argument("wgf::importance: at least 25 draws are needed, got " +
                                std::to_string(n));
  if (!log_proposal.allFinite())
    throw std::invalid_argument("wgf::importance: the proposal's log-densities must be finite");
  if (!(log_target.array() < infinity).all())
    throw std::invalid_argument(
        "wgf::importance: the target's log-densities must be numbers below +∞");

  ImportanceSampling result;
  result.log_weights = log_target - log_proposal;
  result.pareto_k = result.tail_excess = infinity, result.log_normaliser = -infinity,
  result.standard_error = infinity;
  const double largest = result.log_weights.maxCoeff();
  if (largest == -infinity) return result;
  const double count = static_cast<double>(n);
  const Eigen::ArrayXd plain = (result.log_weights.array() - largest).exp();
  result.log_normaliser = largest + std::log(plain.mean());
  result.standard_error =
      std::sqrt((plain / plain.mean() - 1).square().sum() / count / (count - 1));
  // The M largest weights are replaced by quantiles of the generalised Pareto distribution fitted
  // to their excesses over the next largest weight.
  const auto tail = static_cast<Eigen::Index>(std::ceil(std::min(count / 5, 3 * std::sqrt(count))));
  std::vector<Eigen::Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(
      order.begin(), order.begin() + tail + 1, order.end(), [&](Eigen::Index a, Eigen::Index b) {
        return std::pair(-result.log_weights[a], a) < std::pair(-result.log_weights[b], b);
      });
  const double cutoff = result.log_weights[order[static_cast<std::size_t>(tail)]] - largest;
  if (cutoff > -infinity) {
    Eigen::VectorXd exceeding(tail);
    for (Eigen::Index i = 0; i < tail; ++i) {
      const double log =
          result.log_weights[order[static_cast<std::size_t>(tail - 1 - i)]] - largest;
      exceeding[i] = -std::exp(log) * std::expm1(cutoff - log);  // in units of the largest weight
    }
    // If the excesses vanish up to rounding, there is no tail to fit.
    if (exceeding[tail - 1] < 1e-9) {
      result.pareto_k = result.tail_excess = 0;
    } else {
      exceeding = exceeding.cwiseMax(
          1e-100 * exceeding[tail - 1]);  // for equal weights, or weights far below the largest
      const auto law = GeneralisedPareto::fit(exceeding);
      result.pareto_k = law.shape;
      const double m = static_cast<double>(tail), found = exceeding.sum() / plain.sum();
      result.tail_excess = std::max(law.mean_below(0.01 / m) * m / plain.sum(), found);
      // A few weights far beyond the tail of the others, as where a mode is all but missed.
      if (found > 0.01 && exceeding.sum() > 10 * law.mean_below(1 / m) * m)
        result.pareto_k = infinity;
      for (Eigen::Index i = 0; i < tail; ++i) {
        const double above =
            law.quantile((static_cast<double>(i) + 0.5) / static_cast<double>(tail));
        result.log_weights[order[static_cast<std::size_t>(tail - 1 - i)]] =
            largest + std::min(0.0, std::log(std::exp(cutoff) + above));
      }
    }
  }
  const double log_sum = largest + std::log((result.log_weights.array() - largest).exp().sum());
  result.log_weights.array() -= log_sum;
  result.effective_sample_size = 1 / (2 * result.log_weights.array()).exp().sum();
  return result;
}

namespace detail {
/// log p at every column of x.
template <class T>
Eigen::VectorXd log_densities(const T& target, const Particles& x) {
  Eigen::VectorXd log(x.cols());
  for (Eigen::Index i = 0; i < x.cols(); ++i)
    log[i] = static_cast<double>(target.log_density(Eigen::VectorXd(x.col(i))));
  return log;
}
}  // namespace detail

/// The weights of n fresh samples of a flow, by flow.sample_with_log_density. No map is inverted,
/// so that this also works for residual maps. Such a map may fold, in which case the density is
/// unknown: if the determinant at a sample is not positive, `unknown` says so. If none of n samples
/// is at a fold, folds carry less than 3/n of the mass (at 95 % confidence). A corrected flow draws
/// again where its maps fold.
/// \throws std::invalid_argument for n < 25, a target of another dimension, or if P_0 has no
/// density; and as above for log-densities.
template <class Flow, class T>
ImportanceSampling importance(const Flow& flow, const T& target, long n, std::uint64_t seed = 0) {
  const auto& density = Adapt<T>::read(target);
  detail::check_dimension("wgf::importance", density, flow.dim());
  if (n < 25)
    throw std::invalid_argument("wgf::importance: at least 25 draws are needed, got " +
                                std::to_string(n));
  try {
    auto [x, log] = flow.sample_with_log_density(n, seed);
    ImportanceSampling result = importance(detail::log_densities(density, x), log);
    result.particles = std::move(x);
    return result;
  } catch (const InversionError& error) {
    ImportanceSampling result;
    result.unknown = std::string("the flow's density is not known: ") + error.what();
    return result;
  }
}

}  // namespace wgf
