// SPDX-License-Identifier: BSL-1.0
#pragma once
// One step of a flow, and how it moves particles.
#include <optional>
#include <vector>

#include "../array.hpp"
#include "../concepts.hpp"
#include "../frame.hpp"
#include "../network/affine_form.hpp"
#include "inverse.hpp"
#include "rejection.hpp"
#include "reweighting.hpp"

namespace wgf {

/// One step: samples of the law for its forward half, if it has one; then the parameters of the
/// map, in the order of the specification, and the coordinates in which the map acts; then
/// rejections or a reweighting, if the flow is a corrected one.
template <class Scalar>
struct Stage {
  Frame frame;
  std::vector<Scalar> parameters;  ///< empty: the step has no map
  /// Particles move by this times T(x) − x: 2 for an extrapolated midpoint step.
  double extrapolation = 1;
  /// d × N, of the law before the step; empty unless an interaction energy is treated forward.
  Particles samples{};
  /// a of this step, if step sizes vary; 0: that of the flow.
  double step_size = 0;
  /// The map acts on x + inertia·(x − x'), where x' is the particle's position before the last
  /// step: 1/3 in the two-step scheme Bdf2.
  double inertia = 0;
  /// Applied in order after the map.
  std::vector<Rejection> rejections{};
  /// Applied after the map, in place of rejections.
  std::optional<Reweighting> reweighting{};
};

/// A stage of an affine map as x → matrix·x + offset in the user's coordinates, exactly.
template <AffineSpecification Map, class Scalar>
AffineForm affine_form(const Map& map, const Stage<Scalar>& stage) {
  const Frame& frame = stage.frame;
  AffineForm inner = affine_form(
      map, frame.dim(), std::vector<double>(stage.parameters.begin(), stage.parameters.end()));
  const Eigen::MatrixXd identity = Eigen::MatrixXd::Identity(frame.dim(), frame.dim());
  inner.matrix = identity + stage.extrapolation * (inner.matrix - identity);
  inner.offset *= stage.extrapolation;
  const Eigen::MatrixXd matrix =
      detail::product(detail::product(frame.factor, inner.matrix), frame.inverse_factor());
  return {matrix, frame.mean + detail::times(frame.factor, inner.offset) -
                      detail::times(matrix, frame.mean)};
}

/// x ← x + inertia·(x − before): where a stage with inertia applies its map.
template <Runtime R>
void push_on(const R& runtime, double inertia, const typename R::PointsView& x,
             const typename R::PointsView& before, long n) {
  const auto weight = static_cast<typename R::Scalar>(inertia);
  runtime.parallel(n, [&](typename R::Slice s) { x(s) += weight * (x(s) - before(s)); });
}
/// x ← x + extrapolation·(T(x) − x), T in the stage's coordinates: mean + factor·net(factor⁻¹(x −
/// mean)). `inside` is scratch of x's size.
template <Runtime R, class Net, class Scalar>
void push_through(const R& runtime, Net& net, const Stage<Scalar>& stage,
                  const typename R::PointsView& x, const typename R::PointsView& inside, long n) {
  using Slice = typename R::Slice;
  const Frame& frame = stage.frame;
  const auto extrapolation = static_cast<typename R::Scalar>(stage.extrapolation);
  if (frame.identity && extrapolation == 1) {
    runtime.parallel(n, [&](Slice s) { x(s) = net.forward(s, x(s)); });
    return;
  }
  const auto [in, shift_in] = frame.to_coordinates_on(runtime);
  const auto out = runtime.constant(frame.factor), shift_out = runtime.constant(frame.mean);
  runtime.parallel(n, [&](Slice s) {
    set_affine(in, shift_in, x(s), inside(s));
    const auto y = net.forward(s, inside(s));
    if (extrapolation == 1) {
      set_affine(out, shift_out, y, x(s));
    } else {
      inside(s) += extrapolation * (y - inside(s));
      set_affine(out, shift_out, inside(s), x(s));
    }
  });
}
/// log det of the derivative of push_through's map at n points x, NaN where it is not positive.
template <Runtime R, class Net, class Scalar>
Eigen::VectorXd log_determinants_through(const R& runtime, Net& net, const Stage<Scalar>& stage,
                                         const typename R::PointsView& x,
                                         const typename R::PointsView& inside, long n) {
  const Frame& frame = stage.frame;
  const auto [in, shift_in] = frame.to_coordinates_on(runtime);
  runtime.parallel(n, [&](typename R::Slice s) {
    if (frame.identity) inside(s) = x(s);
    else set_affine(in, shift_in, x(s), inside(s));
  });
  return detail::log_determinants(runtime, net, inside, stage.extrapolation, n);
}
/// x ← x − a Σ weight·gradient: the forward half of a step (12) that begins at this time. `samples`
/// are those of the law before it; drift and scratch have the size of x.
/// \param same whether the samples are the particles x themselves.
template <Runtime R, class ForwardTerms>
void push_forward(const R& runtime, const ForwardTerms& terms, double time, double step_size,
                  const typename R::PointsView& samples, const typename R::PointsView& x,
                  const typename R::PointsView& drift, const typename R::PointsView& scratch,
                  long n, bool same = false) {
  using Slice = typename R::Slice;
  runtime.parallel(n, [&](Slice s) { drift(s) = 0.0 * ones_like(drift(s)); });
  hana::for_each(terms, [&](const auto& t) {
    t.term.add_drift(runtime, x, samples, time, t.weight, drift, scratch, n, same);
  });
  runtime.parallel(n,
                   [&](Slice s) { x(s) -= static_cast<typename R::Scalar>(step_size) * drift(s); });
}
/// The derivatives of push_forward's map at points x (d × n): n matrices d × d.
template <Runtime R, class ForwardTerms>
std::vector<Eigen::MatrixXd> forward_derivatives(const R& runtime, const ForwardTerms& terms,
                                                 double time, double step_size,
                                                 const typename R::PointsView& samples,
                                                 const Particles& x) {
  std::vector<Eigen::MatrixXd> slopes(static_cast<std::size_t>(x.cols()),
                                      Eigen::MatrixXd::Identity(x.rows(), x.rows()));
  hana::for_each(terms, [&](const auto& t) {
    const auto drift_derivatives = t.term.drift_derivatives(runtime, x, samples, time);
    for (std::size_t i = 0; i < slopes.size(); ++i)
      slopes[i] -= step_size * t.weight * drift_derivatives[i];
  });
  return slopes;
}

}  // namespace wgf
