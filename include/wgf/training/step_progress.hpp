// SPDX-License-Identifier: BSL-1.0
#pragma once
// The progress of a step in training, and what a trainer notifies of it.
#include <functional>
#include <optional>
#include <vector>

#include "estimates.hpp"

namespace wgf {

/// Progress of a step: what a checkpoint part-way through it needs besides the networks.
template <class Scalar>
struct StepProgress {
  double step_size = 0;           ///< the step size proposed by the run; 0 before the step begins
  int iteration = 0;              ///< of the current training
  int rolled_back = 0;            ///< how often the step was restarted with smaller learning rates
  std::optional<double> level{};  ///< the objective at the start of the current training
  std::vector<std::vector<Scalar>> done{};  ///< the maps of the step's completed trainings

  bool begun() const { return step_size > 0; }
};

/// The functions that a trainer notifies. Each returns whether to continue.
struct TrainingObserver {
  /// Called periodically with estimates.
  std::function<bool(int iteration, const Estimates&)> report;
  std::function<bool()> after_iteration;
};

/// Thrown when an observer stops a step; caught by the run.
struct TrainingStopped {};

}  // namespace wgf
