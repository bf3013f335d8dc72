// SPDX-License-Identifier: BSL-1.0
#pragma once
// An order of points in which neighbours are close, used to divide a population into strata.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include <Eigen/Core>

namespace wgf::detail {

/// The indices of points (d × n) in order along a curve: sorted in one dimension, otherwise in
/// Morton order (interleaved bits of the coordinates).
template <class X>
std::vector<long> order_along_curve(const Eigen::DenseBase<X>& x) {
  const int dim = static_cast<int>(x.rows()), bits = std::max(1, std::min(62 / dim, 31)),
            coordinates = std::min(dim, 62);
  const Eigen::VectorXd least = x.rowwise().minCoeff().template cast<double>(),
                        greatest = x.rowwise().maxCoeff().template cast<double>();
  std::vector<std::pair<std::uint64_t, long>> keys(static_cast<std::size_t>(x.cols()));
  for (Eigen::Index i = 0; i < x.cols(); ++i) {
    std::uint64_t key = 0;
    std::array<std::uint64_t, 62> cell{};
    for (int j = 0; j < coordinates; ++j) {
      const double size = greatest[j] - least[j];
      cell[static_cast<std::size_t>(j)] =
          size > 0 ? static_cast<std::uint64_t>((static_cast<double>(x(j, i)) - least[j]) / size *
                                                (std::exp2(bits) - 1))
                   : 0;
    }
    for (int b = bits - 1; b >= 0; --b)
      for (int j = 0; j < coordinates; ++j)
        key = key << 1 | (cell[static_cast<std::size_t>(j)] >> b & 1);
    keys[static_cast<std::size_t>(i)] = {key, i};
  }
  std::sort(keys.begin(), keys.end());
  std::vector<long> order(keys.size());
  std::transform(keys.begin(), keys.end(), order.begin(), [](const auto& k) { return k.second; });
  return order;
}

}  // namespace wgf::detail
