// SPDX-License-Identifier: BSL-1.0
#pragma once
// Gaussian mixtures in the plane, shared by several programs.
#include <cmath>
#include <numbers>

#include <wgf/exact/targets/mixtures.hpp>

namespace examples {

using wgf::two_moons;

/// Eight Gaussians on a circle of radius 2.
inline wgf::GaussianMixture ring() {
  Eigen::MatrixXd centres(2, 8);
  for (int i = 0; i < 8; ++i)
    centres.col(i) << 2 * std::cos(std::numbers::pi * i / 4),
        2 * std::sin(std::numbers::pi * i / 4);
  return wgf::GaussianMixture::isotropic(centres, 0.2);
}

}  // namespace examples
