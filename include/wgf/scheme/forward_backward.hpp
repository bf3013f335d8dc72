// SPDX-License-Identifier: BSL-1.0
#pragma once
// Schemes that first move the particles along the gradients of some terms, P_{k+½} = (I − a∇…)#P_k,
// and then solve a JKO step with the others.
#include "scheme.hpp"

namespace wgf {

/// Eqs. (12) and (13): interaction energies are treated forward, x ← x − a E ∇W(x − Y) with Y
/// samples of P_k, everything else backward.
struct ForwardBackward {
  double step_size = 0.1;
  template <class Term>
  static constexpr bool forward = InteractionTerm<Term>;

  void check() const { detail::check_step_size("wgf::ForwardBackward", step_size); }
  template <class Trainer, class Stage>
  void solve(Trainer& trainer, Stage& stage) const {
    trainer.move_forward(step_size, stage);
    stage.parameters = trainer.train(step_size);
  }
};

/// All direct terms are treated forward: interaction energies, and the potential or −log q
/// (Remark 1). If no other term remains, there is no JKO step, and nothing is trained
/// (appendix C.2).
struct Forward {
  double step_size = 0.1;
  template <class Term>
  static constexpr bool forward = ForwardTerm<Term>;

  void check() const { detail::check_step_size("wgf::Forward", step_size); }
  template <class Trainer, class Stage>
  void solve(Trainer& trainer, Stage& stage) const {
    trainer.move_forward(step_size, stage);
    stage.parameters = trainer.train(step_size);
  }
};

}  // namespace wgf
