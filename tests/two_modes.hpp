// SPDX-License-Identifier: BSL-1.0
#pragma once
// Two modes on the line whose masses corrections must repair.
#include <wgf/measure/gaussian_mixture.hpp>

namespace wgf::test {

/// N(−3, 0.04) and N(3, 0.04), the first with the given mass.
inline GaussianMixture modes(double first) {
  const Eigen::MatrixXd covariance = 0.04 * Eigen::MatrixXd::Identity(1, 1);
  return {{first, 1 - first},
          {Gaussian(Eigen::VectorXd::Constant(1, -3), covariance),
           Gaussian(Eigen::VectorXd::Constant(1, 3), covariance)}};
}
/// The share of the particles that are in the first mode.
inline double first_mass(const Particles& x) {
  return static_cast<double>((x.array() < 0).count()) / static_cast<double>(x.size());
}

}  // namespace wgf::test
