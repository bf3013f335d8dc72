// SPDX-License-Identifier: BSL-1.0
#pragma once
// Internal energies ∫U(P) by change of variables: the law of T(X) has the density
//   log P'(T(x)) = log P(x) − log det ∇T(x),
// so that ∫U(P') = E[φ(log P'(T(X)))] with φ(l) = U(e^l)/e^l, an expectation that needs neither a
// dual network nor a reference (Mokrov et al., "Large-scale Wasserstein gradient flows", 2021).
#include <cmath>
#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "../concepts.hpp"
#include "../step_context.hpp"
#include "jet.hpp"

namespace wgf {

/// Evaluates an entropy or another internal energy by change of variables, exactly:
/// `kl(target, LogDeterminant{})`. P_0 needs a density, and the population carries log P_k from
/// step to step. The determinant is a barrier: its gradient keeps the map from folding.
///
/// An iteration costs d + 1 rows a particle in the map's products, and d³ operations, instead of
/// the passes of a dual network: cheaper in few dimensions, and free of the dual's error in any.
/// A residual map should have a smooth activation (Silu, Softplus): the derivative of PRelu is
/// piecewise constant, so that its log-determinant tells the training nothing about the kinks. With
/// IcnnGradient it is that of a convex function's Hessian (Mokrov et al., NeurIPS 2021).
///
/// With `probes` > 0 the map is trained with an estimate of the entropy's gradient instead, which
/// is unbiased up to the tolerance of its linear systems, if 64 iterations reach it
/// (Alvarez-Melis, Schiff and Mroueh, 2021; Huang et al., 2021), which takes a few products with
/// ∇T a probe instead of d: for high dimension. Reported values of the entropy are estimates, too.
/// The densities that the population carries, and those of the flow, stay exact. Other energies are
/// refused: a noisy determinant would bias their gradients. Where a residual map folds, log |det
/// ∇T| is estimated, which the exact form leaves out. Affine maps, whose determinant is free, and
/// LibTorchBackend ignore this: they are exact.
struct LogDeterminant {
  int probes = 0;           ///< random probes for each particle and iteration; 0: exact
  double tolerance = 1e-3;  ///< of the probes' linear systems, relative
};

/// U(p) of a user's internal energy ∫U(P): `auto energy(const auto& p) const`, written for a
/// generic p > 0 with arithmetic, exp, log, sqrt and pow (unqualified). Its derivative is computed
/// automatically.
template <class U>
concept EnergyDensity = std::copyable<U> && requires(const U& u, const Jet<double>& p) {
  { u.energy(p) } -> std::convertible_to<Jet<double>>;
};

namespace detail {
// φ and φ' of numbers or tensors of them.

/// U(p) = p log p: φ(l) = l.
struct EntropyPerParticle {
  template <class L>
  L value(const L& log_p) const {
    return log_p;
  }
  template <class L>
  L derivative(const L& log_p) const {
    return ones_like(log_p);
  }
};
/// U(p) = p^m/(m − 1): φ(l) = e^{(m−1)l}/(m − 1).
struct PowerPerParticle {
  double exponent;  ///< m
  template <class L>
  L value(const L& log_p) const {
    return derivative(log_p) / (exponent - 1);
  }
  template <class L>
  L derivative(const L& log_p) const {
    using std::exp;
    return exp((exponent - 1) * log_p);
  }
};
/// φ for a user's U: φ'(l) = U'(p) − U(p)/p with p = e^l.
template <EnergyDensity U>
struct EnergyPerParticle {
  U density;
  template <class L>
  L value(const L& log_p) const {
    using std::exp;
    const L p = exp(log_p);
    return Jet<L>(density.energy(variable(p))).value / p;
  }
  template <class L>
  L derivative(const L& log_p) const {
    using std::exp;
    const L p = exp(log_p);
    const Jet<L> u = density.energy(variable(p));
    return u.first - u.value / p;
  }
};
}  // namespace detail

/// ∫U(T#P) on a runtime, as a map term.
/// \tparam Energy φ(log p) and its derivative
template <class Energy, class R>
class BoundInternalEnergy {
 public:
  /// \param stream random stream of the probes; that of reported values is the next one
  BoundInternalEnergy(const Energy& energy, const LogDeterminant& form, std::uint32_t stream)
      : energy_(energy), form_(form), stream_(stream) {}

  void begin_step(const R&, const StepContext<R>&, double weight) { weight_ = weight; }
  /// Σ φ over the points of the slice at which the map does not fold.
  template <class Map>
  double value(typename R::Slice s, const Batch<R>& batch, Map& map) const {
    check_map<Map>();
    double total = 0;
    if constexpr (LogDeterminantsByPoint<Map, R>) {
      const auto log_p = batch.log_densities(s);
      const auto add = [&](int i, double log_det) {
        if (std::isfinite(log_det)) total += energy_.value(image_density(log_p, i, log_det));
      };
      if constexpr (estimates<Map>)
        if (form_.probes > 0) {
          map.estimate_log_determinants(s, batch.points(s), probes(batch, 1), add);
          return total;
        }
      map.log_determinants(s, batch.points(s), 1.0, add);
    } else if constexpr (LogDeterminantsBySlice<Map, R>) {
      const auto log_det = map.log_determinants(s, batch.points(s), 1.0);
      const auto values = energy_.value(as_numbers(batch.log_densities(s)) - log_det);
      total = number(where(isnan(log_det), 0.0, values).sum());
    }
    return total;
  }
  template <class Map>
  void accumulate(typename R::Slice s, const Batch<R>& batch, Map& map, double factor) const {
    check_map<Map>();
    const double scale = -factor * weight_;
    if constexpr (estimates<Map>)
      if (form_.probes > 0)
        return map.accumulate_log_determinants(s, batch.points(s), probes(batch, 0), scale);
    if constexpr (LogDeterminantsByPoint<Map, R>) {
      const auto log_p = batch.log_densities(s);
      map.accumulate_log_determinants(s, batch.points(s), [&](int i, double log_det) {
        return scale * energy_.derivative(image_density(log_p, i, log_det));
      });
    } else if constexpr (LogDeterminantsBySlice<Map, R>) {
      map.accumulate_log_determinants(s, batch.points(s), [&](const auto& log_det) {
        return scale * energy_.derivative(as_numbers(batch.log_densities(s)) - log_det);
      });
    }
  }

 private:
  template <class Map>
  static constexpr bool estimates =
      std::same_as<Energy, detail::EntropyPerParticle> && HasProbedLogDeterminants<Map, R>;
  Probes probes(const Batch<R>& batch, std::uint32_t purpose) const {
    return {form_.probes, form_.tolerance, stream_ + purpose, batch.draw};
  }
  template <class Map>
  static constexpr void check_map() {
    static_assert(HasLogDeterminants<Map, R>,
                  "wgf::LogDeterminant: this backend has no log-determinants of this map; on "
                  "EigenBackend and LibTorchBackend, ResidualMlp, IcnnGradient, DeepLinear and "
                  "Affine have them");
  }
  /// log P'(T(x)) at point i of the slice.
  static double image_density(const auto& log_p, int i, double log_det) {
    return static_cast<double>(log_p(0, i)) - log_det;
  }
  Energy energy_;
  LogDeterminant form_;
  std::uint32_t stream_;
  double weight_ = 1;
};

/// ∫U(P) by change of variables.
template <class Energy>
struct InternalEnergy {
  Energy energy;
  LogDeterminant form{};
  static constexpr bool needs_density = true;

  /// \throws std::invalid_argument for a number of probes outside [0, 1000], for probes with
  /// another energy than the entropy, or for a tolerance that is not between 0 and 1.
  void check() const {
    if (form.probes < 0 || form.probes > 1000)
      throw std::invalid_argument("wgf::LogDeterminant: probes must be between 0 and 1000, got " +
                                  std::to_string(form.probes));
    if (form.probes > 0 && !std::same_as<Energy, detail::EntropyPerParticle>)
      throw std::invalid_argument(
          "wgf::LogDeterminant: probes are for entropy and kl; other energies are nonlinear in the "
          "log-determinant, so that its noise would bias them");
    if (!(form.tolerance > 0 && form.tolerance < 1))
      throw std::invalid_argument("wgf::LogDeterminant: tolerance must be between 0 and 1, got " +
                                  std::to_string(form.tolerance));
  }
  template <class R>
  BoundInternalEnergy<Energy, R> bind(const R&, int, long, std::uint32_t stream) const {
    return {energy, form, stream};
  }
};

namespace detail {
/// Whether a term is the entropy by change of variables.
template <class Term>
inline constexpr bool is_log_determinant_entropy = false;
template <>
inline constexpr bool is_log_determinant_entropy<InternalEnergy<EntropyPerParticle>> = true;
}  // namespace detail

}  // namespace wgf
