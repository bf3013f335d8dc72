// SPDX-License-Identifier: BSL-1.0
#pragma once
// The parameters of a sum of two networks, on any backend.
#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace wgf {

/// Two networks, each with its own parameters; in lists, those of the first come first. A backend
/// defines how their outputs are combined.
template <class First, class Second, class Scalar>
class NetworkPair {
 public:
  void restart() { first_.restart(), second_.restart(); }
  std::vector<Scalar> parameters() const {
    return joined(first_.parameters(), second_.parameters());
  }
  void set_parameters(std::span<const Scalar> values) {
    const std::size_t n = std::min(first_.parameters().size(), values.size());
    first_.set_parameters(values.first(n));
    second_.set_parameters(values.subspan(n));
  }
  std::vector<Scalar> gradient() { return joined(first_.gradient(), second_.gradient()); }
  void clear_gradient() { first_.clear_gradient(), second_.clear_gradient(); }

  // ---- for an optimiser: the blocks of both

  auto blocks() { return joined(first_.blocks(), second_.blocks()); }
  auto blocks() const { return joined(first_.blocks(), second_.blocks()); }
  void complete_gradient() { first_.complete_gradient(), second_.complete_gradient(); }
  void blocks_changed() { first_.blocks_changed(), second_.blocks_changed(); }

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
  template <class T, std::size_t m, std::size_t n>
  static std::array<T, m + n> joined(const std::array<T, m>& a, const std::array<T, n>& b) {
    std::array<T, m + n> both;
    std::copy(a.begin(), a.end(), both.begin());
    std::copy(b.begin(), b.end(), both.begin() + m);
    return both;
  }
};

}  // namespace wgf
