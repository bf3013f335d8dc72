// SPDX-License-Identifier: BSL-1.0
#pragma once
// Runs and flows that the tests of errors ask for.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "refused.hpp"

namespace wgf::test {

inline const Gaussian normal = Gaussian::isotropic(2, 1);
inline constexpr EigenBackend<double> backend{.threads = 1};
/// A solver whose steps take no time worth mentioning.
template <class Map = ResidualMlp<16, 2>, class Scheme = Backward>
auto solver(Map map = {}, Scheme scheme = {}) {
  return JkoSolver{kl(normal, Quadratic{}), map, scheme, backend};
}
inline const RunOptions tiny{.steps = 1,
                             .training = {.iterations = 1, .batch = 10, .first_step = 1},
                             .population = {.size = 20}};

}  // namespace wgf::test
