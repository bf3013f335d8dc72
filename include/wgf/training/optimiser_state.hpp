// SPDX-License-Identifier: BSL-1.0
#pragma once
// The form in which optimisers export the complete training state of a network and their own, on
// every backend. For each block of parameters: the number of steps, the number of iterates in the
// average, and lists in the host's order: the parameters, the update rule's moments, the average.
// Doubles represent all of it exactly.
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

namespace wgf::detail {

/// The number of values in the state of a block of parameters.
constexpr std::size_t optimiser_state_size(std::size_t parameters, int moments) {
  return 2 + (2 + static_cast<std::size_t>(moments)) * parameters;
}
/// Reads the states of blocks, one after another.
class StateReader {
 public:
  /// \param size the number of values in the states of all blocks together.
  /// \throws std::invalid_argument for the state of another network.
  StateReader(std::span<const double> state, std::size_t size) : left_(state) {
    if (state.size() != size)
      throw std::invalid_argument("wgf: the training state of this network has " +
                                  std::to_string(size) + " numbers, " +
                                  std::to_string(state.size()) + " were given");
  }
  /// \throws std::invalid_argument for a value that is not a count.
  long count() {
    const double n = next(1)[0];
    if (!(n >= 0 && n <= 1e15))
      throw std::invalid_argument("wgf: a count of a training state is out of range");
    return static_cast<long>(n);
  }
  std::span<const double> next(std::size_t n) {
    const auto part = left_.first(n);
    left_ = left_.subspan(n);
    return part;
  }

 private:
  std::span<const double> left_;
};

}  // namespace wgf::detail
