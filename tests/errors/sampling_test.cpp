// SPDX-License-Identifier: BSL-1.0
#include <wgf/measure/gaussian.hpp>
#include <wgf/sampling/smc.hpp>

#include "refused.hpp"

using namespace wgf;
using Eigen::VectorXd, Eigen::Vector2d, Eigen::Vector3d;
using wgf::test::NaN, wgf::test::inf;

namespace {
const Gaussian normal = Gaussian::isotropic(2, 1), cube = Gaussian::isotropic(3, 1);
const Particles x = Particles::Zero(2, 5);
/// A constant log-density and gradient.
struct Constant {
  double log = 0;
  VectorXd slope = VectorXd::Zero(2);
  int dim() const { return 2; }
  double log_density(const VectorXd&) const { return log; }
  VectorXd gradient(const VectorXd&) const { return slope; }
};
/// A start with this log-density that gives these particles.
struct Start : Constant {
  Particles particles = x;
  Particles sample(long, std::uint64_t) const { return particles; }
};
constexpr SmcOptions five{.particles = 5, .threads = 1};
SmcResult with(const SmcOptions& options) { return smc(normal, normal, options); }
using Tempered = TemperedParticles<Gaussian, Gaussian>;
using TemperedConstant = TemperedParticles<Constant, Gaussian>;
}  // namespace

TEST_CASE("errors of SmcOptions and of the moves") {
  REFUSED(std::invalid_argument, "wgf::SmcOptions: particles must be from 2 to 4294967295, got 1",
          with({.particles = 1}));
  REFUSED(std::invalid_argument,
          "wgf::SmcOptions: relative_ess must be between 0 and 1, got 1.000000",
          with({.relative_ess = 1}));
  REFUSED(std::invalid_argument,
          "wgf::SmcOptions: resample_below must be from 0 to 1, got 1.500000",
          with({.resample_below = 1.5}));
  REFUSED(std::invalid_argument, "wgf::SmcOptions: max_temperatures must be at least 1, got 0",
          with({.max_temperatures = 0}));
  REFUSED(std::invalid_argument,
          "wgf::SmcOptions: threads must be from 1 to 1024, or 0 for all cores, got -1",
          with({.threads = -1}));
  REFUSED(std::invalid_argument, "wgf::Hmc: leapfrog_steps must be from 1 to 1000000, got 0",
          with({.move = Hmc{.leapfrog_steps = 0}}));
  REFUSED(std::invalid_argument, "wgf::Hmc: moves must be at least 1, got 0",
          with({.move = Hmc{.moves = 0}}));
  REFUSED(std::invalid_argument, "wgf::Hmc: acceptance must be between 0 and 1, got 0.000000",
          with({.move = Hmc{.acceptance = 0}}));
  REFUSED(std::invalid_argument,
          "wgf::Hmc: step_size must be positive, or 0 to be adapted, got inf",
          with({.move = Hmc{.step_size = inf}}));
  REFUSED(std::invalid_argument, "wgf::Mala: moves must be at least 1, got 0",
          with({.move = Mala{.moves = 0}}));
  REFUSED(std::invalid_argument, "wgf::Mala: acceptance must be between 0 and 1, got 1.000000",
          with({.move = Mala{.acceptance = 1}}));
  REFUSED(std::invalid_argument,
          "wgf::Mala: step_size must be positive, or 0 to be adapted, got -1.000000",
          with({.move = Mala{.step_size = -1}}));
}

TEST_CASE("errors of smc") {
  REFUSED(std::invalid_argument, "wgf::smc: the start must have the target's dimension 3, got 2",
          smc(cube, normal));
  REFUSED(std::invalid_argument, "wgf::smc: the start must give 4000 particles, got 5",
          smc(normal, Start{}));
  REFUSED(std::invalid_argument,
          "wgf::smc: the densities must have the particles' dimension 3, got 2",
          smc(normal, Start{{}, Particles::Zero(3, 5)}, five));
  REFUSED(std::invalid_argument, "wgf::smc: the particles must be finite",
          smc(normal, Start{{}, Particles::Constant(2, 5, NaN)}, five));
  REFUSED(std::invalid_argument,
          "wgf::smc: the target's log-density must be finite at some of the start's particles, got "
          "-inf at all 5",
          smc(Constant{-inf}, normal, five));
  REFUSED(std::invalid_argument,
          "wgf::smc: the target's log-density must be a number below +∞, got nan",
          smc(Constant{NaN}, normal, five));
  REFUSED(std::invalid_argument,
          "wgf::smc: the start's log-density must be finite at its particles, got -inf",
          smc(normal, Start{{-inf}}, five));
  REFUSED(std::invalid_argument, "wgf::smc: a gradient must have 2 coordinates, got 3",
          smc(Constant{0, Vector3d(0, 0, 0)}, normal, five));
  REFUSED(std::invalid_argument,
          "wgf::smc: the target's gradient must be finite where its log-density is",
          smc(Constant{0, Vector2d(inf, 0)}, normal, five));
  REFUSED(std::runtime_error,
          "wgf::smc: 1 temperatures reach only beta = 0.005945; the start is too far from the "
          "target, or max_temperatures too low",
          smc(Gaussian::isotropic(Vector2d(50, 0), 1), normal,
              {.particles = 100, .max_temperatures = 1, .threads = 1}));
}

TEST_CASE("errors of TemperedParticles") {
  const Constant nan{NaN}, steep{0, Vector2d(inf, 0)}, long_slope{0, Vector3d(0, 0, 0)};
  REFUSED(std::invalid_argument,
          "wgf::TemperedParticles: the densities must have the particles' dimension 2, got 3",
          Tempered(cube, normal, x, 1));
  REFUSED(std::invalid_argument,
          "wgf::TemperedParticles: the densities must have the particles' dimension 2, got 3",
          Tempered(normal, cube, x, 1));
  REFUSED(std::invalid_argument, "wgf::TemperedParticles: the particles must be finite",
          Tempered(normal, normal, inf * Particles::Ones(2, 5), 1));
  REFUSED(std::invalid_argument,
          "wgf::TemperedParticles: the target's log-density must be a number below +∞, got nan",
          TemperedConstant(nan, normal, x, 1));
  REFUSED(std::invalid_argument,
          "wgf::TemperedParticles: the target's gradient must be finite where its log-density is",
          TemperedConstant(steep, normal, x, 1));
  REFUSED(std::invalid_argument,
          "wgf::TemperedParticles: a gradient must have 2 coordinates, got 3",
          TemperedConstant(long_slope, normal, x, 1));
}
