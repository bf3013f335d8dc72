// SPDX-License-Identifier: BSL-1.0
#pragma once
// The error thrown when a step cannot continue.
#include <stdexcept>
#include <string>

namespace wgf {

/// What went wrong in a step.
enum class Fault {
  failed,      ///< a user's function threw, memory ran out, or a scheme refused: not recoverable by
               ///< changing learning rates
  not_finite,  ///< the log-density, its gradient, a network or a particle is not finite
  exploded,    ///< the objective rose far above its value at the start of the step
  collapsed,   ///< the particles became degenerate in some direction
  saturated,  ///< the dual networks separate the particles from their reference with certainty, and
              ///< give no further information
  folded  ///< the map folds: the determinant of its derivative is not positive at some particles
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
  /// The JKO step that failed and the iteration in which it failed, both from 1.
  int step() const { return step_; }
  int iteration() const { return iteration_; }

 private:
  int step_, iteration_;
  Fault fault_;
};

}  // namespace wgf
