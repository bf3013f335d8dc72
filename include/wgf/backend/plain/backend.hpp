// SPDX-License-Identifier: BSL-1.0
#pragma once
// The plain backend: the complete backend interface with Eigen arrays on one thread, written for
// readability. docs/backends.md walks through this folder.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "../../array.hpp"
#include "../../concepts.hpp"
#include "../../curve.hpp"
#include "../../functional/kernels.hpp"
#include "optimiser.hpp"

namespace wgf {

namespace plain {

// ---- sums over pairs

/// Mean of f(x − y_j) over the samples y_j, except sample `own`.
template <class Result, class S>
Result mean_over_pairs(const Eigen::VectorXd& x, const PointsView<S>& y, long own, Result zero,
                       const auto& f) {
  for (long j = 0; j < y.count(); ++j)
    if (j != own) zero += f(Eigen::VectorXd(x - y.all().col(j).template cast<double>().matrix()));
  const long others = y.count() - (own >= 0 ? 1 : 0);
  return zero / static_cast<double>(others);
}

/// Sums over pairs for the batch of an iteration. The points themselves are among the samples y:
/// x_i is sample own + i.
template <InteractionKernel Kernel, class S>
struct PairSum {
  Kernel kernel;

  /// out_i += weight · the mean over j ≠ i of ∇W(x_i − y_j).
  void add_gradient(Slice, const auto& x, const PointsView<S>& y, auto&& out, double weight,
                    long own) const {
    for (Eigen::Index i = 0; i < x.cols(); ++i) {
      const Eigen::VectorXd at = x.col(i).template cast<double>();
      const Eigen::VectorXd mean =
          mean_over_pairs(at, y, own + i, Eigen::VectorXd(0 * at),
                          [&](const Eigen::VectorXd& z) { return kernel_gradient(kernel, z); });
      out.col(i) += (weight * mean).array().template cast<S>();
    }
  }
  /// Σ_i of the mean over j ≠ i of W(x_i − y_j).
  double value(Slice, const auto& x, const PointsView<S>& y, long own) const {
    double total = 0;
    for (Eigen::Index i = 0; i < x.cols(); ++i)
      total += mean_over_pairs(Eigen::VectorXd(x.col(i).template cast<double>()), y, own + i, 0.0,
                               [&](const Eigen::VectorXd& z) { return kernel_value(kernel, z); });
    return total;
  }
};

// ---- the runtime

/// Satisfies wgf::Runtime. Its random numbers are those of wgf::Random, as on every backend.
template <class S>
class Runtime {
 public:
  using Scalar = S;
  using Slice = plain::Slice;
  using Points = plain::Points<S>;
  using PointsView = plain::PointsView<S>;
  using Constant = plain::Constant<S>;

  explicit Runtime(std::uint64_t seed) : random_{seed} {}

  Points points(int dim, long n) const { return {dim, n}; }
  void upload(const Particles& x, const PointsView& to) const {
    to.all() = x.array().template cast<S>();
  }
  Particles download(const PointsView& x) const { return x.all().template cast<double>().matrix(); }
  Constant constant(const Eigen::MatrixXd& a) const { return {a.template cast<S>()}; }

  void normals(Slice s, auto&& x, std::uint32_t stream, std::uint32_t index) const {
    fill<true>(s, x, stream, index);
  }
  void uniforms(Slice s, auto&& x, std::uint32_t stream, std::uint32_t index) const {
    fill<false>(s, x, stream, index);
  }
  void lattice(Slice s, auto&& x, long n, std::uint32_t stream, std::uint32_t index) const {
    const int dim = static_cast<int>(x.rows());
    for (int j = 0; j < dim; ++j) {
      const double step = wgf::detail::lattice_step(dim, j, n),
                   shift = random_.shared_uniform(stream, index, j);
      for (long i = 0; i < s.size; ++i) {
        const double at = shift + step * static_cast<double>(s.begin + i);
        x(j, i) = static_cast<S>(at - std::floor(at));
      }
    }
  }
  void draw_from(const PointsView& others, Slice s, auto&& x, std::uint32_t stream,
                 std::uint32_t index) const {
    for (long i = 0; i < s.size; ++i)
      x.col(i) = others.all().col(random_.below(others.count(), stream, index, s.begin + i));
  }
  void draw_strata(const PointsView& others, Slice s, auto&& x, long n, std::uint32_t stream,
                   std::uint32_t index) const {
    const double share = static_cast<double>(others.count()) / static_cast<double>(n),
                 shift = random_.shared_uniform(stream, index, 0);
    for (long i = 0; i < s.size; ++i) {
      const auto at = static_cast<long>(share * (shift + static_cast<double>(s.begin + i)));
      x.col(i) = others.all().col(std::min(at, others.count() - 1));
    }
  }

  /// Mean and covariance (1/n) of the points, in double precision.
  std::pair<Eigen::VectorXd, Eigen::MatrixXd> moments(const PointsView& x) const {
    const Eigen::MatrixXd a = download(x);
    const Eigen::VectorXd mean = a.rowwise().mean();
    const Eigen::MatrixXd centred = a.colwise() - mean;
    return {mean, centred * centred.transpose() / static_cast<double>(a.cols())};
  }
  /// Minimum and maximum of each coordinate.
  std::pair<Eigen::VectorXd, Eigen::VectorXd> bounds(const PointsView& x) const {
    const Eigen::MatrixXd a = download(x);
    return {a.rowwise().minCoeff(), a.rowwise().maxCoeff()};
  }
  void sort_along_curve(const PointsView& x) const {
    const std::vector<long> order = wgf::detail::order_along_curve(x.all());
    const Array<S> before = x.all();
    for (long i = 0; i < x.count(); ++i)
      x.all().col(i) = before.col(order[static_cast<std::size_t>(i)]);
  }

  /// Calls f on every slice: here a single one, the whole batch.
  void parallel(long n, auto&& f) const {
    if (n > 0) f(Slice{0, n});
  }
  void each(long n, auto&& f) const {
    for (long i = 0; i < n; ++i) f(i);
  }
  Sum sum() const { return {}; }

  template <class Kernel>
  PairSum<Kernel, S> pairs(const Kernel& kernel, int /*dim*/) const {
    return {kernel};
  }
  /// out_i = mean_j ∇W(x_i − y_j).
  void pair_gradients(const auto& kernel, const PointsView& x, const PointsView& y,
                      const PointsView& out) const {
    for (long i = 0; i < x.count(); ++i) {
      const Eigen::VectorXd at = download(x.window(i, 1)).col(0);
      const Eigen::VectorXd mean =
          mean_over_pairs(at, y, -1, Eigen::VectorXd(0 * at),
                          [&](const Eigen::VectorXd& z) { return kernel_gradient(kernel, z); });
      upload(mean, out.window(i, 1));
    }
  }
  /// out_i = mean over j ≠ i of ∇W(x_i − x_j).
  void self_gradients(const auto& kernel, const PointsView& x, const PointsView& out) const {
    out.all().setZero();
    pairs(kernel, x.dim()).add_gradient(Slice{0, x.count()}, x.all(), x, out.all(), 1, 0);
  }
  /// mean_j ∇²W(x_i − y_j) at points x (d × n), in double precision.
  std::vector<Eigen::MatrixXd> pair_hessians(const auto& kernel, const Particles& x,
                                             const PointsView& y) const {
    std::vector<Eigen::MatrixXd> hessians;
    for (Eigen::Index i = 0; i < x.cols(); ++i)
      hessians.push_back(
          mean_over_pairs(Eigen::VectorXd(x.col(i)), y, -1,
                          Eigen::MatrixXd(Eigen::MatrixXd::Zero(x.rows(), x.rows())),
                          [&](const Eigen::VectorXd& z) { return kernel_hessian(kernel, z); }));
    return hessians;
  }

  template <class Spec>
  typename NetworkFor<Spec, S>::type network(const Spec& spec, int dim, long /*batch*/,
                                             std::uint32_t stream, Keep) const {
    return {random_, spec, dim, stream};
  }
  template <UpdateRule Rule>
  Optimiser<Rule, S> optimiser(const Rule& rule, const auto& network) const {
    return {rule, network};
  }

 private:
  template <bool Normal>
  void fill(Slice s, auto& x, std::uint32_t stream, std::uint32_t index) const {
    const int dim = static_cast<int>(x.rows());
    random_.fill<S, Normal>(stream, index, s.begin, s.size, dim,
                            [&](long point, int first, const S* four) {
                              for (int j = 0; j < 4 && first + j < dim; ++j)
                                x(first + j, point) = four[j];
                            });
  }
  Random random_;
};

}  // namespace plain

/// Backend policy: one thread and plain formulas, in float (the default) or double. It is meant to
/// be read and to serve as a reference for comparisons; EigenBackend is many times faster.
template <class S = float>
struct PlainBackend {
  using Scalar = S;
  std::uint64_t seed = 0;

  /// The same backend in double precision.
  PlainBackend<double> precise() const { return {seed}; }
  plain::Runtime<S> start() const { return plain::Runtime<S>(seed); }
};

}  // namespace wgf
