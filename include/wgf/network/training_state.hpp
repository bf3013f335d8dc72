// SPDX-License-Identifier: BSL-1.0
#pragma once
// The form in which networks hand out all that training has left in them, on any backend: the
// number of Adam's steps, that of the iterates in the average, and four lists in the host's order:
// the parameters, Adam's two moments, the average. Doubles hold all of it exactly.
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

namespace wgf::detail {

constexpr std::size_t training_state_size(std::size_t parameters) { return 2 + 4 * parameters; }
/// \throws std::invalid_argument for a state of another network, or counts that are none.
inline void check_training_state(std::size_t parameters, std::span<const double> state) {
  const std::size_t given = state.size();
  if (given != training_state_size(parameters))
    throw std::invalid_argument("wgf: the training state of a network of " +
                                std::to_string(parameters) + " parameters has " +
                                std::to_string(training_state_size(parameters)) + " numbers, " +
                                std::to_string(given) + " were given");
  for (const double count : state.first(2))
    if (!(count >= 0 && count <= 1e15))
      throw std::invalid_argument("wgf: a count of a training state is out of range");
}

}  // namespace wgf::detail
