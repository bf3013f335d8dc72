// SPDX-License-Identifier: BSL-1.0
#pragma once
// The potential energy E_P[−log q] of an unnormalised target density q: with the entropy, KL(P‖q)
// up to a constant (eqs. 3 and 10).
#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <unsupported/Eigen/AutoDiff>

#include "../array.hpp"
#include "../concepts.hpp"
#include "../frame.hpp"
#include "../linear_algebra.hpp"
#include "../measure/gaussian.hpp"
#include "../measure/gaussian_mixture.hpp"

namespace wgf {

namespace detail {
/// As many derivatives are carried at a time: in d dimensions a gradient costs ⌈d/8⌉ evaluations.
inline constexpr int derivatives = 8;
using Differential =
    Eigen::AutoDiffScalar<Eigen::Matrix<double, derivatives, 1>>;  // not Array: norms come back as
                                                                   // Matrix
}  // namespace detail

/// Target with only a log-density, written for any scalar type: `template <class T> T
/// log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const`. Its gradient is derived
/// automatically (forward mode, exact). Functions such as exp and log are to be called unqualified.
template <class T>
concept TemplatedTarget =
    !DifferentiatedTarget<T> &&
    requires(const T& t, const Eigen::VectorXd& x,
             const Eigen::Matrix<detail::Differential, Eigen::Dynamic, 1>& y) {
      { t.dim() } -> std::convertible_to<int>;
      { t.log_density(x) } -> std::convertible_to<double>;
      { t.log_density(y) } -> std::convertible_to<detail::Differential>;
      requires !std::is_arithmetic_v<std::remove_cvref_t<decltype(t.log_density(
          y))>>;  // as a function of VectorXd alone would give
    };
/// What kl() takes: log q up to a constant, with or without its gradient. For types one does not
/// own, wrap them in such a type.
template <class T>
concept Target = DifferentiatedTarget<T> || TemplatedTarget<T>;

/// ∇ log q(x), the target's own or derived; not a number where a log-density whose gradient is
/// derived is not finite.
template <Target T>
Eigen::VectorXd log_density_gradient(const T& target, const Eigen::VectorXd& x) {
  if constexpr (DifferentiatedTarget<T>) {
    return target.gradient(x);
  } else {
    using D = detail::Differential;
    Eigen::VectorXd gradient(x.size());
    Eigen::Matrix<D, Eigen::Dynamic, 1> y = x.cast<D>();
    for (Eigen::Index i = 0; i < x.size(); ++i) y[i].derivatives().setZero();
    for (Eigen::Index first = 0; first < x.size(); first += detail::derivatives) {
      const Eigen::Index n = std::min<Eigen::Index>(detail::derivatives, x.size() - first);
      for (Eigen::Index i = 0; i < n; ++i) y[first + i].derivatives()[i] = 1;
      const D value = target.log_density(y);
      if (!std::isfinite(value.value()))
        gradient.setConstant(x.size(), std::numeric_limits<double>::quiet_NaN());
      else gradient.segment(first, n) = value.derivatives().head(n);
      for (Eigen::Index i = 0; i < n; ++i) y[first + i].derivatives()[i] = 0;
    }
    return gradient;
  }
}

/// E_P[−log q] on a runtime.
template <Target T, class R>
class BoundPotential {
  static constexpr bool gaussian = std::same_as<T, Gaussian>, mixture = requires(const R& r,
                                                                                 const T& t) {
    requires std::same_as<T, GaussianMixture>;
    r.mixture(t);  // a runtime may have kernels for it; else it is a target like others
  };

 public:
  BoundPotential(const R& runtime, const T& target, int dim, long batch)
      : target_(target),
        zero_(runtime.constant(Eigen::VectorXd::Zero(dim))),
        at_(runtime.points(dim, batch)),
        derivative_(runtime.points(dim, batch)) {
    if constexpr (mixture) mixture_.emplace(runtime.mixture(target));
  }

  void enter(const R& runtime, const Frame& frame, const Cloud<R>&, double weight) {
    frame_ = frame, weight_ = weight;
    mean_ = runtime.constant(frame.mean), factor_ = runtime.constant(frame.factor);
    pull_ = runtime.constant(frame.factor.transpose());
    if constexpr (gaussian) {  // in the step's coordinates: still a quadratic
      const Eigen::MatrixXd pulled =
          weight * detail::product(frame.factor.transpose(), target_.precision());
      const Eigen::VectorXd shift = frame.mean - target_.mean();
      quadratic_ = runtime.constant(detail::product(pulled, frame.factor)),
      linear_ = runtime.constant(pulled * shift);
    }
  }
  /// g += weight · Lᵀ ∇(−log q)(m + L y).
  void add_gradient(typename R::Slice s, const typename R::PointsView& y,
                    typename R::PointsView& g) {
    if constexpr (gaussian) {
      add_affine(quadratic_, linear_, y(s), g(s));
    } else if (frame_.identity) {
      add_derivative(s, y(s), g(s));
    } else {
      set_affine(factor_, mean_, y(s), at_(s));
      derivative_(s) = 0.0 * ones_like(derivative_(s));
      add_derivative(s, at_(s), derivative_(s));
      add_affine(pull_, zero_, derivative_(s), g(s));
    }
  }
  double value(typename R::Slice s, const typename R::PointsView& y) {
    const auto negative_log = [&](const Eigen::VectorXd& x) -> double {
      return -static_cast<double>(target_.log_density(x));
    };
    if (frame_.identity) return sum_pointwise(s, y(s), negative_log);
    set_affine(factor_, mean_, y(s), at_(s));
    return sum_pointwise(s, at_(s), negative_log);
  }

 private:
  template <class Y, class G>
  void add_derivative(typename R::Slice s, const Y& y, G&& g) {
    if constexpr (mixture)
      mixture_->add_gradient(s, y, g, static_cast<typename R::Scalar>(-weight_));
    else
      add_pointwise(s, y, g, -weight_,
                    [&](const Eigen::VectorXd& x) { return log_density_gradient(target_, x); });
  }
  struct None {};
  static auto mixture_type() {
    if constexpr (mixture)
      return std::optional<decltype(std::declval<const R&>().mixture(std::declval<const T&>()))>{};
    else return None{};
  }
  T target_;
  double weight_ = 1;
  Frame frame_;
  typename R::Constant zero_, mean_, factor_, pull_, quadratic_, linear_;
  typename R::Points at_, derivative_;
  decltype(mixture_type()) mixture_;
};

/// E_P[−log q].
template <Target T>
struct Potential {
  T target;

  int dim() const { return target.dim(); }
  template <class R>
  BoundPotential<T, R> bind(const R& runtime, int dim, long batch, std::uint32_t /*stream*/) const {
    return {runtime, target, dim, batch};
  }

  // A forward step (Remark 1) needs only the target: the law does not enter.
  static constexpr bool interacts = false;
  /// drift += weight · ∇(−log q)(x) at n points.
  template <class R>
  void add_drift(const R& runtime, const typename R::PointsView& x,
                 const typename R::PointsView& /*samples*/, double weight,
                 const typename R::PointsView& drift, const typename R::PointsView& /*scratch*/,
                 long n, bool /*same*/) const {
    runtime.parallel(n, [&](typename R::Slice s) {
      add_pointwise(s, x(s), drift(s), -weight,
                    [&](const Eigen::VectorXd& at) { return log_density_gradient(target, at); });
    });
  }
  /// The derivatives of the drift at points x (d × n), by differences of fourth order of the
  /// gradient.
  template <class R>
  std::vector<Eigen::MatrixXd> drift_derivatives(const R& runtime, const Particles& x,
                                                 const typename R::PointsView& /*samples*/) const {
    std::vector<Eigen::MatrixXd> derivatives(static_cast<std::size_t>(x.cols()));
    runtime.each(x.cols(), [&](long i) {
      derivatives[static_cast<std::size_t>(i)] = -detail::jacobian_by_differences(
          [&](const Eigen::VectorXd& at) { return log_density_gradient(target, at); },
          Eigen::VectorXd(x.col(i)));
    });
    return derivatives;
  }
};

}  // namespace wgf
