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
#include "../measure/empirical.hpp"
#include "../measure/gaussian.hpp"
#include "../measure/gaussian_mixture.hpp"
#include "../measure/uniform_box.hpp"

namespace wgf {

/// A custom P_0: it can be sampled, but files store only its dimension.
struct CustomMeasure {
  int dimension = 0;
  std::function<Particles(long, std::uint64_t)> draw;  ///< empty in a flow that was loaded
  std::function<double(const Eigen::VectorXd&)>
      log_density{};  ///< empty where the measure has none

  int dim() const { return dimension; }
  Particles sample(long n, std::uint64_t seed) const {
    if (!draw)
      throw std::logic_error(
          "wgf::Flow: P_0 was a measure of the user's own, which a file does not keep: assign "
          "flow.initial, or push particles");
    Particles x = draw(n, seed);
    if (x.rows() != dimension || x.cols() != n)
      throw std::invalid_argument("wgf::Flow: P_0's sample must be " + std::to_string(dimension) +
                                  " x " + std::to_string(n) + ", got " + std::to_string(x.rows()) +
                                  " x " + std::to_string(x.cols()));
    return x;
  }
};

/// P_0 of a flow: a measure of the library, which files store, or a custom one.
using InitialMeasure =
    std::variant<Gaussian, GaussianMixture, UniformBox, Barenblatt, Empirical, CustomMeasure>;

/// P_0 as flows store it.
/// \throws std::invalid_argument for a measure without a dimension.
template <Measure M>
InitialMeasure initial_measure(M measure) {
  if (const int d = measure.dim(); d < 1)
    throw std::invalid_argument("wgf::Flow: P_0 must have at least one dimension, got " +
                                std::to_string(d));
  constexpr bool ours = std::same_as<M, Gaussian> || std::same_as<M, GaussianMixture> ||
                        std::same_as<M, UniformBox> || std::same_as<M, Barenblatt> ||
                        std::same_as<M, Empirical> || std::same_as<M, CustomMeasure>;
  if constexpr (ours) {
    return measure;
  } else {
    const int dim = measure.dim();
    CustomMeasure custom{dim, [measure](long n, std::uint64_t seed) -> Particles {
                           return measure.sample(n, seed);
                         }};
    if constexpr (requires(const Eigen::VectorXd& x) { measure.log_density(x); })
      custom.log_density = [measure = std::move(measure)](const Eigen::VectorXd& x) -> double {
        return measure.log_density(x);
      };
    return custom;
  }
}
inline InitialMeasure initial_measure(InitialMeasure measure) { return measure; }

}  // namespace wgf
