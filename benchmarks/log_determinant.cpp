// SPDX-License-Identifier: BSL-1.0
// Time for one particle of log det ∇T and its gradient in the parameters, as such and over the
// floor that the machine's fused multiply-adds set: the time that the products, counted as they are
// written at the top of tangents.hpp and convex_tangents.hpp, would take at the peak measured in
// the same run. And the time of the estimate by probes, which depends on the map: it takes more
// products the more the singular values of ∇T spread.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <wgf/backend/eigen/backend.hpp>
#include <wgf/random.hpp>

#include "fma_floor.hpp"

namespace {

/// Multiply-adds of a particle. A layer has 1 + d rows, the point and its tangents; the tangents of
/// the first are its weights. The inverse of a d × d matrix takes d³, and that of a symmetric one
/// half of it.
template <class Map>
double multiply_adds(double d) {
  constexpr double w = Map::width, square = w * w;
  if constexpr (wgf::GradientMapSpecification<Map>) {
    constexpr double hidden = Map::depth - 1, units = Map::depth * w;
    const double forward = units * d + hidden * (1 + d) * square,
                 hessian = hidden * square + d * (d + 1) / 2 * units, inverse = d * d * d / 2;
    const double upstream = d * d * units + 2 * hidden * square,  // G ḣ_l; Γ_l, and dW_l of Γ_{l−1}
        backward = 2 * hidden * (1 + d) * square + units * d;  // to the layers below and dW_l
    return forward + hessian + inverse + upstream + backward;
  } else {
    constexpr double hidden = Map::depth - 2;
    const double forward = d * w + hidden * (1 + d) * square + d * d * w, inverse = d * d * d,
                 backward = 2 * d * d * w + 2 * hidden * (1 + d) * square + d * w;
    return forward + inverse + backward;
  }
}

/// \param probes 0: exact
template <class Map>
void run(benchmark::State& state, const Map& map, int probes = 0) {
  constexpr long n = 256;  // passes of milliseconds: the best of many is one without interruption
  const int dim = static_cast<int>(state.range(0));
  const auto normals = [](int rows, long cols, std::uint64_t seed) {
    return Eigen::MatrixXd(wgf::standard_normals(rows, cols, seed));
  };
  auto runtime = wgf::EigenBackend<float>{.seed = 1, .threads = 1}.start();
  auto net = runtime.network(map, dim, n, 1, wgf::Keep::batch);
  std::vector<float> parameters = net.parameters();
  const Eigen::MatrixXd noise = normals(1, static_cast<long>(parameters.size()), 2);
  for (std::size_t k = 0; k < parameters.size(); ++k)
    parameters[k] += static_cast<float>(0.02 * noise(0, static_cast<long>(k)));
  net.set_parameters(parameters);
  auto x = runtime.points(dim, n);
  runtime.upload(normals(dim, n, 3), x);

  double best = 1e9, total = 0, peak = floor_of_machine::flops(1);
  std::uint32_t draw = 0;
  for (auto _ : state) {
    const double begin = floor_of_machine::now();
    ++draw;
    runtime.parallel(n, [&](wgf::eigen::Slice s) {
      if (probes > 0)
        return net.accumulate_log_determinants(s, x(s), wgf::Probes{probes, 1e-3, 7, draw}, 1.0);
      net.accumulate_log_determinants(s, x(s), [&](int, double log_det) {
        total += log_det;
        return 1.0;
      });
    });
    const double seconds = (floor_of_machine::now() - begin) / n;
    best = std::min(best, seconds);
    state.SetIterationTime(seconds * n);
  }
  if (!std::isfinite(total)) state.SkipWithError("a map folds");
  peak = std::max(peak, floor_of_machine::flops(1));  // before and after, as in iteration.cpp
  const double floor = 2 * multiply_adds<Map>(dim) / peak;
  state.counters["us"] = 1e6 * best;
  if (probes > 0) return;
  state.counters["floor_us"] = 1e6 * floor;
  state.counters["over_floor"] = best / floor;
  state.counters["fma_gflops"] = 1e-9 * peak;
}

void residual(benchmark::State& state) { run(state, wgf::ResidualMlp<64, 4, wgf::Silu>{}); }
void residual_affine(benchmark::State& state) {
  run(state, wgf::ResidualMlp<64, 4, wgf::Silu>{.affine = true});
}
void icnn(benchmark::State& state) { run(state, wgf::IcnnGradient<64, 2>{}); }

void residual_probe(benchmark::State& state) {
  run(state, wgf::ResidualMlp<64, 4, wgf::Silu>{}, 1);
}
void icnn_probe(benchmark::State& state) { run(state, wgf::IcnnGradient<64, 2>{}, 1); }

void dimensions(benchmark::internal::Benchmark* b) {
  b->ArgName("d")->Arg(2)->Arg(8)->Arg(32)->Arg(64)->UseManualTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK(residual)->Apply(dimensions)->Iterations(200);
BENCHMARK(residual_affine)->Apply(dimensions)->Iterations(200);
BENCHMARK(icnn)->Apply(dimensions)->Iterations(200);
BENCHMARK(residual_probe)->Apply(dimensions)->Iterations(200);
BENCHMARK(icnn_probe)->Apply(dimensions)->Iterations(200);

}  // namespace

BENCHMARK_MAIN();
