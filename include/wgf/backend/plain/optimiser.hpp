// SPDX-License-Identifier: BSL-1.0
#pragma once
// The optimiser of the plain backend's networks.
#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "../../training/optimiser_state.hpp"
#include "../../update_rule.hpp"
#include "network.hpp"

namespace wgf::plain {

/// Applies an update rule to one network. It stores the moments of the rule and the average of the
/// network's iterates.
template <UpdateRule Rule, class S>
class Optimiser {
  using Block = Parameters<S>;
  using List = Eigen::Array<S, Eigen::Dynamic, 1>;

 public:
  template <class Network>
  Optimiser(const Rule& rule, const Network& network) : rule_(rule) {
    rule.check();
    for (const Block* block : network.blocks()) memory_.emplace_back(block->value.size());
  }
  void descend(auto& network, double rate) {
    network.complete_gradient();
    each(network, [&](Block& block, Memory& memory) {
      const auto map = [](List& list) { return Values<S>(list.data(), list.size()); };
      ++memory.steps;
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        auto p = map(block.value), g = map(block.gradient);
        [[maybe_unused]] std::array<Values<S>, Rule::moments> m{map(memory.moments[I])...};
        rule_.update(p, m[I]..., g, memory.steps, rate);
      }(std::make_index_sequence<Rule::moments>());
      block.gradient.setZero();
    });
    network.blocks_changed();
  }
  void descend(auto& network, double rate, double rate_factor, bool finite) {
    if (finite) descend(network, rate * rate_factor);
  }
  void accumulate_average(auto& network) {
    each(network, [](Block& block, Memory& memory) {
      memory.averaged = averaged(block, memory) + 1, memory.times_set = block.times_set;
      if (memory.averaged == 1) memory.average = block.value;
      else memory.average += (block.value - memory.average) / static_cast<S>(memory.averaged);
    });
  }
  void use_average(auto& network) {
    each(network, [](Block& block, Memory& memory) {
      if (averaged(block, memory) > 0) block.value = memory.average;
      memory.averaged = 0;
    });
    network.blocks_changed();
  }
  void reset() {
    for (Memory& memory : memory_) {
      memory.steps = 0;
      for (List& m : memory.moments) m.setZero();
    }
  }
  std::vector<double> state(const auto& network) const {
    std::vector<double> state;
    const auto blocks = network.blocks();
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const Memory& memory = memory_[i];
      state.push_back(static_cast<double>(memory.steps));
      state.push_back(static_cast<double>(averaged(*blocks[i], memory)));
      const auto put = [&](const List& list) {
        state.insert(state.end(), list.begin(), list.end());
      };
      put(blocks[i]->value);
      for (const List& m : memory.moments) put(m);
      put(memory.average);
    }
    return state;
  }
  void set_state(auto& network, std::span<const double> state) {
    std::size_t size = 0;
    for (const Block* block : network.blocks())
      size += wgf::detail::optimiser_state_size(static_cast<std::size_t>(block->value.size()),
                                                Rule::moments);
    wgf::detail::StateReader in(state, size);
    each(network, [&](Block& block, Memory& memory) {
      memory.steps = in.count(), memory.averaged = in.count(), memory.times_set = block.times_set;
      const auto get = [&](List& list) {
        const auto values = in.next(static_cast<std::size_t>(list.size()));
        list = Eigen::Map<const Eigen::ArrayXd>(values.data(), list.size()).template cast<S>();
      };
      get(block.value);
      for (List& m : memory.moments) get(m);
      get(memory.average);
    });
    network.blocks_changed();
  }

 private:
  /// The state that belongs to a block of parameters.
  struct Memory {
    explicit Memory(Eigen::Index n) : average(List::Zero(n)) {
      for (List& m : moments) m.setZero(n);
    }
    std::array<List, Rule::moments> moments;
    List average;
    long steps = 0, averaged = 0;
    long times_set = 0;  // of the block, when an iterate was last added to the average
  };
  void each(auto& network, auto f) {
    const auto blocks = network.blocks();
    for (std::size_t i = 0; i < blocks.size(); ++i) f(*blocks[i], memory_[i]);
  }
  /// The number of iterates in the average, which restarts if the parameters have been set in the
  /// meantime.
  static long averaged(const Block& block, const Memory& memory) {
    return memory.times_set == block.times_set ? memory.averaged : 0;
  }
  Rule rule_;
  std::vector<Memory> memory_;
};

}  // namespace wgf::plain
