// SPDX-License-Identifier: BSL-1.0
#pragma once
// Mixtures of products of Student's t with two degrees of freedom, q(x) = Σ_k w_k Π_j t₂(x_j −
// m_kj), t₂(z) = (2 + z²)^{−3/2}. Their tails are polynomial and their variances infinite.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../../checks.hpp"
#include "../../measure/uniform_box.hpp"
#include "../../particles.hpp"
#include "../../random.hpp"

namespace wgf {

/// A mixture of products of t₂, with unit scales and equal weights. Normalised.
class StudentMixture {
 public:
  /// \param means d × K, one column per component.
  /// \throws std::invalid_argument for no components, no coordinates, or means that are not finite.
  explicit StudentMixture(Eigen::MatrixXd means) : means_(std::move(means)) {
    detail::check_at_least(means_.cols(), 1, "wgf::StudentMixture", "the number of components");
    detail::check_at_least(means_.rows(), 1, "wgf::StudentMixture", "the dimension");
    if (!means_.allFinite())
      throw std::invalid_argument("wgf::StudentMixture: the means must be finite");
    range_ = means_.cwiseAbs().maxCoeff();
  }
  /// MoS-d of the sampling benchmarks: 10 components with means uniform in [−10, 10]^dim.
  static StudentMixture uniform(int dim = 50, int components = 10, double half_width = 10,
                                std::uint64_t seed = 1) {
    detail::check_at_least(components, 1, "wgf::StudentMixture::uniform",
                           "the number of components");
    return StudentMixture(UniformBox::cube(dim, half_width).sample(components, seed));
  }

  int dim() const { return static_cast<int>(means_.rows()); }
  /// The medians of the components, d × K.
  const Eigen::MatrixXd& means() const { return means_; }
  /// 1/K for each component.
  std::vector<double> weights() const {
    const auto count = static_cast<std::size_t>(means_.cols());
    return std::vector<double>(count, 1 / static_cast<double>(count));
  }
  double log_evidence() const { return 0; }

  double log_density(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), dim(), "wgf::StudentMixture::log_density");
    double largest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (Eigen::Index k = 0; k < means_.cols(); ++k) {
      const double exponent = log_product(k, x);
      if (exponent > largest) sum *= std::exp(largest - exponent), largest = exponent;
      sum += std::exp(exponent - largest);
    }
    return largest + std::log(sum / static_cast<double>(means_.cols()));
  }
  /// ∇ log q: −3 z_j / (2 + z_j²), z = x − m_k, averaged over the components with their
  /// responsibilities.
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), dim(), "wgf::StudentMixture::gradient");
    Eigen::VectorXd g = Eigen::VectorXd::Zero(x.size());
    double largest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (Eigen::Index k = 0; k < means_.cols(); ++k) {
      const double exponent = log_product(k, x);
      if (exponent > largest) {
        const double factor = std::exp(largest - exponent);
        sum *= factor, g *= factor, largest = exponent;
      }
      const double weight = std::exp(exponent - largest);
      const auto z = x.array() - means_.col(k).array();
      g.array() -= 3 * weight * z / (2 + z.square());
      sum += weight;
    }
    return g / sum;
  }
  /// n independent draws, a function of the seed. The quantile of t₂ is (2u − 1)/(2u(1 − u))^½.
  /// \throws std::invalid_argument for n < 1.
  Particles sample(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::StudentMixture::sample");
    Particles x = standard_uniforms(dim(), n, seed, stream);
    const Particles choice = standard_uniforms(1, n, seed, stream + 1);
    for (Eigen::Index i = 0; i < n; ++i) {
      const auto k =
          static_cast<Eigen::Index>(choice(0, i) * static_cast<double>(means_.cols()));  // < K
      const auto u = x.col(i).array();
      x.col(i) = means_.col(k).array() + (2 * u - 1) / (2 * u * (1 - u)).sqrt();
    }
    return x;
  }
  /// d × K: column k is the local maximum that an ascent from the mean of component k reaches,
  /// x_j ← Σ_k a_kj m_kj / Σ_k a_kj with a_kj = r_k / (2 + z_kj²). Columns are equal where
  /// components merge.
  Eigen::MatrixXd modes() const {
    constexpr int max_iterations = 100'000;
    Eigen::MatrixXd result = means_;
    Eigen::VectorXd exponents(means_.cols());
    for (Eigen::Index start = 0; start < means_.cols(); ++start) {
      Eigen::VectorXd x = means_.col(start);
      for (int i = 0; i < max_iterations; ++i) {
        for (Eigen::Index k = 0; k < means_.cols(); ++k) exponents[k] = log_product(k, x);
        const double largest = exponents.maxCoeff();
        Eigen::ArrayXd total = Eigen::ArrayXd::Zero(x.size()), shift = total;
        for (Eigen::Index k = 0; k < means_.cols(); ++k) {
          const Eigen::ArrayXd z = means_.col(k) - x;
          const Eigen::ArrayXd a = std::exp(exponents[k] - largest) / (2 + z.square());
          total += a, shift += a * z;
        }
        const Eigen::VectorXd step = shift / total;
        x += step;
        const double rounding = 4 * std::numeric_limits<double>::epsilon();
        if (step.norm() <= rounding * (1 + x.norm())) break;
      }
      result.col(start) = x;
    }
    return result;
  }

 private:
  static constexpr std::uint32_t stream = 0x4d4f5332;  // "MOS2"

  // log Π_j t₂(x_j − m_kj).
  double log_product(Eigen::Index k, const Eigen::VectorXd& x) const {
    const auto factors = 2 + (x.array() - means_.col(k).array()).square();
    if (!(x.lpNorm<Eigen::Infinity>() < 1e8 && range_ < 1e8)) return -1.5 * factors.log().sum();
    // One logarithm for every 16 factors, whose product does not overflow.
    double sum = 0;
    for (Eigen::Index j = 0; j < x.size(); j += 16)
      sum += std::log(factors.segment(j, std::min<Eigen::Index>(16, x.size() - j)).prod());
    return -1.5 * sum;
  }

  Eigen::MatrixXd means_;
  double range_ = 0;  // the largest coordinate of a mean
};

}  // namespace wgf
