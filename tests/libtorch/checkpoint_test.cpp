// SPDX-License-Identifier: BSL-1.0
// Runs on LibTorch that are saved and taken up again, on the CPU.
#include <wgf/scheme/forward_backward.hpp>

#include "../pieces.hpp"
#include "both.hpp"

using namespace wgf;
using namespace wgf::test;

namespace {
const RunOptions small{.steps = 3,
                       .reports = 3,
                       .training = {.iterations = 12, .batch = 64, .first_step = 1.5},
                       .population = {.size = 200}};
const Gaussian start = Gaussian::isotropic(2, 1.2);
}  // namespace

TEST_CASE("a run in pieces is the run, on LibTorch") {
  const auto make = [](int) {
    const GaussianMixture target({0.4, 0.6},
                                 {Gaussian::isotropic(2, 1), Gaussian::isotropic(2, 0.5)});
    return JkoSolver{kl(target, Quadratic{} + Mlp<16, 3>{.dropout = 0.2}), ResidualMlp<16, 3>{},
                     Backward{0.2}, on_torch<float>()};
  };
  check_pieces(make, start, small, 1);
}

TEST_CASE("a run in pieces is the run, on LibTorch: gradients of convex networks, forward halves") {
  const auto make = [](int) {
    return JkoSolver{entropy(Quadratic{}) + 0.5 * interaction(QuadraticKernel{}),
                     IcnnGradient<16, 2>{}, ForwardBackward{0.1}, on_torch<double>()};
  };
  check_pieces(make, start, small, 2);
}
