// SPDX-License-Identifier: BSL-1.0
// The CPU team: how batches are cut, workers, random numbers, transfers, vocabulary.
#include <wgf/backend/eigen/backend.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <numbers>
#include <set>

#include "../catch.hpp"

using namespace wgf;
using eigen::Slice;

TEST_CASE("parallel covers every point once, whatever the batch and the threads") {
  for (const int threads : {1, 2, 3, 5}) {
    const auto runtime = EigenBackend<float>{.threads = threads}.start();
    REQUIRE(runtime.threads() == threads);
    std::vector<int> batches;
    for (int n = 1; n < 300; n += 7) batches.push_back(n);
    for (const int n : {120, 126, 127, 239, 240, 241, 251, 252, 253, 359, 360, 700, 1000, 3780,
                        3839, 3840, 3841, 4999, 5000})
      batches.push_back(n);
    for (int n = 300; n < 5000; n += 97) batches.push_back(n);
    for (const int n : batches) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
      std::mutex mutex;
      std::map<int, std::set<int>> workers_of_strand;
      bool sane = true;
      runtime.parallel(n, [&](Slice s) {
        const std::lock_guard lock(mutex);
        sane = sane && s.size >= 1 && s.size <= 126 && s.begin >= 0 && s.begin + s.size <= n &&
               s.worker >= 0 && s.worker < threads && s.chunk >= 0 &&
               s.chunk < eigen::ThreadTeam::chunks_of(n);
        workers_of_strand[s.chunk].insert(s.worker);
        if (sane)
          for (int i = 0; i < s.size; ++i) ++seen[static_cast<std::size_t>(s.begin + i)];
      });
      INFO(n << " points, " << threads << " threads");
      CHECK(sane);
      CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& count) { return count == 1; }));
      CHECK(std::all_of(workers_of_strand.begin(), workers_of_strand.end(),
                        [](const auto& w) { return w.second.size() == 1; }));
    }
  }
}

TEST_CASE("the cut into slices does not depend on the threads") {
  using Cut = std::vector<std::array<long, 3>>;
  const auto cut = [](int threads, long n) {
    Cut slices;
    std::mutex mutex;
    EigenBackend<float>{.threads = threads}.start().parallel(n, [&](Slice s) {
      const std::lock_guard lock(mutex);
      slices.push_back({s.begin, s.size, s.chunk});
    });
    std::sort(slices.begin(), slices.end());
    return slices;
  };
  for (const long n : {1L, 100L, 240L, 1000L, 5000L, 100000L}) {
    CHECK(cut(2, n) == cut(1, n));
    CHECK(cut(5, n) == cut(1, n));
  }
}

TEST_CASE("what a worker throws is thrown again, and the workers go on") {
  for (const int threads : {1, 2, 3}) {
    const auto runtime = EigenBackend<float>{.threads = threads}.start();
    for (int round = 0; round < 20; ++round)
      for (const long culprit : {0L, 700L, 1999L}) {
        CHECK_THROWS_WITH(runtime.parallel(2000,
                                           [&](Slice s) {
                                             if (s.begin <= culprit && culprit < s.begin + s.size)
                                               throw std::runtime_error("no such point");
                                           }),
                          "no such point");
        std::atomic<long> points = 0;
        runtime.parallel(2000, [&](Slice s) { points += s.size; });
        CHECK(points == 2000);
      }
    // All of them at once: one is thrown.
    CHECK_THROWS_AS(runtime.parallel(2000, [](Slice) { throw std::runtime_error("all"); }),
                    std::runtime_error);
  }
}

TEST_CASE("the batch's sum has the same bits on any number of threads") {
  const Particles numbers = standard_normals(1, 3000, 4);
  const auto total = [&](int threads) {
    const auto runtime = EigenBackend<float>{.threads = threads}.start();
    auto sum = runtime.sum();
    runtime.parallel(3000,
                     [&](Slice s) { sum.add(s, numbers.row(0).segment(s.begin, s.size).sum()); });
    return sum.value();
  };
  CHECK(total(1) == Approx(numbers.sum()).epsilon(1e-12));
  CHECK(total(2) == total(1));
  CHECK(total(5) == total(1));
}

TEST_CASE("EigenBackend refuses a negative number of threads") {
  CHECK_THROWS_WITH((EigenBackend<float>{.threads = -1}.start()),
                    "wgf::EigenBackend: threads must be positive, or 0 for all cores, got -1");
  CHECK(EigenBackend<float>{}.start().threads() >= 1);
}

TEMPLATE_TEST_CASE("uniforms are the numbers of Random, normals are made of them", "", float,
                   double) {
  constexpr bool single = std::is_same_v<TestType, float>;
  const std::uint64_t seed = 77;
  for (const int threads : {1, 3}) {
    const auto runtime = EigenBackend<TestType>{.seed = seed, .threads = threads}.start();
    for (const int dim : {1, 2, 4, 7, 17})
      for (const long n : {1L, 100L, 1000L}) {
        const int whole = (dim + 3) / 4 * 4;  // numbers come in fours
        auto z = runtime.points(dim, n), u = runtime.points(whole, n);
        runtime.parallel(n, [&](Slice s) {
          runtime.normals(s, z(s), 9, 0);
          runtime.uniforms(s, u(s), 9, 0);
        });
        const Particles uniforms = runtime.download(u), normals = runtime.download(z);
        // In float the same numbers with fewer digits.
        CHECK((uniforms - standard_uniforms(whole, n, seed, 9)).cwiseAbs().maxCoeff() <=
              (single ? 0x1p-23 : 0));
        if (!single)
          CHECK((normals - standard_normals(dim, n, seed, 9)).cwiseAbs().maxCoeff() < 1e-14);
        double worst = 0;
        for (long i = 0; i < n; ++i)
          for (int j = 0; j < dim; ++j) {  // Box-Muller
            const double radius = std::sqrt(-2 * std::log(uniforms(j / 2 * 2, i))),
                         angle = 2 * std::numbers::pi * uniforms(j / 2 * 2 + 1, i);
            worst = std::max(worst, std::abs(normals(j, i) -
                                             radius * (j % 2 ? std::sin(angle) : std::cos(angle))));
          }
        CHECK(worst < (single ? 5e-6 : 1e-13));
        // Another draw has other numbers; what pads a point stays zero.
        runtime.parallel(n, [&](Slice s) { runtime.normals(s, z(s), 9, 1); });
        CHECK(runtime.download(z) != normals);
        bool clean = true;
        for (long i = 0; i < n; ++i)
          for (int j = dim; j < z.padded(); ++j) clean = clean && z.row(i)[j] == 0;
        CHECK(clean);
      }
  }
}

TEMPLATE_TEST_CASE("points go to the backend and come back", "", float, double) {
  const auto runtime = EigenBackend<TestType>{.threads = 2}.start();
  for (const int dim : {1, 3, 16, 17})
    for (const long n : {1L, 50L, 1001L}) {
      const Particles x = standard_normals(dim, n, 1).cast<TestType>().template cast<double>();
      auto points = runtime.points(dim, n);
      CHECK(runtime.download(points).isZero(0));
      runtime.upload(x, points);
      CHECK(runtime.download(points) == x);
      if (n > 20) CHECK(runtime.download(points.window(7, 10)) == x.middleCols(7, 10));
    }
}

TEST_CASE("moments are mean and covariance with 1/n") {
  const auto runtime = EigenBackend<double>{.threads = 2}.start();
  const Particles x = (standard_normals(3, 1000, 1).array() + 5).matrix();
  auto points = runtime.points(3, 1000);
  runtime.upload(x, points);
  const auto [mean, covariance] = runtime.moments(points);
  for (int i = 0; i < 3; ++i) {
    CHECK(mean[i] == Approx(x.row(i).sum() / 1000).epsilon(1e-13));
    for (int j = 0; j < 3; ++j)
      CHECK(
          covariance(i, j) ==
          Approx((x.row(i).array() - mean[i]).matrix().dot((x.row(j).array() - mean[j]).matrix()) /
                 1000)
              .epsilon(1e-12));
  }
}

TEMPLATE_TEST_CASE("set_affine and add_affine are A y + b", "", float, double) {
  const double tolerance = std::is_same_v<TestType, float> ? 1e-5 : 1e-13;
  const auto runtime = EigenBackend<TestType>{.threads = 2}.start();
  for (const int dim : {1, 3, 17})
    for (const long n : {1L, 7L, 500L}) {
      const Eigen::MatrixXd a = standard_normals(dim, dim, 1);
      const Eigen::VectorXd b = standard_normals(dim, 1, 2);
      const Particles x = standard_normals(dim, n, 3), start = standard_normals(dim, n, 4);
      auto y = runtime.points(dim, n), z = runtime.points(dim, n);
      runtime.upload(x, y), runtime.upload(start, z);
      const auto matrix = runtime.constant(a), offset = runtime.constant(b);
      runtime.parallel(n, [&](Slice s) { add_affine(matrix, offset, y(s), z(s)); });
      CHECK((runtime.download(z) - (start + ((a * x).colwise() + b))).cwiseAbs().maxCoeff() <
            tolerance * dim);
      runtime.parallel(n, [&](Slice s) { set_affine(matrix, offset, y(s), z(s)); });
      CHECK((runtime.download(z) - ((a * x).colwise() + b)).cwiseAbs().maxCoeff() <
            tolerance * dim);
      bool clean = true;
      for (long i = 0; i < n; ++i)
        for (int j = dim; j < z.padded(); ++j) clean = clean && z.row(i)[j] == 0;
      CHECK(clean);
    }
}

TEST_CASE("add_pointwise and sum_pointwise call a function of one point") {
  const auto runtime = EigenBackend<float>{.threads = 2}.start();
  const Particles x = standard_normals(2, 500, 3).cast<float>().cast<double>();
  auto y = runtime.points(2, 500), z = runtime.points(2, 500);
  runtime.upload(x, y), runtime.upload(Particles::Ones(2, 500), z);
  auto total = runtime.sum();
  runtime.parallel(500, [&](Slice s) {
    add_pointwise(s, y(s), z(s), -2.0,
                  [](const Eigen::VectorXd& at) { return Eigen::VectorXd(at.reverse()); });
    total.add(s, sum_pointwise(s, y(s), [](const Eigen::VectorXd& at) { return at[0] * at[1]; }));
  });
  CHECK((runtime.download(z) - (1 - 2 * x.colwise().reverse().array()).matrix())
            .cwiseAbs()
            .maxCoeff() < 1e-6);
  CHECK(total.value() == Approx(x.row(0).dot(x.row(1))).epsilon(1e-12));
}

namespace {
GaussianMixture mixture(int dim, bool isotropic) {
  std::vector<Gaussian> parts;
  for (std::uint64_t k = 0; k < 4; ++k) {
    const Eigen::VectorXd mean = 3 * standard_normals(dim, 1, k, 1);
    const Eigen::MatrixXd a = standard_normals(dim, dim, k, 2);
    const Eigen::MatrixXd full =
        0.3 * Eigen::MatrixXd::Identity(dim, dim) + a * a.transpose() / dim;
    parts.push_back(isotropic || k == 1
                        ? Gaussian::isotropic(mean, 0.4 + 0.1 * static_cast<double>(k))
                        : Gaussian(mean, full));
  }
  return {{1, 2, 0.5, 1}, parts};
}
}  // namespace

TEMPLATE_TEST_CASE("a mixture's gradients, a tile at a time, are its gradients", "", float,
                   double) {
  constexpr bool single = std::is_same_v<TestType, float>;
  for (const bool isotropic : {true, false})
    for (const int dim : {1, 2, 5}) {
      const GaussianMixture target = mixture(dim, isotropic);
      const auto runtime = EigenBackend<TestType>{.threads = 2}.start();
      auto kernel = runtime.mixture(target);
      // Among the modes; far from all of them, where every density underflows, there is one
      // responsibility that is 1 and the rest 0.
      for (const double size : {3.0, 1000.0}) {
        const Particles x =
            (size * standard_normals(dim, 300, 8)).cast<TestType>().template cast<double>();
        auto y = runtime.points(dim, 300), g = runtime.points(dim, 300);
        runtime.upload(x, y), runtime.upload(Particles::Ones(dim, 300), g);
        runtime.parallel(300, [&](Slice s) { kernel.add_gradient(s, y(s), g(s), TestType(-0.5)); });
        const Particles got = runtime.download(g);
        REQUIRE(got.allFinite());
        int checked = 0;
        for (long i = 0; i < 300; ++i) {
          const Eigen::VectorXd at = x.col(i),
                                expected = Eigen::VectorXd::Ones(dim) - 0.5 * target.gradient(at);
          // In float, exponents of some hundreds carry errors of 1e-5, and so do the
          // responsibilities; far out they are of a million, and which component is nearer may be
          // in doubt.
          std::vector<double> exponents;
          for (const auto& c : target.components()) exponents.push_back(c.log_density(at));
          std::sort(exponents.rbegin(), exponents.rend());
          if (single && size > 100 && exponents[0] - exponents[1] < 1e-5 * std::abs(exponents[0]))
            continue;
          ++checked;
          CHECK((got.col(i) - expected).norm() <= (single ? 1e-4 : 1e-11) * (1 + expected.norm()));
        }
        CHECK(checked > 290);
      }
    }
}
