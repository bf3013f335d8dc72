// SPDX-License-Identifier: BSL-1.0
#pragma once
// The solver: four compile-time policies, and the loop over JKO steps (Algorithm 1).
#include <concepts>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>

#include "../concepts.hpp"
#include "../flow/flow.hpp"
#include "../functional/functional.hpp"
#include "../scheme/backward.hpp"
#include "errors.hpp"
#include "options.hpp"

namespace wgf {

/// Backend policy: a seed, and start(), which gives a Runtime.
template <class B>
concept BackendPolicy = std::copyable<B> && requires(const B& b) {
  typename B::Scalar;
  { b.seed } -> std::convertible_to<std::uint64_t>;
  { b.start() } -> Runtime;
};

/// Solves P_{k+1} = argmin_P W₂²(P, P_k)/(2a) + F(P) for k = 0, 1, …, each step by a transport map.
///
///     wgf::JkoSolver solver{wgf::kl(target), wgf::ResidualMlp<16, 5>{}, wgf::Backward{},
///     wgf::EigenBackend<float>{.seed = 1}}; const auto flow =
///     solver.run(wgf::Gaussian::isotropic(2, 1.5), {.steps = 10}, wgf::print_progress);
///
/// \tparam FunctionalPolicy what falls: kl(target), entropy(), generalized_entropy(m),
/// potential(target), interaction(kernel), divergence_to(samples, divergence), sums and multiples
/// of them. \tparam Map the transport map's specification: ResidualMlp, IcnnGradient, DeepLinear,
/// Affine. \tparam Scheme how the step is split: Backward, ForwardBackward, Forward, Midpoint.
/// \tparam Backend who computes: EigenBackend.
template <class FunctionalPolicy, class Map, class Scheme, class Backend>
class JkoSolver {
  static_assert(is_functional<FunctionalPolicy>,
                "wgf::JkoSolver: the functional must be a sum of terms such as wgf::kl(target); "
                "see docs/architecture.md");
  static_assert(MapSpecification<Map>,
                "wgf::JkoSolver: the map must be a specification of a network from points to "
                "points, such as wgf::ResidualMlp<16, 5>; see "
                "docs/architecture.md");
  static_assert(SchemePolicy<Scheme>,
                "wgf::JkoSolver: the scheme must have a step_size and check(), such as "
                "wgf::Backward; see docs/architecture.md");
  static_assert(BackendPolicy<Backend>,
                "wgf::JkoSolver: the backend must have a seed and start(), such as "
                "wgf::EigenBackend<float>; see docs/architecture.md");

 public:
  using ForwardTerms = decltype(forward_terms<Scheme>(std::declval<const FunctionalPolicy&>()));
  using Flow = wgf::Flow<Map, Backend, ForwardTerms>;
  class State;

  JkoSolver(FunctionalPolicy functional, Map map, Scheme scheme, Backend backend)
      : functional_(std::move(functional)), map_(map), scheme_(scheme), backend_(backend) {}

  /// All steps.
  /// \param initial P_0: any Measure. Or a Flow of this type, which the run continues, with random
  /// numbers that the first run has not used. \param observer called with a Progress up to
  /// `options.reports` times a step, and at its end; if it returns false, the run stops and the
  /// steps done so far are returned. \throws std::invalid_argument for options or dimensions that
  /// make no sense; FlowError<Flow>, with the steps done so far, if a step fails.
  template <class Initial, class Observer>
  Flow run(const Initial& initial, const RunOptions& options, Observer&& observer) const {
    State state = start(initial, options);
    return finish(state, observer);
  }
  template <class Initial>
  Flow run(const Initial& initial, const RunOptions& options = {}) const {
    return run(initial, options, [](const Progress&) {});
  }

  /// Goes on with a run that was saved (by Checkpoint, or State::save), from exactly where it
  /// stood: the flow is, bit for bit, that of a run which was never interrupted, on any number of
  /// threads. All else as given to run(): the solver, with its seed, P_0 and the options, of which
  /// `steps` (to go further), `reports` and `divergence` may differ. A user's functions are
  /// compared at three points. \throws FileError, saying which, if the file is missing, damaged, or
  /// was made with something else; else as run().
  template <class Initial, class Observer>
  Flow resume(const std::filesystem::path& file, const Initial& initial, const RunOptions& options,
              Observer&& observer) const {
    State state = start(initial, options);
    state.restore(file);
    return finish(state, observer);
  }
  template <class Initial>
  Flow resume(const std::filesystem::path& file, const Initial& initial,
              const RunOptions& options) const {
    return resume(file, initial, options, [](const Progress&) {});
  }

  /// For those who drive the loop: a state at P_0 (or at a flow's end), then step after step.
  template <class Initial>
  State start(const Initial& initial, const RunOptions& options = {}) const {
    options.check();
    scheme_.check();
    if constexpr (std::same_as<Initial, Flow>) {
      if (describe(initial.map) != describe(map_))
        throw std::invalid_argument("wgf::JkoSolver: the flow to continue has the map " +
                                    describe(initial.map) + ", the solver " + describe(map_));
      if (initial.step_size != scheme_.step_size)
        throw std::invalid_argument("wgf::JkoSolver: the flow to continue has step size " +
                                    std::to_string(initial.step_size) + ", the scheme " +
                                    std::to_string(scheme_.step_size));
      Flow flow = initial;
      flow.backend = backend_, flow.backend.seed = initial.backend.seed;
      return State(*this, std::move(flow), options);
    } else {
      static_assert(Measure<Initial>,
                    "wgf::JkoSolver: P_0 must be a measure with dim() and sample(n, seed), such as "
                    "wgf::Gaussian, or a flow of this solver's type");
      return State(*this,
                   Flow(initial_measure(initial), map_, scheme_.step_size, backend_,
                        forward_terms<Scheme>(functional_)),
                   options);
    }
  }
  /// One JKO step, or the rest of one that was saved in its midst: trains the map, appends it to
  /// state.flow() and pushes the particles. \returns whether the observer wants to go on. A step
  /// that it stops in its course leaves the flow as before. \throws StepError, the flow being as
  /// before, if something non-finite appears or the target throws.
  template <class Observer>
  bool step(State& state, Observer&& observer) const {
    return state.advance(observer);
  }
  bool step(State& state) const {
    return state.advance([](const Progress&) {});
  }

 private:
  template <class Observer>
  Flow finish(State& state, Observer& observer) const {
    try {
      while (!state.finished() && step(state, observer)) {
      }
    } catch (const StepError& error) {
      throw FlowError<Flow>(error, std::move(state.flow_));
    }
    return std::move(state.flow_);
  }

  FunctionalPolicy functional_;
  Map map_;
  Scheme scheme_;
  Backend backend_;
};

}  // namespace wgf

#include "run_state.hpp"
