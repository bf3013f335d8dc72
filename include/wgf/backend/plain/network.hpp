// SPDX-License-Identifier: BSL-1.0
#pragma once
// The plain backend's networks: formulas and hand-written vector-Jacobian products (VJPs), with one
// column per point.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "../../network/initial.hpp"
#include "../../network/network_pair.hpp"
#include "memory.hpp"

namespace wgf::plain {

/// A network's parameters in the order of the specification, and their gradient.
template <class S>
struct Parameters {
  Eigen::Array<S, Eigen::Dynamic, 1> value, gradient;
  long times_set = 0;  ///< how often they were set; this invalidates an average of earlier iterates
};

/// Parameter handling that all networks share.
template <class S>
class ParametricNetwork {
 public:
  std::vector<S> parameters() const { return {block_.value.begin(), block_.value.end()}; }
  void set_parameters(std::span<const S> values) {
    if (static_cast<Eigen::Index>(values.size()) != block_.value.size())
      throw std::invalid_argument("wgf: a network of " + std::to_string(block_.value.size()) +
                                  " parameters was given " + std::to_string(values.size()));
    std::copy(values.begin(), values.end(), block_.value.begin());
    ++block_.times_set;
  }
  std::vector<S> gradient() const { return {block_.gradient.begin(), block_.gradient.end()}; }
  void clear_gradient() { block_.gradient.setZero(); }
  void restart() { block_.value = start_, ++block_.times_set; }

  // ---- for the optimiser
  std::array<Parameters<S>*, 1> blocks() { return {&block_}; }
  std::array<const Parameters<S>*, 1> blocks() const { return {&block_}; }
  void complete_gradient() {}
  void blocks_changed() {}

 protected:
  explicit ParametricNetwork(const std::vector<double>& start) {
    const auto n = static_cast<Eigen::Index>(start.size());
    start_ = Eigen::Map<const Eigen::ArrayXd>(start.data(), n).template cast<S>();
    block_.value = start_, block_.gradient.setZero(n);
  }
  /// The rows × cols parameters, or derivatives, from index `at` on. W[in][out] is stored row by
  /// row; read column by column, it is the out × in matrix that acts on a column of points.
  auto matrix(std::size_t at, int rows, int cols) const {
    return Eigen::Map<const Matrix<S>>(block_.value.data() + at, rows, cols);
  }
  auto derivative(std::size_t at, int rows, int cols) {
    return Eigen::Map<Matrix<S>>(block_.gradient.data() + at, rows, cols);
  }
  /// Results are stored here, so that expressions that refer to them may outlive the call.
  Columns<S> columns() { return {result_.data(), result_.rows(), result_.cols()}; }
  Values<S> values() { return {result_.data(), result_.size()}; }
  Array<S> result_;

 private:
  Eigen::Array<S, Eigen::Dynamic, 1> start_;
  Parameters<S> block_;
};

/// The activations σ(z) and their derivatives; `slope` is the learned slope.
template <class Activation, class S>
Array<S> activation(const Array<S>& z, S slope) {
  if constexpr (std::is_same_v<Activation, PRelu>) return (z < 0).select(slope * z, z);
  else if constexpr (std::is_same_v<Activation, Silu>) return z / (1 + (-z).exp());
  else if constexpr (std::is_same_v<Activation, Softplus>)
    return z.max(S(0)) + (1 + (-z.abs()).exp()).log();
  else return z;
}
template <class Activation, class S>
Array<S> activation_derivative(const Array<S>& z, S slope) {
  const Array<S> logistic = 1 / (1 + (-z).exp()), ones = Array<S>::Ones(z.rows(), z.cols());
  if constexpr (std::is_same_v<Activation, PRelu>) return (z < 0).select(slope * ones, ones);
  else if constexpr (std::is_same_v<Activation, Silu>) return logistic * (1 + z * (1 - logistic));
  else if constexpr (std::is_same_v<Activation, Softplus>) return logistic;
  else return ones;
}

/// Mlp and ResidualMlp: z_l = W_l y_{l−1} + b_l, y_l = σ(z_l) times the dropout mask.
template <class Spec, class S>
class LayeredNetwork : public ParametricNetwork<S> {
  using Base = ParametricNetwork<S>;
  using Activation = typename Spec::activation;
  static constexpr int W = Spec::width, last = Spec::depth - 1;
  static constexpr bool scalar = Spec::output == Output::scalar;

 public:
  LayeredNetwork(const Random& random, const Spec& spec, int dim, std::uint32_t stream)
      : Base(initial_parameters(spec, dim, random, stream)),
        random_(random),
        spec_(spec),
        dim_(dim),
        stream_(stream) {
    spec.check();
    std::size_t at = 0;
    for (int l = 0; l <= last; ++l) {
      Layer& a = layer_[l];
      a.in = l == 0 ? dim : W, a.out = l < last ? W : scalar ? 1 : dim;
      a.weight = at, at += static_cast<std::size_t>(a.in) * a.out;
      a.bias = at, at += static_cast<std::size_t>(a.out);
      a.slope = at, at += l < last && Activation::slopes > 0 ? 1 : 0;
    }
    matrix_ = at;
  }
  auto forward(Slice, const auto& x) {
    mask_.resize(0, 0);
    return pass(x);
  }
  auto forward_train(Slice s, const auto& x, std::uint32_t draw) {
    set_mask(s, draw);
    return pass(x);
  }
  void accumulate_vjp(Slice, const auto& x, const auto& dy) {
    if (affine()) this->derivative(matrix_, dim_, dim_) += upstream(dy) * x.matrix().transpose();
    pull(dy, true);
  }
  Columns<S> input_vjp(Slice, const auto& /*x*/, const auto& dy) {
    // Copied before the VJP: dy may share the memory of the result.
    Array<S> of_identity = scalar ? Array<S>() : Array<S>(upstream(dy));
    if (affine()) of_identity += (matrix().transpose() * upstream(dy)).array();
    this->result_ = S(spec_.input_scale) * pull(dy, false).array();
    if constexpr (!scalar) this->result_ += of_identity;  // T(x) = x + …
    return this->columns();
  }

 private:
  struct Layer {
    int in, out;
    std::size_t weight, bias, slope;  // offsets into the list of parameters
  };
  bool affine() const {
    if constexpr (requires { spec_.affine; }) return spec_.affine;
    else return false;
  }
  auto matrix() const { return Base::matrix(matrix_, dim_, dim_); }
  auto weight(int l) const { return Base::matrix(layer_[l].weight, layer_[l].out, layer_[l].in); }
  S slope(int l) const {
    return Activation::slopes > 0 ? Base::matrix(layer_[l].slope, 1, 1)(0, 0) : S(0);
  }
  /// Whether there are dropout masks, and their rows for hidden layer l.
  bool drops() const { return mask_.size() > 0; }
  auto mask(int l) const { return mask_.middleRows(l * W, W); }

  auto pass(const auto& x) {
    y_[0] = (S(spec_.input_scale) * x).matrix();
    for (int l = 0; l <= last; ++l) {
      const Matrix<S> sum =
          (weight(l) * y_[l]).colwise() + Base::matrix(layer_[l].bias, layer_[l].out, 1).col(0);
      if (l == last) {
        this->result_ = sum.array();
      } else {
        z_[l] = sum.array();
        Array<S> y = activation<Activation, S>(z_[l], slope(l));
        if (drops()) y *= mask(l);
        y_[l + 1] = y.matrix();
      }
    }
    if constexpr (scalar) {
      return this->values();
    } else {
      this->result_ += x;
      if (affine()) this->result_ += (matrix() * x.matrix()).array();
      return this->columns();
    }
  }
  static auto upstream(const auto& dy) {
    if constexpr (scalar) return Matrix<S>(dy.matrix().transpose());
    else return Matrix<S>(dy.matrix());
  }
  /// From the derivatives with respect to the output back to those with respect to the scaled
  /// input.
  /// \param accumulate whether those with respect to the parameters are added to the gradient.
  Matrix<S> pull(const auto& dy, bool accumulate) {
    Matrix<S> d = upstream(dy);  // with respect to z_l
    for (int l = last; l >= 0; --l) {
      if (accumulate) {
        this->derivative(layer_[l].weight, layer_[l].out, layer_[l].in) += d * y_[l].transpose();
        this->derivative(layer_[l].bias, layer_[l].out, 1) += d.rowwise().sum();
      }
      d = weight(l).transpose() * d;  // with respect to y_{l−1}
      if (l == 0) break;
      Array<S> by_y = d.array();
      if (drops()) by_y *= mask(l - 1);
      if (accumulate && Activation::slopes > 0)
        this->derivative(layer_[l - 1].slope, 1, 1)(0, 0) += (by_y * z_[l - 1].min(S(0))).sum();
      d = (by_y * activation_derivative<Activation, S>(z_[l - 1], slope(l - 1))).matrix();
    }
    return d;
  }
  void set_mask(Slice s, std::uint32_t draw) {
    mask_.resize(0, 0);
    if constexpr (requires { spec_.dropout; }) {
      if (spec_.dropout == 0) return;
      mask_.resize(W * last, s.size);
      const S rate = S(spec_.dropout), kept = S(1 / (1 - spec_.dropout));
      random_.fill<S, false>(stream_, draw, s.begin, s.size, W * last,
                             [&](long point, int first, const S* u) {
                               for (int j = 0; j < 4; ++j)
                                 mask_(first + j, point) = u[j] < rate ? S(0) : kept;
                             });
    }
  }

  Random random_;
  Spec spec_;
  int dim_;
  std::uint32_t stream_;
  std::array<Layer, last + 1> layer_;
  std::size_t matrix_ = 0;             // offset of the affine part, if there is one
  std::array<Matrix<S>, last + 1> y_;  // inputs of the layers
  std::array<Array<S>, last> z_;
  Array<S> mask_;  // (hidden units) × n, empty without dropout
};

/// T(x) = x + A x + b.
template <class S>
class AffineNetwork : public ParametricNetwork<S> {
 public:
  AffineNetwork(const Random& random, const Affine& spec, int dim, std::uint32_t stream)
      : ParametricNetwork<S>(initial_parameters(spec, dim, random, stream)), dim_(dim) {}
  auto forward(Slice, const auto& x) {
    this->result_ = x + ((a() * x.matrix()).colwise() + b()).array();
    return this->columns();
  }
  void accumulate_vjp(Slice, const auto& x, const auto& dy) {
    this->derivative(0, dim_, dim_) += dy.matrix() * x.matrix().transpose();
    this->derivative(square(), dim_, 1) += dy.matrix().rowwise().sum();
  }
  Columns<S> input_vjp(Slice, const auto& /*x*/, const auto& dy) {
    this->result_ = (dy.matrix() + a().transpose() * dy.matrix()).array().eval();
    return this->columns();
  }

 private:
  std::size_t square() const { return static_cast<std::size_t>(dim_) * dim_; }
  auto a() const { return this->matrix(0, dim_, dim_); }
  Eigen::Matrix<S, Eigen::Dynamic, 1> b() const { return this->matrix(square(), dim_, 1); }
  int dim_;
};

/// u(x) = ½ xᵀ S x + bᵀ x + c, with S the symmetric part of the parameter matrix.
template <class S>
class QuadraticNetwork : public ParametricNetwork<S> {
 public:
  QuadraticNetwork(const Random& random, const Quadratic& spec, int dim, std::uint32_t stream)
      : ParametricNetwork<S>(initial_parameters(spec, dim, random, stream)), dim_(dim) {}
  auto forward(Slice, const auto& x) {
    const Array<S> half = S(0.5) * (symmetric() * x.matrix()).array();
    this->result_ = (x * (half.colwise() + b().array())).colwise().sum() + c();
    return this->values();
  }
  auto forward_train(Slice s, const auto& x, std::uint32_t) { return forward(s, x); }
  void accumulate_vjp(Slice, const auto& x, const auto& dy) {
    const Matrix<S> weighted = (x.rowwise() * dy.transpose()).matrix();
    this->derivative(0, dim_, dim_) += S(0.5) * (weighted * x.matrix().transpose());
    this->derivative(square(), dim_, 1) += weighted.rowwise().sum();
    this->derivative(square() + static_cast<std::size_t>(dim_), 1, 1)(0, 0) += dy.sum();
  }
  Columns<S> input_vjp(Slice, const auto& x, const auto& dy) {
    const Array<S> slope = ((symmetric() * x.matrix()).colwise() + b()).array();
    this->result_ = (slope.rowwise() * dy.transpose()).eval();
    return this->columns();
  }

 private:
  std::size_t square() const { return static_cast<std::size_t>(dim_) * dim_; }
  Matrix<S> symmetric() const {
    return S(0.5) * (this->matrix(0, dim_, dim_) + this->matrix(0, dim_, dim_).transpose());
  }
  Eigen::Matrix<S, Eigen::Dynamic, 1> b() const { return this->matrix(square(), dim_, 1); }
  S c() const { return this->matrix(square() + static_cast<std::size_t>(dim_), 1, 1)(0, 0); }
  int dim_;
};

/// u = u_1 + u_2.
template <class First, class Second, class S>
class SumNetwork : public NetworkPair<First, Second, S> {
  using Base = NetworkPair<First, Second, S>;
  using Base::first_, Base::second_;

 public:
  template <class Spec>
  SumNetwork(const Random& random, const Spec& spec, int dim, std::uint32_t stream)
      : Base(First(random, spec.first, dim, stream),
             Second(random, spec.second, dim, stream + random_streams<decltype(spec.first)>)) {}
  auto forward(Slice s, const auto& x) {
    auto u = first_.forward(s, x);
    u += second_.forward(s, x);
    return u;
  }
  auto forward_train(Slice s, const auto& x, std::uint32_t draw) {
    auto u = first_.forward_train(s, x, draw);
    u += second_.forward_train(s, x, draw);
    return u;
  }
  void accumulate_vjp(Slice s, const auto& x, const auto& dy) {
    const Array<S> upstream = dy;  // dy may be an expression of memory that the VJPs overwrite
    first_.accumulate_vjp(s, x, upstream.col(0)), second_.accumulate_vjp(s, x, upstream.col(0));
  }
  Columns<S> input_vjp(Slice s, const auto& x, const auto& dy) {
    const Array<S> upstream = dy;
    auto dx = first_.input_vjp(s, x, upstream.col(0));
    dx += second_.input_vjp(s, x, upstream.col(0));
    return dx;
  }
};

/// The network of a specification. For a custom specification, specialise this template.
template <class Spec, class S>
struct NetworkFor {
  static_assert(wgf::detail::no_network<Spec>,
                "wgf: PlainBackend has no network of this specification: see "
                "docs/backends.md to write one");
  using type = wgf::detail::NoNetwork;
};
template <int W, int D, class Activation, class S>
struct NetworkFor<Mlp<W, D, Activation>, S> {
  using type = LayeredNetwork<Mlp<W, D, Activation>, S>;
};
template <int W, int D, class Activation, class S>
struct NetworkFor<ResidualMlp<W, D, Activation>, S> {
  using type = LayeredNetwork<ResidualMlp<W, D, Activation>, S>;
};
template <class S>
struct NetworkFor<Affine, S> {
  using type = AffineNetwork<S>;
};
template <class S>
struct NetworkFor<Quadratic, S> {
  using type = QuadraticNetwork<S>;
};
template <class First, class Second, class S>
struct NetworkFor<NetworkSum<First, Second>, S> {
  using type =
      SumNetwork<typename NetworkFor<First, S>::type, typename NetworkFor<Second, S>::type, S>;
};

}  // namespace wgf::plain
