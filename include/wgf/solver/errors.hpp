// SPDX-License-Identifier: BSL-1.0
#pragma once
// What a run throws when it cannot go on.
#include <stdexcept>
#include <string>
#include <utility>

namespace wgf {

/// A step failed: the log-density, its gradient or a network became non-finite.
class StepError : public std::runtime_error {
 public:
  StepError(int step, int iteration, const std::string& why)
      : std::runtime_error("wgf::JkoSolver: step " + std::to_string(step) + ", iteration " + std::to_string(iteration) + ": " + why),
        step_(step),
        iteration_(iteration) {}
  /// The JKO step, and its iteration, that failed; both from 1.
  int step() const { return step_; }
  int iteration() const { return iteration_; }

 private:
  int step_, iteration_;
};

/// The same, with the steps that succeeded before it.
template <class Flow>
class FlowError : public StepError {
 public:
  FlowError(const StepError& error, Flow flow) : StepError(error), flow_(std::move(flow)) {}
  const Flow& flow() const { return flow_; }

 private:
  Flow flow_;
};

}  // namespace wgf
