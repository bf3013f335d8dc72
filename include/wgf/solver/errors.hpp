// SPDX-License-Identifier: BSL-1.0
#pragma once
// What a run throws when it cannot continue.
#include <utility>

#include "../step_error.hpp"

namespace wgf {

/// A StepError, with the steps that succeeded before it.
template <class Flow>
class FlowError : public StepError {
 public:
  FlowError(const StepError& error, Flow flow) : StepError(error), flow_(std::move(flow)) {}
  const Flow& flow() const { return flow_; }

 private:
  Flow flow_;
};

}  // namespace wgf
