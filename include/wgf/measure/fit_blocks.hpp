// SPDX-License-Identifier: BSL-1.0
#pragma once
// A block mixture fitted to particles: coordinates that depend on each other are in one block.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../particles.hpp"
#include "../quasi_random.hpp"
#include "block_mixture.hpp"
#include "fit_mixture.hpp"

namespace wgf {

/// The blocks into which coordinates fall. With z the normal scores of a coordinate's ranks, so
/// that its units and tails do not matter, the correlations of two coordinates are those of z and
/// z² of the one with z and z² of the other: x and x² have correlation 0, but depend on each other.
/// \param x d × n, with at least 10 particles; every coordinate must spread
/// \param dependence two coordinates are in one block if a correlation of theirs, in absolute
/// value, is at least this: 0 makes one block of all, more than 1 as many as there are coordinates.
/// The correlations of 2,000 particles of 32 independent coordinates are below 0.1.
/// \throws std::invalid_argument for other particles, or a negative or NaN dependence.
inline std::vector<std::vector<int>> dependent_blocks(const Particles& x, double dependence = 0.2) {
  if (!(dependence >= 0))
    throw std::invalid_argument("wgf::dependent_blocks: dependence must be at least 0, got " +
                                std::to_string(dependence));
  detail::check_particles_to_fit(x, "wgf::dependent_blocks");
  const Eigen::Index d = x.rows(), n = x.cols();
  Eigen::MatrixXd scores(n, 2 * d);  // z and z² of every coordinate, with mean 0 and variance 1
  std::vector<Eigen::Index> order(static_cast<std::size_t>(n));
  for (Eigen::Index j = 0; j < d; ++j) {
    std::iota(order.begin(), order.end(), Eigen::Index{0});
    std::sort(order.begin(), order.end(), [&](Eigen::Index a, Eigen::Index b) {
      return x(j, a) < x(j, b) || (x(j, a) == x(j, b) && a < b);
    });
    for (Eigen::Index i = 0; i < n; ++i) {
      const double z =
          detail::inverse_normal_cdf((static_cast<double>(i) + 0.5) / static_cast<double>(n));
      const Eigen::Index at = order[static_cast<std::size_t>(i)];
      scores(at, 2 * j) = z, scores(at, 2 * j + 1) = z * z;
    }
  }
  for (Eigen::Index c = 0; c < 2 * d; ++c) {
    scores.col(c).array() -= scores.col(c).mean();
    scores.col(c) /= scores.col(c).norm();
  }
  const Eigen::MatrixXd correlations = detail::product(scores.transpose(), scores);
  std::vector<int> block(static_cast<std::size_t>(d));  // of every coordinate, by its first one
  std::iota(block.begin(), block.end(), 0);
  for (int j = 0; j < d; ++j)
    for (int i = 0; i < j; ++i) {
      const double most = correlations.block(2 * i, 2 * j, 2, 2).cwiseAbs().maxCoeff();
      const int from = block[static_cast<std::size_t>(j)], to = block[static_cast<std::size_t>(i)];
      if (most >= dependence && from != to)
        std::replace(block.begin(), block.end(), std::max(from, to), std::min(from, to));
    }
  std::vector<std::vector<int>> blocks;
  for (int first = 0; first < d; ++first) {
    std::vector<int> members;
    for (int j = first; j < d; ++j)
      if (block[static_cast<std::size_t>(j)] == first) members.push_back(j);
    if (!members.empty()) blocks.push_back(std::move(members));
  }
  return blocks;
}

/// Mixtures fitted to blocks of coordinates, as fit_mixture() does it.
/// \param x d × n, with at least 10 particles; every coordinate must spread
/// \param blocks such as those of dependent_blocks(); every coordinate in one of them
/// \throws std::invalid_argument as fit_mixture and BlockMixture.
inline BlockMixture fit_block_mixture(const Particles& x,
                                      const std::vector<std::vector<int>>& blocks,
                                      const MixtureFitOptions& options = {}) {
  options.check();
  detail::check_particles_to_fit(x, "wgf::fit_block_mixture");
  std::vector<BlockMixture::Block> fitted;
  for (const std::vector<int>& coordinates : blocks) {
    for (const int j : coordinates)
      if (j < 0 || j >= x.rows())
        throw std::invalid_argument("wgf::fit_block_mixture: there is no coordinate " +
                                    std::to_string(j));
    fitted.push_back({coordinates, fit_mixture(detail::rows(x, coordinates), options)});
  }
  return BlockMixture(std::move(fitted));
}

}  // namespace wgf
