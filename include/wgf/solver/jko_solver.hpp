// SPDX-License-Identifier: BSL-1.0
#pragma once
// The solver: five compile-time policies, and the loop over JKO steps (Algorithm 1).
#include <concepts>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>

#include "../concepts.hpp"
#include "../flow/flow.hpp"
#include "../functional/functional.hpp"
#include "../options/options.hpp"
#include "../scheme/backward.hpp"
#include "../training/min_max.hpp"
#include "errors.hpp"

namespace wgf {

/// Backend policy: a seed; start(), which returns a Runtime; and precise(), the same backend in
/// double precision, by which densities are computed.
template <class B>
concept BackendPolicy = std::copyable<B> && requires(const B& b) {
  typename B::Scalar;
  { b.seed } -> std::convertible_to<std::uint64_t>;
  { b.start() } -> Runtime;
  { b.precise().start() } -> Runtime;
};

/// Computes the gradient flow of F in Wasserstein space by JKO steps,
/// P_{k+1} = argmin_P W₂²(P, P_k)/(2a) + F(P) for k = 0, 1, …, each solved for a transport map.
/// A complete program:
///
///     #include <wgf/wgf.hpp>
///     struct Target {  // log q up to a constant, without its gradient
///       int dim() const { return 2; }
///       template <class T>
///       T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
///         return -0.5 * x[0] * x[0] - 2.0 * x[1] * x[1];
///       }
///     };
///     int main() {
///       const wgf::JkoSolver solver{wgf::kl(Target{}), wgf::ResidualMlp<16, 5>{},
///                                   wgf::Backward{.step_size = 0.3},
///                                   wgf::EigenBackend<float>{.seed = 1}};
///       const auto flow = solver.run(wgf::Gaussian::isotropic(2, 1.5), {.steps = 10});
///       const Eigen::MatrixXd samples = flow.sample(1000);  // 2 × 1000
///     }
///
/// And one with a custom functional, E_P[V(X, t)] with a moving well, plus entropy:
///
///     struct Well {
///       template <class T>
///       T value(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x, double t) const {
///         return 0.5 * ((x[0] - t) * (x[0] - t) + x[1] * x[1]);
///       }
///     };
///     const wgf::JkoSolver moving{wgf::entropy(wgf::Quadratic{}) + wgf::potential(Well{}),
///                                 wgf::Affine{}, wgf::Backward{.step_size = 0.1},
///                                 wgf::EigenBackend<float>{.seed = 1}};
///
/// \tparam FunctionalPolicy what decreases: kl(target), entropy(), generalized_entropy(m),
/// potential(target), interaction(kernel), divergence_to(samples, divergence), sums and positive
/// multiples of them.
/// \tparam Map the transport map's specification: ResidualMlp, IcnnGradient, DeepLinear, Affine.
/// \tparam Scheme how a step is split into JKO steps: Backward, ForwardBackward, Forward, Midpoint,
/// Bdf2, Adaptive, Corrected, Reweighted.
/// \tparam Backend where the arithmetic runs: EigenBackend, LibTorchBackend.
/// \tparam Method how a JKO step is solved: MinMax, Algorithm 1, with an update rule.
template <class FunctionalPolicy, class Map, class Scheme, class Backend, class Method = MinMax<>>
class JkoSolver {
  static_assert(is_functional<FunctionalPolicy>,
                "wgf::JkoSolver: the functional must be a sum of terms such as wgf::kl(target); "
                "see docs/architecture.md");
  static_assert(MapSpecification<Map>,
                "wgf::JkoSolver: the map must be a specification of a network from points to "
                "points, such as wgf::ResidualMlp<16, 5>; see "
                "docs/architecture.md");
  static_assert(
      SchemePolicy<Scheme>,
      "wgf::JkoSolver: the scheme must have step_size, check() and solve(trainer, stage), "
      "such as wgf::Backward; see docs/architecture.md");
  static_assert(BackendPolicy<Backend>,
                "wgf::JkoSolver: the backend must have a seed and start(), such as "
                "wgf::EigenBackend<float>; see docs/architecture.md");

 public:
  using ForwardTerms = decltype(forward_terms<Scheme>(std::declval<const FunctionalPolicy&>()));
  using CorrectionTerms =
      decltype(correction_terms<Scheme>(std::declval<const FunctionalPolicy&>()));
  using Flow = wgf::Flow<Map, Backend, ForwardTerms, CorrectionTerms>;
  class State;

  JkoSolver(FunctionalPolicy functional, Map map, Scheme scheme, Backend backend,
            Method method = {})
      : functional_(std::move(functional)),
        map_(map),
        scheme_(scheme),
        backend_(backend),
        method_(method) {}

  /// Runs all steps.
  /// \param initial P_0: any Measure. Or a Flow of this type, which the run continues, with random
  /// numbers that the first run has not used.
  /// \param observer called with a Progress up to `options.reports` times per step, and at the end
  /// of each step; if it returns false, the run stops and the steps done so far are returned.
  /// \throws std::invalid_argument for invalid options or dimensions; FlowError<Flow>, with the
  /// steps done so far, if a step fails.
  template <class Initial, class Observer>
  Flow run(const Initial& initial, const RunOptions& options, Observer&& observer) const {
    State state = start(initial, options);
    return run_to_end(state, observer);
  }
  template <class Initial>
  Flow run(const Initial& initial, const RunOptions& options = {}) const {
    return run(initial, options, [](const Progress&) {});
  }

  /// Resumes a run that was saved (by Checkpoint, or State::save) exactly where it was saved: the
  /// flow is bit for bit that of an uninterrupted run, on any number of threads. All other
  /// arguments are those of run(): the solver with its seed, P_0 and the options must be the same,
  /// except the options `steps` (to go further), `reports` and `safeguards`. User-defined functions
  /// are compared at three points.
  /// \throws FileError, saying why, if the file is missing, damaged, or belongs to a different run;
  /// otherwise as run() does.
  template <class Initial, class Observer>
  Flow resume(const std::filesystem::path& file, const Initial& initial, const RunOptions& options,
              Observer&& observer) const {
    State state = start(initial, options);
    state.restore(file);
    return run_to_end(state, observer);
  }
  template <class Initial>
  Flow resume(const std::filesystem::path& file, const Initial& initial,
              const RunOptions& options) const {
    return resume(file, initial, options, [](const Progress&) {});
  }

  /// For custom loops: a state at P_0 (or at the end of a flow), to be advanced step by step.
  template <class Initial>
  State start(const Initial& initial, const RunOptions& options = {}) const {
    options.check();
    scheme_.check();
    method_.check();
    check_tempered();
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
                        forward_terms<Scheme>(functional_), correction_terms<Scheme>(functional_)),
                   options);
    }
  }
  /// One JKO step, or the rest of one that was checkpointed part-way: trains the map, appends it to
  /// state.flow() and pushes the particles. If the observer stops a step part-way, the flow is
  /// unchanged.
  /// \returns whether the observer wants to continue.
  /// \throws StepError, leaving the flow unchanged, if a non-finite value appears or the target
  /// throws.
  template <class Observer>
  bool step(State& state, Observer&& observer) const {
    return state.advance(observer);
  }
  bool step(State& state) const {
    return state.advance([](const Progress&) {});
  }

 private:
  template <class Observer>
  Flow run_to_end(State& state, Observer& observer) const {
    try {
      while (!state.finished() && step(state, observer)) {
      }
    } catch (const StepError& error) {
      throw FlowError<Flow>(error, std::move(state.flow_));
    }
    return std::move(state.flow_);
  }

  /// \throws std::invalid_argument for a tempered target whose steps have another size.
  void check_tempered() const {
    hana::for_each(functional_.terms, [&](const auto& t) {
      if constexpr (requires { t.term.target.temperatures(); })
        if (t.term.target.step_size() != scheme_.step_size)
          throw std::invalid_argument("wgf::JkoSolver: the target was tempered for steps of size " +
                                      std::to_string(t.term.target.step_size()) +
                                      ", the scheme has step size " +
                                      std::to_string(scheme_.step_size));
    });
  }

  FunctionalPolicy functional_;
  Map map_;
  Scheme scheme_;
  Backend backend_;
  Method method_;
};

}  // namespace wgf

#include "run_state.hpp"
