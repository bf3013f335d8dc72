// SPDX-License-Identifier: BSL-1.0
#pragma once
// Resampling of weighted particles, and their genealogy.
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

#include <Eigen/Core>

namespace wgf::detail {

/// Systematic resampling: `count` parents in ascending order, parent i count·w_i times up to
/// rounding.
/// \param weights with sum 1. \param shift uniform in [0, 1)
inline std::vector<Eigen::Index> systematic(const Eigen::ArrayXd& weights, long count,
                                            double shift) {
  std::vector<Eigen::Index> parents(static_cast<std::size_t>(count));
  Eigen::Index last = weights.size() - 1;
  while (last > 0 && !(weights[last] > 0)) --last;  // rounding must not choose a weight of 0
  double below = weights[0];
  for (Eigen::Index i = 0, from = 0; i < count; ++i) {
    const double u = (static_cast<double>(i) + shift) / static_cast<double>(count);
    while (u >= below && from < last) below += weights[++from];
    parents[static_cast<std::size_t>(i)] = from;
  }
  return parents;
}

/// The first particle from which each of n resampled particles descends.
class Genealogy {
 public:
  explicit Genealogy(Eigen::Index n) : roots_(static_cast<std::size_t>(n)) {
    std::iota(roots_.begin(), roots_.end(), Eigen::Index{0});
  }
  /// Particle i becomes a descendant of particle parents[i].
  void select(const std::vector<Eigen::Index>& parents) {
    std::vector<Eigen::Index> roots;
    for (const Eigen::Index parent : parents)
      roots.push_back(roots_[static_cast<std::size_t>(parent)]);
    roots_ = std::move(roots);
  }
  /// The total weight of the descendants of each first particle. \param weights of the n particles
  Eigen::ArrayXd families(const Eigen::ArrayXd& weights) const {
    Eigen::ArrayXd family = Eigen::ArrayXd::Zero(weights.size());
    for (Eigen::Index i = 0; i < weights.size(); ++i)
      family[roots_[static_cast<std::size_t>(i)]] += weights[i];
    return family;
  }

 private:
  std::vector<Eigen::Index> roots_;
};

/// The standard error of the mean of n ≥ 2 independent numbers, relative to the mean.
/// \param shares of the numbers in their sum
inline double relative_error(const Eigen::ArrayXd& shares) {
  const double count = static_cast<double>(shares.size());
  return std::sqrt((shares - 1 / count).square().sum() * count / (count - 1));
}

}  // namespace wgf::detail
