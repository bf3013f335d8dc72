// SPDX-License-Identifier: BSL-1.0
#pragma once
// Internal energies ∫U(P) in dual form. The entropy, with the adaptive Gaussian μ_k as base
// (Proposition 1):
//   E_P[log P] = KL(P‖μ_k) + E_P[log μ_k] = sup_u E_P[u] − E_{μ_k}[e^u − 1] + E_P[log μ_k],
// and the generalized entropy ∫P^m/(m − 1), with the uniform law on an adaptive box Ω_k as base
// (Proposition 2).
#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "bound_dual.hpp"
#include "box_reference.hpp"
#include "gaussian_reference.hpp"

namespace wgf {

/// E_P[log P]: its flow is the heat equation; with E_P[−log q] it is KL(P‖q).
template <DualSpecification Dual = Mlp<16, 4>, class Fit = LogisticLoss>
struct Entropy {
  /// The network of u = log(P / μ_k).
  Dual dual{};
  /// The loss that fits it.
  Fit fit{};
  /// The base has the cloud's mean and inflation² times its covariance: more than 1 lets the dual
  /// network see heavy tails.
  double inflation = 1;

  /// \throws std::invalid_argument for an inflation that is not positive.
  void check() const {
    if (!(inflation > 0) || !std::isfinite(inflation))
      throw std::invalid_argument("wgf::entropy: the base's inflation must be positive, got " +
                                  std::to_string(inflation));
  }
  template <class R>
  auto bind(const R& runtime, int dim, long batch, std::uint32_t stream) const {
    return bind_dual<true>(runtime, KullbackLeibler{}, fit, dual,
                           GaussianReference<R>(runtime, dim, batch, inflation), dim, batch,
                           stream);
  }
};

/// ∫P^m/(m − 1) for m > 1: its flow is the porous medium equation ∂P/∂t = ΔP^m.
/// \tparam Fit LogisticLoss: the network is u = log(P·|Ω_k|). VariationalBound: it is h,
/// softplus(4h)/4 = (P·|Ω_k|)^{m−1}, for which the bound is convex; see PowerOfPressure.
template <DualSpecification Dual = Mlp<16, 4>, class Fit = LogisticLoss>
struct GeneralizedEntropy {
  /// m.
  double exponent = 2;
  /// The network of u or h.
  Dual dual{};
  /// The loss that fits it.
  Fit fit{};
  /// Ω_k is the smallest box that holds the cloud, so many times as wide. The cloud must not leave
  /// it within a step.
  double margin = 1.25;
  /// Instead, a box that holds every P_k.
  std::optional<UniformBox> box{};

  int dim() const { return box ? box->dim() : 0; }
  template <class R>
  auto bind(const R& runtime, int dim, long batch, std::uint32_t stream) const {
    using Form =
        std::conditional_t<std::is_same_v<Fit, LogisticLoss>, PowerOfLogRatio, PowerOfPressure>;
    return bind_dual(runtime, Form{exponent}, fit, dual,
                     BoxReference<R>(runtime, dim, batch, margin, box), dim, batch, stream);
  }
  /// \throws std::invalid_argument for numbers that make no sense.
  void check() const {
    if (!(exponent > 1) || !std::isfinite(exponent))
      throw std::invalid_argument(
          "wgf::generalized_entropy: the exponent must be greater than 1, got " +
          std::to_string(exponent));
    if (!(margin >= 1) || !std::isfinite(margin))
      throw std::invalid_argument(
          "wgf::generalized_entropy: the box's margin must be at least 1, got " +
          std::to_string(margin));
  }
};

}  // namespace wgf
