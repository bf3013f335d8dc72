// SPDX-License-Identifier: BSL-1.0
// Time of one outer iteration of Algorithm 1 (J₂ = 3 dual steps and a step of the map), as such and
// over the floor that the machine's fused multiply-adds set: the time that the products of the
// networks, counted as they are written in the paper, would take at the peak measured in the same
// run.
#include <benchmark/benchmark.h>

#include <algorithm>

#include <wgf/backend/eigen/backend.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "fma_floor.hpp"

namespace {

/// Operations of an iteration: forward passes, and pullbacks to the parameters and, but for the
/// first layer, to the layers below. \param map_products,dual_products multiply-adds of one point's
/// forward pass; the …_first those of its first layer.
double operations(long batch, int dual_steps, double dim, double dual_products, double dual_first,
                  double map_products, double map_first) {
  const double dual_step =
      2 * (2 * dual_products + (dual_products - dual_first));  // under P and under the base
  const double primal = 2 * dual_products + 2 * map_products + (map_products - map_first) +
                        dim * dim;  // and the target's quadratic form
  return 2.0 * static_cast<double>(batch) * (dual_steps * dual_step + primal);
}

template <class Map, class Dual>
void run(benchmark::State& state, long batch, int iterations, double step_size) {
  const int dim = static_cast<int>(state.range(0)), threads = static_cast<int>(state.range(1));
  const auto target = wgf::OrnsteinUhlenbeck::random(dim, 1).target();
  wgf::JkoSolver solver{wgf::kl(target, Dual{}), Map{}, wgf::Backward{.step_size = step_size},
                        wgf::EigenBackend<float>{.seed = 1, .threads = threads}};
  const wgf::RunOptions options{
      .steps = 1,
      .reports = 1,
      .training = {.iterations = iterations, .batch = batch, .first_step = 1},
      .population = {.size = 10'000}};
  auto run = solver.start(wgf::Gaussian::isotropic(dim, 1.0), options);
  solver.step(run);
  double best = 1e9, peak = floor_of_machine::flops(threads);
  for (auto _ : state) {
    const double begin = floor_of_machine::now();
    solver.step(run);
    const double seconds = (floor_of_machine::now() - begin) / iterations;
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  peak = std::max(
      peak, floor_of_machine::flops(threads));  // before and after: the machine may change its mind
  constexpr double w = Dual::width, v = Map::width;
  const double d = dim, dual = d * w + (Dual::depth - 2) * w * w + w,
               map = 2 * d * v + (Map::depth - 2) * v * v;
  const double floor =
      operations(batch, options.training.dual_steps, d, dual, d * w, map, d * v) / peak;
  state.counters["us"] = 1e6 * best;
  state.counters["floor_us"] = 1e6 * floor;
  state.counters["over_floor"] = best / floor;
  state.counters["fma_gflops"] = 1e-9 * peak;
}

void ou(benchmark::State& state) {
  run<wgf::DeepLinear<64, 3>, wgf::Mlp<64, 3>>(state, 1000, 200, 0.05);
}
void small(benchmark::State& state) {
  run<wgf::ResidualMlp<16, 5>, wgf::Mlp<16, 4>>(state, 100, 2000, 0.3);
}

BENCHMARK(ou)
    ->ArgNames({"d", "threads"})
    ->ArgsProduct({{2, 8, 32}, {1, 2}})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond)
    ->Iterations(25);
BENCHMARK(small)
    ->ArgNames({"d", "threads"})
    ->ArgsProduct({{2}, {1, 2}})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond)
    ->Iterations(50);

}  // namespace

BENCHMARK_MAIN();
