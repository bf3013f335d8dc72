// SPDX-License-Identifier: BSL-1.0
// expect: wgf::LogDeterminant: this backend has no log-determinants of this map; on EigenBackend,
// ResidualMlp, DeepLinear and Affine have them
#include <wgf/wgf.hpp>

int main() {
  const wgf::Gaussian normal = wgf::Gaussian::isotropic(2, 1);
  const wgf::JkoSolver solver{wgf::kl(normal, wgf::LogDeterminant{}), wgf::IcnnGradient<16, 3>{},
                              wgf::Backward{}, wgf::EigenBackend<float>{}};
  (void)solver.run(normal, {});
}
