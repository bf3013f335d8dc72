// SPDX-License-Identifier: BSL-1.0
// Ornstein–Uhlenbeck, a = 0.05, t = 0.9: the distance of the flow to the exact JKO iterate, both in
// closed form, so that neither sampling nor the scheme's own error is in it. Mean over five random
// targets.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/metric/sym_kl.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "catch.hpp"

namespace {

double mean_error(int dim, int iterations, bool coupled) {
  constexpr int targets = 5, steps = 18;
  constexpr double step_size = 0.05;
  double total = 0;
  for (int i = 1; i <= targets; ++i) {
    const auto process = wgf::OrnsteinUhlenbeck::random(dim, static_cast<std::uint64_t>(i));
    const wgf::JkoSolver solver{
        wgf::kl(process.target(), wgf::Quadratic{}), wgf::Affine{},
        wgf::Backward{.step_size = step_size},
        wgf::EigenBackend<float>{.seed = static_cast<std::uint64_t>(i), .threads = 1}};
    const auto flow = solver.run(wgf::Gaussian::isotropic(dim, 1.0),
                                 {.steps = steps,
                                  .training = {.iterations = iterations,
                                               .batch = 1000,
                                               .map_rate = 2e-3,
                                               .dual_rate = 2e-3,
                                               .first_step = 4,
                                               .common_random_numbers = coupled}});
    total += wgf::sym_kl(flow.gaussian(), process.jko(steps, step_size));
  }
  return total / targets;
}

}  // namespace

TEST_CASE("OU in 2 dimensions with the coupled base is within 1e-7 of the exact JKO iterate") {
  CHECK(mean_error(2, 200, true) <= 1e-7);
}
TEST_CASE("OU in 8 dimensions with the coupled base is within 5e-6 of the exact JKO iterate") {
  CHECK(mean_error(8, 200, true) <= 5e-6);
}
TEST_CASE("OU in 32 dimensions with the coupled base is within 3e-5 of the exact JKO iterate") {
  CHECK(mean_error(32, 500, true) <= 3e-5);
}
TEST_CASE("OU in 2 dimensions with independent bases is within 5e-6 of the exact JKO iterate") {
  CHECK(mean_error(2, 500, false) <= 5e-6);
}
TEST_CASE("OU in 8 dimensions with independent bases is within 1e-4 of the exact JKO iterate") {
  CHECK(mean_error(8, 500, false) <= 1e-4);
}
TEST_CASE("OU in 32 dimensions with independent bases is within 1e-3 of the exact JKO iterate") {
  CHECK(mean_error(32, 500, false) <= 1e-3);
}
