// SPDX-License-Identifier: BSL-1.0
// A loop of single steps with a custom stopping rule; the flow is saved, loaded and continued.
#include <cstdio>
#include <filesystem>
#include <wgf/wgf.hpp>

int main() {
  const auto target =
      wgf::GaussianMixture::isotropic((Eigen::MatrixXd(2, 2) << -1.5, 1.5, 0, 0).finished(), 0.5);
  const wgf::JkoSolver solver{wgf::kl(target, wgf::Dual<wgf::Mlp<32, 4, wgf::Silu>>{}),
                              wgf::ResidualMlp<32, 4, wgf::Silu>{}, wgf::Backward{.step_size = 0.3},
                              wgf::EigenBackend<float>{.seed = 1}};
  using Flow = decltype(solver)::Flow;
  wgf::RunOptions options{.steps = 20,
                          .training = {.iterations = 200, .batch = 500, .dual_rate = 4e-3}};

  wgf::Recorder recorder;  // keeps every Progress
  auto run = solver.start(wgf::Gaussian::isotropic(2, 1.5), options);
  while (run.flow().size() < options.steps) {
    solver.step(run, recorder);
    const auto& now = recorder.history.back();
    std::printf("step %2d: transport %.4f\n", now.step, now.transport);
    if (now.transport < 2e-3) break;  // the particles hardly move any more
  }

  const auto file = std::filesystem::temp_directory_path() / "wgf_drive_the_loop.wgf";
  wgf::save(run.flow(), file);
  const auto loaded = wgf::load<Flow>(file);
  std::filesystem::remove(file);
  options.steps = 2;
  const auto flow = solver.run(loaded, options);  // two more steps

  const auto samples = flow.sample(10'000);
  const auto masses = wgf::mode_masses(samples, target);
  std::printf("%d steps; masses of the two modes %.3f %.3f; energy distance to the target %.4f\n",
              flow.size(), masses[0], masses[1],
              wgf::energy_distance(samples, target.sample(10'000, 7)));
}
