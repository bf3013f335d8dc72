// SPDX-License-Identifier: BSL-1.0
#pragma once
// Functions of one variable with their first two derivatives, on whole arrays at once: gives f' and
// f'' for the f of a divergence.
#include <utility>

#include "../array.hpp"

namespace wgf {

/// Values of a function with its first and second derivative, arrays (or tensors, or numbers) of
/// the same shape. Arithmetic with jets and numbers follows the chain rule, so that f(variable(r))
/// holds f, f' and f'' at r.
template <class A>
struct Jet {
  A value, first, second;

  friend Jet operator-(const Jet& a) {
    return {A(-1.0 * a.value), A(-1.0 * a.first), A(-1.0 * a.second)};
  }
  friend Jet operator+(const Jet& a, const Jet& b) {
    return {A(a.value + b.value), A(a.first + b.first), A(a.second + b.second)};
  }
  friend Jet operator-(const Jet& a, const Jet& b) {
    return {A(a.value - b.value), A(a.first - b.first), A(a.second - b.second)};
  }
  friend Jet operator*(const Jet& a, const Jet& b) {
    return {A(a.value * b.value), A(a.first * b.value + a.value * b.first),
            A(a.second * b.value + 2.0 * a.first * b.first + a.value * b.second)};
  }
  friend Jet operator/(const Jet& a, const Jet& b) { return a * power(b, -1.0); }
  friend Jet operator+(const Jet& a, double c) { return {A(a.value + c), a.first, a.second}; }
  friend Jet operator+(double c, const Jet& a) { return a + c; }
  friend Jet operator-(const Jet& a, double c) { return a + -c; }
  friend Jet operator-(double c, const Jet& a) { return -a + c; }
  friend Jet operator*(double c, const Jet& a) {
    return {A(c * a.value), A(c * a.first), A(c * a.second)};
  }
  friend Jet operator*(const Jet& a, double c) { return c * a; }
  friend Jet operator/(const Jet& a, double c) { return (1 / c) * a; }
  friend Jet operator/(double c, const Jet& a) { return c * power(a, -1.0); }

  friend Jet exp(const Jet& a) {
    using std::exp;
    const A e = exp(a.value);
    return a.chained(e, e, e);
  }
  friend Jet log(const Jet& a) {
    using std::log;
    const A inverse = 1.0 / a.value;
    return a.chained(log(a.value), inverse, A(-1.0 * inverse * inverse));
  }
  friend Jet sqrt(const Jet& a) { return power(a, 0.5); }
  /// a^p for positive a.
  friend Jet pow(const Jet& a, double p) { return power(a, p); }

 private:
  /// g(a) from g, g' and g'' at a.
  Jet chained(const A& g, const A& derivative, const A& curvature) const {
    return {g, A(derivative * first), A(curvature * first * first + derivative * second)};
  }
  static Jet power(const Jet& a, double p) {
    using std::pow;
    const A one = ones_like(a.value), zero = 0.0 * one;
    if (p == 0) return {one, zero, zero};
    const A derivative = p * pow(a.value, p - 1);
    return a.chained(A(a.value * derivative / p), derivative, A((p - 1) * derivative / a.value));
  }
};

/// The variable itself, at r.
template <class A>
Jet<A> variable(A r) {
  A one = ones_like(r), zero = 0.0 * one;
  return {std::move(r), std::move(one), std::move(zero)};
}

}  // namespace wgf
