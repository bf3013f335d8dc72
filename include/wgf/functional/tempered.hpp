// SPDX-License-Identifier: BSL-1.0
#pragma once
// A target that is approached along the geometric path q^β p₀^{1−β}, with a temperature β for each
// step of a flow, as in sequential Monte Carlo (sampling/smc.hpp).
#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include "../adapt.hpp"
#include "target.hpp"

namespace wgf {

namespace detail {
/// The two ends of the path.
template <Target T, Target P>
struct TemperedEnds {
  T target;
  P start;
};
}  // namespace detail

/// q^β p₀^{1−β}, up to its constant, for one β. At β = 1 it is q, also where p₀ is 0.
template <Target T, Target P>
struct TemperedAt {
  std::shared_ptr<const detail::TemperedEnds<T, P>> ends;
  double beta;

  int dim() const { return ends->target.dim(); }
  double log_density(const Eigen::VectorXd& x) const {
    const double log_q = static_cast<double>(ends->target.log_density(x));
    return beta == 1 ? log_q
                     : beta * log_q + (1 - beta) * static_cast<double>(ends->start.log_density(x));
  }
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const {
    const Eigen::VectorXd of_q = log_density_gradient(ends->target, x);
    if (beta == 1) return of_q;
    return beta * of_q + (1 - beta) * log_density_gradient(ends->start, x);
  }
};

/// The time-dependent target that tempered() makes.
template <Target T, Target P>
class Tempered {
 public:
  Tempered(T target, P start, std::vector<double> temperatures, double step_size)
      : ends_(std::make_shared<const detail::TemperedEnds<T, P>>(std::move(target),
                                                                 std::move(start))),
        temperatures_(std::move(temperatures)),
        step_size_(step_size) {
    const auto refuse = [](const std::string& why) {
      throw std::invalid_argument("wgf::tempered: " + why);
    };
    if (ends_->start.dim() != ends_->target.dim())
      refuse("p_0 must have the target's dimension " + std::to_string(ends_->target.dim()) +
             ", got " + std::to_string(ends_->start.dim()));
    if (temperatures_.empty()) refuse("at least one temperature is needed");
    double before = 0;
    for (const double beta : temperatures_) {
      if (!(beta > before && beta <= 1))
        refuse("the temperatures must increase strictly from above 0 to at most 1, got " +
               std::to_string(beta) + " after " + std::to_string(before));
      before = beta;
    }
    if (!(step_size > 0) || !std::isfinite(step_size))
      refuse("step_size must be positive, got " + std::to_string(step_size));
  }

  int dim() const { return ends_->target.dim(); }
  /// β at time t: temperatures()[k − 1] for t in (t_{k−1}, t_k], t_k = k·step_size, the first one
  /// also at t = 0, and 1 after the last. A time within 10⁻⁶ step sizes of t_k counts as t_k.
  double beta(double t) const {
    const double k = std::max(1.0, std::ceil(t / step_size_ - 1e-6));
    if (k > static_cast<double>(temperatures_.size())) return 1;
    return temperatures_[static_cast<std::size_t>(k) - 1];
  }
  /// q^β p₀^{1−β} at time t.
  TemperedAt<T, P> at(double t) const { return {ends_, beta(t)}; }
  const std::vector<double>& temperatures() const { return temperatures_; }
  double step_size() const { return step_size_; }

 private:
  std::shared_ptr<const detail::TemperedEnds<T, P>> ends_;
  std::vector<double> temperatures_;
  double step_size_;
};

/// A target for kl() and potential() that leads from p₀ to q: in the k-th step of a flow with steps
/// of size `step_size`, a functional of it is evaluated with q^β p₀^{1−β}, β = temperatures[k − 1],
/// and after the last temperature with q. Forward halves, which are evaluated at the beginning of a
/// step, use the temperature of the step before.
///
///     const auto temperatures = wgf::smc(target, p_0).temperatures;
///     const wgf::JkoSolver solver{
///         wgf::kl(wgf::tempered(target, p_0, temperatures, 0.1), wgf::LogDeterminant{}),
///         wgf::ResidualMlp<32, 4, wgf::Silu>{}, wgf::Backward{.step_size = 0.1},
///         wgf::EigenBackend<float>{.seed = 1}};
///     const int steps = static_cast<int>(temperatures.size()) + 5;  // the last ones at β = 1
///     const auto flow = solver.run(p_0, {.steps = steps});
///
/// \param target log q up to a constant, with or without its gradient: see Target.
/// \param p_0 a density with log_density and gradient, such as Gaussian or GaussianMixture.
/// A solver whose scheme has another step size refuses it.
/// \throws std::invalid_argument for densities of different dimensions, temperatures that do not
/// increase strictly within (0, 1], none of them, or a step size that is not positive.
template <class T, class P>
auto tempered(const T& target, const P& p_0, std::vector<double> temperatures, double step_size) {
  using Object = decltype(adapted(target));
  static_assert(Target<Object>,
                "wgf::tempered: a target has dim(), log_density(x), and gradient(x) unless its "
                "log_density is a template over the scalar type; see docs/targets.md");
  static_assert(Target<P>,
                "wgf::tempered: p_0 needs dim(), log_density(x) and gradient(x), such as "
                "wgf::Gaussian");
  return Tempered<Object, P>(adapted(target), p_0, std::move(temperatures), step_size);
}

}  // namespace wgf
