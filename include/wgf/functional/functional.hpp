// SPDX-License-Identifier: BSL-1.0
#pragma once
// Functionals: weighted sums of terms, as compile-time tuples. A term is a description; bind
// allocates its memory on a runtime.
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "../adapt.hpp"
#include "../hana.hpp"
#include "../scheme/scheme.hpp"
#include "dual.hpp"
#include "entropy.hpp"
#include "f_divergence.hpp"
#include "interaction.hpp"
#include "internal_energy.hpp"
#include "potential.hpp"

namespace wgf {

template <class T, class R>
inline constexpr bool is_map_term = MapTerm<T, R, detail::NetworkOf<R, Affine>>;
template <class T, class R>
inline constexpr bool is_term = DirectTerm<T, R> || DualTerm<T, R> || is_map_term<T, R>;

/// A term times a positive number.
template <class Term>
struct Weighted {
  double weight = 0;  // 0 is not a valid weight
  Term term;
};

/// F(P) = Σ weight · term(P).
template <class... Terms>
struct Functional {
  hana::tuple<Weighted<Terms>...> terms;
  /// Whether a term needs log P_k at the particles.
  static constexpr bool needs_density = (wgf::needs_density<Terms> || ...);

  /// The dimension that the terms require; 0 if none does.
  /// \throws std::invalid_argument if two terms require different dimensions.
  int dim() const {
    int found = 0;
    hana::for_each(terms, [&](const auto& t) {
      if constexpr (requires { t.term.dim(); }) {
        const int asked = t.term.dim();
        if (found && asked && found != asked)
          throw std::invalid_argument("wgf::Functional: its terms have dimensions " +
                                      std::to_string(found) + " and " + std::to_string(asked));
        if (asked) found = asked;
      }
    });
    return found;
  }
  /// The terms on a runtime, in order; each gets separate random streams.
  template <class R>
  auto bind(const R& runtime, int dim, long batch, std::uint32_t first_stream) const {
    return hana::unpack(terms, [&](const auto&... t) {
      [[maybe_unused]] std::uint32_t stream = first_stream;
      [[maybe_unused]] const auto next = [&] {
        return std::exchange(stream, stream + streams_of_a_term);
      };
      static_assert((is_term<decltype(t.term.bind(runtime, dim, batch, stream)), R> && ...),
                    "wgf::Functional: a bound term must be direct (add_gradient, value), dual "
                    "(network, gain, cost, …) or of the map (accumulate, value); see "
                    "docs/architecture.md");
      using Bound = hana::tuple<Weighted<decltype(t.term.bind(runtime, dim, batch, stream))>...>;
      return Bound{Weighted<decltype(t.term.bind(runtime, dim, batch, stream))>{
          t.weight, t.term.bind(runtime, dim, batch, next())}...};
    });
  }
};

template <class T>
inline constexpr bool is_functional = false;
template <class... Terms>
inline constexpr bool is_functional<Functional<Terms...>> = true;

/// A functional with a single term.
/// \throws std::invalid_argument for a term with invalid parameters.
template <class Term>
Functional<Term> functional(Term term) {
  if constexpr (requires { term.check(); }) term.check();
  return {{Weighted<Term>{1, std::move(term)}}};
}
template <class... A, class... B>
Functional<A..., B...> operator+(Functional<A...> a, Functional<B...> b) {
  return {hana::concat(std::move(a.terms), std::move(b.terms))};
}
/// \throws std::invalid_argument unless the weight, and its products with those of the terms, are
/// positive and finite.
template <class... A>
Functional<A...> operator*(double weight, Functional<A...> a) {
  if (!(weight > 0) || !std::isfinite(weight))
    throw std::invalid_argument("wgf::Functional: a weight must be positive, got " +
                                std::to_string(weight));
  hana::for_each(a.terms, [&](auto& t) {
    t.weight *= weight;
    if (!(t.weight > 0) || !std::isfinite(t.weight))
      throw std::invalid_argument("wgf::Functional: a product of weights must be positive, got " +
                                  std::to_string(t.weight));
  });
  return a;
}

/// The entropy E_P[log P], in its dual form or by change of variables.
/// \param form a Dual, a network for u = log(P / μ_k), or LogDeterminant{}.
/// \throws std::invalid_argument for a field of the Dual that is invalid or does not apply.
template <class Form = Dual<>>
auto entropy(const Form& form = {}) {
  if constexpr (std::same_as<Form, LogDeterminant>)
    return functional(InternalEnergy<detail::EntropyPerParticle>{{}, form});
  else return functional(Entropy<decltype(detail::as_dual(form))>{detail::as_dual(form)});
}

/// The generalized entropy ∫P^m/(m − 1) for m > 1, in its dual form (Proposition 2) or by change of
/// variables.
/// \param form a Dual, a network, or LogDeterminant{}.
/// \throws std::invalid_argument for m ≤ 1, or as entropy() does.
template <class Form = Dual<>>
auto generalized_entropy(double m, const Form& form = {}) {
  if constexpr (std::same_as<Form, LogDeterminant>) {
    detail::check_exponent(m);
    return functional(InternalEnergy<detail::PowerPerParticle>{{m}, form});
  } else {
    using D = decltype(detail::as_dual(form));
    static_assert(
        !normalises<typename D::Fit>,
        "wgf::generalized_entropy: DonskerVaradhan fits Kullback-Leibler divergences only");
    return functional(GeneralizedEntropy<D>{m, detail::as_dual(form)});
  }
}

/// An internal energy ∫U(P), by change of variables.
/// \param density U, see EnergyDensity.
template <class U>
auto internal_energy(const U& density, const LogDeterminant& form) {
  using Object = decltype(adapted(density));
  static_assert(EnergyDensity<Object>,
                "wgf::internal_energy: an energy density has a member `auto energy(const auto& p) "
                "const`, U(p) for a generic p; see docs/functionals.md");
  return functional(InternalEnergy<detail::EnergyPerParticle<Object>>{{adapted(density)}, form});
}

/// D_f(P‖Q) from a law Q given by samples (d × N).
/// \param divergence KullbackLeibler, ReverseKullbackLeibler, JensenShannon, SquaredHellinger,
/// ChiSquared, or a custom DivergenceFunction.
/// \param dual a Dual, or a network for u = log(P / Q).
/// \throws std::invalid_argument if there are no samples, or they are not finite.
template <class Divergence, class Form = Dual<>>
auto divergence_to(Particles samples, const Divergence& divergence, const Form& dual = {}) {
  using Object = decltype(adapted(divergence));
  using D = decltype(detail::as_dual(dual));
  static_assert(std::same_as<Object, KullbackLeibler> || DivergenceFunction<Object>,
                "wgf::divergence_to: a divergence has a member f, `auto f(const auto& r) const`; "
                "see docs/functionals.md");
  static_assert(!normalises<typename D::Fit> || std::same_as<Object, KullbackLeibler>,
                "wgf::divergence_to: DonskerVaradhan fits KullbackLeibler only");
  if (samples.size() == 0 || !samples.allFinite())
    throw std::invalid_argument("wgf::divergence_to: the samples must be finite, and at least one");
  return functional(FDivergence<Object, D>{adapted(divergence),
                                           std::make_shared<const Particles>(std::move(samples)),
                                           detail::as_dual(dual)});
}

/// E_P[−log q] for an unnormalised target q, which may depend on time; or E_P[V(X, t)] for a
/// function V with `value(x)` or `value(x, t)`: see Target, TimeDependentTarget, PotentialFunction.
template <class T>
auto potential(const T& target) {
  using Object = decltype(adapted(target));
  if constexpr (!Target<Object> && !TimeDependentTarget<Object> && PotentialFunction<Object>) {
    return functional(Potential<detail::PotentialTarget<Object>>{{adapted(target)}});
  } else {
    static_assert(
        Target<Object> || TimeDependentTarget<Object>,
        "wgf::kl and wgf::potential: a target has dim(), log_density(x), and gradient(x) unless "
        "its log_density is a template over the scalar type; see docs/targets.md");
    return functional(Potential<Object>{adapted(target)});
  }
}

/// KL(P‖q) to an unnormalised target q, up to its constant, as in eq. (10): entropy + potential.
/// \param form as for entropy().
template <class T, class Form = Dual<>>
auto kl(const T& target, const Form& form = {}) {
  return entropy(form) + potential(target);
}

/// ½ E W(X − Y) for an even interaction kernel W.
/// \throws std::invalid_argument for a kernel with invalid parameters.
template <class K>
auto interaction(const K& kernel) {
  using Object = decltype(adapted(kernel));
  static_assert(InteractionKernel<Object>,
                "wgf::interaction: a kernel has value(q), derivative(q) and curvature(q) of q = "
                "|x|^2, or value(x) and gradient(x), or a template "
                "value(x); see docs/functionals.md");
  return functional(Interaction<Object>{adapted(kernel)});
}

/// The terms of a functional that a scheme treats forward, with their weights.
template <class Scheme, class... Terms>
auto forward_terms(const Functional<Terms...>& f) {
  return hana::filter(f.terms, [](const auto& t) {
    return hana::bool_c<goes_forward<Scheme, std::remove_cvref_t<decltype(t.term)>>>;
  });
}
namespace detail {
/// Weighted terms as a functional.
template <class Terms>
auto functional_of(const Terms& terms) {
  return hana::unpack(terms, [](const auto&... t) {
    return Functional<std::remove_cvref_t<decltype(t.term)>...>{
        hana::tuple<std::remove_cvref_t<decltype(t)>...>(t...)};
  });
}
/// The weight of the entropy by change of variables in a functional that has one.
template <class... Terms>
double entropy_weight(const Functional<Terms...>& f) {
  double weight = 0;
  hana::for_each(f.terms, [&](const auto& t) {
    if constexpr (is_log_determinant_entropy<std::remove_cvref_t<decltype(t.term)>>)
      weight = t.weight;
  });
  return weight;
}
}  // namespace detail
/// The potentials, with weights, whose weighted sum is −log q for the target q of a scheme's
/// corrections: those of a KL divergence by LogDeterminant, divided by the weight of the entropy.
/// Empty for schemes without corrections.
template <class Scheme, class... Terms>
auto correction_terms(const Functional<Terms...>& f) {
  if constexpr (!corrects<Scheme>) {
    return hana::tuple<>();
  } else {
    constexpr int entropies = (0 + ... + (detail::is_log_determinant_entropy<Terms> ? 1 : 0));
    static_assert(entropies == 1 && ((detail::is_log_determinant_entropy<Terms> ||
                                      detail::has_target<Terms>)&&...),
                  "wgf::Corrected and wgf::Reweighted need a target and a density: the functional "
                  "must be wgf::kl(target, wgf::LogDeterminant{}), or an entropy by "
                  "LogDeterminant and potentials");
    const double weight = detail::entropy_weight(f);
    auto potentials = hana::filter(f.terms, [](const auto& t) {
      return hana::bool_c<detail::has_target<std::remove_cvref_t<decltype(t.term)>>>;
    });
    hana::for_each(potentials, [&](auto& t) { t.weight /= weight; });
    return potentials;
  }
}
/// The functional of the other terms, which enter the JKO step.
template <class Scheme, class... Terms>
auto backward_part(const Functional<Terms...>& f) {
  return detail::functional_of(hana::remove_if(f.terms, [](const auto& t) {
    return hana::bool_c<goes_forward<Scheme, std::remove_cvref_t<decltype(t.term)>>>;
  }));
}

/// Calls f on each bound term of this kind.
template <class R, class Terms, class F>
void each_dual(Terms& terms, F&& f) {
  hana::for_each(terms, [&](auto& t) {
    if constexpr (DualTerm<std::remove_cvref_t<decltype(t.term)>, R>) f(t.term, t.weight);
  });
}
template <class R, class Terms, class F>
void each_direct(Terms& terms, F&& f) {
  hana::for_each(terms, [&](auto& t) {
    if constexpr (DirectTerm<std::remove_cvref_t<decltype(t.term)>, R>) f(t.term, t.weight);
  });
}
template <class R, class Terms, class F>
void each_map_term(Terms& terms, F&& f) {
  hana::for_each(terms, [&](auto& t) {
    if constexpr (is_map_term<std::remove_cvref_t<decltype(t.term)>, R>) f(t.term, t.weight);
  });
}

}  // namespace wgf
