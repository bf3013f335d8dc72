// SPDX-License-Identifier: BSL-1.0
#pragma once
// The CPU backend: a pool of workers processes the tiles of a batch.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../../array.hpp"
#include "../../curve.hpp"
#include "../../measure/gaussian.hpp"
#include "affine.hpp"
#include "icnn.hpp"
#include "mixture.hpp"
#include "mlp.hpp"
#include "optimiser.hpp"
#include "pair_grid.hpp"
#include "pair_sum.hpp"
#include "quadratic.hpp"

namespace wgf {

namespace eigen {

// ---- operations on points for the arrays of this backend, found by argument-dependent lookup

/// Sets the rows of z (points, leading dimension ldz) to A·y + b, or adds it to them.
template <bool add, class Scalar>
void affine_rows(const Constant<Scalar>& a, const Constant<Scalar>& b, int points,
                 simd::RowMajor<Scalar> y, Scalar* z, std::ptrdiff_t ldz) {
  const auto& m = a.transposed;
  const auto set = [&](auto start) {
    simd::product<0, Scalar>(points, static_cast<int>(m.rows()), static_cast<int>(m.cols()), y,
                             m.data(), m.rows(), start, simd::To<Scalar>{z, ldz});
  };
  if constexpr (add) set(simd::FromSum<Scalar>{b.transposed.data(), z, ldz});
  else set(simd::Bias<Scalar>{b.transposed.data()});
}
/// z = A·y + b.
template <class Scalar, class Y, class Z>
void set_affine(const Constant<Scalar>& a, const Constant<Scalar>& b, const Y& y, Z&& z) {
  affine_rows<false>(a, b, static_cast<int>(y.cols()),
                     simd::RowMajor<Scalar>{y.data(), y.outerStride()}, z.data(), z.outerStride());
}
/// z += A·y + b.
template <class Scalar, class Y, class Z>
void add_affine(const Constant<Scalar>& a, const Constant<Scalar>& b, const Y& y, Z&& z) {
  affine_rows<true>(a, b, static_cast<int>(y.cols()),
                    simd::RowMajor<Scalar>{y.data(), y.outerStride()}, z.data(), z.outerStride());
}
/// z_i = offset − ½|y_i|², where z is one-dimensional.
template <class Y, class Z>
void set_normal_log_density(Slice, const Y& y, double offset, Z&& z) {
  using Scalar = typename std::decay_t<Z>::Scalar;
  z = (static_cast<Scalar>(offset) - Scalar(0.5) * y.square().colwise().sum());
}
/// z_i += weight·f(y_i), where f maps points to points in double precision, such as a gradient
/// written by a user.
template <class Y, class Z, class F>
void add_pointwise(Slice, const Y& y, Z&& z, double weight, const F& f) {
  using Scalar = typename std::decay_t<Z>::Scalar;
  Eigen::VectorXd x(y.rows());
  for (Eigen::Index i = 0; i < y.cols(); ++i) {
    x = y.col(i).template cast<double>();
    const Eigen::VectorXd value = f(x);
    if (value.size() != x.size())
      throw std::invalid_argument("the gradient at a point must have " + std::to_string(x.size()) +
                                  " coordinates, got " + std::to_string(value.size()));
    z.col(i) += (weight * value).array().template cast<Scalar>();
  }
}
/// Σ f(y_i), where f maps points to numbers in double precision.
template <class Y, class F>
double sum_pointwise(Slice, const Y& y, const F& f) {
  Eigen::VectorXd x(y.rows());
  double total = 0;
  for (Eigen::Index i = 0; i < y.cols(); ++i) {
    x = y.col(i).template cast<double>();
    total += f(x);
  }
  return total;
}

/// The network of a specification. For a custom specification, specialise this template before it
/// is used.
template <class Spec, class Scalar>
struct NetworkFor {
  static_assert(wgf::detail::no_network<Spec>,
                "wgf: EigenBackend has no network of this specification: see "
                "docs/backends.md to write one");
  using type = wgf::detail::NoNetwork;
};
template <int W, int D, class Activation, class Scalar>
struct NetworkFor<Mlp<W, D, Activation>, Scalar> {
  using type = MlpNetwork<Mlp<W, D, Activation>, Scalar>;
};
template <int W, int D, class Activation, class Scalar>
struct NetworkFor<ResidualMlp<W, D, Activation>, Scalar> {
  using type = MlpNetwork<ResidualMlp<W, D, Activation>, Scalar>;
};
template <int W, int D, class Scalar>
struct NetworkFor<ResidualMlp<W, D, Identity>, Scalar> {
  using type = DeepLinearNetwork<ResidualMlp<W, D, Identity>, Scalar>;
};
template <class Scalar>
struct NetworkFor<Affine, Scalar> {
  using type = AffineNetwork<Scalar>;
};
template <class Scalar>
struct NetworkFor<Quadratic, Scalar> {
  using type = QuadraticNetwork<Scalar>;
};
template <class First, class Second, class Scalar>
struct NetworkFor<NetworkSum<First, Second>, Scalar> {
  using type = SumNetwork<typename NetworkFor<First, Scalar>::type,
                          typename NetworkFor<Second, Scalar>::type, Scalar>;
};

/// A running backend: it owns threads, and provides memory, random numbers and networks. Satisfies
/// wgf::Runtime.
template <class S>
class EigenRuntime {
 public:
  using Scalar = S;
  using Slice = eigen::Slice;
  using Points = eigen::Points<S>;
  using PointsView = eigen::PointsView<S>;
  using Constant = eigen::Constant<S>;
  template <class Spec>
  using Network = typename NetworkFor<Spec, S>::type;

  EigenRuntime(std::uint64_t seed, int threads)
      : team_(std::make_unique<ThreadTeam>(threads, seed)) {}

  Points points(int dim, long n) const { return {dim, n}; }
  void upload(const Particles& x, const PointsView& to) const {
    to.all() = x.array().template cast<S>();
  }
  Particles download(const PointsView& x) const { return x.all().template cast<double>().matrix(); }
  Constant constant(const Eigen::MatrixXd& a) const {
    Constant c{decltype(Constant::transposed)::Zero(simd::padded<S>(static_cast<int>(a.rows())),
                                                    a.cols())};
    c.transposed.topRows(a.rows()) = a.array().template cast<S>();
    return c;
  }
  /// Mean and covariance (1/n) of the points, in double precision.
  std::pair<Eigen::VectorXd, Eigen::MatrixXd> moments(const PointsView& x) const {
    const Eigen::MatrixXd a = download(x);
    const Eigen::VectorXd mean = a.rowwise().mean();
    const Eigen::MatrixXd centred = a.colwise() - mean;
    return {mean,
            wgf::detail::product(centred, centred.transpose()) / static_cast<double>(a.cols())};
  }
  template <class X>
  void normals(Slice s, X&& x, std::uint32_t stream, std::uint32_t index) const {
    fill<true>(s, x, stream, index);
  }
  template <class X>
  void uniforms(Slice s, X&& x, std::uint32_t stream, std::uint32_t index) const {
    fill<false>(s, x, stream, index);
  }
  /// The slice of n quasi-random points that fill the unit cube evenly (i/n in the first
  /// coordinate, multiples of irrational numbers in the others), with a new random shift in every
  /// draw, so that averages over them are unbiased.
  template <class X>
  void lattice(Slice s, X&& x, long n, std::uint32_t stream, std::uint32_t index) const {
    const int dim = static_cast<int>(x.rows());
    for (int j = 0; j < dim; ++j) {
      const double step = wgf::detail::lattice_step(dim, j, n),
                   shift = team_->random.shared_uniform(stream, index, j);
      for (Eigen::Index i = 0; i < x.cols(); ++i) {
        const double at = shift + step * static_cast<double>(s.begin + i);
        x(j, i) = static_cast<S>(at - std::floor(at));
      }
    }
  }
  /// The slice of points drawn from others with replacement.
  template <class X>
  void draw_from(const PointsView& others, Slice s, X&& x, std::uint32_t stream,
                 std::uint32_t index) const {
    for (Eigen::Index i = 0; i < x.cols(); ++i)
      copy(others,
           team_->random.below(others.count(), stream, index, s.begin + static_cast<long>(i)), x,
           i);
  }
  /// The slice of n points, one from each of n equal consecutive parts of others; the relative
  /// position within a part is the same random number for all.
  template <class X>
  void draw_strata(const PointsView& others, Slice s, X&& x, long n, std::uint32_t stream,
                   std::uint32_t index) const {
    const double share = static_cast<double>(others.count()) / static_cast<double>(n),
                 shift = team_->random.shared_uniform(stream, index, 0);
    for (Eigen::Index i = 0; i < x.cols(); ++i) {
      const auto at = static_cast<long>(share * (shift + static_cast<double>(s.begin + i)));
      copy(others, std::min(at, others.count() - 1), x, i);
    }
  }
  /// Reorders points along a curve on which neighbours are close.
  void sort_along_curve(const PointsView& x) const {
    const std::vector<long> order = wgf::detail::order_along_curve(x.all());
    const Points before = points(x.dim(), x.count());
    before.all() = x.all();
    for (long i = 0; i < x.count(); ++i)
      std::copy_n(before.row(order[static_cast<std::size_t>(i)]), x.dim(), x.row(i));
  }
  /// Minimum and maximum of each coordinate.
  std::pair<Eigen::VectorXd, Eigen::VectorXd> bounds(const PointsView& x) const {
    return {x.all().rowwise().minCoeff().matrix().template cast<double>(),
            x.all().rowwise().maxCoeff().matrix().template cast<double>()};
  }
  template <class F>
  void parallel(long n, F&& f) const {
    team_->parallel(n, f);
  }
  /// f(i) for i = 0, …, n − 1 on the workers, for work on the host outside the networks.
  template <class F>
  void each(long n, F&& f) const {
    constexpr long tasks = 64;
    team_->workers.run(static_cast<int>(std::min(n, tasks)), [&](int task, int) {
      const long share = (n + tasks - 1) / tasks;
      if (n <= tasks) f(task);
      else
        for (long i = task * share; i < std::min(n, (task + 1) * share); ++i) f(i);
    });
  }
  template <class Spec>
  Network<Spec> network(const Spec& spec, int dim, long batch, std::uint32_t stream,
                        Keep keep) const {
    return {*team_, spec, dim, batch, stream, keep};
  }
  /// The optimiser of a network of this runtime, with an update rule.
  template <UpdateRule Rule, class Net>
  Optimiser<Rule, S> optimiser(const Rule& rule, const Net& network) const {
    return {*team_, rule, network};
  }
  MixtureKernel<S> mixture(const GaussianMixture& m) const { return {m, team_->workers.count()}; }
  /// Sums over pairs of an interaction kernel, for the tiles of a batch.
  template <class Kernel>
  PairSum<Kernel, S> pairs(const Kernel& kernel, int dim) const {
    return {kernel, dim, team_->workers.count()};
  }
  /// out_i = mean_j ∇W(x_i − y_j) for points x and samples y, up to rounding; in float on a grid if
  /// the kernel is smooth and the grid is faster.
  template <class Kernel>
  void pair_gradients(const Kernel& kernel, const PointsView& x, const PointsView& y,
                      const PointsView& out) const {
    if constexpr (InterpolableKernel<Kernel> && sizeof(S) == sizeof(float))
      if (const double tolerance = 1e-6 * kernel.derivative_bound(2); tolerance > 0) {
        fast_pair_gradients(*team_, kernel, x, y, out, tolerance);
        return;
      }
    eigen::pair_gradients(*team_, kernel, x, y, out);
  }
  /// out_i = mean over j ≠ i of ∇W(x_i − x_j).
  template <class Kernel>
  void self_gradients(const Kernel& kernel, const PointsView& x, const PointsView& out) const {
    eigen::self_gradients(*team_, kernel, x, out);
  }
  /// mean_j ∇²W(x_i − y_j) at points x (d × n), in double precision.
  template <class Kernel>
  std::vector<Eigen::MatrixXd> pair_hessians(const Kernel& kernel, const Particles& x,
                                             const PointsView& y) const {
    std::vector<Eigen::MatrixXd> hessians(static_cast<std::size_t>(x.cols()));
    each(x.cols(), [&](long i) {
      hessians[static_cast<std::size_t>(i)] =
          pair_derivatives(kernel, Eigen::VectorXd(x.col(i)), y).hessian;
    });
    return hessians;
  }
  BatchSum sum() const { return {}; }
  int threads() const { return team_->workers.count(); }

 private:
  template <class X>
  static void copy(const PointsView& from, long point, X&& x, Eigen::Index i) {
    const S* row = from.row(point);
    for (int j = 0; j < from.dim(); ++j) x(j, i) = row[j];
  }
  template <bool Normal, class X>
  void fill(Slice s, X& x, std::uint32_t stream, std::uint32_t index) const {
    const int dim = static_cast<int>(x.rows());
    S* to = x.data();
    const std::ptrdiff_t ld = x.outerStride();
    team_->random.template fill<S, Normal>(stream, index, s.begin, s.size, dim,
                                           [&](long point, int first, const S* four) {
                                             S* p = to + point * ld + first;
                                             if (first + 4 <= dim) std::copy_n(four, 4, p);
                                             else std::copy_n(four, dim - first, p);
                                           });
  }
  std::unique_ptr<ThreadTeam> team_;
};

}  // namespace eigen

/// The largest number of worker threads that a backend accepts.
inline constexpr int max_threads = 1024;

/// Backend policy: the CPU, with the library's own SIMD code, in float (the default) or double. The
/// same seed gives the same bits on any number of threads.
template <class S = float>
struct EigenBackend {
  using Scalar = S;
  std::uint64_t seed = 0;
  /// Worker threads; 0 for all cores. A batch of fewer than 240 points always runs on one thread.
  int threads = 0;

  /// The same backend in double precision.
  EigenBackend<double> precise() const { return {seed, threads}; }
  /// \throws std::invalid_argument for a number of threads that is negative or above max_threads.
  eigen::EigenRuntime<S> start() const {
    if (threads < 0)
      throw std::invalid_argument(
          "wgf::EigenBackend: threads must be positive, or 0 for all cores, got " +
          std::to_string(threads));
    if (threads > max_threads)  // each takes memory, and the system creates them one by one
      throw std::invalid_argument("wgf::EigenBackend: threads must be at most " +
                                  std::to_string(max_threads) + ", got " + std::to_string(threads));
    return {seed, threads > 0 ? threads
                              : std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1,
                                           max_threads)};
  }
};

}  // namespace wgf
