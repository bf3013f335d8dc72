// SPDX-License-Identifier: BSL-1.0
#pragma once
// What a run returns: P_0 and the maps T_1, …, T_K, so that P_k = (T_k ∘ … ∘ T_1) # P_0.
#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "../network/icnn.hpp"
#include "gaussian_path.hpp"
#include "initial_measure.hpp"
#include "inverse.hpp"
#include "push.hpp"
#include "rejection.hpp"
#include "reweighting.hpp"
#include "stage.hpp"

namespace wgf {

/// The sequence of maps, and of rejections after them, computed by a run.
/// \tparam Map the specification of the map of every stage.
/// \tparam Backend the policy that evaluates the maps.
/// \tparam ForwardTerms the terms, with weights, that the scheme treats forward.
/// \tparam Corrections of a corrected flow: the potentials whose weighted sum is −log q, the target
/// of its rejections or reweightings.
template <MapSpecification Map, class Backend, class ForwardTerms = hana::tuple<>,
          class Corrections = hana::tuple<>>
class Flow {
 public:
  using Scalar = typename Backend::Scalar;
  using MapType = Map;
  using BackendType = Backend;
  using ForwardType = ForwardTerms;
  using CorrectionsType = Corrections;
  using StageType = Stage<Scalar>;
  static constexpr bool has_forward = !std::same_as<ForwardTerms, hana::tuple<>>,
                        is_corrected = !std::same_as<Corrections, hana::tuple<>>;

  Flow(InitialMeasure p0, Map map_specification, double step, Backend policy,
       ForwardTerms forward_terms = {}, Corrections correction_terms = {})
      : initial(std::move(p0)),
        map(map_specification),
        step_size(step),
        backend(policy),
        forward(std::move(forward_terms)),
        corrections(std::move(correction_terms)) {}

  InitialMeasure initial;   ///< P_0
  Map map;                  ///< defines the meaning of every stage's parameters
  double step_size;         ///< a of the scheme, for every stage without its own
  Backend backend;          ///< evaluates the maps
  ForwardTerms forward;     ///< the terms that move the particles in the forward half of every step
  Corrections corrections;  ///< the potentials of the corrections' target
  std::vector<Stage<Scalar>> stages;  ///< T_1, …, T_K

  int dim() const {
    return std::visit([](const auto& m) { return m.dim(); }, initial);
  }
  /// Number of stages, K.
  int size() const { return static_cast<int>(stages.size()); }
  /// The step size a of stage k = 0, 1, ….
  /// \throws std::invalid_argument if there is no such stage.
  double step_size_of(int k) const {
    const double own = stage(k, "step_size_of").step_size;
    return own > 0 ? own : step_size;
  }
  /// The time of the gradient flow that corresponds to P_k, the sum of the first k step sizes (k =
  /// −1: of all).
  /// \throws std::invalid_argument if there are fewer than k steps.
  double time(int k = -1) const {
    double t = 0;
    bool same = true;
    const int n = k < 0 ? size() : k;
    for (int i = 0; i < n; ++i)
      t += step_size_of(i), same = same && stages[static_cast<std::size_t>(i)].step_size == 0;
    return same ? n * step_size : t;  // avoids the rounding errors of a sum
  }

  /// n independent samples of P_K, d × n: fresh draws of P_0, pushed through all maps and
  /// rejections. The same seed gives the same samples. Without a seed, one is derived from the
  /// backend's, different from those of training. A flow with reweighted stages gives the particles
  /// of sample_with_evidence, which are not independent and approximate the target as n grows.
  /// \throws std::invalid_argument unless n ≥ 1; or n ≥ 2 if stages are reweighted.
  Particles sample(long n) const { return sample(n, detail::mixed_seed(backend.seed)); }
  Particles sample(long n, std::uint64_t seed) const {
    if constexpr (is_corrected)
      return is_reweighted() ? sample_with_evidence(n, seed).particles
                             : sample_with_log_density(n, seed).first;
    else return push(draw_initial(n, seed));
  }
  /// Whether stages are reweighted.
  bool is_reweighted() const { return detail::stages_before_reweighting(*this) < size(); }
  /// n particles that pass through all stages together: where a stage is reweighted, they are
  /// weighted, resampled and moved. They are as many as asked for but not independent; those of
  /// different seeds are, and also of the run's population, to which the maps were fitted.
  /// \throws std::invalid_argument if no stage is reweighted, or unless n ≥ 2; InversionError where
  /// a map folds at more than a hundredth of the particles.
  ReweightedSample sample_with_evidence(long n, std::uint64_t seed) const
    requires is_corrected
  {
    if (!is_reweighted())
      throw std::invalid_argument(
          "wgf::Flow::sample_with_evidence: no stage is reweighted: use sample_with_log_density");
    return detail::draw_reweighted(*this, n, seed, [](const Particles&) {});
  }
  /// The same samples, up to rounding, and log P_K at them. Corrected flows draw again where a map
  /// folds.
  /// \param k samples of P_k; −1: of P_K.
  /// \param last the largest number of rejections in the last stage.
  /// \throws std::invalid_argument unless n ≥ 1, or if P_0 has no density; InversionError where a
  /// map folds, in corrected flows if that is at more than a hundredth of the draws.
  std::pair<Particles, Eigen::VectorXd> sample_with_log_density(
      long n, std::uint64_t seed, int k = -1,
      std::size_t last = std::numeric_limits<std::size_t>::max()) const {
    if (k < 0) k = size();
    check(0, k);
    detail::refuse_reweighting(*this, 0, k, "sample_with_log_density");
    if constexpr (is_corrected)
      return detail::draw_corrected(*this, n, seed, k, last, [](auto&&...) {});
    const Particles start = draw_initial(n, seed);
    return push_with_log_density(start, initial_log_density(start), 0, k);
  }
  /// n samples of P_k for each k = 0, …, K. A particle of one is pushed to that of the next, unless
  /// it is rejected or replaced there.
  std::vector<Particles> sample_path(long n, std::uint64_t seed) const {
    if constexpr (is_corrected) {
      const int first = detail::stages_before_reweighting(*this);
      std::vector<Particles> path = detail::corrected_path(*this, n, seed, first);
      if (first < size())
        detail::draw_reweighted(*this, n, seed, [&](const Particles& x) { path.push_back(x); });
      return path;
    } else {
      return trajectory(draw_initial(n, seed));
    }
  }
  /// The expected number of draws of P_0 for a sample of P_K: 1 without rejections.
  double draws_per_sample() const {
    double draws = 1;
    for (const auto& stage : stages)
      for (const Rejection& r : stage.rejections) draws *= 2 - r.acceptance;
    return draws;
  }
  /// An estimate of the error of log_density's normalisation, in nats: the standard errors of the
  /// acceptances, added as if they were independent. Over 22 runs with quasi-random populations the
  /// actual error was 0.75 of it in root mean square; with independent particles, which successive
  /// rejections share, it can be up to √R times as large for R rejections.
  double normalisation_error() const {
    double squares = 0;
    for (const auto& stage : stages)
      for (const Rejection& r : stage.rejections) squares += r.error * r.error;
    return std::sqrt(squares);
  }
  /// log q at points (d × n) as the rejections of stage k use it, up to a constant.
  Eigen::VectorXd correction_log_density(const Particles& x, int k) const {
    return detail::log_target(corrections, x, time(k + 1), backend);
  }
  /// n draws of P_0.
  Particles draw_initial(long n, std::uint64_t seed) const {
    return std::visit([&](const auto& m) -> Particles { return m.sample(n, seed); }, initial);
  }

  /// The push-forward of given particles (d × n) through the stages [from, to); to = −1 means all.
  /// \throws std::invalid_argument for particles of another dimension, stages that do not exist, or
  /// rejections, which replace particles by fresh draws.
  Particles push(Particles particles, int from = 0, int to = -1) const {
    if (to < 0) to = size();
    check(particles, "push");
    check(from, to);
    refuse_rejections(from, to);
    if (from < to && particles.cols() > 0)
      detail::push_stages(*this, particles, from, to, [](const Particles&) {});
    return particles;
  }
  /// The particles at every step: element k has passed through the first k maps, k = 0, …, K.
  std::vector<Particles> trajectory(Particles particles) const {
    refuse_rejections(0, size());
    std::vector<Particles> path{push(particles, 0, 0)};
    if (size() > 0)
      detail::push_stages(*this, particles, 0, size(),
                          [&](const Particles& x) { path.push_back(x); });
    return path;
  }

  /// log P_K at the points x (d × n), in double precision, by the change of variables (appendix B):
  /// every map, including forward halves, is inverted by a damped Newton method, and its
  /// determinant is evaluated. IcnnGradient and affine maps are invertible. A residual map may
  /// fold: then a point has several preimages or none, and the density is that of the sheet of the
  /// preimage found.
  /// \throws InversionError if a point cannot be traced back, or the map folds there;
  /// std::invalid_argument for points of another dimension, or if P_0 has no density.
  Eigen::VectorXd log_density(const Particles& x) const {
    check(x, "log_density");
    detail::refuse_reweighting(*this, 0, size(), "log_density");
    if (x.cols() > block_) {  // each point needs a d × d matrix
      Eigen::VectorXd log(x.cols());
      for (Eigen::Index i = 0; i < x.cols(); i += block_) {
        const Eigen::Index n = std::min<Eigen::Index>(block_, x.cols() - i);
        log.segment(i, n) = log_density(x.middleCols(i, n));
      }
      return log;
    }
    Particles at = x;
    Eigen::VectorXd log = Eigen::VectorXd::Zero(x.cols());
    // Beside corrected stages, from the last: the points after their maps, and the log of how much
    // the density changes from there to P_K.
    struct Corrected {
      int stage;
      Particles x;
      Eigen::VectorXd to_end;
    };
    std::vector<Corrected> corrected;
    const auto enter = [&](int k) {
      if (!stages[static_cast<std::size_t>(k)].rejections.empty())
        corrected.push_back({k, at, log});
    };
    int next = size() - 1;  // the last stage that has not been entered; some have no map
    const auto enter_to = [&](int k) {
      for (; next >= k; --next) enter(next);
    };
    each_map(size(), 0, -1, at.cols(), [&](int k, const Frame& frame, const auto& map_of) {
      enter_to(k);
      const Particles y = frame.to_coordinates(at);
      const auto fail = [&](Eigen::Index i) {
        throw InversionError(k + 1, at.col(i), "cannot be inverted");
      };
      const Particles inside = map_of.inverse(y, fail);
      subtract_determinants(k, map_of.log_determinants(inside), at, log);
      at = frame.from_coordinates(inside);
    });
    enter_to(0);
    Eigen::VectorXd log_p = log + initial_log_density(at);  // as if there were no rejections
    for (auto stage = corrected.rbegin(); stage != corrected.rend(); ++stage) {
      const Eigen::VectorXd log_q = correction_log_density(stage->x, stage->stage);
      for (const Rejection& r : stages[static_cast<std::size_t>(stage->stage)].rejections)
        for (Eigen::Index i = 0; i < log_p.size(); ++i)
          log_p[i] += r.log_factor(r.keeps(log_q[i] - (log_p[i] - stage->to_end[i])));
    }
    return log_p;
  }
  /// Pushes the points x (d × n), with log-densities of some law at them, through the stages [from,
  /// to): returns T(x) and the log-density of the push-forward there. With from = 0 and the
  /// log-density of P_0, this is the log-density of P_K. A residual map need not be invertible;
  /// where it folds, the result is the density of one sheet.
  /// \throws InversionError where the determinant of a map is not positive; std::invalid_argument
  /// for sizes that do not match, or rejections, which replace particles by fresh draws.
  std::pair<Particles, Eigen::VectorXd> push_with_log_density(Particles x,
                                                              Eigen::VectorXd log_density,
                                                              int from = 0, int to = -1) const {
    if (to < 0) to = size();
    check(from, to);
    refuse_rejections(from, to);
    return push_maps_with_log_density(std::move(x), std::move(log_density), from, to);
  }
  /// The same through the maps alone, without the rejections of their stages.
  /// \param marks_folds log-densities are NaN where a determinant is not positive.
  std::pair<Particles, Eigen::VectorXd> push_maps_with_log_density(Particles x,
                                                                   Eigen::VectorXd log_density,
                                                                   int from, int to,
                                                                   bool marks_folds = false) const {
    check(x, "push_with_log_density");
    check(from, to);
    if (log_density.size() != x.cols())
      throw std::invalid_argument("wgf::Flow::push_with_log_density: " + std::to_string(x.cols()) +
                                  " points need as many log-densities, got " +
                                  std::to_string(log_density.size()));
    if (x.cols() > block_) {
      for (Eigen::Index i = 0; i < x.cols(); i += block_) {
        const Eigen::Index n = std::min<Eigen::Index>(block_, x.cols() - i);
        const auto [pushed, log] = push_maps_with_log_density(
            x.middleCols(i, n), log_density.segment(i, n), from, to, marks_folds);
        x.middleCols(i, n) = pushed, log_density.segment(i, n) = log;
      }
      return {std::move(x), std::move(log_density)};
    }
    each_map(from, to, 1, x.cols(), [&](int k, const Frame& frame, const auto& map_of) {
      const Particles inside = frame.to_coordinates(x);
      const Eigen::VectorXd log_determinants = map_of.log_determinants(inside);
      if (marks_folds) log_density -= log_determinants;
      else subtract_determinants(k, log_determinants, x, log_density);
      x = frame.from_coordinates(map_of.value(inside));
    });
    return {std::move(x), std::move(log_density)};
  }
  /// log P_0 at the points.
  /// \throws std::invalid_argument if P_0 has no density that can be evaluated.
  Eigen::VectorXd initial_log_density(const Particles& x) const {
    return detail::log_density(initial, x);
  }

  /// Stage k as x → matrix·x + offset, exactly. Only for affine maps.
  /// \throws std::invalid_argument if there is no such stage.
  AffineForm affine_form(int k) const
    requires(AffineSpecification<Map> && !has_forward)
  {
    return wgf::affine_form(map, stage(k, "affine_form"));
  }
  /// P_k in closed form (k = −1: the last). Only for affine maps.
  /// \throws std::invalid_argument unless P_0 is Gaussian and there are k stages.
  Gaussian gaussian(int k = -1) const
    requires(AffineSpecification<Map> && !has_forward && !is_corrected)
  {
    return gaussian_path(k).law();
  }
  /// P_0, …, P_k in closed form; see gaussian().
  GaussianPath gaussian_path(int k = -1) const
    requires(AffineSpecification<Map> && !has_forward && !is_corrected)
  {
    const auto* p0 = std::get_if<Gaussian>(&initial);
    if (!p0) throw std::invalid_argument("wgf::Flow::gaussian: P_0 is not Gaussian");
    if (k > size())
      throw std::invalid_argument("wgf::Flow::gaussian: there is no P_" + std::to_string(k) +
                                  " in a flow of " + std::to_string(size()));
    GaussianPath path(*p0);
    for (int i = 0; i < (k < 0 ? size() : k); ++i)
      path.advance(affine_form(i), stages[static_cast<std::size_t>(i)].inertia);
    return path;
  }

 private:
  const StageType& stage(int k, const char* who) const {
    if (k < 0 || k >= size())
      throw std::invalid_argument(std::string("wgf::Flow::") + who + ": there is no stage " +
                                  std::to_string(k) + " in a flow of " + std::to_string(size()));
    return stages[static_cast<std::size_t>(k)];
  }
  void check(const Particles& x, const char* who) const {
    if (x.rows() != dim())
      throw std::invalid_argument(std::string("wgf::Flow::") + who +
                                  ": the particles have dimension " + std::to_string(x.rows()) +
                                  ", the flow " + std::to_string(dim()));
  }
  void check(int from, int to) const {
    if (from < 0 || from > to || to > size())
      throw std::invalid_argument("wgf::Flow::push: no stages [" + std::to_string(from) + ", " +
                                  std::to_string(to) + ") in a flow of " + std::to_string(size()));
  }
  void refuse_rejections(int from, int to) const {
    detail::refuse_reweighting(*this, from, to, "push");
    for (int k = from; k < to; ++k)
      if (!stages[static_cast<std::size_t>(k)].rejections.empty())
        throw std::invalid_argument(
            "wgf::Flow::push: stage " + std::to_string(k + 1) +
            " has rejections, which replace particles by fresh draws: use sample, sample_path or "
            "sample_with_log_density");
  }

  // ---- individual maps with their derivatives, in double precision

  static constexpr Eigen::Index block_ = 8192;  ///< points whose derivatives are stored at a time

  static void subtract_determinants(int k, const Eigen::VectorXd& log_determinants,
                                    const Particles& at, Eigen::VectorXd& log) {
    for (Eigen::Index i = 0; i < at.cols(); ++i)
      if (!std::isfinite(log_determinants[i]))
        throw InversionError(k + 1, at.col(i),
                             "is not one to one: its determinant is not positive");
    log -= log_determinants;
  }
  /// Calls visit(k, coordinates, map) for the maps of the stages [from, to) in ascending order, or
  /// for direction −1 of the stages [to, from) in descending order. Within a stage the forward half
  /// precedes the map, or follows it in descending order.
  /// \param n the maximal number of points given to a map.
  template <class Visit>
  void each_map(int from, int to, int direction, long n, Visit visit) const {
    if (detail::any_inertia(stages, std::min(from, to), std::max(from, to)))
      throw std::invalid_argument(
          "wgf::Flow: densities are not available where a stage continues the motion of the stage "
          "before it (Bdf2)");
    const auto has_map = [](const auto& stage) { return has_forward || !stage.parameters.empty(); };
    if (std::none_of(stages.begin() + std::min(from, to), stages.begin() + std::max(from, to),
                     has_map))
      return;  // steps of a corrected flow may have rejections only
    const auto runtime = backend.precise().start();
    using R = std::remove_cvref_t<decltype(runtime)>;
    const int d = dim();
    auto net = runtime.network(map, d, 1, 0, Keep::tile);
    auto x = runtime.points(d, n), y = runtime.points(d, n), drift = runtime.points(d, n);
    const Frame none = Frame::none(d);
    const auto each = [&](long count, const auto& f) { runtime.each(count, f); };

    const auto visit_map = [&](int k) {
      const auto& stage = stages[static_cast<std::size_t>(k)];
      if (stage.parameters.empty()) return;
      net.set_parameters(std::vector<double>(stage.parameters.begin(), stage.parameters.end()));
      const auto value = [&](const Particles& at) -> Particles {
        const auto now = x.window(0, at.cols());
        runtime.upload(at, now);
        runtime.parallel(at.cols(), [&](typename R::Slice s) { y(s) = net.forward(s, now(s)); });
        return at + stage.extrapolation * (runtime.download(y.window(0, at.cols())) - at);
      };
      const auto derivative = [&](const Particles& at) {
        auto slopes = detail::jacobians(runtime, net, at, x, y, drift);
        const Eigen::MatrixXd identity = Eigen::MatrixXd::Identity(d, d);
        if (stage.extrapolation != 1)
          for (auto& slope : slopes) slope = identity + stage.extrapolation * (slope - identity);
        return slopes;
      };
      const auto log_determinants = [&](const Particles& at) -> Eigen::VectorXd {
        if constexpr (HasLogDeterminants<decltype(net), R>) {
          const auto now = x.window(0, at.cols());
          runtime.upload(at, now);
          return detail::log_determinants(runtime, net, now, stage.extrapolation, at.cols());
        } else {
          return detail::log_determinants(derivative(at), each);
        }
      };
      visit(k, stage.frame, detail::DifferentiatedMap{value, derivative, log_determinants, each});
    };
    const auto visit_forward = [&](int k) {
      if constexpr (has_forward) {
        const auto& stage = stages[static_cast<std::size_t>(k)];
        auto samples = runtime.points(d, stage.samples.cols());
        if (stage.samples.cols() > 0) runtime.upload(stage.samples, samples);
        const auto value = [&](const Particles& at) -> Particles {
          const auto now = x.window(0, at.cols());
          runtime.upload(at, now);
          push_forward(runtime, forward, time(k), step_size_of(k), samples, now,
                       drift.window(0, at.cols()), y.window(0, at.cols()), at.cols());
          return runtime.download(now);
        };
        const auto derivative = [&](const Particles& at) {
          return forward_derivatives(runtime, forward, time(k), step_size_of(k), samples, at);
        };
        const auto log_determinants = [&](const Particles& at) {
          return detail::log_determinants(derivative(at), each);
        };
        visit(k, none, detail::DifferentiatedMap{value, derivative, log_determinants, each});
      }
    };
    for (int k = direction > 0 ? from : from - 1; direction > 0 ? k < to : k >= to;
         k += direction) {
      if (direction > 0) visit_forward(k), visit_map(k);
      else visit_map(k), visit_forward(k);
    }
  }
};

}  // namespace wgf
