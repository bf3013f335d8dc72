// SPDX-License-Identifier: BSL-1.0
#pragma once
// log det ∇T of a residual network T(x) = x + A x + f(x), and its gradient in the parameters,
// exactly. The tangents of a point are the derivatives of the layers in each coordinate: d more
// rows of the same products. A layer z = y W + b, y⁺ = σ(z) has the tangents ż = ẏ W, ẏ⁺ = σ'(z) ż.
// As ∂ log det M = tr(M⁻¹ ∂M), the gradient is a vector-Jacobian product through the tangents whose
// upstream gradient is M⁻ᵀ.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "activation.hpp"
#include "layer_products.hpp"

namespace wgf::eigen {

/// A d × d matrix that is inverted in place.
class Inverse {
 public:
  explicit Inverse(int d)
      : d_(d),
        row_(padded<double>(d)),
        a_(static_cast<std::size_t>(d) * row_),
        factors_(static_cast<std::size_t>(row_)),
        pivots_(static_cast<std::size_t>(d)) {}

  double& operator()(int r, int c) { return a_.data()[r * row_ + c]; }

  /// Inverts the matrix. \returns the logarithm of its determinant, which is NaN unless the
  /// determinant is positive
  double invert() {
    const int d = d_, width = row_;
    double log_det = 0, *const a = a_.data(), *const factors = factors_.data();
    bool positive = true;
    for (int k = 0; k < d; ++k) {  // Gauss–Jordan with partial pivoting
      // The column is set to zero well before its registers are read: they could not be read while
      // an element of them is on its way to memory.
      for (int r = 0; r < d; ++r) factors[r] = std::exchange(a[r * width + k], 0.0);
      int pivot = k;
      double largest = std::abs(factors[k]);
      for (int r = k + 1; r < d; ++r)
        if (const double size = std::abs(factors[r]); size > largest) largest = size, pivot = r;
      pivots_[static_cast<std::size_t>(k)] = pivot;
      const double value = factors[pivot];
      if (!(largest > 0)) return std::numeric_limits<double>::quiet_NaN();
      log_det += std::log(largest);
      positive = positive == ((value > 0) == (pivot == k));
      double* const row = a + k * width;
      if (pivot != k) {
        std::swap_ranges(row, row + width, a + pivot * width);
        factors[pivot] = factors[k];
      }
      const double inverse = 1 / value;
      for (int c = 0; c < width; c += lanes<double>)
        store(row + c, broadcast(inverse) * load(row + c));
      row[k] = inverse;
      for (int r = 0; r < d; ++r) {
        if (r == k) continue;
        double* const other = a + r * width;
        const auto factor = broadcast(-factors[r]);
        for (int c = 0; c < width; c += lanes<double>)
          store(other + c, fma(factor, load(row + c), load(other + c)));
      }
    }
    for (int k = d; k-- > 0;)
      if (const int pivot = pivots_[static_cast<std::size_t>(k)]; pivot != k)
        for (int r = 0; r < d; ++r) std::swap(a[r * width + k], a[r * width + pivot]);
    return positive ? log_det : std::numeric_limits<double>::quiet_NaN();
  }

 private:
  int d_, row_;  // the rows are padded with zeros
  Buffer<double> a_, factors_;
  std::vector<int> pivots_;
};

/// A function of a point's index and log det that gives no weight to its gradient.
template <class Give>
auto without_weights(Give& give) {
  return [&give](int i, double log_det) {
    give(i, log_det);
    return 0.0;
  };
}

/// Where the tangents find a layer of the network, and where its gradients go.
template <class Scalar>
struct TangentLayer {
  const Scalar *weight, *bias, *transposed;  // transposed: out × in
  Scalar slope;                              // of the activation, where it has one
  Scalar *dweight, *dbias, *dslope;          // null: no gradients are wanted
};

/// The matrix A of the network's affine part, Aᵀ, and its gradient, each d rows A[in][out], padded;
/// null without one.
template <class Scalar>
struct AffinePart {
  const Scalar *matrix, *transposed;
  Scalar* gradient;
};

/// The scratch of one worker, and the passes.
/// \tparam W the width of the hidden layers \tparam Depth the number of layers
template <class Act, class Scalar, int W, int Depth>
class Tangents {
  static constexpr int last = Depth - 1;

 public:
  /// The network.
  struct Layers {
    std::array<TangentLayer<Scalar>, Depth> layer;
    AffinePart<Scalar> affine;
    Scalar input_scale;
  };

  explicit Tangents(int dim) : Tangents(dim, dim, std::max(1, 96 / (1 + dim))) {}
  /// For `group` points at a time, with this number of tangents each.
  Tangents(int dim, int tangents, int group)
      : dim_(dim),
        padded_(padded<Scalar>(dim)),
        group_(group),
        rows_((1 + tangents) * group_),
        x_(static_cast<std::size_t>(group_) * padded_),
        matrix_(static_cast<std::size_t>(group_) * tangents * padded_),
        back_{Buffer<Scalar>(static_cast<std::size_t>(rows_) * W),
              Buffer<Scalar>(static_cast<std::size_t>(rows_) * W)},
        inverse_(dim) {
    for (Hidden& h : hidden_)
      for (Buffer<Scalar>* b : {&h.y, &h.z})
        *b = Buffer<Scalar>(static_cast<std::size_t>(rows_) * W);
    for (Hidden& h : hidden_)
      for (Buffer<Scalar>* b : {&h.slope, &h.curvature})
        *b = Buffer<Scalar>(static_cast<std::size_t>(group_) * W);
  }

  /// M = (1 − e) I + e ∇T(x_i) for the n rows of x. Calls weigh(i, log det M) for each: NaN where
  /// the determinant is not positive. If the layers have gradients, the numbers that it returns are
  /// the factors c_i with which Σ c_i ∂ log det M is added to them.
  template <class Weigh>
  void run(const Layers& net, const Scalar* x, std::ptrdiff_t ldx, int n, double extrapolation,
           Weigh&& weigh) {
    const AffinePart<Scalar>& affine = net.affine;
    for (int first = 0; first < n; first += group_) {
      const int count = std::min(group_, n - first);
      scale_points(net, x + first * ldx, ldx, count);
      forward(net, count);
      bool any = false;
      for (int i = 0; i < count; ++i) {
        if (affine.matrix) add(affine.matrix, derivative(i));
        const double log_det = factorise(i, extrapolation);
        const double factor = weigh(first + i, log_det);
        if (!net.layer[0].dweight) continue;
        any = any || std::isfinite(log_det);
        set_upstream(i, std::isfinite(log_det) ? extrapolation * factor : 0);
        if (affine.gradient) add(derivative(i), affine.gradient);
      }
      if (any) backward<true>(net, count, dim_, nullptr);
    }
  }

  // ---- products with M = ∇T, for probes.hpp; rows i·k + j of u, v and Mv belong to point i

  static constexpr bool symmetric = false;
  /// Starts with these points, of which there must not be more than in a group.
  void set_points(const Layers& net, const Scalar* x, std::ptrdiff_t ldx, int count) {
    scale_points(net, x, ldx, count);
    for (int l = 0; l < last; ++l) {
      Hidden& h = hidden_[l];
      const TangentLayer<Scalar>& a = net.layer[l];
      const To<Scalar, W> to{h.z.data()};
      if (l == 0)
        product<W, Scalar>(count, W, dim_, RowMajor<Scalar>{x_.data(), padded_}, a.weight, W,
                           Bias<Scalar>{a.bias}, to);
      else
        product<W, Scalar>(count, W, W, RowMajor<Scalar, W>{hidden_[l - 1].y.data()}, a.weight, W,
                           Bias<Scalar>{a.bias}, to);
      for (int at = 0; at < count * W; at += lanes<Scalar>) {
        Vec<Scalar> d, d2;
        store(h.y.data() + at, Act::derivatives(load(h.z.data() + at), broadcast(a.slope), d, d2));
        store(h.slope.data() + at, d), store(h.curvature.data() + at, d2);
      }
    }
  }
  /// k products for each point.
  void multiply(const Layers& net, int count, int k, const Scalar* v, Scalar* product_with_v) {
    const int rows = count * k;
    for (int l = 0; l < last; ++l) {
      Hidden& h = hidden_[l];
      Scalar* const zdot = h.z.data() + count * W;
      if (l == 0)
        product<W, Scalar>(rows, W, dim_, RowMajor<Scalar>{v, padded_}, net.layer[l].weight, W,
                           FromZero<Scalar>{}, ToScaled<Scalar>{zdot, W, net.input_scale});
      else
        product<W, Scalar>(rows, W, W, RowMajor<Scalar, W>{hidden_[l - 1].y.data() + count * W},
                           net.layer[l].weight, W, FromZero<Scalar>{}, To<Scalar, W>{zdot});
      times_slope(h, count, k, zdot, h.y.data() + count * W);
    }
    const To<Scalar> to{product_with_v, padded_};
    product<0, Scalar>(rows, padded_, W,
                       RowMajor<Scalar, W>{hidden_[last - 1].y.data() + count * W},
                       net.layer[last].weight, padded_, From<Scalar>{v, padded_}, to);
    if (net.affine.matrix)
      product<0, Scalar>(rows, padded_, dim_, RowMajor<Scalar>{v, padded_}, net.affine.matrix,
                         padded_, From<Scalar>{product_with_v, padded_}, to);
  }
  /// The same with Mᵀ.
  void multiply_transposed(const Layers& net, int count, int k, const Scalar* v,
                           Scalar* product_with_v) {
    const int rows = count * k;
    Scalar *g = back_[0].data(), *next = back_[1].data();
    product<W, Scalar>(rows, W, dim_, RowMajor<Scalar>{v, padded_}, net.layer[last].transposed, W,
                       FromZero<Scalar>{}, To<Scalar, W>{g});
    for (int l = last - 1; l >= 0; --l) {
      times_slope(hidden_[l], count, k, g, g);
      if (l == 0) break;
      product<W, Scalar>(rows, W, W, RowMajor<Scalar, W>{g}, net.layer[l].transposed, W,
                         FromZero<Scalar>{}, To<Scalar, W>{next});
      std::swap(g, next);
    }
    product<0, Scalar>(rows, padded_, W, RowMajor<Scalar, W>{g}, net.layer[0].transposed, padded_,
                       FromZero<Scalar>{},
                       ToScaledPlus<Scalar>{product_with_v, padded_, net.input_scale, v});
    if (net.affine.matrix)
      product<0, Scalar>(rows, padded_, dim_, RowMajor<Scalar>{v, padded_}, net.affine.transposed,
                         padded_, From<Scalar>{product_with_v, padded_},
                         To<Scalar>{product_with_v, padded_});
  }
  /// Adds the gradient of Σ uᵀMv, with k pairs u, v for each point.
  void accumulate(const Layers& net, int count, int k, const Scalar* u, const Scalar* v) {
    multiply(net, count, k, v, matrix_.data());  // for the tangents
    std::copy_n(u, count * k * padded_, matrix_.data());
    if (net.affine.gradient)
      Kernels<Scalar>::template add_weights<0>(v, padded_, dim_, u, padded_, count * k,
                                               net.affine.gradient);
    backward<false>(net, count, k, v);
  }

 private:
  // Rows 0 … count − 1 belong to the points, row count + i·k + j to the tangent j of the k of point
  // i. In templates, `unit` says that the tangents are those in each coordinate: there are no
  // directions then.
  struct Hidden {
    Buffer<Scalar> y, z;              // y = σ(z) and ẏ; z and ż
    Buffer<Scalar> slope, curvature;  // σ'(z), σ''(z)
  };

  void scale_points(const Layers& net, const Scalar* x, std::ptrdiff_t ldx, int count) {
    for (int r = 0; r < count; ++r)
      for (int c = 0; c < padded_; ++c)
        x_.data()[r * padded_ + c] = net.input_scale * x[r * ldx + c];
  }
  /// to = σ'⊙from for k tangents of each point.
  static void times_slope(const Hidden& h, int count, int k, const Scalar* from, Scalar* to) {
    for (int i = 0; i < count; ++i)
      for (int c = 0; c < W; c += lanes<Scalar>) {
        const Vec<Scalar> d = load(h.slope.data() + i * W + c);
        for (int row = i * k; row < (i + 1) * k; ++row)
          store(to + row * W + c, d * load(from + row * W + c));
      }
  }
  void forward(const Layers& net, int count) {
    const int tangents = count * dim_;
    for (int l = 0; l < last; ++l) {
      Hidden& h = hidden_[l];
      const TangentLayer<Scalar>& a = net.layer[l];
      const To<Scalar, W> to{h.z.data()};
      Scalar* const zdot = h.z.data() + count * W;
      if (l == 0) {
        product<W, Scalar>(count, W, dim_, RowMajor<Scalar>{x_.data(), padded_}, a.weight, W,
                           Bias<Scalar>{a.bias}, to);
        const Vec<Scalar> scale = broadcast(net.input_scale);
        for (int j = 0; j < dim_; ++j)
          for (int c = 0; c < W; c += lanes<Scalar>) {
            const Vec<Scalar> w = scale * load(a.weight + j * W + c);
            for (int i = 0; i < count; ++i) store(zdot + (i * dim_ + j) * W + c, w);
          }
      } else {
        const Scalar* y = hidden_[l - 1].y.data();
        product<W, Scalar>(count + tangents, W, W, RowMajor<Scalar, W>{y}, a.weight, W,
                           FirstRows<Scalar>{a.bias, count}, to);
      }
      const Vec<Scalar> slope = broadcast(a.slope);
      for (int i = 0; i < count; ++i)
        for (int c = 0; c < W; c += lanes<Scalar>) {
          const int at = i * W + c;
          Vec<Scalar> d, d2;
          store(h.y.data() + at, Act::derivatives(load(h.z.data() + at), slope, d, d2));
          store(h.slope.data() + at, d), store(h.curvature.data() + at, d2);
          for (int j = 0; j < dim_; ++j) {
            const int t = (count + i * dim_ + j) * W + c;
            store(h.y.data() + t, d * load(h.z.data() + t));
          }
        }
    }
    product<0, Scalar>(
        tangents, padded_, W, RowMajor<Scalar, W>{hidden_[last - 1].y.data() + count * W},
        net.layer[last].weight, padded_, FromZero<Scalar>{}, To<Scalar>{matrix_.data(), padded_});
  }
  /// The derivative of T(x) − x at point i; its row j is that in x_j.
  Scalar* derivative(int i) { return matrix_.data() + i * dim_ * padded_; }
  /// Adds a matrix of the derivative's shape to another.
  void add(const Scalar* from, Scalar* to) const {
    for (int at = 0; at < dim_ * padded_; at += lanes<Scalar>)
      store(to + at, load(to + at) + load(from + at));
  }
  /// log det M for point i. Sets inverse_.
  double factorise(int i, double extrapolation) {
    const Scalar* const m = derivative(i);
    for (int j = 0; j < dim_; ++j)
      for (int c = 0; c < dim_; ++c)
        inverse_(j, c) = extrapolation * static_cast<double>(m[j * padded_ + c]) + (j == c ? 1 : 0);
    return inverse_.invert();
  }
  /// The derivative at point i becomes factor · M⁻ᵀ.
  void set_upstream(int i, double factor) {
    Scalar* const m = derivative(i);
    for (int j = 0; j < dim_; ++j)
      for (int c = 0; c < dim_; ++c)
        m[j * padded_ + c] = factor == 0 ? Scalar(0) : static_cast<Scalar>(factor * inverse_(c, j));
  }
  /// From the gradients in the k derivatives of each point along its tangents, in matrix_.
  template <bool unit>
  void backward(const Layers& net, int count, int k, const Scalar* directions) {
    using K = Kernels<Scalar>;
    const int tangents = count * k, rows = count + tangents;
    Scalar *g = back_[0].data(), *next = back_[1].data();
    K::template add_weights<0>(hidden_[last - 1].y.data() + count * W, W, W, matrix_.data(),
                               padded_, tangents, net.layer[last].dweight);
    std::fill_n(g, count * W, Scalar(0));  // T itself has no upstream gradient
    product<W, Scalar>(tangents, W, dim_, RowMajor<Scalar>{matrix_.data(), padded_},
                       net.layer[last].transposed, W, FromZero<Scalar>{},
                       To<Scalar, W>{g + count * W});
    for (int l = last - 1; l >= 0; --l) {
      const TangentLayer<Scalar>& a = net.layer[l];
      through_activation(hidden_[l], a, g, count, k);
      K::add_rows(g, W, count, a.dbias);
      if (l > 0) {
        K::template add_weights<W, W>(hidden_[l - 1].y.data(), W, W, g, W, rows, a.dweight);
        product<W, Scalar>(rows, W, W, RowMajor<Scalar, W>{g}, a.transposed, W, FromZero<Scalar>{},
                           To<Scalar, W>{next});
        std::swap(g, next);
        continue;
      }
      K::template add_weights<W>(x_.data(), padded_, dim_, g, W, count, a.dweight);
      const Vec<Scalar> scale = broadcast(net.input_scale);
      if constexpr (!unit) {
        Scalar* const along = g + count * W;
        for (int at = 0; at < tangents * W; at += lanes<Scalar>)
          store(along + at, scale * load(along + at));
        K::template add_weights<W>(directions, padded_, dim_, along, W, tangents, a.dweight);
        continue;
      }
      for (int j = 0; j < dim_; ++j)
        for (int c = 0; c < W; c += lanes<Scalar>) {
          Vec<Scalar> total{};
          for (int i = 0; i < count; ++i) total += load(g + (count + i * dim_ + j) * W + c);
          store(a.dweight + j * W + c, fma(scale, total, load(a.dweight + j * W + c)));
        }
    }
  }
  /// g holds the gradients in y and ẏ; they become those in z and ż.
  void through_activation(const Hidden& h, const TangentLayer<Scalar>& a, Scalar* g, int count,
                          int k) {
    [[maybe_unused]] Vec<Scalar> dslope{};
    for (int i = 0; i < count; ++i)
      for (int c = 0; c < W; c += lanes<Scalar>) {
        const int at = i * W + c;
        const Vec<Scalar> d = load(h.slope.data() + at), d2 = load(h.curvature.data() + at);
        const Vec<Scalar> z = load(h.z.data() + at), dy = load(g + at);
        Vec<Scalar> dz = d * dy;
        if constexpr (Act::learned) dslope = fma(dy, min_with_zero(z), dslope);
        for (int j = 0; j < k; ++j) {
          const int t = (count + i * k + j) * W + c;
          const Vec<Scalar> dt = load(g + t), product_of_tangents = dt * load(h.z.data() + t);
          dz = fma(d2, product_of_tangents, dz);
          if constexpr (Act::learned) dslope += if_negative(z, product_of_tangents, Vec<Scalar>{});
          store(g + t, d * dt);
        }
        store(g + at, dz);
      }
    if constexpr (Act::learned) *a.dslope += sum(dslope);
  }

  int dim_, padded_, group_, rows_;
  Buffer<Scalar> x_, matrix_;
  std::array<Hidden, last> hidden_;
  std::array<Buffer<Scalar>, 2> back_;
  Inverse inverse_;
};

}  // namespace wgf::eigen
