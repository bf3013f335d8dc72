// SPDX-License-Identifier: BSL-1.0
// expect: wgf::Corrected and wgf::Reweighted do not go together with terms that the scheme treats
// forward
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/scheme/corrected.hpp>
#include <wgf/scheme/forward_backward.hpp>
#include <wgf/solver/jko_solver.hpp>

int main() {
  const wgf::Gaussian normal = wgf::Gaussian::isotropic(2, 1);
  const wgf::JkoSolver solver{wgf::kl(normal, wgf::LogDeterminant{}), wgf::Affine{},
                              wgf::Corrected<wgf::Forward>{}, wgf::EigenBackend<float>{}};
  (void)solver.run(normal, {.steps = 1});
}
