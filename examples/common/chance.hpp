// SPDX-License-Identifier: BSL-1.0
#pragma once
// The chance levels of distances: what exact samples have from each other.
#include <cmath>
#include <numbers>

#include <wgf/metric/energy_distance.hpp>

namespace examples {

/// The root mean square of the energy distances between three pairs of exact samples.
/// \param exact called as exact(use), it returns samples, others for each use
template <class Exact>
double energy_distance_chance(const Exact& exact) {
  double squares = 0;
  constexpr int pairs = 3, first_use = 8;
  for (int k = 0; k < pairs; ++k) {
    const double distance =
        wgf::energy_distance(exact(first_use + 2 * k), exact(first_use + 2 * k + 1));
    squares += distance * distance / pairs;
  }
  return std::sqrt(squares);
}
/// The expected total variation between K equal masses and their shares among n independent draws.
inline double mode_tv_chance(double modes, double n) {
  return std::sqrt((modes - 1) / (2 * std::numbers::pi * n));
}

}  // namespace examples
