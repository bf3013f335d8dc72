// SPDX-License-Identifier: BSL-1.0
#pragma once
// A Gaussian mixture fitted to particles by expectation-maximisation (Dempster, Laird, Rubin, JRSS
// B 39, 1977). The covariances are shrunk as far as their sampling errors ask for (after Ledoit and
// Wolf, J. Multivariate Analysis 88, 2004), so that a component may have fewer particles than
// dimensions: towards the mean covariance of the components, and this towards its diagonal. The
// number of components is the one under which held-out particles are the most likely.
#include <algorithm>
#include <cmath>
#include <compare>
#include <cstdint>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../checks.hpp"
#include "../linear_algebra.hpp"
#include "../particles.hpp"
#include "../random.hpp"
#include "gaussian_mixture.hpp"

namespace wgf {

/// Options of fit_mixture().
struct MixtureFitOptions {
  int most_components = 64;
  std::uint64_t seed = 0;

  /// \throws std::invalid_argument for a field out of range.
  void check() const {
    detail::check_at_least(most_components, 1, "wgf::MixtureFitOptions", "most_components");
  }
};

namespace detail {

/// log of the multivariate gamma function of dimension d at a, up to a constant.
inline double log_gamma(int d, double a) {
  double sum = 0;
  for (int j = 0; j < d; ++j) sum += std::lgamma(a - 0.5 * j);
  return sum;
}
/// Shrinks a covariance matrix that was estimated from `count` particles, in coordinates in which
/// the identity is what it is shrunk to: (1 − λ) C + λ I. This is the posterior mean under an
/// inverse Wishart law with the mean I and t + d + 1 degrees of freedom, λ = t/(count + t); the λ
/// on a grid under which C is the most likely is taken.
/// \param least a lower bound of λ
inline Eigen::MatrixXd shrunk_to_identity(const Eigen::MatrixXd& c, double count, double least) {
  const int d = static_cast<int>(c.rows());
  double best = 1, highest = -std::numeric_limits<double>::infinity();
  for (const double lambda : {1e-9, 1e-6, 1e-5, 1e-4, 1e-3, 0.003, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5,
                              0.7, 0.85, 0.95, 0.99, 0.999}) {
    if (lambda < least) continue;
    const double t = count * lambda / (1 - lambda), freedom = t + d + 1;
    Eigen::MatrixXd sum = count * c;
    sum.diagonal().array() += t;
    const Eigen::MatrixXd factor = cholesky(sum);
    if (factor.size() == 0) continue;
    const double log_det = 2 * factor.diagonal().array().log().sum();
    const double evidence = log_gamma(d, 0.5 * (freedom + count)) - log_gamma(d, 0.5 * freedom) +
                            0.5 * freedom * d * std::log(t) - 0.5 * (freedom + count) * log_det;
    if (evidence > highest) highest = evidence, best = lambda;
  }
  Eigen::MatrixXd shrunk = (1 - best) * c;
  shrunk.diagonal().array() += best;
  return shrunk;
}

/// One mixture during expectation-maximisation on the particles x (d × n).
class MixtureFit {
 public:
  /// \param centres indices of the particles at which the components begin
  MixtureFit(const Particles& x, const std::vector<Eigen::Index>& centres, Eigen::MatrixXd start)
      : weights_(centres.size(), 1.0 / static_cast<double>(centres.size())),
        factors_(centres.size(), cholesky(start)) {
    for (const Eigen::Index i : centres) means_.emplace_back(x.col(i));
  }
  /// The log-densities of the particles; sets the responsibilities (n × K).
  Eigen::ArrayXd expect(const Particles& x) {
    const auto components = static_cast<Eigen::Index>(weights_.size());
    shares_.resize(x.cols(), components);
    for (Eigen::Index k = 0; k < components; ++k) {
      const auto at = static_cast<std::size_t>(k);
      const Eigen::MatrixXd z =
          product(inverse_of_lower(factors_[at]), Eigen::MatrixXd(x.colwise() - means_[at]));
      const double constant = std::log(weights_[at]) - factors_[at].diagonal().array().log().sum() -
                              0.5 * static_cast<double>(x.rows()) * std::log(2 * std::numbers::pi);
      shares_.col(k) = constant - 0.5 * z.colwise().squaredNorm().transpose().array();
    }
    const Eigen::ArrayXd largest = shares_.rowwise().maxCoeff();
    shares_ = (shares_.colwise() - largest).exp();
    const Eigen::ArrayXd sum = shares_.rowwise().sum();
    shares_.colwise() /= sum;
    return largest + sum.log();
  }
  /// The components from the responsibilities. Those with the mass of less than one particle are
  /// dropped.
  void maximise(const Particles& x) {
    const double n = static_cast<double>(x.cols());
    std::vector<double> weights;
    std::vector<Eigen::VectorXd> means;
    std::vector<Eigen::MatrixXd> covariances;
    Eigen::MatrixXd pooled = Eigen::MatrixXd::Zero(x.rows(), x.rows());
    double kept = 0;
    for (Eigen::Index k = 0; k < shares_.cols(); ++k) {
      const double mass = shares_.col(k).sum();
      if (mass < 1) continue;
      const Eigen::VectorXd mean = x * shares_.col(k).matrix() / mass;
      const Eigen::MatrixXd centred = x.colwise() - mean;
      const Eigen::MatrixXd weighted =
          centred.array().rowwise() * shares_.col(k).transpose() / mass;
      covariances.push_back(product(weighted, centred.transpose()));
      weights.push_back(mass), means.push_back(mean);
      pooled += mass * covariances.back(), kept += mass;
    }
    pooled /= kept;
    // The components' mean covariance, shrunk to its diagonal: as a correlation matrix.
    const Eigen::VectorXd scale = pooled.diagonal().array().sqrt();
    pooled = scale.asDiagonal().inverse() * pooled * scale.asDiagonal().inverse();
    pooled = scale.asDiagonal() * shrunk_to_identity(pooled, n, 0) * scale.asDiagonal();
    const Eigen::MatrixXd factor = cholesky(pooled);
    if (factor.size() == 0) return;  // no better components: those before remain
    const Eigen::MatrixXd inverse = inverse_of_lower(factor);
    std::vector<Eigen::MatrixXd> factors;
    for (std::size_t k = 0; k < weights.size(); ++k) {
      const Eigen::MatrixXd relative = shrunk_to_identity(
          congruence(inverse, covariances[k]), weights[k], 1 / std::max(1.0, weights[k]));
      factors.push_back(cholesky(symmetric_part(congruence(factor, relative))));
      if (factors.back().size() == 0) factors.back() = factor;
      weights[k] /= kept;
    }
    weights_ = std::move(weights), means_ = std::move(means), factors_ = std::move(factors);
  }
  /// Expectation and maximisation until the likelihood rises no more, at most `most` times.
  /// \returns the mean log-density of the particles under the mixture before the last maximisation
  double run(const Particles& x, int most) {
    double before = -std::numeric_limits<double>::infinity();
    for (int i = 0; i < most; ++i) {
      const double now = expect(x).mean();
      maximise(x);
      if (now < before + 1e-3) return now;
      before = now;
    }
    return before;
  }
  GaussianMixture mixture() const {
    std::vector<Gaussian> parts;
    for (std::size_t k = 0; k < weights_.size(); ++k)
      parts.emplace_back(means_[k], product(factors_[k], factors_[k].transpose()));
    return {weights_, std::move(parts)};
  }

 private:
  std::vector<double> weights_;
  std::vector<Eigen::VectorXd> means_;
  std::vector<Eigen::MatrixXd> factors_;  // Cholesky factors of the covariances
  Eigen::ArrayXXd shares_;
};

/// \throws std::invalid_argument for particles that no mixture can be fitted to.
inline void check_particles_to_fit(const Particles& x, const std::string& who) {
  check_at_least(x.cols(), 10, who.c_str(), "the number of particles");
  if (!x.allFinite()) throw std::invalid_argument(who + ": the particles must be finite");
  for (Eigen::Index j = 0; j < x.rows(); ++j)
    if ((x.row(j).array() == x(j, 0)).all())
      throw std::invalid_argument(who + ": all particles are equal in coordinate " +
                                  std::to_string(j));
}

/// Divides particles at random into a third and the rest; equal particles are on the same side.
/// \returns for every particle whether it is in the third
inline std::vector<bool> third_of(const Particles& x, const Random& random, std::uint32_t stream) {
  std::vector<Eigen::Index> order(static_cast<std::size_t>(x.cols()));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Eigen::Index>(i);
  const auto compare = [&](Eigen::Index a, Eigen::Index b) {
    return std::lexicographical_compare_three_way(x.col(a).begin(), x.col(a).end(),
                                                  x.col(b).begin(), x.col(b).end());
  };
  std::sort(order.begin(), order.end(), [&](Eigen::Index a, Eigen::Index b) {
    const auto c = compare(a, b);
    return c < 0 || (c == 0 && a < b);
  });
  std::vector<bool> chosen(order.size());
  bool is_chosen = false;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare(order[i - 1], order[i]) != 0)  // the first of its equals decides
      is_chosen = random.below(3, stream, 1, static_cast<long>(order[i])) == 0;
    chosen[static_cast<std::size_t>(order[i])] = is_chosen;
  }
  return chosen;
}

/// Distinct particles far from each other, each chosen with probability ∝ its squared distance from
/// those before (Arthur and Vassilvitskii, SODA 2007), in units of the spread of each coordinate.
inline std::vector<Eigen::Index> spread_out(const Particles& x, int count, const Random& random,
                                            std::uint32_t stream) {
  const Eigen::VectorXd mean = x.rowwise().mean();
  const Eigen::VectorXd spread = (x.colwise() - mean).array().square().rowwise().mean().sqrt();
  const Particles y = spread.asDiagonal().inverse() * x;
  std::vector<Eigen::Index> chosen{static_cast<Eigen::Index>(random.below(x.cols(), stream, 0, 0))};
  Eigen::ArrayXd nearest =
      Eigen::ArrayXd::Constant(x.cols(), std::numeric_limits<double>::infinity());
  while (static_cast<int>(chosen.size()) < count) {
    nearest = nearest.min(
        (y.colwise() - y.col(chosen.back())).colwise().squaredNorm().array().transpose());
    const double level =
        nearest.sum() * random.shared_uniform(stream, static_cast<std::uint32_t>(chosen.size()), 1);
    if (!(nearest.sum() > 0)) break;  // no further distinct particle
    double below = 0;
    Eigen::Index i = 0;
    while (i + 1 < nearest.size() && (below += nearest[i]) <= level) ++i;
    chosen.push_back(i);
  }
  return chosen;
}

}  // namespace detail

/// A Gaussian mixture fitted to particles, a function of the particles and the seed.
/// \param x d × n, with at least 10 particles; every coordinate must spread
/// \throws std::invalid_argument for fewer particles, or too few different ones, infinite or NaN
/// coordinates, or a coordinate in which all particles are equal.
inline GaussianMixture fit_mixture(const Particles& x, const MixtureFitOptions& options = {}) {
  constexpr std::uint32_t stream = 0x46495420;  // "FIT "
  options.check();
  detail::check_particles_to_fit(x, "wgf::fit_mixture");
  const Eigen::VectorXd mean = x.rowwise().mean();
  const Random random{options.seed};
  const std::vector<bool> chosen = detail::third_of(x, random, stream);
  const auto held = static_cast<Eigen::Index>(std::count(chosen.begin(), chosen.end(), true));
  if (held == 0 || held == x.cols())
    throw std::invalid_argument("wgf::fit_mixture: there are too few different particles");
  Particles in(x.rows(), x.cols() - held), out(x.rows(), held);
  for (Eigen::Index i = 0, into_in = 0, into_out = 0; i < x.cols(); ++i)
    if (chosen[static_cast<std::size_t>(i)]) out.col(into_out++) = x.col(i);
    else in.col(into_in++) = x.col(i);
  const Eigen::MatrixXd variances =
      (x.colwise() - mean).array().square().rowwise().mean().matrix().asDiagonal();

  std::vector<detail::MixtureFit> found;
  Eigen::ArrayXd best;  // log-densities of the held-out particles
  int failures = 0;
  for (int count = 1; count <= options.most_components && 5 * count <= in.cols(); count *= 2) {
    std::vector<detail::MixtureFit> starts;
    double likeliest = -std::numeric_limits<double>::infinity();
    for (int trial = 0; trial < (count == 1 ? 1 : 3); ++trial) {
      detail::MixtureFit fit(
          in,
          detail::spread_out(in, count, random,
                             stream + static_cast<std::uint32_t>(16 * count + trial)),
          variances / static_cast<double>(count));
      const double value = fit.run(in, 8);
      if (value > likeliest) likeliest = value, starts.assign(1, fit);
    }
    if (starts.empty()) break;
    detail::MixtureFit& fit = starts.front();
    fit.run(in, 40);
    const Eigen::ArrayXd now = fit.expect(out);
    // More components must be better by more than the noise of the comparison, which heavy tails
    // make large.
    const Eigen::ArrayXd gain = now - (found.empty() ? now : best);
    const double noise =
        std::sqrt((gain - gain.mean()).square().mean() / static_cast<double>(held));
    if (found.empty() || gain.mean() > noise + 1e-3) {
      best = now, found.assign(1, fit), failures = 0;
    } else if (++failures == (count <= 8 ? 2 : 1)) {
      break;
    }
  }
  if (found.empty())
    throw std::invalid_argument("wgf::fit_mixture: the particles have no finite likelihood");
  found.front().run(x, 40);
  return found.front().mixture();
}

}  // namespace wgf
