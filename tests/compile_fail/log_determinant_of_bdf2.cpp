// SPDX-License-Identifier: BSL-1.0
// expect: wgf::JkoSolver: LogDeterminant needs the density of P_k, which is not available in a
// scheme that uses the last step's displacement (Bdf2)
#include <wgf/wgf.hpp>

int main() {
  const wgf::Gaussian normal = wgf::Gaussian::isotropic(2, 1);
  const wgf::JkoSolver solver{wgf::kl(normal, wgf::LogDeterminant{}), wgf::ResidualMlp<16, 5>{},
                              wgf::Bdf2{}, wgf::EigenBackend<float>{}};
  (void)solver.run(normal, {});
}
