// SPDX-License-Identifier: BSL-1.0
#pragma once
// Rejection stages of corrected flows (Hertrich and Gruhlke, "Importance corrected neural JKO
// sampling", 2024): a particle of the law P is kept with probability α(x) = min(1, q(x)/(c p(x))),
// else replaced by a fresh draw of P. The law after it has the density p(x)(α(x) + 1 − E α), and
// its KL divergence to q is never larger than that of P.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include "../checks.hpp"
#include "../concepts.hpp"
#include "../functional/potential.hpp"
#include "../linear_algebra.hpp"
#include "../particles.hpp"
#include "../random.hpp"
#include "../random_streams.hpp"
#include "inverse.hpp"

namespace wgf {

/// The constants of a rejection stage.
struct Rejection {
  double log_scale;   ///< log c
  double acceptance;  ///< E α, estimated by an average over the population
  double error = 0;   ///< the standard error of this estimate

  /// α where log q − log p has this value.
  double keeps(double log_ratio) const { return std::exp(std::min(0.0, log_ratio - log_scale)); }
  /// log of the density after the stage, relative to the one before it.
  double log_factor(double keeps) const { return std::log(keeps + 1 - acceptance); }
};

namespace detail {

/// log q at the points x (d × n) at a time of the flow, up to a constant.
/// \tparam Corrections a hana tuple of weighted potentials, whose weighted sum is −log q
/// \param backend on whose threads many points are evaluated
template <class Corrections, class Backend>
Eigen::VectorXd log_target(const Corrections& corrections, const Particles& x, double time,
                           const Backend& backend) {
  constexpr long few = 256;  // for which threads do not pay
  Eigen::VectorXd log_q = Eigen::VectorXd::Zero(x.cols());
  hana::for_each(corrections, [&](const auto& t) {
    const auto now = target_at(t.term.target, time);
    const auto add = [&](long i) {
      log_q[i] += t.weight * static_cast<double>(now.log_density(Eigen::VectorXd(x.col(i))));
    };
    if (x.cols() > few) backend.precise().start().each(x.cols(), add);
    else
      for (long i = 0; i < x.cols(); ++i) add(i);
  });
  if (log_q.array().isNaN().any())
    throw std::runtime_error("the log-density of the target is NaN at a particle");
  return log_q;
}

/// The rejection that replaces a share `rejected` of particles with these log q − log p: c by
/// bisection, as the share increases with c.
inline Rejection rejection_of(const Eigen::VectorXd& log_ratios, double rejected) {
  const double top = log_ratios.maxCoeff();
  if (!std::isfinite(top))
    throw std::runtime_error("the target's density is zero, or infinite, at all particles");
  Rejection r{top, 1};
  const auto n = static_cast<double>(log_ratios.size());
  const auto set = [&](double log_scale) {
    r.log_scale = log_scale;
    double sum = 0, squares = 0;
    for (const double l : log_ratios) {
      const double keeps = r.keeps(l);
      sum += keeps, squares += keeps * keeps;
    }
    r.acceptance = sum / n;
    r.error = std::sqrt(std::max(0.0, squares / n - r.acceptance * r.acceptance) / n);
  };
  // No particle is rejected for a small c, the share of those with q = 0 excepted; with c at the
  // largest ratio, nearly all may be.
  double low = top - 1, high = top + 1;
  for (set(low); 1 - r.acceptance > rejected && top - low < 1e6; set(low)) low -= 2 * (top - low);
  for (set(high); 1 - r.acceptance < rejected; set(high)) high += 1;
  for (int k = 0; k < 100; ++k) {
    const double middle = (low + high) / 2;
    set(middle);
    (1 - r.acceptance > rejected ? high : low) = middle;
  }
  return r;
}

/// n independent draws of a corrected flow's law after the first `last` rejections of stage
/// `to − 1`, with their log-densities. A rejected particle starts again from P_0, and is kept when
/// it comes back to the rejection that it failed: all particles that start again do so together.
/// A particle at which a map folds starts again, too.
/// \throws InversionError if maps fold at more than a hundredth of the particles pushed through
/// them. \param visit called as visit(k, indices, particles) after stage k \returns the particles,
/// d × n, and their log-densities
template <class Flow, class Visit>
std::pair<Particles, Eigen::VectorXd> draw_corrected(const Flow& flow, long n, std::uint64_t seed,
                                                     int to, std::size_t last, Visit&& visit) {
  check_sample_count(n, "wgf::Flow");
  Particles result(flow.dim(), n);
  Eigen::VectorXd result_log(n);
  struct Place {
    int stage;
    std::size_t rejection;
    bool operator==(const Place&) const = default;
  };
  std::vector<std::vector<Place>> failed(static_cast<std::size_t>(n));  // the last one comes first
  long all_folded = 0, all_pushed = 0;
  std::vector<Eigen::Index> open(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < open.size(); ++i) open[i] = static_cast<Eigen::Index>(i);
  for (std::uint32_t round = 0; !open.empty(); ++round) {
    const std::uint64_t own =
        round == 0 ? seed : mixed_seed(mixed_seed(seed) + rejection_stream + round);
    std::vector<Eigen::Index> active = std::move(open), again;
    Particles x = flow.draw_initial(static_cast<long>(active.size()), own);
    Eigen::VectorXd log_p = flow.initial_log_density(x);
    std::vector<std::vector<Place>> to_pass(active.size());
    for (std::size_t i = 0; i < active.size(); ++i)
      to_pass[i] = failed[static_cast<std::size_t>(active[i])];
    // Keeps the particles for which keeps(i); the others start again, after fail(i).
    const auto keep_only = [&](auto&& keeps, auto&& fail) {
      std::vector<Eigen::Index> kept;
      for (std::size_t i = 0; i < active.size(); ++i)
        if (keeps(static_cast<Eigen::Index>(i))) {
          kept.push_back(static_cast<Eigen::Index>(i));
        } else {
          fail(i);
          failed[static_cast<std::size_t>(active[i])] = std::move(to_pass[i]);
          again.push_back(active[i]);
        }
      if (kept.size() == active.size()) return;
      x = Particles(x(Eigen::all, kept)), log_p = Eigen::VectorXd(log_p(kept));
      for (std::size_t i = 0; i < kept.size(); ++i) {
        const auto from = static_cast<std::size_t>(kept[i]);
        active[i] = active[from];
        if (i != from) to_pass[i] = std::move(to_pass[from]);
      }
      active.resize(kept.size()), to_pass.resize(kept.size());
    };
    std::uint32_t place = 0;
    for (int k = 0; k < to && !active.empty(); ++k) {
      const Particles before = x;
      all_pushed += static_cast<long>(x.cols());
      std::tie(x, log_p) =
          flow.push_maps_with_log_density(std::move(x), std::move(log_p), k, k + 1, true);
      if (const long folded = log_p.array().isNaN().count(); folded > 0) {
        Eigen::Index first = 0;
        while (!std::isnan(log_p[first])) ++first;
        if ((all_folded += folded) > std::max(1L, all_pushed / 100))
          throw InversionError(k + 1, before.col(first),
                               "is not one to one: its determinant is not positive");
        keep_only([&](Eigen::Index i) { return !std::isnan(log_p[i]); }, [](std::size_t) {});
      }
      const auto& rejections = flow.stages[static_cast<std::size_t>(k)].rejections;
      const std::size_t count = k + 1 == to ? std::min(last, rejections.size()) : rejections.size();
      for (std::size_t j = 0; j < count && !active.empty(); ++j, ++place) {
        const Eigen::VectorXd log_q = flow.correction_log_density(x, k);
        const Eigen::MatrixXd u = standard_uniforms(1, x.cols(), own, rejection_stream + place);
        keep_only(
            [&](Eigen::Index i) {
              auto& pass = to_pass[static_cast<std::size_t>(i)];
              const double alpha = rejections[j].keeps(log_q[i] - log_p[i]);
              log_p[i] += rejections[j].log_factor(alpha);
              const bool passes = !pass.empty() && pass.back() == Place{k, j};
              if (passes) pass.pop_back();
              return passes || u(0, i) < alpha;
            },
            [&](std::size_t i) {
              to_pass[i].push_back({k, j});
            });
      }
      visit(k, active, x);
    }
    for (std::size_t i = 0; i < active.size(); ++i)
      result.col(active[i]) = x.col(static_cast<Eigen::Index>(i)),
      result_log[active[i]] = log_p[static_cast<Eigen::Index>(i)];
    std::sort(again.begin(), again.end());
    open = std::move(again);
  }
  return {std::move(result), std::move(result_log)};
}

/// n draws of the laws P_0, …, P_to of a corrected flow.
template <class Flow>
std::vector<Particles> corrected_path(const Flow& flow, long n, std::uint64_t seed, int to) {
  std::vector<Particles> path(static_cast<std::size_t>(to) + 1, flow.draw_initial(n, seed));
  // Where a particle is when it completes a stage for the first time: later rejections, after which
  // it starts again, do not undo that.
  std::vector<int> done(static_cast<std::size_t>(n), 0);
  draw_corrected(flow, n, seed, to, std::numeric_limits<std::size_t>::max(),
                 [&](int k, const auto& which, const Particles& x) {
                   for (std::size_t i = 0; i < which.size(); ++i)
                     if (int& stages = done[static_cast<std::size_t>(which[i])]; stages == k)
                       path[static_cast<std::size_t>(++stages)].col(which[i]) =
                           x.col(static_cast<Eigen::Index>(i));
                 });
  return path;
}

/// Particles (d × n) that represent a law, with its log-density at them.
struct Cloud {
  Particles x;
  Eigen::VectorXd log_densities;
  Eigen::VectorXd log_target{};  ///< log q at them, once rejections have evaluated it

  /// The mean of log p − log q.
  double divergence() const { return (log_densities - log_target).mean(); }
};

/// Adds a rejection to the last stage of a flow, and applies it to particles of the flow's law.
/// \param seed of the run: rejected particles are replaced by draws that are a function of it and
/// of the number of stages and rejections.
template <class Flow>
void reject(Flow& flow, Cloud& cloud, double rejected, std::uint64_t seed) {
  auto& rejections = flow.stages.back().rejections;
  const int k = flow.size() - 1;
  const std::uint64_t own = mixed_seed(mixed_seed(seed + rejection_stream) +
                                       (static_cast<std::uint64_t>(k) << 32) + rejections.size());
  if (cloud.log_target.size() == 0) cloud.log_target = flow.correction_log_density(cloud.x, k);
  const Eigen::VectorXd log_ratios = cloud.log_target - cloud.log_densities;
  const Rejection r = rejection_of(log_ratios, rejected);
  const Eigen::MatrixXd u = standard_uniforms(1, cloud.x.cols(), own);
  std::vector<Eigen::Index> replaced;
  for (Eigen::Index i = 0; i < cloud.x.cols(); ++i) {
    const double keeps = r.keeps(log_ratios[i]);
    cloud.log_densities[i] += r.log_factor(keeps);
    if (u(0, i) >= keeps) replaced.push_back(i);
  }
  if (!replaced.empty()) {
    const auto [fresh, log_p] = flow.sample_with_log_density(static_cast<long>(replaced.size()),
                                                             own + 1, k + 1, rejections.size());
    const Eigen::VectorXd log_q = flow.correction_log_density(fresh, k);
    for (std::size_t i = 0; i < replaced.size(); ++i) {
      const auto from = static_cast<Eigen::Index>(i);
      cloud.x.col(replaced[i]) = fresh.col(from);
      cloud.log_target[replaced[i]] = log_q[from];
      cloud.log_densities[replaced[i]] =
          log_p[from] + r.log_factor(r.keeps(log_q[from] - log_p[from]));
    }
  }
  rejections.push_back(r);
}

}  // namespace detail
}  // namespace wgf
