// SPDX-License-Identifier: BSL-1.0
#pragma once
// Dense linear algebra on the host, in double precision: Eigen behind a few functions of plain matrices. Each combination of types in a
// product of expressions costs a compiler up to half a second wherever the header is included; these cost it once.
#include <Eigen/Cholesky>
#include <Eigen/Core>

namespace wgf::detail {

/// A·B.
inline Eigen::MatrixXd product(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) {
  Eigen::MatrixXd c(a.rows(), b.cols());
  c.noalias() = a * b;
  return c;
}
/// A·S·Aᵀ.
inline Eigen::MatrixXd congruence(const Eigen::MatrixXd& a, const Eigen::MatrixXd& s) { return product(product(a, s), a.transpose()); }
/// (B + Bᵀ)/2.
inline Eigen::MatrixXd symmetric_part(const Eigen::MatrixXd& b) { return 0.5 * (b + b.transpose()); }
/// L⁻¹B for a lower triangular L.
inline Eigen::MatrixXd solve_lower(const Eigen::MatrixXd& l, Eigen::MatrixXd b) {
  l.triangularView<Eigen::Lower>().solveInPlace(b);
  return b;
}
/// L⁻¹ for a lower triangular L.
inline Eigen::MatrixXd inverse_of_lower(const Eigen::MatrixXd& l) { return solve_lower(l, Eigen::MatrixXd::Identity(l.rows(), l.cols())); }

}  // namespace wgf::detail
