// SPDX-License-Identifier: BSL-1.0
#pragma once
// ∇ log q of a Gaussian mixture on tensors: all points and components at once.
#include <cmath>

#include "../../measure/gaussian_mixture.hpp"
#include "tensor.hpp"

namespace wgf::libtorch {

class MixtureKernel {
 public:
  MixtureKernel(const GaussianMixture& mixture, const at::TensorOptions& options) {
    const auto n = static_cast<Eigen::Index>(mixture.components().size());
    const int d = mixture.dim();
    Eigen::MatrixXd means(d, n), precisions(d * d, n), weights(1, n);
    for (Eigen::Index c = 0; c < n; ++c) {
      const Gaussian& g = mixture.components()[static_cast<std::size_t>(c)];
      means.col(c) = g.mean();
      precisions.col(c) = g.precision().reshaped();
      weights(0, c) = std::log(mixture.weights()[static_cast<std::size_t>(c)]) +
                      g.log_density(g.mean());  // log-density at its mean
    }
    const auto on_device = [&](const Eigen::MatrixXd& a) {
      return shared_with(a).to(options, false, true);
    };
    means_ = on_device(means), precisions_ = on_device(precisions).view({n, d, d}),
    weights_ = on_device(weights).squeeze(1);
  }
  /// g += scale · ∇ log q(y).
  void add_gradient(Slice, const Tensor& y, const Tensor& g, double scale) const {
    const Tensor offset = y.unsqueeze(1) - means_.unsqueeze(0);  // n × components × d
    const Tensor solved = at::einsum("ncd,cde->nce", {offset, precisions_});
    const Tensor share = at::softmax(weights_ - 0.5 * (offset * solved).sum(2), 1);
    Tensor to = g;
    to.sub_((share.unsqueeze(2) * solved).sum(1), scale);
  }

 private:
  Tensor means_, precisions_, weights_;
};

}  // namespace wgf::libtorch
