// SPDX-License-Identifier: BSL-1.0
#pragma once
// Mass of the target that no sample is near: compares log Z estimated from a flow's own samples
// with log Z estimated from a wider proposal. The weights of the flow alone cannot detect it,
// because there are no weights where there are no samples.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <stdexcept>
#include <string>
#include <utility>

#include "../measure/gaussian.hpp"
#include "importance.hpp"

namespace wgf {

/// Options of missed_mass; the result is a function of the seed.
struct MissedMassOptions {
  /// Number of draws from the wider proposal. Each costs one evaluation of the log-density.
  long draws = 20'000;
  /// Width of the proposal relative to the samples. 0: as wide as the number of draws permits, but
  /// at most 3: s with draws·(√(2s² − 1)/s²)^d = 200, the effective sample size of N(0, s²I) for
  /// N(0, I).
  double widening = 0;
  /// Degrees of freedom of the Student distribution used as the proposal.
  int degrees = 5;
  /// Missed fractions of the mass up to this are not a problem.
  double least = 0.02;
  std::uint64_t seed = 0;
};

/// How much of the target's mass the samples miss, as far as the wider proposal reaches.
struct MissedMass {
  ImportanceSampling wide;      ///< the weights of the wider proposal
  double share = 0, error = 0;  ///< 1 − Z_own/Z_wide, and its standard error
  double significance = 0;      ///< (Z_wide − Z_own)/Z_wide in standard errors
  double widening = 0;          ///< width of the proposal relative to the samples
  double least = 0;             ///< as in the options
  std::string unknown{};        ///< why there is no answer; empty otherwise

  Verdict verdict() const {
    return !unknown.empty()                    ? Verdict::inconclusive
           : share > least && significance > 3 ? Verdict::problem
                                               : Verdict::ok;
  }
  /// One line.
  std::string summary() const {
    if (!unknown.empty()) return "missed mass: cannot tell: " + unknown;
    if (verdict() == Verdict::problem)
      return detail::text(
          "missed mass: log Z by the samples is %.2f below that of a proposal %.1f times as wide: "
          "%.0f ± %.0f %% of the target's mass is "
          "missed",
          -std::log1p(-share), widening, 100 * share, 100 * error);
    return detail::text(
        "missed mass: no sign of any within reach of a proposal %.1f times as wide (%.1f ± %.1f "
        "%%)",
        widening, 100 * share, 100 * error);
  }
};

namespace detail {
/// The multivariate Student distribution with location m and scale matrix s²Σ, for a Gaussian N(m,
/// Σ).
struct Student {
  const Gaussian& shape;
  double widening;
  int degrees;

  Particles sample(long n, std::uint64_t seed) const {
    constexpr std::uint32_t stream = 0x53545544;  // "STUD"
    Particles x = standard_normals(shape.dim(), n, seed, stream);
    const Eigen::RowVectorXd chi =
        standard_normals(degrees, n, seed, stream + 1).colwise().squaredNorm();
    x.array().rowwise() *= widening * (degrees / chi.array()).sqrt();
    return product(shape.factor(), x).colwise() + shape.mean();
  }
  Eigen::VectorXd log_density(const Particles& x) const {
    const double nu = degrees, d = shape.dim();
    const double constant = std::lgamma((nu + d) / 2) - std::lgamma(nu / 2) -
                            d / 2 * std::log(nu * std::numbers::pi) - d * std::log(widening) -
                            shape.factor().diagonal().array().log().sum();
    const Eigen::RowVectorXd squares =
        solve_lower(shape.factor(), x.colwise() - shape.mean()).colwise().squaredNorm();
    return (constant - (nu + d) / 2 * (squares.array() / (nu * widening * widening)).log1p())
        .matrix()
        .transpose();
  }
};
}  // namespace detail

/// Compares `own`, the weights of samples x (d × n) under their own density, with the weights of a
/// Student distribution with the same mean, whose scale matrix is the covariance of the samples
/// times the squared widening. It detects missed modes only as far as the wider distribution
/// reaches, which is not far in high dimensions.
/// \throws std::invalid_argument for a target or weights that do not match x, invalid options, or
/// samples in a hyperplane.
template <class T>
MissedMass missed_mass(const ImportanceSampling& own, const Particles& x, const T& target,
                       const MissedMassOptions& options = {}) {
  const auto& density = Adapt<T>::read(target);
  const int dim = static_cast<int>(x.rows());
  detail::check_dimension("wgf::missed_mass", density, dim);
  if (options.draws < 400 || options.degrees < 1 || !std::isfinite(options.widening) ||
      (options.widening != 0 && options.widening < 1))
    throw std::invalid_argument(
        "wgf::MissedMassOptions: draws must be at least 400, degrees at least 1, widening 0 or at "
        "least 1");
  MissedMass result;
  result.least = options.least;
  const double r = std::pow(200 / static_cast<double>(options.draws), 2.0 / dim),
               widest = std::sqrt((1 + std::sqrt(1 - r)) / r);
  result.widening = options.widening > 0 ? options.widening : std::min(3.0, widest);
  if (!own.unknown.empty()) {
    result.unknown = own.unknown;
    return result;
  }
  if (own.size() != x.cols())
    throw std::invalid_argument("wgf::missed_mass: there are " + std::to_string(own.size()) +
                                " weights for " + std::to_string(x.cols()) + " samples");
  const Gaussian cloud = Gaussian::fit(x);
  const detail::Student wider{cloud, result.widening, options.degrees};
  Particles drawn = wider.sample(options.draws, options.seed);
  result.wide = importance(detail::log_densities(density, drawn), wider.log_density(drawn));
  result.wide.particles = std::move(drawn);
  const double ratio = std::exp(own.log_normaliser - result.wide.log_normaliser);
  const double e_own = ratio > 0 ? ratio * own.standard_error : 0,
               e_wide = result.wide.standard_error;
  result.share = 1 - ratio, result.error = ratio > 0 ? std::hypot(e_own, ratio * e_wide) : 0;
  result.significance = result.share / std::hypot(e_own, e_wide);
  // A few large weights make log Z too low far more often than too high, and one or two of them are
  // not significant. Hence a detected loss of mass is valid for any k̂, but mass can also be missed
  // without being detected.
  if (result.verdict() == Verdict::problem) return result;
  if (result.wide.verdict() != Verdict::ok)
    result.unknown = detail::text(
        "the wider proposal's weights are themselves unreliable (k̂ = %.2f)", result.wide.pareto_k);
  else if (result.share < -result.least && result.significance < -4)
    result.unknown = detail::text(
        "the wider proposal sees less than the samples do (log Z lower by %.2f)", std::log(ratio));
  else if (result.error > 0.1)
    result.unknown = detail::text(
        "too few draws of the wider proposal fall where there is mass (%.0f ± %.0f %%)",
        100 * result.share, 100 * result.error);
  return result;
}

}  // namespace wgf
