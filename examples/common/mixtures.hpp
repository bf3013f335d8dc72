// SPDX-License-Identifier: BSL-1.0
#pragma once
// Gaussian mixtures in the plane, shared by several programs.
#include <cmath>
#include <numbers>

#include <wgf/measure/gaussian_mixture.hpp>

namespace examples {

/// Two interlocking half circles of eight Gaussians each.
inline wgf::GaussianMixture two_moons() {
  Eigen::MatrixXd centres(2, 16);
  for (int i = 0; i < 8; ++i) {
    const double angle = std::numbers::pi * i / 7, c = 2 * std::cos(angle), s = 2 * std::sin(angle);
    centres.col(i) << c - 1, s - 0.5;
    centres.col(8 + i) << c + 1, 0.5 - s;
  }
  return wgf::GaussianMixture::isotropic(centres, 0.25);
}

/// Eight Gaussians on a circle of radius 2.
inline wgf::GaussianMixture ring() {
  Eigen::MatrixXd centres(2, 8);
  for (int i = 0; i < 8; ++i)
    centres.col(i) << 2 * std::cos(std::numbers::pi * i / 4),
        2 * std::sin(std::numbers::pi * i / 4);
  return wgf::GaussianMixture::isotropic(centres, 0.2);
}

}  // namespace examples
