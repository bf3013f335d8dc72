// SPDX-License-Identifier: BSL-1.0
// Time of E_Y ∇W(x − Y) for the Gaussian kernel of section 4.4 in two dimensions, a forward step's
// share of the work: pair by pair, on a grid, and of a cloud with itself.
#include <benchmark/benchmark.h>

#include <algorithm>

#include <wgf/backend/eigen/pair_grid.hpp>
#include <wgf/random.hpp>

#include "fma_floor.hpp"

namespace {

using wgf::eigen::Points;
using wgf::eigen::ThreadTeam;
using Kernel = wgf::GaussianKernel;

/// Uniform points of the square [−3, 3]².
Points<float> square(long n, std::uint64_t seed) {
  Points<float> x(2, n);
  x.all() = (wgf::standard_uniforms(2, n, seed).array() * 6 - 3).cast<float>();
  return x;
}
/// Best seconds of a call, and pairs a second.
template <class F>
void measure(benchmark::State& state, double pairs, F&& f) {
  double best = 1e9;
  for (auto _ : state) {
    const double begin = floor_of_machine::now();
    f();
    const double seconds = floor_of_machine::now() - begin;
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["s"] = best;
  state.counters["pairs_per_s"] = pairs / best;
}

void direct(benchmark::State& state) {
  const long n = state.range(0), m = 10'000;
  ThreadTeam team(static_cast<int>(state.range(1)), 1);
  const auto x = square(n, 1), y = square(m, 2);
  const Points<float> out(2, n);
  measure(state, static_cast<double>(n) * m,
          [&] { wgf::eigen::pair_gradients<Kernel, float>(team, {}, x, y, out); });
}
/// The tolerance is 10^−(third argument).
void grid(benchmark::State& state) {
  const long n = state.range(0), m = 10'000, checked = 10'000;
  const double tolerance = std::pow(10.0, -static_cast<double>(state.range(2)));
  ThreadTeam team(static_cast<int>(state.range(1)), 1);
  const auto x = square(n, 1), y = square(m, 2);
  const Points<float> out(2, n), exact(2, checked);
  measure(state, static_cast<double>(n) * m,
          [&] { wgf::eigen::fast_pair_gradients<Kernel, float>(team, {}, x, y, out, tolerance); });
  wgf::eigen::pair_gradients<Kernel, float>(team, {}, x.window(0, checked), y, exact);
  state.counters["error"] =
      static_cast<double>((out.window(0, checked).all() - exact.all()).abs().maxCoeff());
  state.counters["largest"] = static_cast<double>(exact.all().abs().maxCoeff());
}
/// A cloud with itself: every pair once, or (symmetric = 0) twice.
void self(benchmark::State& state) {
  const long n = state.range(0);
  ThreadTeam team(static_cast<int>(state.range(1)), 1);
  const auto x = square(n, 1);
  const Points<float> out(2, n);
  wgf::eigen::PairSum<Kernel, float> sum({}, 2, team.workers.count());
  measure(state, static_cast<double>(n) * static_cast<double>(n - 1), [&] {
    if (state.range(2)) sum.self_gradients(team, x, out);
    else sum.gradients(team, x, x, out, 0);
  });
}

BENCHMARK(direct)
    ->ArgNames({"n", "threads"})
    ->ArgsProduct({{20'000, 1'000'000}, {1, 2}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(3);
BENCHMARK(grid)
    ->ArgNames({"n", "threads", "digits"})
    ->ArgsProduct({{1'000'000}, {1, 2}, {3, 5, 6}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(5);
BENCHMARK(self)
    ->ArgNames({"n", "threads", "symmetric"})
    ->ArgsProduct({{1'000, 20'000}, {1, 2}, {0, 1}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(5);

}  // namespace

BENCHMARK_MAIN();
