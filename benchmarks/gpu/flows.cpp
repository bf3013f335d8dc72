// SPDX-License-Identifier: BSL-1.0
// The LibTorch backend on a GPU against the CPU backend of the same machine, as JSON on standard
// output: time of an outer iteration of the Ornstein–Uhlenbeck flow in the paper's configuration
// (appendix D.2) and of the two moons, with iterations recorded as a CUDA graph and without, time
// of a JKO step, and how far from the answer the flows end; the forward step's sum over 1e6 × 1e4
// pairs. Exits with 77 where there is no GPU. tools/gpu_check.sh builds and runs it.
#include <cuda_runtime_api.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>

#include <wgf/backend/libtorch/backend.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/metric/energy_distance.hpp>
#include <wgf/metric/sym_kl.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "common/mixtures.hpp"

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool first = true;
void put(const std::string& key, double value) {
  std::printf("%s  \"%s\": ", first ? "{\n" : ",\n", key.c_str());
  std::printf(std::isfinite(value) ? "%.6g" : "null",
              value);  // JSON has no other word for what is not a number
  std::fflush(stdout);
  first = false;
}

/// Trains `steps` steps and writes the time of the last one: the first is longer, and finds nothing
/// warm.
template <class Solver, class Initial>
auto timed_flow(const std::string& name, const Solver& solver, const Initial& initial,
                wgf::RunOptions options, int steps) {
  options.reports = 1;  // figures, for which the host waits, at a step's end only
  auto state = solver.start(initial, options);
  double seconds = 0;
  for (int k = 0; k < steps; ++k) {
    const double start = now();
    solver.step(state);
    seconds = now() - start;
  }
  put(name + "_step_s", seconds);
  put(name + "_iteration_ms", 1e3 * seconds / options.training.iterations);
  return state.flow();
}

template <class Backend>
void ornstein_uhlenbeck(const std::string& who, int dim, const Backend& backend, int steps) {
  const auto reference = wgf::OrnsteinUhlenbeck::random(dim, 1);
  const wgf::RunOptions options{
      .training = {.iterations = 500, .dual_steps = 3, .batch = 1000, .first_step = 1}};
  const wgf::JkoSolver solver{wgf::kl(reference.target(), wgf::Mlp<64, 3>{}),
                              wgf::DeepLinear<64, 3>{}, wgf::Backward{.step_size = 0.05}, backend};
  const std::string name = who + "_ou_d" + std::to_string(dim);
  const auto flow = timed_flow(name, solver, wgf::Gaussian::isotropic(dim, 1.0), options, steps);
  put(name + "_sym_kl", wgf::sym_kl(flow.gaussian(), reference.jko(steps, 0.05)));
}

template <class Backend>
void two_moons(const std::string& who, const Backend& backend, int steps) {
  const auto target = examples::two_moons();
  const wgf::RunOptions options{.training = {.iterations = 200,
                                             .batch = 1024,
                                             .map_rate = 1e-3,
                                             .dual_rate = 4e-3,
                                             .first_step = 4,
                                             .whiten = false}};
  const wgf::JkoSolver solver{wgf::kl(target, wgf::Mlp<64, 4>{.input_scale = 3}),
                              wgf::ResidualMlp<64, 4, wgf::Silu>{.input_scale = 3},
                              wgf::Backward{.step_size = 0.3}, backend};
  const double start = now();
  const auto flow =
      timed_flow(who + "_moons", solver, wgf::Gaussian::isotropic(2, 1.5), options, steps);
  put(who + "_moons_" + std::to_string(steps) + "_steps_s", now() - start);
  put(who + "_moons_energy_distance",
      wgf::energy_distance(flow.sample(4000), target.sample(4000, 5)));
}

template <class Backend>
void forward_step(const std::string& who, const Backend& backend) {
  constexpr long n = 1'000'000, m = 10'000;
  const auto runtime = backend.start();
  const auto x = runtime.points(2, n), y = runtime.points(2, m), out = runtime.points(2, n);
  const wgf::UniformBox square = wgf::UniformBox::cube(2, 3.0);
  const wgf::Particles at = square.sample(n, 1), samples = square.sample(m, 2);
  runtime.upload(at, x), runtime.upload(samples, y);
  double best = 1e9;
  for (int k = 0; k < 5; ++k) {
    const double start = now();
    runtime.pair_gradients(wgf::GaussianKernel{}, x, y, out);
    (void)runtime.download(out.window(0, 1));  // waits
    best = std::min(best, now() - start);
  }
  put(who + "_forward_step_1e6_1e4_s", best);
  const wgf::Particles found = runtime.download(out.window(0, 200));
  double worst = 0, size = 0;
  for (long i = 0; i < 200; ++i) {
    Eigen::Vector2d sum = Eigen::Vector2d::Zero();
    for (long j = 0; j < m; ++j)
      sum +=
          wgf::kernel_gradient(wgf::GaussianKernel{}, Eigen::VectorXd(at.col(i) - samples.col(j)));
    worst = std::max(worst, (found.col(i) - sum / m).norm()), size = std::max(size, sum.norm() / m);
  }
  put(who + "_forward_step_error", worst / size);
}

}  // namespace

int main() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::fprintf(stderr, "flows: there is no GPU\n");
    return 77;
  }
  const wgf::LibTorchBackend<float> graph{.seed = 1, .device = "cuda"},
      eager{.seed = 1, .device = "cuda", .record = false};
  const wgf::EigenBackend<float> cpu{.seed = 1};
  bool all = true;
  const auto measure = [&](auto&& figures) {  // what fails leaves the other figures standing
    try {
      figures();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "flows: %s\n", error.what());
      all = false;
    }
  };
  for (const int dim : {2, 8, 32}) {
    measure([&] { ornstein_uhlenbeck("graph", dim, graph, 10); });
    measure([&] { ornstein_uhlenbeck("eager", dim, eager, 2); });
    measure([&] { ornstein_uhlenbeck("cpu", dim, cpu, 10); });
  }
  measure([&] { two_moons("graph", graph, 10); });
  measure([&] { two_moons("eager", eager, 2); });
  measure([&] { two_moons("cpu", cpu, 10); });
  measure([&] { forward_step("gpu", graph); });
  measure([&] { forward_step("cpu", cpu); });
  std::size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  put("gpu_memory_held_mib", static_cast<double>(total - free) /
                                 (1 << 20));  // LibTorch's pool gives nothing back: the peak
  cudaDeviceProp device{};
  cudaGetDeviceProperties(&device, 0);
  std::printf(",\n  \"device\": \"%s\"\n}\n", device.name);
  return all ? 0 : 1;
}
