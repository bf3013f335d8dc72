// SPDX-License-Identifier: BSL-1.0
// Sums over pairs by interpolation on a grid: the error is below what was asked for.
#include <wgf/backend/eigen/pair_grid.hpp>

#include "../catch.hpp"
#include "../support.hpp"

using namespace wgf;
using namespace wgf::test;
using namespace wgf::eigen;

namespace {
template <class Scalar>
Points<Scalar> cloud(int dim, long n, std::uint64_t seed) {
  Points<Scalar> x(dim, n);
  x.all() = (standard_uniforms(dim, n, seed).array() * 2).template cast<Scalar>();
  return x;
}
template <class Scalar>
double difference(const PointsView<Scalar>& a, const PointsView<Scalar>& b) {
  return static_cast<double>((a.all() - b.all()).abs().maxCoeff());
}
}  // namespace

TEMPLATE_TEST_CASE("the grid's error is below the tolerance, and the direct sum is exact", "",
                   float, double) {
  const GaussianKernel kernel{.amplitude = -1, .width = 1};
  ThreadTeam team(2, 1), single(1, 1);
  for (const int dim : {1, 2, 3}) {
    const long n = 40'000, m = 3000;
    const auto x = cloud<TestType>(dim, n, 1), y = cloud<TestType>(dim, m, 2);
    const Points<TestType> exact(dim, n), fast(dim, n), same(dim, n);
    pair_gradients<GaussianKernel, TestType>(team, kernel, x, y, exact);
    for (const double tolerance : {1e-1, 1e-2, 1e-3, 1e-5}) {
      if (dim == 3 && tolerance < 1e-2) continue;  // more nodes than the points are worth
      INFO("dimension " << dim << ", tolerance " << tolerance);
      CHECK(fast_pair_gradients<GaussianKernel, TestType>(team, kernel, x, y, fast, tolerance) ==
            PairPath::grid);
      const double error = difference<TestType>(fast, exact);
      CHECK(error < tolerance);
      CHECK(error > 1e-4 * tolerance);  // a bound that is worth something
      fast_pair_gradients<GaussianKernel, TestType>(single, kernel, x, y, same, tolerance);
      CHECK(difference<TestType>(fast, same) == 0);
    }
  }
}

TEST_CASE("points at the grid's ends and all in one place") {
  const GaussianKernel kernel{};
  ThreadTeam team(1, 1);
  const auto y = cloud<double>(2, 1000, 2);
  const Points<double> x(2, 2000), exact(2, 2000), fast(2, 2000);
  for (const double size : {0.0, 1e-9, 3.0}) {
    for (long i = 0; i < x.count(); ++i)
      x.row(i)[0] = 5 + size * static_cast<double>(i % 2),
      x.row(i)[1] = size * static_cast<double>(i / 2 % 2);
    pair_gradients<GaussianKernel, double>(team, kernel, x, y, exact);
    CHECK(fast_pair_gradients<GaussianKernel, double>(team, kernel, x, y, fast, 1e-2) ==
          PairPath::grid);
    CHECK(difference<double>(fast, exact) < 1e-2);
  }
}

TEST_CASE("where a grid does not pay or cannot be, the sum is direct") {
  ThreadTeam team(1, 1);
  const auto direct = [&](const auto& kernel, int dim, long n, double tolerance,
                          bool finite = true) {
    const auto x = cloud<float>(dim, n, 1), y = cloud<float>(dim, 1000, 2);
    if (!finite) x.row(3)[0] = std::numeric_limits<float>::infinity();
    const Points<float> exact(dim, n), fast(dim, n);
    using K = std::decay_t<decltype(kernel)>;
    pair_gradients<K, float>(team, kernel, x, y, exact);
    const PairPath path = fast_pair_gradients<K, float>(team, kernel, x, y, fast, tolerance);
    return path == PairPath::direct && (!finite || difference<float>(exact, fast) == 0);
  };
  CHECK(direct(GaussianKernel{}, 2, 50, 1e-3));           // few points
  CHECK(direct(GaussianKernel{}, 4, 2000, 1e-1));         // four dimensions
  CHECK(direct(GaussianKernel{}, 2, 2000, 1e-30));        // a grid of more nodes than points
  CHECK(direct(RingKernel{}, 2, 2000, 1e-1));             // no bound
  CHECK(direct(GaussianKernel{}, 2, 5000, 1e-2, false));  // no box around the points
  CHECK_FALSE(direct(GaussianKernel{}, 2, 5000, 1e-2));
  const auto x = cloud<float>(2, 10, 1);
  const Points<float> out(2, 10);
  CHECK(message_of<std::invalid_argument>([&] {
          fast_pair_gradients<GaussianKernel, float>(team, {}, x, x, out, 0);
        }) == "wgf::fast_pair_gradients: tolerance must be positive, got 0.000000");
}
