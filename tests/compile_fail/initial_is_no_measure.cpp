// SPDX-License-Identifier: BSL-1.0
// expect: wgf::JkoSolver: P_0 must be a measure with dim() and sample(n, seed), such as
// wgf::Gaussian, or a flow of this solver's type
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

int main() {
  wgf::JkoSolver solver{wgf::kl(wgf::Gaussian::isotropic(2, 1)), wgf::ResidualMlp<16, 5>{},
                        wgf::Backward{}, wgf::EigenBackend<float>{}};
  solver.run(Eigen::MatrixXd(2, 100));
}
