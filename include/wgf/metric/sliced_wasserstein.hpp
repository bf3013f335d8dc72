// SPDX-License-Identifier: BSL-1.0
#pragma once
// The sliced Wasserstein distance: the root of the mean over directions θ of W₂²(⟨θ, X⟩, ⟨θ, Y⟩)
// (Bonneel et al., 2015).
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "../random.hpp"
#include "pairs.hpp"

namespace wgf {

/// Options of sliced_wasserstein. The directions are a function of the seed.
struct SlicedWasserstein {
  int projections = 200;
  std::uint64_t seed = 0;
};

namespace detail {
/// W₂² between two samples on the line, both in ascending order: ∫ (F⁻¹(t) − G⁻¹(t))² dt with
/// piecewise constant quantile functions.
template <class X, class Y>
double squared_wasserstein_1d(const X& x, const Y& y) {
  const Eigen::Index n = x.size(), m = y.size();
  if (n == m) return (x - y).squaredNorm() / static_cast<double>(n);
  double sum = 0;
  // t in units of 1/(nm), exact in integers.
  for (Eigen::Index i = 0, j = 0, t = 0; i < n && j < m;) {
    const Eigen::Index end_x = (i + 1) * m, end_y = (j + 1) * n, next = std::min(end_x, end_y);
    const double gap = x(i) - y(j);
    sum += static_cast<double>(next - t) * gap * gap;
    t = next;
    i += end_x == next, j += end_y == next;
  }
  return sum / static_cast<double>(n) / static_cast<double>(m);
}
}  // namespace detail

/// The sliced W₂ distance between the empirical measures, in units of the coordinates; their sizes
/// may differ. In one dimension it is exactly W₂. The distance between two samples of the same law
/// is positive and decreases with their size.
/// \param x d × n.
/// \param y d × m.
/// \throws std::invalid_argument for different dimensions, no particles, coordinates that are not
/// finite, or no projections.
inline double sliced_wasserstein(const Particles& x, const Particles& y,
                                 const SlicedWasserstein& options = {}) {
  detail::check_clouds("wgf::sliced_wasserstein", x, y, 1);
  if (options.projections < 1)
    throw std::invalid_argument("wgf::sliced_wasserstein: projections must be positive, got " +
                                std::to_string(options.projections));
  const int dim = static_cast<int>(x.rows()), count = dim == 1 ? 1 : options.projections;
  constexpr std::uint32_t stream =
      0x534c4943;  // "SLIC": independent of particles drawn with the same seed
  Particles directions = dim == 1 ? Particles(Particles::Ones(1, 1))
                                  : standard_normals(dim, count, options.seed, stream);
  directions.colwise().normalize();
  double sum = 0;
  Eigen::VectorXd p(x.cols()), q(y.cols());
  for (int k = 0; k < count; ++k) {
    const Eigen::VectorXd direction = directions.col(k);
    p.noalias() = x.transpose() * direction;
    q.noalias() = y.transpose() * direction;
    std::sort(p.begin(), p.end());
    std::sort(q.begin(), q.end());
    sum += detail::squared_wasserstein_1d(p, q);
  }
  return std::sqrt(sum / count);
}

}  // namespace wgf
