// SPDX-License-Identifier: BSL-1.0
#pragma once
// A run in progress, which advances a population step by step. Included by jko_solver.hpp.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../population/gaussian_population.hpp"
#include "../population/particle_population.hpp"
#include "../training/trainer.hpp"
#include "corrections.hpp"
#include "dual_queries.hpp"
#include "jko_solver.hpp"
#include "run.hpp"
#include "run_file.hpp"

namespace wgf {

template <class FunctionalPolicy, class Map, class Scheme, class Backend, class Method>
class JkoSolver<FunctionalPolicy, Map, Scheme, Backend, Method>::State : public Run {
  using R = decltype(std::declval<const Backend&>().start());
  using Implicit = decltype(backward_part<Scheme>(std::declval<const FunctionalPolicy&>()));
  using Scalar = typename Flow::Scalar;
  using StepTrainer = Trainer<R, Map, Implicit, ForwardTerms, Method>;
  static constexpr bool trains = StepTrainer::trains,
                        may_be_gaussian =
                            AffineSpecification<Map> && !Flow::has_forward && !Flow::is_corrected,
                        carries_density = Implicit::needs_density;
  static_assert(!(Flow::is_corrected && Flow::has_forward),
                "wgf::Corrected and wgf::Reweighted do not go together with terms that the scheme "
                "treats forward");
  static_assert(!(carries_density && remembers<Scheme>),
                "wgf::JkoSolver: LogDeterminant needs the density of P_k, which is not available "
                "in a scheme that uses the last step's displacement (Bdf2)");

 public:
  /// The steps done so far.
  const Flow& flow() const { return flow_; }
  /// Whether all steps requested by the options are done, or the scheme has reached its end.
  bool finished() const override {
    if constexpr (requires { scheme_.is_done(1.0); })
      if (scheme_.is_done(flow_.time())) return true;
    return steps_of_run() >= options_.steps;
  }
  int steps_done() const override { return flow_.size(); }
  int iteration() const override { return trainer_->progress().iteration; }
  const std::vector<Progress>& history() const override { return history_; }

  /// Writes all that is needed to resume from here: see JkoSolver::resume.
  /// \throws FileError if it cannot be written.
  void save(const std::filesystem::path& path) const override {
    detail::save_run(path, identity(), flow_, snapshot());
  }
  /// Restores what the state of an identical run has saved. This run must have been started but not
  /// advanced.
  /// \throws FileError, leaving this state unchanged, if the file is missing, damaged, or belongs
  /// to another run.
  void restore(const std::filesystem::path& path) {
    const detail::OpenedFile file(detail::run_file, path);
    detail::check_identity(file, identity());
    detail::ByteReader in = file.numbers();
    Flow flow = detail::get_flow<Flow>(file, in, flow_.map, flow_.backend, flow_.forward,
                                       flow_.corrections);
    const int steps = flow.size() - done_before_;
    if (steps < 0) file.fail("its flow is shorter than the one that this run continues");
    if (steps > options_.steps)
      file.fail("it has " + std::to_string(steps) + " steps, more than the " +
                std::to_string(options_.steps) + " that are asked for");
    flow.initial = flow_.initial;  // bit for bit, and with what files do not store
    const Flow flow_now = flow_;
    const Snapshot now = snapshot();
    try {
      Snapshot next = detail::get_run<Snapshot>(in);
      in.end();
      check(next, steps);
      restore(std::move(flow), next);
    } catch (const std::invalid_argument& error) {
      restore(flow_now, now);
      file.fail(std::string("its numbers make no sense: ") + error.what());
    } catch (...) {
      restore(flow_now, now);
      throw;
    }
  }

  /// The particles that represent P_k: d × population.size. In Gaussian flows, fresh draws of P_k.
  Particles particles() const { return population_->particles(); }
  /// log P_k at particles() if the functional needs it (LogDeterminant); empty in Gaussian flows.
  Eigen::VectorXd log_densities() const { return population_->particle_log_densities(); }
  /// For each dual term, after a step, its value on the training particles and on samples that were
  /// not used in training. In Gaussian flows all samples are fresh, and the gap is sampling noise.
  /// \param batches number of batches of fresh samples.
  /// \throws std::logic_error where dual_log_density does for the same reason;
  /// std::invalid_argument unless batches ≥ 2.
  std::vector<DualGap> dual_gaps(int batches = 50) {
    if (batches < 2)
      throw std::invalid_argument("wgf::JkoSolver: dual_gaps needs at least 2 batches, got " +
                                  std::to_string(batches));
    need_duals("dual_gaps");
    return detail::dual_gaps(*runtime_, trainer_->training().terms, flow_, particles(),
                             trainer_->frame(), options_.training.batch, batches, backend_.seed,
                             trainer_->draws());
  }
  /// log P_K at the points x (d × n) as estimated by the (first) dual network of the last step: the
  /// log-density of its reference plus u. Cheap and defined everywhere, but it need not integrate
  /// to one.
  /// \throws std::logic_error before the first step of this state, after one that failed or was
  /// extrapolated (its dual network was trained on the half step), or for a functional without a
  /// dual term whose reference has a density; std::invalid_argument for points of another
  /// dimension.
  Eigen::VectorXd dual_log_density(const Particles& x) {
    need_duals("dual_log_density");
    if (x.rows() != flow_.dim())
      throw std::invalid_argument(
          "wgf::JkoSolver: dual_log_density was given points of dimension " +
          std::to_string(x.rows()) + ", the flow has " + std::to_string(flow_.dim()));
    return detail::dual_log_density(*runtime_, trainer_->training().terms, trainer_->frame(), x);
  }

 private:
  friend JkoSolver;
  using Snapshot =
      detail::RunSnapshot<Scalar, typename StepTrainer::Snapshot, typename Population<R>::Snapshot>;

  State(const JkoSolver& solver, Flow flow, const RunOptions& options)
      : implicit_(backward_part<Scheme>(solver.functional_)),
        scheme_(solver.scheme_),
        method_(solver.method_),
        options_(options),
        flow_(std::move(flow)),
        done_before_(flow_.size()),
        backend_(backend_of(solver, done_before_)),
        runtime_(std::make_unique<R>(backend_.start())),
        start_(std::chrono::steady_clock::now()) {
    if (const int asked = solver.functional_.dim(); asked && asked != flow_.dim())
      throw std::invalid_argument("wgf::JkoSolver: the functional has dimension " +
                                  std::to_string(asked) + ", P_0 has " +
                                  std::to_string(flow_.dim()));
    make_population();
    trainer_ = std::make_unique<StepTrainer>(*runtime_, flow_.map, implicit_, flow_.forward,
                                             method_, flow_.dim(), options_, *population_);
    trainer_->set_next_step_size(scheme_.step_size);
    check_common_random_numbers();
    for (const auto& stage : flow_.stages)  // training starts from the last map
      if (trains && !stage.parameters.empty())
        trainer_->training().map.set_parameters(stage.parameters);
  }
  /// The solver's backend. A run that continues a flow has a different seed, so that its random
  /// numbers are not those that produced the flow.
  static Backend backend_of(const JkoSolver& solver, int done_before) {
    Backend backend = solver.backend_;
    if (done_before > 0)
      backend.seed = detail::mixed_seed(backend.seed) + static_cast<std::uint64_t>(done_before);
    return backend;
  }
  void make_population() {
    const long batch = options_.training.batch;
    if constexpr (may_be_gaussian)
      if (std::holds_alternative<Gaussian>(flow_.initial)) {
        detail::refuse_unused(options_.population);
        auto made = std::make_unique<GaussianPopulation<R>>(*runtime_, flow_.gaussian_path(), batch,
                                                            options_.population.size, backend_.seed,
                                                            flow_.size() > 0, carries_density);
        gaussian_ = made.get();
        population_ = std::move(made);
        return;
      }
    auto made = std::make_unique<ParticlePopulation<R>>(
        *runtime_, flow_.dim(), batch, options_.population, backend_.seed, Flow::has_forward,
        remembers<Scheme>, carries_density);
    pool_ = made.get();
    population_ = std::move(made);
    refresh();
  }
  /// Draws particles from P_0 and pushes them through all maps.
  void refresh() {
    // Neither the user's seed nor the one that sample() derives from it: later samples must not
    // coincide with the training particles.
    const std::uint64_t seed = detail::mixed_seed(backend_.seed + detail::pool_stream +
                                                  static_cast<std::uint64_t>(refreshes_++));
    if constexpr (Flow::is_corrected)
      if (flow_.size() > 0) {  // corrections replace particles, also these
        const auto [x, log_densities] =
            detail::draw_population(flow_, options_.population.size, seed);
        return pool_->refill(x, {}, log_densities);
      }
    const Particles drawn =
        draw_initial(flow_.initial, options_.population.size, seed, options_.population.points);
    if constexpr (carries_density) {
      const auto [x, log_densities] =
          flow_.push_with_log_density(drawn, flow_.initial_log_density(drawn));
      return pool_->refill(x, {}, log_densities);
    }
    const bool has_before = remembers<Scheme> && flow_.size() > 0;
    pool_->refill(flow_.push(drawn),
                  has_before ? flow_.push(drawn, 0, flow_.size() - 1) : Particles());
  }
  void check_common_random_numbers() {
    if (!options_.training.common_random_numbers) return;
    const auto need = [](bool good, const char* what) {
      if (!good)
        throw std::invalid_argument(
            std::string("wgf::RunOptions: training.common_random_numbers needs ") + what);
    };
    need(gaussian_ != nullptr, "a Gaussian flow: an affine map and a Gaussian P_0");
    need(options_.training.whiten, "training.whiten");
    each_dual<R>(trainer_->training().terms, [&](auto& dual, double) {
      using View = typename R::PointsView;
      constexpr bool shares =
          requires(typename R::Slice s, View& z) { dual.share_noise(z(s), z(s)); };
      need(shares, "Gaussian references, as the entropy has");
    });
  }

  /// One step, or the rest of one that was saved part-way.
  /// \returns whether the observer wants to continue.
  template <class Observer>
  bool advance(Observer&& observer) {
    const TrainingObserver asked{
        [&](int iteration, const Estimates& e) { return notify(observer, iteration, e, false); },
        [&] { return detail::after_iteration(observer, *this); }};
    const bool resumes = trainer_->progress().begun();
    trainer_->begin_step(flow_.size() + 1, steps_of_run(), flow_.time(), asked);
    try {
      if (!resumes && is_time_to_refresh()) trainer_->guarded([&] { refresh(); });
      solve_step();
    } catch (const TrainingStopped&) {
      trainer_->abandon();
      return false;
    } catch (...) {
      trainer_->cancel();
      throw;
    }
    const int iterations = trainer_->iterations();
    trainer_->end_step();
    const bool go_on = notify(observer, iterations, trainer_->last_estimates(), true);
    return detail::after_iteration(observer, *this) && go_on;
  }
  /// The scheme solves the step, again with smaller rates if it diverges; the population moves.
  void solve_step() {
    for (;;) {
      typename Flow::StageType stage{Frame::none(flow_.dim()), {}};
      try {
        scheme_.solve(*trainer_, stage);
        if (!stage.parameters.empty()) stage.frame = trainer_->frame();
        return append(std::move(stage));
      } catch (const StepError& error) {
        const bool recoverable = error.fault() != Fault::failed && !trainer_->is_asking();
        if (!trains || !recoverable || !trainer_->may_roll_back()) throw;
        trainer_->roll_back();
      }
    }
  }
  /// Pushes the population through the stage, and appends it. \throws StepError, changing nothing
  void append(typename Flow::StageType stage) {
    const Gaussian before = trainer_->moments();
    const auto fail = [&](const std::string& why, Fault fault) {
      throw StepError(flow_.size() + 1, trainer_->iterations(), why, fault);
    };
    typename Population<R>::Moments moments;
    bool damped = false;
    detail::Cloud corrected;
    try {
      moments = propose(stage, damped);
    } catch (const StepError&) {
      throw;
    } catch (const std::invalid_argument& error) {
      if (!gaussian_) fail(StepTrainer::message(error), Fault::failed);
      fail("the map is no longer one between Gaussians; a smaller map_rate may help",
           Fault::not_finite);
    } catch (const std::exception& error) {
      fail(StepTrainer::message(error), Fault::failed);
    }
    if (!moments.first.allFinite() || !moments.second.allFinite())
      fail("the map sends particles to where they are not finite; a smaller map_rate may help",
           Fault::not_finite);
    if (trains && detail::has_collapsed(options_.safeguards, before, moments.second))
      fail(detail::collapse_message, Fault::collapsed);
    if constexpr (Flow::is_corrected) {
      const auto [count, rejected] = trainer_->corrections();
      trainer_->guarded([&] {
        corrected = detail::correct(
            flow_, stage, count, rejected, [&] { return population_->proposal(); }, backend_.seed,
            trainer_->iterations());
      });
    }
    population_->accept();
    if (corrected.x.size() > 0) {
      trainer_->revise(detail::entropy_weight(implicit_) * corrected.divergence());
      pool_->refill(corrected.x, {}, corrected.log_densities);
    }
    damped_ += damped;
    flow_.stages.push_back(std::move(stage));
  }
  /// Proposes the population's image. Where it carries densities, the map is shortened until it
  /// folds nowhere, with a margin between particles (convex gradients fold only if extrapolated).
  typename Population<R>::Moments propose(typename Flow::StageType& stage, bool& damped) {
    constexpr double margin = 1.1, shrink = 0.8, least = 0.01;
    const auto folded_at = [&](double factor, typename Population<R>::Moments& moments) {
      auto changed = stage;
      changed.extrapolation *= factor;
      moments = population_->propose(stage_map(changed));
      return carries_density && !stage.parameters.empty() ? population_->folded() : 0;
    };
    for (typename Population<R>::Moments moments;; damped = true) {
      const bool needs_margin = !GradientMapSpecification<Map> || stage.extrapolation > 1;
      long folded = carries_density && needs_margin ? folded_at(margin, moments) : 0;
      if (folded == 0 && (folded = folded_at(1, moments)) == 0) return moments;
      if (stage.extrapolation < least)
        throw StepError(flow_.size() + 1, trainer_->iterations(),
                        "the map folds at " + std::to_string(folded) +
                            " particles; a smaller step_size or map_rate may help",
                        Fault::folded);
      stage.extrapolation *= shrink;
    }
  }
  StageMap<R> stage_map(const typename Flow::StageType& stage) const {
    StageMap<R> map;
    map.inertia = stage.inertia;
    if constexpr (may_be_gaussian) map.affine = [&] { return affine_form(flow_.map, stage); };
    if (stage.parameters.empty()) return map;  // a step without a map
    if constexpr (trains)
      map.push = [&](const auto& x, const auto& scratch, long n) {
        auto net = trainer_->evaluation_network(stage.parameters);
        push_through(*runtime_, net, stage, x, scratch, n);
      };
    if constexpr (trains && carries_density)
      map.log_determinants = [&](const auto& x, const auto& scratch, long n) {
        auto net = trainer_->evaluation_network(stage.parameters);
        return log_determinants_through(*runtime_, net, stage, x, scratch, n);
      };
    return map;
  }
  bool is_time_to_refresh() const {
    const int every = options_.population.refresh_every;
    return every > 0 && pool_ && steps_of_run() > 0 && steps_of_run() % every == 0;
  }
  int steps_of_run() const { return flow_.size() - done_before_; }

  template <class Observer>
  bool notify(Observer& observer, int iteration, const Estimates& e, bool step_done) {
    Progress p{};
    p.step = flow_.size() + (step_done ? 0 : 1), p.steps = done_before_ + options_.steps;
    p.iteration = iteration, p.iterations = step_done ? iteration : trainer_->iterations();
    p.transport = e.transport, p.direct = e.direct, p.dual = e.dual;
    p.seconds = seconds(), p.step_done = step_done;
    p.done = static_cast<long>(trainer_->draws()) + (step_done ? 0 : iteration);
    p.left = std::max(0L, planned_iterations(options_.steps) - planned_iterations(steps_of_run()) -
                              (step_done ? 0 : iteration));
    p.rejected = trainer_->rejected(), p.rolled_back = trainer_->rolled_back();
    p.damped = damped_;
    p.step_size = step_done ? flow_.step_size_of(flow_.size() - 1) : trainer_->step_size();
    p.time = flow_.time() + (step_done ? 0 : p.step_size);
    p.error = step_done ? trainer_->estimated_error() : 0;
    history_.push_back(p);
    return detail::notify(observer, p, *this);
  }
  long planned_iterations(int steps) const {
    if (!trains || steps == 0) return 0;
    return options_.training.iterations_of(0) + (steps - 1L) * options_.training.iterations;
  }
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  void need_duals(const std::string& who) const {
    if (steps_of_run() == 0)
      throw std::logic_error("wgf::JkoSolver: " + who + " needs a step to be done");
    if (!trainer_->has_duals())
      throw std::logic_error("wgf::JkoSolver: " + who +
                             " needs a step to be done since the run was resumed, or since a step "
                             "failed");
    if (flow_.stages.back().extrapolation != 1)
      throw std::logic_error(
          "wgf::JkoSolver: the last step was extrapolated, and its dual network saw the half step "
          "only");
  }

  detail::Header identity() const {
    return detail::run_identity(implicit_, flow_, scheme_, method_, backend_, options_,
                                done_before_);
  }
  Snapshot snapshot() const {
    return {refreshes_, damped_, seconds(), trainer_->snapshot(), population_->snapshot(),
            history_};
  }
  void check(const Snapshot& next, int steps) const {
    const auto need = [](bool good, const char* what) {
      if (!good) throw std::invalid_argument(what);
    };
    const auto& progress = next.trainer.progress;
    const int iterations = trains ? options_.training.iterations_of(steps) : 1;
    need(progress.iteration < std::max(1, iterations), "the iteration is out of range");
    need(progress.begun() || (progress.iteration == 0 && progress.done.empty()),
         "the iteration is of no step");
    const std::size_t parameters = trainer_->training().map.parameters().size();
    for (const auto& map : progress.done)
      need(map.size() == parameters, "a finished training's map is of another size");
    need(next.trainer.before.size() == (progress.begun() ? next.trainer.networks.size() : 0),
         "the number of networks before the step is another");
  }
  void restore(Flow flow, const Snapshot& from) {
    population_->restore(from.population);
    if constexpr (may_be_gaussian)
      if (gaussian_) gaussian_->reset(flow.gaussian_path(), flow.size() > 0);
    trainer_->restore(from.trainer);
    flow_ = std::move(flow);
    refreshes_ = from.refreshes, damped_ = from.damped, history_ = from.history;
    const std::chrono::duration<double> elapsed(from.seconds);
    start_ = std::chrono::steady_clock::now() -
             std::chrono::duration_cast<std::chrono::steady_clock::duration>(elapsed);
  }

  Implicit implicit_;
  Scheme scheme_;
  Method method_;
  RunOptions options_;
  Flow flow_;
  int done_before_;
  Backend backend_;
  std::unique_ptr<R> runtime_;
  std::unique_ptr<Population<R>> population_;
  GaussianPopulation<R>* gaussian_ = nullptr;  // the population, if P_k is known in closed form
  ParticlePopulation<R>* pool_ = nullptr;      // the population, if it consists of particles
  std::unique_ptr<StepTrainer> trainer_;
  std::chrono::steady_clock::time_point start_;
  int refreshes_ = 0, damped_ = 0;
  std::vector<Progress> history_;
};

}  // namespace wgf
