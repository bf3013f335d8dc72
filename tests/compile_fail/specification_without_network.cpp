// SPDX-License-Identifier: BSL-1.0
// expect: wgf: EigenBackend has no network of this specification: see docs/backends.md to write one
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

struct Shear {
  static constexpr wgf::Output output = wgf::Output::point;
  static std::string name() { return "Shear"; }
  static constexpr auto fields() { return boost::hana::make_tuple(); }
};
int main() {
  const wgf::JkoSolver solver{wgf::kl(wgf::Gaussian::isotropic(2, 1)), Shear{}, wgf::Backward{},
                              wgf::EigenBackend<float>{}};
  (void)solver.run(wgf::Gaussian::isotropic(2, 1), {});
}
