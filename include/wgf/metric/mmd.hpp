// SPDX-License-Identifier: BSL-1.0
#pragma once
// The squared maximum mean discrepancy E k(X, X') + E k(Y, Y') − 2E k(X, Y), k(x, y) = exp(−|x −
// y|²/(2h²)) (Gretton et al., 2012).
#include <cmath>

#include "pairs.hpp"

namespace wgf {

/// The *squared* maximum mean discrepancy, with a Gaussian kernel, between the laws of which x and
/// y are independent samples; dimensionless, at most 2. Exact, O(d(n + m)²). The unbiased estimate
/// (a U-statistic, eq. 3 of Gretton et al.): for equal laws it fluctuates about zero and can be
/// negative, so that no square root is taken.
/// \param x d × n, at least two particles.
/// \param y d × m, at least two particles.
/// \param bandwidth h > 0, in units of the coordinates.
/// \throws std::invalid_argument for different dimensions, fewer particles, coordinates that are
/// not finite, or a bandwidth that is not positive.
inline double mmd(const Particles& x, const Particles& y, double bandwidth) {
  detail::check_clouds("wgf::mmd", x, y, 2);
  if (!(bandwidth > 0) || !std::isfinite(bandwidth) ||
      !std::isfinite(0.5 / bandwidth / bandwidth))  // k(x, x) would be NaN
    throw std::invalid_argument("wgf::mmd: the bandwidth must be positive, got " +
                                std::to_string(bandwidth));
  const detail::PairMeans p(x), q(y);
  const auto kernel = [rate = -0.5 / bandwidth / bandwidth](const auto& squares) {
    return (rate * squares).exp();
  };
  return p.within(kernel) + q.within(kernel) - 2 * p.across(q, kernel);
}

}  // namespace wgf
