// SPDX-License-Identifier: BSL-1.0
#pragma once
// The fractions of particles in the modes of a Gaussian mixture, and the total variation distance ½
// Σ |p_i − q_i| between two vectors of such fractions.
#include <cmath>
#include <stdexcept>
#include <string>

#include "../measure/gaussian_mixture.hpp"
#include "../particles.hpp"

namespace wgf {

/// The fraction of particles for which each component has the largest responsibility: K numbers
/// with sum 1. For a sample of the mixture itself with well-separated modes they estimate its
/// weights.
/// \param x d × n.
/// \throws std::invalid_argument for another dimension than the mixture's, no particles, or
/// coordinates that are not finite.
inline Eigen::VectorXd mode_masses(const Particles& x, const GaussianMixture& mixture) {
  if (x.rows() != mixture.dim())
    throw std::invalid_argument(
        "wgf::mode_masses: the particles must have the mixture's dimension " +
        std::to_string(mixture.dim()) + ", got " + std::to_string(x.rows()));
  if (x.cols() < 1)
    throw std::invalid_argument("wgf::mode_masses: at least one particle is needed, got none");
  if (!x.allFinite()) throw std::invalid_argument("wgf::mode_masses: the particles must be finite");
  Eigen::VectorXd counts =
      Eigen::VectorXd::Zero(static_cast<Eigen::Index>(mixture.components().size()));
  for (Eigen::Index i = 0; i < x.cols(); ++i) ++counts(mixture.mode_of(x.col(i)));
  return counts / static_cast<double>(x.cols());
}

/// ½ Σ |p_i − q_i|, between 0 and 1: the mass that would have to move.
/// \throws std::invalid_argument for vectors of different lengths, or vectors that are not
/// probabilities (nonnegative, with sum 1 up to 1e-6).
inline double total_variation(const Eigen::VectorXd& p, const Eigen::VectorXd& q) {
  if (p.size() != q.size())
    throw std::invalid_argument(
        "wgf::total_variation: both vectors must have the same length, got " +
        std::to_string(p.size()) + " and " + std::to_string(q.size()));
  for (const Eigen::VectorXd* v : {&p, &q}) {
    if (!(v->array() >= 0).all())
      throw std::invalid_argument("wgf::total_variation: probabilities must not be negative");
    if (!(std::abs(v->sum() - 1) <= 1e-6))
      throw std::invalid_argument("wgf::total_variation: probabilities must have sum 1, got " +
                                  std::to_string(v->sum()));
  }
  return 0.5 * (p - q).lpNorm<1>();
}

}  // namespace wgf
