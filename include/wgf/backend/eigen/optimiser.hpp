// SPDX-License-Identifier: BSL-1.0
#pragma once
// Descent of the CPU's networks by an update rule, and averages of the iterates.
#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "../../training/optimiser_state.hpp"
#include "../../update_rule.hpp"
#include "parameters.hpp"

namespace wgf::eigen {

/// Applies an update rule to one network. It stores the moments of the rule and the average of the
/// network's iterates; parameters and gradients belong to the network.
template <UpdateRule Rule, class Scalar>
class Optimiser {
  using Block = Parameters<Scalar>;

 public:
  template <class Network>
  Optimiser(ThreadTeam& team, const Rule& rule, const Network& network)
      : team_(&team), rule_(rule) {
    rule.check();
    for (const Block* block : network.blocks()) memory_.emplace_back(block->size());
  }

  /// One step on the sum of the gradient's chunks, which are then cleared. They are added in order,
  /// so that the bits do not depend on the number of threads.
  template <class Network>
  void descend(Network& network, double rate) {
    network.complete_gradient();
    const auto blocks = network.blocks();
    for (std::size_t i = 0; i < blocks.size(); ++i) step(*blocks[i], memory_[i], rate);
    network.blocks_changed();
  }
  /// The same with the rate multiplied by rate_factor, if the gradient is finite.
  template <class Network>
  void descend(Network& network, double rate, double rate_factor, bool finite) {
    if (finite) descend(network, rate * rate_factor);
  }

  /// Adds the parameters to a uniform average of the iterates.
  template <class Network>
  void accumulate_average(Network& network) {
    const auto blocks = network.blocks();
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      Memory& memory = memory_[i];
      const auto n = static_cast<long>(blocks[i]->size());
      const Values<Scalar> value(blocks[i]->data(), n);
      Values<Scalar> mean(memory.average.data(), n);
      memory.averaged = averaged(*blocks[i], memory) + 1;
      memory.times_set = blocks[i]->times_set();
      if (memory.averaged == 1) mean = value;
      else mean += (value - mean) / static_cast<Scalar>(memory.averaged);
    }
  }
  /// Sets the parameters to the average, if there is one, and begins a new average.
  template <class Network>
  void use_average(Network& network) {
    const auto blocks = network.blocks();
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (averaged(*blocks[i], memory_[i]) > 0)
        std::copy_n(memory_[i].average.data(), blocks[i]->size(), blocks[i]->data());
      memory_[i].averaged = 0;
    }
    network.blocks_changed();
  }
  /// Resets the moments and the number of steps.
  void reset() {
    for (Memory& memory : memory_) {
      memory.steps = 0;
      for (auto& m : memory.moments) std::fill_n(m.data(), m.size(), Scalar(0));
    }
  }

  /// The complete training state of the network and of this optimiser: see
  /// training/optimiser_state.hpp.
  template <class Network>
  std::vector<double> state(const Network& network) const {
    const auto blocks = network.blocks();
    std::vector<double> state;
    state.reserve(state_size(blocks));
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      state.push_back(static_cast<double>(memory_[i].steps));
      state.push_back(static_cast<double>(averaged(*blocks[i], memory_[i])));
      memory_[i].each_list(blocks[i]->data(), [&](const Scalar* list) {
        blocks[i]->visit([&](std::size_t, std::size_t at) { state.push_back(list[at]); });
      });
    }
    return state;
  }
  /// \throws std::invalid_argument for the state of another network or another rule.
  template <class Network>
  void set_state(Network& network, std::span<const double> state) {
    const auto blocks = network.blocks();
    wgf::detail::StateReader in(state, state_size(blocks));
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      memory_[i].steps = in.count(), memory_[i].averaged = in.count();
      memory_[i].times_set = blocks[i]->times_set();
      memory_[i].each_list(blocks[i]->data(), [&](Scalar* list) {
        const auto values = in.next(blocks[i]->count());
        blocks[i]->visit(
            [&](std::size_t k, std::size_t at) { list[at] = static_cast<Scalar>(values[k]); });
      });
    }
    network.blocks_changed();
  }

 private:
  /// The state that belongs to a block of parameters.
  struct Memory {
    explicit Memory(std::size_t size) : average(size) {
      for (auto& m : moments) m = Buffer<Scalar>(size);
    }
    template <class List, class F>
    void each_list(List* value, F f) const {
      f(value);
      for (const auto& m : moments) f(m.data());
      f(average.data());
    }
    std::array<Buffer<Scalar>, Rule::moments> moments;
    Buffer<Scalar> average;
    long steps = 0, averaged = 0;
    long times_set = 0;  // of the block, when an iterate was last added to the average
  };
  static std::size_t state_size(const auto& blocks) {
    std::size_t size = 0;
    for (const Block* block : blocks)
      size += wgf::detail::optimiser_state_size(block->count(), Rule::moments);
    return size;
  }
  /// The number of iterates in the average, which restarts if the parameters have been set in the
  /// meantime.
  static long averaged(const Block& block, const Memory& memory) {
    return memory.times_set == block.times_set() ? memory.averaged : 0;
  }
  void step(Block& block, Memory& memory, double rate) {
    const long t = ++memory.steps;
    const int chunks = block.chunks();
    team_->share(block.size(), block.size() * static_cast<std::size_t>(chunks), simd::lanes<Scalar>,
                 [&](std::size_t begin, std::size_t end) {
                   // The pieces stay in the first-level cache during the sum and the update.
                   constexpr std::size_t piece = 512;
                   for (std::size_t i = begin; i < end; i += piece) {
                     const auto n = static_cast<long>(std::min(piece, end - i));
                     const auto at = [&](Scalar* list) { return Values<Scalar>(list + i, n); };
                     auto p = at(block.data()), g = at(block.gradient(0));
                     for (int k = 1; k < chunks; ++k) {
                       auto gk = at(block.gradient(k));
                       g += gk;
                       gk.setZero();
                     }
                     apply(p, memory, g, t, rate, at);
                     g.setZero();
                   }
                 });
  }
  template <class P, class G, class At>
  void apply(P& p, Memory& memory, const G& g, long t, double rate, const At& at) const {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      [[maybe_unused]] std::array<P, Rule::moments> m{at(memory.moments[I].data())...};
      rule_.update(p, m[I]..., g, t, rate);
    }(std::make_index_sequence<Rule::moments>());
  }

  ThreadTeam* team_;
  Rule rule_;
  std::vector<Memory> memory_;  // one per block
};

}  // namespace wgf::eigen
