// SPDX-License-Identifier: BSL-1.0
#pragma once
// The Kolmogorov–Smirnov distance of a sample to a law.
#include <algorithm>
#include <cmath>

#include <Eigen/Core>

namespace examples {

/// The greatest distance between the distribution function of a sample and F. Times √n it is above
/// 1.95 with probability 0.001 (Kolmogorov).
template <class F>
double kolmogorov(Eigen::ArrayXd x, F&& cdf) {
  std::sort(x.begin(), x.end());
  const double n = static_cast<double>(x.size());
  double worst = 0;
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    const double p = cdf(x(i)), below = static_cast<double>(i) / n;
    worst = std::max({worst, p - below, below + 1 / n - p});
  }
  return worst;
}

}  // namespace examples
