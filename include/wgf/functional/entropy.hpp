// SPDX-License-Identifier: BSL-1.0
#pragma once
// Dual terms. The entropy in its dual form, with the adaptive Gaussian μ_k as base (Proposition 1):
//   E_P[log P] = KL(P‖μ_k) + E_P[log μ_k] = sup_u E_P[u] − E_{μ_k}[e^u − 1] + E_P[log μ_k].
#include <utility>

#include "../concepts.hpp"
#include "../frame.hpp"
#include "divergence.hpp"
#include "gaussian_base.hpp"

namespace wgf {

/// A divergence from an adaptive base with its dual network on a runtime, and the base's own log-density where it has one.
template <class Divergence, class Fit, class Base, class DualNetwork, class R>
class BoundDual {
 public:
  BoundDual(DualNetwork net, typename R::Points memory, const Divergence& divergence, const Fit& fit, Base base, double inflation,
            std::uint32_t stream)
      : network(std::move(net)),
        base_batch(std::move(memory)),
        divergence_(divergence),
        fit_(fit),
        base_(std::move(base)),
        inflation_(inflation),
        stream_(stream) {}

  DualNetwork network;            ///< u = log(P / base)
  typename R::Points base_batch;  ///< this iteration's samples of the base

  void enter(const R& runtime, const Frame& frame, const Gaussian& cloud, double weight) {
    base_.enter(runtime, frame, cloud, inflation_, weight);
  }
  template <class Z>
  void sample_base(const R& runtime, typename R::Slice s, Z&& z, std::uint32_t draw) {
    base_.sample(runtime, s, z, stream_, draw);
  }
  /// Samples of the base made of standard normals ξ: of P_k's own where the frame is whitened.
  template <class X, class Z>
  void couple_base(const X& xi, Z&& z) const {
    base_.place(xi, z);
  }
  template <class U>
  auto gain(const U& u) const {
    return divergence_.gain(u);
  }
  template <class U>
  auto gain_slope(const U& u) const {
    return divergence_.gain_slope(u);
  }
  template <class U>
  auto cost(const U& u) const {
    return divergence_.cost(u);
  }
  template <class U>
  auto fit_slope_p(const U& u) const {
    return fit_.slope_p(divergence_, u);
  }
  template <class U>
  auto fit_slope_base(const U& u) const {
    return fit_.slope_base(divergence_, u);
  }
  void add_gradient(typename R::Slice s, const typename R::Window& y, typename R::Window& g) const
    requires requires(const Base& b) { b.add_gradient(y(s), g(s)); }
  {
    base_.add_gradient(y(s), g(s));
  }
  double value(typename R::Slice s, const typename R::Window& y) const { return base_.log_density(s, y(s)); }

 private:
  Divergence divergence_;
  Fit fit_;
  Base base_;
  double inflation_;
  std::uint32_t stream_;
};

/// E_P[log P]: its flow is the heat equation; with E_P[−log q] it is KL(P‖q).
template <DualSpecification Dual = Mlp<16, 4>, class Fit = LogisticLoss>
struct Entropy {
  /// The network of u = log(P / μ_k).
  Dual dual{};
  /// The loss that fits it.
  Fit fit{};
  /// The base has the cloud's mean and inflation² times its covariance: more than 1 lets the dual network see heavy tails.
  double inflation = 1;

  template <class R>
  auto bind(const R& runtime, int dim, long batch, std::uint32_t stream) const {
    auto network = runtime.network(dual, dim, batch, stream, Keep::tile);
    const std::uint32_t base_stream = stream + random_streams<Dual>;  // the network's own are those before
    return BoundDual<KullbackLeibler, Fit, GaussianBase<R>, decltype(network), R>(
        std::move(network), runtime.points(dim, batch), {}, fit, GaussianBase<R>(runtime, dim, batch), inflation, base_stream);
  }
};

}  // namespace wgf
