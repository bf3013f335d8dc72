// SPDX-License-Identifier: BSL-1.0
#pragma once
// Errors that must decrease as a resolution grows.
#include <cmath>
#include <initializer_list>

#include "catch.hpp"

namespace wgf::test {

/// Checks that error(n) is of the given order: from n to 2n it decreases by a factor of 2^order, up
/// to a relative deviation of `slack` / n due to the next order.
template <class F>
void check_order(int order, std::initializer_list<int> resolutions, double slack, F&& error) {
  for (const int n : resolutions)
    CHECK(error(n) / error(2 * n) == Approx(std::exp2(order)).epsilon(slack / n));
}

/// Checks that error(n) decreases from each resolution to the next, to less than `share` of its
/// value: for errors that do not follow a power of n exactly.
/// \return the last error
template <class F>
double converging_error(std::initializer_list<int> resolutions, double share, F&& error) {
  double least = 0;
  for (const int n : resolutions) {
    const double now = error(n);
    if (n != *resolutions.begin()) CHECK(now < share * least);
    least = now;
  }
  return least;
}

}  // namespace wgf::test
