// SPDX-License-Identifier: BSL-1.0
#pragma once
// What a certificate says, and how it says it.
#include <cstdarg>
#include <cstdio>
#include <string>

namespace wgf {

/// A certificate finds a fault, finds none, or cannot tell. None found is not a proof of quality: every certificate has its blind side.
enum class Finding { none, fault, unknown };

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
}  // namespace detail
}  // namespace wgf
