// SPDX-License-Identifier: BSL-1.0
// expect: wgf::Corrected: rejections need a target: the functional must be wgf::kl(target,
// wgf::LogDeterminant{}), or an entropy by LogDeterminant and potentials
#include <wgf/wgf.hpp>

int main() {
  const wgf::JkoSolver solver{wgf::kl(wgf::Gaussian::isotropic(2, 1)), wgf::ResidualMlp<16, 5>{},
                              wgf::Corrected<>{}, wgf::EigenBackend<float>{}};
}
