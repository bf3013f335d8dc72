// SPDX-License-Identifier: BSL-1.0
#pragma once
// The coordinates in which a step is solved: x = mean + factor·ξ.
#include <cmath>

#include <Eigen/Core>

#include "measure/gaussian.hpp"

namespace wgf {

/// An affine change of coordinates x = mean + factor·ξ. In the whitened frame of a cloud, ξ has
/// mean 0 and covariance I, so that networks see inputs of unit size and the adaptive Gaussian μ_k
/// is the standard one; the transport cost is still measured in x.
struct Frame {
  Eigen::VectorXd mean;
  Eigen::MatrixXd factor;  ///< lower triangular
  bool identity = false;

  static Frame none(int dim) {
    return {Eigen::VectorXd::Zero(dim), Eigen::MatrixXd::Identity(dim, dim), true};
  }
  /// The coordinates in which the cloud has mean 0 and covariance I.
  static Frame whitening(const Gaussian& cloud) { return {cloud.mean(), cloud.factor(), false}; }
  /// The cloud has mean 0 and a mean variance of 1 a coordinate; a multiple of the identity, so
  /// that gradients of functions stay gradients.
  static Frame scaling(const Gaussian& cloud) {
    const double size = std::sqrt(cloud.covariance().trace() / cloud.dim());
    return {cloud.mean(), size * Eigen::MatrixXd::Identity(cloud.dim(), cloud.dim()), false};
  }

  int dim() const { return static_cast<int>(mean.size()); }
  Eigen::MatrixXd inverse_factor() const { return detail::inverse_of_lower(factor); }
  /// log det ∂x/∂ξ.
  double log_determinant() const { return factor.diagonal().array().log().sum(); }
};

}  // namespace wgf
