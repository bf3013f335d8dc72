// SPDX-License-Identifier: BSL-1.0
#pragma once
// Corrected steps: after the map of a step, rejections move mass between modes, which transport
// does only slowly (Hertrich and Gruhlke, "Importance corrected neural JKO sampling", 2024).
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "backward.hpp"
#include "scheme.hpp"

namespace wgf {

/// Steps of another scheme, each followed by rejections: a particle x is kept with probability
/// min(1, q(x)/(c p(x))), with c such that a share `rejected` is replaced by fresh draws of the
/// flow so far. For KL divergences with LogDeterminant, whose particles know log p, and schemes
/// without forward halves. The divergence never rises. The flow remains a sampler of independent
/// draws with a known density, but a draw costs 1 + rejected times as much after each rejection:
/// see Flow::draws_per_sample. Steps are counted from the beginning of the flow, also when a run
/// continues one. The time of the flow advances by `step_size` in a step without a map.
///
///     const wgf::JkoSolver solver{wgf::kl(target, wgf::LogDeterminant{}),
///                                 wgf::ResidualMlp<32, 4, wgf::Silu>{},
///                                 wgf::Corrected<>{.step_size = 0.3, .rejections = 2},
///                                 wgf::EigenBackend<float>{.seed = 1}};
///
/// The first step should move particles by the size of a mode, not of the whole target: a map that
/// sharpens many modes at once misplaces their masses. Later ones may be longer: see `growth`.
template <SchemePolicy Inner = Backward>
struct Corrected {
  static_assert(
      !requires(const Inner& s) { s.is_done(1.0); },
      "wgf::Corrected: a scheme that chooses its own step sizes (Adaptive) cannot be "
      "corrected");
  static constexpr bool corrects = true, remembers = wgf::remembers<Inner>;
  template <class Term>
  static constexpr bool forward = goes_forward<Inner, Term>;

  /// a of the first step with a map, in place of that of `scheme`.
  double step_size = 0.1;
  /// a of each step with a map is this times that of the step before.
  double growth = 1;
  /// Rejections after each step.
  int rejections = 1;
  /// The share of particles that a rejection replaces.
  double rejected = 0.2;
  /// The first steps have rejections only, and the others a map as well.
  int without_map = 0;
  /// The number of steps with a map; those after them have rejections only.
  int maps = std::numeric_limits<int>::max();
  Inner scheme{};

  void check() const {
    detail::check_step_size("wgf::Corrected", step_size);
    const auto need = [](bool good, const char* what, double got) {
      if (!good)
        throw std::invalid_argument(std::string("wgf::Corrected: ") + what + ", got " +
                                    std::to_string(got));
    };
    need(growth > 0 && std::isfinite(growth), "growth must be positive", growth);
    need(rejections >= 0, "rejections must not be negative", rejections);
    need(rejected > 0 && rejected < 1, "rejected must be between 0 and 1", rejected);
    need(without_map >= 0, "without_map must not be negative", without_map);
    need(maps >= 0, "maps must not be negative", maps);
    Inner inner = scheme;
    inner.step_size = step_size;
    inner.check();
  }
  template <class Trainer, class Stage>
  void solve(Trainer& trainer, Stage& stage) const {
    const int map = trainer.step() - 1 - without_map;
    if (map >= 0 && map < maps) {
      Inner inner = scheme;
      inner.step_size = stage.step_size = step_size * std::pow(growth, map);
      inner.solve(trainer, stage);
    }
    trainer.correct(rejections, rejected);
  }
  static constexpr auto settings() {
    const auto entry = [](const char* name, auto member) { return hana::make_pair(name, member); };
    using C = Corrected;
    return hana::make_tuple(entry("growth", &C::growth), entry("rejections", &C::rejections),
                            entry("rejected", &C::rejected), entry("without_map", &C::without_map),
                            entry("maps", &C::maps));
  }
};

}  // namespace wgf
