// SPDX-License-Identifier: BSL-1.0
#pragma once
// E_Y ∇W(x − Y) of a smooth kernel at many points in up to three dimensions: exact sums at the
// nodes of a regular grid, and tensor-product Lagrange interpolation of order 6 between them.
#include <algorithm>
#include <array>
#include <cmath>

#include "pair_sum.hpp"

namespace wgf::eigen {

/// Radial kernel with bounds on its derivatives: |∂^n W(x)| ≤ derivative_bound(n) for every x and
/// every partial derivative of order n ≥ 2.
template <class K>
concept InterpolableKernel = RadialKernel<K> && requires(const K& k, int n) {
  { k.derivative_bound(n) } -> std::convertible_to<double>;
};

namespace detail {

inline constexpr int interpolation_order = 6;  ///< nodes of an interpolation in each coordinate

/// In the middle interval of six nodes with spacing h, the error of interpolation is at most
/// |t(t − 1)…(t − 5)|/6! h⁶ max|f⁽⁶⁾| ≤ (225/64)/720 h⁶ max|f⁽⁶⁾|, and errors of the values are
/// amplified by at most the sum of the absolute weights, 89/64 (both are largest in the middle).
/// With several coordinates, interpolated one after another, the errors of the first ones are
/// amplified by the later ones.
inline double interpolation_error(int dim, double spacing, double sixth_derivative) {
  double coordinates = 0, enlarged = 1;
  for (int c = 0; c < dim; ++c) coordinates += enlarged, enlarged *= 89.0 / 64.0;
  return coordinates * 225.0 / 64.0 / 720.0 * std::pow(spacing, interpolation_order) *
         sixth_derivative;
}

/// A regular grid with at least three nodes on each side of every point.
struct Grid {
  double spacing = 0;
  std::array<double, 3> low{};         ///< the first node
  std::array<long, 3> nodes{1, 1, 1};  ///< in each coordinate; the first coordinate varies fastest
  double count() const {
    return static_cast<double>(nodes[0]) * static_cast<double>(nodes[1]) *
           static_cast<double>(nodes[2]);
  }
};

/// The grid on which the interpolation error of E ∇W is less than `tolerance`.
template <InterpolableKernel K, class Scalar>
Grid grid_for(const K& kernel, const PointsView<Scalar>& x, double tolerance) {
  constexpr int before = interpolation_order / 2 - 1;
  Grid grid;
  const double error =
      interpolation_error(x.dim(), 1, kernel.derivative_bound(interpolation_order + 1));
  grid.spacing = std::pow(tolerance / error, 1.0 / interpolation_order);
  const auto all = x.all();
  for (int c = 0; c < x.dim(); ++c) {
    const auto k = static_cast<std::size_t>(c);
    const double low = static_cast<double>(all.row(c).minCoeff()),
                 high = static_cast<double>(all.row(c).maxCoeff());
    grid.low[k] = low - before * grid.spacing;
    const double intervals = (high - low) / grid.spacing;
    // Capped at a number of nodes for which the grid is never used.
    grid.nodes[k] = static_cast<long>(std::min(intervals, 1e9)) + interpolation_order + 1;
  }
  return grid;
}

/// The weights of the six nodes 0, …, 5 at t, and two zeros.
template <class Scalar>
Eigen::Array<Scalar, 8, 1> lagrange_weights(Scalar t) {
  constexpr int p = interpolation_order;
  constexpr Scalar scale[p] = {Scalar(-1. / 120), Scalar(1. / 24),  Scalar(-1. / 12),
                               Scalar(1. / 12),   Scalar(-1. / 24), Scalar(1. / 120)};
  Eigen::Array<Scalar, 8, 1> w = Eigen::Array<Scalar, 8, 1>::Zero();
  Scalar left = 1, right = 1;
  for (int i = 0; i < p; ++i) w[i] = scale[i] * left, left *= t - static_cast<Scalar>(i);
  for (int i = p - 1; i >= 0; --i) w[i] *= right, right *= t - static_cast<Scalar>(i);
  return w;
}

template <int D, class K, class Scalar>
void grid_gradients(ThreadTeam& team, const K& kernel, const Grid& grid,
                    const PointsView<Scalar>& x, const PointsView<Scalar>& y,
                    const PointsView<Scalar>& out) {
  const auto [n0, n1, n2] = grid.nodes;
  const long count = n0 * n1 * n2;
  const Points<Scalar> nodes(D, count), sums(D, count);
  const auto at = [&](int c, long i) {
    return static_cast<Scalar>(grid.low[static_cast<std::size_t>(c)] +
                               static_cast<double>(i) * grid.spacing);
  };
  for (long i = 0; i < count; ++i) {
    const long index[] = {i % n0, i / n0 % n1, i / n0 / n1};
    for (int c = 0; c < D; ++c) nodes.row(i)[c] = at(c, index[c]);
  }
  pair_gradients<K, Scalar>(team, kernel, nodes, y, sums);
  // One coordinate of the gradient each; the slack of a buffer allows eight numbers to be read at a
  // time.
  std::array<Buffer<Scalar>, D> field;
  for (int c = 0; c < D; ++c) {
    field[c] = Buffer<Scalar>(static_cast<std::size_t>(count) + 8);
    for (long i = 0; i < count; ++i) field[c].data()[i] = sums.row(i)[c];
  }
  using Row = Eigen::Array<Scalar, 8, 1>;
  const Scalar inverse = static_cast<Scalar>(1 / grid.spacing);
  team.parallel(x.count(), [&](Slice s) {
    constexpr int p = interpolation_order;
    for (long i = s.begin; i < s.begin + s.size; ++i) {
      long first[3] = {0, 0, 0};
      Row w[3];
      for (int c = 0; c < D; ++c) {
        // In units of the spacing; at least two.
        const Scalar offset = (x.row(i)[c] - at(c, 0)) * inverse;
        first[c] = std::clamp<long>(static_cast<long>(offset) - (p / 2 - 1), 0,
                                    grid.nodes[static_cast<std::size_t>(c)] - p);
        w[c] = lagrange_weights(offset - static_cast<Scalar>(first[c]));
      }
      for (int c = 0; c < D; ++c) {
        const Scalar* const from = field[c].data() + (first[2] * n1 + first[1]) * n0 + first[0];
        Row sum = Row::Zero();
        for (int b = 0; b < (D > 2 ? p : 1); ++b) {
          Row plane = Row::Zero();
          for (int a = 0; a < (D > 1 ? p : 1); ++a) {
            const Eigen::Map<const Row> row(from + (b * n1 + a) * n0);
            if constexpr (D > 1) plane += w[1][a] * row;
            else plane = row;
          }
          if constexpr (D > 2) sum += w[2][b] * plane;
          else sum = plane;
        }
        out.row(i)[c] = (w[0] * sum).sum();
      }
    }
  });
}

}  // namespace detail

/// How fast_pair_gradients computed its sums.
enum class PairPath { direct, grid };

/// out_i = mean_j ∇W(x_i − y_j), each coordinate within `tolerance` of the exact one, up to the
/// precision of Scalar. Uses a grid where that is cheaper, which requires an InterpolableKernel, at
/// most three dimensions and more points than grid nodes; otherwise sums pair by pair.
/// \param x finite points (d × n)
/// \param y samples (d × m)
/// \param out must not be x or y
/// \param tolerance in units of ∇W, positive
/// \throws std::invalid_argument like pair_gradients, and if the tolerance is not positive.
template <InteractionKernel K, class Scalar>
PairPath fast_pair_gradients(ThreadTeam& team, const K& kernel, const PointsView<Scalar>& x,
                             const PointsView<Scalar>& y, const PointsView<Scalar>& out,
                             double tolerance) {
  if (!(tolerance > 0))
    throw std::invalid_argument("wgf::fast_pair_gradients: tolerance must be positive, got " +
                                std::to_string(tolerance));
  detail::check_pairs("wgf::fast_pair_gradients", x, y, 1),
      detail::check_pairs("wgf::fast_pair_gradients", x, out, x.count());
  check_kernel(kernel);
  if constexpr (InterpolableKernel<K>)
    if (x.dim() <= 3 && x.count() > 0 && x.all().allFinite()) {
      const detail::Grid grid = detail::grid_for(kernel, x, tolerance);
      const auto n = static_cast<double>(x.count()), m = static_cast<double>(y.count());
      // The cost of one interpolation, in pairs: 210 measured in two dimensions.
      const double pairs_of_a_point = 13 * std::pow(4.0, x.dim());
      if (grid.count() * m + n * pairs_of_a_point < n * m) {
        if (x.dim() == 1) detail::grid_gradients<1>(team, kernel, grid, x, y, out);
        if (x.dim() == 2) detail::grid_gradients<2>(team, kernel, grid, x, y, out);
        if (x.dim() == 3) detail::grid_gradients<3>(team, kernel, grid, x, y, out);
        return PairPath::grid;
      }
    }
  pair_gradients<K, Scalar>(team, kernel, x, y, out);
  return PairPath::direct;
}

}  // namespace wgf::eigen
