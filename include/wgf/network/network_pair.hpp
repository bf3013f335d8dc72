// SPDX-License-Identifier: BSL-1.0
#pragma once
// The parameters of two networks that are summed, on any backend.
#include <algorithm>
#include <span>
#include <utility>
#include <vector>

namespace wgf {

/// Two networks, each with its own parameters; in lists, the first one's come first. What they compute together is a backend's to say.
template <class First, class Second, class Scalar>
class NetworkPair {
 public:
  /// One step of Adam, in whichever form the networks take it.
  template <class... How>
    requires requires(First& first, Second& second, const How&... how) { first.descend(how...), second.descend(how...); }
  void descend(const How&... how) {
    first_.descend(how...), second_.descend(how...);
  }
  void accumulate_average() { first_.accumulate_average(), second_.accumulate_average(); }
  void take_average() { first_.take_average(), second_.take_average(); }
  void reset_optimiser() { first_.reset_optimiser(), second_.reset_optimiser(); }
  void restart() { first_.restart(), second_.restart(); }
  std::vector<Scalar> parameters() const { return joined(first_.parameters(), second_.parameters()); }
  void set_parameters(std::span<const Scalar> values) {
    const std::size_t n = std::min(first_.parameters().size(), values.size());
    first_.set_parameters(values.first(n));
    second_.set_parameters(values.subspan(n));
  }
  std::vector<Scalar> gradient() { return joined(first_.gradient(), second_.gradient()); }
  void clear_gradient() { first_.clear_gradient(), second_.clear_gradient(); }

 protected:
  NetworkPair(First first, Second second) : first_(std::move(first)), second_(std::move(second)) {}
  First first_;
  Second second_;

 private:
  static std::vector<Scalar> joined(std::vector<Scalar> a, const std::vector<Scalar>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }
};

}  // namespace wgf
