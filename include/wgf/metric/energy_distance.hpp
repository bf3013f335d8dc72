// SPDX-License-Identifier: BSL-1.0
#pragma once
// The energy distance 2E|X − Y| − E|X − X'| − E|Y − Y'| (Székely and Rizzo, 2013): zero only for
// equal laws.
#include "pairs.hpp"

namespace wgf {

/// The energy distance between the laws of which x and y are independent samples, in units of the
/// coordinates. Exact, O(d(n + m)²). A U-statistic: pairs of a particle with itself are excluded,
/// so that the estimate is unbiased for all sample sizes. For equal laws it fluctuates about zero
/// and can be negative.
/// \param x d × n, at least two particles.
/// \param y d × m, at least two particles.
/// \throws std::invalid_argument for different dimensions, fewer particles, or coordinates that are
/// not finite.
inline double energy_distance(const Particles& x, const Particles& y) {
  detail::check_clouds("wgf::energy_distance", x, y, 2);
  const detail::PairMeans p(x), q(y);
  const auto root = [](const auto& squares) { return squares.sqrt(); };
  return 2 * p.across(q, root) - p.within(root) - q.within(root);
}

}  // namespace wgf
