// SPDX-License-Identifier: BSL-1.0
#pragma once
// The empirical measure (1/N) Σ δ_{x_i} of given particles.
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "../checks.hpp"
#include "../particles.hpp"
#include "../quasi_random.hpp"
#include "../random.hpp"

namespace wgf {

/// A measure represented by samples: drawing from it means drawing from them with replacement.
class Empirical {
 public:
  /// \param particles d × N, one particle per column.
  /// \throws std::invalid_argument if there are no particles, or entries are not finite.
  explicit Empirical(Particles particles) : particles_(std::move(particles)) {
    if (particles_.size() == 0)
      throw std::invalid_argument("wgf::Empirical: at least one particle is needed, got " +
                                  std::to_string(particles_.cols()) + " in " +
                                  std::to_string(particles_.rows()) + " dimensions");
    if (!particles_.allFinite())
      throw std::invalid_argument("wgf::Empirical: the particles must be finite");
  }

  int dim() const { return static_cast<int>(particles_.rows()); }
  const Particles& particles() const { return particles_; }

  /// n independent draws, a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles sample(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::Empirical::sample");
    Particles x(particles_.rows(), n);
    const Eigen::Index count = particles_.cols();
    for (Eigen::Index i = 0; i < n; ++i) {
      // 53 bits, not the 31 of standard_uniforms, which would bias the choice among many millions
      // of particles.
      const auto u = static_cast<std::uint64_t>(i), bits = draw(u, seed) >> 11;
      x.col(i) = particles_.col(
          std::min(count - 1, static_cast<Eigen::Index>(static_cast<double>(bits) * 0x1p-53 *
                                                        static_cast<double>(count))));
    }
    return x;
  }
  /// n of the particles, each as often as any other, up to 1: all of them again and again, in one
  /// random order, a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles quasi_random(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::Empirical::quasi_random");
    Particles x(particles_.rows(), n);
    const auto order = detail::random_order(particles_.cols(), seed, stream);
    for (Eigen::Index i = 0; i < n; ++i)
      x.col(i) = particles_.col(order[static_cast<std::size_t>(i % particles_.cols())]);
    return x;
  }

 private:
  static constexpr std::uint32_t stream = 0x454d5020;  // "EMP "
  static std::uint64_t draw(std::uint64_t i, std::uint64_t seed) {
    const auto four = Random::philox(
        {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32), 0, stream},
        {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    return (static_cast<std::uint64_t>(four[1]) << 32) | four[0];
  }

  Particles particles_;
};

}  // namespace wgf
