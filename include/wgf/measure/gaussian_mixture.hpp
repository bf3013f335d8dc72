// SPDX-License-Identifier: BSL-1.0
#pragma once
// The mixture Σ w_k N(m_k, Σ_k). With responsibilities r_k ∝ w_k N(x; m_k, Σ_k), ∇ log q(x) = −Σ
// r_k Σ_k⁻¹(x − m_k).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../checks.hpp"
#include "gaussian.hpp"

namespace wgf {

/// A finite mixture of Gaussians. The weights need not sum to 1: they are normalised.
class GaussianMixture {
 public:
  /// \throws std::invalid_argument if there are no components, the number of weights is different,
  /// a weight is not positive or underflows when normalised, or the dimensions of components
  /// differ.
  GaussianMixture(std::vector<double> weights, std::vector<Gaussian> components)
      : weights_(std::move(weights)), components_(std::move(components)) {
    if (components_.empty())
      throw std::invalid_argument(
          "wgf::GaussianMixture: at least one component is needed, got none");
    if (weights_.size() != components_.size())
      throw std::invalid_argument("wgf::GaussianMixture: every component needs a weight, got " +
                                  std::to_string(weights_.size()) + " weights for " +
                                  std::to_string(components_.size()) + " components");
    double sum = 0;
    for (const double w : weights_) {
      if (!(w > 0) || !std::isfinite(w))
        throw std::invalid_argument("wgf::GaussianMixture: the weights must be positive, got " +
                                    std::to_string(w));
      sum += w;
    }
    for (const Gaussian& c : components_)
      if (c.dim() != dim())
        throw std::invalid_argument(
            "wgf::GaussianMixture: the components must have the same dimension, got " +
            std::to_string(dim()) + " and " + std::to_string(c.dim()));
    // Weights that are already normalised are kept bit for bit: rounding can make their sum differ
    // from 1 by this much.
    if (!std::isfinite(sum))
      throw std::invalid_argument("wgf::GaussianMixture: the weights' sum must be finite");
    if (std::abs(sum - 1) <=
        static_cast<double>(weights_.size()) * std::numeric_limits<double>::epsilon())
      sum = 1;
    for (std::size_t k = 0; k < weights_.size(); ++k) {
      weights_[k] /= sum;
      if (!(weights_[k] > 0))
        throw std::invalid_argument("wgf::GaussianMixture: a weight vanishes beside the others");
      log_scale_.push_back(std::log(weights_[k]) + components_[k].log_normaliser());
    }
  }
  /// Equal weights, with one component N(centre, sd² I) for every column of `centres` (d × K).
  static GaussianMixture isotropic(const Eigen::MatrixXd& centres, double sd) {
    std::vector<Gaussian> components;
    for (Eigen::Index k = 0; k < centres.cols(); ++k)
      components.push_back(Gaussian::isotropic(Eigen::VectorXd(centres.col(k)), sd));
    return {std::vector<double>(components.size(), 1.0), std::move(components)};
  }

  int dim() const { return components_.front().dim(); }
  /// Normalised: their sum is 1.
  const std::vector<double>& weights() const { return weights_; }
  const std::vector<Gaussian>& components() const { return components_; }
  Eigen::VectorXd mean() const {
    Eigen::VectorXd m = Eigen::VectorXd::Zero(dim());
    for (std::size_t k = 0; k < components_.size(); ++k)
      for (Eigen::Index j = 0; j < m.size(); ++j) m[j] += weights_[k] * components_[k].mean()[j];
    return m;
  }
  Eigen::MatrixXd covariance() const {
    const Eigen::VectorXd m = mean();
    Eigen::MatrixXd c = Eigen::MatrixXd::Zero(dim(), dim());
    for (std::size_t k = 0; k < components_.size(); ++k) {
      const Gaussian& part = components_[k];
      for (Eigen::Index j = 0; j < m.size(); ++j)
        for (Eigen::Index i = 0; i < m.size(); ++i)
          c(i, j) += weights_[k] *
                     (part.covariance()(i, j) + (part.mean()[i] - m[i]) * (part.mean()[j] - m[j]));
    }
    return c;
  }

  /// n independent draws, a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles sample(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::GaussianMixture::sample");
    // Separate random streams: a Gaussian sampled with the same seed, for example as initial
    // particles, must not be correlated with the sample.
    return from_standard(standard_uniforms(1, n, seed, stream + 1),
                         standard_normals(dim(), n, seed, stream));
  }
  /// n evenly spread points of the law, a function of the seed: a lattice with a random shift. Its
  /// first coordinate chooses the component, which gets n times its weight of the points, up to 1;
  /// where it is between the limits of the component becomes the first normal. In one dimension
  /// these are quantiles of every component.
  /// \throws std::invalid_argument for n < 1.
  Particles quasi_random(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::GaussianMixture::quasi_random");
    Particles u = detail::lattice(dim(), n, seed, stream);
    const Particles choice = u.row(0);
    for (Eigen::Index i = 0; i < n; ++i) {
      const auto [k, end] = component_at(choice(0, i));
      const double within = 1 - (end - choice(0, i)) / weights_[k];
      u(0, i) = std::clamp(within, 0x1p-60, 1 - 0x1p-53);  // rounding
    }
    return from_standard(choice, u.unaryExpr(&detail::inverse_normal_cdf));
  }
  double log_density(const Eigen::VectorXd& x) const {
    check(x.size(), "log_density");
    LogSum total;
    Eigen::VectorXd scratch(x.size());
    for (std::size_t k = 0; k < components_.size(); ++k)
      total.add(log_scale_[k] - 0.5 * squared_distance(k, x, scratch));
    return total.value();
  }
  /// ∇ log density.
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const {
    check(x.size(), "gradient");
    LogSum total;
    Eigen::VectorXd scratch(x.size()), g = Eigen::VectorXd::Zero(x.size());
    for (std::size_t k = 0; k < components_.size(); ++k) {
      const double exponent = log_scale_[k] - 0.5 * squared_distance(k, x, scratch);
      const double factor = total.add(exponent), weight = std::exp(exponent - total.largest);
      for (Eigen::Index j = 0; j < x.size(); ++j) g[j] = factor * g[j] - weight * scratch[j];
    }
    return g / total.sum;
  }
  /// Writes the gradients at all columns of x to `out`, which is resized to the shape of x. Works
  /// on blocks of points, so that the compiler vectorises over points and each component's matrix
  /// is read once per block.
  void gradients(const Particles& x, Particles& out) const {
    check(x.rows(), "gradients");
    constexpr Eigen::Index block = 128;
    const Eigen::Index d = x.rows(), count = static_cast<Eigen::Index>(components_.size());
    out.resize(d, x.cols());
    // Points contiguous: block × d and block × K.
    Eigen::MatrixXd points(block, d), shift(block, d), pulls(block, d * count);
    Eigen::ArrayXXd exponents(block, count);
    Eigen::ArrayXd largest(block), sum(block);
    for (Eigen::Index first = 0; first < x.cols(); first += block) {
      const Eigen::Index n = std::min(block, x.cols() - first);
      for (Eigen::Index i = 0; i < n; ++i)
        for (Eigen::Index j = 0; j < d; ++j) points(i, j) = x(j, first + i);
      for (Eigen::Index k = 0; k < count; ++k) {
        const Gaussian& c = components_[static_cast<std::size_t>(k)];
        double* const exponent = &exponents(0, k);
        for (Eigen::Index j = 0; j < d; ++j)
          for (Eigen::Index i = 0; i < n; ++i) shift(i, j) = points(i, j) - c.mean()[j];
        if (!c.is_diagonal()) pulls.middleCols(k * d, d) = detail::product(shift, c.precision());
        for (Eigen::Index i = 0; i < n; ++i) exponent[i] = 0;
        for (Eigen::Index j = 0; j < d; ++j) {
          double* const pull = &pulls(0, k * d + j);  // Σ_k⁻¹(x − m_k)
          const double* const from = &shift(0, j);
          if (c.is_diagonal())
            for (Eigen::Index i = 0; i < n; ++i) pull[i] = c.precision()(j, j) * from[i];
          for (Eigen::Index i = 0; i < n; ++i) exponent[i] += from[i] * pull[i];
        }
        for (Eigen::Index i = 0; i < n; ++i) {
          exponent[i] = log_scale_[static_cast<std::size_t>(k)] - 0.5 * exponent[i];
          largest[i] = k == 0 ? exponent[i] : std::max(largest[i], exponent[i]);
        }
      }
      for (Eigen::Index k = 0; k < count; ++k)
        for (Eigen::Index i = 0; i < n; ++i) exponents(i, k) -= largest[i];
      exponents = exponents.exp();
      sum.setZero();
      for (Eigen::Index k = 0; k < count; ++k)
        for (Eigen::Index i = 0; i < n; ++i) sum[i] += exponents(i, k);
      for (Eigen::Index j = 0; j < d; ++j) {
        double* const g = &shift(0, j);
        for (Eigen::Index i = 0; i < n; ++i) g[i] = 0;
        for (Eigen::Index k = 0; k < count; ++k) {
          const double *const weight = &exponents(0, k), *const pull = &pulls(0, k * d + j);
          for (Eigen::Index i = 0; i < n; ++i) g[i] -= weight[i] * pull[i];
        }
        for (Eigen::Index i = 0; i < n; ++i) out(j, first + i) = g[i] / sum[i];
      }
    }
  }
  /// The component with the largest responsibility w_k N(x; m_k, Σ_k) at x; the first of several.
  int mode_of(const Eigen::VectorXd& x) const {
    check(x.size(), "mode_of");
    Eigen::VectorXd scratch(x.size());
    double largest = -std::numeric_limits<double>::infinity();
    int mode = 0;
    for (std::size_t k = 0; k < components_.size(); ++k) {
      const double exponent = log_scale_[k] - 0.5 * squared_distance(k, x, scratch);
      if (exponent > largest) largest = exponent, mode = static_cast<int>(k);
    }
    return mode;
  }

 private:
  static constexpr std::uint32_t stream = 0x4d495820;  // "MIX "

  /// The component that a number in (0, 1) chooses, and the sum of the weights up to it.
  std::pair<std::size_t, double> component_at(double level) const {
    double end = weights_[0];
    std::size_t k = 0;
    while (k + 1 < weights_.size() && level > end) end += weights_[++k];
    return {k, end};
  }
  /// Makes samples of standard normals x; the uniform numbers `choice` choose the components.
  Particles from_standard(const Particles& choice, Particles x) const {
    Eigen::VectorXd z;
    for (Eigen::Index i = 0; i < x.cols(); ++i) {
      const Gaussian& c = components_[component_at(choice(0, i)).first];
      if (c.is_diagonal()) {
        x.col(i) = c.mean() + c.factor().diagonal().cwiseProduct(x.col(i));
      } else {
        z = x.col(i);
        x.col(i) = c.mean() + c.factor().lazyProduct(z);
      }
    }
    return x;
  }
  // log Σ exp(e), one e at a time. add returns the factor by which earlier sums must be multiplied.
  struct LogSum {
    double largest = -std::numeric_limits<double>::infinity(), sum = 0;
    double add(double e) {
      double factor = 1;
      if (e == -std::numeric_limits<double>::infinity())
        return factor;  // x is so far away that its squared distance overflows
      if (e > largest) factor = std::exp(largest - e), sum *= factor, largest = e;
      sum += std::exp(e - largest);
      return factor;
    }
    double value() const { return largest + std::log(sum); }
  };
  // (x − m_k)ᵀΣ_k⁻¹(x − m_k). Writes Σ_k⁻¹(x − m_k) to `pull`, without allocation.
  double squared_distance(std::size_t k, const Eigen::VectorXd& x, Eigen::VectorXd& pull) const {
    const Gaussian& c = components_[k];
    if (c.is_diagonal()) pull = c.precision().diagonal().cwiseProduct(x - c.mean());
    else pull.noalias() = c.precision().lazyProduct(x - c.mean());
    return pull.dot(x - c.mean());
  }
  void check(Eigen::Index d, const char* who) const {
    if (d != dim())
      throw std::invalid_argument(std::string("wgf::GaussianMixture::") + who +
                                  ": the point must have " + std::to_string(dim()) +
                                  " coordinates, got " + std::to_string(d));
  }

  std::vector<double> weights_;
  std::vector<Gaussian> components_;
  std::vector<double> log_scale_;  // log w_k plus the normaliser of component k
};

}  // namespace wgf
