// SPDX-License-Identifier: BSL-1.0
#pragma once
// Affine maps on the CPU: T(x) = x + x C + c (points are rows here). C and c are the parameters
// themselves (Affine), or the product of the layers of a deep linear network (appendix D.2), C =
// W_1 … W_D. The product is formed once after each descent step instead of passing every point
// through the layers; the gradients of the layers follow from that of C by the chain rule.
#include <vector>

#include "mlp.hpp"

namespace wgf::eigen {

/// Shared by both: the operations on a tile, with C (in × padded out) and c. `composite` is a view
/// of C followed by c, and so is `gradient`.
template <class Scalar>
class AffineKernel : Kernels<Scalar> {
 public:
  AffineKernel(ThreadTeam& team, int dim, long batch, Keep keep)
      : row_(keep, team.workers.count(), batch),
        dim_(dim),
        padded_(padded<Scalar>(dim)),
        transposed_(static_cast<std::size_t>(dim) * padded_),
        output_(row_.count * padded_),
        dx_(row_.count * padded_) {}
  int padded_dim() const { return padded_; }
  std::size_t size() const { return static_cast<std::size_t>(dim_ + 1) * padded_; }

  Columns<Scalar> forward(Slice s, const Scalar* x, std::ptrdiff_t ldx, const Scalar* matrix,
                          const Scalar* offset) {
    Scalar* out = output_.data() + row_(s) * padded_;
    product<0, Scalar>(s.size, padded_, dim_, RowMajor<Scalar>{x, ldx}, matrix, padded_,
                       FromSum<Scalar>{offset, x, ldx}, To<Scalar>{out, padded_});
    return columns(output_, s);
  }
  void accumulate_vjp(Slice s, const Scalar* x, std::ptrdiff_t ldx, const Scalar* dy,
                      Scalar* dmatrix, Scalar* doffset) {
    this->template add_weights<0>(x, ldx, dim_, dy, padded_, s.size, dmatrix);
    this->add_rows(dy, padded_, s.size, doffset);
  }
  Columns<Scalar> input_vjp(Slice s, const Scalar* dy) {
    Scalar* to = dx_.data() + row_(s) * padded_;
    product<0, Scalar>(s.size, padded_, dim_, RowMajor<Scalar>{dy, padded_}, transposed_.data(),
                       padded_, From<Scalar>{dy, padded_}, To<Scalar>{to, padded_});
    return columns(dx_, s);
  }
  /// As MlpNetwork::log_determinants and accumulate_log_determinants: all points have the same
  /// derivative M = I + C, which is known in closed form. The gradient of its log det is M⁻ᵀ.
  /// \param dmatrix null: no gradient is wanted
  template <class Weigh>
  void run_log_determinants(Slice s, const Scalar* matrix, double extrapolation, Scalar* dmatrix,
                            Weigh&& weigh) const {
    const int d = dim_;
    Inverse m(d);
    for (int j = 0; j < d; ++j)
      for (int c = 0; c < d; ++c)
        m(j, c) = extrapolation * static_cast<double>(matrix[j * padded_ + c]) + (j == c ? 1 : 0);
    const double log_det = m.invert();
    double factor = 0;
    for (int i = 0; i < s.size; ++i) factor += weigh(i, log_det);
    if (!dmatrix || !std::isfinite(log_det)) return;
    for (int j = 0; j < d; ++j)
      for (int c = 0; c < d; ++c)
        dmatrix[j * padded_ + c] += static_cast<Scalar>(extrapolation * factor * m(c, j));
  }
  void refresh(const Scalar* matrix) {
    transpose(matrix, padded_, dim_, dim_, transposed_.data(), padded_);
  }

 private:
  Columns<Scalar> columns(const Buffer<Scalar>& b, Slice s) const {
    return {b.data() + row_(s) * padded_, dim_, s.size, Eigen::OuterStride<>(padded_)};
  }
  Rows row_;
  int dim_, padded_;
  Buffer<Scalar> transposed_, output_, dx_;
};

/// T(x) = x + A x + b, with A and b initially zero.
template <class Scalar>
class AffineNetwork : public ParametricNetwork<AffineNetwork<Scalar>, Scalar> {
  using Base = ParametricNetwork<AffineNetwork, Scalar>;
  using Base::parameters_;
  friend Base;

 public:
  AffineNetwork(ThreadTeam& team, const Affine&, int dim, long batch, std::uint32_t, Keep keep)
      : Base(team),
        kernel_(team, dim, batch, keep),
        matrix_(parameters_.add(dim, dim)),
        offset_(parameters_.add(1, dim)) {
    parameters_.allocate(ThreadTeam::chunks_of(batch));
  }
  template <class X>
  auto forward(Slice s, const X& x) {
    return kernel_.forward(s, x.data(), x.outerStride(), parameters_.data() + matrix_,
                           parameters_.data() + offset_);
  }
  template <class X, class G>
  void accumulate_vjp(Slice s, const X& x, const G& dy) {
    Scalar* g = parameters_.gradient(s.chunk);
    kernel_.accumulate_vjp(s, x.data(), x.outerStride(), dy.data(), g + matrix_, g + offset_);
  }
  template <class X, class G>
  Columns<Scalar> input_vjp(Slice s, const X&, const G& dy) {
    return kernel_.input_vjp(s, dy.data());
  }
  template <class X, class Give>
  void log_determinants(Slice s, const X&, double extrapolation, Give&& give) const {
    kernel_.run_log_determinants(s, parameters_.data() + matrix_, extrapolation, nullptr,
                                 without_weights(give));
  }
  template <class X, class Weigh>
  void accumulate_log_determinants(Slice s, const X&, Weigh&& weigh) {
    kernel_.run_log_determinants(s, parameters_.data() + matrix_, 1,
                                 parameters_.gradient(s.chunk) + matrix_, weigh);
  }

 private:
  void refresh() { kernel_.refresh(parameters_.data() + matrix_); }
  AffineKernel<Scalar> kernel_;
  std::size_t matrix_, offset_;
};

/// The deep linear map. Its parameters, their order and their initial values are those of the
/// ResidualMlp that specifies it.
template <class Spec, class Scalar>
class DeepLinearNetwork : public ParametricNetwork<DeepLinearNetwork<Spec, Scalar>, Scalar> {
  using Base = ParametricNetwork<DeepLinearNetwork, Scalar>;
  using Base::parameters_;
  friend Base;
  static constexpr int W = Spec::width, depth = Spec::depth;
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Row = Eigen::Matrix<Scalar, 1, Eigen::Dynamic>;

 public:
  DeepLinearNetwork(ThreadTeam& team, const Spec& spec, int dim, long batch, std::uint32_t stream,
                    Keep keep)
      : Base(team), kernel_(team, dim, batch, keep), scale_(Scalar(spec.input_scale)), dim_(dim) {
    spec.check();
    for (int l = 0; l < depth; ++l) {
      Layer& a = layer_[l];
      a.in = l == 0 ? dim : W, a.out = padded<Scalar>(l < depth - 1 ? W : dim);
      a.weight = parameters_.add(a.in, l < depth - 1 ? W : dim),
      a.bias = parameters_.add(1, l < depth - 1 ? W : dim);
      if (l < depth - 1) product_[l] = Matrix::Zero(dim, W), shift_[l] = Row::Zero(W);
      dproduct_[l] = Matrix::Zero(dim, a.out), dshift_[l] = Row::Zero(a.out);
    }
    parameters_.allocate(1);
    composite_ = Buffer<Scalar>(kernel_.size());
    for (int k = 0; k < ThreadTeam::chunks_of(batch); ++k) chunks_.emplace_back(kernel_.size());
    const auto values = initial_parameters(spec, dim, team.random, stream);
    this->set_parameters(std::vector<Scalar>(values.begin(), values.end()));
  }
  template <class X>
  auto forward(Slice s, const X& x) {
    return kernel_.forward(s, x.data(), x.outerStride(), composite_.data(),
                           composite_.data() + offset());
  }
  template <class X, class G>
  void accumulate_vjp(Slice s, const X& x, const G& dy) {
    Scalar* g = chunks_[s.chunk].data();
    kernel_.accumulate_vjp(s, x.data(), x.outerStride(), dy.data(), g, g + offset());
  }
  template <class X, class G>
  Columns<Scalar> input_vjp(Slice s, const X&, const G& dy) {
    return kernel_.input_vjp(s, dy.data());
  }
  template <class X, class Give>
  void log_determinants(Slice s, const X&, double extrapolation, Give&& give) const {
    kernel_.run_log_determinants(s, composite_.data(), extrapolation, nullptr,
                                 without_weights(give));
  }
  template <class X, class Weigh>
  void accumulate_log_determinants(Slice s, const X&, Weigh&& weigh) {
    kernel_.run_log_determinants(s, composite_.data(), 1, chunks_[s.chunk].data(), weigh);
  }

 private:
  struct Layer {
    int in, out;  // out is padded
    std::size_t weight, bias;
  };
  std::size_t offset() const { return static_cast<std::size_t>(dim_) * kernel_.padded_dim(); }
  auto weight(int l) const {
    return Eigen::Map<const Matrix>(parameters_.data() + layer_[l].weight, layer_[l].in,
                                    layer_[l].out);
  }
  auto bias(int l) const {
    return Eigen::Map<const Row>(parameters_.data() + layer_[l].bias, layer_[l].out);
  }

  /// C = scale · W_1 … W_D and c = (b_1 W_2 + b_2) W_3 + …; stores the partial products.
  void refresh() {
    constexpr int last = depth - 1;
    product_[0] = scale_ * weight(0), shift_[0] = bias(0);
    for (int l = 1; l < last; ++l) {
      product_[l].noalias() = product_[l - 1] * weight(l);
      shift_[l].noalias() = shift_[l - 1] * weight(l);
      shift_[l] += bias(l);
    }
    Eigen::Map<Matrix> matrix(composite_.data(), dim_, layer_[last].out);
    Eigen::Map<Row> shift(composite_.data() + offset(), layer_[last].out);
    matrix.noalias() = product_[last - 1] * weight(last);
    shift.noalias() = shift_[last - 1] * weight(last);
    shift += bias(last);
    kernel_.refresh(composite_.data());
  }
  /// The gradients of the layers, from the sum of the chunks' gradients of C and c, which are then
  /// cleared.
  void chain() {
    constexpr int last = depth - 1;
    Matrix& dproduct = dproduct_[last];
    Row& dshift = dshift_[last];
    dproduct.setZero(), dshift.setZero();
    for (auto& s : chunks_) {
      dproduct += Eigen::Map<const Matrix>(s.data(), dim_, layer_[last].out);
      dshift += Eigen::Map<const Row>(s.data() + offset(), layer_[last].out);
      std::fill_n(s.data(), kernel_.size(), Scalar(0));
    }
    for (int l = last; l >= 0; --l) {
      Eigen::Map<Matrix> dweight(parameters_.gradient(0) + layer_[l].weight, layer_[l].in,
                                 layer_[l].out);
      Eigen::Map<Row>(parameters_.gradient(0) + layer_[l].bias, layer_[l].out) += dshift_[l];
      if (l == 0) {
        dweight += scale_ * dproduct_[0];
      } else {
        dweight.noalias() += product_[l - 1].transpose() * dproduct_[l];
        dweight.noalias() += shift_[l - 1].transpose() * dshift_[l];
        dproduct_[l - 1].noalias() = dproduct_[l] * weight(l).transpose();
        dshift_[l - 1].noalias() = dshift_[l] * weight(l).transpose();
      }
    }
  }
  AffineKernel<Scalar> kernel_;
  Scalar scale_;
  int dim_;
  std::array<Layer, depth> layer_;
  // product_[l] = scale W_1 … W_{l+1}; dproduct_[l] is its gradient.
  std::array<Matrix, depth> product_, dproduct_;
  std::array<Row, depth> shift_, dshift_;
  Buffer<Scalar> composite_;
  std::vector<Buffer<Scalar>> chunks_;
};

}  // namespace wgf::eigen
