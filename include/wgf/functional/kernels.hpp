// SPDX-License-Identifier: BSL-1.0
#pragma once
// Interaction kernels W of the energy ½ E W(X − Y), X and Y independent samples of P: even
// functions. The flow (17) and the schemes (12) need W, ∇W and ∇²W.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <Eigen/Core>

#include "../array.hpp"
#include "../host_device.hpp"
#include "../linear_algebra.hpp"
#include "potential.hpp"

namespace wgf {

// ---- radial kernels

/// Interaction kernel W(x) = w(|x|²): w and its first two derivatives as functions of q = |x|², so
/// that ∇W = 2w'(q)x and ∇²W = 2w'(q)I + 4w''(q)xxᵀ. The functions are templates in unqualified
/// array arithmetic: q is a number, an Eigen array, or an array of a backend. If marked
/// WGF_HOST_DEVICE, they also run on a GPU (backend/cuda).
template <class K>
concept RadialKernel = requires(const K& k, double q) {
  { k.value(q) } -> std::convertible_to<double>;
  { k.derivative(q) } -> std::convertible_to<double>;  // w'
  { k.curvature(q) } -> std::convertible_to<double>;   // w''
};

/// A radial kernel in scaled form: w(q) = value_factor · s(scale² q) and w'(q) = derivative_factor
/// · s'(scale² q), where s and s' are the shape's `value` and `derivative`. The factors then cost
/// nothing per pair. A kernel may have a member `form()` that returns its scaled form.
template <class Shape>
struct RadialForm {
  Shape shape;
  double scale = 1, value_factor = 1, derivative_factor = 1;
};
template <RadialKernel K>
auto radial_form(const K& kernel) {
  if constexpr (requires { kernel.form(); }) return kernel.form();
  else return RadialForm<K>{kernel};
}

/// W(x) = amplitude · exp(−|x|²/width²); by default −exp(−|x|²)/π (section 4.4).
struct GaussianKernel {
  double amplitude = -std::numbers::inv_pi;
  double width = 1;  ///< in the units of x

  template <class Q>
  WGF_HOST_DEVICE auto value(const Q& q) const {
    using std::exp;
    return amplitude * exp((-1 / (width * width)) * q);
  }
  template <class Q>
  WGF_HOST_DEVICE auto derivative(const Q& q) const {
    using std::exp;
    return (-amplitude / (width * width)) * exp((-1 / (width * width)) * q);
  }
  template <class Q>
  WGF_HOST_DEVICE auto curvature(const Q& q) const {
    using std::exp;
    return (amplitude / (width * width * width * width)) * exp((-1 / (width * width)) * q);
  }

  /// 2^−q, value and derivative.
  struct Shape {
    template <class Q>
    WGF_HOST_DEVICE auto value(const Q& q) const {
      return exp2(-q);
    }
    template <class Q>
    WGF_HOST_DEVICE auto derivative(const Q& q) const {
      return exp2(-q);
    }
  };
  RadialForm<Shape> form() const {
    return {{}, std::sqrt(std::numbers::log2e) / width, amplitude, -amplitude / (width * width)};
  }
  /// A bound on every partial derivative of W of order n ≥ 2, in up to three coordinates. They are
  /// products of Hermite functions H_k(t)e^{−t²}, and |H_k(t)|e^{−t²/2} ≤ 1.0865 √(2^k k!)
  /// (Cramér).
  double derivative_bound(int n) const {
    return std::abs(amplitude) * 1.0865 * std::sqrt(std::exp2(n) * std::tgamma(n + 1.0)) /
           std::pow(width, n);
  }

  /// \throws std::invalid_argument for invalid parameters.
  void check() const {
    if (!std::isfinite(amplitude))
      throw std::invalid_argument("wgf::GaussianKernel: amplitude must be finite, got " +
                                  std::to_string(amplitude));
    if (!(width > 0) || !std::isfinite(width))
      throw std::invalid_argument("wgf::GaussianKernel: width must be positive, got " +
                                  std::to_string(width));
  }
};

/// W(x) = |x|²/2: attracts all particles to their mean.
struct QuadraticKernel {
  template <class Q>
  WGF_HOST_DEVICE auto value(const Q& q) const {
    return 0.5 * q;
  }
  template <class Q>
  WGF_HOST_DEVICE auto derivative(const Q& q) const {
    return 0.5 * ones_like(q);
  }
  template <class Q>
  WGF_HOST_DEVICE auto curvature(const Q& q) const {
    return 0.0 * ones_like(q);
  }
};

/// W(x) = |x|⁴/4 − |x|²/2, attractive at long range and repulsive at short range: in two dimensions
/// particles settle on a ring of radius 1/√3 (appendix C.2).
struct RingKernel {
  template <class Q>
  WGF_HOST_DEVICE auto value(const Q& q) const {
    return 0.25 * q * q - 0.5 * q;
  }
  template <class Q>
  WGF_HOST_DEVICE auto derivative(const Q& q) const {
    return 0.5 * q - 0.5;
  }
  template <class Q>
  WGF_HOST_DEVICE auto curvature(const Q& q) const {
    return 0.5 * ones_like(q);
  }
};

/// W(x) = |x|²/2 − ½ ln(|x|² + softening²), which is |x|²/2 − ln|x| without softening: in one
/// dimension its steady state is the semicircle law.
struct LogarithmicKernel {
  double softening = 0;  ///< in the units of x; 0: infinite at the origin, where ∇W is taken to be
                         ///< 0, its value for every even kernel

  template <class Q>
  WGF_HOST_DEVICE auto value(const Q& q) const {
    using std::log;
    return 0.5 * q - 0.5 * log(q + softening * softening);
  }
  template <class Q>
  WGF_HOST_DEVICE auto derivative(const Q& q) const {
    return 0.5 - 0.5 / (q + (softening * softening + 1e-36));  // finite at the origin, in float too
  }
  template <class Q>
  WGF_HOST_DEVICE auto curvature(const Q& q) const {
    return 0.5 / ((q + softening * softening) * (q + softening * softening));
  }
  /// \throws std::invalid_argument for invalid parameters.
  void check() const {
    if (!(softening >= 0) || !std::isfinite(softening))
      throw std::invalid_argument("wgf::LogarithmicKernel: softening must not be negative, got " +
                                  std::to_string(softening));
  }
};

// ---- kernels of any other form

/// Interaction kernel with its gradient: W(x) and ∇W(x) at one point x. Both are called from
/// several threads concurrently. It may also have `Eigen::MatrixXd hessian(const Eigen::VectorXd&)
/// const`; otherwise ∇²W is computed by differences of the gradient.
template <class K>
concept DifferentiatedKernel = !RadialKernel<K> && requires(const K& k, const Eigen::VectorXd& x) {
  { k.value(x) } -> std::convertible_to<double>;
  { k.gradient(x) } -> std::convertible_to<Eigen::VectorXd>;
};
/// Interaction kernel with only a value, written for any scalar type: `template <class T> T
/// value(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const`. Its gradient is computed by
/// automatic differentiation, like that of a target's log-density.
template <class K>
concept TemplatedKernel =
    !RadialKernel<K> && !DifferentiatedKernel<K> &&
    requires(const K& k, const Eigen::VectorXd& x,
             const Eigen::Matrix<detail::Differential, Eigen::Dynamic, 1>& y) {
      { k.value(x) } -> std::convertible_to<double>;
      { k.value(y) } -> std::convertible_to<detail::Differential>;
      requires !std::is_arithmetic_v<std::remove_cvref_t<decltype(k.value(y))>>;
    };
/// Interaction kernel: an even function, in one of the three forms.
template <class K>
concept InteractionKernel = RadialKernel<K> || DifferentiatedKernel<K> || TemplatedKernel<K>;

/// \throws std::invalid_argument for invalid parameters, if the kernel has a member check().
template <InteractionKernel K>
void check_kernel(const K& kernel) {
  if constexpr (requires { kernel.check(); }) kernel.check();
}

/// W(x).
template <InteractionKernel K>
double kernel_value(const K& kernel, const Eigen::VectorXd& x) {
  if constexpr (RadialKernel<K>) return kernel.value(x.squaredNorm());
  else return kernel.value(x);
}

namespace detail {
template <class K>
struct AsTarget {
  const K& kernel;
  int dimension;
  int dim() const { return dimension; }
  template <class T>
  T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    return kernel.value(x);
  }
};
}  // namespace detail

/// ∇W(x).
/// \throws std::invalid_argument if the gradient that the kernel returns has the wrong size.
template <InteractionKernel K>
Eigen::VectorXd kernel_gradient(const K& kernel, const Eigen::VectorXd& x) {
  if constexpr (RadialKernel<K>) {
    return (2 * kernel.derivative(x.squaredNorm())) * x;
  } else if constexpr (DifferentiatedKernel<K>) {
    Eigen::VectorXd gradient = kernel.gradient(x);
    if (gradient.size() != x.size())
      throw std::invalid_argument("a kernel's gradient at a point must have " +
                                  std::to_string(x.size()) + " coordinates, got " +
                                  std::to_string(gradient.size()));
    return gradient;
  } else {
    return log_density_gradient(detail::AsTarget<K>{kernel, static_cast<int>(x.size())}, x);
  }
}

/// ∇²W(x), d × d; for kernels that are not radial and have no Hessian, by fourth-order differences
/// of the gradient.
/// \throws std::invalid_argument if the Hessian that the kernel returns has the wrong size.
template <InteractionKernel K>
Eigen::MatrixXd kernel_hessian(const K& kernel, const Eigen::VectorXd& x) {
  const Eigen::Index d = x.size();
  if constexpr (RadialKernel<K>) {
    const double q = x.squaredNorm();
    return 2 * kernel.derivative(q) * Eigen::MatrixXd::Identity(d, d) +
           4 * kernel.curvature(q) * x * x.transpose();
  } else if constexpr (requires {
                         { kernel.hessian(x) } -> std::convertible_to<Eigen::MatrixXd>;
                       }) {
    Eigen::MatrixXd hessian = kernel.hessian(x);
    if (hessian.rows() != d || hessian.cols() != d)
      throw std::invalid_argument(
          "a kernel's Hessian at a point must be " + std::to_string(d) + " x " + std::to_string(d) +
          ", got " + std::to_string(hessian.rows()) + " x " + std::to_string(hessian.cols()));
    return hessian;
  } else {
    return detail::jacobian_by_differences(
        [&](const Eigen::VectorXd& at) { return kernel_gradient(kernel, at); }, x);
  }
}

}  // namespace wgf
