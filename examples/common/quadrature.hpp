// SPDX-License-Identifier: BSL-1.0
#pragma once
// Integrals over the line, for known answers.
#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace examples {

/// log ∫ e^f over the line, by the trapezoidal rule where f is within 50 of its largest value. The
/// error is at the level of rounding if f is analytic and falls off on both sides.
/// \param low, high an interval that contains the mass; it is narrowed from there, and f must have
/// no peak narrower than 1/2000 of it, unless f is concave
/// \throws std::runtime_error if f is nowhere finite, or large at an end of the interval
template <class F>
double log_integral(const F& f, double low, double high) {
  constexpr int cells = 2000;
  constexpr double negligible = 50;
  for (int round = 0;; ++round) {
    const double width = (high - low) / cells;
    const auto node = [&](int i) { return low + i * width; };
    double largest = f(low);
    for (int i = 1; i <= cells; ++i) largest = std::max(largest, f(node(i)));
    if (!std::isfinite(largest)) break;
    const auto matters = [&](int i) { return f(node(i)) > largest - negligible; };
    int first = 0, last = cells;
    while (!matters(first)) ++first;
    while (!matters(last)) --last;
    if (round == 0 && (first == 0 || last == cells)) break;
    first = std::max(first - 1, 0), last = std::min(last + 1, cells);
    if (last - first > cells / 2 || round == 20) {
      double sum = 0;
      for (int i = 0; i <= cells; ++i) sum += std::exp(f(node(i)) - largest);
      return largest + std::log(sum * width);
    }
    high = node(last), low = node(first);
  }
  throw std::runtime_error("log_integral: the integral is not finite, or not over this interval");
}

}  // namespace examples
