// SPDX-License-Identifier: BSL-1.0
#pragma once
// What a scheme is: a step size, and how a step of that size is split.
#include <cmath>
#include <concepts>
#include <stdexcept>
#include <string>

#include <boost/hana.hpp>

namespace wgf {

namespace hana = boost::hana;

/// Scheme: it has a step size a, and says which terms of the functional a step treats forward:
/// before the JKO step, which solves the others, particles move by −a times those terms' gradients.
/// And it may ask for the JKO step to be solved with a/2 and extrapolated.
template <class S>
concept SchemePolicy = std::copyable<S> && requires(const S& s) {
  { s.step_size } -> std::convertible_to<double>;
  s.check();  // throws std::invalid_argument for parameters that make no sense
};

/// A term that can go forward: its gradient is known at any point, given samples of the law.
template <class Term>
concept ForwardTerm = requires {
  { Term::interacts } -> std::convertible_to<bool>;
};
/// Whether a scheme treats a term forward: it has a member template `static constexpr bool
/// forward<Term>`, or treats none.
template <class Scheme, class Term>
inline constexpr bool goes_forward = requires { requires Scheme::template forward<Term>; };
/// Whether a scheme solves with half the step size and extrapolates, T = 2·T_{a/2} − id.
template <class Scheme>
inline constexpr bool extrapolates = requires { requires Scheme::extrapolate; };

/// Whether a scheme chooses the step size as it goes: see Adaptive.
template <class Scheme>
inline constexpr bool adapts = requires { requires Scheme::adapts; };

namespace detail {
inline void check_step_size(const char* scheme, double step_size) {
  if (!(step_size > 0) || !std::isfinite(step_size))
    throw std::invalid_argument(std::string(scheme) + ": step_size must be positive, got " +
                                std::to_string(step_size));
}
}  // namespace detail

}  // namespace wgf
