// SPDX-License-Identifier: BSL-1.0
#pragma once
// Concepts, in reading order: what a user brings (measures, targets), and the contract between the
// algorithm's text and a backend (runtimes, networks, terms). Those of kernels, divergences,
// specifications and schemes stand beside them. A policy that misses its concept gets one sentence
// at compile time.
#include <concepts>
#include <cstdint>
#include <utility>

#include <Eigen/Core>

#include "network/adam.hpp"
#include "network/network.hpp"
#include "particles.hpp"

namespace wgf {

template <class R>
struct StepContext;

// ---- what a user brings

/// Measure: it has a dimension and draws independent samples, a function of the seed.
template <class M>
concept Measure = requires(const M& m, long n, std::uint64_t seed) {
  { m.dim() } -> std::convertible_to<int>;
  { m.sample(n, seed) } -> std::convertible_to<Particles>;
};

/// Target with its gradient: log q up to a constant, and ∇ log q. Both are called from several
/// threads at once.
template <class T>
concept DifferentiatedTarget = requires(const T& t, const Eigen::VectorXd& x) {
  { t.dim() } -> std::convertible_to<int>;
  { t.log_density(x) } -> std::convertible_to<double>;
  { t.gradient(x) } -> std::convertible_to<Eigen::VectorXd>;
};

// ---- the contract between text and backend

/// Runtime: a backend at work. It owns memory, threads, random numbers and the arithmetic of
/// networks. The text runs on slices of a batch (tiles on a CPU, the whole batch on a GPU).
/// Per-point arithmetic is unqualified (exp(u), u * v, ones_like(u)) on whatever a network's
/// forward returned; what mixes coordinates or points is vocabulary, found by argument-dependent
/// lookup: set_affine, add_affine, add_pointwise, sum_pointwise.
template <class R>
concept Runtime = requires(const R& r, const typename R::PointsView& x, typename R::Slice s, long n,
                           int d, const Eigen::MatrixXd& a, const Particles& host,
                           std::uint32_t stream, std::uint32_t index) {
  typename R::Scalar;
  { r.points(d, n) } -> std::same_as<typename R::Points>;  // zeroed memory for n points
  r.upload(host, x);                                       // from the host, and back
  { r.download(x) } -> std::same_as<Particles>;
  {
    r.constant(a)
  } -> std::same_as<typename R::Constant>;  // a matrix or a vector for set_affine and add_affine
  { r.moments(x) } -> std::same_as<std::pair<Eigen::VectorXd, Eigen::MatrixXd>>;
  r.normals(s, x(s), stream, index);  // counter-based: a function of (seed, stream, index, point)
  r.uniforms(s, x(s), stream, index);
  r.lattice(s, x(s), n, stream,
            index);  // n points that fill the unit cube evenly, shifted at random
  r.draw_from(x, s, x(s), stream, index);  // points drawn from others, with replacement
  r.draw_strata(x, s, x(s), n, stream,
                index);  // one point from each of n equal shares of others, in their order
  {
    r.bounds(x)
  } -> std::same_as<std::pair<Eigen::VectorXd, Eigen::VectorXd>>;  // least and greatest coordinates
  r.parallel(n, [](typename R::Slice) {});  // returns when every slice is done
  r.sum().value();                          // accumulator over slices in a fixed order
  r.sum().finite();                         // true or false, or a number on a device that says so
  r.sum().log_mean(n);                      // log(sum/n), likewise
  // The network of a specification, for batches of n; all that a runtime makes of specifications
  // satisfies Network.
  r.network(Affine{}, d, n, stream, Keep::tile);
};

/// Network of a runtime: forward keeps what one pullback on the same slice needs. dy has the shape
/// of forward's result.
template <class N, class R>
concept Network =
    requires(N& net, typename R::Slice s, typename R::PointsView& x, const Adam& adam) {
      net.forward(s, x(s));                               // numbers or points on this slice
      net.accumulate_vjp(s, x(s), net.forward(s, x(s)));  // adds Σ dy·∂/∂parameters to the gradient
      net.input_vjp(s, x(s), net.forward(s, x(s)));  // returns dy·∂/∂x
      net.descend(adam);                     // one Adam step; the gradient is zero afterwards
      net.accumulate_average();              // adds the parameters to a running average,
      net.use_average();                     // which becomes the parameters
      net.reset_optimiser();                 // forgets Adam's moments
      net.set_parameters(net.parameters());  // to and from the host, in the specification's order
      net.clear_gradient();                  // of a step that is given up
      net.set_training_state(net.training_state());  // all that training has left, bit for bit: see
                                                     // network/training_state.hpp
    };

/// Dual network: it is fitted with dropout, a function of the draw, where it has any, and can go
/// back to its start.
template <class N, class R>
concept DualNetwork = Network<N, R> && requires(N& net, typename R::Slice s,
                                                typename R::PointsView& x, std::uint32_t draw) {
  net.forward_train(s, x(s), draw);
  net.restart();
};

/// Direct term of a functional, bound to a runtime: its gradient and value at the points of a
/// slice, given the whole batch.
template <class T, class R>
concept DirectTerm =
    requires(T& t, const R& r, typename R::Slice s, const typename R::PointsView& y,
             typename R::PointsView& g, const StepContext<R>& context, double weight) {
      t.begin_step(r, context, weight);  // once a step, before its first iteration
      t.add_gradient(s, y, g);           // g += its weighted gradient, in the step's coordinates
      { t.value(s, y) } -> std::convertible_to<double>;  // sum over the slice, without the weight
    };

/// Dual term, bound to a runtime: a network u = log(P / reference), its gain under P and its cost
/// under the reference, and the loss that fits it.
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
  // Derivatives by u of the loss that fits u, under P and under the reference.
  t.fit_derivative_p(t.network.forward(s, z(s)));
  t.fit_derivative_reference(t.network.forward(s, z(s)));
};

/// Map term, bound to a runtime: a functional of the map itself, which sees x, T and what T offers,
/// such as its Jacobian. It adds its own gradient to that of the map's parameters.
/// \tparam N a network of the runtime from points to points
template <class T, class R, class N>
concept MapTerm = requires(T& t, const R& r, typename R::Slice s, const typename R::PointsView& x,
                           N& map, const StepContext<R>& context, double weight) {
  t.begin_step(r, context, weight);
  // Σ over the slice, without the weight; forward of the map at x may be called anew.
  { t.value(s, x, map) } -> std::convertible_to<double>;
  // Adds factor · weight · Σ ∂value/∂parameters to the map's gradient.
  t.accumulate(s, x, map, weight);
};

}  // namespace wgf
