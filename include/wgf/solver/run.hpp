// SPDX-License-Identifier: BSL-1.0
#pragma once
// A run in progress as observers see it: what they may ask of it beside the figures of a Progress.
#include <filesystem>
#include <functional>
#include <type_traits>
#include <vector>

#include "../options/options.hpp"

namespace wgf {

/// A run in progress. Observers that take a second argument are given it.
class Run {
 public:
  virtual ~Run() = default;
  /// Writes all that the run needs to go on, bit for bit, from where it stands, atomically.
  /// JkoSolver::resume reads it. \throws FileError if it cannot be written.
  virtual void save(const std::filesystem::path& path) const = 0;
  /// What the observer has been told so far, in the parts of a run that was resumed too.
  virtual const std::vector<Progress>& history() const = 0;
  /// Whether all steps are done.
  virtual bool finished() const = 0;
  /// Where it stands: steps done, and iterations of the next one.
  virtual int steps_done() const = 0;
  virtual int iteration() const = 0;
};

namespace detail {
template <class T>
inline constexpr bool is_reference_wrapper = false;
template <class T>
inline constexpr bool is_reference_wrapper<std::reference_wrapper<T>> = true;

/// Tells an observer. \returns whether it wants to go on.
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
/// Some observers, like Checkpoint, want a word between iterations, without figures: after each of
/// them, and after a step's end. \returns whether it wants to go on.
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
