// SPDX-License-Identifier: BSL-1.0
#pragma once
// Dense linear algebra on the host in double precision: Eigen behind a few functions of plain
// matrices. Every combination of types in a product expression takes up to half a second to
// compile, in every file that includes the header; here each is compiled only once per file.
#include <algorithm>

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
inline Eigen::MatrixXd congruence(const Eigen::MatrixXd& a, const Eigen::MatrixXd& s) {
  return product(product(a, s), a.transpose());
}
/// (B + Bᵀ)/2.
inline Eigen::MatrixXd symmetric_part(const Eigen::MatrixXd& b) {
  return 0.5 * (b + b.transpose());
}
/// The symmetric d × d derivative of a gradient at x, by fourth-order finite differences. The step
/// is 1e-3, which suits functions that vary on a scale of one; far from the origin it grows, to
/// limit the effect of rounding in x.
template <class F>
Eigen::MatrixXd jacobian_by_differences(F&& gradient, const Eigen::VectorXd& x) {
  const Eigen::Index d = x.size();
  Eigen::MatrixXd h(d, d);
  Eigen::VectorXd at = x;
  const double step = 1e-3 * std::max(1.0, 1e-3 * x.cwiseAbs().maxCoeff());
  for (Eigen::Index i = 0; i < d; ++i) {
    const auto shifted = [&](double shift) -> Eigen::VectorXd {
      at[i] = x[i] + shift;
      return gradient(at);
    };
    h.col(i) = (8 * (shifted(step) - shifted(-step)) - (shifted(2 * step) - shifted(-2 * step))) /
               (12 * step);
    at[i] = x[i];
  }
  return symmetric_part(h);
}
/// L⁻¹B for a lower triangular L.
inline Eigen::MatrixXd solve_lower(const Eigen::MatrixXd& l, Eigen::MatrixXd b) {
  l.triangularView<Eigen::Lower>().solveInPlace(b);
  return b;
}
/// L⁻¹ for a lower triangular L.
inline Eigen::MatrixXd inverse_of_lower(const Eigen::MatrixXd& l) {
  return solve_lower(l, Eigen::MatrixXd::Identity(l.rows(), l.cols()));
}

}  // namespace wgf::detail
