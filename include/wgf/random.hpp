// SPDX-License-Identifier: BSL-1.0
#pragma once
// Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, SC'11).
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

#include <Eigen/Core>

#include "particles.hpp"

namespace wgf {

/// Stateless random numbers: the four numbers of a block are a function of (seed, stream, index,
/// point, block) alone, so that a batch contains the same numbers however it is divided into tiles
/// and whichever thread fills it.
struct Random {
  std::uint64_t seed = 0;

  /// One Philox 4x32-10 block: `counter` encrypted with `key`.
  static constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                                       std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p = multiplier[0] * counter[0], q = multiplier[1] * counter[2];
      counter = {high(q) ^ counter[1] ^ key[0], low(q), high(p) ^ counter[3] ^ key[1], low(p)};
      key[0] += weyl[0], key[1] += weyl[1];
    }
    return counter;
  }

  /// Standard normals (`Normal`) or uniforms on (0, 1) for the points [begin, begin + n) of draw
  /// `index` of `stream`. Points and blocks are processed 64 counters at a time.
  /// \param give called as give(point, first_coordinate, four_numbers) with `point` from 0 to n −
  /// 1; it must ignore coordinates from `dim` on.
  template <class Scalar, bool Normal, class Give>
  void fill(std::uint32_t stream, std::uint32_t index, long begin, long n, int dim,
            Give&& give) const {
    const int blocks = (dim + 3) / 4;
    alignas(64) std::uint32_t c[4][chunk];
    Eigen::Array<Scalar, chunk, 1> u[4];
    const auto next = [blocks](long& point, int& block) {  // avoids a division for each number
      if (++block == blocks) block = 0, ++point;
    };
    long point = 0, given = 0;
    int block = 0, given_block = 0;
    for (long first = 0; first < n * blocks; first += chunk) {
      const int m = static_cast<int>(std::min<long>(chunk, n * blocks - first));
      for (int i = 0; i < chunk; ++i, next(point, block)) {
        c[0][i] = static_cast<std::uint32_t>(begin + point),
        c[1][i] = static_cast<std::uint32_t>(block);
        c[2][i] = index, c[3][i] = stream;
      }
      convert<Scalar, Normal>(c, u);
      for (int i = 0; i < m; ++i, next(given, given_block)) {
        const Scalar four[4] = {u[0][i], u[1][i], u[2][i], u[3][i]};
        give(given, given_block * 4, four);
      }
    }
  }

  /// A number in [0, 1) that is the same for all points of a draw.
  double shared_uniform(std::uint32_t stream, std::uint32_t index, int coordinate) const {
    return 0x1p-32 * philox({static_cast<std::uint32_t>(coordinate), 0, index, stream}, key())[0];
  }
  /// A random number from 0, …, count − 1.
  long below(long count, std::uint32_t stream, std::uint32_t index, long point) const {
    const auto word = philox({static_cast<std::uint32_t>(point), 0, index, stream}, key());
    return static_cast<long>((static_cast<std::uint64_t>(word[1]) << 32 | word[0]) %
                             static_cast<std::uint64_t>(count));
  }

 private:
  std::array<std::uint32_t, 2> key() const { return {low(seed), high(seed)}; }
  static constexpr int chunk = 64;
  /// Converts a chunk of counters, which is overwritten, to random numbers. Plain loops for the
  /// integers and Eigen arrays for log, sin and cos, so that the compiler vectorises everything; a
  /// separate function, so that it is compiled only once.
  template <class Scalar, bool Normal>
  [[gnu::noinline]] void convert(std::uint32_t (&c)[4][chunk],
                                 Eigen::Array<Scalar, chunk, 1> (&u)[4]) const {
    constexpr int bits = sizeof(Scalar) == 4 ? 23 : 31;
    std::uint32_t key0 = low(seed), key1 = high(seed);
    for (int round = 0; round < 10; ++round, key0 += weyl[0], key1 += weyl[1])
      for (int i = 0; i < chunk; ++i) {
        const std::uint64_t p = multiplier[0] * c[0][i], q = multiplier[1] * c[2][i];
        c[0][i] = high(q) ^ c[1][i] ^ key0, c[2][i] = high(p) ^ c[3][i] ^ key1;
        c[1][i] = low(q), c[3][i] = low(p);
      }
    for (int j = 0; j < 4; ++j)
      for (int i = 0; i < chunk; ++i)  // the upper bits, centred and exact: never 0 or 1
        u[j][i] =
            (static_cast<Scalar>(static_cast<std::int32_t>(c[j][i] >> (32 - bits))) + Scalar(0.5)) *
            (Scalar(1) / (1u << bits));
    if constexpr (Normal)
      for (int j = 0; j < 4; j += 2) {  // Box-Muller
        const Eigen::Array<Scalar, chunk, 1> r = (Scalar(-2) * u[j].log()).sqrt(),
                                             a = Scalar(2 * std::numbers::pi) * u[j + 1];
        u[j] = r * a.cos(), u[j + 1] = r * a.sin();
      }
  }
  static constexpr std::uint64_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u};
  static constexpr std::uint32_t weyl[2] = {0x9E3779B9u, 0xBB67AE85u};
  static constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
  static constexpr std::uint32_t high(std::uint64_t x) {
    return static_cast<std::uint32_t>(x >> 32);
  }
};

namespace detail {
/// The fractional parts of shift + i·step are n quasi-random points that fill the unit cube evenly:
/// i/n in the first coordinate, multiples of irrational numbers in the others. Returns the step of
/// coordinate j.
inline double lattice_step(int dim, int j, long n) {
  // The root r of r^dim = r + 1, the golden ratio in two dimensions: the steps of the other
  // coordinates are r⁻¹, r⁻², ….
  double root = 1.5;
  for (int i = 0; i < 60; ++i) root = std::pow(1 + root, 1.0 / dim);
  return j == 0 ? 1.0 / static_cast<double>(n) : std::pow(root, -j);
}
/// Maps neighbouring seeds to unrelated ones (the finaliser of SplitMix64).
constexpr std::uint64_t mixed_seed(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}
template <bool Normal>
Particles host_numbers(int dim, long n, std::uint64_t seed, std::uint32_t stream) {
  Particles x(dim, n);
  Random{seed}.fill<double, Normal>(stream, 0, 0, n, dim,
                                    [&](long point, int first, const double* four) {
                                      for (int j = 0; j < 4 && first + j < dim; ++j)
                                        x(first + j, point) = four[j];
                                    });
  return x;
}
}  // namespace detail

/// dim × n independent standard normals, a function of (seed, stream).
inline Particles standard_normals(int dim, long n, std::uint64_t seed, std::uint32_t stream = 0) {
  return detail::host_numbers<true>(dim, n, seed, stream);
}
/// dim × n independent uniforms on the open interval (0, 1), a function of (seed, stream).
inline Particles standard_uniforms(int dim, long n, std::uint64_t seed, std::uint32_t stream = 0) {
  return detail::host_numbers<false>(dim, n, seed, stream);
}

}  // namespace wgf
