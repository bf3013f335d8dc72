// SPDX-License-Identifier: BSL-1.0
// A run with checkpoints: interrupted part-way through a step, resumed, and diagnosed.
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <wgf/diagnostics/diagnose.hpp>
#include <wgf/wgf.hpp>

int main() {
  const auto target =
      wgf::GaussianMixture::isotropic((Eigen::MatrixXd(2, 2) << -1.2, 1.2, 0, 0).finished(), 0.7);
  const wgf::JkoSolver solver{wgf::kl(target, wgf::Dual<wgf::Mlp<32, 4, wgf::Silu>>{}),
                              wgf::IcnnGradient<32, 2>{}, wgf::Backward{.step_size = 0.3},
                              wgf::EigenBackend<float>{.seed = 1}};
  const auto start = wgf::Gaussian::isotropic(2, 1.5);
  const wgf::RunOptions options{
      .steps = 20,
      .training = {.iterations = 300, .batch = 500, .map_rate = 2e-3, .dual_rate = 4e-3},
      .safeguards = {.retries = 2}};
  const auto file = std::filesystem::temp_directory_path() / "wgf_long_run.ckpt";

  wgf::Recorder recorder;
  const wgf::InterruptGuard guard;   // first Ctrl-C: end the run; second: end the program
  wgf::Checkpoint checkpoint{file};  // every 30 seconds, on Ctrl-C and at the end
  const auto press_ctrl_c = [](const wgf::Progress& p) {
    if (p.step == 4 && p.iteration == 150) std::raise(SIGINT);
  };
  wgf::Observers observers{std::ref(recorder), std::ref(checkpoint), press_ctrl_c};
  const auto part = solver.run(start, options, observers);
  std::printf("interrupted after %d steps\n", part.size());

  // Any program with the same solver can resume. The flow is bit for bit that of an uninterrupted
  // run.
  const auto flow = solver.resume(file, start, options, std::ref(recorder));
  const auto diagnosis =
      wgf::diagnose(flow, target, {.samples = 5000, .seed = 1, .history = recorder.history});
  std::printf("%d steps\n%s", flow.size(), diagnosis.text().c_str());
  std::filesystem::remove(file);
  std::filesystem::remove(file.string() + ".previous");
}
