// SPDX-License-Identifier: BSL-1.0
#pragma once
// The same seed gives the same bits on any number of threads, in training and in sampling.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

#include <cstring>

#include "catch.hpp"

namespace wgf::test {

template <class Scalar>
bool same_bits(const std::vector<Scalar>& a, const std::vector<Scalar>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Scalar)) == 0;
}
inline bool same_bits(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(double)) == 0;
}
template <class Map, class Backend>
bool same_bits(const Flow<Map, Backend>& a, const Flow<Map, Backend>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t k = 0; k < a.stages.size(); ++k)
    if (!same_bits(a.stages[k].parameters, b.stages[k].parameters) ||
        !same_bits(a.stages[k].frame.mean, b.stages[k].frame.mean) ||
        !same_bits(a.stages[k].frame.factor, b.stages[k].frame.factor))
      return false;
  return true;
}

inline const GaussianMixture target =
    GaussianMixture::isotropic((Eigen::MatrixXd(2, 2) << -1, 1.5, 0, 1).finished(), 0.6);

// Uses every source of randomness: batches, the reference, dropout, initial parameters, a refreshed
// pool.
template <class Scalar>
auto seeded_run(std::uint64_t seed, int threads, long batch) {
  const JkoSolver solver{kl(target, Mlp<16, 3>{.dropout = 0.2}), ResidualMlp<16, 3>{},
                         Backward{.step_size = 0.3},
                         EigenBackend<Scalar>{.seed = seed, .threads = threads}};
  return solver.run(Gaussian::isotropic(2, 1.5),
                    {.steps = 3,
                     .training = {.iterations = 20, .batch = batch},
                     .population = {.size = 5000, .refresh_every = 2}});
}

template <class Scalar>
void check_determinism() {
  for (const long batch : {100L, 1000L}) {
    const auto one = seeded_run<Scalar>(5, 1, batch);
    REQUIRE(one.size() == 3);
    for (const int threads : {2, 3}) {
      INFO(batch << " particles, " << threads << " threads");
      const auto other = seeded_run<Scalar>(5, threads, batch);
      CHECK(same_bits(one, other));
      CHECK(same_bits(one.sample(3000), other.sample(3000)));
    }
    CHECK(same_bits(one, seeded_run<Scalar>(5, 1, batch)));
    CHECK_FALSE(same_bits(one, seeded_run<Scalar>(6, 1, batch)));
    // Samples are a function of their seed.
    CHECK(same_bits(one.sample(500, 8), one.sample(500, 8)));
    CHECK_FALSE(same_bits(one.sample(500, 8), one.sample(500, 9)));
  }
}

}  // namespace wgf::test
