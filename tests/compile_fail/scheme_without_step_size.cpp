// SPDX-License-Identifier: BSL-1.0
// expect: wgf::JkoSolver: the scheme must have step_size, check() and solve(trainer, stage), such
// as wgf::Backward
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

struct Scheme {};
int main() {
  wgf::JkoSolver solver{wgf::kl(wgf::Gaussian::isotropic(2, 1)), wgf::ResidualMlp<16, 5>{},
                        Scheme{}, wgf::EigenBackend<float>{}};
}
