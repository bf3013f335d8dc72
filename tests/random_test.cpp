// SPDX-License-Identifier: BSL-1.0
#include <wgf/random.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "catch.hpp"
#include "common/kolmogorov.hpp"

using wgf::Particles;
using wgf::Random;
using Four = std::array<std::uint32_t, 4>;

namespace {
// Draw `index` of `stream`, points [begin, begin + n).
template <bool Normal, class Scalar = double>
Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic> filled(std::uint64_t seed,
                                                             std::uint32_t stream,
                                                             std::uint32_t index, long begin,
                                                             long n, int dim) {
  Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic> x(dim, n);
  Random{seed}.fill<Scalar, Normal>(stream, index, begin, n, dim,
                                    [&](long point, int first, const Scalar* four) {
                                      for (int j = 0; j < 4 && first + j < dim; ++j)
                                        x(first + j, point) = four[j];
                                    });
  return x;
}
double correlation(const Eigen::ArrayXd& x, const Eigen::ArrayXd& y) {
  const Eigen::ArrayXd u = x - x.mean(), v = y - y.mean();
  return (u * v).sum() / std::sqrt(u.square().sum() * v.square().sum());
}
// The same times √n.
template <class F>
double scaled_kolmogorov(const Eigen::ArrayXd& x, F&& cdf) {
  return std::sqrt(static_cast<double>(x.size())) * examples::kolmogorov(x, cdf);
}
}  // namespace

TEST_CASE("Philox 4x32-10 gives the known answers of Random123") {
  CHECK(Random::philox({0, 0, 0, 0}, {0, 0}) ==
        Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(
      Random::philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
      Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(
      Random::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
      Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  STATIC_REQUIRE(Random::philox({0, 0, 0, 0}, {0, 0})[0] == 0x6627e8d5);
}

TEST_CASE("fill gives the numbers of the scalar Philox at counter (point, block, index, stream)") {
  const std::uint64_t seed = 0x123456789abcdef0;
  const std::uint32_t stream = 7, index = 4000000000u;
  const long begin = 1000, n = 50;
  const int dim = 10;
  const Particles u = filled<false>(seed, stream, index, begin, n, dim),
                  z = filled<true>(seed, stream, index, begin, n, dim);
  for (long point = 0; point < n; ++point)
    for (int block = 0; block * 4 < dim; ++block) {
      const Four words = Random::philox({static_cast<std::uint32_t>(begin + point),
                                         static_cast<std::uint32_t>(block), index, stream},
                                        {0x9abcdef0, 0x12345678});
      double v[4];
      for (std::size_t j = 0; j < 4; ++j)
        v[j] = (words[j] / 2 + 0.5) / 2147483648;  // the upper 31 bits, centred
      for (int j = 0; j < 4 && block * 4 + j < dim; ++j) {
        CHECK(u(block * 4 + j, point) == v[j]);
        const double radius = std::sqrt(-2 * std::log(v[j / 2 * 2])),
                     angle = 2 * std::numbers::pi * v[j / 2 * 2 + 1];
        CHECK(z(block * 4 + j, point) ==
              Approx(radius * (j % 2 == 0 ? std::cos(angle) : std::sin(angle)))
                  .epsilon(1e-13)
                  .margin(1e-13));
      }
    }
}

TEMPLATE_TEST_CASE("a batch holds the same bits however it is cut", "", float, double) {
  for (const int dim : {1, 3, 4, 7, 16}) {
    const auto whole = filled<true, TestType>(5, 2, 9, 0, 301, dim);
    const auto uniform = filled<false, TestType>(5, 2, 9, 0, 301, dim);
    for (const long tile : {1L, 17L, 64L, 96L})
      for (long begin = 0; begin < 301; begin += tile) {
        const long n = std::min(tile, 301 - begin);
        CHECK(filled<true, TestType>(5, 2, 9, begin, n, dim) == whole.middleCols(begin, n));
        CHECK(filled<false, TestType>(5, 2, 9, begin, n, dim) == uniform.middleCols(begin, n));
      }
  }
}

TEST_CASE("standard normals have the moments and the distribution of N(0, 1)") {
  const long n = 200000;
  const Particles z = wgf::standard_normals(3, n, 42);
  const double unit = 1 / std::sqrt(static_cast<double>(n));
  for (int i = 0; i < 3; ++i) {
    const Eigen::ArrayXd x = z.row(i);
    // Moments 1 to 4 are 0, 1, 0, 3, and the variances of x, x², x³, x⁴ are 1, 2, 15, 96: four
    // standard errors.
    CHECK(std::abs(x.mean()) < 4 * unit);
    CHECK(std::abs(x.square().mean() - 1) < 4 * std::sqrt(2.0) * unit);
    CHECK(std::abs(x.cube().mean()) < 4 * std::sqrt(15.0) * unit);
    CHECK(std::abs(x.square().square().mean() - 3) < 4 * std::sqrt(96.0) * unit);
    CHECK(scaled_kolmogorov(x, [](double v) { return 0.5 * std::erfc(-v / std::numbers::sqrt2); }) <
          1.95);
    CHECK(std::abs(correlation(x, z.row((i + 1) % 3))) < 4 * unit);  // coordinates
    CHECK(std::abs(correlation(x.square(), z.row((i + 1) % 3).array().square())) <
          4 * unit);                                                        // and their sizes
    CHECK(std::abs(correlation(x.head(n - 1), x.tail(n - 1))) < 4 * unit);  // successive points
  }
}

TEST_CASE("standard uniforms lie in the open interval and are uniform") {
  const long n = 200000;
  const Particles u = wgf::standard_uniforms(2, n, 3);
  CHECK(u.minCoeff() > 0);
  CHECK(u.maxCoeff() < 1);
  for (int i = 0; i < 2; ++i) CHECK(scaled_kolmogorov(u.row(i), [](double v) { return v; }) < 1.95);
  CHECK(std::abs(correlation(u.row(0), u.row(1))) < 4 / std::sqrt(static_cast<double>(n)));
}

TEST_CASE("seeds, streams and draws are independent of each other") {
  const long n = 100000;
  const double bound = 4 / std::sqrt(static_cast<double>(n));
  const Particles first = filled<true>(1, 1, 1, 0, n, 1);
  CHECK(first == filled<true>(1, 1, 1, 0, n, 1));
  CHECK(std::abs(correlation(first.row(0), filled<true>(2, 1, 1, 0, n, 1).row(0))) < bound);
  CHECK(std::abs(correlation(first.row(0),
                             filled<true>(1ull + (1ull << 32), 1, 1, 0, n, 1).row(0))) < bound);
  CHECK(std::abs(correlation(first.row(0), filled<true>(1, 2, 1, 0, n, 1).row(0))) < bound);
  CHECK(std::abs(correlation(first.row(0), filled<true>(1, 1, 2, 0, n, 1).row(0))) < bound);
  CHECK(wgf::standard_normals(5, 10, 8, 3) == filled<true>(8, 3, 0, 0, 10, 5));
  CHECK(wgf::standard_uniforms(5, 10, 8, 3) == filled<false>(8, 3, 0, 0, 10, 5));
}
