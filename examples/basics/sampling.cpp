// SPDX-License-Identifier: BSL-1.0
// Samples a log-density in one call: draws, log Z, and a verdict on both.
#include <cmath>
#include <cstdio>
#include <numbers>

#include <wgf/sampling/sample.hpp>

/// A banana in the plane, up to a constant: x_0 ~ N(0, 1) and x_1 ~ N(x_0^2/2, 1/4).
struct Banana {
  int dim() const { return 2; }
  template <class T>
  T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    const T bend = x[1] - 0.5 * x[0] * x[0];
    return -0.5 * x[0] * x[0] - 2.0 * bend * bend;
  }
};

int main() {
  const auto result = wgf::sample(Banana{}, {.seed = 1});
  const Eigen::MatrixXd x = result.draws(20'000);  // 2 × 20,000, independent
  std::printf("mean of x_1: %.3f (exact 0.5), variance: %.2f (exact 0.75)\n", x.row(1).mean(),
              (x.row(1).array() - x.row(1).mean()).square().mean());
  std::printf("log Z: %.3f ± %.3f (exact %.3f)\n", result.log_evidence(),
              result.log_evidence_error(), std::log(std::numbers::pi));
  std::printf("%s\n", result.summary().c_str());
  return result.verdict() == wgf::Verdict::problem ? 1 : 0;
}
