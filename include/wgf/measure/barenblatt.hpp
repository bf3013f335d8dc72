// SPDX-License-Identifier: BSL-1.0
#pragma once
// The Barenblatt profile, the solution of the porous medium equation ∂P/∂t = ΔP^m that starts from
// a point mass (section 4.3), with mass 1: P(x) = (1 − |x − c|²/R²)₊^{1/(m−1)} / (I Rⁿ).
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <string>
#include <utility>

#include "../checks.hpp"
#include "../particles.hpp"
#include "../quasi_random.hpp"
#include "../random.hpp"
#include "radial_quantile.hpp"

namespace wgf {

/// A density with compact support, the ball of radius R about c. The form in the paper, τ^{−α}(C −
/// β|x − c|²τ^{−2α/n})₊^{1/(m−1)} with α = n/(n(m−1) + 2) and β = (m−1)α/(2mn), has R² =
/// Cτ^{2α/n}/β, where C is determined by the mass: C = (3/64)^{1/3} for n = 1, m = 2.
class Barenblatt {
 public:
  /// The solution at `time` = t + t₀ after all mass was at the origin.
  /// \param dim n.
  /// \param exponent m > 1.
  /// \throws std::invalid_argument unless dim ≥ 1, exponent > 1 and time > 0, all finite.
  static Barenblatt at(int dim, double exponent, double time) {
    return at(origin(dim), exponent, time);
  }
  /// The same, centred at `centre`, whose size is the dimension.
  static Barenblatt at(Eigen::VectorXd centre, double exponent, double time) {
    if (!(time > 0) || !std::isfinite(time))
      throw std::invalid_argument("wgf::Barenblatt::at: the time must be positive, got " +
                                  std::to_string(time));
    Barenblatt unit(std::move(centre), exponent, 1);
    return with_radius(unit.centre_, exponent,
                       std::pow(time / unit.time(), unit.alpha() / unit.dim()));
  }
  /// The profile whose support has the given radius R > 0, centred at the origin or at `centre`.
  /// \throws std::invalid_argument as at() does, and for a radius that is not positive.
  static Barenblatt with_radius(int dim, double exponent, double radius) {
    return with_radius(origin(dim), exponent, radius);
  }
  static Barenblatt with_radius(Eigen::VectorXd centre, double exponent, double radius) {
    return {std::move(centre), exponent, radius};
  }

  int dim() const { return static_cast<int>(centre_.size()); }
  /// m.
  double exponent() const { return exponent_; }
  /// R, the radius of the support.
  double radius() const { return radius_; }
  const Eigen::VectorXd& centre() const { return centre_; }
  /// The time since all mass was at the centre: the argument of at().
  double time() const {
    const double beta = (exponent_ - 1) * alpha() / (2 * exponent_ * dim());
    // C follows from the mass, C^{1/(m−1) + n/2} I = β^{n/2}; then R² = Cτ^{2α/n}/β.
    const double log_c = (0.5 * dim() * std::log(beta) - log_unit_integral(dim(), exponent_)) /
                         (power() + 0.5 * dim());
    return std::exp((2 * std::log(radius_) + std::log(beta) - log_c) * dim() / (2 * alpha()));
  }

  /// n independent draws, a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles sample(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::Barenblatt::sample");
    // |x − c|²/R² has the law Beta(n/2, 1/(m−1) + 1), which is that of |z|²/(|z|² + 2g) for n
    // standard normals z and g ~ Gamma(1/(m−1) + 1).
    Particles x = standard_normals(dim(), n, seed, stream);
    for (Eigen::Index i = 0; i < n; ++i) {
      x.col(i) *= radius_ / std::sqrt(x.col(i).squaredNorm() +
                                      2 * gamma(static_cast<std::uint64_t>(i), seed));
      x.col(i) += centre_;
    }
    return x;
  }
  /// n evenly spread points of the law: a lattice with a random shift, mapped to normals z, which
  /// are moved along their rays so that |x − c| has the right quantiles; in one dimension these are
  /// the quantiles of the law. A function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles quasi_random(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::Barenblatt::quasi_random");
    Particles x = detail::lattice_normals(dim(), n, seed, stream);
    const double half = 0.5 * dim();
    const detail::BetaLaw squares(half, power() + 1);  // of |x − c|²/R²
    for (Eigen::Index i = 0; i < n; ++i) {
      const double s = x.col(i).squaredNorm();
      const double ratio = squares.quantile(detail::gamma_level(half, 0.5 * s)).below;
      if (s > 0) x.col(i) *= radius_ * std::sqrt(ratio / s);
      x.col(i) += centre_;
    }
    return x;
  }
  double density(const Eigen::VectorXd& x) const { return std::exp(log_density(x)); }
  /// −∞ outside the support.
  double log_density(const Eigen::VectorXd& x) const {
    const double s = squared_ratio(x, "log_density");
    return s < 1 ? log_peak_ + power() * std::log1p(-s) : -std::numeric_limits<double>::infinity();
  }
  /// ∇ log density; NaN outside the support, where it does not exist.
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const {
    const double s = squared_ratio(x, "gradient");
    if (!(s < 1))
      return Eigen::VectorXd::Constant(x.size(), std::numeric_limits<double>::quiet_NaN());
    return -2 * power() / (radius_ * radius_ * (1 - s)) * (x - centre_);
  }
  /// (E|X − c|²)^½ = R (n / (n + 2/(m−1) + 2))^½.
  double rms_radius() const { return radius_ * std::sqrt(dim() / (dim() + 2 * power() + 2)); }
  /// The generalized entropy (1/(m−1)) ∫ P^m, in closed form.
  double energy() const {
    return power() * std::exp((exponent_ - 1) * log_peak_) * (power() + 1) /
           (0.5 * dim() + power() + 1);
  }

  /// log I, I = ∫_{|x|<1} (1 − |x|²)^{1/(m−1)} dx = π^{n/2} Γ(1/(m−1) + 1) / Γ(1/(m−1) + 1 + n/2).
  static double log_unit_integral(int dim, double exponent) {
    const double p = 1 / (exponent - 1) + 1, half = 0.5 * dim;
    return half * std::log(std::numbers::pi) + std::lgamma(p) - std::lgamma(p + half);
  }

 private:
  static constexpr std::uint32_t stream = 0x42415245;  // "BARE"

  Barenblatt(Eigen::VectorXd centre, double exponent, double radius)
      : centre_(std::move(centre)), exponent_(exponent), radius_(radius) {
    if (centre_.size() < 1)
      throw std::invalid_argument(
          "wgf::Barenblatt: the centre must have at least one coordinate, got none");
    if (!centre_.allFinite())
      throw std::invalid_argument("wgf::Barenblatt: the centre must be finite");
    if (!(exponent > 1) || !std::isfinite(exponent))
      throw std::invalid_argument("wgf::Barenblatt: the exponent must be above 1, got " +
                                  std::to_string(exponent));
    if (!(radius > 0) || !std::isfinite(radius))
      throw std::invalid_argument("wgf::Barenblatt: the radius must be positive, got " +
                                  std::to_string(radius));
    if (!(radius * radius > 0) || !std::isfinite(radius * radius))
      throw std::invalid_argument(
          "wgf::Barenblatt: the radius must have a square that is a number, neither 0 nor "
          "infinite");
    log_peak_ = -log_unit_integral(dim(), exponent) - dim() * std::log(radius);
  }
  static Eigen::VectorXd origin(int dim) {
    if (dim < 1)
      throw std::invalid_argument("wgf::Barenblatt: the dimension must be at least 1, got " +
                                  std::to_string(dim));
    return Eigen::VectorXd::Zero(dim);
  }
  double power() const { return 1 / (exponent_ - 1); }
  double alpha() const { return dim() / (dim() * (exponent_ - 1) + 2); }
  double squared_ratio(const Eigen::VectorXd& x, const char* who) const {
    if (x.size() != centre_.size())
      throw std::invalid_argument(std::string("wgf::Barenblatt::") + who +
                                  ": the point must have " + std::to_string(dim()) +
                                  " coordinates, got " + std::to_string(x.size()));
    return (x - centre_).squaredNorm() / (radius_ * radius_);
  }
  // A sample of Gamma(1/(m−1) + 1) for point i, by the rejection method of Marsaglia and Tsang
  // (2000); each attempt uses one block of random numbers.
  double gamma(std::uint64_t i, std::uint64_t seed) const {
    const double d = power() + 1 - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (std::uint32_t attempt = 0;; ++attempt) {
      const auto four = Random::philox(
          {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32), attempt, stream + 1},
          {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
      const auto uniform = [&](std::size_t k) { return (four[k] + 0.5) * 0x1p-32; };
      const double z =
          std::sqrt(-2 * std::log(uniform(0))) * std::cos(2 * std::numbers::pi * uniform(1));
      const double root = 1 + c * z, v = root * root * root;
      if (root > 0 && std::log(uniform(2)) < 0.5 * z * z + d * (1 - v + std::log(v))) return d * v;
    }
  }

  Eigen::VectorXd centre_;
  double exponent_, radius_, log_peak_ = 0;
};

}  // namespace wgf
