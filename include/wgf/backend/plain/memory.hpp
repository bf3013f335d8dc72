// SPDX-License-Identifier: BSL-1.0
#pragma once
// Memory of the plain backend: points, the single slice of a batch, and operations on points. The
// other files of this folder: networks, optimiser, backend.
#include <cmath>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <Eigen/Core>

namespace wgf::plain {

template <class S>
using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic>;
template <class S>
using Array = Eigen::Array<S, Eigen::Dynamic, Eigen::Dynamic>;
/// Numbers, one per point, and coordinates of points (d × n), in memory owned elsewhere.
template <class S>
using Values = Eigen::Map<Eigen::Array<S, Eigen::Dynamic, 1>>;
template <class S>
using Columns = Eigen::Map<Array<S>>;

/// Points [begin, begin + size) of a batch.
struct Slice {
  long begin, size;
};

/// Points in memory owned elsewhere. x(slice) can be read and written to.
template <class S>
class PointsView {
 public:
  PointsView() = default;
  PointsView(S* data, int dim, long count) : data_(data), dim_(dim), count_(count) {}
  Columns<S> operator()(Slice s) const { return {data_ + s.begin * dim_, dim_, s.size}; }
  Columns<S> all() const { return {data_, dim_, count_}; }
  PointsView window(long begin, long count) const { return {data_ + begin * dim_, dim_, count}; }
  int dim() const { return dim_; }
  long count() const { return count_; }

 private:
  S* data_ = nullptr;
  int dim_ = 0;
  long count_ = 0;
};
/// Points that own their memory.
template <class S>
class Points : public PointsView<S> {
 public:
  Points() = default;
  Points(int dim, long n)
      : Points(std::make_unique<S[]>(static_cast<std::size_t>(dim) * n), dim, n) {}

 private:
  Points(std::unique_ptr<S[]> zeros, int dim, long n)
      : PointsView<S>(zeros.get(), dim, n), memory_(std::move(zeros)) {}
  std::unique_ptr<S[]> memory_;
};

/// A matrix or a vector from the host, in the backend's number type.
template <class S>
struct Constant {
  Matrix<S> matrix;
};

/// Sum over the slices of a batch.
class Sum {
 public:
  template <class V>
  void add(Slice, V v) {
    total_ += static_cast<double>(v);
  }
  double value() const { return total_; }
  bool finite() const { return std::isfinite(total_); }
  double log_mean(long n) const { return std::log(total_ / static_cast<double>(n)); }

 private:
  double total_ = 0;
};

// ---- operations on points that combine coordinates, or call a user's function of a point

/// z = A·y + b.
template <class S, class Y, class Z>
void set_affine(const Constant<S>& a, const Constant<S>& b, const Y& y, Z&& z) {
  z = ((a.matrix * y.matrix()).colwise() + b.matrix.col(0)).array();
}
/// z += A·y + b.
template <class S, class Y, class Z>
void add_affine(const Constant<S>& a, const Constant<S>& b, const Y& y, Z&& z) {
  z += ((a.matrix * y.matrix()).colwise() + b.matrix.col(0)).array();
}
/// z_i += weight·f(y_i), where f maps points to points in double precision.
template <class Y, class Z, class F>
void add_pointwise(Slice, const Y& y, Z&& z, double weight, const F& f) {
  using S = typename std::decay_t<Z>::Scalar;
  for (Eigen::Index i = 0; i < y.cols(); ++i) {
    const Eigen::VectorXd value = f(Eigen::VectorXd(y.col(i).template cast<double>()));
    if (value.size() != y.rows())
      throw std::invalid_argument("the gradient at a point must have " + std::to_string(y.rows()) +
                                  " coordinates, got " + std::to_string(value.size()));
    z.col(i) += (weight * value).array().template cast<S>();
  }
}
/// z_i = offset − ½|y_i|², where z is one-dimensional.
template <class Y, class Z>
void set_normal_log_density(Slice, const Y& y, double offset, Z&& z) {
  using Scalar = typename std::decay_t<Z>::Scalar;
  z = static_cast<Scalar>(offset) - Scalar(0.5) * y.square().colwise().sum();
}
/// Σ f(y_i), where f maps points to numbers in double precision.
template <class Y, class F>
double sum_pointwise(Slice, const Y& y, const F& f) {
  double total = 0;
  for (Eigen::Index i = 0; i < y.cols(); ++i)
    total += f(Eigen::VectorXd(y.col(i).template cast<double>()));
  return total;
}

}  // namespace wgf::plain
