// SPDX-License-Identifier: BSL-1.0
#pragma once
// The solver: four compile-time policies, and the loop over JKO steps (Algorithm 1).
#include <algorithm>
#include <chrono>
#include <cmath>
#include <concepts>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Cholesky>

#include "../concepts.hpp"
#include "../flow/flow.hpp"
#include "../frame.hpp"
#include "../functional/functional.hpp"
#include "../scheme/backward.hpp"
#include "errors.hpp"
#include "jko_step.hpp"
#include "options.hpp"

namespace wgf {

/// Backend policy: a seed, and start(), which gives a Runtime.
template <class B>
concept BackendPolicy = std::copyable<B> && requires(const B& b) {
  typename B::Scalar;
  { b.seed } -> std::convertible_to<std::uint64_t>;
  { b.start() } -> Runtime;
};

namespace detail {
/// Random streams of a run. The host's measures use small numbers with seeds of their own.
enum Stream : std::uint32_t {
  batch_stream = 1001,
  offset_stream = 1002,
  pool_stream = 1003,
  cloud_stream = 1005,
  forward_stream = 1004,
  map_stream = 1010,
  dual_stream = 1100
};

template <class Term>
inline constexpr bool has_target = requires(const Term& t) { requires Target<std::remove_cvref_t<decltype(t.target)>>; };

/// Forward terms as a functional, of which a step only asks the value.
template <class... Terms>
Functional<Terms...> watched_of(const hana::tuple<Weighted<Terms>...>& terms) {
  return {terms};
}
template <class... Terms>
constexpr bool any_interacts(const hana::tuple<Weighted<Terms>...>*) {
  return (InteractionTerm<Terms> || ...);
}

/// What is wrong with the target at x, where gradients of up to `most` are good; empty if nothing is.
template <Target T>
std::string fault_at(const T& target, const Eigen::VectorXd& x, double most) {
  const auto value = static_cast<double>(target.log_density(x));
  const Eigen::VectorXd slope = log_density_gradient(target, x);
  std::string what;
  if (!std::isfinite(value)) what = "is " + std::to_string(value);
  else if (!slope.allFinite()) what = "has a gradient that is not finite";
  else if (slope.template lpNorm<Eigen::Infinity>() > most) what = "has a gradient too large for the backend's numbers";
  else return what;
  what = "the target's log-density " + what + " at x = (";
  for (Eigen::Index j = 0; j < std::min<Eigen::Index>(x.size(), 4); ++j) what += (j ? ", " : "") + std::to_string(x[j]);
  return what + (x.size() > 4 ? ", …)" : ")");
}
}  // namespace detail

/// Solves P_{k+1} = argmin_P W₂²(P, P_k)/(2a) + F(P) for k = 0, 1, …, each step by a transport map.
///
///     wgf::JkoSolver solver{wgf::kl(target), wgf::ResidualMlp<16, 5>{}, wgf::Backward{}, wgf::EigenBackend<float>{.seed = 1}};
///     const auto flow = solver.run(wgf::Gaussian::isotropic(2, 1.5), {.steps = 10}, wgf::print_progress);
///
/// \tparam FunctionalPolicy what falls: kl(target), entropy(), generalized_entropy(m), potential(target), interaction(kernel),
/// divergence_to(samples, divergence), sums and multiples of them.
/// \tparam Map the transport map's specification: ResidualMlp, IcnnGradient, DeepLinear, Affine.
/// \tparam Scheme how the step is split: Backward, ForwardBackward, Forward, Midpoint.
/// \tparam Backend who computes: EigenBackend.
template <class FunctionalPolicy, class Map, class Scheme, class Backend>
class JkoSolver {
  static_assert(is_functional<FunctionalPolicy>,
                "wgf::JkoSolver: the functional must be a sum of terms such as wgf::kl(target); see docs/architecture.md");
  static_assert(MapSpecification<Map>,
                "wgf::JkoSolver: the map must be a specification of a network from points to points, such as wgf::ResidualMlp<16, 5>; see "
                "docs/architecture.md");
  static_assert(SchemePolicy<Scheme>,
                "wgf::JkoSolver: the scheme must have a step_size and check(), such as wgf::Backward; see docs/architecture.md");
  static_assert(BackendPolicy<Backend>,
                "wgf::JkoSolver: the backend must have a seed and start(), such as wgf::EigenBackend<float>; see docs/architecture.md");

 public:
  using ForwardTerms = decltype(forward_terms<Scheme>(std::declval<const FunctionalPolicy&>()));
  using Flow = wgf::Flow<Map, Backend, ForwardTerms>;
  class State;

  JkoSolver(FunctionalPolicy functional, Map map, Scheme scheme, Backend backend)
      : functional_(std::move(functional)), map_(map), scheme_(scheme), backend_(backend) {}

  /// All steps.
  /// \param initial P_0: any Measure. Or a Flow of this type, which the run continues, with random numbers that the first run has not used.
  /// \param observer called with a Progress up to `options.reports` times a step, and at its end; if it returns false, the run stops and
  /// the steps done so far are returned. \throws std::invalid_argument for options or dimensions that make no sense; FlowError<Flow>, with
  /// the steps done so far, if a step fails.
  template <class Initial, class Observer>
  Flow run(const Initial& initial, const RunOptions& options, Observer&& observer) const {
    State state = start(initial, options);
    try {
      for (int k = 0; k < options.steps; ++k)
        if (!step(state, observer)) break;
    } catch (const StepError& error) {
      throw FlowError<Flow>(error, std::move(state.flow_));
    }
    return std::move(state.flow_);
  }
  template <class Initial>
  Flow run(const Initial& initial, const RunOptions& options = {}) const {
    return run(initial, options, [](const Progress&) {});
  }

  /// For those who drive the loop: a state at P_0 (or at a flow's end), then step after step.
  template <class Initial>
  State start(const Initial& initial, const RunOptions& options = {}) const {
    options.check();
    scheme_.check();
    if constexpr (std::same_as<Initial, Flow>) {
      if (describe(initial.map) != describe(map_))
        throw std::invalid_argument("wgf::JkoSolver: the flow to continue has the map " + describe(initial.map) + ", the solver " +
                                    describe(map_));
      if (initial.step_size != scheme_.step_size)
        throw std::invalid_argument("wgf::JkoSolver: the flow to continue has step size " + std::to_string(initial.step_size) +
                                    ", the scheme " + std::to_string(scheme_.step_size));
      Flow flow = initial;
      flow.backend = backend_, flow.backend.seed = initial.backend.seed;
      return State(*this, std::move(flow), options);
    } else {
      static_assert(
          Measure<Initial>,
          "wgf::JkoSolver: P_0 must be a measure with dim() and sample(n, seed), such as wgf::Gaussian, or a flow of this solver's type");
      return State(*this, Flow(initial_measure(initial), map_, scheme_.step_size, backend_, forward_terms<Scheme>(functional_)), options);
    }
  }
  /// One JKO step: trains the map, appends it to state.flow() and pushes the particles.
  /// \returns whether the observer wants to go on. A step that it stops in its course leaves the flow as before.
  /// \throws StepError, the flow being as before, if something non-finite appears or the target throws.
  template <class Observer>
  bool step(State& state, Observer&& observer) const {
    return state.advance(observer);
  }
  bool step(State& state) const {
    return state.advance([](const Progress&) {});
  }

 private:
  FunctionalPolicy functional_;
  Map map_;
  Scheme scheme_;
  Backend backend_;
};

/// A run in progress.
template <class FunctionalPolicy, class Map, class Scheme, class Backend>
class JkoSolver<FunctionalPolicy, Map, Scheme, Backend>::State {
  using R = decltype(std::declval<const Backend&>().start());
  using Implicit = decltype(backward_part<Scheme>(std::declval<const FunctionalPolicy&>()));
  using Terms = decltype(std::declval<const Implicit&>().bind(std::declval<const R&>(), 1, 1L, 0u));
  using Watched = decltype(detail::watched_of(std::declval<const ForwardTerms&>()).bind(std::declval<const R&>(), 1, 1L, 0u));
  static constexpr bool has_forward = Flow::has_forward, trains = !std::same_as<Implicit, Functional<>>;
  using MapNetwork = decltype(std::declval<const R&>().network(std::declval<const Map&>(), 1, 1L, 0u, Keep::batch));

 public:
  /// The steps done so far.
  const Flow& flow() const { return flow_; }
  /// The particles that stand for P_k: d × pool. In Gaussian flows, fresh draws of P_k.
  Particles particles() const { return exact_ ? exact_->sample(options_.pool, backend_.seed) : runtime_.download(pool_); }
  /// log P_K at the points x (d × n) as the last step's (first) dual network sees it: its base's log-density plus u. Cheap and defined
  /// everywhere, but an estimate, which need not integrate to one. \throws std::logic_error before the first step, after one that was
  /// extrapolated (its dual network saw the half step), or for a functional without a dual term whose base has a density;
  /// std::invalid_argument for points of another dimension.
  Eigen::VectorXd dual_log_density(const Particles& x) {
    if (step_count_ == 0) throw std::logic_error("wgf::JkoSolver: dual_log_density needs a step to be done");
    if (flow_.stages.back().stretch != 1)
      throw std::logic_error("wgf::JkoSolver: the last step was extrapolated, and its dual network saw the half step only");
    if (x.rows() != flow_.dim())
      throw std::invalid_argument("wgf::JkoSolver: dual_log_density was given points of dimension " + std::to_string(x.rows()) +
                                  ", the flow has " + std::to_string(flow_.dim()));
    Eigen::VectorXd log;
    const long n = x.cols();
    const Frame& frame = entered_;  // of a step in progress too, which the observer stopped: the terms are in its coordinates
    const Particles inside = detail::solve_lower(frame.factor, x.colwise() - frame.mean);
    auto at = runtime_.points(flow_.dim(), n), u = runtime_.points(1, n);
    runtime_.upload(inside, at);
    each_dual<R>(memory_.terms, [&](auto& dual, double) {
      if constexpr (requires { dual.log_density(Eigen::VectorXd(), 0.0); }) {
        if (log.size() > 0) return;
        runtime_.parallel(n, [&](typename R::Slice s) { u(s) = as_points(dual.network.forward(s, at(s))); });
        const Particles values = runtime_.download(u);
        log.resize(n);
        for (long i = 0; i < n; ++i) log[i] = dual.log_density(Eigen::VectorXd(inside.col(i)), values(0, i));
      }
    });
    if (log.size() == 0 && n > 0) throw std::logic_error("wgf::JkoSolver: no dual term of the functional has a base with a density");
    return log;
  }

 private:
  friend JkoSolver;
  State(const JkoSolver& solver, Flow flow, const RunOptions& options)
      : functional_(backward_part<Scheme>(solver.functional_)),
        scheme_(solver.scheme_),
        options_(options),
        flow_(std::move(flow)),
        done_before_(flow_.size()),
        backend_(backend_of(solver, done_before_)),
        runtime_(backend_.start()),
        memory_(allocate(solver.functional_.dim())),
        start_(std::chrono::steady_clock::now()) {
    if constexpr (AffineSpecification<Map> && !has_forward)
      if (std::holds_alternative<Gaussian>(flow_.initial)) exact_ = flow_.gaussian();
    if (options.coupled_base && !exact_)
      throw std::invalid_argument("wgf::RunOptions: coupled_base needs a Gaussian flow: an affine map and a Gaussian P_0");
    if (options.coupled_base && !options.whiten) throw std::invalid_argument("wgf::RunOptions: coupled_base needs whiten");
    each_dual<R>(memory_.terms, [&](auto& dual, double) {
      if constexpr (!couples<decltype(dual)>)
        if (options.coupled_base) throw std::invalid_argument("wgf::RunOptions: coupled_base needs Gaussian bases, as the entropy has");
    });
    if (!exact_) {
      const long n = options.pool;
      if (n < options.batch) throw std::invalid_argument("wgf::RunOptions: pool must hold at least a batch, got " + std::to_string(n));
      pool_ = runtime_.points(flow_.dim(), n);
      pushed_ = runtime_.points(flow_.dim(), n);
      batches_ = runtime_.points(flow_.dim(), n + options.batch);
      if (options.stratified) noise_ = runtime_.points(flow_.dim(), options.batch);
      if (has_forward) half_ = runtime_.points(flow_.dim(), n);
      refresh_pool();
    } else {
      batches_ = runtime_.points(flow_.dim(), options.batch);
      cloud_ = runtime_.points(flow_.dim(), cloud_size);
      noise_ = runtime_.points(flow_.dim(), options.batch);
    }
    if (flow_.size() > 0 && trains) memory_.map.set_parameters(flow_.stages.back().parameters);
  }

  /// The solver's; a run that goes on from a flow has a seed of its own, for numbers that the flow was not made with.
  static Backend backend_of(const JkoSolver& solver, int done_before) {
    Backend backend = solver.backend_;
    if (done_before > 0) backend.seed = detail::mixed_seed(backend.seed) + static_cast<std::uint64_t>(done_before);
    return backend;
  }
  /// Whether a dual term can be given the samples that P_k's batch was made of.
  template <class Dual>
  static constexpr bool couples = requires(Dual dual, typename R::Slice s, typename R::Window& z) { dual.couple_base(z(s), z(s)); };

  StepState<R, MapNetwork, Terms, Watched> allocate(int asked) const {
    const int d = flow_.dim();
    if (asked && asked != d)
      throw std::invalid_argument("wgf::JkoSolver: the functional has dimension " + std::to_string(asked) + ", P_0 has " +
                                  std::to_string(d));
    const long n = options_.batch;
    return {runtime_.network(flow_.map, d, n, detail::map_stream, Keep::batch),
            functional_.bind(runtime_, d, n, detail::dual_stream),
            runtime_.points(d, n),
            runtime_.points(d, n),
            runtime_.points(d, n),
            detail::watched_of(flow_.forward).bind(runtime_, d, n, detail::dual_stream)};
  }
  /// Draws the pool from P_0 and pushes it through all maps.
  void refresh_pool() {
    // Not the user's seed, nor what sample() makes of it: samples drawn later must not be the particles of the training.
    const std::uint64_t seed = detail::mixed_seed(backend_.seed + detail::pool_stream + static_cast<std::uint64_t>(refreshes_++));
    runtime_.upload(flow_.push(flow_.draw_initial(options_.pool, seed)), pool_);
    moments_ = runtime_.moments(pool_);
  }
  /// The particles that the JKO step starts from: P_k's, or those of its forward half.
  const typename R::Points& particles_now() const { return has_forward ? half_ : pool_; }
  Gaussian moments(int step) const {
    if (exact_) return *exact_;
    const auto& [mean, covariance] = has_forward ? half_moments_ : moments_;
    if (!mean.allFinite() || !covariance.allFinite()) throw StepError(step, 0, "the particles are not finite");
    try {
      return {mean, covariance};
    } catch (const std::invalid_argument&) {
      throw StepError(step, 0, "the cloud has collapsed: its covariance is not positive definite");
    }
  }

  template <class Observer>
  bool advance(Observer&& observer) {
    const int step = flow_.size() + 1;
    const bool first = step_count_ == 0;
    if (options_.refresh_pool > 0 && !exact_ && !first && step_count_ % options_.refresh_pool == 0) in_step(step, [&] { refresh_pool(); });
    typename Flow::StageType stage{Frame::none(flow_.dim()), {}};
    if constexpr (has_forward) in_step(step, [&] { go_forward(stage); });
    const Gaussian now = moments(step);

    Progress progress{};
    progress.step = step, progress.steps = done_before_ + options_.steps;
    const auto tell = [&](const Estimates& e, long done) {
      progress.transport = e.transport, progress.direct = e.direct, progress.dual = e.dual, progress.seconds = seconds();
      progress.done = done, progress.left = std::max(0L, total_iterations() - done);
      if constexpr (std::convertible_to<std::invoke_result_t<Observer&, const Progress&>, bool>)
        return static_cast<bool>(observer(static_cast<const Progress&>(progress)));
      else return observer(static_cast<const Progress&>(progress)), true;
    };
    Estimates last;
    if constexpr (trains) {
      const auto previous = memory_.map.parameters();
      stage.frame = frame_of(now);
      in_step(step, [&] { enter(stage.frame, now); });
      if (!first && !options_.carry_optimiser) {
        memory_.map.reset_optimiser();
        each_dual<R>(memory_.terms, [](auto& dual, double) { dual.network.reset_optimiser(); });
      }
      if (!first && !options_.carry_dual) each_dual<R>(memory_.terms, [&](auto& dual, double) { dual.network.restart(); });
      progress.iterations = options_.iterations_of(step_count_);
      const auto train = [&](double step_size) {
        return this->train(step, stage.frame, step_size, progress.iterations, previous, last, [&](int k, const Estimates& e) {
          progress.iteration = k + 1;
          return tell(e, static_cast<long>(draws_) + k + 1);
        });
      };
      const auto a = static_cast<double>(scheme_.step_size);
      if constexpr (extrapolates<Scheme>) {
        if (!train(a / 2)) return false;
        stage.stretch = 2;
        if (!monotone(stage.frame)) {
          if constexpr (requires { scheme_.refuse; })
            if (scheme_.refuse) {
              undo(previous);
              throw StepError(step, progress.iterations, "the extrapolated map is not monotone; a smaller step_size may help");
            }
          stage.stretch = 1;
          if (!train(a)) return false;
        }
      } else {
        if (!train(a)) return false;
      }
      stage.parameters = memory_.map.parameters();
      if (const std::string why = append(std::move(stage)); !why.empty()) {
        undo(previous);
        throw StepError(step, progress.iterations, why);
      }
    } else {
      in_step(step, [&] { last = look(now); });
      if (const std::string why = append(std::move(stage)); !why.empty()) throw StepError(step, 0, why);
    }
    ++step_count_;
    progress.iteration = progress.iterations, progress.step_done = true;
    return tell(last, static_cast<long>(draws_));
  }

  /// Calls f, which runs a user's code or takes memory outside of training: what that throws is an error of the step.
  template <class F>
  static void in_step(int step, F&& f) {
    try {
      f();
    } catch (const std::exception& error) {
      throw StepError(step, 0, message(error));
    }
  }
  /// What went wrong, in the backend's words if it has better ones.
  static std::string message(const std::exception& error) {
    if constexpr (requires { R::message(error); }) return R::message(error);
    else return error.what();
  }
  Frame frame_of(const Gaussian& now) const {
    if (!options_.whiten) return Frame::none(flow_.dim());
    if constexpr (GradientMapSpecification<Map>) return Frame::scaling(now);  // in which gradients stay gradients
    else return Frame::whitening(now);
  }
  /// Terms enter the step.
  void enter(const Frame& frame, const Gaussian& now) {
    entered_ = frame;
    draw_ = batches(frame);
    if (exact_) {  // for terms that look at particles
      const Particles x =
          exact_->sample(cloud_size, detail::mixed_seed(backend_.seed + detail::cloud_stream + static_cast<std::uint64_t>(flow_.size())));
      runtime_.upload(detail::solve_lower(frame.factor, x.colwise() - frame.mean), cloud_);
    }
    const Cloud<R> cloud{now, exact_ ? typename R::Window(cloud_) : batches_.window(0, options_.pool)};
    const auto all = [&](auto& terms) { hana::for_each(terms, [&](auto& t) { t.term.enter(runtime_, frame, cloud, t.weight); }); };
    all(memory_.terms), all(memory_.watched);
  }
  /// P_{k+½}: particles move along the forward terms' gradients.
  void go_forward(typename Flow::StageType& stage) {
    const long pool = options_.pool;
    auto samples = runtime_.points(flow_.dim(), interacts ? std::min(options_.forward_samples, pool) : 0);
    if (interacts) {
      const auto taken = static_cast<std::uint32_t>(step_count_);
      runtime_.parallel(samples.count(), [&](typename R::Slice s) {
        runtime_.draw_strata(pool_, s, samples(s), samples.count(), detail::forward_stream, taken);
      });
      stage.samples = runtime_.download(samples);
    }
    runtime_.parallel(pool, [&](typename R::Slice s) { half_(s) = pool_(s); });
    push_forward(runtime_, flow_.forward, flow_.step_size, samples, half_, pushed_, batches_.window(0, pool), pool,
                 options_.forward_samples >= pool);
    half_moments_ = runtime_.moments(half_);
  }
  /// Trains the map for a JKO step of the given size. \param report(k, estimates) is asked whether to go on.
  /// \returns whether the step was finished; if not, the map is what it was. \throws StepError likewise.
  template <class Report>
  bool train(int step, const Frame& frame, double step_size, int iterations, const std::vector<typename Flow::Scalar>& previous,
             Estimates& last, Report report) {
    const Transport<R> transport(runtime_, frame, step_size);
    const int every = options_.report_every(iterations);
    bool all_finite = true, finished = false, observing = false;
    int failed = 0;
    try {
      finished =
          jko_step<R>(runtime_, memory_, transport, options_, iterations, draws_, draw_, [&](int k, bool good, const auto& estimates) {
            all_finite = good, failed = k + 1;
            if (!good) return false;
            const bool ends = k + 1 == iterations;
            if (!ends && (k + 1) % every != 0) return true;
            const Estimates seen = estimates();
            all_finite = seen.finite && std::isfinite(seen.direct);  // a log-density may fail where its gradient does not
            if (!all_finite) return false;
            if (ends) {
              last = seen;
              return true;
            }
            observing = true;
            const bool go_on = report(k, seen);
            observing = false;
            return go_on;
          });
    } catch (const std::exception& error) {
      undo(previous);
      if (observing) throw;  // the observer's own, for whoever gave it
      throw StepError(step, failed + 1, message(error));
    } catch (...) {
      undo(previous);
      throw;
    }
    draws_ += static_cast<std::uint32_t>(iterations);
    if (finished) return true;
    const std::string why = all_finite ? "" : diagnosis_or_error(frame);
    undo(previous);
    if (!all_finite) throw StepError(step, failed, why);
    return false;
  }
  /// Whether x → 2T(x) − x is safely monotone: the derivative of T, in x, is above ½ at particles of the cloud.
  bool monotone(const Frame& frame) {
    constexpr long most = 256;
    const long n = std::min({most, options_.batch, AffineSpecification<Map> ? 1L : most});
    auto net = runtime_.network(flow_.map, flow_.dim(), 1, detail::map_stream, Keep::tile);
    net.set_parameters(memory_.map.parameters());
    const auto scratch = [&] { return runtime_.points(flow_.dim(), n); };
    const auto x = scratch(), y = scratch(), dy = scratch();
    const Eigen::MatrixXd out = frame.factor, in = frame.inverse_factor();
    Particles at;
    if (exact_) {
      at = runtime_.download(batches_.window(0, n));
    } else {  // from all over the pool: where it is sorted, its beginning is one end of the cloud
      const auto pool = batches_.window(0, options_.pool);
      runtime_.parallel(n, [&](typename R::Slice s) { runtime_.draw_strata(pool, s, x(s), n, detail::offset_stream, draws_); });
      at = runtime_.download(x);
    }
    for (const Eigen::MatrixXd& slope : detail::jacobians(runtime_, net, at, x, y, dy)) {
      const Eigen::MatrixXd in_x = detail::symmetric_part(detail::product(detail::product(out, slope), in));
      const Eigen::MatrixXd left = in_x - 0.501 * Eigen::MatrixXd::Identity(in_x.rows(), in_x.cols());
      if (Eigen::LLT<Eigen::MatrixXd>(left).info() != Eigen::Success) return false;
    }
    return true;
  }
  /// Appends the stage and moves the particles. \returns why not, if that failed and all is as before; else nothing.
  std::string append(typename Flow::StageType stage) {
    flow_.stages.push_back(std::move(stage));
    if (exact_) {
      if constexpr (AffineSpecification<Map> && !has_forward) try {
          exact_ = flow_.affine_form(flow_.size() - 1).push_forward(*exact_);
        } catch (const std::invalid_argument&) {
          flow_.stages.pop_back();
          return "the map is no longer one between Gaussians; a smaller map_rate may help";
        }
      return {};
    }
    try {
      if (push_pool()) return {};
    } catch (const std::exception& error) {
      flow_.stages.pop_back();
      return message(error);
    }
    flow_.stages.pop_back();
    return "the map sends particles to where they are not finite; a smaller map_rate may help";
  }
  /// Values of the forward terms at particles that have gone forward, and what their motion cost.
  Estimates look(const Gaussian& now) {
    const long n = options_.batch;
    enter(Frame::none(flow_.dim()), now);
    auto& y = memory_.y;
    runtime_.parallel(n, [&](typename R::Slice s) { y(s) = particles_now()(s); });
    show_batch(runtime_, memory_.watched, y);
    auto moved = runtime_.sum(), direct = runtime_.sum();
    runtime_.parallel(n, [&](typename R::Slice s) {
      moved.add(s, (y(s) - pool_(s)).square().sum());
      each_direct<R>(memory_.watched, [&](auto& term, double weight) { direct.add(s, weight * term.value(s, y)); });
    });
    const double per_point = 1.0 / static_cast<double>(n);
    return {per_point * moved.value() / (2 * flow_.step_size), per_point * direct.value(), 0};
  }

  /// The map as before the step, and nothing left over that would spoil the next one.
  void undo(const std::vector<typename Flow::Scalar>& parameters) {
    memory_.map.set_parameters(parameters);
    memory_.map.clear_gradient(), memory_.map.reset_optimiser();
    each_dual<R>(memory_.terms, [](auto& dual, double) {
      dual.network.clear_gradient();
      if (finite(dual.network)) dual.network.reset_optimiser();
      else dual.network.restart();
    });
  }
  template <class Network>
  static bool finite(const Network& network) {
    const auto values = network.parameters();
    return std::all_of(values.begin(), values.end(), [](auto v) { return std::isfinite(v); });
  }
  /// Iterations of all the steps that the options ask for.
  long total_iterations() const {
    if (!trains) return 0;
    long n = 0;
    for (int k = 0; k < options_.steps; ++k) n += options_.iterations_of(k);
    return n;
  }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  /// The batches of a step in its coordinates: fresh draws of a Gaussian P_k, or windows of the pool, each pass over it from another start.
  auto batches(const Frame& frame) {
    const long n = options_.batch, pool = options_.pool;
    using Slice = typename R::Slice;
    typename R::Constant factor = runtime_.constant(frame.identity && exact_ ? exact_->factor() : frame.factor),
                         mean = runtime_.constant(frame.identity && exact_ ? exact_->mean() : frame.mean);
    if (!exact_) {
      const Eigen::MatrixXd inverse = frame.inverse_factor();
      const auto in = runtime_.constant(inverse), shift = runtime_.constant(-(inverse * frame.mean));
      runtime_.parallel(pool, [&](Slice s) {
        if (frame.identity) batches_(s) = particles_now()(s);
        else set_affine(in, shift, particles_now()(s), batches_(s));
      });
      if (options_.stratified) runtime_.sort_along_curve(batches_.window(0, pool));
      const auto head = batches_.window(0, n), tail = batches_.window(pool, n);  // windows wrap around
      runtime_.parallel(n, [&](Slice s) { tail(s) = head(s); });
    }
    return [this, n, pool, factor, mean, plain = frame.identity](int k) {
      const auto draw = draws_ + static_cast<std::uint32_t>(k);
      if (exact_) {
        runtime_.parallel(n, [&](Slice s) {
          if (!plain) {
            runtime_.normals(s, batches_(s), detail::batch_stream, draw);
          } else {
            runtime_.normals(s, noise_(s), detail::batch_stream, draw);
            set_affine(factor, mean, noise_(s), batches_(s));
          }
        });
        return batches_.window(0, n);
      }
      if (options_.stratified) {
        const auto all = batches_.window(0, pool);
        runtime_.parallel(n, [&](Slice s) { runtime_.draw_strata(all, s, noise_(s), n, detail::batch_stream, draw); });
        return noise_.window(0, n);
      }
      const long per_pass = pool / n, pass = k / per_pass;
      const auto word = Random::philox({static_cast<std::uint32_t>(pass), draws_, 0, detail::offset_stream},
                                       {static_cast<std::uint32_t>(backend_.seed), static_cast<std::uint32_t>(backend_.seed >> 32)});
      return batches_.window((word[0] % static_cast<std::uint64_t>(pool) + static_cast<std::uint64_t>(k % per_pass * n)) % pool, n);
    };
  }
  /// Moves the pool through the last stage. \returns whether the particles are finite; if not, the pool stays as it was.
  bool push_pool() {
    const auto& stage = flow_.stages.back();
    const auto& from = particles_now();
    runtime_.parallel(options_.pool, [&](typename R::Slice s) { pushed_(s) = from(s); });
    if constexpr (trains) {
      auto net = runtime_.network(flow_.map, flow_.dim(), 1, detail::map_stream, Keep::tile);
      net.set_parameters(stage.parameters);
      push_through(runtime_, net, stage, pushed_, batches_, options_.pool);
    }
    auto moments = runtime_.moments(pushed_);
    if (!moments.first.allFinite() || !moments.second.allFinite()) return false;
    std::swap(pool_, pushed_), moments_ = std::move(moments);
    return true;
  }
  std::string diagnosis_or_error(const Frame& frame) {
    try {
      return diagnosis(frame);
    } catch (const std::exception& error) {  // the target's own, at a point where its gradient is not finite
      return message(error);
    }
  }
  /// Names what is not finite: the networks, the target at a particle, or else some term.
  std::string diagnosis(const Frame& frame) {
    bool networks = finite(memory_.map);
    each_dual<R>(memory_.terms, [&](auto& dual, double) { networks = networks && finite(dual.network); });
    if (!networks) return "the networks' parameters are no longer finite; a smaller map_rate or dual_rate may help";
    // The squares of a batch's gradients have to be numbers.
    const double most =
        std::sqrt(static_cast<double>(std::numeric_limits<typename Flow::Scalar>::max())) / static_cast<double>(options_.batch);
    const Eigen::MatrixXd y = detail::product(frame.factor, runtime_.download(memory_.y)).colwise() + frame.mean;
    if (!y.allFinite()) return "the map sends particles to where they are not finite; a smaller map_rate may help";
    std::string why;
    hana::for_each(functional_.terms, [&](const auto& t) {
      if constexpr (detail::has_target<std::remove_cvref_t<decltype(t.term)>>)
        for (Eigen::Index i = 0; i < y.cols() && why.empty(); ++i) why = detail::fault_at(t.term.target, Eigen::VectorXd(y.col(i)), most);
    });
    return why.empty() ? "a term's value or gradient is not finite, or too large for the backend's numbers" : why;
  }

  static constexpr bool interacts = detail::any_interacts(static_cast<const ForwardTerms*>(nullptr));

  Implicit functional_;
  Scheme scheme_;
  RunOptions options_;
  Flow flow_;
  int done_before_;
  Backend backend_;
  R runtime_;
  StepState<R, MapNetwork, Terms, Watched> memory_;
  std::chrono::steady_clock::time_point start_;
  int step_count_ = 0, refreshes_ = 0;
  std::uint32_t draws_ = 0;
  std::optional<Gaussian> exact_;                                       // P_k of a Gaussian flow
  std::pair<Eigen::VectorXd, Eigen::MatrixXd> moments_, half_moments_;  // of the pool, before and after the forward half
  Frame entered_;                                                       // the coordinates that the terms are in
  static constexpr long cloud_size = 4096;  // particles that stand for P_k of a Gaussian flow, where a term wants some
  typename R::Points pool_, half_, pushed_, batches_, noise_, cloud_;
  std::function<typename R::Window(int)> draw_;  // the batch of an iteration
};

}  // namespace wgf
