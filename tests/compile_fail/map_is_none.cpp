// SPDX-License-Identifier: BSL-1.0
// expect: wgf::JkoSolver: the map must be a specification of a network from points to points, such
// as wgf::ResidualMlp<16, 5>
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

int main() {
  wgf::JkoSolver solver{wgf::kl(wgf::Gaussian::isotropic(2, 1)), 16, wgf::Backward{},
                        wgf::EigenBackend<float>{}};
}
