// SPDX-License-Identifier: BSL-1.0
#pragma once
// Detects that a step has diverged, and describes how. The bounds are those of Safeguards.
#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <string>

#include "../frame.hpp"
#include "../functional/target.hpp"
#include "../hana.hpp"
#include "../linear_algebra.hpp"
#include "../measure/gaussian.hpp"
#include "../options/options.hpp"
#include "estimates.hpp"

namespace wgf::detail {

/// Why a training has exploded, given its initial objective; empty if it has not.
inline std::string explosion(const Safeguards& bounds, double initial, double now) {
  if (!(now > initial + bounds.explosion * (1 + std::abs(initial)))) return {};
  return "transport cost plus functional have risen from " + std::to_string(initial) + " to " +
         std::to_string(now) + "; a smaller map_rate or dual_rate may help";
}

/// Why the dual networks are saturated; empty if they are not.
inline std::string saturation(const Safeguards& bounds, const Estimates& last) {
  if (!(last.dual_size > bounds.saturation)) return {};
  return "the dual networks are saturated: the root mean square of u is " +
         std::to_string(last.dual_size) +
         ", so that the estimated density ratio exceeds e^|u|; a smaller step_size or dual_rate, "
         "or a reference nearer to the particles may help";
}

/// Whether a step has shrunk the covariance in some direction by more than the bounds allow.
inline bool has_collapsed(const Safeguards& bounds, const Gaussian& before,
                          const Eigen::MatrixXd& covariance) {
  const double min = bounds.collapse;
  const Eigen::MatrixXd half = solve_lower(before.factor(), covariance);
  const Eigen::MatrixXd inside = solve_lower(before.factor(), half.transpose());
  const Eigen::MatrixXd left =
      symmetric_part(inside) - min * min * Eigen::MatrixXd::Identity(inside.rows(), inside.cols());
  return min > 0 && !is_positive_definite(left);
}
inline constexpr const char* collapse_message =
    "the particles have collapsed: in some direction the step shrinks their standard deviation to "
    "less than safeguards.collapse of what it was";

/// What is wrong with the target at x, where gradients of up to `max` are acceptable; empty if
/// nothing is wrong.
template <Target T>
std::string fault_at(const T& target, const Eigen::VectorXd& x, double max) {
  const auto value = static_cast<double>(target.log_density(x));
  const Eigen::VectorXd gradient = log_density_gradient(target, x);
  std::string what;
  if (!std::isfinite(value)) what = "is " + std::to_string(value);
  else if (!gradient.allFinite()) what = "has a gradient that is not finite";
  else if (gradient.template lpNorm<Eigen::Infinity>() > max)
    what = "has a gradient too large for the backend's numbers";
  else return what;
  what = "the target's log-density " + what + " at x = (";
  for (Eigen::Index j = 0; j < std::min<Eigen::Index>(x.size(), 4); ++j)
    what += (j ? ", " : "") + std::to_string(x[j]);
  return what + (x.size() > 4 ? ", …)" : ")");
}

template <class Network>
bool has_finite_parameters(const Network& network) {
  const auto values = network.parameters();
  return std::all_of(values.begin(), values.end(), [](auto v) { return std::isfinite(v); });
}

/// Names what is not finite in a training: the networks, the target at a particle, or some term.
/// \param functional the functional of the step, at the present time.
/// \param batch the number of particles whose gradients are added.
template <class Training, class Functional>
std::string diagnosis(Training& training, const Functional& functional, const Frame& frame,
                      double time, long batch, double largest_number) {
  bool networks = has_finite_parameters(training.map);
  training.each_network(
      [&](auto& network, auto&) { networks = networks && has_finite_parameters(network); });
  if (!networks)
    return "the networks' parameters are no longer finite; a smaller map_rate or dual_rate may "
           "help";
  // The squares of a batch's gradients must be representable.
  const double max = std::sqrt(largest_number) / static_cast<double>(batch);
  const Particles y = frame.from_coordinates(training.last_images());
  if (!y.allFinite())
    return "the map sends particles to where they are not finite; a smaller map_rate may help";
  std::string why;
  hana::for_each(functional.terms, [&](const auto& t) {
    if constexpr (has_target<std::remove_cvref_t<decltype(t.term)>>) {
      const auto target = target_at(t.term.target, time);
      for (Eigen::Index i = 0; i < y.cols() && why.empty(); ++i)
        why = fault_at(target, Eigen::VectorXd(y.col(i)), max);
    }
  });
  return why.empty() ? "a term's value or gradient is not finite, or too large for the backend's "
                       "numbers"
                     : why;
}

}  // namespace wgf::detail
