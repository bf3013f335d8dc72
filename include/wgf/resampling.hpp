// SPDX-License-Identifier: BSL-1.0
#pragma once
// Resampling of weighted particles.
#include <cstddef>
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

}  // namespace wgf::detail
