// SPDX-License-Identifier: BSL-1.0
#pragma once
// The midpoint scheme: the JKO step is solved with a/2 and its map extrapolated, T = 2·T_{a/2} −
// id.
#include "scheme.hpp"

namespace wgf {

/// Of second order: T_{a/2} is x − (a/2)∇δF at the midpoint of the particle's path, and T =
/// 2·T_{a/2} − id moves the particle by a along that gradient. At the cost of one backward step the
/// error of the path is O(a²) instead of O(a).
///
/// The extrapolated map must be monotone: if T_{a/2} contracts by more than a factor of ½ in some
/// direction, particles would cross. If the derivative of T_{a/2} at the particles is not safely
/// above ½, the step is solved again as a backward step of size a, or refused.
struct Midpoint {
  double step_size = 0.1;
  /// A step whose extrapolation is not monotone is an error (StepError) instead of a backward step.
  bool refuse = false;

  void check() const { detail::check_step_size("wgf::Midpoint", step_size); }
  template <class Trainer, class Stage>
  void solve(Trainer& trainer, Stage& stage) const {
    stage.parameters = trainer.train(step_size / 2);
    if (trainer.is_monotone(stage.parameters)) {
      stage.extrapolation = 2;
      return;
    }
    if (refuse)
      trainer.refuse("the extrapolated map is not monotone; a smaller step_size may help");
    stage.parameters = trainer.train(step_size);
  }
  static constexpr auto settings() {
    return hana::make_tuple(hana::make_pair("refusal", &Midpoint::refuse));
  }
};

}  // namespace wgf
