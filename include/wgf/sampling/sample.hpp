// SPDX-License-Identifier: BSL-1.0
#pragma once
// Samples from a log-density in one call: a corrected flow from a start that a pilot run of
// sequential Monte Carlo has found, with a certificate.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../backend/eigen/backend.hpp"
#include "../diagnostics/importance.hpp"
#include "../diagnostics/missed_mass.hpp"
#include "../functional/functional.hpp"
#include "../scheme/scheme.hpp"
#include "../solver/jko_solver.hpp"
#include "smc.hpp"
#include "start.hpp"

namespace wgf {

/// What an observer of sample() receives after each step of the flow.
struct SampleProgress {
  int step;                 ///< from 1; 0 for the start
  bool has_map;             ///< whether the step trained a map; else it has rejections only
  double ess;               ///< effective sample size of the particles' weights q/p, relative
  double draws_per_sample;  ///< what a sample costs, in draws of P_0
  double seconds;           ///< since sample() was called
};

/// Options of sample().
struct SampleOptions {
  std::uint64_t seed = 0;
  int threads = 0;  ///< 0: all cores
  /// Seconds after which no further step is begun; a result that is cut off by it depends on the
  /// machine. No pilot run is repeated after a quarter of them.
  double budget = 60;
  double ess = 0.99;         ///< the run ends when the relative effective sample size reaches this
  long population = 20'000;  ///< particles of the flow
  long pilot = 2000;         ///< particles of the pilot run
  /// The wider of the laws between which the pilot run interpolates. By default N(0, s² I), where
  /// s is chosen from 1, 3, 10, …, 1000 by the largest log Z that small runs find.
  std::optional<Gaussian> start{};
  std::function<void(const SampleProgress&)> observer{};

  /// \throws std::invalid_argument for a field out of range, for a target of this dimension.
  void check(int dim = 1) const {
    const auto need = [](bool good, const char* what, double got) {
      if (!good)
        throw std::invalid_argument(std::string("wgf::SampleOptions: ") + what + ", got " +
                                    std::to_string(got));
    };
    need(budget > 0, "budget must be positive", budget);
    need(ess > 0 && ess < 1, "ess must be between 0 and 1", ess);
    need(population >= 1000, "population must be at least 1000", static_cast<double>(population));
    need(pilot >= 100, "pilot must be at least 100", static_cast<double>(pilot));
    need(pilot >= 4L * dim, "pilot must be at least four times the dimension",
         static_cast<double>(pilot));
  }
};

namespace detail {

/// The next step of a flow, as the loop of sample() decides it.
struct NextStep {
  double step_size = 1;
  bool has_map = false;
  int rejections = 0;
};
/// A scheme whose steps are decided from outside.
struct Directed {
  static constexpr bool corrects = true;
  double step_size = 1;
  std::shared_ptr<NextStep> next{};

  void check() const {}
  template <class Trainer, class Stage>
  void solve(Trainer& trainer, Stage& stage) const {
    constexpr double rejected = 0.2;
    if (next->has_map) {
      stage.step_size = next->step_size;
      stage.parameters = trainer.train(next->step_size);
    }
    trainer.correct(next->rejections, rejected);
  }
};

}  // namespace detail

/// What sample() returns: an independent sampler of a law close to the target, with its density.
template <class T>
class SampleResult {
 public:
  using Map = ResidualMlp<64, 4, Silu>;  // with its affine part
  using Backend = EigenBackend<float>;
  using Solver = JkoSolver<decltype(kl(std::declval<const T&>(), LogDeterminant{})), Map,
                           detail::Directed, Backend>;
  using Flow = typename Solver::Flow;

  SampleResult(Flow flow, ImportanceSampling certificate, MissedMass missed_mass, SmcResult pilot,
               detail::Evidence most_of_pilots, double goal, std::string policies, double seconds)
      : flow_(std::move(flow)),
        certificate_(std::move(certificate)),
        missed_mass_(std::move(missed_mass)),
        pilot_(std::move(pilot)),
        most_of_pilots_(most_of_pilots),
        goal_(goal),
        policies_(std::move(policies)),
        seconds_(seconds) {}

  /// n independent draws, d × n, a function of the seed.
  Particles draws(long n, std::uint64_t seed = 1) const { return flow_.sample(n, seed); }
  /// The same with log-densities of the law that they are drawn from.
  std::pair<Particles, Eigen::VectorXd> draws_with_log_density(long n,
                                                               std::uint64_t seed = 1) const {
    return flow_.sample_with_log_density(n, seed);
  }
  /// log ∫q, by importance weights of fresh draws, and its standard error.
  /// NaN and +∞ if the flow's density is not known.
  double log_evidence() const {
    return is_known() ? certificate_.log_normaliser : std::numeric_limits<double>::quiet_NaN();
  }
  double log_evidence_error() const {
    if (!is_known()) return std::numeric_limits<double>::infinity();
    return std::hypot(certificate_.standard_error, flow_.normalisation_error());
  }
  /// The effective sample size of fresh draws, as a fraction of their number.
  double ess_fraction() const {
    return certificate_.effective_sample_size /
           static_cast<double>(std::max<Eigen::Index>(1, certificate_.log_weights.size()));
  }
  /// The importance weights of fresh draws.
  const ImportanceSampling& certificate() const { return certificate_; }
  /// The mass that a wider law finds and the draws do not.
  const MissedMass& missed_mass() const { return missed_mass_; }
  /// The corrected flow: save, load, densities.
  const Flow& flow() const { return flow_; }
  /// The pilot run to which P_0 was fitted.
  const SmcResult& pilot() const { return pilot_; }
  /// The steps that were chosen, in words.
  const std::string& policies() const { return policies_; }
  double seconds() const { return seconds_; }
  /// ok if nine tenths of the goal were reached, the weights have no fault, a wider law finds no
  /// mass that the draws miss, and no pilot run has found another log Z. Weights that are nearly
  /// equal but for a few large ones are inconclusive.
  Verdict verdict() const {
    if (!is_known()) return Verdict::inconclusive;
    if (!agrees() || misses_mass()) return Verdict::problem;
    if (has_heavy_tail()) return is_nearly_equal() ? Verdict::inconclusive : Verdict::problem;
    if (certificate_.verdict() != Verdict::ok) return Verdict::inconclusive;
    return ess_fraction() >= 0.9 * goal_ ? Verdict::ok : Verdict::inconclusive;
  }
  /// The verdict in a sentence.
  std::string summary() const {
    std::string text = certificate_.summary();
    if (is_known() && has_heavy_tail() && is_nearly_equal())
      text = detail::text(
          "importance weights: nearly equal, effective sample size %.1f %%, log Z = %.4f ± %.4f, "
          "but "
          "with a few large ones (k̂ = %.2f): far tails may be too thin",
          100 * ess_fraction(), log_evidence(), log_evidence_error(), certificate_.pareto_k);
    if (!agrees())
      text += "; a pilot run found log Z = " + detail::shortest(most_of_pilots_.log) +
              ", the flow " + detail::shortest(log_evidence()) +
              ": one of them has missed a part of the target";
    if (misses_mass()) text += "; " + missed_mass_.summary();
    if (ess_fraction() < 0.9 * goal_)
      text +=
          "; the effective sample size stayed below the goal: allow more seconds (budget) or "
          "draw more and weight the draws";
    return text;
  }

 private:
  bool misses_mass() const { return missed_mass_.verdict() == Verdict::problem; }
  bool has_heavy_tail() const { return certificate_.verdict() == Verdict::problem; }
  /// Whether the χ² divergence from the draws to the target, 1/ESS − 1, is at most 0.01, as far as
  /// the draws can tell.
  bool is_nearly_equal() const {
    return ess_fraction() >= 0.99 && std::isfinite(certificate_.pareto_k);
  }
  bool is_known() const { return certificate_.unknown.empty(); }
  bool agrees() const {
    if (!is_known()) return true;
    const double error = std::hypot(log_evidence_error(), most_of_pilots_.error);
    return std::abs(log_evidence() - most_of_pilots_.log) < 5 * error + 0.1;
  }
  Flow flow_;
  ImportanceSampling certificate_;
  MissedMass missed_mass_;
  SmcResult pilot_;
  detail::Evidence most_of_pilots_;
  double goal_;
  std::string policies_;
  double seconds_;
};

/// Samples from an unnormalised log-density. A pilot run of sequential Monte Carlo finds the modes,
/// and is repeated where a mixture of its particles fits badly; from this mixture, somewhat wider,
/// a corrected flow continues. Where the effective sample size of the start is small, maps are
/// trained as long as each lowers the KL divergence, the first one with a step size of the order of
/// the target's local variance, each later one with twice the one before. Then steps have
/// rejections only, until the effective sample size reaches its goal or a draw would become too
/// expensive. \param target log q, with or without gradient: see Target. \throws
/// std::invalid_argument for options out of range, a pilot of fewer than 4 particles a dimension, a
/// target that is nowhere positive, or one whose pilot particles fit_mixture refuses;
/// std::runtime_error if the pilot run does not reach the target.
template <class T>
auto sample(const T& target, const SampleOptions& options = {}) {
  using Object = decltype(adapted(target));
  static_assert(Target<Object>,
                "wgf::sample: a target has dim(), log_density(x), and gradient(x) unless its "
                "log_density is a template over the scalar type; see docs/targets.md");
  using Result = SampleResult<Object>;
  const Object density = adapted(target);
  const int d = density.dim();
  options.check(d);
  const auto began = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  };

  // ---- the pilot run, and P_0
  const Gaussian wide =
      options.start
          ? *options.start
          : Gaussian::isotropic(d, most_useful_width(density, options.seed, options.threads));
  const detail::SampleStart found =
      detail::find_start(density, wide, options.pilot, options.seed, options.threads,
                         [&] { return seconds() < 0.25 * options.budget; });
  const Particles& particles = found.pilot.particles;

  // ---- the step size: the median of 1/(the curvature of −log q), by E|∇ log q|² = tr E(−∇² log q)
  std::vector<double> squares;
  for (Eigen::Index i = 0; i < std::min<Eigen::Index>(400, particles.cols()); ++i)
    squares.push_back(
        log_density_gradient(density, Eigen::VectorXd(particles.col(i))).squaredNorm() / d);
  std::nth_element(squares.begin(), squares.begin() + static_cast<long>(squares.size() / 2),
                   squares.end());
  const double curvature = squares[squares.size() / 2];

  // ---- the flow
  const auto next = std::make_shared<detail::NextStep>();
  next->step_size =
      curvature > 0 ? 0.25 / curvature : 0.25 * Gaussian::fit(particles).covariance().trace() / d;
  const typename Result::Solver solver{
      kl(density, LogDeterminant{}), typename Result::Map{.affine = true},
      detail::Directed{.step_size = next->step_size, .next = next},
      EigenBackend<float>{.seed = options.seed, .threads = options.threads}};
  constexpr int most_steps = 30;
  auto state = solver.start(
      found.law, {.steps = most_steps,
                  .training = {.iterations = 300,
                               .batch = 500,
                               .map_rate = 3e-3,
                               .final_rate_fraction = 0.02,
                               .first_step = 2},
                  .population = {.size = options.population, .points = PointSet::quasi_random}});
  const auto weights = [&]() -> Eigen::VectorXd {
    return detail::log_densities(density, state.particles()) - state.log_densities();
  };
  constexpr double affordable = 10;  // 1/ESS from which on rejections alone should do
  constexpr double near = 3;         // ... once maps are trained and each still helps
  constexpr double helps = 0.05;     // by how much a map then lowers the KL divergence
  constexpr double most_draws = 60;  // draws of P_0 for a sample
  constexpr int rejections = 3;
  std::string policies = "P_0 = " + found.description();
  // Maps can be fitted too closely to the population: they are judged by fresh draws.
  const auto fresh_weights = [&](int step) -> Eigen::VectorXd {
    try {
      const auto [x, log_p] = state.flow().sample_with_log_density(
          4000, detail::mixed_seed(options.seed + 3 + static_cast<std::uint64_t>(step)));
      return detail::log_densities(density, x) - log_p;
    } catch (const InversionError&) {  // a fold between the particles
      return weights();
    }
  };
  Eigen::VectorXd now = weights();
  double ess = detail::relative_ess(now);
  const auto tell = [&](int step) {
    if (options.observer)
      options.observer({step, next->has_map, ess, state.flow().draws_per_sample(), seconds()});
  };
  tell(0);
  bool had_map = false;
  double before = 0;  // E(log p − log q) before the last step
  for (int step = 1; step <= most_steps && ess < options.ess && seconds() < options.budget;
       ++step) {
    const double cost = state.flow().draws_per_sample();
    if (cost > most_draws) break;
    // Maps come first: after rejections they would have to sharpen a law that is expensive to draw
    // from.
    const double divergence = -now.mean();  // the KL divergence, up to log Z
    next->has_map = cost == 1 && (had_map ? ess * near < 1 && divergence < before - helps
                                          : ess * affordable < 1);
    before = divergence;
    next->rejections = next->has_map ? 0 : rejections;
    if (next->has_map && had_map) next->step_size *= 2;
    had_map = had_map || next->has_map;
    try {
      solver.step(state, [&](const Progress&) { return seconds() < 1.5 * options.budget; });
    } catch (const StepError& error) {  // what has been reached is worth keeping
      policies += std::string("; ended by an error: ") + error.what();
      break;
    }
    if (state.flow().size() < step) break;  // stopped by the budget
    policies += next->has_map ? "; a map with step size " + detail::text("%.3g", next->step_size)
                              : "; " + std::to_string(rejections) + " rejections of 0.2";
    now = next->has_map ? fresh_weights(step) : weights();
    ess = detail::relative_ess(now);
    tell(step);
  }
  ImportanceSampling certificate =
      importance(state.flow(), density, 4000, detail::mixed_seed(options.seed + 2));
  MissedMass missed;
  missed.unknown = certificate.unknown;
  if (missed.unknown.empty())
    missed = missed_mass(certificate, certificate.particles, density,
                         {.seed = detail::mixed_seed(options.seed + 4)});
  return Result(state.flow(), std::move(certificate), std::move(missed), found.pilot, found.most,
                options.ess, std::move(policies), seconds());
}

}  // namespace wgf
