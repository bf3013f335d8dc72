// SPDX-License-Identifier: BSL-1.0
#pragma once
// The transport term of a JKO step (eq. 4).
#include <Eigen/Core>

#include "../array.hpp"
#include "../concepts.hpp"
#include "../frame.hpp"
#include "../linear_algebra.hpp"

namespace wgf {

/// |x − T(x)|²/(2a), with distances measured in the user's coordinates.
template <Runtime R>
class TransportCost {
 public:
  TransportCost(const R& runtime, const Frame& frame, double step_size)
      : identity_(frame.identity),
        inverse_(1 / step_size),
        zero_(runtime.constant(Eigen::VectorXd::Zero(frame.dim()))),
        metric_(
            runtime.constant(detail::product(frame.factor.transpose(), frame.factor) / step_size)) {
  }
  /// Sets g = LᵀL (y − x)/a and difference = y − x.
  template <class X, class Y, class D, class G>
  void set_gradient(const X& x, const Y& y, D&& difference, G&& g) const {
    difference = y - x;
    if (identity_) g = inverse_ * difference;
    else set_affine(metric_, zero_, difference, g);
  }

 private:
  bool identity_;
  double inverse_;
  typename R::Constant zero_, metric_;
};

}  // namespace wgf
