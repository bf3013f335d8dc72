// SPDX-License-Identifier: BSL-1.0
#pragma once
// The same work on the Eigen and on the LibTorch backend, with the same seed: what the tests of the
// latter compare.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/backend/libtorch/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "../catch.hpp"

namespace wgf::test {

template <class Scalar>
EigenBackend<Scalar> on_eigen() {
  return {.seed = 7, .threads = 2};
}
template <class Scalar>
LibTorchBackend<Scalar> on_torch() {
  return {.seed = 7};
}
/// What numbers may differ by, relative to the largest.
template <class Scalar>
inline constexpr double tolerance = sizeof(Scalar) == sizeof(float) ? 1e-5 : 1e-10;

/// The greatest difference of two lists of numbers, relative to the greatest of them; infinite
/// where their sizes differ.
template <class A, class B>
double difference(const A& a, const B& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double most = 0, size = 0;
  for (decltype(a.size()) i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a.data()[i]), y = static_cast<double>(b.data()[i]);
    if (!std::isfinite(x) || !std::isfinite(y)) return std::numeric_limits<double>::infinity();
    most = std::max(most, std::abs(x - y)), size = std::max({size, std::abs(x), std::abs(y)});
  }
  return size > 0 ? most / size : 0;
}

/// Figures that an observer saw.
struct Seen {
  std::vector<double> figures;
  void operator()(const Progress& p) {
    figures.insert(figures.end(), {p.transport, p.direct, p.dual});
  }
};

/// Runs on both backends: the figures on the way and the maps must agree.
/// \returns both flows.
template <class Scalar, class Functional, class Map, class Scheme, class Initial>
auto run_on_both(const Functional& functional, const Map& map, const Scheme& scheme,
                 const Initial& initial, const RunOptions& options,
                 double allowed = tolerance<Scalar>) {
  Seen first, second;
  auto eigen = JkoSolver{functional, map, scheme, on_eigen<Scalar>()}.run(initial, options, first);
  auto torch = JkoSolver{functional, map, scheme, on_torch<Scalar>()}.run(initial, options, second);
  REQUIRE(eigen.size() == options.steps);
  REQUIRE(torch.size() == options.steps);
  CHECK(first.figures.size() >= 3);
  CHECK(difference(first.figures, second.figures) < allowed);
  for (int k = 0; k < eigen.size(); ++k) {
    const auto &a = eigen.stages[static_cast<std::size_t>(k)],
               &b = torch.stages[static_cast<std::size_t>(k)];
    CHECK(difference(a.parameters, b.parameters) < allowed);
    CHECK(difference(a.frame.factor, b.frame.factor) < allowed);
    CHECK(difference(a.samples, b.samples) < allowed);
  }
  return std::pair{std::move(eigen), std::move(torch)};
}

}  // namespace wgf::test
