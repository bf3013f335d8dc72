// SPDX-License-Identifier: BSL-1.0
#pragma once
// The laws of a flow of affine maps from a Gaussian P_0: all of them are Gaussian.
#include <utility>

#include "../linear_algebra.hpp"
#include "../network/affine_form.hpp"

namespace wgf {

/// P_0, P_1, …, stage by stage, in closed form.
class GaussianPath {
 public:
  explicit GaussianPath(const Gaussian& p0)
      : initial_(p0),
        law_(p0),
        map_{Eigen::MatrixXd::Identity(p0.dim(), p0.dim()), Eigen::VectorXd::Zero(p0.dim())},
        before_(map_) {}

  /// P_k.
  const Gaussian& law() const { return law_; }
  /// The law of X_k + inertia·(X_k − X_{k−1}), to which the next stage applies its map.
  Gaussian start(double inertia) const {
    return inertia == 0 ? law_ : extrapolated(inertia).push_forward(initial_);
  }
  /// Advances to P_{k+1}.
  /// \throws std::invalid_argument, changing nothing, if the map does not take P_k to a Gaussian.
  void advance(const AffineForm& map, double inertia) {
    const AffineForm from = extrapolated(inertia);
    Gaussian next = map.push_forward(start(inertia));
    law_ = std::move(next);
    before_ = std::exchange(map_, AffineForm{detail::product(map.matrix, from.matrix),
                                             detail::times(map.matrix, from.offset) + map.offset});
  }

 private:
  AffineForm extrapolated(double inertia) const {
    if (inertia == 0) return map_;
    return {(1 + inertia) * map_.matrix - inertia * before_.matrix,
            (1 + inertia) * map_.offset - inertia * before_.offset};
  }
  Gaussian initial_, law_;
  AffineForm map_, before_;  // from X_0 to X_k and to X_{k−1}
};

}  // namespace wgf
