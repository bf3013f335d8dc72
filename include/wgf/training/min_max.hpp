// SPDX-License-Identifier: BSL-1.0
#pragma once
// A JKO step by Algorithm 1: the map T descends on E|X − T(X)|²/(2a) + F(T#P) while the dual
// networks u = log(P / Γ), one for each dual term, ascend between its updates. The algorithm is
// backend-independent: a slice is a tile of the batch on a CPU and the whole batch on a GPU, and
// parallel() returns when every slice is done.
#include <cmath>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "../functional/functional.hpp"
#include "../options/options.hpp"
#include "../population/population.hpp"
#include "../step_context.hpp"
#include "../update_rule.hpp"
#include "adam.hpp"
#include "estimates.hpp"
#include "iteration_loop.hpp"
#include "transport_cost.hpp"

namespace wgf {

/// One training of a step's map.
struct TrainingTask {
  double step_size;          ///< a of the JKO step
  int iterations;            ///< of the whole training
  int begin;                 ///< the first iteration to run: not 0 if a saved training is resumed
  double rate_factor;        ///< multiplies all learning rates
  std::uint32_t first_draw;  ///< index of the first iteration's random numbers
};

/// Trains the map of a JKO step by Algorithm 1. It exists for the whole run: networks and
/// optimisers carry over from step to step.
///
///     training.begin(frame, task);
///     while (training.next()) observe(training.estimates());
///
/// \tparam Terms the terms of the step's functional, bound to the runtime.
/// \tparam Monitored bound terms that are only evaluated, such as those of a forward half.
template <Runtime R, class MapNetwork, class Terms, class Monitored, UpdateRule Rule>
class MinMaxTraining {
  using Slice = typename R::Slice;
  using View = typename R::PointsView;
  using MapOptimiser = decltype(std::declval<const R&>().optimiser(
      std::declval<const Rule&>(),
      std::declval<const MapNetwork&>()));  // the same for all networks
  using Loop = decltype(iteration_loop(std::declval<const R&>(), std::vector<double>()));

 public:
  MinMaxTraining(const R& runtime, int dim, const TrainingOptions& options, const Rule& rule,
                 MapNetwork map_network, Terms bound_terms, Monitored monitored_terms)
      : map(std::move(map_network)),
        terms(std::move(bound_terms)),
        monitored(std::move(monitored_terms)),
        runtime_(runtime),
        options_(options),
        y_(runtime.points(dim, options.batch)),
        g_(runtime.points(dim, options.batch)),
        difference_(runtime.points(dim, options.batch)),
        map_optimiser_(runtime.optimiser(rule, map)) {
    each_dual<R>(terms, [&](auto& dual, double) {
      dual_optimisers_.push_back(runtime.optimiser(rule, dual.network));
    });
  }

  MapNetwork map;       ///< T
  Terms terms;          ///< with their dual networks u
  Monitored monitored;  ///< terms that are only evaluated

  /// Prepares a training in the coordinates of a frame. begin_step of the terms must have been
  /// called.
  void begin(const Frame& frame, const TrainingTask& task, Population<R>& population) {
    task_ = task, population_ = &population, next_ = task.begin, finite_so_far_ = true;
    transport_.emplace(runtime_, frame, task.step_size);
    averaged_from_ =
        task.iterations - static_cast<int>(std::lround(options_.tail_average * task.iterations));
    loop_.emplace(iteration_loop(runtime_, options_.rate_factors(task.begin, task.iterations)));
  }

  /// One iteration of Algorithm 1.
  /// \returns false when all have been run; the map is then the average of the last iterates.
  bool next() {
    if (next_ == task_.iterations) {
      map_optimiser_.use_average(map);
      return false;
    }
    const int k = next_++;
    draw_ = task_.first_draw + static_cast<std::uint32_t>(k);
    const bool averages = k >= averaged_from_;
    Batch<R> drawn = population_->batch(task_.first_draw, k);
    drawn.draw = draw_;
    const Batch<R> batch = loop_->batch(drawn);
    loop_->run(k - task_.begin, averages, [&](const auto& rate_factor) {
      push_batch(batch.points);
      fit_duals(batch.points, rate_factor);
      const auto finite = descend_map(batch, rate_factor);
      finite_so_far_ = loop_->finite_so_far(finite);
      if (averages && finite_so_far_) map_optimiser_.accumulate_average(map);
    });
    last_ = batch;
    return true;
  }
  /// The number of iterations that have been run.
  int iteration() const { return next_; }
  /// Whether the last iteration's gradients were finite, as far as is known without waiting for a
  /// device.
  bool finite_so_far() const { return finite_so_far_; }

  /// Estimates on the batch of the last iteration. May wait for a device.
  Estimates estimates() {
    const long n = options_.batch;
    auto sums = std::tuple{runtime_.sum(), runtime_.sum(), runtime_.sum(), runtime_.sum()};
    auto& [transport, direct, dual_sum, square] = sums;
    set_batch(monitored, y_);
    runtime_.parallel(n, [&](Slice s) {
      transport_->set_gradient(last_.points(s), y_(s), difference_(s), g_(s));
      transport.add(s, (difference_(s) * g_(s)).sum() / 2);
      const auto add_values = [&](auto& all) {
        each_direct<R>(
            all, [&](auto& term, double weight) { direct.add(s, weight * term.value(s, y_)); });
      };
      add_values(terms), add_values(monitored);
      each_map_term<R>(terms, [&](auto& term, double weight) {
        direct.add(s, weight * term.value(s, last_, map));
      });
      each_dual<R>(terms, [&](auto& dual, double weight) {
        const auto u = dual.network.forward(s, y_(s));
        dual_sum.add(s, weight * dual.gain(u).sum());
        square.add(s, dual.log_ratio(u).square().sum());
        const auto v = dual.network.forward(s, dual.reference_batch(s));
        dual_sum.add(s, -weight * dual.cost(v).sum());
      });
    });
    const double per_point = 1.0 / static_cast<double>(n);
    const auto networks = static_cast<double>(dual_optimisers_.size());
    return {per_point * transport.value(), per_point * direct.value(), per_point * dual_sum.value(),
            networks > 0 ? std::sqrt(per_point * square.value() / networks) : 0.0,
            loop_->is_finite(finite_so_far_)};
  }
  /// Values of the monitored terms at the points y, and the cost of moving there from x, for steps
  /// without a map.
  Estimates estimate_forward(const View& x, const View& y, double step_size) {
    const long n = options_.batch;
    runtime_.parallel(n, [&](Slice s) { y_(s) = y(s); });
    set_batch(monitored, y_);
    auto moved = runtime_.sum(), direct = runtime_.sum();
    runtime_.parallel(n, [&](Slice s) {
      moved.add(s, (y_(s) - x(s)).square().sum());
      each_direct<R>(monitored,
                     [&](auto& term, double weight) { direct.add(s, weight * term.value(s, y_)); });
    });
    const double per_point = 1.0 / static_cast<double>(n);
    return {.transport = per_point * moved.value() / (2 * step_size),
            .direct = per_point * direct.value()};
  }
  /// T at the last batch: d × M in the step's coordinates, on the host.
  Particles last_images() const { return runtime_.download(y_); }

  /// The complete state of the networks and optimisers, bit for bit; that of the map comes first.
  std::vector<std::vector<double>> states() {
    std::vector<std::vector<double>> all{map_optimiser_.state(map)};
    each_network([&](auto& network, auto& optimiser) { all.push_back(optimiser.state(network)); });
    return all;
  }
  /// \throws std::invalid_argument for states of other networks.
  void set_states(const std::vector<std::vector<double>>& states) {
    std::size_t next = 0;
    const auto set = [&](auto& network, auto& optimiser) {
      if (next == states.size())
        throw std::invalid_argument("there are fewer networks than the functional has");
      optimiser.set_state(network, states[next++]);
      network.clear_gradient();
    };
    set(map, map_optimiser_);
    each_network(set);
    if (next != states.size())
      throw std::invalid_argument("there are more networks than the functional has");
  }
  /// Resets what does not carry over from step to step.
  void reset_carryover() {
    if (!options_.carry_optimiser) {
      map_optimiser_.reset();
      each_network([](auto&, auto& optimiser) { optimiser.reset(); });
    }
    if (!options_.carry_dual)
      each_network([](auto& network, auto& optimiser) {
        optimiser.reset();
        network.restart();
      });
  }
  /// After a training that was stopped: restores the map to the given state, keeps the dual
  /// networks as they are, and resets all optimisers.
  void abandon(const std::vector<double>& map_state) {
    map_optimiser_.set_state(map, map_state);
    map.clear_gradient(), map_optimiser_.reset();
    each_network([](auto& network, auto& optimiser) {
      network.clear_gradient();
      optimiser.reset();
    });
  }
  /// f(network, optimiser) for each dual network.
  template <class F>
  void each_network(F&& f) {
    std::size_t next = 0;
    each_dual<R>(terms, [&](auto& dual, double) { f(dual.network, dual_optimisers_[next++]); });
  }

 private:
  /// y = T(x). T stays fixed while the dual networks ascend.
  void push_batch(const View& x) {
    runtime_.parallel(options_.batch, [&](Slice s) { y_(s) = map.forward(s, x(s)); });
    set_batch(terms, y_);
  }
  /// Passes the whole batch to terms that are sums over pairs.
  template <class Some>
  void set_batch(Some& some, const View& y) {
    each_direct<R>(some, [&](auto& term, double) {
      if constexpr (requires { term.set_batch(runtime_, y); }) term.set_batch(runtime_, y);
    });
  }
  /// J₂ updates of every dual network on samples of T#P and of its reference.
  template <class RateFactor>
  void fit_duals(const View& x, const RateFactor& rate_factor) {
    std::size_t next = 0;
    each_dual<R>(terms, [&](auto& dual, double) {
      auto& optimiser = dual_optimisers_[next++];
      for (int j = 0; j < options_.dual_steps; ++j) fit(dual, optimiser, x, j, rate_factor);
    });
  }
  template <class DualTerm, class DualOptimiser, class RateFactor>
  void fit(DualTerm& dual, DualOptimiser& optimiser, const View& x, int j,
           const RateFactor& rate_factor) {
    const long n = options_.batch;
    auto& z = dual.reference_batch;
    bool drawn = j > 0;
    const auto draw_reference = [&](Slice s) {
      if (drawn) return;
      if constexpr (requires { dual.share_noise(x(s), z(s)); })
        if (options_.common_random_numbers) return dual.share_noise(x(s), z(s));
      dual.sample_reference(runtime_, s, z(s), draw_);
    };
    if constexpr (requires { dual.set_normaliser(runtime_.sum().log_mean(n)); }) {
      // The loss contains an average over the batch of the reference.
      auto ratios = runtime_.sum();
      runtime_.parallel(n, [&](Slice s) {
        draw_reference(s);
        ratios.add(s, dual.sum_of_ratios(dual.network.forward(s, z(s))));
      });
      drawn = true;
      dual.set_normaliser(ratios.log_mean(n));
    }
    const auto pass = 2 * (draw_ * static_cast<std::uint32_t>(options_.dual_steps) +
                           static_cast<std::uint32_t>(j));
    const auto inverse_n = static_cast<typename R::Scalar>(1.0 / static_cast<double>(n));
    runtime_.parallel(n, [&](Slice s) {
      draw_reference(s);
      const auto u = dual.network.forward_train(s, y_(s), pass);
      dual.network.accumulate_vjp(s, y_(s), dual.fit_derivative_p(u) * inverse_n);
      const auto v = dual.network.forward_train(s, z(s), pass + 1);
      dual.network.accumulate_vjp(s, z(s), dual.fit_derivative_reference(v) * inverse_n);
    });
    optimiser.descend(dual.network, task_.rate_factor * options_.dual_rate, rate_factor, true);
  }
  /// One descent step of the map on the objective. \returns whether the gradient was finite.
  template <class RateFactor>
  auto descend_map(const Batch<R>& batch, const RateFactor& rate_factor) {
    const View& x = batch.points;
    const long n = options_.batch;
    const auto inverse_n = static_cast<typename R::Scalar>(1.0 / static_cast<double>(n));
    auto total = runtime_.sum();
    runtime_.parallel(n, [&](Slice s) {
      transport_->set_gradient(x(s), y_(s), difference_(s), g_(s));
      each_direct<R>(terms, [&](auto& term, double) { term.add_gradient(s, y_, g_); });
      each_dual<R>(terms, [&](auto& dual, double weight) {
        const auto u = dual.network.forward(s, y_(s));
        g_(s) += dual.network.input_vjp(s, y_(s), weight * dual.gain_derivative(u));
      });
      // Optimisers square gradients: both the gradients and their squares must be finite.
      total.add(s, g_(s).square().sum());
      g_(s) *= inverse_n;
      map.accumulate_vjp(s, x(s), g_(s));
      each_map_term<R>(terms, [&](auto& term, double) {
        term.accumulate(s, batch, map, 1.0 / static_cast<double>(n));
      });
    });
    const auto finite = total.finite();
    map_optimiser_.descend(map, task_.rate_factor * options_.map_rate, rate_factor, finite);
    return finite;
  }

  const R& runtime_;
  TrainingOptions options_;
  TrainingTask task_{};
  Population<R>* population_ = nullptr;
  typename R::Points y_, g_, difference_;  // T(x), upstream gradient, T(x) − x
  MapOptimiser map_optimiser_;
  std::vector<MapOptimiser> dual_optimisers_;
  std::optional<TransportCost<R>> transport_;
  std::optional<Loop> loop_;
  Batch<R> last_;
  int next_ = 0, averaged_from_ = 0;
  std::uint32_t draw_ = 0;
  bool finite_so_far_ = true;
};

/// The method of Algorithm 1: `wgf::MinMax{}` is the default of a solver. A method for solving a
/// step has training(…), which makes an object like MinMaxTraining for a run.
template <UpdateRule Rule = Adam>
struct MinMax {
  Rule rule{};

  void check() const { rule.check(); }
  /// "MinMax: Adam{beta1 = 0.5, …}": must be equal for one run to continue another.
  std::string describe() const { return "MinMax: " + detail::with_fields(rule); }
  template <class R, class MapNetwork, class Terms, class Monitored>
  MinMaxTraining<R, MapNetwork, Terms, Monitored, Rule> training(const R& runtime, int dim,
                                                                 const TrainingOptions& options,
                                                                 MapNetwork map, Terms terms,
                                                                 Monitored monitored) const {
    return {runtime, dim, options, rule, std::move(map), std::move(terms), std::move(monitored)};
  }
};

}  // namespace wgf
