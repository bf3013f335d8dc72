// SPDX-License-Identifier: BSL-1.0
#pragma once
// The unadjusted Langevin algorithm x ← x + h ∇ log q(x) + √(2h) ξ: its particles follow the
// Fokker–Planck flow of KL(·‖q) up to O(h).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

#include <Eigen/Core>

#include "../functional/potential.hpp"
#include "../particles.hpp"
#include "../random.hpp"

namespace wgf {

/// Moves every particle independently for `time`, in equal steps of at most `dt`. The result is a
/// function of the seed; the noise is independent of particles that were sampled with the same
/// seed.
/// \param target dim() and gradient(x) = ∇ log q(x), q up to a constant, or any Target that kl()
/// accepts. If it has gradients(x, out) for all columns at once, that is used.
/// \param start d × n.
/// \param time in units of the flow's time, 0 or more.
/// \param dt the longest step; stable below 2 divided by the largest curvature of −log q.
/// \throws std::invalid_argument for particles of another dimension than the target, particles that
/// are not finite, invalid times, or a gradient of the wrong size.
/// \throws std::runtime_error if particles become non-finite because dt is too large.
template <class Target>
Particles langevin(const Target& target, Particles start, double time, double dt,
                   std::uint64_t seed) {
  if (start.rows() != target.dim())
    throw std::invalid_argument("wgf::langevin: the particles must have the target's dimension " +
                                std::to_string(target.dim()) + ", got " +
                                std::to_string(start.rows()));
  if (!start.allFinite())
    throw std::invalid_argument("wgf::langevin: the particles must be finite");
  if (!(time >= 0) || !std::isfinite(time))
    throw std::invalid_argument("wgf::langevin: the time must not be negative, got " +
                                std::to_string(time));
  if (!(dt > 0))
    throw std::invalid_argument("wgf::langevin: dt must be positive, got " + std::to_string(dt));
  // time/dt is rarely an integer in binary: a rounding error must not add a step.
  const double count =
      time > 0
          ? std::max(1.0, std::ceil(time / dt * (1 - 4 * std::numeric_limits<double>::epsilon())))
          : 0;
  if (!(count <= std::numeric_limits<std::uint32_t>::max()))
    throw std::invalid_argument("wgf::langevin: dt must allow fewer than 2^32 steps, got " +
                                std::to_string(count));
  const auto steps = static_cast<std::uint32_t>(count);
  if (steps == 0) return start;

  constexpr std::uint32_t stream = 0x4c414e47;  // "LANG"
  const double h = time / steps, noise = std::sqrt(2 * h);
  const int dim = static_cast<int>(start.rows());
  Particles drift(start.rows(), start.cols());
  const auto checked = [dim](Eigen::VectorXd gradient) {
    if (gradient.size() != dim)
      throw std::invalid_argument("wgf::langevin: the target's gradient must have " +
                                  std::to_string(dim) + " coordinates, got " +
                                  std::to_string(gradient.size()));
    return gradient;
  };
  for (std::uint32_t k = 0; k < steps; ++k) {
    if constexpr (requires { target.gradients(start, drift); }) target.gradients(start, drift);
    else if constexpr (requires { target.gradient(start.col(0)); })
      for (Eigen::Index i = 0; i < start.cols(); ++i)
        drift.col(i) = checked(target.gradient(start.col(i)));
    else
      for (Eigen::Index i = 0; i < start.cols(); ++i)
        drift.col(i) = checked(log_density_gradient(target, start.col(i)));
    start += h * drift;
    Random{seed}.fill<double, true>(stream, k, 0, static_cast<long>(start.cols()), dim,
                                    [&](long i, int first, const double* four) {
                                      const int last = std::min(4, dim - first);
                                      double* x = start.data() + i * dim + first;
                                      for (int j = 0; j < last; ++j) x[j] += noise * four[j];
                                    });
  }
  if (!start.allFinite())
    throw std::runtime_error("wgf::langevin: the particles diverged; dt = " + std::to_string(dt) +
                             " is too long for this target");
  return start;
}

}  // namespace wgf
