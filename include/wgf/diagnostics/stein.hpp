// SPDX-License-Identifier: BSL-1.0
#pragma once
// The kernel Stein discrepancy with the inverse multiquadric kernel (c² + |x − y|²)^{−½}: Gorham,
// Mackey, "Measuring sample quality with kernels", ICML 2017. The test: Liu, Lee, Jordan, "A
// kernelized Stein discrepancy for goodness-of-fit tests", ICML 2016.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../adapt.hpp"
#include "../functional/potential.hpp"
#include "../measure/gaussian.hpp"
#include "../random.hpp"
#include "verdict.hpp"

namespace wgf {

/// Options of stein_discrepancy; the result is a function of the seed.
struct SteinOptions {
  /// c > 0; 0 stands for the median distance between points.
  double scale = 0;
  /// Use coordinates in which the points have covariance I. Otherwise the kernel is insensitive to
  /// directions that are much narrower than others.
  bool whiten = true;
  /// Maximal number of points, drawn without replacement. The work is O(n² (d + bootstraps)), the
  /// memory n² numbers.
  long points = 2000;
  /// Number of bootstrap draws.
  int bootstraps = 500;
  /// p-values below this level are a problem.
  double level = 0.01;
  std::uint64_t seed = 0;
};

/// KSD² between samples and a target, and whether it can be explained by sampling noise.
struct SteinDiscrepancy {
  double squared = 0;     ///< a U-statistic of either sign; its mean is 0 for samples of the target
  double p_value = 1;     ///< of a value at least this large for samples of the target
  double scale = 0;       ///< c
  long points = 0;        ///< the number of points used
  double level = 0.01;    ///< as in the options
  std::string unknown{};  ///< why there is no answer; empty otherwise

  Verdict verdict() const {
    return !unknown.empty()  ? Verdict::inconclusive
           : p_value < level ? Verdict::problem
                             : Verdict::ok;
  }
  /// One line.
  std::string summary() const {
    if (!unknown.empty()) return "Stein discrepancy: cannot tell: " + unknown;
    return detail::text("Stein discrepancy: KSD² = %.2g, p = %.3f: ", squared, p_value) +
           detail::text(verdict() == Verdict::problem
                            ? "%ld samples differ from the target by more than chance"
                            : "no difference to the target that %ld samples could show",
                        points);
  }
};

namespace detail {
/// κ(x, y) = tr ∇_x∇_y k + s(x)·∇_y k + s(y)·∇_x k + s(x)·s(y) k for all pairs of columns, zero on
/// the diagonal.
/// \param s ∇ log p at x.
inline Eigen::MatrixXd stein_kernel(const Particles& x, const Particles& s, double scale) {
  const Eigen::Index d = x.rows(), n = x.cols();
  const Particles rows = x.transpose(), slopes = s.transpose();
  Eigen::MatrixXd kernel(n, n);
  Eigen::ArrayXd squares(n), along(n), g(n);
  for (Eigen::Index j = 0; j < n; ++j) {
    squares.setZero(), along.setZero();
    for (Eigen::Index c = 0; c < d; ++c) {
      const auto r = rows.col(c).array() - x(c, j);
      squares += r.square();
      along += (slopes.col(c).array() - s(c, j)) * r;
    }
    g = 1 / (squares + scale * scale);  // k = g^½
    kernel.col(j) = g.sqrt() * ((slopes * s.col(j)).array() +
                                g * (along + static_cast<double>(d) - 3 * squares * g));
    kernel(j, j) = 0;
  }
  return kernel;
}
/// The median distance between different columns.
inline double median_distance(const Particles& x) {
  const Eigen::Index n = std::min<Eigen::Index>(x.cols(), 1000);
  std::vector<double> squares;
  for (Eigen::Index i = 0; i < n; ++i)
    for (Eigen::Index j = 0; j < i; ++j) squares.push_back((x.col(i) - x.col(j)).squaredNorm());
  const auto middle = squares.begin() + static_cast<std::ptrdiff_t>(squares.size() / 2);
  std::nth_element(squares.begin(), middle, squares.end());
  return std::sqrt(*middle);
}
}  // namespace detail

/// The discrepancy between independent samples x (d × n, n ≥ 2) and the target, and the p-value of
/// the multinomial bootstrap. It detects a wrong shape wherever there are samples. It does not
/// detect well-separated modes without samples, or wrong masses of well-separated modes. If ∇ log p
/// is not finite at a sample, `unknown` says so.
/// \throws std::invalid_argument for fewer samples, a target of another dimension, samples that are
/// not finite (or lie in a hyperplane, with whiten), or invalid options.
template <class T>
SteinDiscrepancy stein_discrepancy(Particles x, const T& target, const SteinOptions& options = {}) {
  constexpr std::uint32_t stream = 0x53544549;  // "STEI"
  const auto& density = Adapt<T>::read(target);
  detail::check_dimension("wgf::stein_discrepancy", density, static_cast<int>(x.rows()));
  if (x.cols() < 2 || !x.allFinite())
    throw std::invalid_argument(
        "wgf::stein_discrepancy: at least 2 samples are needed, all finite, got " +
        std::to_string(x.cols()));
  if (!(options.scale >= 0) || !std::isfinite(options.scale) || options.points < 2 ||
      options.bootstraps < 1)
    throw std::invalid_argument(
        "wgf::SteinOptions: scale must not be negative, points at least 2, bootstraps at least 1");
  const Random random{options.seed};
  if (x.cols() > options.points) {  // partial Fisher–Yates shuffle
    for (long i = 0; i < options.points; ++i)
      x.col(i).swap(x.col(i + random.below(x.cols() - i, stream, 0, i)));
    x = x.leftCols(options.points).eval();
  }
  const Eigen::Index n = x.cols();
  Particles s(x.rows(), n);
  for (Eigen::Index i = 0; i < n; ++i)
    s.col(i) = log_density_gradient(density, Eigen::VectorXd(x.col(i)));
  SteinDiscrepancy result{.points = n, .level = options.level};
  if (!s.allFinite()) {
    result.unknown = "the gradient of the target's log-density is not finite at a sample";
    return result;
  }
  if (options.whiten) {
    const Gaussian cloud = Gaussian::fit(x);
    x = detail::solve_lower(cloud.factor(), x.colwise() - cloud.mean());
    s = detail::product(cloud.factor().transpose(), s);
  }
  result.scale = options.scale > 0 ? options.scale : detail::median_distance(x);
  if (!(result.scale > 0))
    throw std::invalid_argument(
        "wgf::stein_discrepancy: more than half of the samples coincide: give a scale");
  const Eigen::MatrixXd kernel = detail::stein_kernel(x, s, result.scale);
  const double count = static_cast<double>(n);
  result.squared = kernel.sum() / count / (count - 1);
  // Under the null hypothesis the statistic is approximately distributed as Σ_{i≠j} (w_i − 1/n)(w_j
  // − 1/n) κ_ij with multinomial w.
  constexpr int block = 64;
  Eigen::MatrixXd weights(n, block);
  int above = 0;
  for (int first = 0; first < options.bootstraps; first += block) {
    const int draws = std::min(block, options.bootstraps - first);
    weights.setConstant(-1 / count);
    for (int b = 0; b < draws; ++b)
      for (Eigen::Index i = 0; i < n; ++i)
        weights(random.below(n, stream + 1, static_cast<std::uint32_t>(first + b), i), b) +=
            1 / count;
    const Eigen::MatrixXd image = detail::product(kernel, weights);
    for (int b = 0; b < draws; ++b) above += weights.col(b).dot(image.col(b)) >= result.squared;
  }
  result.p_value = (1.0 + above) / (1.0 + options.bootstraps);
  return result;
}

}  // namespace wgf
