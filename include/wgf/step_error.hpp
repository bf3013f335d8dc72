// SPDX-License-Identifier: BSL-1.0
#pragma once
// What a step throws when it cannot go on.
#include <stdexcept>
#include <string>

namespace wgf {

/// What went wrong in a step.
enum class Fault {
  failed,      ///< a user's function threw, memory was short, a scheme refused: nothing that other
               ///< rates would mend
  not_finite,  ///< the log-density, its gradient, a network or a particle is not finite
  exploded,    ///< the objective rose far above where the step began
  collapsed,   ///< the cloud lost a dimension
  saturated  ///< the dual networks tell the cloud and their base apart with certainty, and have no
             ///< more to say
};

/// A step failed.
class StepError : public std::runtime_error {
 public:
  StepError(int step, int iteration, const std::string& why, Fault fault = Fault::failed)
      : std::runtime_error("wgf::JkoSolver: step " + std::to_string(step) + ", iteration " +
                           std::to_string(iteration) + ": " + why),
        step_(step),
        iteration_(iteration),
        fault_(fault) {}
  Fault fault() const { return fault_; }
  /// The JKO step, and its iteration, that failed; both from 1.
  int step() const { return step_; }
  int iteration() const { return iteration_; }

 private:
  int step_, iteration_;
  Fault fault_;
};

}  // namespace wgf
