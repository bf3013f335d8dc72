// SPDX-License-Identifier: BSL-1.0
#pragma once
// Quasi-random points of the unit cube and normals made of them: rank-1 lattices {(c + i z)/n}, i =
// 0, …, n − 1, with a generator z of integers and a random shift (Dick, Kuo, Sloan, Acta Numerica
// 2013). For smooth integrands the error of their averages is near 1/n, not 1/√n.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

#include "particles.hpp"
#include "random.hpp"

namespace wgf {

/// How the particles that represent P_0 are chosen.
enum class PointSet {
  random,       ///< independent draws
  quasi_random  ///< an evenly spread set, random as a whole
};
/// The names of the values of PointSet, in their order.
constexpr std::array<const char*, 2> names_of(PointSet) { return {"random", "quasi_random"}; }

namespace detail {
/// 0, …, n − 1 in random order (Fisher and Yates), a function of the arguments.
inline std::vector<long> random_order(long n, std::uint64_t seed, std::uint32_t stream) {
  const Random random{seed};
  std::vector<long> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0L);
  for (long i = n - 1; i > 0; --i)
    std::swap(order[static_cast<std::size_t>(i)],
              order[static_cast<std::size_t>(random.below(i + 1, stream, 3, i))]);
  return order;
}

__extension__ typedef unsigned __int128 WideInteger;  // products of two numbers below 2^63

/// a⁻¹ modulo n, for a coprime to n > 1 (Euclid).
inline long inverse_modulo(long a, long n) {
  long r = n, next = a % n, t = 0, next_t = 1;
  while (next != 0) {
    const long q = r / next;
    r = std::exchange(next, r - q * next);
    t = std::exchange(next_t, t - q * next_t);
  }
  return t < 0 ? t + n : t;
}
/// The quality of the lattice {(i, i z)/n} in two dimensions: the smallest product |h k| of
/// non-zero integers with h + k z ≡ 0 modulo n, which are the waves exp(2πi (h x + k y)) that the
/// lattice cannot tell from a constant (Zaremba's index). The remainders of Euclid's algorithm give
/// it. \param enough the search ends when the product is not above this.
inline double pair_quality(long z, long n, double enough) {
  double smallest = static_cast<double>(n);
  long h = n, next_h = z, k = 0, next_k = 1;
  while (next_h != 0 && smallest > enough) {
    smallest =
        std::min(smallest, static_cast<double>(next_h) * std::abs(static_cast<double>(next_k)));
    const long q = h / next_h;
    h = std::exchange(next_h, h - q * next_h);
    k = std::exchange(next_k, k - q * next_k);
  }
  return smallest;
}
/// The generator z of a lattice of n points. All z_j are coprime to n, so that every coordinate
/// takes n equidistant values. Each is chosen among a number of candidates so that the worst of the
/// projections to two coordinates, it and an earlier one, is as good as possible.
inline std::vector<long> lattice_generator(int dim, long n) {
  constexpr int candidates = 200;
  constexpr double golden = std::numbers::phi - 1;  // its multiples are evenly spread modulo 1
  std::vector<long> z, inverses;
  for (int j = 0; j < dim; ++j) {
    long best = n > 1 ? 1 : 0;
    double best_quality = 0;
    for (int k = 0; k < candidates && j > 0 && n > 3; ++k) {
      const double fraction =
          std::fmod(golden * (1.0 + k + static_cast<double>(candidates) * j), 1);
      long candidate = 1 + static_cast<long>(fraction * static_cast<double>(n - 1));
      while (std::gcd(candidate, n) != 1) candidate = candidate % n + 1;  // 1 is coprime
      double quality = static_cast<double>(n);
      for (std::size_t i = 0; i < inverses.size() && quality > best_quality; ++i) {
        const auto ratio =
            static_cast<long>(static_cast<WideInteger>(candidate) *
                              static_cast<WideInteger>(inverses[i]) % static_cast<WideInteger>(n));
        quality = std::min(quality, pair_quality(ratio, n, best_quality));
      }
      if (quality > best_quality) best = candidate, best_quality = quality;
    }
    z.push_back(best);
    if (n > 1) inverses.push_back(inverse_modulo(best, n));
  }
  return z;
}

/// n points of the open unit cube, dim × n: a lattice with a random shift, a function of the
/// arguments. Every point is uniformly distributed, and each coordinate has one value in each of
/// the n equal parts of (0, 1). The points are in random order: consecutive ones are a random
/// sample of the lattice without replacement, so that batches of them are at least as good as
/// independent points. (In the lattice's own order a batch would be a part of the range of the
/// first coordinate, and other coordinates with almost the same or opposite z would be correlated.)
/// \param stream of random numbers, of which draws 1 to 3 are used.
inline Particles lattice(int dim, long n, std::uint64_t seed, std::uint32_t stream) {
  const Random random{seed};
  Particles u(dim, n);
  const std::vector<long> z = lattice_generator(dim, n), order = random_order(n, seed, stream);
  std::vector<long> cells;
  std::vector<double> shifts;  // within a cell, in (0, 1)
  for (int j = 0; j < dim; ++j) {
    cells.push_back(random.below(n, stream, 1, j));
    shifts.push_back(random.shared_uniform(stream, 2, j) + 0x1p-33);
  }
  for (const long point : order)
    for (int j = 0; j < dim; ++j) {
      long& cell = cells[static_cast<std::size_t>(j)];
      const double inside = static_cast<double>(cell) + shifts[static_cast<std::size_t>(j)];
      u(j, point) = std::min(inside / static_cast<double>(n), 1 - 0x1p-53);
      cell += z[static_cast<std::size_t>(j)];
      if (cell >= n) cell -= n;
    }
  return u;
}

/// The ratio of two polynomials of degree 7, coefficients from the lowest.
inline double polynomial_ratio(double x, const double (&above)[8], const double (&below)[8]) {
  double p = above[7], q = below[7];
  for (int i = 6; i >= 0; --i) p = p * x + above[i], q = q * x + below[i];
  return p / q;
}
/// The x with P(X ≤ x) = p for a standard normal X and 0 < p < 1, to double accuracy: Wichura,
/// Algorithm AS 241, Applied Statistics 37 (1988).
inline double inverse_normal_cdf(double p) {
  static constexpr double a[] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                                 1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                 3.3430575583588128105e+4, 2.5090809287301226727e+3},
                          b[] = {1,
                                 4.2313330701600911252e+1,
                                 6.8718700749205790830e+2,
                                 5.3941960214247511077e+3,
                                 2.1213794301586595867e+4,
                                 3.9307895800092710610e+4,
                                 2.8729085735721942674e+4,
                                 5.2264952788528545610e+3},
                          c[] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                 5.76949722146069140550e0,  3.64784832476320460504e0,
                                 1.27045825245236838258e0,  2.41780725177450611770e-1,
                                 2.27238449892691845833e-2, 7.74545014278341407640e-4},
                          d[] = {1,
                                 2.05319162663775882187e0,
                                 1.67638483018380384940e0,
                                 6.89767334985100004550e-1,
                                 1.48103976427480074590e-1,
                                 1.51986665636164571966e-2,
                                 5.47593808499534494600e-4,
                                 1.05075007164441684324e-9},
                          e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                 1.78482653991729133580e0,  2.96560571828504891230e-1,
                                 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                 2.71155556874348757815e-5, 2.01033439929228813265e-7},
                          f[] = {1,
                                 5.99832206555887937690e-1,
                                 1.36929880922735805310e-1,
                                 1.48753612908506148525e-2,
                                 7.86869131145613259100e-4,
                                 1.84631831751005468180e-5,
                                 1.42151175831644588870e-7,
                                 2.04426310338993978564e-15};
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) return q * polynomial_ratio(0.180625 - q * q, a, b);
  const double r = std::sqrt(-std::log(q < 0 ? p : 1 - p));
  const double x = r <= 5 ? polynomial_ratio(r - 1.6, c, d) : polynomial_ratio(r - 5, e, f);
  return q < 0 ? -x : x;
}
/// n quasi-random points of the standard normal law, dim × n: those of lattice(), mapped.
inline Particles lattice_normals(int dim, long n, std::uint64_t seed, std::uint32_t stream) {
  Particles x = lattice(dim, n, seed, stream);
  for (Eigen::Index i = 0; i < x.size(); ++i) x.data()[i] = inverse_normal_cdf(x.data()[i]);
  return x;
}
}  // namespace detail

}  // namespace wgf
