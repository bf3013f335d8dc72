// SPDX-License-Identifier: BSL-1.0
#pragma once
// A law under which blocks of coordinates are independent, each with a Gaussian mixture: with few
// components it has as many modes as the product of their numbers.
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../checks.hpp"
#include "../particles.hpp"
#include "../random.hpp"
#include "gaussian_mixture.hpp"

namespace wgf {

namespace detail {
/// These coordinates of a point, or of all columns.
template <class X>
X rows(const X& x, const std::vector<int>& coordinates) {
  X chosen(static_cast<Eigen::Index>(coordinates.size()), x.cols());
  for (Eigen::Index i = 0; i < x.cols(); ++i)
    for (Eigen::Index j = 0; j < chosen.rows(); ++j)
      chosen(j, i) = x(coordinates[static_cast<std::size_t>(j)], i);
  return chosen;
}
}  // namespace detail

/// The product of Gaussian mixtures of blocks of coordinates.
class BlockMixture {
 public:
  struct Block {
    std::vector<int> coordinates;  ///< from 0, in the order of the law's
    GaussianMixture law;
  };

  /// \throws std::invalid_argument unless every coordinate from 0 to d − 1 is in one block, whose
  /// law has as many dimensions as the block has coordinates.
  explicit BlockMixture(std::vector<Block> blocks) : blocks_(std::move(blocks)) {
    std::size_t d = 0;
    for (const Block& b : blocks_) {
      if (b.law.dim() != static_cast<int>(b.coordinates.size()))
        throw std::invalid_argument(
            "wgf::BlockMixture: a block's law must have as many dimensions as the block has "
            "coordinates, got " +
            std::to_string(b.law.dim()) + " and " + std::to_string(b.coordinates.size()));
      d += b.coordinates.size();
    }
    std::vector<bool> found(d, false);
    for (const Block& b : blocks_)
      for (const int j : b.coordinates) {
        if (j < 0 || static_cast<std::size_t>(j) >= d)
          throw std::invalid_argument(
              "wgf::BlockMixture: the coordinates of the blocks must be those from 0 to " +
              std::to_string(d - 1) + ", got " + std::to_string(j));
        if (found[static_cast<std::size_t>(j)])
          throw std::invalid_argument("wgf::BlockMixture: coordinate " + std::to_string(j) +
                                      " is in two blocks");
        found[static_cast<std::size_t>(j)] = true;
      }
    dim_ = static_cast<int>(d);
    if (dim_ == 0)
      throw std::invalid_argument("wgf::BlockMixture: at least one block is needed, got none");
  }
  /// One block of all coordinates.
  explicit BlockMixture(const GaussianMixture& law)
      : BlockMixture(std::vector<Block>{{first(law.dim()), law}}) {}

  int dim() const { return dim_; }
  const std::vector<Block>& blocks() const { return blocks_; }
  Eigen::VectorXd mean() const {
    Eigen::VectorXd m(dim_);
    for (const Block& b : blocks_) put(b.law.mean(), b.coordinates, m);
    return m;
  }
  Eigen::MatrixXd covariance() const {
    Eigen::MatrixXd c = Eigen::MatrixXd::Zero(dim_, dim_);
    for (const Block& b : blocks_) {
      const Eigen::MatrixXd of_block = b.law.covariance();
      for (std::size_t j = 0; j < b.coordinates.size(); ++j)
        for (std::size_t i = 0; i < b.coordinates.size(); ++i)
          c(b.coordinates[i], b.coordinates[j]) =
              of_block(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j));
    }
    return c;
  }
  /// n independent draws, d × n, a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles sample(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::BlockMixture::sample");
    return assembled(n, seed, [](const GaussianMixture& law, long count, std::uint64_t own) {
      return law.sample(count, own);
    });
  }
  /// n points of the law that are evenly spread in every block, a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles quasi_random(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::BlockMixture::quasi_random");
    return assembled(n, seed, [](const GaussianMixture& law, long count, std::uint64_t own) {
      return law.quasi_random(count, own);
    });
  }
  double log_density(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), dim_, "wgf::BlockMixture::log_density");
    double log = 0;
    for (const Block& b : blocks_) log += b.law.log_density(detail::rows(x, b.coordinates));
    return log;
  }
  /// ∇ log density.
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), dim_, "wgf::BlockMixture::gradient");
    Eigen::VectorXd g(dim_);
    for (const Block& b : blocks_)
      put(b.law.gradient(detail::rows(x, b.coordinates)), b.coordinates, g);
    return g;
  }
  /// Writes the gradients at all columns of x to `out`, which is resized to the shape of x.
  void gradients(const Particles& x, Particles& out) const {
    detail::check_point_size(x.rows(), dim_, "wgf::BlockMixture::gradients");
    out.resize(x.rows(), x.cols());
    Particles of_block;
    for (const Block& b : blocks_) {
      b.law.gradients(detail::rows(x, b.coordinates), of_block);
      put(of_block, b.coordinates, out);
    }
  }

 private:
  static std::vector<int> first(int d) {
    std::vector<int> coordinates;
    for (int j = 0; j < d; ++j) coordinates.push_back(j);
    return coordinates;
  }
  template <class X>
  static void put(const X& of_block, const std::vector<int>& coordinates, X& x) {
    for (Eigen::Index i = 0; i < x.cols(); ++i)
      for (Eigen::Index j = 0; j < of_block.rows(); ++j)
        x(coordinates[static_cast<std::size_t>(j)], i) = of_block(j, i);
  }
  /// Every block has a seed of its own, since the blocks are independent; that of the first one is
  /// the seed itself.
  template <class Draw>
  Particles assembled(long n, std::uint64_t seed, Draw&& draw) const {
    Particles x(dim_, n);
    for (std::size_t k = 0; k < blocks_.size(); ++k)
      put(draw(blocks_[k].law, n, k == 0 ? seed : detail::mixed_seed(detail::mixed_seed(seed) + k)),
          blocks_[k].coordinates, x);
    return x;
  }

  std::vector<Block> blocks_;
  int dim_ = 0;
};

}  // namespace wgf
