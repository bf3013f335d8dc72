// SPDX-License-Identifier: BSL-1.0
#pragma once
// Dense linear algebra on the host in double precision: Eigen behind a few functions of plain
// matrices. Every combination of types in a product expression takes up to half a second to
// compile, in every file that includes the header; here each is compiled only once per file.
#include <algorithm>
#include <cmath>

#include <Eigen/Core>

namespace wgf::detail {

/// A·B.
inline Eigen::MatrixXd product(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) {
  Eigen::MatrixXd c(a.rows(), b.cols());
  c.noalias() = a * b;
  return c;
}
/// A·x.
inline Eigen::VectorXd times(const Eigen::MatrixXd& a, const Eigen::VectorXd& x) {
  Eigen::VectorXd y = Eigen::VectorXd::Zero(a.rows());
  for (Eigen::Index j = 0; j < a.cols(); ++j) {
    const double* const column = a.data() + j * a.rows();
    for (Eigen::Index i = 0; i < a.rows(); ++i) y[i] += column[i] * x[j];
  }
  return y;
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
  const Eigen::Index d = l.rows();
  for (Eigen::Index j = 0; j < b.cols(); ++j) {
    double* const x = b.data() + j * d;
    for (Eigen::Index k = 0; k < d; ++k) {
      const double* const column = l.data() + k * d;
      const double value = x[k] /= column[k];
      for (Eigen::Index i = k + 1; i < d; ++i) x[i] -= value * column[i];
    }
  }
  return b;
}
/// L⁻¹ for a lower triangular L.
inline Eigen::MatrixXd inverse_of_lower(const Eigen::MatrixXd& l) {
  return solve_lower(l, Eigen::MatrixXd::Identity(l.rows(), l.cols()));
}
/// The lower triangular L with A = LLᵀ, zero above the diagonal; no rows if the symmetric matrix A
/// is not positive definite. Only A's lower triangle is read.
inline Eigen::MatrixXd cholesky(const Eigen::MatrixXd& a) {
  const Eigen::Index d = a.rows();
  Eigen::MatrixXd l = a;
  for (Eigen::Index k = 0; k < d; ++k) {
    double* const column = l.data() + k * d;
    for (Eigen::Index j = 0; j < k; ++j) {
      const double* const before = l.data() + j * d;
      const double factor = before[k];
      for (Eigen::Index i = k; i < d; ++i) column[i] -= factor * before[i];
    }
    if (!(column[k] > 0)) return {};
    const double pivot = std::sqrt(column[k]);
    for (Eigen::Index i = k; i < d; ++i) column[i] /= pivot;
    for (Eigen::Index i = 0; i < k; ++i) column[i] = 0;
  }
  return l;
}
/// Whether a symmetric matrix is positive definite.
inline bool is_positive_definite(const Eigen::MatrixXd& a) { return cholesky(a).size() > 0; }

}  // namespace wgf::detail
