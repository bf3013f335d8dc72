// SPDX-License-Identifier: BSL-1.0
// expect: wgf::JkoSolver: the backend must have a seed and start(), such as
// wgf::EigenBackend<float>
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

struct Backend {
  using Scalar = float;
  int seed;
};
int main() {
  wgf::JkoSolver solver{wgf::kl(wgf::Gaussian::isotropic(2, 1)), wgf::ResidualMlp<16, 5>{},
                        wgf::Backward{}, Backend{}};
}
