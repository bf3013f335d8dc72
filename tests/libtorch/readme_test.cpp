// SPDX-License-Identifier: BSL-1.0
// The program of docs/backends.md: one policy changes.
#include <wgf/backend/libtorch/backend.hpp>
#include <wgf/wgf.hpp>

#include "../catch.hpp"

TEST_CASE("one policy changes, and the flow is computed by LibTorch") {
  const auto target = wgf::GaussianMixture::isotropic(Eigen::MatrixXd{{-1, 1}, {0, 0}}, 0.5);
  const std::string device = "cpu";
  const wgf::JkoSolver solver{
      wgf::kl(target, wgf::Mlp<16, 3>{}), wgf::ResidualMlp<16, 3>{},
      wgf::Backward{.step_size = 0.3},
      wgf::LibTorchBackend<float>{
          .seed = 1, .device = device}};  // instead of wgf::EigenBackend<float>{.seed = 1}
  const auto flow =
      solver.run(wgf::Gaussian::isotropic(2, 1.5),
                 {.steps = 2, .training = {.iterations = 20}, .population = {.size = 2000}});
  CHECK(flow.sample(100).allFinite());
  wgf::save(flow, "flow.wgf");
  const auto on_cpu =
      wgf::load<wgf::Flow<wgf::ResidualMlp<16, 3>, wgf::EigenBackend<float>>>("flow.wgf");
  CHECK((on_cpu.sample(100) - flow.sample(100)).cwiseAbs().maxCoeff() < 1e-5);
}
