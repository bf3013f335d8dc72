// SPDX-License-Identifier: BSL-1.0
#pragma once
// Reweighted steps: after the map of a step, weights, resampling and Markov moves make the
// particles an approximation of the step's target, as in sequential Monte Carlo (Arbel, Matthews,
// Doucet, "Annealed flow transport Monte Carlo", 2021).
#include <limits>
#include <stdexcept>
#include <string>
#include <variant>

#include "../hana.hpp"
#include "../markov_moves.hpp"
#include "backward.hpp"
#include "scheme.hpp"

namespace wgf {

/// Steps of another scheme, after each of which the particles x, of the law with density p, are
/// weighted by π(x)/p(x), resampled, and moved by Markov chains that leave π invariant, where π is
/// the target at the end of the step. After the step the particles stand for π, with log-density
/// log π − log Z, where Z = ∫π is estimated by the mean weight. For KL divergences with
/// LogDeterminant, and schemes without forward halves. With tempered() the targets lead from P_0 to
/// q as in sequential Monte Carlo, and the maps make the weights more equal. A run should go on for
/// all temperatures, and one step more unless the last of these is 1.
///
///     const auto temperatures = wgf::smc(target, p_0).temperatures;
///     const wgf::JkoSolver solver{
///         wgf::kl(wgf::tempered(target, p_0, temperatures, 0.1), wgf::LogDeterminant{}),
///         wgf::ResidualMlp<32, 4, wgf::Silu>{}, wgf::Reweighted<>{.step_size = 0.1},
///         wgf::EigenBackend<float>{.seed = 1}};
///     const int steps = static_cast<int>(temperatures.size());
///     const auto flow = solver.run(p_0, {.steps = steps});
///     const auto sample = flow.sample_with_evidence(10'000, 7);  // particles, log Z, its error
///
/// What the run found is in `flow.stages[k].reweighting`: log Z, the effective sample size and the
/// acceptance of the moves.
template <SchemePolicy Inner = Backward>
struct Reweighted {
  static_assert(
      !requires(const Inner& s) { s.is_done(1.0); } && !wgf::corrects<Inner>,
      "wgf::Reweighted: a scheme that chooses its own step sizes (Adaptive), or is corrected "
      "already, cannot be reweighted");
  static constexpr bool corrects = true, remembers = wgf::remembers<Inner>;
  template <class Term>
  static constexpr bool forward = goes_forward<Inner, Term>;

  /// a, in place of that of `scheme`.
  double step_size = 0.1;
  std::variant<Hmc, Mala> move = Hmc{};
  /// The number of steps with a map; those after them have none. Steps are counted from the
  /// beginning of the flow, also when a run continues one.
  int maps = std::numeric_limits<int>::max();
  Inner scheme{};

  void check() const {
    detail::check_step_size("wgf::Reweighted", step_size);
    if (maps < 0)
      throw std::invalid_argument("wgf::Reweighted: maps must not be negative, got " +
                                  std::to_string(maps));
    std::visit([](const auto& policy) { policy.check(); }, move);
    Inner inner = scheme;
    inner.step_size = step_size;
    inner.check();
  }
  template <class Trainer, class Stage>
  void solve(Trainer& trainer, Stage& stage) const {
    if (trainer.step() <= maps) {
      Inner inner = scheme;
      inner.step_size = step_size;
      inner.solve(trainer, stage);
    }
    stage.reweighting.emplace().move = move;
  }
  static constexpr auto settings() {
    return hana::make_tuple(hana::make_pair("maps", &Reweighted::maps),
                            hana::make_pair("move", &Reweighted::move));
  }
};

}  // namespace wgf
