// SPDX-License-Identifier: BSL-1.0
// Time of a whole JKO step (50 iterations, the pool's push included) against the number k of steps
// before it, the batch M and the dimension d.
#include <benchmark/benchmark.h>

#include <algorithm>

#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "fma_floor.hpp"

namespace {

/// Milliseconds of a step after `before` others, the best of several.
void step(benchmark::State& state, int before, long batch, int dim) {
  const auto target = wgf::Gaussian::isotropic(Eigen::VectorXd(Eigen::VectorXd::Ones(dim)), 0.5);
  const wgf::JkoSolver solver{wgf::kl(target, wgf::Mlp<64, 3>{}), wgf::ResidualMlp<64, 3>{},
                              wgf::Backward{.step_size = 0.05},
                              wgf::EigenBackend<float>{.seed = 1, .threads = 1}};
  wgf::RunOptions options{.reports = 1,
                          .training = {.iterations = 50, .batch = batch, .first_step = 1},
                          .population = {.size = 20'000}};
  auto run = solver.start(wgf::Gaussian::isotropic(dim, 1.0), options);
  for (int k = 0; k < before; ++k) solver.step(run);
  double best = 1e9;
  for (auto _ : state) {
    const double begin = floor_of_machine::now();
    solver.step(run);
    const double seconds = floor_of_machine::now() - begin;
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["ms"] = 1e3 * best;
}

void against_k(benchmark::State& state) { step(state, static_cast<int>(state.range(0)), 500, 8); }
void against_batch(benchmark::State& state) { step(state, 1, state.range(0), 8); }
void against_dimension(benchmark::State& state) {
  step(state, 1, 500, static_cast<int>(state.range(0)));
}

BENCHMARK(against_k)
    ->ArgName("k")
    ->Arg(1)
    ->Arg(10)
    ->Arg(100)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(8);
BENCHMARK(against_batch)
    ->ArgName("M")
    ->Arg(100)
    ->Arg(1000)
    ->Arg(10000)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(8);
BENCHMARK(against_dimension)
    ->ArgName("d")
    ->Arg(2)
    ->Arg(8)
    ->Arg(32)
    ->Arg(128)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(8);

}  // namespace

BENCHMARK_MAIN();
