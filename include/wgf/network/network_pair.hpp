// SPDX-License-Identifier: BSL-1.0
#pragma once
// The parameters of two networks that are summed, on any backend.
#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "adam.hpp"
#include "training_state.hpp"

namespace wgf {

/// Two networks, each with its own parameters; in lists, the first one's come first. What they
/// compute together is a backend's to say.
template <class First, class Second, class Scalar>
class NetworkPair {
 public:
  void descend(const Adam& rule) { first_.descend(rule), second_.descend(rule); }
  /// On a device: the rate's share and whether the gradient was finite are the device's to read.
  template <class Share, class Finite>
    requires requires(First& network, const Adam& rule, const Share& share, const Finite& finite) {
      network.descend(rule, share, finite);
    }
  void descend(const Adam& rule, const Share& share, const Finite& finite) {
    first_.descend(rule, share, finite), second_.descend(rule, share, finite);
  }
  void accumulate_average() { first_.accumulate_average(), second_.accumulate_average(); }
  void use_average() { first_.use_average(), second_.use_average(); }
  void reset_optimiser() { first_.reset_optimiser(), second_.reset_optimiser(); }
  void restart() { first_.restart(), second_.restart(); }
  std::vector<Scalar> parameters() const {
    return joined(first_.parameters(), second_.parameters());
  }
  void set_parameters(std::span<const Scalar> values) {
    const std::size_t n = std::min(first_.parameters().size(), values.size());
    first_.set_parameters(values.first(n));
    second_.set_parameters(values.subspan(n));
  }
  std::vector<double> training_state() const {
    return joined(first_.training_state(), second_.training_state());
  }
  void set_training_state(std::span<const double> state) {
    const std::size_t n =
        std::min(detail::training_state_size(first_.parameters().size()), state.size());
    first_.set_training_state(state.first(n));
    second_.set_training_state(state.subspan(n));
  }
  std::vector<Scalar> gradient() { return joined(first_.gradient(), second_.gradient()); }
  void clear_gradient() { first_.clear_gradient(), second_.clear_gradient(); }

 protected:
  NetworkPair(First first, Second second) : first_(std::move(first)), second_(std::move(second)) {}
  First first_;
  Second second_;

 private:
  template <class T>
  static std::vector<T> joined(std::vector<T> a, const std::vector<T>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }
};

}  // namespace wgf
