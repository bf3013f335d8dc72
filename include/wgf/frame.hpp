// SPDX-License-Identifier: BSL-1.0
#pragma once
// The coordinates in which a step is solved: x = mean + factor·ξ.
#include <cmath>
#include <utility>

#include <Eigen/Core>

#include "measure/gaussian.hpp"

namespace wgf {

/// An affine change of coordinates x = mean + factor·ξ. In the whitened coordinates of a
/// population, ξ has mean 0 and covariance I, so that the inputs of networks have unit scale and
/// the adaptive Gaussian μ_k is standard normal; the transport cost is still measured in x.
struct Frame {
  Eigen::VectorXd mean;
  Eigen::MatrixXd factor;  ///< lower triangular
  bool identity = false;

  static Frame none(int dim) {
    return {Eigen::VectorXd::Zero(dim), Eigen::MatrixXd::Identity(dim, dim), true};
  }
  /// Coordinates in which the population has mean 0 and covariance I.
  static Frame whitening(const Gaussian& cloud) { return {cloud.mean(), cloud.factor(), false}; }
  /// Coordinates in which the population has mean 0 and an average variance of 1 per coordinate.
  /// The factor is a multiple of the identity, so that gradients of functions remain gradients.
  static Frame scaling(const Gaussian& cloud) {
    const double size = std::sqrt(cloud.covariance().trace() / cloud.dim());
    return {cloud.mean(), size * Eigen::MatrixXd::Identity(cloud.dim(), cloud.dim()), false};
  }

  int dim() const { return static_cast<int>(mean.size()); }
  /// ξ at the points x, both d × n, and back.
  Particles to_coordinates(const Particles& x) const {
    return detail::solve_lower(factor, x.colwise() - mean);
  }
  Particles from_coordinates(const Particles& xi) const {
    return detail::product(factor, xi).colwise() + mean;
  }
  /// ξ = matrix·x + offset as constants of a runtime, for set_affine.
  template <class R>
  auto to_coordinates_on(const R& runtime) const {
    const Eigen::MatrixXd inverse = inverse_factor();
    return std::pair{runtime.constant(inverse), runtime.constant(-(inverse * mean))};
  }
  Eigen::MatrixXd inverse_factor() const { return detail::inverse_of_lower(factor); }
  /// log det ∂x/∂ξ.
  double log_determinant() const { return factor.diagonal().array().log().sum(); }
};

}  // namespace wgf
