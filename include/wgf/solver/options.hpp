// SPDX-License-Identifier: BSL-1.0
#pragma once
// How a run is trained (Algorithm 1) and what it reports.
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "../network/network.hpp"

namespace wgf {

/// What counts as divergence of a step, and what then happens.
struct Safeguards {
  /// A step that diverges is rolled back and solved again with smaller rates, at most so many
  /// times; then it is a StepError. (What a user's function throws is one at once.)
  int retries = 0;
  /// Each time, the step's rates are multiplied by this.
  double rate = 0.3;
  /// Exploded: transport cost plus functional are so many times 1 + |their value when the step
  /// began| above that value. +∞: never.
  double explosion = 1e3;
  /// Collapsed: in some direction the step shrinks the cloud's standard deviation by more than this
  /// factor. 0: never.
  double collapse = 1e-5;
  /// Saturated: |u| of the dual networks is, in root mean square over a batch of particles, above
  /// this at a step's end. They call particles e^|u| times likelier than the base does, and e⁻¹⁶ is
  /// where a loss has no slope left in single precision. +∞: never.
  double saturation = 16;
};

/// Options of a run, for designated initialisers: `{.steps = 10, .batch = 512}`. The defaults of
/// J₁, J₂, M and the rates are the paper's (appendix D); what the paper lacks (decay, average,
/// whitening, longer first step) is on where it was measured to win.
struct RunOptions {
  /// JKO steps K.
  int steps = 10;
  /// Iterations of the outer loop in a step, J₁: each draws a batch, fits the duals and moves the
  /// map once.
  int iterations = 600;
  /// Steps of the dual networks in an iteration, J₂.
  int dual_steps = 3;
  /// Particles in a batch, M.
  long batch = 100;
  /// Adam's rates for the map and for the dual networks, at the start of a step.
  double map_rate = 1e-3, dual_rate = 1e-3;
  /// Within a step the rates fall along a cosine to this share of themselves; 1 keeps them
  /// constant.
  double final_rate_fraction = 0.05;
  /// The map of a step is the average of the iterates over this last share of it; 0 takes the last
  /// iterate.
  double tail_average = 1.0 / 3;
  /// The first step starts cold and gets this many times the iterations.
  double first_step = 2;
  /// Adam's decay of the first and the second moment.
  double beta1 = 0.5, beta2 = 0.9;
  /// Solve each step in the coordinates where the cloud has mean 0 and covariance I, so that
  /// networks see inputs of unit size. (Maps that are gradients see a cloud that is only centred
  /// and scaled: in other coordinates they would not be.)
  bool whiten = true;
  /// Whether dual networks, and Adam's moments, carry over from step to step. (The map always
  /// does.)
  bool carry_dual = true, carry_optimiser = true;
  /// Particles that stand for P_k: pushed once a step, so that a step's cost does not grow with k.
  /// Batches are drawn from them, except in Gaussian flows (affine map, Gaussian P_0), where P_k is
  /// known and every batch is fresh.
  long pool = 100'000;
  /// Every so many steps the pool is drawn anew from P_0 and pushed through all maps, lest the maps
  /// fit the pool's own noise; 0: never.
  int refresh_pool = 0;
  /// Batches take one particle from each of `batch` equal shares of the pool, in the order of a
  /// curve that keeps neighbours together (in one dimension, sorted): averages over them scatter
  /// much less. Worth it in one to three dimensions.
  bool stratified = false;
  /// Particles of P_k that stand for it in a forward half with an interaction energy (12), drawn
  /// from the pool; kept with the step.
  long forward_samples = 10'000;
  /// Gaussian flows only: the base's batch is the same sample as P_k's, so that their noise
  /// cancels.
  bool common_random_numbers = false;
  /// How often in a step the observer is called with figures.
  int reports = 10;
  /// What counts as divergence, and whether it ends the run.
  Safeguards safeguards = {};

  /// The options that shape a run's numbers, with their names: all but `steps`, `reports` and how
  /// divergence is met.
  static constexpr auto fields() {
    const auto field = [](const char* name, auto member) { return hana::make_pair(name, member); };
    using O = RunOptions;
    return hana::make_tuple(
        field("iterations", &O::iterations), field("dual_steps", &O::dual_steps),
        field("batch", &O::batch), field("map_rate", &O::map_rate),
        field("dual_rate", &O::dual_rate), field("final_rate_fraction", &O::final_rate_fraction),
        field("tail_average", &O::tail_average), field("first_step", &O::first_step),
        field("beta1", &O::beta1), field("beta2", &O::beta2), field("whiten", &O::whiten),
        field("carry_dual", &O::carry_dual), field("carry_optimiser", &O::carry_optimiser),
        field("pool", &O::pool), field("refresh_pool", &O::refresh_pool),
        field("stratified", &O::stratified), field("forward_samples", &O::forward_samples),
        field("common_random_numbers", &O::common_random_numbers));
  }

  /// \throws std::invalid_argument naming the first option that makes no sense.
  void check() const {
    const auto need = [](bool good, const char* what, auto got) {
      if (!good)
        throw std::invalid_argument(std::string("wgf::RunOptions: ") + what + ", got " +
                                    std::to_string(got));
    };
    need(steps >= 0, "steps must not be negative", steps);
    need(iterations > 0, "iterations must be positive", iterations);
    need(dual_steps > 0, "dual_steps must be positive", dual_steps);
    need(batch > 0, "batch must be positive", batch);
    need(map_rate > 0 && std::isfinite(map_rate), "map_rate must be positive", map_rate);
    need(dual_rate > 0 && std::isfinite(dual_rate), "dual_rate must be positive", dual_rate);
    need(final_rate_fraction > 0 && final_rate_fraction <= 1,
         "final_rate_fraction must be in (0, 1]", final_rate_fraction);
    need(tail_average >= 0 && tail_average <= 1, "tail_average must be in [0, 1]", tail_average);
    need(first_step > 0 && std::isfinite(first_step), "first_step must be positive", first_step);
    need(first_step * iterations <= 1e9, "a step must not have more than 10^9 iterations",
         first_step * iterations);
    need(iterations <= 1e9, "a step must not have more than 10^9 iterations", iterations);
    need(beta1 >= 0 && beta1 < 1, "beta1 must be in [0, 1)", beta1);
    need(beta2 >= 0 && beta2 < 1, "beta2 must be in [0, 1)", beta2);
    need(pool > 0, "pool must be positive", pool);
    need(batch <= 1'000'000'000'000, "batch must be at most 10^12", batch);
    need(pool <= 1'000'000'000'000, "pool must be at most 10^12", pool);
    need(refresh_pool >= 0, "refresh_pool must not be negative", refresh_pool);
    need(forward_samples > 0, "forward_samples must be positive", forward_samples);
    need(reports > 0, "reports must be positive", reports);
    need(safeguards.retries >= 0, "safeguards.retries must not be negative", safeguards.retries);
    need(safeguards.rate > 0 && safeguards.rate <= 1, "safeguards.rate must be in (0, 1]",
         safeguards.rate);
    need(safeguards.explosion > 0, "safeguards.explosion must be positive", safeguards.explosion);
    need(safeguards.collapse >= 0 && safeguards.collapse < 1,
         "safeguards.collapse must be in [0, 1)", safeguards.collapse);
    need(safeguards.saturation > 0, "safeguards.saturation must be positive",
         safeguards.saturation);
  }

  /// Iterations of step k = 0, 1, ….
  int iterations_of(int step) const {
    return step == 0 ? std::max(1, static_cast<int>(std::lround(first_step * iterations)))
                     : iterations;
  }
  /// Iterations from one report to the next in a step of n: no more than `reports` of them.
  int report_every(int n) const { return 1 + (n - 1) / reports; }
  /// The share of the rates that iteration k of n uses.
  double rate_at(int k, int n) const {
    return final_rate_fraction +
           (1 - final_rate_fraction) * 0.5 * (1 + std::cos(std::numbers::pi * k / n));
  }
  /// The same for all of them from `begin` on.
  std::vector<double> shares(int begin, int n) const {
    std::vector<double> all;
    for (int k = begin; k < n; ++k) all.push_back(rate_at(k, n));
    return all;
  }
};

/// What an observer is told, some times in every step: sample estimates on the present batch.
struct Progress {
  int step, steps;            ///< the JKO step in progress, from 1, and how many there will be
  int iteration, iterations;  ///< within the step, from 1
  double transport;           ///< E|X − T(X)|²/(2a)
  double direct;  ///< potentials, interactions and base densities: E_P[−log q + log μ_k] for a KL
                  ///< divergence
  double dual;           ///< the dual terms' bounds: E_P[A(u)] − E_base[B(u)]
  double seconds;        ///< since the run began
  long done, left;       ///< iterations of the whole run, before and after this report
  bool step_done;        ///< the step's map has just been appended to the flow
  double time = 0;       ///< of the gradient flow, at the end of this step
  double step_size = 0;  ///< a of this step
  double error = 0;  ///< where the scheme controls the step size, at step_done: the estimated error
                     ///< of this step
  int rejected = 0;  ///< how many steps were refused in the whole run, being too long
  int rolled_back = 0;  ///< how many steps were begun again in the whole run, having diverged

  /// The functional F(P) as far as it can be seen in samples.
  double functional() const { return direct + dual; }
  /// Iterations a second, on average since the run began.
  double rate() const { return seconds > 0 ? static_cast<double>(done) / seconds : 0; }
};

}  // namespace wgf
