// SPDX-License-Identifier: BSL-1.0
#pragma once
// P_0 of a flow: a measure of the library, which files store, or a custom one.
#include <concepts>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

#include "../concepts.hpp"
#include "../measure/barenblatt.hpp"
#include "../measure/block_mixture.hpp"
#include "../measure/empirical.hpp"
#include "../measure/gaussian.hpp"
#include "../measure/gaussian_mixture.hpp"
#include "../measure/uniform_box.hpp"
#include "../quasi_random.hpp"

namespace wgf {

/// A custom P_0: it can be sampled, but files store only its dimension.
struct CustomMeasure {
  int dimension = 0;
  std::function<Particles(long, std::uint64_t)> draw;  ///< empty in a flow that was loaded
  std::function<double(const Eigen::VectorXd&)>
      log_density{};  ///< empty where the measure has none
  std::function<Particles(long, std::uint64_t)>
      draw_evenly{};  ///< quasi_random; empty where the measure has none

  int dim() const { return dimension; }
  Particles sample(long n, std::uint64_t seed) const {
    need_draw();
    return checked(draw(n, seed), n);
  }
  /// \throws std::invalid_argument if the measure has no quasi_random.
  Particles quasi_random(long n, std::uint64_t seed) const {
    need_draw();
    if (!draw_evenly)
      throw std::invalid_argument(
          "wgf::Flow: P_0 has no quasi_random(n, seed), which population.points = "
          "PointSet::quasi_random needs");
    return checked(draw_evenly(n, seed), n);
  }

 private:
  void need_draw() const {
    if (!draw)
      throw std::logic_error(
          "wgf::Flow: P_0 was a measure of the user's own, which a file does not keep: assign "
          "flow.initial, or push particles");
  }
  Particles checked(Particles x, long n) const {
    if (x.rows() != dimension || x.cols() != n)
      throw std::invalid_argument("wgf::Flow: P_0's sample must be " + std::to_string(dimension) +
                                  " x " + std::to_string(n) + ", got " + std::to_string(x.rows()) +
                                  " x " + std::to_string(x.cols()));
    return x;
  }
};

/// P_0 of a flow: a measure of the library, which files store, or a custom one.
using InitialMeasure = std::variant<Gaussian, GaussianMixture, UniformBox, Barenblatt, Empirical,
                                    CustomMeasure, BlockMixture>;

/// P_0 as flows store it.
/// \throws std::invalid_argument for a measure without a dimension.
template <Measure M>
InitialMeasure initial_measure(M measure) {
  if (const int d = measure.dim(); d < 1)
    throw std::invalid_argument("wgf::Flow: P_0 must have at least one dimension, got " +
                                std::to_string(d));
  constexpr bool ours = std::same_as<M, Gaussian> || std::same_as<M, GaussianMixture> ||
                        std::same_as<M, UniformBox> || std::same_as<M, Barenblatt> ||
                        std::same_as<M, Empirical> || std::same_as<M, CustomMeasure> ||
                        std::same_as<M, BlockMixture>;
  if constexpr (ours) {
    return measure;
  } else {
    const int dim = measure.dim();
    CustomMeasure custom{dim, [measure](long n, std::uint64_t seed) -> Particles {
                           return measure.sample(n, seed);
                         }};
    if constexpr (requires(long n, std::uint64_t seed) {
                    { measure.quasi_random(n, seed) } -> std::convertible_to<Particles>;
                  })
      custom.draw_evenly = [measure](long n, std::uint64_t seed) -> Particles {
        return measure.quasi_random(n, seed);
      };
    if constexpr (requires(const Eigen::VectorXd& x) { measure.log_density(x); })
      custom.log_density = [measure = std::move(measure)](const Eigen::VectorXd& x) -> double {
        return measure.log_density(x);
      };
    return custom;
  }
}
inline InitialMeasure initial_measure(InitialMeasure measure) { return measure; }

/// n particles that represent P_0, a function of the seed.
/// \throws std::invalid_argument for n < 1, or if P_0 has no quasi-random points.
inline Particles draw_initial(const InitialMeasure& initial, long n, std::uint64_t seed,
                              PointSet points) {
  return std::visit(
      [&](const auto& m) -> Particles {
        return points == PointSet::random ? m.sample(n, seed) : m.quasi_random(n, seed);
      },
      initial);
}

namespace detail {
/// log P_0 at the points x (d × n).
/// \throws std::invalid_argument if P_0 has no density that can be evaluated.
inline Eigen::VectorXd log_density(const InitialMeasure& initial, const Particles& x) {
  return std::visit(
      [&](const auto& m) -> Eigen::VectorXd {
        Eigen::VectorXd log(x.cols());
        if constexpr (requires(const Eigen::VectorXd& point) { m.log_density(point); }) {
          bool known = true;
          if constexpr (requires { static_cast<bool>(m.log_density); })
            known = static_cast<bool>(m.log_density);
          if (known) {
            for (Eigen::Index i = 0; i < x.cols(); ++i)
              log[i] = m.log_density(Eigen::VectorXd(x.col(i)));
            return log;
          }
        }
        throw std::invalid_argument("wgf::Flow: P_0 has no log-density");
      },
      initial);
}
}  // namespace detail

}  // namespace wgf
