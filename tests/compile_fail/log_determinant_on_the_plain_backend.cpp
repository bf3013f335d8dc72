// SPDX-License-Identifier: BSL-1.0
// expect: wgf::LogDeterminant: this backend has no log-determinants of this map; on EigenBackend
// and LibTorchBackend, ResidualMlp, IcnnGradient, DeepLinear and Affine have them
#include <wgf/backend/plain/backend.hpp>
#include <wgf/wgf.hpp>

int main() {
  const wgf::Gaussian normal = wgf::Gaussian::isotropic(2, 1);
  const wgf::JkoSolver solver{wgf::kl(normal, wgf::LogDeterminant{}),
                              wgf::ResidualMlp<16, 3, wgf::Silu>{}, wgf::Backward{},
                              wgf::PlainBackend<double>{}};
  (void)solver.run(normal, {});
}
