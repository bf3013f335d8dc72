// SPDX-License-Identifier: BSL-1.0
#pragma once
// Dual terms on a runtime: a divergence from a reference density, with the dual network and the
// loss that fits it (eq. 8).
#include <cstdint>
#include <utility>

#include "../concepts.hpp"
#include "../random_streams.hpp"
#include "../step_context.hpp"
#include "divergence.hpp"

namespace wgf {

/// A divergence D(P‖reference) with its dual network.
/// \tparam Reference a density, or samples, that can be transformed to the coordinates of a step.
/// \tparam adds_reference whether E_P[log reference] is part of the term, as it is where the
/// divergence represents ∫P log P.
template <class Divergence, class Fit, class Reference, class DualNetwork, class R,
          bool adds_reference = false>
class BoundDual {
  using Normaliser = decltype(std::declval<const R&>().sum().log_mean(1L));

 public:
  BoundDual(DualNetwork net, typename R::Points memory, const Divergence& divergence,
            const Fit& fit, Reference reference, std::uint32_t stream)
      : network(std::move(net)),
        reference_batch(std::move(memory)),
        divergence_(divergence),
        fit_(fit),
        reference_(std::move(reference)),
        stream_(stream) {}

  DualNetwork network;                 ///< u = log(P / reference)
  typename R::Points reference_batch;  ///< samples of the reference in this iteration

  void begin_step(const R& runtime, const StepContext<R>& context, double weight) {
    reference_.begin_step(runtime, context, weight);
    if constexpr (requires { divergence_.begin_step(reference_.log_volume()); })
      divergence_.begin_step(reference_.log_volume());
  }
  template <class Z>
  void sample_reference(const R& runtime, typename R::Slice s, Z&& z, std::uint32_t draw) {
    reference_.sample(runtime, s, z, stream_, draw);
  }
  /// Samples of the reference made from standard normals ξ: those of P_k where the frame is
  /// whitened.
  template <class X, class Z>
  void share_noise(const X& xi, Z&& z) const
    requires requires(const Reference& reference) { reference.place(xi, z); }
  {
    reference_.place(xi, z);
  }
  /// Σ e^u over the slice, for a loss that determines u up to a constant; log E_Γ[e^u] is then
  /// given to set_normaliser.
  template <class U>
  static auto sum_of_ratios(const U& u)
    requires wgf::normalises<Fit>
  {
    return exp(clamp_max(u, detail::largest_log_ratio)).sum();
  }
  void set_normaliser(const Normaliser& value)
    requires wgf::normalises<Fit>
  {
    normaliser_ = value;
  }

  template <class U>
  auto gain(const U& u) const {
    return normalised(u, [&](const auto& v) { return divergence_.gain(v); });
  }
  template <class U>
  auto gain_derivative(const U& u) const {
    return normalised(u, [&](const auto& v) { return divergence_.gain_derivative(v); });
  }
  template <class U>
  auto cost(const U& u) const {
    return normalised(u, [&](const auto& v) { return divergence_.cost(v); });
  }
  template <class U>
  auto fit_derivative_p(const U& u) const {
    return normalised(u, [&](const auto& v) { return fit_.derivative_p(divergence_, v); });
  }
  template <class U>
  auto fit_derivative_reference(const U& u) const {
    return normalised(u, [&](const auto& v) { return fit_.derivative_reference(divergence_, v); });
  }
  /// log(P / reference), which may differ from the output of the network.
  template <class U>
  auto log_ratio(const U& u) const {
    if constexpr (requires { divergence_.log_ratios(u); }) return divergence_.log_ratios(u);
    else return normalised(u, [](const auto& v) { return v; });
  }
  /// log P at ξ from the network's output u there, as a density in the user's coordinates:
  /// reference density times ratio.
  double log_density(const Eigen::VectorXd& xi, double u) const
    requires requires(const Reference& reference) { reference.log_density(xi); }
  {
    if constexpr (requires { divergence_.log_ratio(u); })
      return reference_.log_density(xi) + divergence_.log_ratio(u);
    else if constexpr (wgf::normalises<Fit>)
      return reference_.log_density(xi) + u - number(normaliser_);
    else return reference_.log_density(xi) + u;
  }

  void add_gradient(typename R::Slice s, const typename R::PointsView& y,
                    typename R::PointsView& g) const
    requires adds_reference
  {
    reference_.add_gradient(y(s), g(s));
  }
  double value(typename R::Slice s, const typename R::PointsView& y) const
    requires adds_reference
  {
    return reference_.log_density(s, y(s));
  }

 private:
  /// f of the normalised u. Expressions hold arrays by reference: an expression of a temporary must
  /// be evaluated while the temporary exists.
  template <class U, class F>
  auto normalised(const U& u, F&& f) const {
    if constexpr (wgf::normalises<Fit>) return evaluated(f(evaluated(u - normaliser_)));
    else return f(u);
  }
  Divergence divergence_;
  Fit fit_;
  Reference reference_;
  std::uint32_t stream_;
  Normaliser normaliser_{};
};

/// A dual term with its network and memory.
/// \param stream the first random stream, used by the network; the reference uses those that
/// follow.
template <bool adds_reference = false, class Divergence, class Fit, class Reference, class Dual,
          class R>
auto bind_dual(const R& runtime, const Divergence& divergence, const Fit& fit, const Dual& dual,
               Reference reference, int dim, long batch, std::uint32_t stream) {
  static_assert(random_streams<Dual> < streams_of_a_term,
                "wgf: a sum of so many dual networks needs more random streams than a term has");
  auto network = runtime.network(dual, dim, batch, stream, Keep::tile);
  return BoundDual<Divergence, Fit, Reference, decltype(network), R, adds_reference>(
      std::move(network), runtime.points(dim, batch), divergence, fit, std::move(reference),
      stream + random_streams<Dual>);
}

}  // namespace wgf
