// SPDX-License-Identifier: BSL-1.0
#include <wgf/metric/energy_distance.hpp>
#include <wgf/metric/mmd.hpp>
#include <wgf/metric/mode_masses.hpp>
#include <wgf/metric/sliced_wasserstein.hpp>
#include <wgf/metric/sym_kl.hpp>

#include "refused.hpp"

using namespace wgf;
using Eigen::Vector2d, Eigen::Vector3d;
using wgf::test::NaN, wgf::test::inf;

TEST_CASE("errors of metrics") {
  const Particles x = standard_normals(2, 5, 1), bad = Particles::Constant(2, 5, NaN);
  REFUSED(std::invalid_argument,
          "wgf::energy_distance: both clouds must have the same dimension, got 2 and 3",
          energy_distance(x, Particles(3, 5)));
  REFUSED(std::invalid_argument,
          "wgf::energy_distance: each cloud must hold at least 2 particles, got 5 and 1",
          energy_distance(x, x.leftCols(1)));
  REFUSED(std::invalid_argument,
          "wgf::energy_distance: the clouds must have at least one dimension",
          energy_distance(Particles(0, 5), Particles(0, 5)));
  REFUSED(std::invalid_argument, "wgf::energy_distance: the particles must be finite",
          energy_distance(x, bad));
  REFUSED(std::invalid_argument, "wgf::mmd: each cloud must hold at least 2 particles, got 0 and 5",
          mmd(Particles(2, 0), x, 1));
  REFUSED(std::invalid_argument, "wgf::mmd: the bandwidth must be positive, got 0.000000",
          mmd(x, x, 0));
  REFUSED(std::invalid_argument, "wgf::mmd: the bandwidth must be positive, got inf",
          mmd(x, x, inf));
  REFUSED(std::invalid_argument, "wgf::mmd: the bandwidth must be positive, got 0.000000",
          mmd(x, x, 1e-200));
  REFUSED(std::invalid_argument,
          "wgf::sliced_wasserstein: each cloud must hold at least 1 particles, got 5 and 0",
          sliced_wasserstein(x, Particles(2, 0)));
  REFUSED(std::invalid_argument, "wgf::sliced_wasserstein: projections must be positive, got 0",
          sliced_wasserstein(x, x, {.projections = 0}));
  REFUSED(std::invalid_argument, "wgf::sliced_wasserstein: the particles must be finite",
          sliced_wasserstein(bad, x));
  REFUSED(std::invalid_argument,
          "wgf::sym_kl: both Gaussians must have the same dimension, got 2 and 3",
          sym_kl(Gaussian::isotropic(2, 1), Gaussian::isotropic(3, 1)));
  const auto mixture = GaussianMixture::isotropic(Eigen::MatrixXd::Identity(2, 2), 1);
  REFUSED(std::invalid_argument,
          "wgf::mode_masses: the particles must have the mixture's dimension 2, got 3",
          mode_masses(Particles(3, 5), mixture));
  REFUSED(std::invalid_argument, "wgf::mode_masses: at least one particle is needed, got none",
          mode_masses(Particles(2, 0), mixture));
  REFUSED(std::invalid_argument, "wgf::mode_masses: the particles must be finite",
          mode_masses(bad, mixture));
  REFUSED(std::invalid_argument,
          "wgf::total_variation: both vectors must have the same length, got 2 and 3",
          total_variation(Vector2d(0, 1), Vector3d(0, 0, 1)));
  REFUSED(std::invalid_argument, "wgf::total_variation: probabilities must not be negative",
          total_variation(Vector2d(-1, 2), Vector2d(0, 1)));
  REFUSED(std::invalid_argument,
          "wgf::total_variation: probabilities must have sum 1, got 2.000000",
          total_variation(Vector2d(1, 1), Vector2d(0, 1)));
}
