// SPDX-License-Identifier: BSL-1.0
#pragma once
// The posterior of a logistic regression: labels y_i ~ Bernoulli(1/(1 + e^{−η_i})), η = H w, with
// the prior w ~ N(0, s² I). Its log-density log p(y | w) + log p(w) is concave; log Z = log p(y).
#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../checks.hpp"
#include "../../linear_algebra.hpp"
#include "../../measure/gaussian.hpp"
#include "../../particles.hpp"

namespace wgf {

/// log Z of LogisticRegression::standardised() with the 208 × 60 data of "Connectionist Bench
/// (Sonar)", d = 61, ± 0.01: tempered sequential Monte Carlo and importance sampling.
inline constexpr double sonar_log_evidence = -108.376;

/// The posterior of a logistic regression's d coefficients. It keeps a copy of the data.
class LogisticRegression {
 public:
  /// \param design H, n × d, one row per observation.
  /// \param labels n numbers, each 0 or 1.
  /// \param prior_standard_deviation s.
  /// \throws std::invalid_argument for no data, data that are not finite, other labels, or a
  /// standard deviation that is not positive.
  LogisticRegression(const Eigen::MatrixXd& design, const Eigen::VectorXd& labels,
                     double prior_standard_deviation = 1)
      : signed_(design.transpose()),
        precision_(1 / (prior_standard_deviation * prior_standard_deviation)) {
    if (design.rows() < 1 || design.cols() < 1)
      throw std::invalid_argument(
          "wgf::LogisticRegression: the design must have rows and columns, got " +
          std::to_string(design.rows()) + " x " + std::to_string(design.cols()));
    if (labels.size() != design.rows())
      throw std::invalid_argument(
          "wgf::LogisticRegression: every row of the design needs a label, got " +
          std::to_string(labels.size()) + " labels for " + std::to_string(design.rows()) + " rows");
    if (!design.allFinite())
      throw std::invalid_argument("wgf::LogisticRegression: the design must be finite");
    if (!(prior_standard_deviation > 0) || !(precision_ > 0) || !std::isfinite(precision_))
      throw std::invalid_argument(
          "wgf::LogisticRegression: the prior's standard deviation must be positive, got " +
          std::to_string(prior_standard_deviation));
    for (Eigen::Index i = 0; i < labels.size(); ++i) {
      if (labels[i] != 0 && labels[i] != 1)
        throw std::invalid_argument("wgf::LogisticRegression: the labels must be 0 or 1, got " +
                                    std::to_string(labels[i]));
      if (labels[i] == 0) signed_.col(i) *= -1;
    }
  }
  /// The benchmarks' preprocessing: a column of ones, then every column of `features` (n × p) with
  /// mean 0 and standard deviation 1, normalised by 1/n. d = p + 1.
  /// \throws std::invalid_argument as the constructor, and for a constant column.
  static LogisticRegression standardised(const Eigen::MatrixXd& features,
                                         const Eigen::VectorXd& labels,
                                         double prior_standard_deviation = 1) {
    Eigen::MatrixXd design(features.rows(), features.cols() + 1);
    design.col(0).setOnes();
    for (Eigen::Index j = 0; j < features.cols(); ++j) {
      if (features.rows() == 0) break;  // refused by the constructor
      const double mean = features.col(j).mean();
      const double sd = std::sqrt((features.col(j).array() - mean).square().mean());
      if (!(sd > 1e-12 * std::abs(mean)))
        throw std::invalid_argument(
            "wgf::LogisticRegression::standardised: the columns must not be constant, column " +
            std::to_string(j) + " is");
      design.col(j + 1) = (features.col(j).array() - mean) / sd;
    }
    return {design, labels, prior_standard_deviation};
  }

  int dim() const { return static_cast<int>(signed_.rows()); }
  /// n.
  long observations() const { return static_cast<long>(signed_.cols()); }
  /// −Σ log(1 + e^{−m_i}) + log N(w; 0, s² I), where the margin m_i is η_i for y_i = 1 and −η_i for
  /// y_i = 0.
  double log_density(const Eigen::VectorXd& w) const {
    detail::check_point_size(w.size(), dim(), "wgf::LogisticRegression::log_density");
    double sum = 0;
    each_block(w, [&](Eigen::Index, Eigen::Index, const Block& margin) {
      // Beyond the data the margin is infinite and adds 0.
      sum += (1 + (-margin.abs()).exp()).log().sum() - margin.min(0.0).sum();
    });
    return -sum - 0.5 * precision_ * w.squaredNorm() +
           0.5 * dim() * std::log(precision_ / (2 * std::numbers::pi));
  }
  /// Σ ±h_i/(1 + e^{m_i}) − w/s².
  Eigen::VectorXd gradient(const Eigen::VectorXd& w) const {
    detail::check_point_size(w.size(), dim(), "wgf::LogisticRegression::gradient");
    Eigen::VectorXd g = -precision_ * w;
    each_block(w, [&](Eigen::Index first, Eigen::Index n, const Block& margin) {
      const Block slope = complement(margin);
      g.noalias() += signed_.middleCols(first, n) * slope.head(n).matrix();
    });
    return g;
  }
  /// Writes the gradients at all columns of w (d × n) to `out`, by two matrix products.
  void gradients(const Particles& w, Particles& out) const {
    detail::check_point_size(w.rows(), dim(), "wgf::LogisticRegression::gradients");
    constexpr Eigen::Index block = 256;  // bounds the memory by block · n numbers
    out.resize(w.rows(), w.cols());
    for (Eigen::Index first = 0; first < w.cols(); first += block) {
      const Eigen::MatrixXd at = w.middleCols(first, std::min(block, w.cols() - first));
      Eigen::MatrixXd slope = detail::product(signed_.transpose(), at);
      slope = complement(slope.array());
      out.middleCols(first, at.cols()) = detail::product(signed_, slope) - precision_ * at;
    }
  }
  /// ∇² log density, d × d, negative definite: −Σ p_i(1 − p_i) h_i h_iᵀ − I/s².
  Eigen::MatrixXd hessian(const Eigen::VectorXd& w) const {
    detail::check_point_size(w.size(), dim(), "wgf::LogisticRegression::hessian");
    Eigen::MatrixXd scaled = signed_;
    each_block(w, [&](Eigen::Index first, Eigen::Index n, const Block& margin) {
      const Block root = (complement(margin) * complement(-margin)).sqrt();
      for (Eigen::Index i = 0; i < n; ++i) scaled.col(first + i) *= root[i];
    });
    return -detail::product(scaled, scaled.transpose()) -
           precision_ * Eigen::MatrixXd::Identity(dim(), dim());
  }
  /// The Laplace approximation: the Gaussian whose mean is the mode and whose covariance is the
  /// inverse of −∇² log density there. By Newton's method with step halving, from 0.
  Gaussian laplace() const {
    Eigen::VectorXd w = Eigen::VectorXd::Zero(dim());
    for (int i = 0; i < 200; ++i) {
      const Eigen::VectorXd g = gradient(w);
      const Eigen::VectorXd step = detail::times(inverse_of_negative(hessian(w)), g);
      const double decrement = g.dot(step), value = log_density(w);
      double length = 1;  // near the mode the log-density's rounding errors would halve full steps
      while (decrement > 1e-8 && length > 1e-10 &&
             !(log_density(w + length * step) >= value + 1e-4 * length * decrement))
        length *= 0.5;
      w += length * step;
      if (step.norm() <= 1e-13 * (1 + w.norm())) break;
    }
    return {w, inverse_of_negative(hessian(w))};
  }
  /// d × 1: the log-density is strictly concave.
  Eigen::MatrixXd modes() const { return laplace().mean(); }
  std::vector<double> weights() const { return {1.0}; }

 private:
  static constexpr int block_size = 64;
  using Block = Eigen::Array<double, block_size, 1>;

  // 1/(1 + e^m), without overflow.
  template <class Margin>
  static typename Margin::PlainObject complement(const Eigen::ArrayBase<Margin>& margin) {
    return (1 + margin.derived().exp()).inverse();
  }
  static Eigen::MatrixXd inverse_of_negative(const Eigen::MatrixXd& hessian) {
    const Eigen::MatrixXd inverse = detail::inverse_of_lower(detail::cholesky(-hessian));
    return detail::symmetric_part(detail::product(inverse.transpose(), inverse));
  }
  // Calls f(first, n, margins) for blocks of observations, without allocation.
  template <class F>
  void each_block(const Eigen::VectorXd& w, F&& f) const {
    for (Eigen::Index first = 0; first < signed_.cols(); first += block_size) {
      const Eigen::Index n = std::min<Eigen::Index>(block_size, signed_.cols() - first);
      Block margin = Block::Constant(1e300);
      margin.head(n).matrix().noalias() = signed_.middleCols(first, n).transpose() * w;
      f(first, n, margin);
    }
  }

  Eigen::MatrixXd signed_;  // d × n: h_i for y_i = 1, −h_i for y_i = 0
  double precision_;        // 1/s²
};

}  // namespace wgf
