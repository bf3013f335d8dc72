// SPDX-License-Identifier: BSL-1.0
#pragma once
// Whether dual networks know the law of the particles, or the particles by heart: their bound where
// they were trained, and elsewhere.
#include <cmath>
#include <string>

#include "verdict.hpp"

namespace wgf {

/// A dual term's bound E_P[A(u)] − E_base[B(u)] (eq. 8), times its weight, as averages over
/// batches. JkoSolver::State::dual_gaps computes it.
struct DualGap {
  double seen;  ///< over particles of the pool, on which the map and the dual network were trained
  double held_out;  ///< over fresh draws of P_0, pushed through all maps
  double error;     ///< standard error of their difference

  /// By how much the bound is better on what it was trained on.
  double gap() const { return seen - held_out; }
  /// A fault: the gap is more than four times its error, and more than a twentieth of the value, or
  /// of 1.
  Verdict verdict() const {
    if (!std::isfinite(gap()) || !std::isfinite(error)) return Verdict::inconclusive;
    return gap() > 4 * error && gap() > 0.05 * (1 + std::abs(held_out)) ? Verdict::problem
                                                                        : Verdict::ok;
  }
  /// One line.
  std::string summary() const {
    const std::string figures =
        detail::text("dual value %.3g where trained, %.3g on fresh samples", seen, held_out);
    if (verdict() == Verdict::inconclusive) return figures + ": cannot tell";
    if (verdict() == Verdict::ok) return figures + ": no sign that the pool was learnt by heart";
    return figures + detail::text(
                         ": the networks have learnt the pool by heart (gap %.2g ± %.1g); a larger "
                         "pool, or refresh_pool",
                         gap(), error);
  }
};

}  // namespace wgf
