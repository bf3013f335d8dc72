// SPDX-License-Identifier: BSL-1.0
#pragma once
// A network's parameters: padded memory for the kernels, a compact list for the host, gradients by
// chunk, Adam's moments, the average.
#include <algorithm>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../network/adam.hpp"
#include "../../network/training_state.hpp"
#include "tiles.hpp"

namespace wgf::eigen {

/// Blocks of parameters in one array, each row padded to whole registers. The host's order is block
/// by block, row by row, without padding.
template <class Scalar>
class Parameters {
 public:
  /// Adds a rows × cols block; returns where it starts.
  std::size_t add(int rows, int cols) {
    const std::size_t at = size_;
    blocks_.push_back({at, rows, cols, simd::padded<Scalar>(cols)});
    size_ += static_cast<std::size_t>(rows) * blocks_.back().stride;
    count_ += static_cast<std::size_t>(rows) * cols;
    return at;
  }
  void allocate(int chunks) {
    for (auto* b : {&value_, &first_, &second_, &average_}) *b = Buffer<Scalar>(size_);
    for (int k = 0; k < chunks; ++k) gradient_.emplace_back(size_);
  }

  const Scalar* data() const { return value_.data(); }
  Scalar* data() { return value_.data(); }
  Scalar* gradient(int chunk) const { return gradient_[chunk].data(); }

  /// One Adam step on the sum of the chunks' gradients (in order: the same bits on any number of
  /// threads), which are then cleared.
  void descend(ThreadTeam& team, const Adam& adam) {
    ++time_;
    team.share(size_, size_ * gradient_.size(), simd::lanes<Scalar>,
               [&](std::size_t begin, std::size_t end) {
                 constexpr std::size_t piece =
                     512;  // stays in the first-level cache through the sum and the update
                 for (std::size_t i = begin; i < end; i += piece) {
                   const auto n = static_cast<long>(std::min(piece, end - i));
                   const auto at = [&](const Buffer<Scalar>& b) {
                     return Values<Scalar>(b.data() + i, n);
                   };
                   auto g = at(gradient_[0]), p = at(value_), m = at(first_), v = at(second_);
                   for (std::size_t k = 1; k < gradient_.size(); ++k) {
                     auto gk = at(gradient_[k]);
                     g += gk;
                     gk.setZero();
                   }
                   adam.update(p, m, v, g, time_);
                   g.setZero();
                 }
               });
  }
  void clear_gradient() {
    for (auto& g : gradient_) std::fill_n(g.data(), size_, Scalar(0));
  }
  /// Forgets Adam's moments.
  void reset_optimiser() {
    time_ = 0;
    for (auto* b : {&first_, &second_}) std::fill_n(b->data(), size_, Scalar(0));
  }

  /// Uniform average of the iterates: `accumulate` adds the present parameters to it, `use_average`
  /// makes it the parameters.
  void accumulate() {
    const long n = static_cast<long>(size_);
    Values<Scalar> mean(average_.data(), n);
    if (averaged_++ == 0) mean = Values<Scalar>(value_.data(), n);
    else mean += (Values<Scalar>(value_.data(), n) - mean) / static_cast<Scalar>(averaged_);
  }
  void use_average() {
    if (averaged_ > 0) std::copy_n(average_.data(), size_, value_.data());
    averaged_ = 0;
  }

  std::size_t count() const { return count_; }
  std::vector<Scalar> values() const { return read(value_); }
  void set_values(std::span<const Scalar> values) {
    if (values.size() != count_)
      throw std::invalid_argument("wgf: a network of " + std::to_string(count_) +
                                  " parameters was given " + std::to_string(values.size()));
    visit([&](std::size_t i, std::size_t at) { value_.data()[at] = values[i]; });
    averaged_ = 0;  // an average under way was of other iterates
  }
  /// All that training has left here: the number of Adam's steps, that of the iterates in the
  /// average, and four lists in the host's order: the parameters, Adam's moments, the average.
  std::vector<double> training_state() const {
    std::vector<double> state{static_cast<double>(time_), static_cast<double>(averaged_)};
    for (const auto* b : {&value_, &first_, &second_, &average_})
      visit([&](std::size_t, std::size_t at) { state.push_back(b->data()[at]); });
    return state;
  }
  void set_training_state(std::span<const double> state) {
    wgf::detail::check_training_state(count_, state);
    time_ = static_cast<long>(state[0]), averaged_ = static_cast<long>(state[1]);
    const double* next = state.data() + 2;
    for (auto* b : {&value_, &first_, &second_, &average_})
      visit([&](std::size_t, std::size_t at) { b->data()[at] = static_cast<Scalar>(*next++); });
  }
  std::vector<Scalar> gradient_values() const {
    std::vector<Scalar> total(count_);
    for (const auto& g : gradient_) {
      const auto part = read(g);
      std::transform(part.begin(), part.end(), total.begin(), total.begin(), std::plus<>());
    }
    return total;
  }

 private:
  struct Block {
    std::size_t at;
    int rows, cols, stride;
  };
  template <class F>
  void visit(F f) const {
    std::size_t i = 0;
    for (const Block& b : blocks_)
      for (int r = 0; r < b.rows; ++r)
        for (int c = 0; c < b.cols; ++c) f(i++, b.at + static_cast<std::size_t>(r) * b.stride + c);
  }
  std::vector<Scalar> read(const Buffer<Scalar>& b) const {
    std::vector<Scalar> values(count_);
    visit([&](std::size_t i, std::size_t at) { values[i] = b.data()[at]; });
    return values;
  }

  std::vector<Block> blocks_;
  std::size_t size_ = 0, count_ = 0;
  long time_ = 0, averaged_ = 0;
  Buffer<Scalar> value_, first_, second_, average_;
  std::vector<Buffer<Scalar>> gradient_;
};

/// What every network does with its parameters. After each change Derived::refresh() renews what
/// the network keeps of them. Where a network gathers gradients of functions of its parameters,
/// Derived::chain() adds what follows from them to the gradient, and clears them.
template <class Derived, class Scalar>
class ParametricNetwork {
 public:
  void descend(const Adam& adam) {
    chained();
    parameters_.descend(*team_, adam);
    refresh();
  }
  void accumulate_average() { parameters_.accumulate(); }
  void use_average() {
    parameters_.use_average();
    refresh();
  }
  void reset_optimiser() { parameters_.reset_optimiser(); }
  std::vector<Scalar> parameters() const { return parameters_.values(); }
  void set_parameters(std::span<const Scalar> values) {
    parameters_.set_values(values);
    refresh();
  }
  std::vector<double> training_state() const { return parameters_.training_state(); }
  void set_training_state(std::span<const double> state) {
    parameters_.set_training_state(state);
    refresh();
  }
  std::vector<Scalar> gradient() {
    chained();
    return parameters_.gradient_values();
  }
  void clear_gradient() {
    chained();
    parameters_.clear_gradient();
  }

 protected:
  explicit ParametricNetwork(ThreadTeam& team) : team_(&team) {}
  void chain() {}
  ThreadTeam* team_;
  Parameters<Scalar> parameters_;

 private:
  void refresh() { static_cast<Derived*>(this)->refresh(); }
  void chained() { static_cast<Derived*>(this)->chain(); }
};

}  // namespace wgf::eigen
