// SPDX-License-Identifier: BSL-1.0
#pragma once
// What follows the map of a corrected step: rejections, or a reweighting.
#include <cstdint>
#include <utility>

#include "../flow/flow.hpp"
#include "../step_error.hpp"

namespace wgf::detail {

/// Corrects the particles after the map of a stage, which gets the rejections or the results of its
/// reweighting. Without either, the result has no particles.
/// \param before the flow without the stage. \param proposal the particles and their log-densities
/// \param seed of the run. \param iterations for errors
/// \throws StepError if a map folds at too many draws; as the corrections do
template <class Flow, class Proposal>
Cloud correct(const Flow& before, typename Flow::StageType& stage, int rejections, double rejected,
              const Proposal& proposal, std::uint64_t seed, int iterations) {
  if (rejections == 0 && !stage.reweighting) return {};
  Flow flow = before;
  flow.stages.push_back(stage);
  auto [x, log_densities] = proposal();
  Cloud cloud{std::move(x), std::move(log_densities)};
  try {
    for (int j = 0; j < rejections; ++j) reject(flow, cloud, rejected, seed);
    if (stage.reweighting) reweight_last(flow, cloud, seed);
  } catch (const InversionError& error) {
    throw StepError(flow.size(), iterations, error.what(), Fault::folded);
  }
  stage = std::move(flow.stages.back());
  return cloud;
}

}  // namespace wgf::detail
