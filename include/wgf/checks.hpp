// SPDX-License-Identifier: BSL-1.0
#pragma once
// Checks of arguments that several classes share.
#include <stdexcept>
#include <string>

#include <Eigen/Core>

namespace wgf::detail {

/// \throws std::invalid_argument if a point has another size than `dim`.
inline void check_point_size(Eigen::Index size, int dim, const char* who) {
  if (size != dim)
    throw std::invalid_argument(std::string(who) + ": the point must have " + std::to_string(dim) +
                                " coordinates, got " + std::to_string(size));
}
/// \throws std::invalid_argument for n < 1.
inline void check_sample_count(long n, const char* who) {
  if (n < 1)
    throw std::invalid_argument(std::string(who) + ": at least one sample must be asked for, got " +
                                std::to_string(n));
}
/// \throws std::invalid_argument if value < least; `what` is the subject of the sentence.
inline void check_at_least(long value, long least, const char* who, const char* what) {
  if (value < least)
    throw std::invalid_argument(std::string(who) + ": " + what + " must be at least " +
                                std::to_string(least) + ", got " + std::to_string(value));
}

}  // namespace wgf::detail
