// SPDX-License-Identifier: BSL-1.0
#pragma once
// The trainer: the interface through which a scheme solves a step, and the state of a step in
// progress, so that a run can be saved between any two iterations.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../flow/inverse.hpp"
#include "../flow/stage.hpp"
#include "../functional/functional.hpp"
#include "../network/icnn.hpp"
#include "../options/options.hpp"
#include "../population/population.hpp"
#include "../random_streams.hpp"
#include "../step_context.hpp"
#include "../step_error.hpp"
#include "safeguards.hpp"
#include "step_progress.hpp"

namespace wgf {

/// Solves JKO steps on behalf of a scheme.
/// \tparam Map the specification of the map.
/// \tparam Implicit the functional that JKO steps minimise.
/// \tparam ForwardTerms the terms of forward halves.
/// \tparam Method such as MinMax.
template <Runtime R, class Map, class Implicit, class ForwardTerms, class Method>
class Trainer {
  using Slice = typename R::Slice;
  using View = typename R::PointsView;
  using MapNetwork = decltype(std::declval<const R&>().network(std::declval<const Map&>(), 1, 1L,
                                                               0u, Keep::batch));
  static auto training_of(const Method& method, const R& runtime, const Map& map,
                          const Implicit& implicit, const ForwardTerms& forward, int dim,
                          const TrainingOptions& options) {
    const long n = options.batch;
    return method.training(
        runtime, dim, options, runtime.network(map, dim, n, detail::map_stream, Keep::batch),
        implicit.bind(runtime, dim, n, detail::dual_stream),
        detail::functional_of(forward).bind(runtime, dim, n, detail::dual_stream));
  }

 public:
  using Scalar = typename R::Scalar;
  using Parameters = std::vector<Scalar>;
  /// Whether a step has a map: false if all terms are treated forward.
  static constexpr bool trains = !std::same_as<Implicit, Functional<>>;

  Trainer(const R& runtime, const Map& map, const Implicit& implicit, const ForwardTerms& forward,
          const Method& method, int dim, const RunOptions& options, Population<R>& population)
      : runtime_(runtime),
        map_(map),
        implicit_(implicit),
        forward_(forward),
        dim_(dim),
        options_(options),
        population_(population),
        training_(training_of(method, runtime, map, implicit, forward, dim, options.training)),
        frame_(Frame::none(dim)) {}

  // ---- for schemes

  /// The step size proposed by the run: the scheme's, or the one that it proposed after the last
  /// step.
  double step_size() const { return progress_.step_size; }
  /// The time at which the step begins, t_k.
  double time() const { return time_; }
  /// The number of the step, from 1.
  int step() const { return step_; }

  /// Solves the JKO step of size a, with the terms evaluated at its end.
  /// \returns the parameters of the map, empty if there is nothing to solve.
  /// \throws StepError if the step diverges.
  Parameters train(double a) { return train(a, a); }
  /// The same with the terms evaluated at time() + advance.
  Parameters train(double a, double advance) {
    prepare();
    if constexpr (!trains) {
      if (!has_estimate_) estimate_forward(a, advance);
      return {};
    } else {
      const auto part = static_cast<std::size_t>(part_++);
      // Completed before an interruption.
      if (part < progress_.done.size()) return progress_.done[part];
      begin_terms(a, advance);
      run(a);
      progress_.done.push_back(training_.map.parameters());
      progress_.iteration = 0, progress_.level.reset();
      return progress_.done.back();
    }
  }
  /// The forward half: moves the particles by −a times the gradients of the forward terms, at t_k.
  template <class StageType>
  void move_forward(double a, StageType& stage) {
    guarded([&] {
      const auto samples = forward_samples(stage);
      const bool all = options_.population.forward_samples >= options_.population.size;
      population_.move_forward({[&](const View& x, const View& drift, const View& scratch, long n) {
                                  push_forward(runtime_, forward_, time_, a, samples, x, drift,
                                               scratch, n, all);
                                },
                                [&](const Particles& x) {
                                  return detail::log_determinants(
                                      forward_derivatives(runtime_, forward_, time_, a, samples, x),
                                      [&](long n, const auto& f) { runtime_.each(n, f); });
                                }});
    });
  }
  /// Whether the particles' positions before the last step are available.
  bool has_previous() const { return population_.has_previous(); }
  /// Starts the JKO step from X_k + inertia·(X_k − X_{k−1}).
  template <class StageType>
  void extrapolate(double inertia, StageType& stage) {
    guarded([&] { population_.extrapolate(inertia); });
    stage.inertia = inertia;
  }
  /// Whether x → 2T(x) − x is safely monotone: the derivative of T in x exceeds ½ at the particles.
  bool is_monotone(const Parameters& parameters) {
    constexpr long max = 256;
    const long n = std::min({max, options_.training.batch, AffineSpecification<Map> ? 1L : max});
    auto net = evaluation_network(parameters);
    const auto x = runtime_.points(dim_, n), y = runtime_.points(dim_, n),
               dy = runtime_.points(dim_, n);
    const Eigen::MatrixXd out = frame_.factor, in = frame_.inverse_factor();
    const Particles at = population_.spread(n, draws_);
    for (const Eigen::MatrixXd& jacobian : detail::jacobians(runtime_, net, at, x, y, dy)) {
      const Eigen::MatrixXd in_x =
          detail::symmetric_part(detail::product(detail::product(out, jacobian), in));
      const Eigen::MatrixXd left =
          in_x - 0.501 * Eigen::MatrixXd::Identity(in_x.rows(), in_x.cols());
      if (!detail::is_positive_definite(left)) return false;
    }
    return true;
  }
  /// Root mean square, over particles, of the distance between the map of a whole step and the
  /// extrapolated map of a half step, in the user's coordinates.
  double distance(const Parameters& whole, const Parameters& half) {
    const long n = std::min(4096L, population_.representative_count());
    const Particles x = population_.spread(n, draws_);
    const auto at = runtime_.points(dim_, n), y = runtime_.points(dim_, n);
    runtime_.upload(x, at);
    const auto pushed = [&](const Parameters& parameters) -> Particles {
      auto net = evaluation_network(parameters);
      runtime_.parallel(n, [&](Slice s) { y(s) = net.forward(s, at(s)); });
      return runtime_.download(y);
    };
    const Particles difference = pushed(whole) - (2 * pushed(half) - x);
    return std::sqrt(detail::product(frame_.factor, difference).squaredNorm() /
                     static_cast<double>(n));
  }
  /// Restarts the step with another step size, which step_size() then returns.
  void reject(double a) {
    progress_ = {.step_size = a, .rolled_back = progress_.rolled_back};
    part_ = 0, ++rejected_;
  }
  /// Sets the estimated error of the step, and the proposed size of the next step.
  void propose(double error, double next_step_size) {
    error_ = error, next_step_size_ = next_step_size;
  }
  /// Lets this number of rejections, each of which replaces a share `rejected` of the particles,
  /// follow the step's map.
  void correct(int rejections, double rejected) { corrections_ = {rejections, rejected}; }
  /// Reports that the step cannot be solved. \throws StepError
  [[noreturn]] void refuse(const std::string& why) const {
    throw StepError(step_, iterations(), why);
  }

  // ---- for the run

  /// Begins a step, or resumes it where a saved run stopped.
  /// \param index number of the step in this run.
  void begin_step(int step, int index, double time, const TrainingObserver& observer) {
    step_ = step, index_ = index, time_ = time, observer_ = &observer;
    error_ = 0;
    if (!progress_.begun()) {
      before_ = training_.states();
      if (index_ > 0) training_.reset_carryover();
      progress_.step_size = next_step_size_;
    }
    begin_attempt();
  }
  /// To be called before the scheme solves the step, or solves it again.
  void begin_attempt() {
    population_.start_from_law();
    part_ = 0, is_prepared_ = false, has_estimate_ = false;
    corrections_ = {}, last_.transport = 0;
  }
  /// After a divergence: restores the networks, to solve the step again with smaller learning
  /// rates.
  void roll_back() {
    restore_networks();
    progress_ = {.step_size = progress_.step_size, .rolled_back = progress_.rolled_back + 1};
    ++rolled_back_;
    if (index_ > 0) training_.reset_carryover();
    begin_attempt();
  }
  bool may_roll_back() const { return progress_.rolled_back < options_.safeguards.retries; }
  /// After an error: restores the networks to their state before the step.
  void cancel() {
    restore_networks();
    progress_ = {};
  }
  /// After an observer has stopped the step: restores the map, and keeps the dual networks as they
  /// are.
  void abandon() {
    training_.abandon(before_.front());
    progress_ = {};
  }
  void end_step() {
    progress_ = {};
    has_duals_ = trains;
  }
  /// Mean and covariance of the law from which the JKO step starts.
  /// \throws StepError if they are not finite or the covariance is singular.
  Gaussian moments() const {
    const auto [mean, covariance] = population_.moments();
    if (!mean.allFinite() || !covariance.allFinite())
      throw StepError(step_, 0, "the particles are not finite", Fault::not_finite);
    try {
      return {mean, covariance};
    } catch (const std::invalid_argument&) {
      throw StepError(step_, 0,
                      "the particles have collapsed: their covariance is not positive definite",
                      Fault::collapsed);
    }
  }
  const Frame& frame() const { return frame_; }
  /// The rejections that follow the step's map.
  struct Corrections {
    int count = 0;
    double rejected = 0;
  };
  const Corrections& corrections() const { return corrections_; }
  const Estimates& last_estimates() const { return last_; }
  /// Sets the functional after the rejections of a step.
  void revise(double functional) { last_ = {last_.transport, functional}; }
  double estimated_error() const { return error_; }
  int iterations() const { return trains ? options_.training.iterations_of(index_) : 0; }
  int rejected() const { return rejected_; }
  int rolled_back() const { return rolled_back_; }
  std::uint32_t draws() const { return draws_; }
  const StepProgress<Scalar>& progress() const { return progress_; }
  /// Whether an observer is being called: an exception thrown meanwhile is the observer's.
  bool is_asking() const { return is_asking_; }
  /// Whether the dual networks and their references are those of the last step.
  bool has_duals() const { return has_duals_; }
  auto& training() { return training_; }
  /// The map with these parameters as a network, for a few evaluations.
  MapNetwork evaluation_network(const Parameters& parameters) const {
    auto net = runtime_.network(map_, dim_, 1, detail::map_stream, Keep::tile);
    net.set_parameters(parameters);
    return net;
  }
  /// Calls f, which runs user code or allocates memory outside a training: its exceptions become
  /// errors of the step.
  template <class F>
  void guarded(F&& f) const {
    try {
      f();
    } catch (const StepError&) {
      throw;
    } catch (const std::exception& error) {
      throw StepError(step_, 0, message(error));
    }
  }
  /// The message of an exception, as the backend formats it if it does.
  static std::string message(const std::exception& error) {
    if constexpr (requires { R::message(error); }) return R::message(error);
    else return error.what();
  }

  /// The state that training changes, for the run's file.
  struct Snapshot {
    StepProgress<Scalar> progress{};
    std::vector<std::vector<double>> before{}, networks{};
    std::uint32_t draws = 0;
    double next_step_size = 0;
    int rejected = 0, rolled_back = 0;
  };
  Snapshot snapshot() {
    return {progress_,          progress_.begun() ? before_ : std::vector<std::vector<double>>{},
            training_.states(), draws_,
            next_step_size_,    rejected_,
            rolled_back_};
  }
  /// \throws std::invalid_argument for networks of another kind.
  void restore(const Snapshot& from) {
    if (!from.before.empty()) training_.set_states(from.before);  // checks that these fit, too
    training_.set_states(from.networks);
    progress_ = from.progress, before_ = from.before, draws_ = from.draws;
    next_step_size_ = from.next_step_size;
    rejected_ = from.rejected, rolled_back_ = from.rolled_back;
    has_duals_ = false;
  }
  void set_next_step_size(double a) { next_step_size_ = a; }

 private:
  /// Called once per attempt, when the law from which the JKO step starts is known.
  void prepare() {
    if (std::exchange(is_prepared_, true)) return;
    const Gaussian now = moments();
    frame_ = frame_of(now);
    guarded([&] { population_.begin_step(frame_, step_ - 1); });
    start_.emplace(now);
  }
  Frame frame_of(const Gaussian& now) const {
    if (!trains || !options_.training.whiten) return Frame::none(dim_);
    if constexpr (GradientMapSpecification<Map>)
      return Frame::scaling(now);  // in which gradients stay gradients
    else return Frame::whitening(now);
  }
  void begin_terms(double a, double advance) {
    terms_time_ = time_ + advance;
    StepContext<R> context{terms_time_, a, step_, frame_, *start_, population_.representatives()};
    context.log_densities = population_.log_densities();
    guarded([&] {
      const auto begin = [&](auto& terms) {
        hana::for_each(terms, [&](auto& t) { t.term.begin_step(runtime_, context, t.weight); });
      };
      begin(training_.terms), begin(training_.monitored);
    });
  }
  /// Runs the current training to its end. \throws TrainingStopped, StepError
  void run(double a) {
    const int n = iterations();
    const double factor = std::pow(options_.safeguards.rate_factor, progress_.rolled_back);
    is_asking_ = false;
    bool stopped = false;
    try {
      training_.begin(frame_, {a, n, progress_.iteration, factor, draws_}, population_);
      while (!stopped && training_.next()) {
        progress_.iteration = training_.iteration();
        stopped = !observe(n);
      }
    } catch (const StepError&) {
      throw;
    } catch (const std::exception& error) {
      if (is_asking_) throw;  // thrown by the observer
      throw StepError(step_, progress_.iteration + 1, message(error));
    }
    draws_ += static_cast<std::uint32_t>(n);
    if (stopped) throw TrainingStopped{};
    if (const auto why = detail::saturation(options_.safeguards, last_); !why.empty())
      throw StepError(step_, n, why, Fault::saturated);
  }
  /// Checks the training after an iteration, of n in total, and notifies the observer.
  /// \returns whether to continue.
  /// \throws StepError if the step diverges
  bool observe(int n) {
    const int k = progress_.iteration;
    if (!training_.finite_so_far()) throw_not_finite();
    const bool ends = k == n, reports = k % options_.report_every(n) == 0;
    if (ends || reports || !progress_.level) {
      const Estimates seen = training_.estimates();
      // A log-density may be infinite or NaN where its gradient is finite.
      if (!seen.is_finite || !std::isfinite(seen.direct)) throw_not_finite();
      if (!progress_.level) progress_.level = seen.objective();
      const auto why = detail::explosion(options_.safeguards, *progress_.level, seen.objective());
      if (!why.empty()) throw StepError(step_, k, why, Fault::exploded);
      if (ends) {
        last_ = seen;
        return true;
      }
      if (reports && !ask([&] { return observer_->report(k, seen); })) return false;
    }
    return ask([&] { return observer_->after_iteration(); });
  }
  template <class Question>
  bool ask(Question&& question) {
    is_asking_ = true;
    const bool go_on = question();
    is_asking_ = false;
    return go_on;
  }
  [[noreturn]] void throw_not_finite() {
    std::string why;
    try {
      why = detail::diagnosis(training_, implicit_, frame_, terms_time_, options_.training.batch,
                              static_cast<double>(std::numeric_limits<Scalar>::max()));
    } catch (const std::exception& error) {  // thrown by the target at a non-finite gradient
      why = message(error);
    }
    throw StepError(step_, progress_.iteration, why, Fault::not_finite);
  }
  void estimate_forward(double a, double advance) {
    begin_terms(a, advance);
    guarded([&] {
      const long n = options_.training.batch;
      last_ = training_.estimate_forward(population_.view().window(0, n), population_.start(n), a);
    });
    has_estimate_ = true;
  }
  template <class StageType>
  typename R::Points forward_samples(StageType& stage) {
    bool interacts = false;
    hana::for_each(forward_, [&](const auto& t) {
      interacts = interacts || InteractionTerm<std::remove_cvref_t<decltype(t.term)>>;
    });
    const auto& options = options_.population;
    auto samples =
        runtime_.points(dim_, interacts ? std::min(options.forward_samples, options.size) : 0);
    if (!interacts) return samples;
    const auto draw = static_cast<std::uint32_t>(index_);
    runtime_.parallel(samples.count(), [&](Slice s) {
      runtime_.draw_strata(population_.view(), s, samples(s), samples.count(),
                           detail::forward_stream, draw);
    });
    stage.samples = runtime_.download(samples);
    return samples;
  }
  void restore_networks() {
    training_.set_states(before_);
    has_duals_ = false;
  }

  const R& runtime_;
  Map map_;
  Implicit implicit_;
  ForwardTerms forward_;
  int dim_;
  RunOptions options_;
  Population<R>& population_;
  decltype(training_of(std::declval<const Method&>(), std::declval<const R&>(),
                       std::declval<const Map&>(), std::declval<const Implicit&>(),
                       std::declval<const ForwardTerms&>(), 1,
                       std::declval<const TrainingOptions&>())) training_;
  Frame frame_;                    // of the step
  std::optional<Gaussian> start_;  // moments of the law from which the JKO step starts
  StepProgress<Scalar> progress_;
  Corrections corrections_;
  std::vector<std::vector<double>> before_;  // the networks before the step in progress
  const TrainingObserver* observer_ = nullptr;
  Estimates last_;
  double time_ = 0, terms_time_ = 0, next_step_size_ = 0, error_ = 0;
  int step_ = 1, index_ = 0, part_ = 0, rejected_ = 0, rolled_back_ = 0;
  std::uint32_t draws_ = 0;
  bool is_prepared_ = false, has_estimate_ = false, is_asking_ = false, has_duals_ = false;
};

}  // namespace wgf
