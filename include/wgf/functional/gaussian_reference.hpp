// SPDX-License-Identifier: BSL-1.0
#pragma once
// The adaptive Gaussian μ_k of Proposition 1: the reference density of the dual form, with the mean
// and covariance of the particles.
#include <cmath>
#include <numbers>

#include "../concepts.hpp"
#include "../measure/gaussian.hpp"
#include "../step_context.hpp"

namespace wgf {

/// N(m, inflation²·S) on a runtime, with the mean m and covariance S of the particles, in the
/// coordinates of the step.
template <class R>
class GaussianReference {
 public:
  GaussianReference(const R& runtime, int dim, long batch, double inflation)
      : inflation_(inflation), noise_(runtime.points(dim, batch)) {}

  void begin_step(const R& runtime, const StepContext<R>& context, double weight) {
    const Frame& frame = context.frame;
    const int d = frame.dim();
    const Gaussian& moments = context.moments;
    // In the coordinates of the step; if they whiten the particles, these are exactly 0 and I.
    mean_ = frame.to_coordinates(moments.mean());
    const Eigen::MatrixXd factor = inflation_ * detail::solve_lower(frame.factor, moments.factor());
    const Eigen::MatrixXd inverse = detail::inverse_of_lower(factor);
    precision_ = detail::product(inverse.transpose(), inverse);
    standard_ = mean_.isZero(0) && factor == Eigen::MatrixXd::Identity(d, d);
    // The density in x.
    log_normaliser_ = -0.5 * d * std::log(2 * std::numbers::pi) -
                      factor.diagonal().array().log().sum() - frame.log_determinant();
    shift_constant_ = runtime.constant(mean_), factor_constant_ = runtime.constant(factor);
    derivative_ = runtime.constant(-weight * precision_),
    offset_ = runtime.constant(weight * detail::times(precision_, mean_));
  }
  template <class Z>
  void sample(const R& runtime, typename R::Slice s, Z&& z, std::uint32_t stream,
              std::uint32_t draw) {
    if (standard_) {
      runtime.normals(s, z, stream, draw);
    } else {
      runtime.normals(s, noise_(s), stream, draw);
      place(noise_(s), z);
    }
  }
  /// z = samples of the reference made from standard normals ξ.
  template <class X, class Z>
  void place(const X& xi, Z&& z) const {
    if (standard_) z = xi;
    else set_affine(factor_constant_, shift_constant_, xi, z);
  }
  /// g += weight · ∇ log μ_k(y), the weight as given to `begin_step`.
  template <class Y, class G>
  void add_gradient(const Y& y, G&& g) const {
    add_affine(derivative_, offset_, y, g);
  }
  /// Σ log μ_k(y), as a density in the user's coordinates.
  template <class Y>
  double log_density(typename R::Slice s, const Y& y) const {
    return sum_pointwise(s, y, [&](const Eigen::VectorXd& xi) { return log_density(xi); });
  }
  /// log μ_k at ξ, as a density in the user's coordinates.
  double log_density(const Eigen::VectorXd& xi) const {
    const Eigen::VectorXd shift = xi - mean_;
    return log_normaliser_ - 0.5 * shift.dot(detail::times(precision_, shift));
  }

 private:
  double inflation_;
  bool standard_ = false;
  double log_normaliser_ = 0;
  Eigen::VectorXd mean_;
  Eigen::MatrixXd precision_;
  typename R::Points noise_;
  typename R::Constant factor_constant_, shift_constant_, derivative_, offset_;
};

}  // namespace wgf
