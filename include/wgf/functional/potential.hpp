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

#include "../array.hpp"
#include "../concepts.hpp"
#include "../linear_algebra.hpp"
#include "../measure/gaussian.hpp"
#include "../measure/gaussian_mixture.hpp"
#include "../step_context.hpp"
#include "target.hpp"

namespace wgf {

/// E_P[−log q] on a runtime.
template <class T, class R>
  requires detail::is_any_target<T>
class BoundPotential {
  using Now = detail::TargetAt<T>;  // the target at the time of a step
  static constexpr bool gaussian = std::same_as<Now, Gaussian>, mixture = requires(const R& r,
                                                                                   const Now& t) {
    requires std::same_as<Now, GaussianMixture>;
    r.mixture(t);  // optional code of a runtime for mixtures; else they are a target like others
  };

 public:
  BoundPotential(const R& runtime, const T& target, int dim, long batch)
      : target_(target),
        now_(detail::target_at(target, 0.0)),
        zero_(runtime.constant(Eigen::VectorXd::Zero(dim))),
        at_(runtime.points(dim, batch)),
        derivative_(runtime.points(dim, batch)) {
    if constexpr (mixture) mixture_.emplace(runtime.mixture(*now_));
  }

  void begin_step(const R& runtime, const StepContext<R>& context, double weight) {
    const Frame& frame = context.frame;
    frame_ = frame, weight_ = weight;
    if constexpr (TimeDependentTarget<T>) {
      now_.emplace(target_.at(context.time));
      if constexpr (mixture) mixture_.emplace(runtime.mixture(*now_));
    }
    mean_ = runtime.constant(frame.mean), factor_ = runtime.constant(frame.factor);
    pull_ = runtime.constant(frame.factor.transpose());
    if constexpr (gaussian) {  // in the step's coordinates: still a quadratic
      const Eigen::MatrixXd pulled =
          weight * detail::product(frame.factor.transpose(), now_->precision());
      const Eigen::VectorXd shift = frame.mean - now_->mean();
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
      return -static_cast<double>(now_->log_density(x));
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
                    [&](const Eigen::VectorXd& x) { return log_density_gradient(*now_, x); });
  }
  struct None {};
  static auto mixture_type() {
    if constexpr (mixture)
      return std::optional<decltype(std::declval<const R&>().mixture(
          std::declval<const Now&>()))>{};
    else return None{};
  }
  T target_;
  std::optional<Now> now_;
  double weight_ = 1;
  Frame frame_;
  typename R::Constant zero_, mean_, factor_, pull_, quadratic_, linear_;
  typename R::Points at_, derivative_;
  decltype(mixture_type()) mixture_;
};

/// E_P[−log q].
template <class T>
  requires detail::is_any_target<T>
struct Potential {
  T target;

  int dim() const { return target.dim(); }
  template <class R>
  BoundPotential<T, R> bind(const R& runtime, int dim, long batch, std::uint32_t /*stream*/) const {
    return {runtime, target, dim, batch};
  }

  // A forward step (Remark 1) needs only the target, not the law.
  static constexpr bool interacts = false;
  /// drift += weight · ∇(−log q)(x) at n points, q being the target at this time.
  template <class R>
  void add_drift(const R& runtime, const typename R::PointsView& x,
                 const typename R::PointsView& /*samples*/, double time, double weight,
                 const typename R::PointsView& drift, const typename R::PointsView& /*scratch*/,
                 long n, bool /*same*/) const {
    const auto now = detail::target_at(target, time);
    runtime.parallel(n, [&](typename R::Slice s) {
      add_pointwise(s, x(s), drift(s), -weight,
                    [&](const Eigen::VectorXd& at) { return log_density_gradient(now, at); });
    });
  }
  /// The derivatives of the drift at points x (d × n), by fourth-order differences of the gradient.
  template <class R>
  std::vector<Eigen::MatrixXd> drift_derivatives(const R& runtime, const Particles& x,
                                                 const typename R::PointsView& /*samples*/,
                                                 double time) const {
    const auto now = detail::target_at(target, time);
    std::vector<Eigen::MatrixXd> derivatives(static_cast<std::size_t>(x.cols()));
    runtime.each(x.cols(), [&](long i) {
      derivatives[static_cast<std::size_t>(i)] = -detail::jacobian_by_differences(
          [&](const Eigen::VectorXd& at) { return log_density_gradient(now, at); },
          Eigen::VectorXd(x.col(i)));
    });
    return derivatives;
  }
};

}  // namespace wgf
