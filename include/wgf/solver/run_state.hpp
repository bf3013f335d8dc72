// SPDX-License-Identifier: BSL-1.0
#pragma once
// A run in progress: what it remembers from step to step, how a step is solved, and how all of it
// is saved and restored. Included by jko_solver.hpp.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include <Eigen/Cholesky>
#include <boost/core/demangle.hpp>

#include "../diagnostics/dual_gap.hpp"
#include "../flow/file.hpp"
#include "../frame.hpp"
#include "jko_solver.hpp"
#include "jko_step.hpp"
#include "run.hpp"

namespace wgf {

namespace detail {
/// Random streams of a run. The host's measures use small numbers with seeds of their own.
enum Stream : std::uint32_t {
  batch_stream = 1001,
  offset_stream = 1002,
  pool_stream = 1003,
  cloud_stream = 1005,
  forward_stream = 1004,
  held_out_stream = 1006,
  map_stream = 1010,
  dual_stream = 1100
};

template <class Term>
inline constexpr bool has_target =
    requires(const Term& t) { requires Target<std::remove_cvref_t<decltype(t.target)>>; };

/// Forward terms as a functional, of which a step only asks the value.
template <class... Terms>
Functional<Terms...> watched_of(const hana::tuple<Weighted<Terms>...>& terms) {
  return {terms};
}
template <class... Terms>
constexpr bool any_interacts(const hana::tuple<Weighted<Terms>...>*) {
  return (InteractionTerm<Terms> || ...);
}

/// What is wrong with the target at x, where gradients of up to `most` are good; empty if nothing
/// is.
template <Target T>
std::string fault_at(const T& target, const Eigen::VectorXd& x, double most) {
  const auto value = static_cast<double>(target.log_density(x));
  const Eigen::VectorXd slope = log_density_gradient(target, x);
  std::string what;
  if (!std::isfinite(value)) what = "is " + std::to_string(value);
  else if (!slope.allFinite()) what = "has a gradient that is not finite";
  else if (slope.template lpNorm<Eigen::Infinity>() > most)
    what = "has a gradient too large for the backend's numbers";
  else return what;
  what = "the target's log-density " + what + " at x = (";
  for (Eigen::Index j = 0; j < std::min<Eigen::Index>(x.size(), 4); ++j)
    what += (j ? ", " : "") + std::to_string(x[j]);
  return what + (x.size() > 4 ? ", …)" : ")");
}

inline constexpr FileKind run_file{"WGFRUN1\n", 1, "wgf::JkoSolver::resume", "a wgf run"};

template <class T>
std::string type_name() {
  return boost::core::demangle(typeid(T).name());
}
/// What a weighted term was given, as far as that can be told: its weight, its dual network, its
/// target's values at some points, to six digits, as another build may round otherwise.
template <class Term>
std::string describe_term(const Weighted<Term>& t, const Particles& points) {
  std::string text = shortest(t.weight);
  if constexpr (requires { describe(t.term.dual); }) text += " with " + describe(t.term.dual);
  if constexpr (has_target<Term>)
    for (Eigen::Index i = 0; i < points.cols(); ++i) {
      char value[32] = "none";
      try {
        std::snprintf(
            value, sizeof value, "%.6g",
            static_cast<double>(t.term.target.log_density(Eigen::VectorXd(points.col(i)))));
      } catch (...) {  // outside of its support
      }
      text += std::string(i ? ", " : " with log-density ") + value;
    }
  return text;
}

/// What the observer is told, and what it is asked between iterations.
template <class Figures, class Pause>
struct Report {
  Figures figures;  ///< figures(iteration from 0, estimates) → whether to go on
  Pause pause;      ///< pause() → whether to go on
};
template <class Figures, class Pause>
Report(Figures, Pause) -> Report<Figures, Pause>;
}  // namespace detail

/// A run in progress.
template <class FunctionalPolicy, class Map, class Scheme, class Backend>
class JkoSolver<FunctionalPolicy, Map, Scheme, Backend>::State : public Run {
  using R = decltype(std::declval<const Backend&>().start());
  using Implicit = decltype(backward_part<Scheme>(std::declval<const FunctionalPolicy&>()));
  using Terms = decltype(std::declval<const Implicit&>().bind(std::declval<const R&>(), 1, 1L, 0u));
  using Watched = decltype(detail::watched_of(std::declval<const ForwardTerms&>())
                               .bind(std::declval<const R&>(), 1, 1L, 0u));
  static constexpr bool has_forward = Flow::has_forward,
                        trains = !std::same_as<Implicit, Functional<>>;
  static_assert(!(adapts<Scheme> && has_forward),
                "wgf::JkoSolver: a scheme that chooses its step size treats no term forward");
  using Scalar = typename Flow::Scalar;
  using MapNetwork = decltype(std::declval<const R&>().network(std::declval<const Map&>(), 1, 1L,
                                                               0u, Keep::batch));

 public:
  /// The steps done so far.
  const Flow& flow() const { return flow_; }
  /// Whether the steps that the options ask for are done, or the time that the scheme goes to is
  /// reached.
  bool finished() const override {
    if constexpr (requires { scheme_.done(1.0); })
      if (scheme_.done(flow_.time())) return true;
    return flow_.size() - done_before_ >= options_.steps;
  }
  int steps_done() const override { return flow_.size(); }
  int iteration() const override { return course_.iteration; }
  const std::vector<Progress>& history() const override { return history_; }
  /// All that is needed to go on from here: see JkoSolver::resume. \throws FileError if it cannot
  /// be written.
  void save(const std::filesystem::path& path) const override {
    detail::Header header = identity();
    detail::ByteWriter body;
    detail::put_flow(flow_, header, body);
    put(body);
    detail::write_atomically("wgf::save", path, [&](std::ostream& out) {
      out << detail::sealed(detail::run_file, header, body);
    });
  }
  /// What was saved by the state of a run like this one, which has only been started. \throws
  /// FileError, leaving this state as it was, if the file is missing, damaged, or of another run.
  void restore(const std::filesystem::path& path) {
    const detail::OpenedFile file(detail::run_file, path);
    for (const auto& [key, expected] : identity())
      if (const std::string found = file.entry(key); found != expected)
        file.fail("it was saved by a run with another " + key + ": " + found + ", this one has " +
                  expected);
    detail::ByteReader in = file.numbers();
    Flow flow = detail::get_flow<Flow>(file, in, flow_.map, flow_.backend, flow_.forward);
    if (flow.size() < done_before_)
      file.fail("its flow is shorter than the one that this run continues");
    if (flow.size() - done_before_ > options_.steps)
      file.fail("it has " + std::to_string(flow.size() - done_before_) + " steps, more than the " +
                std::to_string(options_.steps) + " that are asked for");
    flow.initial = flow_.initial;  // to the bit, and with what a file does not keep
    const Saved now = saved();
    try {
      get(in, std::move(flow));
      in.end();
    } catch (const std::invalid_argument& error) {
      put_back(now);
      file.fail(std::string("its numbers make no sense: ") + error.what());
    } catch (...) {
      put_back(now);
      throw;
    }
  }

  /// For each dual term, its value where it was trained and on samples that training never saw,
  /// after a step. \param batches how many batches of fresh samples. In Gaussian flows all samples
  /// are fresh, and the gap is noise. \throws std::logic_error where dual_log_density does for the
  /// same reason; std::invalid_argument unless batches ≥ 2.
  std::vector<DualGap> dual_gaps(int batches = 50) {
    if (batches < 2)
      throw std::invalid_argument("wgf::JkoSolver: dual_gaps needs at least 2 batches, got " +
                                  std::to_string(batches));
    need_duals("dual_gaps");
    const long n = options_.batch;
    const auto seed = [&](int use) {
      return detail::mixed_seed(backend_.seed + detail::held_out_stream +
                                1000003u * static_cast<std::uint64_t>(use) + draws_);
    };
    const Particles fresh = flow_.sample(batches * n, seed(0)), pool = particles();
    const auto picked = standard_uniforms(1, batches * n, seed(1));
    std::vector<DualGap> values;
    auto y = runtime_.points(flow_.dim(), n);
    each_dual<R>(memory_.terms, [&](auto& dual, double weight) {
      Eigen::ArrayXd seen(batches), held_out(batches);
      for (int b = 0; b < batches; ++b) {
        const auto mean = [&](const Particles& x) {
          runtime_.upload(detail::solve_lower(entered_.factor, x.colwise() - entered_.mean), y);
          auto total = runtime_.sum();
          runtime_.parallel(n, [&](typename R::Slice s) {
            dual.sample_reference(runtime_, s, dual.reference_batch(s),
                                  draws_ + static_cast<std::uint32_t>(b));
            total.add(s, dual.gain(dual.network.forward(s, y(s))).sum());
            total.add(s, -dual.cost(dual.network.forward(s, dual.reference_batch(s))).sum());
          });
          return weight * total.value() / static_cast<double>(n);
        };
        Particles some(flow_.dim(), n);
        for (long i = 0; i < n; ++i)
          some.col(i) = pool.col(
              std::min(pool.cols() - 1,
                       static_cast<long>(picked(0, b * n + i) * static_cast<double>(pool.cols()))));
        seen[b] = mean(some), held_out[b] = mean(fresh.middleCols(b * n, n));
      }
      const Eigen::ArrayXd difference = seen - held_out;
      const double variance = (difference - difference.mean()).square().sum() / (batches - 1);
      values.push_back({seen.mean(), held_out.mean(), std::sqrt(variance / batches)});
    });
    return values;
  }

  /// The particles that stand for P_k: d × pool. In Gaussian flows, fresh draws of P_k.
  Particles particles() const {
    return exact_ ? exact_->sample(options_.pool, backend_.seed) : runtime_.download(pool_);
  }
  /// log P_K at the points x (d × n) as the last step's (first) dual network sees it: its base's
  /// log-density plus u. Cheap and defined everywhere, but an estimate, which need not integrate to
  /// one. \throws std::logic_error before the first step of this state, after one that failed or
  /// was extrapolated (its dual network saw the half step), or for a functional without a dual term
  /// whose base has a density; std::invalid_argument for points of another dimension.
  Eigen::VectorXd dual_log_density(const Particles& x) {
    need_duals("dual_log_density");
    if (x.rows() != flow_.dim())
      throw std::invalid_argument(
          "wgf::JkoSolver: dual_log_density was given points of dimension " +
          std::to_string(x.rows()) + ", the flow has " + std::to_string(flow_.dim()));
    Eigen::VectorXd log;
    const long n = x.cols();
    const Frame& frame = entered_;  // of a step in progress too, which the observer stopped: the
                                    // terms are in its coordinates
    const Particles inside = detail::solve_lower(frame.factor, x.colwise() - frame.mean);
    auto at = runtime_.points(flow_.dim(), n), u = runtime_.points(1, n);
    runtime_.upload(inside, at);
    each_dual<R>(memory_.terms, [&](auto& dual, double) {
      if constexpr (requires { dual.log_density(Eigen::VectorXd(), 0.0); }) {
        if (log.size() > 0) return;
        runtime_.parallel(
            n, [&](typename R::Slice s) { u(s) = as_points(dual.network.forward(s, at(s))); });
        const Particles values = runtime_.download(u);
        log.resize(n);
        for (long i = 0; i < n; ++i)
          log[i] = dual.log_density(Eigen::VectorXd(inside.col(i)), values(0, i));
      }
    });
    if (log.size() == 0 && n > 0)
      throw std::logic_error(
          "wgf::JkoSolver: no dual term of the functional has a base with a density");
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
        start_(std::chrono::steady_clock::now()),
        next_step_size_(scheme_.step_size) {
    if constexpr (AffineSpecification<Map> && !has_forward)
      if (std::holds_alternative<Gaussian>(flow_.initial)) exact_ = flow_.gaussian();
    if (options.common_random_numbers && !exact_)
      throw std::invalid_argument(
          "wgf::RunOptions: common_random_numbers needs a Gaussian flow: an affine map and a "
          "Gaussian P_0");
    if (options.common_random_numbers && !options.whiten)
      throw std::invalid_argument("wgf::RunOptions: common_random_numbers needs whiten");
    each_dual<R>(memory_.terms, [&](auto& dual, double) {
      if constexpr (!couples<decltype(dual)>)
        if (options.common_random_numbers)
          throw std::invalid_argument(
              "wgf::RunOptions: common_random_numbers needs Gaussian bases, as the entropy has");
    });
    if (!exact_) {
      const long n = options.pool;
      if (n < options.batch)
        throw std::invalid_argument("wgf::RunOptions: pool must hold at least a batch, got " +
                                    std::to_string(n));
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

  /// The solver's; a run that goes on from a flow has a seed of its own, for numbers that the flow
  /// was not made with.
  static Backend backend_of(const JkoSolver& solver, int done_before) {
    Backend backend = solver.backend_;
    if (done_before > 0)
      backend.seed = detail::mixed_seed(backend.seed) + static_cast<std::uint64_t>(done_before);
    return backend;
  }
  /// Whether a dual term can be given the samples that P_k's batch was made of.
  template <class Dual>
  static constexpr bool couples = requires(
      Dual dual, typename R::Slice s, typename R::PointsView& z) { dual.share_noise(z(s), z(s)); };

  StepState<R, MapNetwork, Terms, Watched> allocate(int asked) const {
    const int d = flow_.dim();
    if (asked && asked != d)
      throw std::invalid_argument("wgf::JkoSolver: the functional has dimension " +
                                  std::to_string(asked) + ", P_0 has " + std::to_string(d));
    const long n = options_.batch;
    StepState<R, MapNetwork, Terms, Watched> state{
        runtime_.network(flow_.map, d, n, detail::map_stream, Keep::batch),
        functional_.bind(runtime_, d, n, detail::dual_stream),
        runtime_.points(d, n),
        runtime_.points(d, n),
        runtime_.points(d, n),
        detail::watched_of(flow_.forward).bind(runtime_, d, n, detail::dual_stream)};
    state.make_optimisers(runtime_, Adam{options_.beta1, options_.beta2});
    return state;
  }
  /// Draws the pool from P_0 and pushes it through all maps.
  void refresh_pool() {
    // Not the user's seed, nor what sample() makes of it: samples drawn later must not be the
    // particles of the training.
    const std::uint64_t seed = detail::mixed_seed(backend_.seed + detail::pool_stream +
                                                  static_cast<std::uint64_t>(refreshes_++));
    runtime_.upload(flow_.push(flow_.draw_initial(options_.pool, seed)), pool_);
    moments_ = runtime_.moments(pool_);
  }
  /// The particles that the JKO step starts from: P_k's, or those of its forward half.
  const typename R::Points& particles_now() const { return has_forward ? half_ : pool_; }
  Gaussian moments(int step) const {
    if (exact_) return *exact_;
    const auto& [mean, covariance] = has_forward ? half_moments_ : moments_;
    if (!mean.allFinite() || !covariance.allFinite())
      throw StepError(step, 0, "the particles are not finite", Fault::not_finite);
    try {
      return {mean, covariance};
    } catch (const std::invalid_argument&) {
      throw StepError(step, 0, "the cloud has collapsed: its covariance is not positive definite",
                      Fault::collapsed);
    }
  }

  /// Where in a step the run stands: what a checkpoint in its midst needs beside the networks.
  struct Course {
    double step_size = 0;  ///< a of the step; 0 before it has begun
    int part = 0,
        iteration = 0;     ///< trainings of this step that are done, iterations of the present one
    int rolled_back = 0;   ///< how often the step was begun again, with smaller rates
    bool monotone = true;  ///< the solved half step may be extrapolated
    std::optional<double> level{};  ///< the objective when the present training began
    std::vector<Scalar> half{};     ///< the solved half step's map
    bool begun() const { return step_size > 0; }
    void next_part() { ++part, iteration = 0, level.reset(); }
  };

  template <class Observer>
  bool advance(Observer&& observer) {
    const int step = flow_.size() + 1;
    const bool goes_on = course_.begun();  // with a step that was saved in its midst
    if (!goes_on && options_.refresh_pool > 0 && !exact_ && step_count_ > 0 &&
        step_count_ % options_.refresh_pool == 0)
      in_step(step, [&] { refresh_pool(); });
    typename Flow::StageType stage{Frame::none(flow_.dim()), {}};
    if constexpr (has_forward) in_step(step, [&] { go_forward(stage); });
    const Gaussian now = moments(step);

    Progress progress{};
    progress.step = step, progress.steps = done_before_ + options_.steps;
    const auto tell = [&](const Estimates& e, long done) {
      progress.transport = e.transport, progress.direct = e.direct, progress.dual = e.dual,
      progress.seconds = seconds();
      progress.done = done, progress.left = std::max(0L, total_iterations() - done);
      progress.rejected = rejected_, progress.rolled_back = rolled_back_;
      if (course_.begun()) progress.step_size = course_.step_size;
      progress.time = (progress.step_done ? 0 : progress.step_size) + flow_.time();
      history_.push_back(progress);
      return detail::tell(observer, progress, *this);
    };
    Estimates last;
    if constexpr (trains) {
      stage.frame = frame_of(now);
      in_step(step, [&] { enter(stage.frame, now); });
      if (!goes_on) begin_step();
      progress.iterations = options_.iterations_of(step_count_);
      const detail::Report report{[&](int k, const Estimates& e) {
                                    progress.iteration = k + 1;
                                    return tell(e, static_cast<long>(draws_) + k + 1);
                                  },
                                  [&] { return detail::after_iteration(observer, *this); }};
      for (bool done = false; !done;) {
        try {
          if (!solve(stage, step, progress, last, report)) return give_up(), false;
          append_or_throw(stage, step, progress.iterations, now);
          done = true;
        } catch (const StepError& error) {
          put_networks_back();
          if (asking_ || error.fault() == Fault::failed ||
              course_.rolled_back == options_.safeguards.retries) {
            course_ = {};
            throw;
          }
          course_ = {.step_size = course_.step_size, .rolled_back = course_.rolled_back + 1};
          ++rolled_back_;
          forget();
          in_step(step, [&] {
            enter(stage.frame, now);
          });  // the push that was refused has written over the batches
        } catch (...) {
          put_networks_back();
          course_ = {};
          throw;
        }
      }
      duals_known_ = true;
    } else {
      in_step(step, [&] { last = look(now); });
      append_or_throw(stage, step, 0, now);
      progress.step_size = flow_.step_size;
    }
    ++step_count_;
    progress.iteration = progress.iterations, progress.step_done = true;
    progress.step_size = flow_.step_size_of(flow_.size() - 1);
    course_ = {};
    const bool go_on = tell(last, static_cast<long>(draws_));
    return detail::after_iteration(observer, *this) && go_on;
  }
  /// Before the first training of a step: what a roll-back goes back to, and what a step starts
  /// with.
  void begin_step() {
    before_ = networks();
    forget();
    course_.step_size = next_step_size_;
    if constexpr (adapts<Scheme>) course_.step_size = scheme_.cut(next_step_size_, flow_.time());
  }
  /// What does not carry over from step to step.
  void forget() {
    if (step_count_ == 0) return;
    if (!options_.carry_optimiser) {
      for (auto& optimiser : memory_.optimisers) optimiser.reset();
    }
    if (!options_.carry_dual)
      memory_.each_network([](auto& network, auto& optimiser) {
        optimiser.reset();
        network.restart();
      });
  }
  /// Solves the step: one training, or two where the scheme extrapolates, or as many as it takes to
  /// meet a tolerance. \returns whether it was finished.
  template <class Report>
  bool solve(typename Flow::StageType& stage, int step, Progress& progress, Estimates& last,
             const Report& report) {
    const auto train = [&](double step_size) {
      return this->train(step, stage.frame, step_size, progress.iterations, last, report);
    };
    stage.extrapolation = 1;
    if constexpr (adapts<Scheme>) {
      for (;;) {
        const double a = course_.step_size;
        if (course_.part == 0) {
          if (!train(a / 2)) return false;
          course_.half = memory_.map.parameters(), course_.monotone = monotone(stage.frame);
          course_.next_part();
        }
        if (!train(a)) return false;
        const double error = error_of(stage.frame), next = scheme_.next(a, error);
        if ((error > scheme_.tolerance || !course_.monotone) && a > scheme_.min_step()) {
          course_ = {.step_size = std::max(scheme_.min_step(), std::min(next, a / 2)),
                     .rolled_back = course_.rolled_back};
          ++rejected_;
          continue;
        }
        stage.step_size = a, progress.error = error;
        next_step_size_ = next;
        if (scheme_.extrapolate && course_.monotone)
          stage.extrapolation = 2, memory_.map.set_parameters(course_.half);
        break;
      }
    } else if constexpr (extrapolates<Scheme>) {
      const double a = course_.step_size;
      if (course_.part == 0) {
        if (!train(a / 2)) return false;
        if (monotone(stage.frame)) {
          stage.extrapolation = 2;
        } else {
          if constexpr (requires { scheme_.refuse; })
            if (scheme_.refuse)
              throw StepError(step, progress.iterations,
                              "the extrapolated map is not monotone; a smaller step_size may help");
          course_.next_part();
        }
      }
      if (course_.part == 1 && !train(a)) return false;
    } else {
      if (!train(course_.step_size)) return false;
    }
    stage.parameters = memory_.map.parameters();
    return true;
  }

  /// Calls f, which runs a user's code or takes memory outside of training: what that throws is an
  /// error of the step.
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
    if constexpr (GradientMapSpecification<Map>)
      return Frame::scaling(now);  // in which gradients stay gradients
    else return Frame::whitening(now);
  }
  /// Terms enter the step.
  void enter(const Frame& frame, const Gaussian& now) {
    entered_ = frame;
    draw_ = batches(frame);
    if (exact_) {  // for terms that look at particles
      const Particles x =
          exact_->sample(cloud_size, detail::mixed_seed(backend_.seed + detail::cloud_stream +
                                                        static_cast<std::uint64_t>(flow_.size())));
      runtime_.upload(detail::solve_lower(frame.factor, x.colwise() - frame.mean), cloud_);
    }
    const Cloud<R> cloud{
        now, exact_ ? typename R::PointsView(cloud_) : batches_.window(0, options_.pool)};
    const auto all = [&](auto& terms) {
      hana::for_each(terms, [&](auto& t) { t.term.enter(runtime_, frame, cloud, t.weight); });
    };
    all(memory_.terms), all(memory_.watched);
  }
  /// P_{k+½}: particles move along the forward terms' gradients.
  void go_forward(typename Flow::StageType& stage) {
    const long pool = options_.pool;
    auto samples =
        runtime_.points(flow_.dim(), interacts ? std::min(options_.forward_samples, pool) : 0);
    if (interacts) {
      const auto taken = static_cast<std::uint32_t>(step_count_);
      runtime_.parallel(samples.count(), [&](typename R::Slice s) {
        runtime_.draw_strata(pool_, s, samples(s), samples.count(), detail::forward_stream, taken);
      });
      stage.samples = runtime_.download(samples);
    }
    runtime_.parallel(pool, [&](typename R::Slice s) { half_(s) = pool_(s); });
    push_forward(runtime_, flow_.forward, flow_.step_size, samples, half_, pushed_,
                 batches_.window(0, pool), pool, options_.forward_samples >= pool);
    half_moments_ = runtime_.moments(half_);
  }
  /// Trains the map for a JKO step of the given size, from the iteration on where the step stands.
  /// \param report what the observer is told, and asked between iterations. \returns whether the
  /// training was finished. \throws StepError if the step diverges.
  template <class Report>
  bool train(int step, const Frame& frame, double step_size, int iterations, Estimates& last,
             const Report& report) {
    const Transport<R> transport(runtime_, frame, step_size);
    const int every = options_.report_every(iterations), begin = course_.iteration;
    const double share = std::pow(options_.safeguards.rate, course_.rolled_back);
    bool all_finite = true, finished = false;
    asking_ = false;
    std::string blown_up;
    const auto ask = [&](auto&& question) {
      asking_ = true;
      const bool go_on = question();
      asking_ = false;
      return go_on;
    };
    try {
      finished = jko_step<R>(
          runtime_, memory_, transport, options_, begin, iterations, share, draws_, draw_,
          [&](int k, bool good, const auto& estimates) {
            course_.iteration = k + 1;
            all_finite = good;
            if (!good) return false;
            const bool ends = k + 1 == iterations, reports = (k + 1) % every == 0;
            if (ends || reports || !course_.level) {
              const Estimates seen = estimates();
              all_finite =
                  seen.finite &&
                  std::isfinite(seen.direct);  // a log-density may fail where its gradient does not
              if (!all_finite) return false;
              blown_up = explosion(seen);
              if (!blown_up.empty()) return false;
              if (ends) {
                last = seen;
                return true;
              }
              if (reports && !ask([&] { return report.figures(k, seen); })) return false;
            }
            return ask([&] { return report.pause(); });
          });
    } catch (const std::exception& error) {
      if (asking_) throw;  // the observer's own, for whoever gave it
      throw StepError(step, course_.iteration + 1, message(error));
    }
    if (!all_finite)
      throw StepError(step, course_.iteration, diagnosis_or_error(frame), Fault::not_finite);
    if (!blown_up.empty()) throw StepError(step, course_.iteration, blown_up, Fault::exploded);
    draws_ += static_cast<std::uint32_t>(iterations);
    if (finished && last.dual_size > options_.safeguards.saturation)
      throw StepError(
          step, iterations,
          "the dual networks are saturated: |u| is " + std::to_string(last.dual_size) +
              " in root mean square, they call particles e^|u| times likelier than the base does; "
              "a smaller step_size or dual_rate, or a base nearer to the cloud may help",
          Fault::saturated);
    return finished;
  }
  /// Why the step has exploded; empty if it has not.
  std::string explosion(const Estimates& seen) {
    const double value = seen.transport + seen.direct + seen.dual;
    if (!course_.level) course_.level = value;
    const double bound =
        *course_.level + options_.safeguards.explosion * (1 + std::abs(*course_.level));
    if (!(value > bound)) return {};
    return "transport cost plus functional have risen from " + std::to_string(*course_.level) +
           " to " + std::to_string(value) + "; a smaller map_rate or dual_rate may help";
  }
  /// Root mean square, over particles, of the distance of the map in memory from the extrapolated
  /// half step.
  double error_of(const Frame& frame) {
    const long n = exact_ ? cloud_size : std::min(cloud_size, options_.pool);
    const Particles x = particles_inside(n);
    const auto at = runtime_.points(flow_.dim(), n), y = runtime_.points(flow_.dim(), n);
    runtime_.upload(x, at);
    const auto pushed = [&](const std::vector<Scalar>& parameters) -> Particles {
      auto net = runtime_.network(flow_.map, flow_.dim(), 1, detail::map_stream, Keep::tile);
      net.set_parameters(parameters);
      runtime_.parallel(n, [&](typename R::Slice s) { y(s) = net.forward(s, at(s)); });
      return runtime_.download(y);
    };
    const Particles difference = pushed(memory_.map.parameters()) - (2 * pushed(course_.half) - x);
    return std::sqrt(detail::product(frame.factor, difference).squaredNorm() /
                     static_cast<double>(n));
  }
  /// n particles in the step's coordinates, from all over the pool: where it is sorted, its
  /// beginning is one end of the cloud. In Gaussian flows those that stand for it.
  Particles particles_inside(long n) {
    if (exact_) return runtime_.download(cloud_.window(0, n));
    const auto x = runtime_.points(flow_.dim(), n);
    const auto pool = batches_.window(0, options_.pool);
    runtime_.parallel(n, [&](typename R::Slice s) {
      runtime_.draw_strata(pool, s, x(s), n, detail::offset_stream, draws_);
    });
    return runtime_.download(x);
  }
  /// Whether x → 2T(x) − x is safely monotone: the derivative of T, in x, is above ½ at particles
  /// of the cloud.
  bool monotone(const Frame& frame) {
    constexpr long most = 256;
    const long n = std::min({most, options_.batch, AffineSpecification<Map> ? 1L : most});
    auto net = runtime_.network(flow_.map, flow_.dim(), 1, detail::map_stream, Keep::tile);
    net.set_parameters(memory_.map.parameters());
    const auto scratch = [&] { return runtime_.points(flow_.dim(), n); };
    const auto x = scratch(), y = scratch(), dy = scratch();
    const Eigen::MatrixXd out = frame.factor, in = frame.inverse_factor();
    const Particles at = particles_inside(n);
    for (const Eigen::MatrixXd& slope : detail::jacobians(runtime_, net, at, x, y, dy)) {
      const Eigen::MatrixXd in_x =
          detail::symmetric_part(detail::product(detail::product(out, slope), in));
      const Eigen::MatrixXd left =
          in_x - 0.501 * Eigen::MatrixXd::Identity(in_x.rows(), in_x.cols());
      if (Eigen::LLT<Eigen::MatrixXd>(left).info() != Eigen::Success) return false;
    }
    return true;
  }
  /// Appends the stage and moves the particles. \throws StepError if that fails, and all is as
  /// before.
  void append_or_throw(const typename Flow::StageType& stage, int step, int iteration,
                       const Gaussian& before) {
    const auto refuse = [&](const std::string& why, Fault fault) {
      flow_.stages.pop_back();
      throw StepError(step, iteration, why, fault);
    };
    flow_.stages.push_back(stage);
    try {
      if (exact_) {
        if constexpr (AffineSpecification<Map> && !has_forward) {
          const Gaussian after = flow_.affine_form(flow_.size() - 1).push_forward(*exact_);
          if (collapsed(before, after.covariance())) return refuse(collapse_, Fault::collapsed);
          exact_ = after;
        }
        return;
      }
    } catch (const std::invalid_argument&) {
      return refuse("the map is no longer one between Gaussians; a smaller map_rate may help",
                    Fault::not_finite);
    }
    std::pair<Eigen::VectorXd, Eigen::MatrixXd> moments;
    try {
      moments = push_pool();
    } catch (const std::exception& error) {
      return refuse(message(error), Fault::failed);
    }
    if (!moments.first.allFinite() || !moments.second.allFinite())
      return refuse(
          "the map sends particles to where they are not finite; a smaller map_rate may help",
          Fault::not_finite);
    if (trains && collapsed(before, moments.second)) return refuse(collapse_, Fault::collapsed);
    std::swap(pool_, pushed_), moments_ = std::move(moments);
  }
  static constexpr const char* collapse_ =
      "the cloud has collapsed: in some direction the step shrinks it to less than "
      "safeguards.collapse of what it was";
  /// Whether the cloud's covariance has shrunk, in some direction, by more than the options allow.
  bool collapsed(const Gaussian& before, const Eigen::MatrixXd& covariance) const {
    const double least = options_.safeguards.collapse;
    const Eigen::MatrixXd half = detail::solve_lower(before.factor(), covariance);
    const Eigen::MatrixXd inside = detail::solve_lower(before.factor(), half.transpose());
    const Eigen::MatrixXd left =
        detail::symmetric_part(inside) -
        least * least * Eigen::MatrixXd::Identity(inside.rows(), inside.cols());
    return least > 0 && Eigen::LLT<Eigen::MatrixXd>(left).info() != Eigen::Success;
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
      each_direct<R>(memory_.watched,
                     [&](auto& term, double weight) { direct.add(s, weight * term.value(s, y)); });
    });
    const double per_point = 1.0 / static_cast<double>(n);
    return {per_point * moved.value() / (2 * flow_.step_size), per_point * direct.value(), 0};
  }

  /// All networks' training states, the map's first.
  std::vector<std::vector<double>> networks() const {
    std::vector<std::vector<double>> all{memory_.optimisers[0].state(memory_.map)};
    each_dual<R>(memory_.terms, [&](const auto& dual, double) {
      all.push_back(memory_.optimisers[all.size()].state(dual.network));
    });
    return all;
  }
  /// \throws std::invalid_argument for states of other networks.
  void set_networks(const std::vector<std::vector<double>>& states) {
    std::size_t next = 0;
    const auto set = [&](auto& network) {
      if (next == states.size())
        throw std::invalid_argument("there are fewer networks than the functional has");
      memory_.optimisers[next].set_state(network, states[next]);
      ++next;
      network.clear_gradient();
    };
    set(memory_.map);
    each_dual<R>(memory_.terms, [&](auto& dual, double) { set(dual.network); });
    if (next != states.size())
      throw std::invalid_argument("there are more networks than the functional has");
  }
  /// As before the step, which has failed. Dual networks and bases then belong to different steps.
  void put_networks_back() {
    set_networks(before_);
    duals_known_ = false;
  }
  /// After a step that the observer stopped in its course: the map is as before, the dual networks
  /// go on from where they are.
  void give_up() {
    memory_.optimisers[0].set_state(memory_.map, before_.front());
    memory_.map.clear_gradient();
    each_dual<R>(memory_.terms, [](auto& dual, double) { dual.network.clear_gradient(); });
    for (auto& optimiser : memory_.optimisers) optimiser.reset();
    course_ = {};
  }
  void need_duals(const std::string& who) const {
    if (step_count_ == 0)
      throw std::logic_error("wgf::JkoSolver: " + who + " needs a step to be done");
    if (!duals_known_)
      throw std::logic_error(
          "wgf::JkoSolver: " + who +
          " needs a step to be done since the run was resumed, or since a step failed");
    if (flow_.stages.back().extrapolation != 1)
      throw std::logic_error(
          "wgf::JkoSolver: the last step was extrapolated, and its dual network saw the half step "
          "only");
  }

  // ---- files

  /// What two runs must share for one to go on where the other stood.
  detail::Header identity() const {
    detail::Header header{
        {"functional", detail::type_name<Implicit>() +
                           (has_forward ? " and " + detail::type_name<ForwardTerms>() : "")},
        {"scheme",
         detail::type_name<Scheme>() + " of step size " + detail::shortest(scheme_.step_size)},
        {"backend", detail::type_name<Backend>()},
        {"seed", std::to_string(backend_.seed)},
        {"map", describe(flow_.map)},
        {"dim", std::to_string(flow_.dim())},
        {"start (P_0, or the flow to continue)", start_checksum()}};
    const Particles points = standard_normals(flow_.dim(), 3, 0);
    int number = 0;
    const auto describe_terms = [&](const auto& terms) {
      hana::for_each(terms, [&](const auto& t) {
        header["term " + std::to_string(++number)] = detail::describe_term(t, points);
      });
    };
    describe_terms(functional_.terms), describe_terms(flow_.forward);
    if constexpr (adapts<Scheme>) {
      header["tolerance"] = detail::shortest(scheme_.tolerance);
      header["least step size"] = detail::shortest(scheme_.min_step()),
      header["most step size"] = detail::shortest(scheme_.max_step());
      header["extrapolation"] = scheme_.extrapolate ? "yes" : "no";
    }
    hana::for_each(RunOptions::fields(), [&](const auto& field) {
      header[std::string("option ") + hana::first(field)] =
          detail::shortest(options_.*hana::second(field));
    });
    return header;
  }
  /// Of P_0 as far as files keep it, and of the stages of a flow that the run continues.
  std::string start_checksum() const {
    detail::Header header;
    detail::ByteWriter bytes;
    if (done_before_ == 0) {
      std::visit([&](const auto& m) { detail::put_measure(m, header, bytes); }, flow_.initial);
    } else {
      Flow begun = flow_;
      begun.stages.erase(begun.stages.begin() + done_before_, begun.stages.end());
      detail::put_flow(begun, header, bytes);
    }
    boost::crc_32_type crc;
    crc.process_bytes(bytes.bytes().data(), bytes.bytes().size());
    for (const auto& [key, value] : header) crc.process_bytes(value.data(), value.size());
    return "checksum " + std::to_string(crc.checksum());
  }
  /// What a file has beside the flow.
  void put(detail::ByteWriter& body) const {
    body.put(static_cast<std::int64_t>(step_count_)),
        body.put(static_cast<std::int64_t>(refreshes_));
    body.put(draws_), body.put(next_step_size_), body.put(seconds());
    body.put(static_cast<std::int64_t>(rejected_)),
        body.put(static_cast<std::int64_t>(rolled_back_));
    body.put(course_.step_size), body.put(static_cast<std::int64_t>(course_.part)),
        body.put(static_cast<std::int64_t>(course_.iteration));
    body.put(static_cast<std::int64_t>(course_.rolled_back)),
        body.put(static_cast<std::int64_t>(course_.monotone));
    body.put_list(course_.level ? std::vector<double>{*course_.level} : std::vector<double>{});
    body.put_list(course_.half);
    const auto put_all = [&](const std::vector<std::vector<double>>& lists) {
      body.put(static_cast<std::uint64_t>(lists.size()));
      for (const auto& list : lists) body.put_list(list);
    };
    put_all(course_.begun() ? before_ : std::vector<std::vector<double>>{}), put_all(networks());
    body.put_list(pool_values());
    body.put(static_cast<std::uint64_t>(history_.size()));
    for (const Progress& p : history_)
      for (const double value :
           {1.0 * p.step, 1.0 * p.steps, 1.0 * p.iteration, 1.0 * p.iterations, p.transport,
            p.direct, p.dual, p.seconds, static_cast<double>(p.done), static_cast<double>(p.left),
            1.0 * p.step_done, p.time, p.step_size, p.error, 1.0 * p.rejected, 1.0 * p.rolled_back})
        body.put(value);
  }
  /// The same, read. Members change only after all of it was found to make sense.
  void get(detail::ByteReader& in, Flow flow) {
    Saved next;
    const auto count = [&] {
      const auto value = in.get<std::int64_t>();
      if (value < 0 || value > std::numeric_limits<int>::max())
        throw std::invalid_argument("a count is out of range");
      return static_cast<int>(value);
    };
    const auto finite_list = [&](auto values) {
      for (const auto v : values)
        if (!std::isfinite(v)) throw std::invalid_argument("a number is not finite");
      return values;
    };
    next.step_count = count(), next.refreshes = count();
    next.draws = in.get<std::uint32_t>(), next.next_step_size = in.get<double>();
    const double elapsed = in.get<double>();
    next.rejected = count(), next.rolled_back = count();
    auto& course = next.course;
    course.step_size = in.get<double>(), course.part = count(), course.iteration = count(),
    course.rolled_back = count();
    course.monotone = count() != 0;
    if (const auto level = finite_list(in.list<double>()); !level.empty())
      course.level = level.front();
    course.half = finite_list(in.list<Scalar>());
    const auto get_all = [&] {
      std::vector<std::vector<double>> lists;
      for (auto n = in.get<std::uint64_t>(); n > 0; --n)
        lists.push_back(finite_list(in.list<double>()));
      return lists;
    };
    next.before = get_all(), next.networks = get_all();
    const auto pool = finite_list(in.list<Scalar>());
    const auto entries = in.get<std::uint64_t>();
    in.need(entries, 16 * sizeof(double));
    for (std::uint64_t i = 0; i < entries; ++i) {
      const auto v = in.list<double>(
          16);  // figures need not be finite: a potential may be infinite where no gradient leads
      for (const int j : {0, 1, 2, 3, 14, 15})
        if (!(std::abs(v[static_cast<std::size_t>(j)]) <= std::numeric_limits<int>::max()))
          throw std::invalid_argument("a count is out of range");
      for (const int j : {8, 9})
        if (!(std::abs(v[static_cast<std::size_t>(j)]) <= 1e18))
          throw std::invalid_argument("a count is out of range");
      next.history.push_back({static_cast<int>(v[0]), static_cast<int>(v[1]),
                              static_cast<int>(v[2]), static_cast<int>(v[3]), v[4], v[5], v[6],
                              v[7], static_cast<long>(v[8]), static_cast<long>(v[9]), v[10] != 0,
                              v[11], v[12], v[13], static_cast<int>(v[14]),
                              static_cast<int>(v[15])});
    }
    const auto sensible = [](bool good, const char* what) {
      if (!good) throw std::invalid_argument(what);
    };
    sensible(next.next_step_size > 0 && std::isfinite(next.next_step_size),
             "the step size is not positive");
    sensible(course.step_size >= 0 && std::isfinite(course.step_size), "the step size is negative");
    sensible(std::abs(elapsed) < 1e9, "the time is out of range");
    sensible(next.step_count == flow.size() - done_before_,
             "the number of steps is not that of the flow");
    sensible(
        course.part <= 1 && course.iteration < std::max(1, options_.iterations_of(next.step_count)),
        "the iteration is out of range");
    sensible(course.begun() || course.part + course.iteration == 0, "the iteration is of no step");
    const bool half = adapts<Scheme> && course.part == 1;
    sensible(course.half.size() == (half ? memory_.map.parameters().size() : 0),
             "the half step's map is of another size");
    sensible(next.before.size() == (course.begun() ? next.networks.size() : 0),
             "the number of networks before the step is another");
    const std::size_t held =
        exact_ ? 0
               : static_cast<std::size_t>(options_.pool) * static_cast<std::size_t>(flow_.dim());
    sensible(pool.size() == held, "the pool is of another size");
    if (course.begun()) set_networks(next.before);  // they must fit, too
    next.flow = std::move(flow);
    next.elapsed = elapsed;
    if (exact_) {
      if constexpr (AffineSpecification<Map> && !has_forward) next.exact = next.flow->gaussian();
    } else {
      next.pool = Eigen::Map<const Eigen::Array<Scalar, Eigen::Dynamic, Eigen::Dynamic>>(
                      pool.data(), flow_.dim(), options_.pool)
                      .template cast<double>()
                      .matrix();
    }
    put_back(next);
  }
  std::vector<Scalar> pool_values() const {
    if (exact_) return {};
    const Particles x = runtime_.download(pool_);
    return {x.data(), x.data() + x.size()};
  }
  /// All that a run changes.
  struct Saved {
    std::optional<Flow> flow{};
    int step_count = 0, refreshes = 0, rejected = 0, rolled_back = 0;
    std::uint32_t draws = 0;
    double next_step_size = 0, elapsed = 0;
    Course course{};
    std::vector<std::vector<double>> before{}, networks{};
    Particles pool{};
    std::optional<Gaussian> exact{};
    std::vector<Progress> history{};
  };
  Saved saved() const {
    return {flow_,           step_count_,  refreshes_,
            rejected_,       rolled_back_, draws_,
            next_step_size_, seconds(),    course_,
            before_,         networks(),   exact_ ? Particles() : runtime_.download(pool_),
            exact_,          history_};
  }
  void put_back(const Saved& from) {
    set_networks(from.networks);
    flow_ = *from.flow;
    step_count_ = from.step_count, refreshes_ = from.refreshes, rejected_ = from.rejected,
    rolled_back_ = from.rolled_back;
    draws_ = from.draws, next_step_size_ = from.next_step_size, course_ = from.course,
    before_ = from.before, history_ = from.history;
    start_ = std::chrono::steady_clock::now() -
             std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                 std::chrono::duration<double>(from.elapsed));
    exact_ = from.exact;
    if (!exact_) {
      runtime_.upload(from.pool, pool_);
      moments_ = runtime_.moments(pool_);
    }
    duals_known_ = false;
  }

  template <class Network>
  static bool finite(const Network& network) {
    const auto values = network.parameters();
    return std::all_of(values.begin(), values.end(), [](auto v) { return std::isfinite(v); });
  }
  /// Iterations of all the steps that the options ask for.
  long total_iterations() const {
    if (!trains || options_.steps == 0) return 0;
    return options_.iterations_of(0) + (options_.steps - 1L) * options_.iterations;
  }
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  /// The batches of a step in its coordinates: fresh draws of a Gaussian P_k, or windows of the
  /// pool, each pass over it from another start.
  auto batches(const Frame& frame) {
    const long n = options_.batch, pool = options_.pool;
    using Slice = typename R::Slice;
    typename R::Constant factor = runtime_.constant(frame.identity && exact_ ? exact_->factor()
                                                                             : frame.factor),
                         mean = runtime_.constant(frame.identity && exact_ ? exact_->mean()
                                                                           : frame.mean);
    if (!exact_) {
      const Eigen::MatrixXd inverse = frame.inverse_factor();
      const auto in = runtime_.constant(inverse),
                 shift = runtime_.constant(-(inverse * frame.mean));
      runtime_.parallel(pool, [&](Slice s) {
        if (frame.identity) batches_(s) = particles_now()(s);
        else set_affine(in, shift, particles_now()(s), batches_(s));
      });
      if (options_.stratified) runtime_.sort_along_curve(batches_.window(0, pool));
      const auto head = batches_.window(0, n),
                 tail = batches_.window(pool, n);  // windows wrap around
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
        runtime_.parallel(n, [&](Slice s) {
          runtime_.draw_strata(all, s, noise_(s), n, detail::batch_stream, draw);
        });
        return noise_.window(0, n);
      }
      const long per_pass = pool / n, pass = k / per_pass;
      const auto word =
          Random::philox({static_cast<std::uint32_t>(pass), draws_, 0, detail::offset_stream},
                         {static_cast<std::uint32_t>(backend_.seed),
                          static_cast<std::uint32_t>(backend_.seed >> 32)});
      return batches_.window((word[0] % static_cast<std::uint64_t>(pool) +
                              static_cast<std::uint64_t>(k % per_pass * n)) %
                                 pool,
                             n);
    };
  }
  /// Where the last stage moves the pool, into `pushed_`. \returns mean and covariance there.
  std::pair<Eigen::VectorXd, Eigen::MatrixXd> push_pool() {
    const auto& stage = flow_.stages.back();
    const auto& from = particles_now();
    runtime_.parallel(options_.pool, [&](typename R::Slice s) { pushed_(s) = from(s); });
    if constexpr (trains) {
      auto net = runtime_.network(flow_.map, flow_.dim(), 1, detail::map_stream, Keep::tile);
      net.set_parameters(stage.parameters);
      push_through(runtime_, net, stage, pushed_, batches_, options_.pool);
    }
    return runtime_.moments(pushed_);
  }
  std::string diagnosis_or_error(const Frame& frame) {
    try {
      return diagnosis(frame);
    } catch (const std::exception&
                 error) {  // the target's own, at a point where its gradient is not finite
      return message(error);
    }
  }
  /// Names what is not finite: the networks, the target at a particle, or else some term.
  std::string diagnosis(const Frame& frame) {
    bool networks = finite(memory_.map);
    each_dual<R>(memory_.terms,
                 [&](auto& dual, double) { networks = networks && finite(dual.network); });
    if (!networks)
      return "the networks' parameters are no longer finite; a smaller map_rate or dual_rate may "
             "help";
    // The squares of a batch's gradients have to be numbers.
    const double most =
        std::sqrt(static_cast<double>(std::numeric_limits<typename Flow::Scalar>::max())) /
        static_cast<double>(options_.batch);
    const Eigen::MatrixXd y =
        detail::product(frame.factor, runtime_.download(memory_.y)).colwise() + frame.mean;
    if (!y.allFinite())
      return "the map sends particles to where they are not finite; a smaller map_rate may help";
    std::string why;
    hana::for_each(functional_.terms, [&](const auto& t) {
      if constexpr (detail::has_target<std::remove_cvref_t<decltype(t.term)>>)
        for (Eigen::Index i = 0; i < y.cols() && why.empty(); ++i)
          why = detail::fault_at(t.term.target, Eigen::VectorXd(y.col(i)), most);
    });
    return why.empty()
               ? "a term's value or gradient is not finite, or too large for the backend's numbers"
               : why;
  }

  static constexpr bool interacts =
      detail::any_interacts(static_cast<const ForwardTerms*>(nullptr));

  Implicit functional_;
  Scheme scheme_;
  RunOptions options_;
  Flow flow_;
  int done_before_;
  Backend backend_;
  R runtime_;
  StepState<R, MapNetwork, Terms, Watched> memory_;
  std::chrono::steady_clock::time_point start_;
  double next_step_size_;
  int step_count_ = 0, refreshes_ = 0, rejected_ = 0, rolled_back_ = 0;
  std::uint32_t draws_ = 0;
  Course course_;
  bool asking_ = false;  // the observer is being asked: what is thrown is its own
  std::vector<std::vector<double>> before_;  // the networks before the step in progress
  bool duals_known_ = false;  // dual networks and their bases are those of the last step
  std::vector<Progress> history_;
  std::optional<Gaussian> exact_;  // P_k of a Gaussian flow
  std::pair<Eigen::VectorXd, Eigen::MatrixXd> moments_,
      half_moments_;  // of the pool, before and after the forward half
  Frame entered_;     // the coordinates that the terms are in
  static constexpr long cloud_size =
      4096;  // particles that stand for P_k of a Gaussian flow, where a term wants some
  typename R::Points pool_, half_, pushed_, batches_, noise_, cloud_;
  std::function<typename R::PointsView(int)> draw_;  // the batch of an iteration
};

}  // namespace wgf
