// SPDX-License-Identifier: BSL-1.0
#pragma once
// P_{k+1} = argmin_P W₂²(P, P_k)/(2a) + F(P), eqs. (4)–(6), by Algorithm 1: the map T descends on
// E|X − T(X)|²/(2a) + F(T#P_k) while the dual networks u = log(P / base), one for a dual term,
// ascend between its steps. The text names no backend: a slice is a tile of the batch on a CPU and
// the whole batch on a GPU, and parallel() returns when every slice is done.
#include <cmath>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "../array.hpp"
#include "../frame.hpp"
#include "../functional/functional.hpp"
#include "../training/adam.hpp"
#include "options.hpp"

namespace wgf {

/// What a run keeps from step to step: the map, the bound terms, and memory for one batch.
/// `watched` are terms that the step does not solve, of which only values are asked.
template <Runtime R, class MapNetwork, class Terms, class Watched = hana::tuple<>>
struct StepState {
  MapNetwork map;
  Terms terms;
  typename R::Points y, g, difference;  // T(x), upstream gradient, T(x) − x
  Watched watched{};
  using Optimiser =
      decltype(std::declval<const R&>().optimiser(Adam{}, std::declval<const MapNetwork&>()));
  std::vector<Optimiser> optimisers{};  // the map's, then those of the dual networks

  void make_optimisers(const R& runtime, const Adam& rule) {
    optimisers.push_back(runtime.optimiser(rule, map));
    each_dual<R>(terms, [&](auto& dual, double) {
      optimisers.push_back(runtime.optimiser(rule, dual.network));
    });
  }
  /// f(network, optimiser) for every dual network.
  template <class F>
  void each_network(F&& f) {
    std::size_t next = 1;
    each_dual<R>(terms, [&](auto& dual, double) { f(dual.network, optimisers[next++]); });
  }
};

/// Direct terms that are sums over pairs are shown the whole batch.
template <Runtime R, class Terms>
void show_batch(const R& runtime, Terms& terms, const typename R::PointsView& y) {
  each_direct<R>(terms, [&](auto& term, double) {
    if constexpr (requires { term.see(runtime, y); }) term.see(runtime, y);
  });
}

/// The transport term |x − T|²/(2a), with distances measured in the user's coordinates.
template <Runtime R>
class Transport {
 public:
  Transport(const R& runtime, const Frame& frame, double step_size)
      : identity_(frame.identity),
        inverse_(1 / step_size),
        zero_(runtime.constant(Eigen::VectorXd::Zero(frame.dim()))),
        metric_(
            runtime.constant(detail::product(frame.factor.transpose(), frame.factor) / step_size)) {
  }
  /// g = LᵀL (y − x)/a.
  template <class X, class Y, class D, class G>
  void set_gradient(const X& x, const Y& y, D&& difference, G&& g) const {
    difference = y - x;
    if (identity_) g = inverse_ * difference;
    else set_affine(metric_, zero_, difference, g);
  }

 private:
  bool identity_;
  double inverse_;
  typename R::Constant zero_, metric_;
};

/// Sample estimates of an iteration, averages over the batch; and whether all gradients up to it
/// were finite.
struct Estimates {
  double transport = 0, direct = 0, dual = 0;
  double dual_size =
      0;  ///< |u|, u = log(P / base), root mean square over particles and dual networks
  bool finite = true;
};

/// How the iterations of a step are run: one after the other. A runtime that has a way of its own,
/// such as to record the work of one and to repeat it, has a member loop(shares) that returns such
/// an object; then numbers that differ from one iteration to the next have to come through it.
class PlainLoop {
 public:
  explicit PlainLoop(std::vector<double> shares) : shares_(std::move(shares)) {}
  /// The batch of an iteration, where the work will find it.
  template <class PointsView>
  const PointsView& batch(const PointsView& x) const {
    return x;
  }
  /// Iteration k: work(its share of the rates). Iterations of one phase, the second argument, do
  /// the same work.
  template <class Work>
  void run(int k, int /*phase*/, Work&& work) const {
    work(shares_[static_cast<std::size_t>(k)]);
  }
  /// Whether the iteration was sound, as far as is known without waiting for it.
  static bool known(const auto& finite) { return number(finite) != 0; }
  /// The same after waiting.
  static bool sound(bool finite) { return finite; }

 private:
  std::vector<double> shares_;
};
template <Runtime R>
auto loop_of(const R& runtime, std::vector<double> shares) {
  if constexpr (requires { runtime.loop(shares); }) return runtime.loop(std::move(shares));
  else return PlainLoop(std::move(shares));
}

/// Trains the step's map. The state's terms have entered the step.
/// \param iterations of the whole training, of which those from `begin` on are run. \param
/// rate_factor what all rates are multiplied by. \param draw draw(k) gives the batch of iteration k
/// in the frame's coordinates. \param first_draw number of the first iteration's random numbers.
/// \param observe observe(k, finite, estimates) is called in every iteration: whether gradients
/// were finite as far as is known, and figures on request, which may mean to wait for a device. It
/// may stop the step by returning false. \returns whether the step was finished.
template <Runtime R, class State, class Draw, class Observe>
bool jko_step(const R& runtime, State& state, const Transport<R>& transport,
              const RunOptions& options, int begin, int iterations, double rate_factor,
              std::uint32_t first_draw, Draw draw, Observe observe) {
  using Slice = typename R::Slice;
  auto& [map, terms, y, g, difference, watched, optimisers] = state;
  const long n = options.batch;
  const auto inverse_n = static_cast<typename R::Scalar>(1.0 / static_cast<double>(n));
  const int averaged_from =
      iterations - static_cast<int>(std::lround(options.tail_average * iterations));
  const double map_rate = rate_factor * options.map_rate,
               dual_rate = rate_factor * options.dual_rate;
  auto& map_optimiser = optimisers[0];
  auto loop = loop_of(runtime, options.shares(begin, iterations));

  for (int k = begin; k < iterations; ++k) {
    const auto now = first_draw + static_cast<std::uint32_t>(k);
    const bool averages = k >= averaged_from;
    const auto x = loop.batch(draw(k));
    bool known_finite = true;
    loop.run(k - begin, averages, [&](const auto& share) {
      runtime.parallel(n, [&](Slice s) {
        y(s) = map.forward(s, x(s));
      });  // T stays fixed while the duals ascend
      show_batch(runtime, terms, y);

      std::size_t next = 1;
      each_dual<R>(terms, [&](auto& dual, double) {
        auto& optimiser = optimisers[next++];
        auto& z = dual.reference_batch;
        for (int j = 0; j < options.dual_steps; ++j) {
          bool drawn = j > 0;
          const auto draw_reference = [&](Slice s) {
            if (drawn) return;
            if constexpr (requires { dual.share_noise(x(s), z(s)); })
              if (options.common_random_numbers) return dual.share_noise(x(s), z(s));
            dual.sample_reference(runtime, s, z(s), now);
          };
          if constexpr (requires {
                          dual.set_normaliser(runtime.sum().log_mean(n));
                        }) {  // the loss holds an average over the base's batch
            auto ratios = runtime.sum();
            runtime.parallel(n, [&](Slice s) {
              draw_reference(s);
              ratios.add(s, dual.sum_of_ratios(dual.network.forward(s, z(s))));
            });
            drawn = true;
            dual.set_normaliser(ratios.log_mean(n));
          }
          const auto pass = 2 * (now * static_cast<std::uint32_t>(options.dual_steps) +
                                 static_cast<std::uint32_t>(j));
          runtime.parallel(n, [&](Slice s) {
            draw_reference(s);
            const auto u = dual.network.forward_train(s, y(s), pass);
            dual.network.accumulate_vjp(s, y(s), dual.fit_derivative_p(u) * inverse_n);
            const auto v = dual.network.forward_train(s, z(s), pass + 1);
            dual.network.accumulate_vjp(s, z(s), dual.fit_derivative_reference(v) * inverse_n);
          });
          optimiser.descend(dual.network, dual_rate, share, true);
        }
      });

      auto total = runtime.sum();
      runtime.parallel(n, [&](Slice s) {
        transport.set_gradient(x(s), y(s), difference(s), g(s));
        each_direct<R>(terms, [&](auto& term, double) { term.add_gradient(s, y, g); });
        each_dual<R>(terms, [&](auto& dual, double weight) {
          const auto u = dual.network.forward(s, y(s));
          g(s) += dual.network.input_vjp(s, y(s), weight * dual.gain_derivative(u));
        });
        total.add(s, g(s).square().sum());  // Adam squares gradients: they must be finite, and so
                                            // must their squares
        g(s) *= inverse_n;
        map.accumulate_vjp(s, x(s), g(s));
      });
      const auto finite = total.finite();
      map_optimiser.descend(map, map_rate, share, finite);
      known_finite = loop.known(finite);
      if (averages && known_finite) map_optimiser.accumulate_average(map);
    });

    const auto estimates = [&] {
      auto sums = std::tuple{runtime.sum(), runtime.sum(), runtime.sum(), runtime.sum()};
      auto& [moved, direct, dual_sum, square] = sums;
      int networks = 0;
      each_dual<R>(terms, [&](auto&, double) { ++networks; });
      show_batch(runtime, watched, y);
      runtime.parallel(n, [&](Slice s) {
        transport.set_gradient(x(s), y(s), difference(s), g(s));
        moved.add(s, (difference(s) * g(s)).sum() / 2);
        each_direct<R>(
            terms, [&](auto& term, double weight) { direct.add(s, weight * term.value(s, y)); });
        each_direct<R>(
            watched, [&](auto& term, double weight) { direct.add(s, weight * term.value(s, y)); });
        each_dual<R>(terms, [&](auto& dual, double weight) {
          const auto u = dual.network.forward(s, y(s));
          dual_sum.add(s, weight * dual.gain(u).sum());
          square.add(s, dual.log_ratio(u).square().sum());
          dual_sum.add(s,
                       -weight * dual.cost(dual.network.forward(s, dual.reference_batch(s))).sum());
        });
      });
      const double per_point = 1.0 / static_cast<double>(n);
      return Estimates{per_point * moved.value(), per_point * direct.value(),
                       per_point * dual_sum.value(),
                       networks > 0 ? std::sqrt(per_point * square.value() / networks) : 0.0,
                       loop.sound(known_finite)};
    };
    if (!observe(k, known_finite, estimates)) return false;
  }
  map_optimiser.use_average(map);
  return true;
}

}  // namespace wgf
