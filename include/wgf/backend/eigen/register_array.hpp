// SPDX-License-Identifier: BSL-1.0
#pragma once
// A register as an array of numbers, in which the formula of a radial kernel is evaluated, and the
// register operations that sums over pairs need in addition to simd.hpp.
#include <numbers>
#include <type_traits>
#include <utility>

#include "simd.hpp"

namespace wgf::eigen {

namespace simd {
/// Integers of the same width as the numbers of a register.
template <class Scalar>
using Whole = std::conditional_t<sizeof(Scalar) == 4, int, long long>;

/// 0, 1, 2, …
template <class Scalar>
WGF_INLINE auto lane_numbers() {
  return []<Whole<Scalar>... i>(std::integer_sequence<Whole<Scalar>, i...>) WGF_LAMBDA_INLINE {
    return typename VecOf<Whole<Scalar>>::type{i...};
  }(std::make_integer_sequence<Whole<Scalar>, lanes<Scalar>>{});
}

/// 2^x. In float the relative error is below 2e-7; results below 2^−126 are 0 or have an error of
/// at most 1e-38, and results above the largest number are infinite. x = k + r with |r| ≤ ½: adding
/// 1.5 · 2²³ leaves k in the lowest bits, 2^r is a polynomial, and k is added to its exponent.
template <class Scalar>
WGF_INLINE Vec<Scalar> exp2(Vec<Scalar> x) {
  if constexpr (std::is_same_v<Scalar, float>) {
    // Both ends are exact: r = 0 there, and the polynomial is 1.
    x = apply<float>(x, [](const auto& a) { return a.max(-127.0f).min(128.0f); });
    const Vec<float> shift = broadcast(0x1.8p23f), shifted = x + shift, r = x - (shifted - shift);
    // Minimax polynomial, with the constant term fixed at 1.
    Vec<float> p = fma(broadcast(1.3264661e-3f), r, broadcast(9.6715671e-3f));
    p = fma(p, r, broadcast(5.5507344e-2f));
    p = fma(p, r, broadcast(2.4022241e-1f));
    p = fma(p, r, broadcast(6.9314698e-1f));
    p = fma(p, r, broadcast(1.0f));
    const VecOf<int>::type bits = __builtin_bit_cast(VecOf<int>::type, p) +
                                  (__builtin_bit_cast(VecOf<int>::type, shifted) << 23);
    return __builtin_bit_cast(Vec<float>, bits);
  } else {
    return exp<Scalar>(x * broadcast(static_cast<Scalar>(std::numbers::ln2)));
  }
}
/// Rotates the lanes down by one; the first moves to the end.
template <class V>
WGF_INLINE V rotate(V a) {
  constexpr int n = sizeof(V) / sizeof(a[0]);
  return [&]<int... i>(std::integer_sequence<int, i...>) WGF_LAMBDA_INLINE {
    return __builtin_shufflevector(a, a, ((i + 1) % n)...);
  }(std::make_integer_sequence<int, n>{});
}
}  // namespace simd

/// A register as an array of numbers, for the formula of a radial kernel.
template <class Scalar>
struct RegisterArray {
  simd::Vec<Scalar> v;

  WGF_INLINE RegisterArray(simd::Vec<Scalar> register_of) : v(register_of) {}
  WGF_INLINE RegisterArray(double x) : v(simd::broadcast(static_cast<Scalar>(x))) {}
  friend WGF_INLINE RegisterArray operator-(RegisterArray a) { return -a.v; }
  friend WGF_INLINE RegisterArray operator+(RegisterArray a, RegisterArray b) { return a.v + b.v; }
  friend WGF_INLINE RegisterArray operator-(RegisterArray a, RegisterArray b) { return a.v - b.v; }
  friend WGF_INLINE RegisterArray operator*(RegisterArray a, RegisterArray b) { return a.v * b.v; }
  friend WGF_INLINE RegisterArray operator/(RegisterArray a, RegisterArray b) { return a.v / b.v; }
  friend WGF_INLINE RegisterArray exp(RegisterArray a) { return simd::exp<Scalar>(a.v); }
  friend WGF_INLINE RegisterArray exp2(RegisterArray a) { return simd::exp2<Scalar>(a.v); }
  friend WGF_INLINE RegisterArray log(RegisterArray a) { return simd::log<Scalar>(a.v); }
  friend WGF_INLINE RegisterArray sqrt(RegisterArray a) {
    return simd::apply<Scalar>(a.v, [](const auto& x) { return x.sqrt(); });
  }
  friend WGF_INLINE RegisterArray pow(RegisterArray a, double exponent) {
    return simd::apply<Scalar>(
        a.v, [exponent](const auto& x) { return x.pow(static_cast<Scalar>(exponent)); });
  }
  friend WGF_INLINE RegisterArray ones_like(RegisterArray) { return 1.0; }
};

/// Compensated summation: the sum and its accumulated rounding error. sum + lost has about twice
/// the precision (Knuth's exact addition).
template <class V>
WGF_INLINE void add_exactly(V term, V& sum, V& lost) {
  const V total = sum + term, added = total - sum;
  lost += (sum - (total - added)) + (term - added);
  sum = total;
}

}  // namespace wgf::eigen
