// SPDX-License-Identifier: BSL-1.0
#pragma once
// Targets: unnormalised log-densities given by the user, with or without gradients, fixed or
// depending on time; and potentials V, which represent the target e^−V.
#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>

#include <Eigen/Core>

#include <unsupported/Eigen/AutoDiff>

#include "../concepts.hpp"

namespace wgf {

namespace detail {
/// The number of derivatives computed at a time: in d dimensions a gradient costs ⌈d/8⌉
/// evaluations.
inline constexpr int derivatives = 8;
using Differential =
    Eigen::AutoDiffScalar<Eigen::Matrix<double, derivatives, 1>>;  // not Array, because norms
                                                                   // return a Matrix
}  // namespace detail

/// Target with only a log-density, written for any scalar type: `template <class T> T
/// log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const`. Its gradient is computed by
/// automatic differentiation (forward mode, exact). Functions such as exp and log must be called
/// unqualified.
template <class T>
concept TemplatedTarget =
    !DifferentiatedTarget<T> &&
    requires(const T& t, const Eigen::VectorXd& x,
             const Eigen::Matrix<detail::Differential, Eigen::Dynamic, 1>& y) {
      { t.dim() } -> std::convertible_to<int>;
      { t.log_density(x) } -> std::convertible_to<double>;
      { t.log_density(y) } -> std::convertible_to<detail::Differential>;
      requires !std::is_arithmetic_v<std::remove_cvref_t<decltype(t.log_density(
          y))>>;  // as a function of VectorXd alone would return
    };
/// What kl() accepts: log q up to a constant, with or without its gradient. Third-party types can
/// be wrapped in such a type.
template <class T>
concept Target = DifferentiatedTarget<T> || TemplatedTarget<T>;

/// ∇ log q(x), given by the target or computed by automatic differentiation; in the latter case NaN
/// where the log-density is not finite.
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

/// Target that depends on time: `at(t)` is the target at time t of the flow. Backward steps
/// evaluate it at the end of the step, forward halves at its beginning.
template <class T>
concept TimeDependentTarget = !Target<T> && requires(const T& target, double t) {
  { target.dim() } -> std::convertible_to<int>;
  { target.at(t) } -> Target;
};

namespace detail {
/// The target at time t.
template <class T>
auto target_at(const T& target, double t) {
  if constexpr (TimeDependentTarget<T>) return target.at(t);
  else return target;
}
template <class T>
using TargetAt = decltype(target_at(std::declval<const T&>(), 0.0));
template <class T>
inline constexpr bool is_any_target = Target<T> || TimeDependentTarget<T>;
/// Whether a term has a member `target`.
template <class Term>
inline constexpr bool has_target =
    requires(const Term& t) { requires is_any_target<std::remove_cvref_t<decltype(t.target)>>; };

template <class V, class... Time>
concept HasValue = requires(const V& v, const Eigen::VectorXd& x, Time... t) {
  { v.value(x, t...) } -> std::convertible_to<double>;
};
}  // namespace detail

/// A potential V: `value(x)`, or `value(x, t)` if it depends on time, in the units of the
/// functional; and `gradient` with the same arguments, unless `value` is a template over the scalar
/// type of x, like the log-density of a target.
template <class V>
concept PotentialFunction = detail::HasValue<V> || detail::HasValue<V, double>;

namespace detail {
/// The target e^−V(·, t...).
template <class V, class... Time>
struct PotentialAsTarget {
  V potential;
  std::tuple<Time...> time{};

  int dim() const {
    if constexpr (requires { potential.dim(); }) return potential.dim();
    else return 0;
  }
  template <class T>
  T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const
    requires requires(Time... t) {
      { potential.value(x, t...) } -> std::convertible_to<T>;
    }
  {
    return -std::apply([&](auto... t) -> T { return potential.value(x, t...); }, time);
  }
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const
    requires requires(Time... t) { potential.gradient(x, t...); }
  {
    return -std::apply([&](auto... t) -> Eigen::VectorXd { return potential.gradient(x, t...); },
                       time);
  }
};
/// The same for all times.
template <class V>
struct MovingPotential {
  V potential;
  int dim() const { return PotentialAsTarget<V, double>{potential, {}}.dim(); }
  PotentialAsTarget<V, double> at(double t) const { return {potential, {t}}; }
};
template <class V>
using PotentialTarget =
    std::conditional_t<HasValue<V, double>, MovingPotential<V>, PotentialAsTarget<V>>;
}  // namespace detail

}  // namespace wgf
