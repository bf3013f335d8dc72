// SPDX-License-Identifier: BSL-1.0
#pragma once
// What diagnostics share: what one says, how it says it, and what it asks of a target.
#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace wgf {

/// A diagnostic finds a fault, finds none, or cannot tell. None found is not a proof of quality:
/// every diagnostic has its blind side.
enum class Verdict { ok, problem, inconclusive };

namespace detail {
/// printf into a string.
[[gnu::format(printf, 1, 2)]] inline std::string text(const char* format, ...) {
  char buffer[400];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer, sizeof buffer, format, arguments);
  va_end(arguments);
  return buffer;
}
/// \throws std::invalid_argument for a target of another dimension than the samples.
template <class T>
void check_dimension(const char* who, const T& target, int dim) {
  if (target.dim() != dim)
    throw std::invalid_argument(std::string(who) + ": the samples have dimension " +
                                std::to_string(dim) + ", the target " +
                                std::to_string(target.dim()));
}
}  // namespace detail
}  // namespace wgf
