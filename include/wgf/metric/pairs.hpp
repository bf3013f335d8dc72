// SPDX-License-Identifier: BSL-1.0
#pragma once
// Exact means over pairs of particles, in O(n·m), for the energy distance and the maximum mean
// discrepancy.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "../particles.hpp"

namespace wgf::detail {

/// \throws std::invalid_argument unless both sets of particles are finite, of the same dimension,
/// and contain at least `least` particles each.
inline void check_clouds(const std::string& who, const Particles& x, const Particles& y,
                         long least) {
  if (x.rows() != y.rows())
    throw std::invalid_argument(who + ": both clouds must have the same dimension, got " +
                                std::to_string(x.rows()) + " and " + std::to_string(y.rows()));
  if (x.rows() < 1)
    throw std::invalid_argument(who + ": the clouds must have at least one dimension");
  if (std::min(x.cols(), y.cols()) < least)
    throw std::invalid_argument(who + ": each cloud must hold at least " + std::to_string(least) +
                                " particles, got " + std::to_string(x.cols()) + " and " +
                                std::to_string(y.cols()));
  if (!x.allFinite() || !y.allFinite())
    throw std::invalid_argument(who + ": the particles must be finite");
}

/// Means of f(|x − y|²) over pairs, where f acts on arrays. Squared distances are computed as sums
/// of squared differences: with |x|² + |y|² − 2x·y those of close pairs would be lost to rounding.
class PairMeans {
 public:
  /// \param x d × n; stored transposed, so that each coordinate is contiguous over the particles.
  explicit PairMeans(const Particles& x) : rows_(x.transpose()), columns_(x) {}

  /// (1/nm) Σ f(|x_i − y_j|²).
  template <class F>
  double across(const PairMeans& y, const F& f) const {
    double sum = 0;
    for (Eigen::Index j = 0; j < y.columns_.cols(); ++j)
      sum += column(0, rows_.rows(), y.columns_.col(j), f);
    return sum / static_cast<double>(rows_.rows()) / static_cast<double>(y.rows_.rows());
  }
  /// (1/n(n − 1)) Σ_{i ≠ j} f(|x_i − x_j|²).
  template <class F>
  double within(const F& f) const {
    const Eigen::Index n = rows_.rows();
    double sum = 0;
    for (Eigen::Index j = 0; j + 1 < n; ++j) sum += column(j + 1, n, columns_.col(j), f);
    return 2 * sum / static_cast<double>(n) / static_cast<double>(n - 1);
  }

 private:
  // Σ f(|x_i − y|²) for begin ≤ i < end, in blocks that fit in the first-level cache.
  template <class Y, class F>
  double column(Eigen::Index begin, Eigen::Index end, const Y& y, const F& f) const {
    constexpr Eigen::Index block = 1024;
    double sum = 0;
    for (Eigen::Index i = begin; i < end; i += block) {
      const Eigen::Index n = std::min(block, end - i);
      alignas(64) double memory[block];
      Eigen::Map<Eigen::ArrayXd, Eigen::Aligned64> squares(memory, n);
      squares = (rows_.col(0).segment(i, n).array() - y(0)).square();
      for (Eigen::Index c = 1; c < rows_.cols(); ++c)
        squares += (rows_.col(c).segment(i, n).array() - y(c)).square();
      sum += f(squares).sum();
    }
    return sum;
  }

  Eigen::MatrixXd rows_;  // n × d
  Particles columns_;     // d × n
};

}  // namespace wgf::detail
