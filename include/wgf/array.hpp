// SPDX-License-Identifier: BSL-1.0
#pragma once
// What the per-point arithmetic of terms needs of Eigen arrays beyond what Eigen's own namespace supplies (exp, log, …). The names are
// those of at::Tensor, so that one formula reads the same for both.
#include <Eigen/Core>

namespace wgf {

template <class E>
auto ones_like(const Eigen::ArrayBase<E>& u) {
  return E::PlainObject::Ones(u.rows(), u.cols());
}
/// min(u, bound), number by number.
template <class E>
auto clamp_max(const Eigen::ArrayBase<E>& u, double bound) {
  return u.derived().min(static_cast<typename E::Scalar>(bound));
}

/// The numbers of an expression in memory of their own.
template <class E>
auto evaluated(const Eigen::ArrayBase<E>& u) {
  return u.eval();
}
inline double ones_like(double) { return 1; }
inline double clamp_max(double u, double bound) { return u < bound ? u : bound; }
inline double evaluated(double u) { return u; }

}  // namespace wgf
