// SPDX-License-Identifier: BSL-1.0
#pragma once
// Internal energies ∫U(P) in dual form. The entropy, with the adaptive Gaussian μ_k as reference
// (Proposition 1):
//   E_P[log P] = KL(P‖μ_k) + E_P[log μ_k] = sup_u E_P[u] − E_{μ_k}[e^u − 1] + E_P[log μ_k],
// and the generalized entropy ∫P^m/(m − 1), with the uniform law on an adaptive box Ω_k as
// reference (Proposition 2).
#include <cmath>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "bound_dual.hpp"
#include "box_reference.hpp"
#include "dual.hpp"
#include "gaussian_reference.hpp"

namespace wgf {

/// E_P[log P]: its gradient flow is the heat equation; added to E_P[−log q] it gives KL(P‖q).
/// \tparam Form a Dual, whose network represents u = log(P / μ_k).
template <class Form>
struct Entropy {
  Form dual{};

  /// \throws std::invalid_argument for a field that is invalid or does not apply.
  void check() const { dual.check("wgf::entropy", true, false); }
  template <class R>
  auto bind(const R& runtime, int dim, long batch, std::uint32_t stream) const {
    return bind_dual<true>(runtime, KullbackLeibler{}, dual.fit, dual.network,
                           GaussianReference<R>(runtime, dim, batch, dual.inflation), dim, batch,
                           stream);
  }
};

namespace detail {
inline void check_exponent(double m) {
  if (!(m > 1) || !std::isfinite(m))
    throw std::invalid_argument(
        "wgf::generalized_entropy: the exponent must be greater than 1, got " + std::to_string(m));
}
}  // namespace detail

/// ∫P^m/(m − 1) for m > 1: its gradient flow is the porous medium equation ∂P/∂t = ΔP^m.
/// \tparam Form a Dual. With LogisticLoss its network represents u = log(P·|Ω_k|). With
/// VariationalBound it represents h with softplus(4h)/4 = (P·|Ω_k|)^{m−1}, in which the bound is
/// concave; see PowerOfPressure.
template <class Form>
struct GeneralizedEntropy {
  double exponent = 2;  ///< m
  Form dual{};

  int dim() const { return dual.box ? dual.box->dim() : 0; }
  template <class R>
  auto bind(const R& runtime, int dim, long batch, std::uint32_t stream) const {
    using Ratio = std::conditional_t<std::is_same_v<typename Form::Fit, LogisticLoss>,
                                     PowerOfLogRatio, PowerOfPressure>;
    return bind_dual(runtime, Ratio{exponent}, dual.fit, dual.network,
                     BoxReference<R>(runtime, dim, batch, dual.margin, dual.box), dim, batch,
                     stream);
  }
  /// \throws std::invalid_argument for invalid parameters.
  void check() const {
    detail::check_exponent(exponent);
    dual.check("wgf::generalized_entropy", false, true);
  }
};

}  // namespace wgf
