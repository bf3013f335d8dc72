// SPDX-License-Identifier: BSL-1.0
#pragma once
// A run in progress as observers see it: what they can query besides the figures of a Progress.
#include <filesystem>
#include <functional>
#include <type_traits>
#include <vector>

#include "../options/options.hpp"

namespace wgf {

/// A run in progress. Observers that take a second argument receive it.
class Run {
 public:
  virtual ~Run() = default;
  /// Writes all that is needed to resume the run from its current state, bit for bit. The file is
  /// written atomically and read by JkoSolver::resume.
  /// \throws FileError if it cannot be written.
  virtual void save(const std::filesystem::path& path) const = 0;
  /// All reports so far, for a resumed run also those from before it was resumed.
  virtual const std::vector<Progress>& history() const = 0;
  /// Whether all steps are done.
  virtual bool finished() const = 0;
  /// The current position: steps done, and iterations of the next one.
  virtual int steps_done() const = 0;
  virtual int iteration() const = 0;
};

namespace detail {
template <class T>
inline constexpr bool is_reference_wrapper = false;
template <class T>
inline constexpr bool is_reference_wrapper<std::reference_wrapper<T>> = true;

/// Notifies an observer.
/// \returns whether it wants to continue.
template <class Observer>
bool notify(Observer& observer, const Progress& progress, const Run& run) {
  const auto asked = [&]() -> decltype(auto) {
    if constexpr (std::is_invocable_v<Observer&, const Progress&, const Run&>)
      return observer(progress, run);
    else return observer(progress);
  };
  if constexpr (std::is_convertible_v<decltype(asked()), bool>) return static_cast<bool>(asked());
  else return asked(), true;
}
/// Some observers, such as Checkpoint, are also notified between iterations, without figures: after
/// each iteration, and at the end of a step.
/// \returns whether the observer wants to continue.
template <class Observer>
bool after_iteration(Observer& observer, const Run& run) {
  if constexpr (is_reference_wrapper<std::remove_cv_t<Observer>>)
    return after_iteration(observer.get(), run);
  else if constexpr (requires { observer.after_iteration(run); })
    return observer.after_iteration(run);
  else return true;
}
}  // namespace detail

}  // namespace wgf
