// SPDX-License-Identifier: BSL-1.0
#pragma once
// Whether a run decreases the functional as JKO steps must: F(P_{k+1}) + W₂²(P_{k+1}, P_k)/(2a) ≤
// F(P_k), since P_k itself is admissible in (4).
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "../options/options.hpp"
#include "verdict.hpp"

namespace wgf {

/// One step of a run, from the second on; all quantities in units of F.
struct EnergyStep {
  int step;           ///< its number, from 1
  double functional;  ///< F after the step, estimated from samples
  double decrease;    ///< of F since the previous step
  double transport;   ///< E|X − T(X)|²/(2a)
  bool holds;         ///< transport ≤ decrease + tolerance
};

/// The JKO energy inequality over a run.
struct EnergyDecay {
  std::vector<EnergyStep> steps;
  double tolerance = 0;
  std::string unknown{};  ///< why there is no answer; empty otherwise

  /// The number of steps that violate the inequality.
  long failures() const {
    return std::count_if(steps.begin(), steps.end(), [](const EnergyStep& s) { return !s.holds; });
  }
  Verdict verdict() const {
    return !unknown.empty() ? Verdict::inconclusive
           : failures() > 0 ? Verdict::problem
                            : Verdict::ok;
  }
  /// One line.
  std::string summary() const {
    if (!unknown.empty()) return "energy: cannot tell: " + unknown;
    if (verdict() == Verdict::ok)
      return detail::text(
          "energy: F + W²/(2a) ≤ F before holds in all %zu steps, within %.2g; F fell by %.3g in "
          "them",
          steps.size(), tolerance,
          steps.front().functional + steps.front().decrease - steps.back().functional);
    const auto gap = [](const EnergyStep& s) {
      return std::isfinite(s.decrease - s.transport) ? s.decrease - s.transport
                                                     : -std::numeric_limits<double>::infinity();
    };
    const auto worst = *std::min_element(
        steps.begin(), steps.end(), [&](const auto& s, const auto& t) { return gap(s) < gap(t); });
    return detail::text(
        "energy: F + W²/(2a) ≤ F before fails in %ld of %zu steps, most in step %d, by %.2g "
        "(tolerance %.2g)",
        failures(), steps.size(), worst.step, -gap(worst), tolerance);
  }
};

/// Checks the inequality for every finished step of a Recorder's history except the first, before
/// which F is not known. For the backward scheme only: if a step has a forward half or is
/// extrapolated, the inequality does not apply to the reported values.
/// \param tolerance by how much the inequality may be violated, in units of F, since both sides are
/// means over a batch. By default three standard deviations of their difference, estimated from the
/// reports in the last third of each step.
/// \throws std::invalid_argument for a negative tolerance.
inline EnergyDecay energy_decay(const std::vector<Progress>& history,
                                std::optional<double> tolerance = {}) {
  if (tolerance && !(*tolerance >= 0 && std::isfinite(*tolerance)))
    throw std::invalid_argument("wgf::energy_decay: the tolerance must not be negative, got " +
                                std::to_string(*tolerance));
  EnergyDecay result;
  // Half the mean square of the differences between successive reports estimates their variance,
  // independently of slow trends.
  double before_squares = 0, after_squares = 0;
  long differences = 0;
  const Progress *last = nullptr, *previous = nullptr;
  for (const Progress& p : history) {
    if (previous && previous->step == p.step && !previous->step_done &&
        3 * previous->iteration >= 2 * p.iterations) {
      const double f = p.functional() - previous->functional(),
                   both = f + p.transport - previous->transport;
      before_squares += f * f / 2, after_squares += both * both / 2, ++differences;
    }
    previous = &p;
    if (!p.step_done) continue;
    if (last)
      result.steps.push_back(
          {p.step, p.functional(), last->functional() - p.functional(), p.transport, true});
    last = &p;
  }
  if (result.steps.empty()) result.unknown = "two finished steps are needed";
  else if (!tolerance && differences < 5)
    result.unknown = "too few reports within steps to know their scatter: give a tolerance";
  if (!result.unknown.empty()) return result;
  result.tolerance =
      tolerance
          ? *tolerance
          : 3 * std::sqrt((before_squares + after_squares) / static_cast<double>(differences));
  for (EnergyStep& s : result.steps) s.holds = s.transport <= s.decrease + result.tolerance;
  return result;
}

}  // namespace wgf
