// SPDX-License-Identifier: BSL-1.0
#pragma once
// A network's parameters: padded storage for the SIMD code, an unpadded list for the host,
// gradients by chunk.
#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "tiles.hpp"

namespace wgf::eigen {

/// Blocks of parameters in one array, each row padded to whole registers. The host's order is block
/// by block, row by row, without padding.
template <class Scalar>
class Parameters {
 public:
  /// Adds a rows × cols block. \returns its offset.
  std::size_t add(int rows, int cols) {
    const std::size_t at = size_;
    blocks_.push_back({at, rows, cols, simd::padded<Scalar>(cols)});
    size_ += static_cast<std::size_t>(rows) * blocks_.back().stride;
    count_ += static_cast<std::size_t>(rows) * cols;
    return at;
  }
  void allocate(int chunks) {
    value_ = Buffer<Scalar>(size_);
    for (int k = 0; k < chunks; ++k) gradient_.emplace_back(size_);
  }

  const Scalar* data() const { return value_.data(); }
  Scalar* data() { return value_.data(); }
  /// The size of the array with its padding; the padding and its gradients are zero.
  std::size_t size() const { return size_; }
  Scalar* gradient(int chunk) const { return gradient_[chunk].data(); }
  int chunks() const { return static_cast<int>(gradient_.size()); }
  void clear_gradient() {
    for (auto& g : gradient_) std::fill_n(g.data(), size_, Scalar(0));
  }

  std::size_t count() const { return count_; }
  std::vector<Scalar> values() const { return read(value_); }
  void set_values(std::span<const Scalar> values) {
    if (values.size() != count_)
      throw std::invalid_argument("wgf: a network of " + std::to_string(count_) +
                                  " parameters was given " + std::to_string(values.size()));
    visit([&](std::size_t i, std::size_t at) { value_.data()[at] = values[i]; });
    ++times_set_;
  }
  /// How often the parameters were set; setting them invalidates an average of earlier iterates.
  long times_set() const { return times_set_; }
  std::vector<Scalar> gradient_values() const {
    std::vector<Scalar> total(count_);
    for (const auto& g : gradient_) {
      const auto part = read(g);
      std::transform(part.begin(), part.end(), total.begin(), total.begin(), std::plus<>());
    }
    return total;
  }
  /// f(i, at) for all parameters: index in the host's order, offset in the array.
  template <class F>
  void visit(F f) const {
    std::size_t i = 0;
    for (const Block& b : blocks_)
      for (int r = 0; r < b.rows; ++r)
        for (int c = 0; c < b.cols; ++c) f(i++, b.at + static_cast<std::size_t>(r) * b.stride + c);
  }

 private:
  struct Block {
    std::size_t at;
    int rows, cols, stride;
  };
  std::vector<Scalar> read(const Buffer<Scalar>& b) const {
    std::vector<Scalar> values(count_);
    visit([&](std::size_t i, std::size_t at) { values[i] = b.data()[at]; });
    return values;
  }

  std::vector<Block> blocks_;
  std::size_t size_ = 0, count_ = 0;
  long times_set_ = 0;
  Buffer<Scalar> value_;
  std::vector<Buffer<Scalar>> gradient_;
};

/// Parameter handling that all networks share. After each change Derived::refresh() recomputes what
/// the network derives from the parameters. If a network accumulates gradients with respect to
/// functions of its parameters, Derived::chain() adds their contributions to the gradient and
/// clears them.
template <class Derived, class Scalar>
class ParametricNetwork {
 public:
  std::vector<Scalar> parameters() const { return parameters_.values(); }
  void set_parameters(std::span<const Scalar> values) {
    parameters_.set_values(values);
    refresh();
  }
  std::vector<Scalar> gradient() {
    complete_gradient();
    return parameters_.gradient_values();
  }
  void clear_gradient() {
    complete_gradient();
    parameters_.clear_gradient();
  }

  // ---- for an optimiser, which writes to the blocks between complete_gradient() and
  // blocks_changed()

  std::array<Parameters<Scalar>*, 1> blocks() { return {&parameters_}; }
  std::array<const Parameters<Scalar>*, 1> blocks() const { return {&parameters_}; }
  /// Adds everything that VJPs have accumulated to the gradients of the blocks.
  void complete_gradient() { static_cast<Derived*>(this)->chain(); }
  /// Recomputes what the network derives from the parameters.
  void blocks_changed() { refresh(); }

 protected:
  explicit ParametricNetwork(ThreadTeam& team) : team_(&team) {}
  void chain() {}
  ThreadTeam* team_;
  Parameters<Scalar> parameters_;

 private:
  void refresh() { static_cast<Derived*>(this)->refresh(); }
};

}  // namespace wgf::eigen
