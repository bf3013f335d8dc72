// SPDX-License-Identifier: BSL-1.0
#pragma once
// The uniform law on a box Π [l_i, u_i].
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "../checks.hpp"
#include "../particles.hpp"
#include "../quasi_random.hpp"
#include "../random.hpp"

namespace wgf {

/// The uniform distribution on the box between two corners.
class UniformBox {
 public:
  /// \throws std::invalid_argument unless both corners are finite, of the same dimension, and lower
  /// < upper in every coordinate.
  UniformBox(Eigen::VectorXd lower, Eigen::VectorXd upper)
      : lower_(std::move(lower)), upper_(std::move(upper)) {
    if (lower_.size() < 1)
      throw std::invalid_argument(
          "wgf::UniformBox: the corners must have at least one coordinate, got none");
    if (lower_.size() != upper_.size())
      throw std::invalid_argument(
          "wgf::UniformBox: the corners must have the same dimension, got " +
          std::to_string(lower_.size()) + " and " + std::to_string(upper_.size()));
    for (Eigen::Index i = 0; i < lower_.size(); ++i)
      if (!(lower_(i) < upper_(i)) || !std::isfinite(upper_(i) - lower_(i)))
        throw std::invalid_argument(
            "wgf::UniformBox: lower must be below upper and both finite, got " +
            std::to_string(lower_(i)) + " and " + std::to_string(upper_(i)) + " in coordinate " +
            std::to_string(i));
    log_volume_ = (upper_ - lower_).array().log().sum();
  }
  /// The cube [−half_width, half_width]^dim.
  static UniformBox cube(int dim, double half_width) {
    if (dim < 1)
      throw std::invalid_argument("wgf::UniformBox: the dimension must be at least 1, got " +
                                  std::to_string(dim));
    return {Eigen::VectorXd::Constant(dim, -half_width),
            Eigen::VectorXd::Constant(dim, half_width)};
  }

  int dim() const { return static_cast<int>(lower_.size()); }
  const Eigen::VectorXd& lower() const { return lower_; }
  const Eigen::VectorXd& upper() const { return upper_; }
  double volume() const { return std::exp(log_volume_); }

  /// n independent draws, a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles sample(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::UniformBox::sample");
    return from_cube(standard_uniforms(dim(), n, seed, stream));
  }
  /// n evenly spread points of the box: a lattice with a random shift, a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles quasi_random(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::UniformBox::quasi_random");
    return from_cube(detail::lattice(dim(), n, seed, stream));
  }
  /// −log volume in the closed box, −∞ outside.
  double log_density(const Eigen::VectorXd& x) const {
    if (x.size() != lower_.size())
      throw std::invalid_argument("wgf::UniformBox::log_density: the point must have " +
                                  std::to_string(dim()) + " coordinates, got " +
                                  std::to_string(x.size()));
    const bool inside = (x.array() >= lower_.array()).all() && (x.array() <= upper_.array()).all();
    return inside ? -log_volume_ : -std::numeric_limits<double>::infinity();
  }

 private:
  static constexpr std::uint32_t stream =
      0x424f5820;  // "BOX ": independent of a Gaussian sampled with the same seed

  Particles from_cube(Particles x) const {
    x.array().colwise() *= (upper_ - lower_).array();
    x.colwise() += lower_;
    return x;
  }

  Eigen::VectorXd lower_, upper_;
  double log_volume_ = 0;
};

}  // namespace wgf
