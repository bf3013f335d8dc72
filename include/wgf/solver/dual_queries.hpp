// SPDX-License-Identifier: BSL-1.0
#pragma once
// Queries of the dual networks of the last step: the density of the law, and whether they overfit
// the population.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "../diagnostics/dual_gap.hpp"
#include "../frame.hpp"
#include "../functional/functional.hpp"
#include "../linear_algebra.hpp"
#include "../measure/gaussian.hpp"
#include "../random_streams.hpp"

namespace wgf::detail {

/// For each dual term, its value on batches of `seen`, the training particles, and on as many
/// batches of fresh samples of the flow. The terms are in the coordinates of `frame`.
template <Runtime R, class Terms, class Flow>
std::vector<DualGap> dual_gaps(const R& runtime, Terms& terms, const Flow& flow,
                               const Particles& seen, const Frame& frame, long batch, int batches,
                               std::uint64_t backend_seed, std::uint32_t draws) {
  const auto seed = [&](int use) {
    return mixed_seed(backend_seed + held_out_stream + 1000003u * static_cast<std::uint64_t>(use) +
                      draws);
  };
  const Particles fresh = flow.sample(batches * batch, seed(0));
  const auto picked = standard_uniforms(1, batches * batch, seed(1));
  auto y = runtime.points(flow.dim(), batch);
  std::vector<DualGap> values;
  each_dual<R>(terms, [&](auto& dual, double weight) {
    const auto mean = [&](const Particles& x, int b) {
      runtime.upload(frame.to_coordinates(x), y);
      auto total = runtime.sum();
      runtime.parallel(batch, [&](typename R::Slice s) {
        dual.sample_reference(runtime, s, dual.reference_batch(s),
                              draws + static_cast<std::uint32_t>(b));
        total.add(s, dual.gain(dual.network.forward(s, y(s))).sum());
        total.add(s, -dual.cost(dual.network.forward(s, dual.reference_batch(s))).sum());
      });
      return weight * total.value() / static_cast<double>(batch);
    };
    Eigen::ArrayXd on_seen(batches), held_out(batches);
    for (int b = 0; b < batches; ++b) {
      Particles some(flow.dim(), batch);
      for (long i = 0; i < batch; ++i) {
        const double at = picked(0, b * batch + i) * static_cast<double>(seen.cols());
        some.col(i) = seen.col(std::min(seen.cols() - 1, static_cast<Eigen::Index>(at)));
      }
      on_seen[b] = mean(some, b);
      held_out[b] = mean(fresh.middleCols(b * batch, batch), b);
    }
    const Eigen::ArrayXd difference = on_seen - held_out;
    const double variance = (difference - difference.mean()).square().sum() / (batches - 1);
    values.push_back({on_seen.mean(), held_out.mean(), std::sqrt(variance / batches)});
  });
  return values;
}

/// log P at the points x (d × n), from the first dual term whose reference has a density.
/// \throws std::logic_error if there is none.
template <Runtime R, class Terms>
Eigen::VectorXd dual_log_density(const R& runtime, Terms& terms, const Frame& frame,
                                 const Particles& x) {
  const long n = x.cols();
  const Particles inside = frame.to_coordinates(x);
  auto at = runtime.points(frame.dim(), n), u = runtime.points(1, n);
  runtime.upload(inside, at);
  Eigen::VectorXd log;
  each_dual<R>(terms, [&](auto& dual, double) {
    if constexpr (requires { dual.log_density(Eigen::VectorXd(), 0.0); }) {
      if (log.size() > 0) return;
      runtime.parallel(
          n, [&](typename R::Slice s) { u(s) = as_points(dual.network.forward(s, at(s))); });
      const Particles values = runtime.download(u);
      log.resize(n);
      for (long i = 0; i < n; ++i)
        log[i] = dual.log_density(Eigen::VectorXd(inside.col(i)), values(0, i));
    }
  });
  if (log.size() == 0 && n > 0)
    throw std::logic_error(
        "wgf::JkoSolver: no dual term of the functional has a reference with a density");
  return log;
}

}  // namespace wgf::detail
