// SPDX-License-Identifier: BSL-1.0
#pragma once
// Terms on a runtime of doubles: gradients against differences of values.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/frame.hpp>
#include <wgf/measure/gaussian.hpp>

#include "../catch.hpp"
#include "../support.hpp"
#include "step_context.hpp"

namespace wgf::test {

using DoubleRuntime = eigen::EigenRuntime<double>;

inline Gaussian random_gaussian(int dim, std::uint64_t seed) {
  const Eigen::MatrixXd a = standard_normals(dim, dim, seed, 5);
  return {standard_normals(dim, 1, seed, 6).col(0),
          Eigen::MatrixXd(Eigen::MatrixXd::Identity(dim, dim) + a * a.transpose() / dim)};
}

// `weight` times the term's gradient at single points, in the frame, against differences of its
// value there; it must be added to what is there.
template <class Bound>
void check_direct(Bound& term, const DoubleRuntime& runtime, const Frame& frame,
                  const Gaussian& cloud, double weight) {
  const int d = frame.dim();
  auto y = runtime.points(d, 1);
  auto g = runtime.points(d, 1);
  term.begin_step(runtime, wgf::test::context<DoubleRuntime>(frame, cloud, y), weight);
  const eigen::Slice all{0, 1, 0, 0};
  for (std::uint64_t k = 0; k < 5; ++k) {
    const Eigen::VectorXd at = standard_normals(d, 1, k, 7);
    const auto value = [&](const Eigen::VectorXd& x) {
      runtime.upload(x, y);
      return term.value(all, y);
    };
    const Eigen::VectorXd expected =
        Eigen::VectorXd::Ones(d) + weight * numerical_gradient(value, at);
    runtime.upload(at, y), runtime.upload(Eigen::VectorXd::Ones(d), g);
    term.add_gradient(all, y, g);
    CHECK((runtime.download(g) - expected).norm() < 1e-8 * (1 + expected.norm()));
  }
}
}  // namespace wgf::test
