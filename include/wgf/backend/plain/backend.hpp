// SPDX-License-Identifier: BSL-1.0
#pragma once
// The plain backend: all that a backend has to offer, in Eigen's arrays, written to be read. A
// slice is the whole batch, and there is one thread. docs/backends.md walks through this file.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include "../../array.hpp"
#include "../../concepts.hpp"
#include "../../curve.hpp"
#include "../../functional/kernels.hpp"
#include "../../network/initial.hpp"
#include "../../network/network_pair.hpp"
#include "../../training/optimiser_state.hpp"

namespace wgf {

namespace plain {

// ---- memory

template <class S>
using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic>;
template <class S>
using Array = Eigen::Array<S, Eigen::Dynamic, Eigen::Dynamic>;
/// Numbers, one a point, and coordinates of points (d × n), in memory of someone else.
template <class S>
using Values = Eigen::Map<Eigen::Array<S, Eigen::Dynamic, 1>>;
template <class S>
using Columns = Eigen::Map<Array<S>>;

/// Points [begin, begin + size) of a batch.
struct Slice {
  long begin, size;
};

/// Points in memory of someone else. x(slice) can be read and written to.
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

/// A matrix or a vector of the host, in the backend's numbers.
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

// ---- vocabulary: what mixes coordinates, or calls a user's function of a point

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
/// z_i += weight·f(y_i), f from points to points in double precision.
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
/// Σ f(y_i), f from points to numbers in double precision.
template <class Y, class F>
double sum_pointwise(Slice, const Y& y, const F& f) {
  double total = 0;
  for (Eigen::Index i = 0; i < y.cols(); ++i)
    total += f(Eigen::VectorXd(y.col(i).template cast<double>()));
  return total;
}

// ---- networks

/// A network's parameters in the specification's order, and their gradient.
template <class S>
struct Parameters {
  Eigen::Array<S, Eigen::Dynamic, 1> value, gradient;
  long times_set = 0;  ///< how often they were set: an average of earlier iterates is then void
};

/// What every network does with its parameters.
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
  /// The rows × cols parameters, or derivatives, from number `at` on. A layer's list W[in][out],
  /// row by row, read column by column is the out × in matrix that acts on a column of points.
  auto matrix(std::size_t at, int rows, int cols) const {
    return Eigen::Map<const Matrix<S>>(block_.value.data() + at, rows, cols);
  }
  auto derivative(std::size_t at, int rows, int cols) {
    return Eigen::Map<Matrix<S>>(block_.gradient.data() + at, rows, cols);
  }
  /// Results are kept here, so that expressions of them may outlive the call.
  Columns<S> columns() { return {result_.data(), result_.rows(), result_.cols()}; }
  Values<S> values() { return {result_.data(), result_.size()}; }
  Array<S> result_;

 private:
  Eigen::Array<S, Eigen::Dynamic, 1> start_;
  Parameters<S> block_;
};

/// The activations σ(z) and their derivatives; `slope` is the learnt one.
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

/// Mlp and ResidualMlp: z_l = W_l y_{l−1} + b_l, y_l = σ(z_l) times the mask of dropout.
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
  }
  auto forward(Slice, const auto& x) {
    mask_.resize(0, 0);
    return pass(x);
  }
  auto forward_train(Slice s, const auto& x, std::uint32_t draw) {
    set_mask(s, draw);
    return pass(x);
  }
  void accumulate_vjp(Slice, const auto& /*x*/, const auto& dy) { pull(dy, true); }
  Columns<S> input_vjp(Slice, const auto& /*x*/, const auto& dy) {
    // Before the pullback: dy may lie where the result will.
    const Array<S> of_identity = scalar ? Array<S>() : Array<S>(upstream(dy));
    this->result_ = S(spec_.input_scale) * pull(dy, false).array();
    if constexpr (!scalar) this->result_ += of_identity;  // T(x) = x + …
    return this->columns();
  }

 private:
  struct Layer {
    int in, out;
    std::size_t weight, bias, slope;  // places in the list of parameters
  };
  auto weight(int l) const { return this->matrix(layer_[l].weight, layer_[l].out, layer_[l].in); }
  S slope(int l) const {
    return Activation::slopes > 0 ? this->matrix(layer_[l].slope, 1, 1)(0, 0) : S(0);
  }
  /// The rows of hidden layer l of the masks, if there are any.
  bool drops() const { return mask_.size() > 0; }
  auto mask(int l) const { return mask_.middleRows(l * W, W); }

  auto pass(const auto& x) {
    y_[0] = (S(spec_.input_scale) * x).matrix();
    for (int l = 0; l <= last; ++l) {
      const Matrix<S> sum =
          (weight(l) * y_[l]).colwise() + this->matrix(layer_[l].bias, layer_[l].out, 1).col(0);
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
      return this->columns();
    }
  }
  static auto upstream(const auto& dy) {
    if constexpr (scalar) return Matrix<S>(dy.matrix().transpose());
    else return Matrix<S>(dy.matrix());
  }
  /// From the derivatives by the output back to those by the scaled input. \param accumulate
  /// whether those by the parameters are added to the gradient.
  Matrix<S> pull(const auto& dy, bool accumulate) {
    Matrix<S> d = upstream(dy);  // by z_l
    for (int l = last; l >= 0; --l) {
      if (accumulate) {
        this->derivative(layer_[l].weight, layer_[l].out, layer_[l].in) += d * y_[l].transpose();
        this->derivative(layer_[l].bias, layer_[l].out, 1) += d.rowwise().sum();
      }
      d = weight(l).transpose() * d;  // by y_{l−1}
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

/// u(x) = ½ xᵀ S x + bᵀ x + c, S the symmetric part of the parameter.
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
    const Array<S> upstream = dy;  // which may be an expression of what the pullbacks overwrite
    first_.accumulate_vjp(s, x, upstream.col(0)), second_.accumulate_vjp(s, x, upstream.col(0));
  }
  Columns<S> input_vjp(Slice s, const auto& x, const auto& dy) {
    const Array<S> upstream = dy;
    auto dx = first_.input_vjp(s, x, upstream.col(0));
    dx += second_.input_vjp(s, x, upstream.col(0));
    return dx;
  }
};

/// The network of a specification. For a specification of one's own: a specialisation.
template <class Spec, class S>
struct NetworkFor {
  static_assert(wgf::detail::no_network<Spec>,
                "wgf: the plain backend has no network of this specification: docs/backends.md "
                "says how to write one");
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

// ---- training

/// Lets one network descend by an update rule. It holds the rule's moments and the average of the
/// network's iterates.
template <UpdateRule Rule, class S>
class Optimiser {
  using Block = Parameters<S>;
  using List = Eigen::Array<S, Eigen::Dynamic, 1>;

 public:
  template <class Network>
  Optimiser(const Rule& rule, const Network& network) : rule_(rule) {
    rule.check();
    for (const Block* block : network.blocks()) memory_.emplace_back(block->value.size());
  }
  void descend(auto& network, double rate) {
    network.complete_gradient();
    each(network, [&](Block& block, Memory& memory) {
      const auto map = [](List& list) { return Values<S>(list.data(), list.size()); };
      ++memory.steps;
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        auto p = map(block.value), g = map(block.gradient);
        [[maybe_unused]] std::array<Values<S>, Rule::moments> m{map(memory.moments[I])...};
        rule_.update(p, m[I]..., g, memory.steps, rate);
      }(std::make_index_sequence<Rule::moments>());
      block.gradient.setZero();
    });
    network.blocks_changed();
  }
  void descend(auto& network, double rate, double rate_factor, bool finite) {
    if (finite) descend(network, rate * rate_factor);
  }
  void accumulate_average(auto& network) {
    each(network, [](Block& block, Memory& memory) {
      memory.averaged = averaged(block, memory) + 1, memory.times_set = block.times_set;
      if (memory.averaged == 1) memory.average = block.value;
      else memory.average += (block.value - memory.average) / static_cast<S>(memory.averaged);
    });
  }
  void use_average(auto& network) {
    each(network, [](Block& block, Memory& memory) {
      if (averaged(block, memory) > 0) block.value = memory.average;
      memory.averaged = 0;
    });
    network.blocks_changed();
  }
  void reset() {
    for (Memory& memory : memory_) {
      memory.steps = 0;
      for (List& m : memory.moments) m.setZero();
    }
  }
  std::vector<double> state(const auto& network) const {
    std::vector<double> state;
    const auto blocks = network.blocks();
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const Memory& memory = memory_[i];
      state.push_back(static_cast<double>(memory.steps));
      state.push_back(static_cast<double>(averaged(*blocks[i], memory)));
      const auto put = [&](const List& list) {
        state.insert(state.end(), list.begin(), list.end());
      };
      put(blocks[i]->value);
      for (const List& m : memory.moments) put(m);
      put(memory.average);
    }
    return state;
  }
  void set_state(auto& network, std::span<const double> state) {
    std::size_t size = 0;
    for (const Block* block : network.blocks())
      size += wgf::detail::optimiser_state_size(static_cast<std::size_t>(block->value.size()),
                                                Rule::moments);
    wgf::detail::StateReader in(state, size);
    each(network, [&](Block& block, Memory& memory) {
      memory.steps = in.count(), memory.averaged = in.count(), memory.times_set = block.times_set;
      const auto get = [&](List& list) {
        const auto values = in.next(static_cast<std::size_t>(list.size()));
        list = Eigen::Map<const Eigen::ArrayXd>(values.data(), list.size()).template cast<S>();
      };
      get(block.value);
      for (List& m : memory.moments) get(m);
      get(memory.average);
    });
    network.blocks_changed();
  }

 private:
  /// What belongs to a block of parameters.
  struct Memory {
    explicit Memory(Eigen::Index n) : average(List::Zero(n)) {
      for (List& m : moments) m.setZero(n);
    }
    std::array<List, Rule::moments> moments;
    List average;
    long steps = 0, averaged = 0;
    long times_set = 0;  // of the block, when its iterates were averaged last
  };
  void each(auto& network, auto f) {
    const auto blocks = network.blocks();
    for (std::size_t i = 0; i < blocks.size(); ++i) f(*blocks[i], memory_[i]);
  }
  /// Iterates in the average, which begins anew where parameters were set in the meantime.
  static long averaged(const Block& block, const Memory& memory) {
    return memory.times_set == block.times_set ? memory.averaged : 0;
  }
  Rule rule_;
  std::vector<Memory> memory_;
};

// ---- sums over pairs

/// Mean over the samples y_j, but not number `own`, of f(x − y_j).
template <class Result, class S>
Result mean_over_pairs(const Eigen::VectorXd& x, const PointsView<S>& y, long own, Result zero,
                       const auto& f) {
  for (long j = 0; j < y.count(); ++j)
    if (j != own) zero += f(Eigen::VectorXd(x - y.all().col(j).template cast<double>().matrix()));
  const long others = y.count() - (own >= 0 ? 1 : 0);
  return zero / static_cast<double>(others);
}

/// The sums of an iteration's batch. The points themselves are among the samples y: x_i is number
/// own + i.
template <InteractionKernel Kernel, class S>
struct PairSum {
  Kernel kernel;

  /// out_i += weight · the mean over j ≠ i of ∇W(x_i − y_j).
  void add_gradient(Slice, const auto& x, const PointsView<S>& y, auto&& out, double weight,
                    long own) const {
    for (Eigen::Index i = 0; i < x.cols(); ++i) {
      const Eigen::VectorXd at = x.col(i).template cast<double>();
      const Eigen::VectorXd mean =
          mean_over_pairs(at, y, own + i, Eigen::VectorXd(0 * at),
                          [&](const Eigen::VectorXd& z) { return kernel_gradient(kernel, z); });
      out.col(i) += (weight * mean).array().template cast<S>();
    }
  }
  /// Σ_i of the mean over j ≠ i of W(x_i − y_j).
  double value(Slice, const auto& x, const PointsView<S>& y, long own) const {
    double total = 0;
    for (Eigen::Index i = 0; i < x.cols(); ++i)
      total += mean_over_pairs(Eigen::VectorXd(x.col(i).template cast<double>()), y, own + i, 0.0,
                               [&](const Eigen::VectorXd& z) { return kernel_value(kernel, z); });
    return total;
  }
};

// ---- the backend at work

/// Satisfies wgf::Runtime. Its random numbers are those of wgf::Random, as on every backend.
template <class S>
class Runtime {
 public:
  using Scalar = S;
  using Slice = plain::Slice;
  using Points = plain::Points<S>;
  using PointsView = plain::PointsView<S>;
  using Constant = plain::Constant<S>;

  explicit Runtime(std::uint64_t seed) : random_{seed} {}

  Points points(int dim, long n) const { return {dim, n}; }
  void upload(const Particles& x, const PointsView& to) const {
    to.all() = x.array().template cast<S>();
  }
  Particles download(const PointsView& x) const { return x.all().template cast<double>().matrix(); }
  Constant constant(const Eigen::MatrixXd& a) const { return {a.template cast<S>()}; }

  void normals(Slice s, auto&& x, std::uint32_t stream, std::uint32_t index) const {
    fill<true>(s, x, stream, index);
  }
  void uniforms(Slice s, auto&& x, std::uint32_t stream, std::uint32_t index) const {
    fill<false>(s, x, stream, index);
  }
  void lattice(Slice s, auto&& x, long n, std::uint32_t stream, std::uint32_t index) const {
    const int dim = static_cast<int>(x.rows());
    for (int j = 0; j < dim; ++j) {
      const double step = wgf::detail::lattice_step(dim, j, n),
                   shift = random_.shared_uniform(stream, index, j);
      for (long i = 0; i < s.size; ++i) {
        const double at = shift + step * static_cast<double>(s.begin + i);
        x(j, i) = static_cast<S>(at - std::floor(at));
      }
    }
  }
  void draw_from(const PointsView& others, Slice s, auto&& x, std::uint32_t stream,
                 std::uint32_t index) const {
    for (long i = 0; i < s.size; ++i)
      x.col(i) = others.all().col(random_.below(others.count(), stream, index, s.begin + i));
  }
  void draw_strata(const PointsView& others, Slice s, auto&& x, long n, std::uint32_t stream,
                   std::uint32_t index) const {
    const double share = static_cast<double>(others.count()) / static_cast<double>(n),
                 shift = random_.shared_uniform(stream, index, 0);
    for (long i = 0; i < s.size; ++i) {
      const auto at = static_cast<long>(share * (shift + static_cast<double>(s.begin + i)));
      x.col(i) = others.all().col(std::min(at, others.count() - 1));
    }
  }

  /// Mean and covariance (1/n) of the points, in double precision.
  std::pair<Eigen::VectorXd, Eigen::MatrixXd> moments(const PointsView& x) const {
    const Eigen::MatrixXd a = download(x);
    const Eigen::VectorXd mean = a.rowwise().mean();
    const Eigen::MatrixXd centred = a.colwise() - mean;
    return {mean, centred * centred.transpose() / static_cast<double>(a.cols())};
  }
  /// Least and greatest coordinates.
  std::pair<Eigen::VectorXd, Eigen::VectorXd> bounds(const PointsView& x) const {
    const Eigen::MatrixXd a = download(x);
    return {a.rowwise().minCoeff(), a.rowwise().maxCoeff()};
  }
  void sort_along_curve(const PointsView& x) const {
    const std::vector<long> order = wgf::detail::order_along_curve(x.all());
    const Array<S> before = x.all();
    for (long i = 0; i < x.count(); ++i)
      x.all().col(i) = before.col(order[static_cast<std::size_t>(i)]);
  }

  /// f on every slice: here on one, the whole batch.
  void parallel(long n, auto&& f) const {
    if (n > 0) f(Slice{0, n});
  }
  void each(long n, auto&& f) const {
    for (long i = 0; i < n; ++i) f(i);
  }
  Sum sum() const { return {}; }

  template <class Kernel>
  PairSum<Kernel, S> pairs(const Kernel& kernel, int /*dim*/) const {
    return {kernel};
  }
  /// out_i = mean_j ∇W(x_i − y_j).
  void pair_gradients(const auto& kernel, const PointsView& x, const PointsView& y,
                      const PointsView& out) const {
    for (long i = 0; i < x.count(); ++i) {
      const Eigen::VectorXd at = download(x.window(i, 1)).col(0);
      const Eigen::VectorXd mean =
          mean_over_pairs(at, y, -1, Eigen::VectorXd(0 * at),
                          [&](const Eigen::VectorXd& z) { return kernel_gradient(kernel, z); });
      upload(mean, out.window(i, 1));
    }
  }
  /// out_i = mean over j ≠ i of ∇W(x_i − x_j).
  void self_gradients(const auto& kernel, const PointsView& x, const PointsView& out) const {
    out.all().setZero();
    pairs(kernel, x.dim()).add_gradient(Slice{0, x.count()}, x.all(), x, out.all(), 1, 0);
  }
  /// mean_j ∇²W(x_i − y_j) at points x (d × n), in double precision.
  std::vector<Eigen::MatrixXd> pair_hessians(const auto& kernel, const Particles& x,
                                             const PointsView& y) const {
    std::vector<Eigen::MatrixXd> hessians;
    for (Eigen::Index i = 0; i < x.cols(); ++i)
      hessians.push_back(
          mean_over_pairs(Eigen::VectorXd(x.col(i)), y, -1,
                          Eigen::MatrixXd(Eigen::MatrixXd::Zero(x.rows(), x.rows())),
                          [&](const Eigen::VectorXd& z) { return kernel_hessian(kernel, z); }));
    return hessians;
  }

  template <class Spec>
  typename NetworkFor<Spec, S>::type network(const Spec& spec, int dim, long /*batch*/,
                                             std::uint32_t stream, Keep) const {
    return {random_, spec, dim, stream};
  }
  template <UpdateRule Rule>
  Optimiser<Rule, S> optimiser(const Rule& rule, const auto& network) const {
    return {rule, network};
  }

 private:
  template <bool Normal>
  void fill(Slice s, auto& x, std::uint32_t stream, std::uint32_t index) const {
    const int dim = static_cast<int>(x.rows());
    random_.fill<S, Normal>(stream, index, s.begin, s.size, dim,
                            [&](long point, int first, const S* four) {
                              for (int j = 0; j < 4 && first + j < dim; ++j)
                                x(first + j, point) = four[j];
                            });
  }
  Random random_;
};

}  // namespace plain

/// Backend policy: one thread and plain formulas, in float (the default) or double. It is there to
/// be read and to be compared with; EigenBackend is many times as fast.
template <class S = float>
struct PlainBackend {
  using Scalar = S;
  std::uint64_t seed = 0;

  /// The same in double precision.
  PlainBackend<double> precise() const { return {seed}; }
  plain::Runtime<S> start() const { return plain::Runtime<S>(seed); }
};

}  // namespace wgf
