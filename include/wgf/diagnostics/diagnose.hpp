// SPDX-License-Identifier: BSL-1.0
#pragma once
// All diagnostics that apply to a flow, and their overall verdict.
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "energy.hpp"
#include "importance.hpp"
#include "missed_mass.hpp"
#include "stein.hpp"

namespace wgf {

/// Options of diagnose. The result is a function of the seed, from which the seeds of the
/// individual diagnostics are derived.
struct DiagnosticOptions {
  long samples = 10'000;  ///< drawn from the flow, at least 25 and more than the dimension
  std::uint64_t seed = 0;
  SteinOptions stein{};
  MissedMassOptions missed_mass{};
  std::vector<Progress> history{};  ///< of a Recorder, for the energy
  std::optional<double> energy_tolerance{};
};

/// The results of the diagnostics that apply.
struct Diagnosis {
  std::optional<ImportanceSampling> importance;
  std::optional<SteinDiscrepancy> stein;
  std::optional<MissedMass> missed_mass;
  std::optional<EnergyDecay> energy;
  std::vector<std::string> lines;  ///< a summary of each, or why it does not apply
  Verdict verdict = Verdict::inconclusive;
  std::string overall;  ///< one line

  /// All lines, the overall one first.
  std::string text() const {
    std::string all = overall + '\n';
    for (const auto& line : lines) all += "  " + line + '\n';
    return all;
  }
};

/// Checks how well the samples of a flow represent the target, by importance weights, the Stein
/// discrepancy, the missed mass and, given a history, the energy. If P_0 has no density (an
/// Empirical, for example), the first and the third do not apply.
/// \param target log p up to a constant, with or without its gradient, as for kl().
/// \throws std::invalid_argument as the individual diagnostics do.
template <class Flow, class T>
Diagnosis diagnose(const Flow& flow, const T& target, const DiagnosticOptions& options = {}) {
  const auto seed = [&](std::uint64_t part) {
    return detail::mixed_seed(options.seed + 0x43455254u + part);
  };  // different from the seeds of training
  Diagnosis result;
  Particles x;
  std::string found, open;
  int count = 0;
  const auto add = [&](const char* name, const auto& part) {
    result.lines.push_back(part.summary());
    if (part.verdict() == Verdict::problem)
      found += (found.empty() ? "" : ", ") + std::string(name);
    if (part.verdict() == Verdict::inconclusive)
      open += (open.empty() ? "" : ", ") + std::string(name);
    if (part.verdict() == Verdict::ok) ++count;
  };
  std::string no_density;  // why not
  try {
    flow.sample_with_log_density(1, seed(0));
  } catch (const std::invalid_argument& error) {
    no_density = error.what();
  } catch (const InversionError&) {  // the importance weights report folds
  }
  const bool density = no_density.empty();
  if (density) {
    result.importance = importance(flow, target, options.samples, seed(0));
    add("importance weights", *result.importance);
    x = result.importance->particles;
  } else {
    result.lines.emplace_back("importance weights, missed mass: do not apply: " + no_density);
  }
  if (x.size() == 0) x = flow.sample(options.samples, seed(0));
  SteinOptions stein = options.stein;
  stein.seed = seed(1);
  result.stein = stein_discrepancy(x, target, stein);
  add("Stein discrepancy", *result.stein);
  if (density) {
    MissedMassOptions missed = options.missed_mass;
    missed.seed = seed(2);
    result.missed_mass = missed_mass(*result.importance, x, target, missed);
    add("missed mass", *result.missed_mass);
  }
  if (!options.history.empty()) {
    result.energy = energy_decay(options.history, options.energy_tolerance);
    add("energy", *result.energy);
  }
  result.verdict = !found.empty() ? Verdict::problem
                   : count > 0    ? Verdict::ok
                                  : Verdict::inconclusive;
  result.overall = !found.empty() ? "faults found by: " + found
                   : count > 0    ? "no fault found by " + std::to_string(count) +
                                     (count > 1 ? " diagnostics" : " diagnostic")
                               : "cannot tell";
  if (found == "Stein discrepancy" && density && open.empty())
    result.overall += ", which the importance weights correct";
  if (!open.empty() && result.verdict != Verdict::inconclusive)
    result.overall += "; cannot tell: " + open;
  return result;
}

}  // namespace wgf
