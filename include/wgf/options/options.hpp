// SPDX-License-Identifier: BSL-1.0
#pragma once
// Options of a run, in groups: how a step's map is trained (Algorithm 1), how the particles that
// represent P_k are kept, and what counts as divergence.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "../quasi_random.hpp"
#include "option_field.hpp"
#include "progress.hpp"

namespace wgf {

/// How the map of a step is trained. The defaults of J₁, J₂, M and the rates are those of the paper
/// (appendix D). Features that the paper does not have (rate decay, averaging, whitening, a longer
/// first step) are on if measurements showed an improvement.
struct TrainingOptions {
  int iterations = 600;
  int dual_steps = 3;
  long batch = 100;
  double map_rate = 1e-3, dual_rate = 1e-3;
  double final_rate_fraction = 0.05;
  double tail_average = 1.0 / 3;
  double first_step = 2;
  bool whiten = true;
  bool carry_dual = true, carry_optimiser = true;
  bool common_random_numbers = false;

  static constexpr auto fields() {
    using O = TrainingOptions;
    using namespace detail;
    return hana::make_tuple(
        field("iterations", &O::iterations, is_positive<int>, "must be positive",
              "outer iterations of a JKO step, J₁: each draws a batch, fits the dual networks and "
              "updates the map once"),
        field("dual_steps", &O::dual_steps, is_positive<int>, "must be positive",
              "updates of the dual networks in an iteration, J₂"),
        field("batch", &O::batch, is_count, "must be positive and at most 10^12",
              "particles in a batch, M"),
        field("map_rate", &O::map_rate, is_positive<double>, "must be positive",
              "learning rate of the map at the start of a step"),
        field("dual_rate", &O::dual_rate, is_positive<double>, "must be positive",
              "learning rate of the dual networks at the start of a step"),
        field("final_rate_fraction", &O::final_rate_fraction, is_positive_fraction,
              "must be in (0, 1]",
              "within a step the rates decay along a cosine to this fraction; 1: constant"),
        field("tail_average", &O::tail_average, is_fraction, "must be in [0, 1]",
              "the map of a step is the average of the iterates over this last fraction of it; 0: "
              "the last iterate"),
        field("first_step", &O::first_step, is_positive<double>, "must be positive",
              "the first step, which starts from untrained networks, gets this many times the "
              "iterations"),
        field("whiten", &O::whiten, is_any, "",
              "solve each step in coordinates in which P_k has mean 0 and covariance I (for maps "
              "that are gradients: centred and scaled)"),
        field("carry_dual", &O::carry_dual, is_any, "",
              "dual networks start a step from where the last one left them"),
        field("carry_optimiser", &O::carry_optimiser, is_any, "",
              "the optimiser's moments carry over from step to step"),
        field("common_random_numbers", &O::common_random_numbers, is_any, "",
              "Gaussian flows only: the reference's batch is made of the same normals as P_k's, so "
              "that their sampling noise cancels"));
  }

  /// Iterations of step k = 0, 1, ….
  int iterations_of(int step) const {
    return step == 0 ? std::max(1, static_cast<int>(std::lround(first_step * iterations)))
                     : iterations;
  }
  /// The factor of the learning rates in iteration k of n.
  double rate_factor(int k, int n) const {
    return final_rate_fraction +
           (1 - final_rate_fraction) * 0.5 * (1 + std::cos(std::numbers::pi * k / n));
  }
  /// These factors for all iterations from `begin` on.
  std::vector<double> rate_factors(int begin, int n) const {
    std::vector<double> all;
    for (int k = begin; k < n; ++k) all.push_back(rate_factor(k, n));
    return all;
  }
};

/// How P_k is represented between steps.
struct PopulationOptions {
  long size = 100'000;
  PointSet points = PointSet::random;
  int refresh_every = 0;
  bool stratified = false;
  long forward_samples = 10'000;

  static constexpr auto fields() {
    using O = PopulationOptions;
    using namespace detail;
    return hana::make_tuple(
        field("size", &O::size, is_count, "must be positive and at most 10^12",
              "particles that represent P_k: pushed once a step, so that the cost of a step does "
              "not grow with k"),
        field("points", &O::points, is_named<PointSet>, "must be random or quasi_random",
              "random: independent draws from P_0; quasi_random: an evenly spread set, whose "
              "averages are more accurate, most of all in low dimensions"),
        field("refresh_every", &O::refresh_every, is_not_negative<int>, "must not be negative",
              "redraw the particles from P_0 every n steps to avoid overfitting them; 0: never"),
        field("stratified", &O::stratified, is_any, "",
              "a batch takes one particle from each of `batch` equal parts of the population, "
              "ordered along a space-filling curve; reduces noise in one to three dimensions"),
        field("forward_samples", &O::forward_samples, is_positive<long>, "must be positive",
              "particles that represent P_k in a forward half with an interaction energy (12); "
              "kept with the step"));
  }
};

/// What counts as divergence of a step, and how the solver responds.
struct Safeguards {
  int retries = 0;
  double rate_factor = 0.3;
  double explosion = 1e3;
  double collapse = 1e-5;
  double saturation = 16;

  static constexpr auto fields() {
    using O = Safeguards;
    using namespace detail;
    return hana::make_tuple(
        field("retries", &O::retries, is_not_negative<int>, "must not be negative",
              "a step that diverges is repeated with smaller rates, at most this many times; then "
              "it is a StepError (an exception from a user's function always is)"),
        field("rate_factor", &O::rate_factor, is_positive_fraction, "must be in (0, 1]",
              "the factor of all rates each time a step is repeated"),
        field(
            "explosion", &O::explosion, [](double v) { return v > 0; }, "must be positive",
            "exploded: transport cost plus functional exceed their initial value v₀ by more than "
            "this times 1 + |v₀|; +∞: never"),
        field(
            "collapse", &O::collapse, [](double v) { return v >= 0 && v < 1; }, "must be in [0, 1)",
            "collapsed: in some direction the step shrinks the standard deviation by more than "
            "this factor; 0: never"),
        field(
            "saturation", &O::saturation, [](double v) { return v > 0; }, "must be positive",
            "saturated: the root mean square of u at the end of a step is above this, so that "
            "the estimated density ratio exceeds e^u; +∞: never"));
  }
};

/// Options of a run, for designated initialisers:
/// `{.steps = 10, .training = {.batch = 512}, .population = {.size = 50'000}}`.
struct RunOptions {
  /// JKO steps K.
  int steps = 10;
  /// Number of reports with estimates that observers receive per step.
  int reports = 10;
  TrainingOptions training{};
  PopulationOptions population{};
  Safeguards safeguards{};

  /// \throws std::invalid_argument naming the first invalid option.
  void check() const {
    const auto need = [](bool good, const char* what, auto got) {
      if (!good)
        throw std::invalid_argument(std::string("wgf::RunOptions: ") + what + ", got " +
                                    std::to_string(got));
    };
    need(steps >= 0, "steps must not be negative", steps);
    need(reports > 0, "reports must be positive", reports);
    detail::check_fields(training, "training.");
    detail::check_fields(population, "population.");
    detail::check_fields(safeguards, "safeguards.");
    const double most = std::max(1.0, training.first_step) * training.iterations;
    need(most <= 1e9, "a step must not have more than 10^9 iterations", most);
  }
  /// Iterations between reports in a step of n iterations: at most `reports` reports.
  int report_every(int n) const { return 1 + (n - 1) / reports; }
};

namespace detail {
/// In a Gaussian flow, P_k is known in closed form and no particles represent it.
/// \throws std::invalid_argument for options that then have no effect.
inline void refuse_unused(const PopulationOptions& given) {
  const PopulationOptions defaults;
  hana::for_each(PopulationOptions::fields(), [&](const auto& field) {
    const bool applies = std::string(field.name) == "size";  // of State::particles()
    if (!applies && given.*field.member != defaults.*field.member)
      throw std::invalid_argument(
          std::string("wgf::RunOptions: population.") + field.name +
          " does not apply to a Gaussian flow (an affine map and a Gaussian P_0), which has no "
          "particles");
  });
}
}  // namespace detail

}  // namespace wgf
