// SPDX-License-Identifier: BSL-1.0
#pragma once
// Memory of the LibTorch backend: points as n × d tensors, the single slice of a batch, and
// operations on points. Only the LibTorch headers that are used are included: the umbrella header
// takes four times as long to compile.
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// Must come first: it includes what other headers of LibTorch 1.13 omit, which clang rejects.
#include <ATen/core/ivalue.h>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/exp2.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/linalg_inv_ex.h>
#include <ATen/ops/linalg_slogdet.h>
#include <ATen/ops/log.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/prelu.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <Eigen/Core>

#include "../../particles.hpp"

namespace wgf::libtorch {

using at::Tensor;

/// The whole batch: points [begin, begin + size).
struct Slice {
  long begin, size;
};

/// A tensor that refers to memory: what is assigned to it is written there. Everything else is
/// inherited from at::Tensor.
class View : public Tensor {
 public:
  View() = default;
  explicit View(Tensor memory) : Tensor(std::move(memory)) {}
  View(const View&) = default;
  View& operator=(const Tensor& values) {
    this->copy_(values);
    return *this;
  }
  View& operator=(const View& values) { return *this = static_cast<const Tensor&>(values); }
};

/// Points in memory owned elsewhere, one row per point; window(slice) is the tensor of a slice.
class PointsView {
 public:
  PointsView() = default;
  explicit PointsView(Tensor points) : tensor_(std::move(points)) {}
  View operator()(Slice s) const {
    return View(s.begin == 0 && s.size == count() ? tensor_ : tensor_.narrow(0, s.begin, s.size));
  }
  View all() const { return View(tensor_); }
  PointsView window(long begin, long count) const {
    return PointsView(tensor_.narrow(0, begin, count));
  }
  int dim() const { return static_cast<int>(tensor_.size(1)); }
  long count() const { return tensor_.size(0); }

 private:
  Tensor tensor_;
};

/// Points that own their memory: copies have separate memory.
class Points : public PointsView {
 public:
  Points() = default;
  Points(int dim, long count, const at::TensorOptions& options)
      : PointsView(at::zeros({count, dim}, options)) {}
  Points(Points&&) = default;
  Points& operator=(Points&&) = default;
  Points(const Points&) = delete;
  Points& operator=(const Points&) = delete;
};

/// A matrix for set_affine and add_affine, transposed because points are rows. (A vector is a
/// matrix with one column.)
struct Constant {
  Tensor transposed;
};

// ---- transfers to and from the host

/// A d × n matrix on the host as an n × d tensor that shares its memory.
inline Tensor shared_with(const Eigen::MatrixXd& a) {
  return at::from_blob(const_cast<double*>(a.data()), {a.cols(), a.rows()}, at::kDouble);
}
/// How often this thread has copied numbers to the host, or has done work that may do so: such work
/// cannot be recorded.
inline thread_local long host_visits = 0;
/// The inverse of shared_with, as a copy.
inline Eigen::MatrixXd on_host(const Tensor& t) {
  ++host_visits;
  const Tensor host = t.detach().to(at::kCPU, at::kDouble).contiguous();
  return Eigen::Map<const Eigen::MatrixXd>(host.data_ptr<double>(), host.size(1), host.size(0));
}

// ---- operations on points

/// z = A·y + b. y may share z's memory.
inline void set_affine(const Constant& a, const Constant& b, const Tensor& y, const Tensor& z) {
  Tensor to = z;
  if (z.is_alias_of(y)) to.copy_(at::addmm(b.transposed, y, a.transposed));
  else at::addmm_out(to, b.transposed, y, a.transposed);
}
/// z += A·y + b.
inline void add_affine(const Constant& a, const Constant& b, const Tensor& y, const Tensor& z) {
  Tensor to = z;
  to.addmm_(y, a.transposed).add_(b.transposed);
}
/// z_i = offset − ½|y_i|², where z is one-dimensional.
inline void set_normal_log_density(Slice, const Tensor& y, double offset, const Tensor& z) {
  z.copy_(offset - 0.5 * y.square().sum(1, true));
}
/// Σ f(y_i), where f maps points to numbers in double precision, on the host.
template <class F>
double sum_pointwise(Slice, const Tensor& y, const F& f) {
  const Eigen::MatrixXd x = on_host(y);
  double total = 0;
  Eigen::VectorXd point;
  for (Eigen::Index i = 0; i < x.cols(); ++i) point = x.col(i), total += f(point);
  return total;
}
/// z_i += weight·f(y_i), where f maps points to points in double precision, such as a gradient
/// written by a user, on the host.
template <class F>
void add_pointwise(Slice, const Tensor& y, const Tensor& z, double weight, const F& f) {
  const Eigen::MatrixXd x = on_host(y);
  Eigen::MatrixXd values(x.rows(), x.cols());
  Eigen::VectorXd point;
  for (Eigen::Index i = 0; i < x.cols(); ++i) {
    point = x.col(i);
    const Eigen::VectorXd value = f(point);
    if (value.size() != x.rows())
      throw std::invalid_argument("the gradient at a point must have " + std::to_string(x.rows()) +
                                  " coordinates, got " + std::to_string(value.size()));
    values.col(i) = weight * value;
  }
  Tensor to = z;
  to.add_(shared_with(values).to(z.options()));
}

/// Sum over the batch, on the device, in double precision.
class Sum {
 public:
  void add(Slice, const Tensor& v) {
    const Tensor now = v.to(at::kDouble);
    on_device_ = on_device_.defined() ? on_device_ + now : now;
  }
  void add(Slice, double v) { on_host_ += v; }
  /// Waits for the device.
  double value() const { return on_host_ + (on_device_.defined() ? on_device_.item<double>() : 0); }
  /// A boolean tensor with one element; requires a sum of tensors.
  Tensor finite() const { return at::isfinite(on_device_); }
  /// log(sum/n), a tensor with one element.
  Tensor log_mean(long n) const {
    return at::log((on_device_ + on_host_) / static_cast<double>(n));
  }

 private:
  Tensor on_device_;
  double on_host_ = 0;
};

}  // namespace wgf::libtorch
