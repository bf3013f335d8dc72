// SPDX-License-Identifier: BSL-1.0
#pragma once
// The symmetrised Kullback–Leibler divergence between two Gaussians,
// KL(1‖2) + KL(2‖1) = ½[tr(Σ₂⁻¹Σ₁) + tr(Σ₁⁻¹Σ₂) − 2d + (m₁ − m₂)ᵀ(Σ₁⁻¹ + Σ₂⁻¹)(m₁ − m₂)].
#include <stdexcept>
#include <string>

#include "../measure/gaussian.hpp"

namespace wgf {

/// SymKL in nats. The traces minus 2d are computed as |L₂⁻¹(Σ₁ − Σ₂)L₁⁻ᵀ|² (Frobenius norm, Σ =
/// LLᵀ), which is equal, never negative, and accurate for nearly equal Gaussians.
/// \throws std::invalid_argument for different dimensions.
inline double sym_kl(const Gaussian& p, const Gaussian& q) {
  if (p.dim() != q.dim())
    throw std::invalid_argument("wgf::sym_kl: both Gaussians must have the same dimension, got " +
                                std::to_string(p.dim()) + " and " + std::to_string(q.dim()));
  const Eigen::MatrixXd half = detail::solve_lower(q.factor(), p.covariance() - q.covariance());
  const Eigen::MatrixXd whole = detail::solve_lower(p.factor(), half.transpose());
  const Eigen::VectorXd shift = p.mean() - q.mean();
  return 0.5 * (whole.squaredNorm() + detail::solve_lower(p.factor(), shift).squaredNorm() +
                detail::solve_lower(q.factor(), shift).squaredNorm());
}

}  // namespace wgf
