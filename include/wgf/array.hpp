// SPDX-License-Identifier: BSL-1.0
#pragma once
// Array operations that the per-point formulas of terms need beyond those that Eigen's own
// namespace provides (exp, log, …). The names are those of at::Tensor, so that one formula works
// for both; operations that neither library names are defined here for both.
#include <concepts>

#include <Eigen/Core>

#include "host_device.hpp"

namespace wgf {

template <class E>
auto ones_like(const Eigen::ArrayBase<E>& u) {
  return E::PlainObject::Ones(u.rows(), u.cols());
}
/// min(u, bound), elementwise.
template <class E>
auto clamp_max(const Eigen::ArrayBase<E>& u, double bound) {
  return u.derived().min(static_cast<typename E::Scalar>(bound));
}

/// An expression evaluated into its own storage.
template <class E>
auto evaluated(const Eigen::ArrayBase<E>& u) {
  return u.eval();
}
WGF_HOST_DEVICE inline double ones_like(double) { return 1; }
inline double clamp_max(double u, double bound) { return u < bound ? u : bound; }
inline double evaluated(double u) { return u; }

/// One number per point, as one-dimensional points.
template <class E>
auto as_points(const Eigen::ArrayBase<E>& u) {
  return u.transpose();
}

/// A number on the host.
inline double number(double u) { return u; }

// ---- the same for tensors, which own their storage
template <class T>
concept TensorLike = requires(const T& u) {
  u.unsqueeze(1);
  { u.template item<double>() } -> std::same_as<double>;
};
template <TensorLike T>
T evaluated(const T& u) {
  return u;
}
template <TensorLike T>
T as_points(const T& u) {
  return u.unsqueeze(1);
}
/// One-dimensional points as numbers: the inverse of as_points.
template <TensorLike T>
auto as_numbers(const T& points) {
  return points.squeeze(1);
}
template <TensorLike T>
double number(const T& u) {
  return u.template item<double>();
}

}  // namespace wgf
