// SPDX-License-Identifier: BSL-1.0
#pragma once
// How a network's parameters follow its gradient: an update rule at a rate, and the average of the
// last iterates.
#include <concepts>
#include <span>
#include <utility>
#include <vector>

#include "../concepts.hpp"

namespace wgf {

/// A rule by which parameters descend along a gradient, such as Adam.
template <class Rule>
concept UpdateRule = std::copyable<Rule> && requires(const Rule& rule) {
  rule.check();
  { Rule::name() } -> std::convertible_to<std::string>;
};

/// Descent of a runtime's networks by a rule.
template <UpdateRule Rule>
class NetworkOptimiser {
 public:
  explicit NetworkOptimiser(const Rule& rule) : rule_(rule) {}

  /// One update at rate · factor along the accumulated gradient, which is cleared; none where it is
  /// not finite. Factor and finiteness may be a device's.
  template <class Network, class Factor, class Finite>
  void descend(Network& network, double rate, const Factor& factor, const Finite& finite) {
    Rule rule = rule_;
    rule.rate = rate;
    if constexpr (requires { network.descend(rule, factor, finite); }) {
      network.descend(rule, factor, finite);
    } else if (finite) {
      rule.rate *= factor;
      network.descend(rule);
    }
  }
  template <class Network>
  void accumulate_average(Network& network) {
    network.accumulate_average();
  }
  template <class Network>
  void use_average(Network& network) {
    network.use_average();
  }
  template <class Network>
  void reset(Network& network) {
    network.reset_optimiser();
  }
  template <class Network>
  std::vector<double> state(const Network& network) const {
    return network.training_state();
  }
  template <class Network>
  void set_state(Network& network, std::span<const double> state) {
    network.set_training_state(state);
  }

 private:
  Rule rule_;
};

template <class R, class Rule, class Network>
NetworkOptimiser<Rule> optimiser_of(const R&, const Rule& rule, const Network&) {
  return NetworkOptimiser<Rule>(rule);
}
template <class R, class Rule, class Network>
using OptimiserOf = NetworkOptimiser<Rule>;

}  // namespace wgf
