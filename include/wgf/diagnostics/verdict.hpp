// SPDX-License-Identifier: BSL-1.0
#pragma once
// What all diagnostics share: verdicts, text formatting, and a check of the target's dimension.
#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace wgf {

/// A diagnostic finds a problem, finds none, or is inconclusive. Finding none does not prove
/// quality: every diagnostic has blind spots.
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
/// \throws std::invalid_argument if the target's dimension is not that of the samples.
template <class T>
void check_dimension(const char* who, const T& target, int dim) {
  if (target.dim() != dim)
    throw std::invalid_argument(std::string(who) + ": the samples have dimension " +
                                std::to_string(dim) + ", the target " +
                                std::to_string(target.dim()));
}
}  // namespace detail
}  // namespace wgf
