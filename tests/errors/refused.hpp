// SPDX-License-Identifier: BSL-1.0
#pragma once
// The rows of docs/errors.md: what a wrong argument gets.
#include <limits>
#include <string>

#include "../catch.hpp"
#include "../support.hpp"

namespace wgf::test {
inline const double NaN = std::numeric_limits<double>::quiet_NaN(),
                    inf = std::numeric_limits<double>::infinity();
}

/// That the expression throws a `type` with this message. Each stands in docs/errors.md as |
/// `expression` | type | message |, which check_errors.cmake compares.
#define REFUSED(type, message, ...) \
  CHECK(wgf::test::message_of<type>([&] { (void)(__VA_ARGS__); }) == message)
