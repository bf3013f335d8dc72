// SPDX-License-Identifier: BSL-1.0
#pragma once
// Exact solutions of the aggregation equation ∂P/∂t = ∇·(P ∇W*P), the gradient flow of ½ E[W(X −
// Y)] (17), and of the heat equation ∂P/∂t = ΔP, the gradient flow of E[log P]: steady states,
// flows and exact JKO iterates.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <stdexcept>
#include <string>

#include <Eigen/Eigenvalues>

#include "../checks.hpp"
#include "../linear_algebra.hpp"
#include "../measure/gaussian.hpp"
#include "../particles.hpp"
#include "../random.hpp"

namespace wgf {

/// The steady state for W(x) = |x|⁴/4 − |x|²/2: the uniform distribution on a sphere, which is a
/// circle in two dimensions (appendix C.2, example 1). In n dimensions the force at radius R is
/// x(2R²(n + 1)/n − 1); for n = 2 it vanishes at R = 1/√3.
struct QuarticRing {
  static double radius(int dim = 2) {
    if (dim < 1)
      throw std::invalid_argument("wgf::QuarticRing: the dimension must be at least 1, got " +
                                  std::to_string(dim));
    return std::sqrt(dim / (2.0 * (dim + 1)));
  }
  /// ½ E[W(X − Y)] = ½(R⁴(1 + 1/n) − R²) on the sphere of that radius: −1/12 for n = 2.
  static double energy(int dim = 2) {
    const double s = radius(dim) * radius(dim);
    return 0.5 * (s * s * (dim + 1) / dim - s);
  }
};

/// The semicircle law on the line, with density 2(R² − x²)₊^½/(πR²). For R = √2 it is (1/π)(2 −
/// x²)₊^½, the steady state for W(x) = |x|²/2 − ln|x| (appendix C.2, example 2).
class Semicircle {
 public:
  /// \throws std::invalid_argument for a radius that is not positive.
  explicit Semicircle(double radius = std::numbers::sqrt2) : radius_(radius) {
    if (!(radius > 0) || !std::isfinite(radius))
      throw std::invalid_argument("wgf::Semicircle: the radius must be positive, got " +
                                  std::to_string(radius));
  }
  int dim() const { return 1; }
  double radius() const { return radius_; }

  double density(double x) const {
    return 2 * std::sqrt(std::max(0.0, (radius_ - x) * (radius_ + x))) /
           (std::numbers::pi * radius_ * radius_);
  }
  double cdf(double x) const {
    const double z = std::clamp(x / radius_, -1.0, 1.0);
    return 0.5 + (z * std::sqrt((1 - z) * (1 + z)) + std::asin(z)) / std::numbers::pi;
  }
  /// The inverse of cdf.
  /// \param u in [0, 1].
  /// \throws std::invalid_argument if u is outside [0, 1].
  double quantile(double u) const {
    if (!(u >= 0 && u <= 1))
      throw std::invalid_argument("wgf::Semicircle::quantile: u must be in [0, 1], got " +
                                  std::to_string(u));
    // With x = −R cos(δ/2), cdf(x) = u becomes δ − sin δ = 2πu. The left side is convex up to π:
    // from the second on, Newton's iterates decrease to the root. The iteration ends when rounding
    // errors keep them from decreasing.
    const double tail = 2 * std::numbers::pi * std::min(u, 1 - u);
    if (tail == 0) return u < 0.5 ? -radius_ : radius_;
    const auto newton = [tail](double delta) {
      return delta - (delta - std::sin(delta) - tail) / (1 - std::cos(delta));
    };
    double delta = std::min(std::numbers::pi, newton(std::cbrt(6 * tail)));
    for (double next = newton(delta); next < delta; next = newton(delta)) delta = next;
    const double x = radius_ * std::cos(0.5 * delta);
    return u < 0.5 ? -x : x;
  }
  /// n independent draws, 1 × n, a function of the seed: the first coordinates of points in the
  /// disc.
  /// \throws std::invalid_argument for n < 1.
  Particles sample(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::Semicircle::sample");
    const Particles u = standard_uniforms(2, n, seed, stream);
    return radius_ *
           (u.row(0).array().sqrt() * (2 * std::numbers::pi * u.row(1).array()).cos()).matrix();
  }

 private:
  static constexpr std::uint32_t stream = 0x53454d49;  // "SEMI"
  double radius_;
};

/// W(x) = |x|²/2: the mean is constant, and all distances to it shrink by the same factor.
struct QuadraticInteraction {
  /// The factor of the flow after time t: e^{−t}.
  static double flow_factor(double t) { return std::exp(-t); }
  /// The factor of a JKO step of size a > 0: 1/(1 + a).
  static double implicit_factor(double a) { return 1 / (1 + a); }
  /// The factor of a forward step (12) of size a: 1 − a.
  static double explicit_factor(double a) { return 1 - a; }
  /// Particles, d × n, with their distances to their mean multiplied by `factor`.
  static Particles contracted(const Particles& x, double factor) {
    const Eigen::VectorXd mean = x.rowwise().mean();
    Particles y = factor * (x.colwise() - mean);
    y.colwise() += mean;
    return y;
  }
};

/// The heat equation with a Gaussian as initial condition.
struct Heat {
  /// N(m, Σ + 2tI), the solution at time t ≥ 0.
  static Gaussian at(const Gaussian& p, double t) {
    if (!(t >= 0))
      throw std::invalid_argument("wgf::Heat::at: the time must not be negative, got " +
                                  std::to_string(t));
    return {p.mean(), p.covariance() + 2 * t * Eigen::MatrixXd::Identity(p.dim(), p.dim())};
  }
  /// argmin_P W₂²(P, p)/(2a) + E_P[log P], exactly: each eigenvalue σ of the square root of the
  /// covariance becomes [σ + (σ² + 4a)^½]/2.
  static Gaussian jko_iterate(const Gaussian& p, double step_size) { return jko(p, 1, step_size); }
  /// The exact JKO iterate after `steps` ≥ 0 steps from p.
  /// \throws std::invalid_argument for a step size that is not positive, or negative steps.
  static Gaussian jko(const Gaussian& p, int steps, double step_size) {
    if (!(step_size > 0) || !std::isfinite(step_size))
      throw std::invalid_argument("wgf::Heat: step_size must be positive, got " +
                                  std::to_string(step_size));
    if (steps < 0)
      throw std::invalid_argument("wgf::Heat::jko: steps must not be negative, got " +
                                  std::to_string(steps));
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(p.covariance());
    Eigen::ArrayXd sd = solver.eigenvalues().array().sqrt();
    for (int k = 0; k < steps; ++k) sd = 0.5 * (sd + (sd.square() + 4 * step_size).sqrt());
    return {p.mean(), detail::symmetric_part(detail::congruence(
                          solver.eigenvectors(), sd.square().matrix().asDiagonal()))};
  }
};

}  // namespace wgf
