// SPDX-License-Identifier: BSL-1.0
#pragma once
// Divergences in terms of the log-ratio u = log(P / reference):  D_f(P‖Γ) = sup_u E_P[A(u)] −
// E_Γ[B(u)],  A = f'(e^u),  B = e^u f'(e^u) − f(e^u) (eq. 8 without the conjugate), and the losses
// that fit u. Every formula is unqualified array arithmetic, the same on every backend.
#include <algorithm>
#include <cmath>
#include <concepts>

#include "../array.hpp"
#include "jet.hpp"

namespace wgf {

namespace detail {
inline constexpr double largest_log_ratio =
    30;  // at e^30 a single sample already dominates its batch
// For divergences given by f alone: at larger ratios the derivatives of f suffer from cancellation
// in float, or their squares overflow.
inline constexpr double largest_derived_log_ratio = 12;
}  // namespace detail

/// f = x log x: A(u) = u, B(u) = e^u − 1 (Proposition 1).
struct KullbackLeibler {
  template <class U>
  auto gain(const U& u) const {
    return 1.0 * u;
  }
  template <class U>
  auto gain_derivative(const U& u) const {
    return ones_like(u);
  }
  template <class U>
  auto cost(const U& u) const {
    return exp(clamp_max(u, detail::largest_log_ratio)) - 1.0;
  }
  template <class U>
  auto cost_derivative(const U& u) const {
    return exp(clamp_max(u, detail::largest_log_ratio));
  }
};

// ---- divergences given by f alone

/// f = −log x: the reverse divergence KL(Γ‖P).
struct ReverseKullbackLeibler {
  auto f(const auto& r) const { return -log(r); }
};
/// f = x log x − (x + 1) log((x + 1)/2): twice the usual Jensen–Shannon divergence, with values
/// from 0 to 2 log 2.
struct JensenShannon {
  auto f(const auto& r) const { return r * log(r) - (r + 1.0) * log(0.5 * (r + 1.0)); }
};
/// f = (√x − 1)²: ∫(√P − √Γ)².
struct SquaredHellinger {
  auto f(const auto& r) const { return r - 2.0 * sqrt(r) + 1.0; }
};
/// f = (x − 1)²: Pearson's χ² divergence ∫(P − Γ)²/Γ.
struct ChiSquared {
  auto f(const auto& r) const { return (r - 1.0) * (r - 1.0); }
};

/// Divergence function: a convex f with f(1) = 0, written for a generic r with arithmetic, exp,
/// log, sqrt and pow (unqualified): `auto f(const auto& r) const`. Its derivatives are computed
/// automatically.
template <class F>
concept DivergenceFunction =
    std::copyable<F> && requires(const F& divergence, const Jet<double>& r) {
      { divergence.f(r) } -> std::convertible_to<Jet<double>>;
    };

/// The divergence defined by a function f, in terms of u.
template <DivergenceFunction F>
struct DivergenceOf {
  F function;

  template <class U>
  auto gain(const U& u) const {
    return function.f(variable(ratio(u))).first;
  }
  template <class U>
  auto gain_derivative(const U& u) const {
    const auto r = ratio(u);
    return evaluated(r * function.f(variable(r)).second);
  }
  template <class U>
  auto cost(const U& u) const {
    const auto r = ratio(u);
    const auto f = function.f(variable(r));
    return evaluated(r * f.first - f.value);
  }
  template <class U>
  auto cost_derivative(const U& u) const {
    const auto r = ratio(u);
    return evaluated(r * r * function.f(variable(r)).second);
  }

 private:
  template <class U>
  static auto ratio(const U& u) {
    return evaluated(exp(-1.0 * clamp_max(-1.0 * clamp_max(u, detail::largest_derived_log_ratio),
                                          detail::largest_derived_log_ratio)));
  }
};

// ---- the generalized entropy

/// ∫P^m/(m − 1), m > 1, against a uniform reference on a set of volume |Ω| (Proposition 2): with
/// r = P·|Ω| the divergence function is (x^m − x)/(m − 1), up to a constant and divided by
/// |Ω|^{m−1}: A = m r^{m−1}/(m − 1), B = r^m. In terms of u = log r.
struct PowerOfLogRatio {
  double exponent;
  double scale = 1;  ///< |Ω|^{1−m}

  void begin_step(double log_volume) { scale = std::exp((1 - exponent) * log_volume); }
  template <class U>
  auto gain(const U& u) const {
    return (scale * exponent / (exponent - 1)) * power(u, exponent - 1);
  }
  template <class U>
  auto gain_derivative(const U& u) const {
    return (scale * exponent) * power(u, exponent - 1);
  }
  template <class U>
  auto cost(const U& u) const {
    return scale * power(u, exponent);
  }
  template <class U>
  auto cost_derivative(const U& u) const {
    return (scale * exponent) * power(u, exponent);
  }
  /// log P from the network's output, relative to the log-density of the reference.
  double log_ratio(double u) const { return u; }

 private:
  template <class U>
  static auto power(const U& u, double p) {
    return exp(p * clamp_max(u, detail::largest_log_ratio));
  }
};

/// The same in terms of v = r^{m−1} ≥ 0, where the network's output is h and v = softplus(4h)/4:
/// A = m v/(m − 1), B = v^{m/(m−1)}. The bound is concave in v, and its derivatives stay bounded,
/// but there is no logistic loss for it.
struct PowerOfPressure {
  double exponent;
  double scale = 1;  ///< |Ω|^{1−m}

  void begin_step(double log_volume) { scale = std::exp((1 - exponent) * log_volume); }
  template <class H>
  auto gain(const H& h) const {
    return (scale * exponent / (exponent - 1)) * pressure(h);
  }
  template <class H>
  auto gain_derivative(const H& h) const {
    return (scale * exponent / (exponent - 1)) / (1.0 + exp(-sharpness * h));
  }
  template <class H>
  auto cost(const H& h) const {
    return scale * exp((exponent / (exponent - 1)) * log(pressure(h)));
  }
  template <class H>
  auto cost_derivative(const H& h) const {
    return (scale * exponent / (exponent - 1)) * exp((1 / (exponent - 1)) * log(pressure(h))) /
           (1.0 + exp(-sharpness * h));
  }
  template <class H>
  auto log_ratios(const H& h) const {
    return evaluated((1 / (exponent - 1)) * log(pressure(h)));
  }
  double log_ratio(double h) const {
    return std::log(
               (std::max(h, 0.0) + std::log1p(std::exp(-sharpness * std::abs(h))) / sharpness)) /
           (exponent - 1);
  }

 private:
  static constexpr double sharpness = 4;
  /// softplus(4h)/4, kept positive where it underflows.
  template <class H>
  static auto pressure(const H& h) {
    return (h - clamp_max(h, 0.0)) + (1 / sharpness) * log(1.0 + exp(-sharpness * magnitude(h))) +
           1e-12;
  }
  template <class H>
  static auto magnitude(const H& h) {
    return h - 2.0 * clamp_max(h, 0.0);
  }
};

// ---- the losses that fit u

/// Fits u by ascent on the variational bound of the functional, as in the paper (Algorithm 1).
struct VariationalBound {
  static constexpr const char* name = "VariationalBound";
  template <class Divergence, class U>
  auto derivative_p(const Divergence& d, const U& u) const {
    return evaluated(
        -1.0 *
        d.gain_derivative(u));  // which may be a temporary array: an expression would outlive it
  }
  template <class Divergence, class U>
  auto derivative_reference(const Divergence& d, const U& u) const {
    return d.cost_derivative(u);
  }
};

/// Fits u by descent on the logistic loss E_P log(1 + e^{−u}) + E_Γ log(1 + e^u), which has the
/// same minimiser for every divergence, and bounded gradients where those of the variational bound
/// blow up.
struct LogisticLoss {
  static constexpr const char* name = "LogisticLoss";
  template <class Divergence, class U>
  auto derivative_p(const Divergence&, const U& u) const {
    return -1.0 / (1.0 + exp(u));
  }
  template <class Divergence, class U>
  auto derivative_reference(const Divergence&, const U& u) const {
    return 1.0 / (1.0 + exp(-1.0 * u));
  }
};

/// Fits u by ascent on the Donsker–Varadhan bound E_P[u] − log E_Γ[e^u] of a Kullback–Leibler
/// divergence (Remark 2): tighter than the variational bound for every u, with a batch average
/// inside the logarithm. It determines u up to a constant, which is then chosen such that
/// E_Γ[e^u] = 1; the average costs a forward pass.
struct DonskerVaradhan {
  static constexpr const char* name = "DonskerVaradhan";
  static constexpr bool normalises = true;
  template <class U>
  auto derivative_p(const KullbackLeibler& d, const U& u) const {
    return -1.0 * d.gain_derivative(u);
  }
  template <class U>
  auto derivative_reference(const KullbackLeibler& d, const U& u) const {
    return d.cost_derivative(u);
  }
};
template <class Fit>
inline constexpr bool normalises = requires { requires Fit::normalises; };

}  // namespace wgf
