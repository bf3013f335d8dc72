// SPDX-License-Identifier: BSL-1.0
#pragma once
// Inverses and determinants of a flow's maps (appendix B): damped Newton with the exact derivative.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/LU>

#include "../concepts.hpp"
#include "../particles.hpp"

namespace wgf {

/// A point that a map of the flow does not appear to reach, or where it folds: the density is not
/// available.
class InversionError : public std::runtime_error {
 public:
  InversionError(int step, Eigen::VectorXd point, const std::string& why)
      : std::runtime_error("wgf::Flow: the map of step " + std::to_string(step) + " " + why +
                           " at x = (" + text(point) + ")"),
        step_(step),
        point_(std::move(point)) {}
  /// The step, from 1, and the point, in x.
  int step() const { return step_; }
  const Eigen::VectorXd& point() const { return point_; }

 private:
  static std::string text(const Eigen::VectorXd& x) {
    std::string all;
    for (Eigen::Index j = 0; j < std::min<Eigen::Index>(x.size(), 4); ++j)
      all += (j ? ", " : "") + std::to_string(x[j]);
    return x.size() > 4 ? all + ", …" : all;
  }
  int step_;
  Eigen::VectorXd point_;
};

namespace detail {

/// The derivatives ∂T/∂x of a network T at n points (d × n), n matrices d × d: one vector-Jacobian
/// product for each coordinate of T. x, y and dy are scratch for the same number of points.
template <Runtime R, class Net>
std::vector<Eigen::MatrixXd> jacobians(const R& runtime, Net& net, const Particles& at,
                                       const typename R::PointsView& x,
                                       const typename R::PointsView& y,
                                       const typename R::PointsView& dy) {
  const long n = at.cols(), d = at.rows();
  std::vector<Eigen::MatrixXd> slopes(static_cast<std::size_t>(n), Eigen::MatrixXd(d, d));
  const auto now = x.window(0, n);
  runtime.upload(at, now);
  for (long row = 0; row < d; ++row) {
    Particles unit = Particles::Zero(d, n);
    unit.row(row).setOnes();
    runtime.upload(unit, dy.window(0, n));
    runtime.parallel(n, [&](typename R::Slice s) {
      net.forward(s, now(s));
      y(s) = net.input_vjp(s, now(s), dy(s));
    });
    const Particles pulled = runtime.download(y.window(0, n));
    for (long i = 0; i < n; ++i)
      slopes[static_cast<std::size_t>(i)].row(row) = pulled.col(i).transpose();
  }
  return slopes;
}

/// log det of the derivative of x → x + extrapolation·(T(x) − x) at n points, for a network T that
/// computes it: NaN where the determinant is not positive.
template <Runtime R, class Net>
Eigen::VectorXd log_determinants(const R& runtime, Net& net, const typename R::PointsView& x,
                                 double extrapolation, long n) {
  using Slice = typename R::Slice;
  if constexpr (LogDeterminantsBySlice<Net, R>) {
    const auto logs = runtime.points(1, n);
    runtime.parallel(
        n, [&](Slice s) { logs(s) = as_points(net.log_determinants(s, x(s), extrapolation)); });
    return runtime.download(logs).row(0).transpose();
  } else {
    Eigen::VectorXd logs(n);
    runtime.parallel(n, [&](Slice s) {
      net.log_determinants(s, x(s), extrapolation,
                           [&](int i, double log) { logs[s.begin + i] = log; });
    });
    return logs;
  }
}
/// log det of every matrix; NaN where the determinant is not positive. each(n, f) calls f(i) for
/// every i, on several threads.
template <class Each>
Eigen::VectorXd log_determinants(const std::vector<Eigen::MatrixXd>& matrices, const Each& each) {
  Eigen::VectorXd logs(static_cast<Eigen::Index>(matrices.size()));
  each(logs.size(), [&](long i) {
    const Eigen::PartialPivLU<Eigen::MatrixXd> lu(matrices[static_cast<std::size_t>(i)]);
    const auto pivots = lu.matrixLU().diagonal().array();
    const bool positive = (lu.permutationP().determinant() * pivots.sign().prod()) > 0;
    logs[i] = positive ? pivots.abs().log().sum() : std::numeric_limits<double>::quiet_NaN();
  });
  return logs;
}

/// A map of points with its derivative, in double precision. value(x): d × n to d × n.
/// derivative(x): n matrices d × d. log_determinants(x): log det of these, NaN where it is not
/// positive. each(n, f) as above.
template <class Value, class Derivative, class LogDeterminants, class Each>
struct DifferentiatedMap {
  Value value;
  Derivative derivative;
  LogDeterminants log_determinants;
  Each each;

  /// x with value(x) = y: Newton steps, each halved until the residual decreases.
  /// \param fail called with the index of each point that is not reached in `iterations` steps.
  template <class Fail>
  Particles inverse(const Particles& y, Fail&& fail, int iterations = 100) const {
    Particles x = y, residual = value(x) - y;
    const Eigen::ArrayXd enough = 1e-14 * (1 + y.colwise().norm().array()).transpose();
    Eigen::ArrayXd norm = residual.colwise().norm().transpose();
    std::vector<bool> stuck(static_cast<std::size_t>(y.cols()), false);
    const auto open = [&](Eigen::Index i) {
      return !(norm[i] <= enough[i]) && !stuck[static_cast<std::size_t>(i)];
    };
    for (int k = 0; k < iterations; ++k) {
      std::vector<Eigen::Index> left;  // the points that have not converged yet
      for (Eigen::Index i = 0; i < y.cols(); ++i)
        if (open(i)) left.push_back(i);
      if (left.empty()) break;
      const Particles at = x(Eigen::all, left), wanted = y(Eigen::all, left);
      const auto slopes = derivative(at);
      Particles step(y.rows(), at.cols());
      each(at.cols(), [&](long i) {
        step.col(i) = slopes[static_cast<std::size_t>(i)].partialPivLu().solve(
            residual.col(left[static_cast<std::size_t>(i)]));
      });
      Eigen::RowVectorXd length = Eigen::RowVectorXd::Ones(at.cols());
      for (int halving = 0; halving < 40; ++halving) {
        const Particles next = at - step * length.asDiagonal(), off = value(next) - wanted;
        bool all = true;
        for (Eigen::Index i = 0; i < at.cols(); ++i) {
          if (length[i] == 0) continue;
          const Eigen::Index to = left[static_cast<std::size_t>(i)];
          if (const double now = off.col(i).norm(); now < norm[to])
            x.col(to) = next.col(i), residual.col(to) = off.col(i), norm[to] = now, length[i] = 0;
          else length[i] /= 2, all = false;
        }
        if (all) break;
      }
      for (Eigen::Index i = 0; i < at.cols(); ++i)
        if (length[i] != 0)
          stuck[static_cast<std::size_t>(left[static_cast<std::size_t>(i)])] =
              true;  // rounding, or no solution
    }
    for (Eigen::Index i = 0; i < y.cols(); ++i)
      if (!(norm[i] <= 1e6 * enough[i])) fail(i);
    return x;
  }
};
template <class Value, class Derivative, class LogDeterminants, class Each>
DifferentiatedMap(Value, Derivative, LogDeterminants, Each)
    -> DifferentiatedMap<Value, Derivative, LogDeterminants, Each>;

}  // namespace detail
}  // namespace wgf
