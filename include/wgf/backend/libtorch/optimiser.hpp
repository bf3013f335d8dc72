// SPDX-License-Identifier: BSL-1.0
#pragma once
// Descent of networks on tensors by an update rule, and averages of the iterates. On a GPU
// everything that changes from one step to the next is on the device, so that a step can be
// recorded and replayed.
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <ATen/core/ivalue.h>  // must come first: see tensor.hpp

#ifdef WGF_TORCH_HAS_CUDA
#include <ATen/ops/_fused_adam.h>
#endif

#include "../../training/adam.hpp"
#include "../../training/optimiser_state.hpp"
#include "../../update_rule.hpp"
#include "network.hpp"

namespace wgf::libtorch {

/// Adam in one CUDA kernel, where LibTorch provides it for the device: on GPUs, in float.
/// \param failed 1 if the step must not be made; undefined if it must.
/// \returns whether the step was handled.
inline bool fused_adam([[maybe_unused]] const Tensor& value,
                       [[maybe_unused]] const Tensor& gradient,
                       [[maybe_unused]] const Tensor& first, [[maybe_unused]] const Tensor& second,
                       [[maybe_unused]] const Tensor& steps, [[maybe_unused]] const Tensor& rate,
                       [[maybe_unused]] const Tensor& failed, [[maybe_unused]] const Adam& rule) {
#ifdef WGF_TORCH_HAS_CUDA
  if (value.is_cuda() && value.scalar_type() == at::kFloat) {
    const auto found = failed.defined() ? std::optional<Tensor>(failed) : std::nullopt;
    at::_fused_adam_({value}, {gradient}, {first}, {second}, {}, {steps}, rate, rule.beta1,
                     rule.beta2, 0, rule.epsilon, false, false, {}, found);
    return true;
  }
#endif
  return false;
}

/// Applies an update rule to one network. It stores the moments of the rule and the average of the
/// network's iterates; parameters and gradients belong to the network.
template <UpdateRule Rule, class Scalar>
class Optimiser {
  static_assert(updates<Rule, View, long, double>,
                "wgf: this update rule is written for arrays and not for tensors; see "
                "wgf::UpdateRule");
  /// Whether the rule takes the step number and the rate as tensors. If not, the host waits for
  /// them, and iterations are not recorded.
  static constexpr bool runs_on_device = updates<Rule, View, Tensor, Tensor>;

 public:
  template <class Network>
  Optimiser(const Device& device, const Rule& rule, const Network& network)
      : device_(device), rule_(rule) {
    rule.check();
    for (const Parameters* block : network.blocks()) memory_.emplace_back(*block);
  }

  /// One step; the gradient is zero afterwards.
  template <class Network>
  void descend(Network& network, double rate) {
    if (device_.draws()) descend(network, rate, at::ones({}, device_.options), true);
    else descend(network, rate, 1.0, true);
  }
  /// The same with the rate multiplied by rate_factor, if the gradient is finite.
  template <class Network>
  void descend(Network& network, double rate, double rate_factor, bool finite) {
    if (!finite) return;
    each(network, [&](Parameters& block, Memory& memory) {
      update(block, memory, ++memory.steps, rate * rate_factor);
      block.gradient.zero_();
    });
    network.blocks_changed();
  }
  template <class Network>
  void descend(Network& network, double rate, double rate_factor, const Tensor& finite) {
    descend(network, rate, rate_factor, finite.template item<bool>());
  }
  /// The same if the factor, the step number and whether the gradient is finite are known only on
  /// the device.
  template <class Network>
  void descend(Network& network, double rate, const Tensor& rate_factor, bool /*finite*/) {
    descend(network, rate, rate_factor, Tensor());
  }
  template <class Network>
  void descend(Network& network, double rate, const Tensor& rate_factor, const Tensor& finite) {
    if constexpr (runs_on_device) {
      const Tensor failed = finite.defined() ? finite.logical_not() : Tensor();
      each(network, [&](Parameters& block, Memory& memory) {
        step_on_device(block, memory, rate, rate_factor, failed);
        block.gradient.zero_();
      });
      network.blocks_changed();
    } else {
      ++host_visits;
      descend(network, rate, rate_factor.template item<double>(),
              !finite.defined() || finite.template item<bool>());
      network.clear_gradient();
    }
  }

  /// Adds the parameters to a uniform average of the iterates.
  template <class Network>
  void accumulate_average(Network& network) {
    each(network, [](Parameters& block, Memory& memory) {
      forget_old_average(block, memory);
      memory.sum += block.value, memory.averaged += 1;
    });
  }
  /// Sets the parameters to the average, if there is one, and begins a new average.
  template <class Network>
  void use_average(Network& network) {
    each(network, [](Parameters& block, Memory& memory) {
      forget_old_average(block, memory);
      if (memory.averaged.template item<double>() > 0)
        block.value.copy_(memory.sum / memory.averaged);
      memory.sum.zero_(), memory.averaged.zero_();
    });
    network.blocks_changed();
  }
  /// Resets the moments and the number of steps.
  void reset() {
    for (Memory& memory : memory_) {
      memory.steps = 0, memory.device_steps.zero_();
      for (Tensor& m : memory.moments) m.zero_();
    }
  }

  /// The complete training state of the network and of this optimiser: see
  /// training/optimiser_state.hpp.
  template <class Network>
  std::vector<double> state(const Network& network) const {
    const auto blocks = network.blocks();
    std::vector<double> state;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const Memory& memory = memory_[i];
      const bool current = memory.times_set == blocks[i]->times_set;
      state.push_back(counts_on_device() ? memory.device_steps.template item<double>()
                                         : static_cast<double>(memory.steps));
      state.push_back(current ? memory.averaged.template item<double>() : 0);
      memory.each_list(blocks[i]->value, [&](const Tensor& list) {
        const Tensor host = list.to(at::kCPU, at::kDouble).contiguous();
        const double* values = host.template data_ptr<double>();
        state.insert(state.end(), values, values + host.numel());
      });
    }
    return state;
  }
  /// \throws std::invalid_argument for the state of another network or another rule.
  template <class Network>
  void set_state(Network& network, std::span<const double> state) {
    std::size_t size = 0;
    for (const Parameters* block : network.blocks())
      size += wgf::detail::optimiser_state_size(block->count(), Rule::moments);
    wgf::detail::StateReader in(state, size);
    each(network, [&](Parameters& block, Memory& memory) {
      memory.steps = in.count(), memory.times_set = block.times_set;
      memory.device_steps.fill_(static_cast<double>(memory.steps));
      const long averaged = in.count();
      memory.averaged.fill_(static_cast<double>(averaged));
      memory.each_list(block.value, [&](Tensor list) {
        const auto values = in.next(block.count());
        list.copy_(at::from_blob(const_cast<double*>(values.data()),
                                 {static_cast<long>(values.size())}, at::kDouble));
      });
      if (averaged == 0) memory.sum.zero_();
    });
    network.blocks_changed();
  }

 private:
  /// The state that belongs to a block of parameters.
  struct Memory {
    explicit Memory(const Parameters& block)
        : sum(at::zeros_like(block.value)),
          averaged(at::zeros({1}, block.value.options())),
          device_steps(at::zeros({1}, block.value.options().dtype(at::kFloat))) {
      for (Tensor& m : moments) m = at::zeros_like(block.value);
    }
    template <class F>
    void each_list(const Tensor& value, F f) const {
      f(value);
      for (const Tensor& m : moments) f(m);
      f(sum);
    }
    std::array<Tensor, Rule::moments> moments;
    Tensor sum, averaged;  // sum and number of the iterates in the average
    Tensor device_steps;   // number of steps, if it is on the device
    long steps = 0;        // number of steps, otherwise
    long times_set = 0;    // of the block, when an iterate was last added to the average
  };
  template <class Network, class F>
  void each(Network& network, F f) {
    const auto blocks = network.blocks();
    for (std::size_t i = 0; i < blocks.size(); ++i) f(*blocks[i], memory_[i]);
  }
  bool counts_on_device() const { return runs_on_device && device_.draws(); }
  static void forget_old_average(const Parameters& block, Memory& memory) {
    if (memory.times_set == block.times_set) return;
    memory.times_set = block.times_set;
    memory.sum.zero_(), memory.averaged.zero_();
  }
  template <class Steps, class Rate>
  void update(Parameters& block, Memory& memory, const Steps& t, const Rate& rate) const {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      // Views: what the rule assigns to them is written to the memory that the graph uses.
      View p(block.value), g(block.gradient);
      [[maybe_unused]] std::array<View, Rule::moments> m{View(memory.moments[I])...};
      rule_.update(p, m[I]..., g, t, rate);
    }(std::make_index_sequence<Rule::moments>());
  }
  void step_on_device(Parameters& block, Memory& memory, double rate, const Tensor& rate_factor,
                      const Tensor& failed) const {
    // Here, because recording never starts before the first step.
    forget_old_average(block, memory);
    if (failed.defined()) memory.device_steps.add_(failed.logical_not());
    else memory.device_steps.add_(1);
    if constexpr (std::is_same_v<Rule, Adam>)
      if (fused_adam(block.value, block.gradient, memory.moments[0], memory.moments[1],
                     memory.device_steps, rate_factor.to(at::kFloat) * rate,
                     failed.defined() ? failed.to(at::kFloat) : Tensor(), rule_))
        return;
    // Scalars rather than lists with one element, so that the precision of the lists is unchanged.
    const Tensor t = memory.device_steps.reshape({}).to(at::kDouble),
                 now = rate_factor.reshape({}).to(at::kDouble) * rate;
    if (!failed.defined()) return update(block, memory, t, now);
    // The step is always made; where it must not be, everything is restored.
    const Tensor value = block.value.clone();
    std::array<Tensor, Rule::moments> moments;
    for (std::size_t i = 0; i < moments.size(); ++i) moments[i] = memory.moments[i].clone();
    update(block, memory, t, now);
    block.value.copy_(at::where(failed, value, block.value));
    for (std::size_t i = 0; i < moments.size(); ++i)
      memory.moments[i].copy_(at::where(failed, moments[i], memory.moments[i]));
  }

  Device device_;
  Rule rule_;
  std::vector<Memory> memory_;  // one per block
};

}  // namespace wgf::libtorch
