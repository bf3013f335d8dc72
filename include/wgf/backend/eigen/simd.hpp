// SPDX-License-Identifier: BSL-1.0
#pragma once
// A vector register of Scalar and the dozen operations that the SIMD code needs, written with the
// vector extensions of GCC and clang: the register width follows the compiler's flags (AVX-512,
// AVX2, or 16 bytes on any machine), without changes to the code.
#include <cstddef>
#include <utility>

#include <Eigen/Core>

#define WGF_INLINE inline __attribute__((always_inline))
#define WGF_LAMBDA_INLINE __attribute__((always_inline))
#if defined(__clang__)
#define WGF_UNROLL _Pragma("unroll")
#else
#define WGF_UNROLL _Pragma("GCC unroll 16")
#endif

namespace wgf::eigen::simd {

#if defined(__AVX512F__)
inline constexpr int register_bytes = 64, register_count = 32;
#elif defined(__AVX__)
inline constexpr int register_bytes = 32, register_count = 16;
#elif defined(__aarch64__)
inline constexpr int register_bytes = 16, register_count = 32;
#else
inline constexpr int register_bytes = 16, register_count = 16;
#endif

template <class Scalar>
struct VecOf {
  typedef Scalar type __attribute__((vector_size(register_bytes)));
};
/// A register of Scalar.
template <class Scalar>
using Vec = typename VecOf<Scalar>::type;
/// The number of lanes of a register.
template <class Scalar>
inline constexpr int lanes = register_bytes / static_cast<int>(sizeof(Scalar));
/// n rounded up to whole registers.
template <class Scalar>
constexpr int padded(int n) {
  return (n + lanes<Scalar> - 1) / lanes<Scalar> * lanes<Scalar>;
}

template <class Scalar>
WGF_INLINE Vec<Scalar> load(const Scalar* p) {
  Vec<Scalar> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class Scalar>
WGF_INLINE void store(Scalar* p, const Vec<Scalar>& v) {
  __builtin_memcpy(p, &v, sizeof v);
}
template <class Scalar>
WGF_INLINE Vec<Scalar> broadcast(Scalar x) {
  return x - Vec<Scalar>{};
}
/// a·b + c, in one instruction if the machine has it: compilers contract it unless
/// -ffp-contract=off is given.
template <class V>
WGF_INLINE V fma(V a, V b, V c) {
  return a * b + c;
}
template <class V>
WGF_INLINE V min_with_zero(V a) {
  return a < V{} ? a : V{};
}
/// Per lane: z < 0 ? a : b.
template <class V>
WGF_INLINE V if_negative(V z, V a, V b) {
  return z < V{} ? a : b;
}
/// Sum of the lanes, pairwise.
template <class V>
WGF_INLINE auto sum(V a) {
  constexpr int n = sizeof(V) / sizeof(a[0]);
  const auto fold = [&]<int... i>(auto by, std::integer_sequence<int, i...>)
      __attribute__((always_inline)) {
    a += __builtin_shufflevector(a, a, ((i + by()) % n)...);
  };
  constexpr std::make_integer_sequence<int, n> all{};
  if constexpr (n >= 16) fold(std::integral_constant<int, 8>{}, all);
  if constexpr (n >= 8) fold(std::integral_constant<int, 4>{}, all);
  if constexpr (n >= 4) fold(std::integral_constant<int, 2>{}, all);
  fold(std::integral_constant<int, 1>{}, all);
  return a[0];
}
/// The sum of each of n registers, where n is the number of lanes, in one register: halves of two
/// registers are added until one register is left.
template <class V, int n = sizeof(V) / sizeof(V{}[0])>
WGF_INLINE V sums(V* v) {
  if constexpr (n > 1) {
    constexpr int all = sizeof(V) / sizeof(V{}[0]),
                  width = n / 2;  // a register holds all / n rows of n partial sums each
    // The lower (0) or upper (width) halves of the rows of a, then of b.
    constexpr auto index = [](int i, int half) { return i / width * n + i % width + half; };
    const auto halves = [&]<int... i>(V a, V b, std::integer_sequence<int, i...>)
                            WGF_LAMBDA_INLINE {
                              return __builtin_shufflevector(a, b, index(i, 0)...) +
                                     __builtin_shufflevector(a, b, index(i, width)...);
                            };
    WGF_UNROLL for (int i = 0; i < width; ++i) v[i] =
        halves(v[2 * i], v[2 * i + 1], std::make_integer_sequence<int, all>{});
    return sums<V, width>(v);
  }
  return v[0];
}
/// Applies an Eigen array function (exp, log, …) to a register, with Eigen's own vectorised code.
template <class Scalar, class F>
WGF_INLINE Vec<Scalar> apply(Vec<Scalar> v, F f) {
  Eigen::Array<Scalar, lanes<Scalar>, 1> a;
  store(a.data(), v);
  a = f(a).eval();
  return load(a.data());
}
template <class Scalar>
WGF_INLINE Vec<Scalar> exp(Vec<Scalar> v) {
  return apply<Scalar>(v, [](const auto& a) { return a.exp(); });
}
template <class Scalar>
WGF_INLINE Vec<Scalar> log(Vec<Scalar> v) {
  return apply<Scalar>(v, [](const auto& a) { return a.log(); });
}

}  // namespace wgf::eigen::simd
