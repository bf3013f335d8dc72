// SPDX-License-Identifier: BSL-1.0
#pragma once
// Gaussian mixtures that samplers are judged by, and the modes of a mixture. All are normalised,
// with equal weights.
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../../checks.hpp"
#include "../../linear_algebra.hpp"
#include "../../measure/gaussian_mixture.hpp"
#include "../../measure/uniform_box.hpp"

namespace wgf {

/// Two interlocking half circles of eight Gaussians with standard deviation 0.25 in the plane
/// (section 4.1).
inline GaussianMixture two_moons() {
  Eigen::MatrixXd means(2, 16);
  for (int i = 0; i < 8; ++i) {
    const double angle = std::numbers::pi * i / 7;
    const double c = 2 * std::cos(angle), s = 2 * std::sin(angle);
    means.col(i) << c - 1, s - 0.5;
    means.col(8 + i) << c + 1, 0.5 - s;
  }
  return GaussianMixture::isotropic(means, 0.25);
}

/// Gaussians N(m_k, sd² I) with means m_k uniform in [−half_width, half_width]^dim.
/// \param seed the means are a function of it; the first means do not depend on `components`.
/// \throws std::invalid_argument for no components, no dimensions, or a half width or standard
/// deviation that is not positive.
inline GaussianMixture uniform_mixture(int components, int dim, double half_width,
                                       double standard_deviation, std::uint64_t seed = 1) {
  detail::check_at_least(components, 1, "wgf::uniform_mixture", "the number of components");
  detail::check_at_least(dim, 1, "wgf::uniform_mixture", "the dimension");
  if (!(half_width > 0) || !std::isfinite(half_width))
    throw std::invalid_argument("wgf::uniform_mixture: the half width must be positive, got " +
                                std::to_string(half_width));
  return GaussianMixture::isotropic(UniformBox::cube(dim, half_width).sample(components, seed),
                                    standard_deviation);
}
/// 10 Gaussians of unit covariance in 64 dimensions, with means uniform in [−2, 2]^64.
inline GaussianMixture mixture64(std::uint64_t seed = 1) {
  return uniform_mixture(10, 64, 2, 1, seed);
}
/// GMM-d of the neural JKO literature: 10 Gaussians of covariance 0.01 I with means uniform in
/// [−1, 1]^d; published for d = 10, 20, 50, 100, 200.
inline GaussianMixture concentrated_mixture(int dim, std::uint64_t seed = 1) {
  return uniform_mixture(10, dim, 1, 0.1, seed);
}
/// GMM40: 40 Gaussians of unit covariance with means uniform in [−40, 40]^d; published for d = 2
/// and 50. Samplers start from N(0, 40² I).
inline GaussianMixture gmm40(int dim = 2, std::uint64_t seed = 1) {
  return uniform_mixture(40, dim, 40, 1, seed);
}

/// Eight Gaussians on the circle of radius 1 about (−1, 0).
/// \throws std::invalid_argument for a variance that is not positive.
inline GaussianMixture eight_modes(double variance = 0.01) {
  Eigen::MatrixXd means(2, 8);
  for (int i = 0; i < 8; ++i) {
    const double angle = std::numbers::pi * i / 4;
    means.col(i) << std::cos(angle) - 1, std::sin(angle);
  }
  return GaussianMixture::isotropic(means, std::sqrt(variance));
}
/// Eight modes of variance 0.005.
inline GaussianMixture eight_peaky_modes() { return eight_modes(0.005); }

/// The modes of a mixture, d × K: column k is the local maximum of the density that an ascent from
/// the mean of component k reaches. It differs from the mean where components overlap, and columns
/// are equal where components merge into one mode. The ascent x ← (Σ r_k Σ_k⁻¹)⁻¹ Σ r_k Σ_k⁻¹ m_k
/// with the responsibilities r_k at x never decreases the density.
inline Eigen::MatrixXd modes(const GaussianMixture& mixture) {
  constexpr int max_iterations = 100'000;
  const std::vector<Gaussian>& components = mixture.components();
  const Eigen::Index d = mixture.dim(), count = static_cast<Eigen::Index>(components.size());
  Eigen::MatrixXd result(d, count);
  Eigen::VectorXd exponents(count), x(d);
  for (Eigen::Index start = 0; start < count; ++start) {
    x = components[static_cast<std::size_t>(start)].mean();
    for (int i = 0; i < max_iterations; ++i) {
      for (Eigen::Index k = 0; k < count; ++k) {
        const auto at = static_cast<std::size_t>(k);
        exponents[k] = std::log(mixture.weights()[at]) + components[at].log_density(x);
      }
      const double largest = exponents.maxCoeff();
      Eigen::MatrixXd precision = Eigen::MatrixXd::Zero(d, d);
      Eigen::VectorXd pull = Eigen::VectorXd::Zero(d);  // −Σ r_k Σ_k⁻¹(x − m_k), a gradient
      for (Eigen::Index k = 0; k < count; ++k) {
        const double weight = std::exp(exponents[k] - largest);
        if (!(weight > 0)) continue;
        const Gaussian& c = components[static_cast<std::size_t>(k)];
        precision += weight * c.precision(), pull += weight * c.gradient(x);
      }
      const Eigen::MatrixXd inverse = detail::inverse_of_lower(detail::cholesky(precision));
      const Eigen::VectorXd step = detail::times(inverse.transpose(), detail::times(inverse, pull));
      x += step;
      const double rounding = 4 * std::numeric_limits<double>::epsilon();
      if (step.norm() <= rounding * (1 + x.norm())) break;
    }
    result.col(start) = x;
  }
  return result;
}

/// log Z, Z = ∫ q. The targets whose log_density is not normalised have a member of this name; the
/// measures of the library are normalised.
template <class T>
double log_evidence(const T& target) {
  if constexpr (requires { target.log_evidence(); }) {
    return target.log_evidence();
  } else {
    static_assert(std::same_as<T, GaussianMixture> || std::same_as<T, Gaussian>,
                  "wgf::log_evidence: the target must have a member log_evidence()");
    return 0;
  }
}

}  // namespace wgf
