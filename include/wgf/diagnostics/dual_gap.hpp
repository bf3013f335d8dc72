// SPDX-License-Identifier: BSL-1.0
#pragma once
// Whether dual networks have learnt the law of the particles or overfit the particles: compares
// their bound on the training particles with that on fresh ones.
#include <cmath>
#include <string>

#include "verdict.hpp"

namespace wgf {

/// The bound E_P[A(u)] − E_Γ[B(u)] of a dual term with reference Γ (eq. 8), times its weight,
/// averaged over batches. JkoSolver::State::dual_gaps computes it.
struct DualGap {
  double seen;  ///< over particles of the pool, on which the map and the dual network were trained
  double held_out;  ///< over fresh draws of P_0, pushed through all maps
  double error;     ///< standard error of their difference

  /// By how much the bound is larger on the training particles.
  double gap() const { return seen - held_out; }
  /// A problem if the gap is more than four times its error and more than 0.05·(1 + |held_out|).
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
