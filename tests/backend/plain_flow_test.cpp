// SPDX-License-Identifier: BSL-1.0
// Short runs on the plain backend are those of the Eigen backend, to rounding.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/backend/plain/backend.hpp>
#include <wgf/scheme/forward_backward.hpp>
#include <wgf/wgf.hpp>

#include <vector>

#include "../catch.hpp"

using namespace wgf;

namespace {
/// Maps and samples of both.
template <class Functional, class Map, class Scheme>
void compare(const Functional& functional, const Map& map, const Scheme& scheme,
             RunOptions options = {.steps = 2,
                                   .training = {.iterations = 4, .batch = 60},
                                   .population = {.size = 200}}) {
  const auto initial = UniformBox::cube(2, 1.0);
  const auto a =
      JkoSolver{functional, map, scheme, EigenBackend<double>{.seed = 7, .threads = 1}}.run(
          initial, options);
  const auto b =
      JkoSolver{functional, map, scheme, PlainBackend<double>{.seed = 7}}.run(initial, options);
  REQUIRE(a.size() == 2);
  REQUIRE(b.size() == 2);
  for (std::size_t k = 0; k < 2; ++k) {
    const auto &p = a.stages[k].parameters, &q = b.stages[k].parameters;
    REQUIRE(p.size() == q.size());
    for (std::size_t i = 0; i < p.size(); ++i) CHECK(q[i] == Approx(p[i]).margin(1e-8));
  }
  const Particles x = a.sample(100), y = b.sample(100);
  CHECK((x - y).cwiseAbs().maxCoeff() < 1e-8);
  CHECK((x - initial.sample(100, 1)).cwiseAbs().maxCoeff() > 1e-3);
}
const GaussianMixture mixture({0.3, 0.7}, {Gaussian::isotropic(2, 0.5),
                                           Gaussian(Eigen::Vector2d(1, -1),
                                                    Eigen::Matrix2d{{1, 0.3}, {0.3, 0.5}})});
}  // namespace

TEST_CASE("a KL divergence") {
  compare(kl(mixture, Quadratic{} + Mlp<16, 3>{.dropout = 0.1}), ResidualMlp<16, 3>{},
          Backward{.step_size = 0.2});
}
TEST_CASE("a generalized entropy") {
  compare(generalized_entropy(2, Mlp<16, 3, Softplus>{}), Affine{}, Backward{.step_size = 0.1});
}
TEST_CASE("an interaction energy, solved and moved along") {
  compare(interaction(GaussianKernel{}), ResidualMlp<16, 2, Silu>{}, Backward{.step_size = 0.5});
  compare(interaction(QuadraticKernel{}) + 0.1 * generalized_entropy(2, Mlp<16, 2, Silu>{}),
          ResidualMlp<16, 2, Silu>{}, ForwardBackward{.step_size = 0.1});
}
