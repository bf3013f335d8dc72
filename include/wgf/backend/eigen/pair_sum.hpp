// SPDX-License-Identifier: BSL-1.0
#pragma once
// Means over samples Y of an interaction kernel, E_Y W(x − Y), E_Y ∇W(x − Y) and E_Y ∇²W(x − Y), at
// all points x: the components of the interaction energy and of the forward step (12).
#include <algorithm>
#include <stdexcept>
#include <string>

#include "../../linear_algebra.hpp"
#include "pair_tiles.hpp"

namespace wgf::eigen {

namespace detail {
template <class Scalar>
void check_pairs(const char* who, const PointsView<Scalar>& x, const PointsView<Scalar>& y,
                 long least) {
  if (x.dim() != y.dim())
    throw std::invalid_argument(std::string(who) +
                                ": points and samples must have the same dimension, got " +
                                std::to_string(x.dim()) + " and " + std::to_string(y.dim()));
  if (y.count() < least)
    throw std::invalid_argument(std::string(who) + ": there must be at least " +
                                std::to_string(least) + " samples, got " +
                                std::to_string(y.count()));
}
}  // namespace detail

/// out_i = mean_j ∇W(x_i − y_j), for points x (d × n) and samples y (d × m); out must not be x or
/// y.
/// \throws std::invalid_argument unless both have the same dimension and there is at least one
/// sample.
template <InteractionKernel K, class Scalar>
void pair_gradients(ThreadTeam& team, const K& kernel, const PointsView<Scalar>& x,
                    const PointsView<Scalar>& y, const PointsView<Scalar>& out) {
  detail::check_pairs("wgf::pair_gradients", x, y, 1),
      detail::check_pairs("wgf::pair_gradients", x, out, x.count());
  PairSum<K, Scalar>(kernel, x.dim(), team.workers.count()).gradients(team, x, y, out);
}
/// The n numbers mean_j W(x_i − y_j).
/// \throws std::invalid_argument like pair_gradients.
template <InteractionKernel K, class Scalar>
Eigen::VectorXd pair_values(ThreadTeam& team, const K& kernel, const PointsView<Scalar>& x,
                            const PointsView<Scalar>& y) {
  detail::check_pairs("wgf::pair_values", x, y, 1);
  Eigen::VectorXd out(x.count());
  PairSum<K, Scalar>(kernel, x.dim(), team.workers.count()).values(team, x, y, out);
  return out;
}
/// out_i = mean over j ≠ i of ∇W(x_i − x_j), for points x (d × n); out must not be x.
/// \throws std::invalid_argument unless there are at least two points.
template <InteractionKernel K, class Scalar>
void self_gradients(ThreadTeam& team, const K& kernel, const PointsView<Scalar>& x,
                    const PointsView<Scalar>& out) {
  detail::check_pairs("wgf::self_gradients", x, x, 2),
      detail::check_pairs("wgf::self_gradients", x, out, x.count());
  PairSum<K, Scalar>(kernel, x.dim(), team.workers.count()).self_gradients(team, x, out);
}
/// The n means over j ≠ i of W(x_i − x_j).
/// \throws std::invalid_argument like self_gradients.
template <InteractionKernel K, class Scalar>
Eigen::VectorXd self_values(ThreadTeam& team, const K& kernel, const PointsView<Scalar>& x) {
  detail::check_pairs("wgf::self_values", x, x, 2);
  Eigen::VectorXd out(x.count());
  PairSum<K, Scalar>(kernel, x.dim(), team.workers.count()).values(team, x, x, out, 0);
  return out;
}

/// E_Y W(x − Y) and its first two derivatives with respect to x.
struct PairDerivatives {
  double value;
  Eigen::VectorXd gradient;
  Eigen::MatrixXd hessian;
};
/// The same at one point x in double precision, over samples y (d × m), as needed by Newton's
/// method on the map of a forward step.
template <InteractionKernel K, class Scalar>
PairDerivatives pair_derivatives(const K& kernel, const Eigen::VectorXd& x,
                                 const PointsView<Scalar>& y) {
  const Eigen::Index d = x.size();
  PairDerivatives sum{0, Eigen::VectorXd::Zero(d), Eigen::MatrixXd::Zero(d, d)};
  if constexpr (RadialKernel<K>) {
    constexpr long chunk = 256;
    Eigen::MatrixXd difference(d, chunk);
    Eigen::ArrayXd q(chunk), derivative(chunk), curvature(chunk);
    for (long j = 0; j < y.count(); j += chunk) {
      const long n = std::min(chunk, y.count() - j);
      auto at = difference.leftCols(n);
      at = (-y.window(j, n).all().template cast<double>()).matrix().colwise() + x;
      q = at.colwise().squaredNorm().transpose().array(), derivative = kernel.derivative(q),
      curvature = kernel.curvature(q);
      sum.value += kernel.value(q).sum();
      sum.gradient.noalias() += at * (2 * derivative).matrix();
      sum.hessian +=
          wgf::detail::product(at * (4 * curvature).matrix().asDiagonal(), at.transpose());
      sum.hessian.diagonal().array() += 2 * derivative.sum();
    }
  } else {
    for (long j = 0; j < y.count(); ++j) {
      const Eigen::VectorXd at = x - y.window(j, 1).all().template cast<double>().matrix().col(0);
      sum.value += kernel_value(kernel, at), sum.gradient += kernel_gradient(kernel, at),
          sum.hessian += kernel_hessian(kernel, at);
    }
  }
  const double share = 1 / static_cast<double>(y.count());
  return {share * sum.value, share * sum.gradient, share * sum.hessian};
}

}  // namespace wgf::eigen
