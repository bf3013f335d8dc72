// SPDX-License-Identifier: BSL-1.0
#pragma once
// ∇ log q of a Gaussian mixture, one tile of points at a time: arrays run over the points, so that
// registers are filled in two dimensions as well as in thirty.
#include <limits>
#include <vector>

#include "../../measure/gaussian_mixture.hpp"
#include "tiles.hpp"

namespace wgf::eigen {

template <class Scalar>
class MixtureKernel {
  using Array = Eigen::Array<Scalar, Eigen::Dynamic, 1>;
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;

 public:
  MixtureKernel(const GaussianMixture& mixture, int workers) : dim_(mixture.dim()) {
    const auto n = static_cast<Eigen::Index>(mixture.components().size());
    for (Eigen::Index c = 0; c < n; ++c) {
      const Gaussian& g = mixture.components()[static_cast<std::size_t>(c)];
      const Eigen::MatrixXd precision = g.precision();
      const double scale = precision(0, 0);
      const bool isotropic = precision == scale * Eigen::MatrixXd::Identity(dim_, dim_);
      // At its mean a component's log-density is its log-normaliser.
      components_.push_back({g.mean().cast<Scalar>(), precision.cast<Scalar>(), Scalar(scale),
                             isotropic,
                             Scalar(std::log(mixture.weights()[static_cast<std::size_t>(c)]) +
                                    g.log_density(g.mean()))});
    }
    rows_ = 4 * dim_ + static_cast<int>(n) + 2;
    scratch_ = Buffer<Scalar>(static_cast<std::size_t>(workers) * rows_ * scratch_rows);
  }

  /// g += scale · ∇ log q(y).
  template <class Y, class G>
  void add_gradient(Slice s, const Y& y, G&& g, Scalar scale) {
    Scalar* at = scratch_.data() + static_cast<std::size_t>(s.worker) * rows_ * scratch_rows;
    const auto next = [&] {
      const Values<Scalar> row(at, s.size);
      at += scratch_rows;
      return row;
    };
    const auto rows = [&](int n) {
      const Columns<Scalar> block(at, s.size, n, Eigen::OuterStride<>(scratch_rows));
      at += n * scratch_rows;
      return block;
    };
    auto x = rows(dim_), sum = rows(dim_), offset = rows(dim_), solved = rows(dim_);
    auto log_share = rows(static_cast<int>(components_.size()));
    auto top = next(), total = next();
    x = y.transpose();
    top.setConstant(-std::numeric_limits<Scalar>::infinity());
    for (std::size_t c = 0; c < components_.size(); ++c) {
      auto e = log_share.col(static_cast<Eigen::Index>(c));
      solve(components_[c], x, offset, solved);
      e.setConstant(components_[c].log_weight);
      for (int i = 0; i < dim_; ++i) e -= Scalar(0.5) * offset.col(i) * solved.col(i);
      top = top.max(e);
    }
    total.setZero(), sum.setZero();
    for (std::size_t c = 0; c < components_.size(); ++c) {
      auto share = log_share.col(static_cast<Eigen::Index>(c));
      share = (share - top).exp();
      total += share;
      if (components_.size() > 1) solve(components_[c], x, offset, solved);
      for (int i = 0; i < dim_; ++i) sum.col(i) -= share * solved.col(i);
    }
    for (int i = 0; i < dim_; ++i) g.row(i) += (scale * sum.col(i) / total).transpose();
  }

 private:
  struct Component {
    Eigen::Matrix<Scalar, Eigen::Dynamic, 1> mean;
    Matrix precision;
    Scalar scale;
    bool isotropic;
    Scalar log_weight;
  };
  /// offset = x − mean, solved = precision · offset.
  template <class X, class O>
  [[gnu::noinline]] void solve(const Component& c, const X& x, O& offset, O& solved) const {
    for (int i = 0; i < dim_; ++i) offset.col(i) = x.col(i) - c.mean[i];
    for (int i = 0; i < dim_; ++i)
      if (c.isotropic) {
        solved.col(i) = c.scale * offset.col(i);
      } else {
        solved.col(i) = c.precision(i, 0) * offset.col(0);
        for (int j = 1; j < dim_; ++j) solved.col(i) += c.precision(i, j) * offset.col(j);
      }
  }
  int dim_, rows_;
  std::vector<Component> components_;
  Buffer<Scalar> scratch_;
};

}  // namespace wgf::eigen
