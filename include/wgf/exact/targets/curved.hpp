// SPDX-License-Identifier: BSL-1.0
#pragma once
// Two normalised targets that are images of a Gaussian under a triangular map: Neal's funnel and
// the mustache.
#include <cmath>
#include <cstdint>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../checks.hpp"
#include "../../particles.hpp"
#include "../../random.hpp"

namespace wgf {

/// Neal's funnel: x₁ ~ N(0, variance), and x₂, …, x_d ~ N(0, e^{x₁}) independent given x₁.
class Funnel {
 public:
  /// \param dim d, at least 2.
  /// \param variance of x₁.
  /// \throws std::invalid_argument for other values.
  explicit Funnel(int dim = 10, double variance = 9) : dim_(dim), variance_(variance) {
    detail::check_at_least(dim, 2, "wgf::Funnel", "the dimension");
    if (!(variance > 0) || !std::isfinite(variance))
      throw std::invalid_argument("wgf::Funnel: the variance must be positive, got " +
                                  std::to_string(variance));
  }

  int dim() const { return dim_; }
  double variance() const { return variance_; }
  double log_evidence() const { return 0; }
  /// −∞ where the value is below the smallest double.
  double log_density(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), dim_, "wgf::Funnel::log_density");
    return -0.5 * (x[0] * x[0] / variance_ + scaled_square(x) + (dim_ - 1) * x[0] +
                   dim_ * std::log(2 * std::numbers::pi) + std::log(variance_));
  }
  /// ∇ log q: −x₁/variance + ½(Σ x_i² e^{−x₁} − (d − 1)), and −x_i e^{−x₁}. Infinite where it
  /// overflows, never NaN.
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), dim_, "wgf::Funnel::gradient");
    Eigen::VectorXd g(dim_);
    g[0] = -x[0] / variance_ + 0.5 * (scaled_square(x) - (dim_ - 1));
    const double half = std::exp(-0.5 * x[0]);  // in two factors: their product may overflow
    for (int i = 1; i < dim_; ++i) g[i] = x[i] == 0 ? 0.0 : -x[i] * half * half;
    return g;
  }
  /// n independent draws, a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles sample(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::Funnel::sample");
    Particles x = standard_normals(dim_, n, seed, stream);
    for (Eigen::Index i = 0; i < n; ++i) {
      x(0, i) *= std::sqrt(variance_);
      x.col(i).tail(dim_ - 1) *= std::exp(0.5 * x(0, i));
    }
    return x;
  }
  /// d × 1: the only mode, x₁ = −variance (d − 1)/2 deep in the neck, far from the mass.
  Eigen::MatrixXd modes() const {
    Eigen::MatrixXd mode = Eigen::MatrixXd::Zero(dim_, 1);
    mode(0, 0) = -0.5 * variance_ * (dim_ - 1);
    return mode;
  }
  std::vector<double> weights() const { return {1.0}; }

 private:
  static constexpr std::uint32_t stream = 0x46554e4c;  // "FUNL"

  // Σ_{i≥2} x_i² e^{−x₁}, without overflow or underflow of a factor.
  double scaled_square(const Eigen::VectorXd& x) const {
    const double half = std::exp(-0.5 * x[0]);
    double sum = 0;
    for (int i = 1; i < dim_; ++i) {
      const double scaled = x[i] == 0 ? 0.0 : x[i] * half;
      sum += scaled * scaled;
    }
    return sum;
  }

  int dim_;
  double variance_;
};

/// The mustache in the plane: (x, y − (x² − 1)²) ~ N(0, C), C = (1, c; c, 1). The map has unit
/// Jacobian, so that q(x, y) = N((x, y − (x² − 1)²); 0, C).
class Mustache {
 public:
  /// \param correlation c, in (−1, 1).
  /// \throws std::invalid_argument for other values.
  explicit Mustache(double correlation = 0.9)
      : correlation_(correlation), determinant_((1 - correlation) * (1 + correlation)) {
    if (!(determinant_ > 0))
      throw std::invalid_argument("wgf::Mustache: the correlation must be in (-1, 1), got " +
                                  std::to_string(correlation));
  }

  int dim() const { return 2; }
  double log_evidence() const { return 0; }
  double log_density(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), 2, "wgf::Mustache::log_density");
    // u² − 2cuv + v² = (1 − c²)u² + (v − cu)²: no cancellation.
    const double residual = height(x) - correlation_ * x[0];
    return -0.5 * (x[0] * x[0] + residual * residual / determinant_ + std::log(determinant_)) -
           std::log(2 * std::numbers::pi);
  }
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), 2, "wgf::Mustache::gradient");
    const double pull = (height(x) - correlation_ * x[0]) / determinant_;
    return Eigen::Vector2d(-x[0] + pull * (4 * x[0] * (x[0] * x[0] - 1) + correlation_), -pull);
  }
  /// n independent draws, a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles sample(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::Mustache::sample");
    Particles x = standard_normals(2, n, seed, stream);
    for (Eigen::Index i = 0; i < n; ++i) {
      const double bend = x(0, i) * x(0, i) - 1;
      x(1, i) = correlation_ * x(0, i) + std::sqrt(determinant_) * x(1, i) + bend * bend;
    }
    return x;
  }
  /// 2 × 1: the image (0, 1) of the origin.
  Eigen::MatrixXd modes() const { return Eigen::Vector2d(0, 1); }
  std::vector<double> weights() const { return {1.0}; }

 private:
  static constexpr std::uint32_t stream = 0x4d555354;  // "MUST"

  static double height(const Eigen::VectorXd& x) {
    const double bend = x[0] * x[0] - 1;
    return x[1] - bend * bend;
  }

  double correlation_, determinant_;
};

}  // namespace wgf
