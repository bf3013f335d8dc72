// SPDX-License-Identifier: BSL-1.0
#pragma once
// What a scheme is: it solves a step of the flow by requesting JKO steps from a trainer.
#include <cmath>
#include <concepts>
#include <stdexcept>
#include <string>
#include <vector>

#include "../hana.hpp"

namespace wgf {

namespace detail {
/// What schemes may request from a trainer (see training/trainer.hpp), used to check them.
struct TrainerArchetype {
  std::vector<float> train(double);
  std::vector<float> train(double, double);
  template <class Stage>
  void move_forward(double, Stage&);
  template <class Stage>
  void extrapolate(double, Stage&);
  bool has_previous();
  bool is_monotone(const std::vector<float>&);
  double distance(const std::vector<float>&, const std::vector<float>&);
  double step_size();
  double time();
  int step();
  void reject(double);
  void propose(double, double);
  void correct(int, double);
  void refuse(const std::string&);
};
struct StageArchetype {
  std::vector<float> parameters;
  double extrapolation, step_size, inertia;
};
}  // namespace detail

/// Scheme: it has a step size a, checks its parameters, and solves a step.
///
/// | expression | meaning |
/// |---|---|
/// | `s.step_size` | a of the first step, and of all steps that do not set another |
/// | `s.check()` | throws std::invalid_argument for invalid parameters |
/// | `s.solve(trainer, stage)` | requests JKO steps from the trainer and fills the stage |
/// | `S::template forward<Term>` | optional: whether a term is treated forward; default: none |
/// | `S::remembers` | optional: whether trainer.extrapolate is used; default: no |
/// | `S::corrects` | optional: whether trainer.correct or stage.reweighting is used; default: no |
/// | `s.is_done(time)` | optional: whether the run ends at this time; default: no |
/// | `S::settings()` | optional: hana tuple of pairs (name, member) that a saved run must share |
///
/// The complete backward scheme:
///
///     struct Backward {
///       double step_size = 0.1;
///       void check() const {}
///       template <class Trainer, class Stage>
///       void solve(Trainer& trainer, Stage& stage) const {
///         stage.parameters = trainer.train(step_size);
///       }
///     };
template <class S>
concept SchemePolicy = std::copyable<S> && requires(const S& s, detail::TrainerArchetype& trainer,
                                                    detail::StageArchetype& stage) {
  { s.step_size } -> std::convertible_to<double>;
  s.check();
  s.solve(trainer, stage);
};

/// A term that can be treated forward: its gradient is known at any point, given samples of the
/// law.
template <class Term>
concept ForwardTerm = requires {
  { Term::interacts } -> std::convertible_to<bool>;
};
/// Term of an interaction energy: schemes may treat it forward.
template <class Term>
concept InteractionTerm = requires { requires bool(Term::interacts); };
/// Whether a scheme treats a term forward, by its member template `static constexpr bool
/// forward<Term>`; without one it treats none forward.
template <class Scheme, class Term>
inline constexpr bool goes_forward = requires { requires Scheme::template forward<Term>; };
/// Whether a scheme uses the particles' positions before the last step.
template <class Scheme>
inline constexpr bool remembers = requires { requires Scheme::remembers; };
/// Whether steps of a scheme may have rejections or reweightings.
template <class Scheme>
inline constexpr bool corrects = requires { requires Scheme::corrects; };

namespace detail {
inline void check_step_size(const char* scheme, double step_size) {
  if (!(step_size > 0) || !std::isfinite(step_size))
    throw std::invalid_argument(std::string(scheme) + ": step_size must be positive, got " +
                                std::to_string(step_size));
}
}  // namespace detail

}  // namespace wgf
