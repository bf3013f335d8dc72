// SPDX-License-Identifier: BSL-1.0
#pragma once
// Sums over pairs of an interaction kernel W on tensors: mean_j ∇W(x_i − y_j), with ∇W(x) =
// 2w'(|x|²)x for radial kernels. On a GPU they are computed by the native CUDA kernel if the
// program links wgf::cuda, for the interaction kernels that it supports; for other radial kernels
// in blocks of pairs that fit the device's memory; for kernels of other forms, which are functions
// on the host, on the host.
#include <algorithm>
#include <type_traits>
#include <utility>

#include "../eigen/backend.hpp"
#include "tensor.hpp"
#if defined(WGF_HAS_CUDA) && defined(WGF_TORCH_HAS_CUDA)
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "../cuda/pair_sum.hpp"
#endif

namespace wgf::libtorch {

/// out_i = mean_j ∇W(x_i − y_j) by the native CUDA kernel, if there is one.
/// \param first the index of the sample that is point 0; −1 if the samples are distinct from the
/// points.
/// \returns whether the sums were computed.
template <InteractionKernel Kernel>
bool native_gradients([[maybe_unused]] const Kernel& kernel, [[maybe_unused]] const Tensor& x,
                      [[maybe_unused]] const Tensor& y, [[maybe_unused]] const Tensor& out,
                      [[maybe_unused]] long first) {
#if defined(WGF_HAS_CUDA) && defined(WGF_TORCH_HAS_CUDA)
  if constexpr (std::is_same_v<Kernel, GaussianKernel> || std::is_same_v<Kernel, QuadraticKernel> ||
                std::is_same_v<Kernel, RingKernel> || std::is_same_v<Kernel, LogarithmicKernel>) {
    if (!x.is_cuda()) return false;
    // CUDA kernels start on the current device, whatever the device of the stream is.
    const c10::cuda::CUDAGuard guard(x.device());
    const auto sum = [&]<class Scalar>(Scalar) {
      cuda::PairOptions options{.stream =
                                    c10::cuda::getCurrentCUDAStream(x.device().index()).stream()};
      options.x_stride = x.stride(0), options.y_stride = y.stride(0),
      options.out_stride = out.stride(0);
      if (first >= 0) options.first = first;
      cuda::pair_gradients(kernel, x.data_ptr<Scalar>(), x.size(0), y.data_ptr<Scalar>(), y.size(0),
                           static_cast<int>(x.size(1)), out.data_ptr<Scalar>(), options);
    };
    if (x.scalar_type() == at::kFloat) sum(float());
    else sum(double());
    return true;
  }
#endif
  return false;
}

/// Calls f(first, count, difference, q) for blocks of the points x: the differences x_i − y_j
/// (count × m × d) and their squared lengths (count × m).
template <class F>
void each_block_of_pairs(const Tensor& x, const Tensor& y, F&& f) {
  constexpr long most = 1L << 23;  // coordinates of pairs at a time
  const long n = x.size(0), block = std::max(1L, most / std::max(1L, y.size(0) * x.size(1)));
  for (long first = 0; first < n; first += block) {
    const long count = std::min(block, n - first);
    const Tensor difference = x.narrow(0, first, count).unsqueeze(1) - y.unsqueeze(0);
    f(first, count, difference, difference.square().sum(2));
  }
}

/// Sums over pairs for the batch of an iteration. The points themselves are among the samples, from
/// index `own` on.
template <InteractionKernel Kernel, class Scalar>
class PairSum {
 public:
  PairSum(const Kernel& kernel, const eigen::EigenRuntime<Scalar>& host)
      : kernel_(kernel), host_(&host) {}

  /// out += weight · the mean over j ≠ i of ∇W(x_i − y_j), where x_i is sample own + i.
  void add_gradient(Slice, const Tensor& x, const PointsView& y, const Tensor& out, double weight,
                    long own) const {
    const double others = static_cast<double>(y.count() - 1);
    Tensor to = out;
    if (Tensor native = at::empty_like(x); native_gradients(kernel_, x, y.all(), native, own)) {
      to.add_(native, weight);
    } else if constexpr (RadialKernel<Kernel>) {
      each_block_of_pairs(
          x, y.all(), [&](long first, long count, const Tensor& difference, const Tensor& q) {
            Tensor derivative = kernel_.derivative(q);
            derivative.diagonal(own + first).zero_();
            to.narrow(0, first, count)
                .add_((derivative.unsqueeze(2) * difference).sum(1), 2 * weight / others);
          });
    } else {
      eigen::Points<Scalar> at(y.dim(), y.count()), sums(y.dim(), y.count());
      host_->upload(on_host(y.all()), at);
      host_->self_gradients(kernel_, at, sums);
      to.add_(shared_with(host_->download(sums.window(own, x.size(0)))).to(to.options()), weight);
    }
  }
  /// Σ_i of the mean over j ≠ i of W(x_i − y_j).
  double value(Slice, const Tensor& x, const PointsView& y, long own) const {
    const double others = static_cast<double>(y.count() - 1);
    double total = 0;
    if constexpr (RadialKernel<Kernel>) {
      each_block_of_pairs(x, y.all(), [&](long first, long, const Tensor&, const Tensor& q) {
        Tensor values = kernel_.value(q);
        values.diagonal(own + first).zero_();
        total += values.sum(at::kDouble).template item<double>() / others;
      });
    } else {
      const Eigen::MatrixXd points = on_host(y.all());
      for (long i = 0; i < x.size(0); ++i)
        for (long j = 0; j < points.cols(); ++j)
          if (j != own + i)
            total += kernel_value(kernel_, Eigen::VectorXd(points.col(own + i) - points.col(j))) /
                     others;
    }
    return total;
  }

 private:
  Kernel kernel_;
  const eigen::EigenRuntime<Scalar>* host_;
};

}  // namespace wgf::libtorch
