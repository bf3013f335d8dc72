// SPDX-License-Identifier: BSL-1.0
#pragma once
// What a run returns: P_0 and the maps T_1, …, T_K, so that P_k = (T_k ∘ … ∘ T_1) # P_0.
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "../concepts.hpp"
#include "../frame.hpp"
#include "../measure/empirical.hpp"
#include "../measure/gaussian.hpp"
#include "../measure/gaussian_mixture.hpp"
#include "../measure/uniform_box.hpp"
#include "../network/affine_form.hpp"

namespace wgf {

/// A user's own P_0: it can be drawn from, but a file only keeps its dimension.
struct CustomMeasure {
  int dimension = 0;
  std::function<Particles(long, std::uint64_t)> draw;  ///< empty in a flow that was loaded

  int dim() const { return dimension; }
  Particles sample(long n, std::uint64_t seed) const {
    if (!draw)
      throw std::logic_error(
          "wgf::Flow: P_0 was a measure of the user's own, which a file does not keep: assign flow.initial, or push particles");
    Particles x = draw(n, seed);
    if (x.rows() != dimension || x.cols() != n)
      throw std::invalid_argument("wgf::Flow: P_0's sample must be " + std::to_string(dimension) + " x " + std::to_string(n) + ", got " +
                                  std::to_string(x.rows()) + " x " + std::to_string(x.cols()));
    return x;
  }
};

/// P_0 of a flow: a measure of the library, which files keep, or the user's own.
using InitialMeasure = std::variant<Gaussian, GaussianMixture, UniformBox, Empirical, CustomMeasure>;

template <Measure M>
InitialMeasure initial_measure(M measure) {
  constexpr bool ours = std::same_as<M, Gaussian> || std::same_as<M, GaussianMixture> || std::same_as<M, UniformBox> ||
                        std::same_as<M, Empirical> || std::same_as<M, CustomMeasure>;
  if constexpr (ours) {
    return measure;
  } else {
    const int dim = measure.dim();
    return CustomMeasure{dim, [measure = std::move(measure)](long n, std::uint64_t seed) -> Particles { return measure.sample(n, seed); }};
  }
}
inline InitialMeasure initial_measure(InitialMeasure measure) { return measure; }

/// One JKO step: the map's parameters in the specification's order, and the coordinates in which they act.
template <class Scalar>
struct Stage {
  Frame frame;
  std::vector<Scalar> parameters;
};

/// x ← T(x) in the frame's coordinates: x is replaced by mean + factor·net(factor⁻¹(x − mean)). `inside` is scratch of x's size.
template <Runtime R, class Net>
void push_through(const R& runtime, Net& net, const Frame& frame, const typename R::Window& x, const typename R::Window& inside, long n) {
  using Slice = typename R::Slice;
  if (frame.identity) {
    runtime.parallel(n, [&](Slice s) { x(s) = net.forward(s, x(s)); });
    return;
  }
  const Eigen::MatrixXd inverse = frame.inverse_factor();
  const auto in = runtime.constant(inverse), shift_in = runtime.constant(-(inverse * frame.mean));
  const auto out = runtime.constant(frame.factor), shift_out = runtime.constant(frame.mean);
  runtime.parallel(n, [&](Slice s) {
    set_affine(in, shift_in, x(s), inside(s));
    set_affine(out, shift_out, net.forward(s, inside(s)), x(s));
  });
}

/// The sequence of maps that a run has found. Cheap to copy relative to its making; immutable in use.
/// \tparam Map the specification of every stage's map. \tparam Backend the policy that evaluates them.
template <MapSpecification Map, class Backend>
class Flow {
 public:
  using Scalar = typename Backend::Scalar;
  using MapType = Map;
  using BackendType = Backend;

  Flow(InitialMeasure p0, Map map_specification, double step, Backend policy)
      : initial(std::move(p0)), map(map_specification), step_size(step), backend(policy) {}

  InitialMeasure initial;             ///< P_0
  Map map;                            ///< what every stage's parameters mean
  double step_size;                   ///< the scheme's a: stage k ends at time k·a of the gradient flow
  Backend backend;                    ///< evaluates the maps
  std::vector<Stage<Scalar>> stages;  ///< T_1, …, T_K

  int dim() const {
    return std::visit([](const auto& m) { return m.dim(); }, initial);
  }
  /// Number of stages, K.
  int size() const { return static_cast<int>(stages.size()); }

  /// n fresh draws of P_0, pushed through all maps: d × n samples of P_K. The same seed gives the same samples; without one, the seed is
  /// derived from the backend's, and differs from those of training.
  /// \throws std::invalid_argument unless n ≥ 1.
  Particles sample(long n) const { return sample(n, detail::mixed_seed(backend.seed)); }
  Particles sample(long n, std::uint64_t seed) const { return push(draw_initial(n, seed)); }
  /// n draws of P_0.
  Particles draw_initial(long n, std::uint64_t seed) const {
    return std::visit([&](const auto& m) -> Particles { return m.sample(n, seed); }, initial);
  }

  /// The push-forward of given particles (d × n) through the stages [from, to); to = −1 means all.
  /// \throws std::invalid_argument for particles of another dimension or stages that are not there.
  Particles push(Particles particles, int from = 0, int to = -1) const {
    if (to < 0) to = size();
    if (particles.rows() != dim())
      throw std::invalid_argument("wgf::Flow::push: the particles have dimension " + std::to_string(particles.rows()) + ", the flow " +
                                  std::to_string(dim()));
    if (from < 0 || from > to || to > size())
      throw std::invalid_argument("wgf::Flow::push: no stages [" + std::to_string(from) + ", " + std::to_string(to) + ") in a flow of " +
                                  std::to_string(size()));
    if (from < to && particles.cols() > 0) evaluate(particles, from, to, [](const Particles&) {});
    return particles;
  }
  /// The particles at every step: element k has gone through the first k maps, k = 0, …, K.
  std::vector<Particles> trajectory(Particles particles) const {
    std::vector<Particles> path{push(particles, 0, 0)};
    if (size() > 0) evaluate(particles, 0, size(), [&](const Particles& x) { path.push_back(x); });
    return path;
  }

  /// Stage k as x → matrix·x + offset, exactly. Only for maps that are affine.
  AffineForm affine_form(int k) const
    requires AffineSpecification<Map>
  {
    const auto& [frame, parameters] = stages.at(static_cast<std::size_t>(k));
    const AffineForm inner = wgf::affine_form(map, dim(), std::vector<double>(parameters.begin(), parameters.end()));
    const Eigen::MatrixXd matrix = detail::product(detail::product(frame.factor, inner.matrix), frame.inverse_factor());
    return {matrix, frame.mean + frame.factor * inner.offset - matrix * frame.mean};
  }
  /// P_k in closed form (k = −1: the last). Only for maps that are affine; \throws std::invalid_argument unless P_0 is Gaussian.
  Gaussian gaussian(int k = -1) const
    requires AffineSpecification<Map>
  {
    const auto* p0 = std::get_if<Gaussian>(&initial);
    if (!p0) throw std::invalid_argument("wgf::Flow::gaussian: P_0 is not Gaussian");
    Gaussian p = *p0;
    for (int i = 0; i < (k < 0 ? size() : k); ++i) p = affine_form(i).push_forward(p);
    return p;
  }

 private:
  template <class Visit>
  void evaluate(Particles& particles, int from, int to, Visit visit) const {
    const auto runtime = backend.start();
    const long n = particles.cols();
    auto net = runtime.network(map, dim(), 1, 0, Keep::tile);
    auto x = runtime.points(dim(), n), inside = runtime.points(dim(), n);
    runtime.upload(particles, x);
    for (int k = from; k < to; ++k) {
      const auto& [frame, parameters] = stages[static_cast<std::size_t>(k)];
      net.set_parameters(parameters);
      push_through(runtime, net, frame, x, inside, n);
      particles = runtime.download(x);
      visit(particles);
    }
  }
};

}  // namespace wgf
