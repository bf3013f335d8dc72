// SPDX-License-Identifier: BSL-1.0
// expect: wgf::JkoSolver: the scheme must have a step_size and check(), such as wgf::Backward
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

struct Scheme {};
int main() {
  wgf::JkoSolver solver{wgf::kl(wgf::Gaussian::isotropic(2, 1)), wgf::ResidualMlp<16, 5>{},
                        Scheme{}, wgf::EigenBackend<float>{}};
}
