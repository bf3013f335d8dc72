// SPDX-License-Identifier: BSL-1.0
#pragma once
// How the iterations of a training are executed.
#include <utility>
#include <vector>

#include "../array.hpp"
#include "../concepts.hpp"

namespace wgf {

/// Runs the iterations one after another. A runtime with another strategy, such as recording the
/// work of one iteration and replaying it, has a member loop(rate_factors) that returns an object
/// with the same interface; numbers that change from one iteration to the next must then be passed
/// through it.
class PlainLoop {
 public:
  explicit PlainLoop(std::vector<double> rate_factors) : rate_factors_(std::move(rate_factors)) {}
  /// The batch of an iteration, stored where the iteration reads it.
  template <class Batch>
  Batch batch(Batch drawn) const {
    return drawn;
  }
  /// Iteration k: calls work(rate factor). Iterations with the same phase, the second argument, do
  /// the same work.
  template <class Work>
  void run(int k, int /*phase*/, Work&& work) const {
    work(rate_factors_[static_cast<std::size_t>(k)]);
  }
  /// Whether the iteration was finite, as far as is known without waiting for a device.
  static bool finite_so_far(const auto& finite) { return number(finite) != 0; }
  /// The same, after waiting for the device.
  static bool is_finite(bool finite) { return finite; }

 private:
  std::vector<double> rate_factors_;
};

template <Runtime R>
auto iteration_loop(const R& runtime, std::vector<double> rate_factors) {
  if constexpr (requires { runtime.loop(rate_factors); })
    return runtime.loop(std::move(rate_factors));
  else return PlainLoop(std::move(rate_factors));
}

}  // namespace wgf
