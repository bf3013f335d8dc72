// SPDX-License-Identifier: BSL-1.0
#pragma once
// Descent of the CPU's networks by an update rule, and the average of the iterates.
#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "../../training/optimiser_state.hpp"
#include "../../training/update_rule.hpp"
#include "parameters.hpp"

namespace wgf::eigen {

/// Lets one network descend by an update rule. It holds the rule's moments and the average of the
/// network's iterates; parameters and gradients are the network's own.
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

  /// One step on the sum of the gradient's chunks (in order: the same bits on any number of
  /// threads), which are then cleared.
  template <class Network>
  void descend(Network& network, double rate) {
    network.complete_gradient();
    const auto blocks = network.blocks();
    for (std::size_t i = 0; i < blocks.size(); ++i) step(*blocks[i], memory_[i], rate);
    network.blocks_changed();
  }
  /// The same at a share of the rate, if the gradient is finite.
  template <class Network>
  void descend(Network& network, double rate, double rate_factor, bool finite) {
    if (finite) descend(network, rate * rate_factor);
  }

  /// Adds the parameters to a uniform average of iterates.
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
  /// The average, if there is one, becomes the parameters; the next one begins.
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
  /// Forgets the moments and the number of steps.
  void reset() {
    for (Memory& memory : memory_) {
      memory.steps = 0;
      for (auto& m : memory.moments) std::fill_n(m.data(), m.size(), Scalar(0));
    }
  }

  /// All that training has left in the network and here: see training/optimiser_state.hpp.
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
  /// \throws std::invalid_argument for a state of another network, or of another rule.
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
  /// What belongs to a block of parameters.
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
    long times_set = 0;  // of the block, when its iterates were averaged last
  };
  static std::size_t state_size(const auto& blocks) {
    std::size_t size = 0;
    for (const Block* block : blocks)
      size += wgf::detail::optimiser_state_size(block->count(), Rule::moments);
    return size;
  }
  /// Iterates in the average, which begins anew where parameters were set in the meantime.
  static long averaged(const Block& block, const Memory& memory) {
    return memory.times_set == block.times_set() ? memory.averaged : 0;
  }
  void step(Block& block, Memory& memory, double rate) {
    const long t = ++memory.steps;
    const int chunks = block.chunks();
    team_->share(block.size(), block.size() * static_cast<std::size_t>(chunks), simd::lanes<Scalar>,
                 [&](std::size_t begin, std::size_t end) {
                   // Pieces that stay in the first-level cache through the sum and the update.
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
  std::vector<Memory> memory_;  // by block
};

}  // namespace wgf::eigen
