// SPDX-License-Identifier: BSL-1.0
// expect: wgf::Corrected and wgf::Reweighted need a target and a density: the functional must be
// wgf::kl(target, wgf::LogDeterminant{}), or an entropy by LogDeterminant and potentials
#include <wgf/wgf.hpp>

int main() {
  const wgf::JkoSolver solver{wgf::kl(wgf::Gaussian::isotropic(2, 1)), wgf::ResidualMlp<16, 5>{},
                              wgf::Corrected<>{}, wgf::EigenBackend<float>{}};
}
