// SPDX-License-Identifier: BSL-1.0
#pragma once
// Concepts, in reading order: user-supplied types (measures, targets), then the backend interface
// (runtimes, networks, terms). The concepts of interaction kernels, divergences, specifications and
// schemes are defined in their own headers. A policy that does not satisfy its concept is rejected
// at compile time with a one-sentence message.
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include "array.hpp"
#include "hana.hpp"
#include "network/network.hpp"
#include "particles.hpp"
#include "update_rule.hpp"

namespace wgf {

template <class R>
struct StepContext;

// ---- user-supplied types

/// Measure: has a dimension, and draws independent samples that are a function of the seed.
template <class M>
concept Measure = requires(const M& m, long n, std::uint64_t seed) {
  { m.dim() } -> std::convertible_to<int>;
  { m.sample(n, seed) } -> std::convertible_to<Particles>;
};

/// Target with its gradient: log q up to an additive constant, and ∇ log q. Both are called from
/// several threads concurrently.
template <class T>
concept DifferentiatedTarget = requires(const T& t, const Eigen::VectorXd& x) {
  { t.dim() } -> std::convertible_to<int>;
  { t.log_density(x) } -> std::convertible_to<double>;
  { t.gradient(x) } -> std::convertible_to<Eigen::VectorXd>;
};

// ---- the backend interface

/// Network of a runtime: forward stores what one vector-Jacobian product (VJP) on the same slice
/// needs. dy has the shape of forward's result.
template <class N, class R>
concept Network =
    std::movable<std::remove_cvref_t<N>> &&
    requires(N& net, const N& constant, typename R::Slice s, typename R::PointsView& x) {
      net.forward(s, x(s));                               // numbers or points on this slice
      net.accumulate_vjp(s, x(s), net.forward(s, x(s)));  // adds Σ dy·∂/∂parameters to the gradient
      net.input_vjp(s, x(s), net.forward(s, x(s)));  // returns dy·∂/∂x
      // Copies to and from the host, in the order of the specification.
      { constant.parameters() } -> std::same_as<std::vector<typename R::Scalar>>;
      net.set_parameters(std::span<const typename R::Scalar>());
      { net.gradient() } -> std::same_as<std::vector<typename R::Scalar>>;
      net.clear_gradient();
    };

/// Dual network: it is trained with dropout, if it has any, whose masks are a function of the draw,
/// and can be reset to its initial parameters.
template <class N, class R>
concept DualNetwork = Network<N, R> && requires(N& net, typename R::Slice s,
                                                typename R::PointsView& x, std::uint32_t draw) {
  net.forward_train(s, x(s), draw);
  net.restart();
};

/// Optimiser of a network: applies an update rule to the gradient, and stores the moments of the
/// rule and an average of the iterates. It can only be used with the network for which it was made.
template <class O, class R, class N>
concept Optimiser =
    std::movable<O> && requires(O& optimiser, const O& constant, N& net, const N& constant_net,
                                const R& r, double rate, std::span<const double> state) {
      optimiser.descend(net, rate);  // one step; the gradient is zero afterwards
      // The same with the rate multiplied by a factor, if the gradient is finite. If the runtime
      // has its own iteration loop, the factor has the type that the loop provides.
      optimiser.descend(net, rate, 1.0, true);
      optimiser.descend(net, rate, 1.0, r.sum().finite());
      optimiser.accumulate_average(net);  // adds the parameters to the average of the iterates
      optimiser.use_average(net);         // sets the parameters to this average
      optimiser.reset();                  // resets the moments of the rule
      // The complete training state of the network and the optimiser, bit for bit, to and from the
      // host: see training/optimiser_state.hpp.
      { constant.state(constant_net) } -> std::same_as<std::vector<double>>;
      optimiser.set_state(net, state);
    };

namespace detail {
/// Array operations that the algorithm applies to numbers of a runtime, one per point.
template <class U>
concept PointNumbers = requires(const U& u) {
  exp(u), log(u), sqrt(u), pow(u, 2.0), clamp_max(u, 1.0), ones_like(u);
  u + u, u - u, u *u, u / u, 0.5 * u, 1.0 - u, -u;
  evaluated(u), as_points(u), u.square(), u.sum();
};
/// Work for a slice, and functions of points, to check runtimes with. (Functions, as CUDA's
/// compiler takes no lambda in a concept.)
template <class T>
void some_work(T) {}
inline Eigen::VectorXd some_field(const Eigen::VectorXd& y) { return y; }
inline double some_function(const Eigen::VectorXd& y) { return y.sum(); }
/// An interaction kernel and an update rule that have only what their concepts require.
struct SomeKernel {
  double value(const Eigen::VectorXd&) const { return 0; }
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const { return 0 * x; }
  Eigen::MatrixXd hessian(const Eigen::VectorXd& x) const { return 0 * x * x.transpose(); }
};
struct SomeRule {
  static constexpr int moments = 0;
  static std::string name() { return ""; }
  static constexpr auto fields() { return boost::hana::make_tuple(); }
  void check() const {}
  template <class P, class G, class Steps, class Rate>
  void update(P& p, const G& g, const Steps&, const Rate& rate) const {
    p -= rate * g;
  }
};
/// The network that a runtime makes of a specification.
template <class R, class Specification>
using NetworkOf = std::remove_cvref_t<decltype(std::declval<const R&>().network(
    std::declval<const Specification&>(), 1, 1L, 0u, Keep::tile))>;
}  // namespace detail

/// Network from points to points that computes log det ∇T and its gradient one point after another.
/// See eigen::MlpNetwork::log_determinants and accumulate_log_determinants.
template <class N, class R>
concept LogDeterminantsByPoint =
    requires(std::remove_cvref_t<N>& net, typename R::Slice s, const typename R::PointsView& x) {
      net.log_determinants(s, x(s), 1.0, [](int, double) {});
    };
/// The same for all points of a slice at once, as a tensor of numbers. See
/// libtorch::Network::log_determinants and accumulate_log_determinants.
template <class N, class R>
concept LogDeterminantsBySlice =
    requires(std::remove_cvref_t<N>& net, typename R::Slice s, const typename R::PointsView& x) {
      { net.log_determinants(s, x(s), 1.0) } -> detail::PointNumbers;
    };
template <class N, class R>
concept HasLogDeterminants = LogDeterminantsByPoint<N, R> || LogDeterminantsBySlice<N, R>;

/// Random probes that estimate log-determinants.
struct Probes {
  int count;             ///< for each point
  double tolerance;      ///< of the linear systems, relative to the right-hand side
  std::uint32_t stream;  ///< of their random numbers
  std::uint32_t draw;    ///< index of their random numbers
};
/// Network that can also estimate log det ∇T and its gradient by probes. See
/// eigen::MlpNetwork::estimate_log_determinants.
template <class N, class R>
concept HasProbedLogDeterminants =
    LogDeterminantsByPoint<N, R> &&
    requires(std::remove_cvref_t<N>& net, typename R::Slice s, const typename R::PointsView& x,
             const Probes& probes) {
      net.estimate_log_determinants(s, x(s), probes, [](int, double) {});
      net.accumulate_log_determinants(s, x(s), probes, 1.0);
    };

/// Runtime: a running backend. It owns memory, threads, random numbers and the arithmetic of
/// networks. The algorithm works on slices of a batch (tiles on a CPU, the whole batch on a GPU).
/// Per-point arithmetic is unqualified (exp(u), u * v, ones_like(u)) and applies to the result of a
/// network's forward; operations that combine coordinates or points are functions found by
/// argument-dependent lookup: set_affine, add_affine, set_normal_log_density, add_pointwise,
/// sum_pointwise.
template <class R>
concept Runtime =
    std::movable<R> &&
    requires(const R& r, const typename R::PointsView& x, typename R::Slice s, long n, int d,
             const Eigen::MatrixXd& a, const Particles& host, std::uint32_t stream,
             std::uint32_t index) {
      // ---- memory
      typename R::Scalar;
      { r.points(d, n) } -> std::same_as<typename R::Points>;  // zeroed, for n points
      requires std::derived_from<typename R::Points, typename R::PointsView>;
      { x.window(n, n) } -> std::same_as<typename R::PointsView>;
      { x.dim() } -> std::convertible_to<int>;
      { x.count() } -> std::convertible_to<long>;
      r.upload(host, x);  // from the host and back
      { r.download(x) } -> std::same_as<Particles>;
      // A matrix or a vector for set_affine and add_affine.
      { r.constant(a) } -> std::same_as<typename R::Constant>;

      // ---- random numbers, each a function of (seed, stream, index, point)
      r.normals(s, x(s), stream, index);
      r.uniforms(s, x(s), stream, index);
      // n quasi-random points that fill the unit cube evenly, with a random shift.
      r.lattice(s, x(s), n, stream, index);
      // Points drawn from others with replacement; one point from each of n equal parts of others.
      r.draw_from(x, s, x(s), stream, index);
      r.draw_strata(x, s, x(s), n, stream, index);

      // ---- statistics and order of points
      { r.moments(x) } -> std::same_as<std::pair<Eigen::VectorXd, Eigen::MatrixXd>>;
      // Minimum and maximum of each coordinate.
      { r.bounds(x) } -> std::same_as<std::pair<Eigen::VectorXd, Eigen::VectorXd>>;
      r.sort_along_curve(x);  // reorders them so that neighbours are close

      // ---- parallel work
      r.parallel(
          n, detail::some_work<typename R::Slice>);  // on every slice; returns when all are done
      r.each(n, detail::some_work<long>);            // work on the host
      r.sum().add(s, 1.0);                           // accumulator over slices in a fixed order
      { r.sum().value() } -> std::convertible_to<double>;
      r.sum().finite();     // a bool, or a number on the device that represents it
      r.sum().log_mean(n);  // log(sum/n), on the host or on the device

      // ---- operations on points
      set_affine(r.constant(a), r.constant(a), x(s), x(s));  // z = A y + b
      add_affine(r.constant(a), r.constant(a), x(s), x(s));  // z += A y + b
      set_normal_log_density(s, x(s), 1.0, x(s));            // z = c − ½|y|², one-dimensional
      add_pointwise(s, x(s), x(s), 1.0, detail::some_field);
      { sum_pointwise(s, x(s), detail::some_function) } -> std::convertible_to<double>;
    } &&
    // ---- sums over pairs of an interaction kernel W
    requires(const R& r, const typename R::PointsView& x, typename R::Slice s, int d,
             const Particles& host, const detail::SomeKernel& kernel) {
      // For the batch of an iteration, whose points from index `own` on are those of the slice: out
      // += weight · the mean over j ≠ i of ∇W(x_i − y_j), and the sum over i of the same mean of W.
      r.pairs(kernel, d).add_gradient(s, x(s), x, x(s), 1.0, 0L);
      { r.pairs(kernel, d).value(s, x(s), x, 0L) } -> std::convertible_to<double>;
      r.pair_gradients(kernel, x, x, x);  // out_i = mean_j ∇W(x_i − y_j)
      r.self_gradients(kernel, x, x);     // out_i = mean over j ≠ i of ∇W(x_i − x_j)
      // mean_j ∇²W(x_i − y_j), on the host.
      { r.pair_hessians(kernel, host, x) } -> std::same_as<std::vector<Eigen::MatrixXd>>;
    } &&
    // ---- networks and their optimisers, for batches of n
    requires(const R& r, typename R::Slice s, typename R::PointsView& x,
             detail::NetworkOf<R, Affine>& map, detail::NetworkOf<R, Quadratic>& dual) {
      requires Network<detail::NetworkOf<R, Affine>, R>;
      requires DualNetwork<detail::NetworkOf<R, Quadratic>, R>;
      { dual.forward(s, x(s)) } -> detail::PointNumbers;
      { r.optimiser(detail::SomeRule{}, map) } -> Optimiser<R, detail::NetworkOf<R, Affine>>;
    };

/// Direct term of a functional, bound to a runtime: its gradient and value at the points of a
/// slice, given the whole batch.
template <class T, class R>
concept DirectTerm =
    requires(T& t, const R& r, typename R::Slice s, const typename R::PointsView& y,
             typename R::PointsView& g, const StepContext<R>& context, double weight) {
      t.begin_step(r, context, weight);  // once per step, before its first iteration
      t.add_gradient(s, y, g);           // g += its weighted gradient, in the step's coordinates
      { t.value(s, y) } -> std::convertible_to<double>;  // sum over the slice, without the weight
    };

/// Dual term, bound to a runtime: a dual network u = log(P / reference), its gain under P and its
/// cost under the reference, and the loss with which it is trained.
template <class T, class R>
concept DualTerm = requires(T& t, const R& r, typename R::Slice s, typename R::PointsView& z,
                            std::uint32_t draw, const StepContext<R>& context, double weight) {
  t.begin_step(r, context, weight);
  { t.network } -> DualNetwork<R>;
  { t.reference_batch } -> std::same_as<typename R::Points&>;
  t.sample_reference(r, s, z(s), draw);
  t.gain(t.network.forward(s, z(s)));             // A(u) under P
  t.gain_derivative(t.network.forward(s, z(s)));  // A'(u)
  t.cost(t.network.forward(s, z(s)));             // B(u) under the reference
  // Derivatives of the training loss with respect to u, under P and under the reference.
  t.fit_derivative_p(t.network.forward(s, z(s)));
  t.fit_derivative_reference(t.network.forward(s, z(s)));
};

/// The particles of an iteration, before the map: x in the step's coordinates, and log P(x), as a
/// density in the user's coordinates: one-dimensional points, and none (count() is 0) if the
/// population does not know it.
template <class R>
struct Batch {
  typename R::PointsView points, log_densities{};
  std::uint32_t draw = 0;  ///< index of the iteration's random numbers
};

/// Map term, bound to a runtime: a functional of the map itself, computed from x, T and what T
/// provides, such as its Jacobian. It adds its gradient to that of the map's parameters.
/// \tparam N a network of the runtime from points to points
template <class T, class R, class N>
concept MapTerm = requires(T& t, const R& r, typename R::Slice s, const Batch<R>& batch, N& map,
                           const StepContext<R>& context, double weight) {
  t.begin_step(r, context, weight);
  // Σ over the slice, without the weight; it may call the map's forward at x again.
  { t.value(s, batch, map) } -> std::convertible_to<double>;
  // Adds factor · weight · Σ ∂value/∂parameters to the map's gradient.
  t.accumulate(s, batch, map, weight);
};
/// Whether terms of this kind need the log-densities of a batch: `Term::needs_density`. The
/// population then carries them from step to step.
template <class Term>
inline constexpr bool needs_density = requires { requires bool(Term::needs_density); };

}  // namespace wgf
