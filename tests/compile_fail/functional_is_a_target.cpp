// SPDX-License-Identifier: BSL-1.0
// expect: wgf::JkoSolver: the functional must be a sum of terms such as wgf::kl(target)
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

int main() {
  wgf::JkoSolver solver{wgf::Gaussian::isotropic(2, 1), wgf::ResidualMlp<16, 5>{}, wgf::Backward{},
                        wgf::EigenBackend<float>{}};
}
