// SPDX-License-Identifier: BSL-1.0
#pragma once
// The interaction energy ½ E W(X − Y), X and Y independent samples of P and W even: its gradient
// flow is ∂P/∂t = ∇·(P ∇W∗P), eq. (17). The gradient at a point y is E ∇W(y − Y). (The energy in
// the paper has no factor ½, so that its backward scheme is twice as fast as its forward scheme.)
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "../concepts.hpp"
#include "../step_context.hpp"
#include "kernels.hpp"

namespace wgf {

/// ½ E W(X − Y) on a runtime: inside a JKO step, Y are the other particles of the batch.
/// \throws std::invalid_argument for a batch of one.
template <InteractionKernel Kernel, class R>
class BoundInteraction {
 public:
  BoundInteraction(const R& runtime, const Kernel& kernel, int dim, long batch)
      : pairs_(runtime.pairs(kernel, dim)),
        zero_(runtime.constant(Eigen::VectorXd::Zero(dim))),
        at_(runtime.points(dim, batch)),
        derivative_(runtime.points(dim, batch)),
        batch_(batch) {
    if (batch < 2)
      throw std::invalid_argument(
          "wgf::interaction: a batch must have at least two particles, got " +
          std::to_string(batch));
  }

  void begin_step(const R& runtime, const StepContext<R>& context, double weight) {
    const Frame& frame = context.frame;
    weight_ = weight;
    mean_ = runtime.constant(frame.mean), factor_ = runtime.constant(frame.factor);
    pull_ = runtime.constant(frame.factor.transpose());
  }
  /// Sets the batch of an iteration, over whose particles the gradients are sums.
  void set_batch(const R& runtime, const typename R::PointsView& y) {
    runtime.parallel(batch_,
                     [&](typename R::Slice s) { set_affine(factor_, mean_, y(s), at_(s)); });
  }
  /// g += weight · Lᵀ E ∇W(x − Y), x = m + L y.
  void add_gradient(typename R::Slice s, const typename R::PointsView& /*y*/,
                    typename R::PointsView& g) {
    derivative_(s) = 0.0 * ones_like(derivative_(s));
    pairs_.add_gradient(s, at_(s), at_, derivative_(s), weight_, s.begin);
    add_affine(pull_, zero_, derivative_(s), g(s));
  }
  double value(typename R::Slice s, const typename R::PointsView& /*y*/) {
    return 0.5 * pairs_.value(s, at_(s), at_, s.begin);
  }

 private:
  decltype(std::declval<const R&>().pairs(std::declval<const Kernel&>(), 1)) pairs_;
  double weight_ = 1;
  typename R::Constant zero_, mean_, factor_, pull_;
  typename R::Points at_, derivative_;  // the batch in x, and gradients there
  long batch_;
};

/// ½ E W(X − Y).
template <InteractionKernel Kernel>
struct Interaction {
  Kernel kernel;

  template <class R>
  BoundInteraction<Kernel, R> bind(const R& runtime, int dim, long batch,
                                   std::uint32_t /*stream*/) const {
    return {runtime, kernel, dim, batch};
  }
  /// \throws std::invalid_argument for a kernel with invalid parameters.
  void check() const { check_kernel(kernel); }

  /// A forward step needs samples of the law.
  static constexpr bool interacts = true;
  /// drift += weight · mean_j ∇W(x_i − y_j) at n points.
  /// \param same whether the samples are these points, in the same order: then each pair is
  /// evaluated only once, and the pair of a point with itself, which contributes 0, is skipped.
  template <class R>
  void add_drift(const R& runtime, const typename R::PointsView& x,
                 const typename R::PointsView& samples, double /*time*/, double weight,
                 const typename R::PointsView& drift, const typename R::PointsView& scratch, long n,
                 bool same) const {
    if (same) runtime.self_gradients(kernel, x, scratch), weight *= 1 - 1 / static_cast<double>(n);
    else runtime.pair_gradients(kernel, x, samples, scratch);
    runtime.parallel(n, [&](typename R::Slice s) {
      drift(s) += static_cast<typename R::Scalar>(weight) * scratch(s);
    });
  }
  /// The derivatives of the drift at points x (d × n).
  template <class R>
  std::vector<Eigen::MatrixXd> drift_derivatives(const R& runtime, const Particles& x,
                                                 const typename R::PointsView& samples,
                                                 double /*time*/) const {
    return runtime.pair_hessians(kernel, x, samples);
  }
};

}  // namespace wgf
