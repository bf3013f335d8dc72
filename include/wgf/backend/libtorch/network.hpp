// SPDX-License-Identifier: BSL-1.0
#pragma once
// Networks on tensors: the formula of a specification, from which LibTorch's autograd derives the
// vector-Jacobian products (VJPs) and Jacobians; the parameters are one flat tensor, in the order
// of the specification.
#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ATen/core/ivalue.h>  // must come first: see tensor.hpp
#include <torch/csrc/autograd/autograd.h>

#include "../../network/icnn.hpp"
#include "../../network/initial.hpp"
#include "../../network/network_pair.hpp"
#include "tensor.hpp"

namespace wgf::libtorch {

/// Provides consecutive pieces of a list of parameters, each as a separate variable:
/// differentiation with respect to the list would compute a gradient of the length of the list for
/// every piece.
class Pieces {
 public:
  explicit Pieces(Tensor list) : list_(std::move(list)) {}
  Tensor next(long rows, long cols) { return taken(rows * cols, {rows, cols}); }
  Tensor next(long count) { return taken(count, {count}); }
  const std::vector<Tensor>& all() const { return pieces_; }

 private:
  Tensor taken(long count, at::IntArrayRef shape) {
    pieces_.push_back(list_.narrow(0, at_, count).view(shape).detach().requires_grad_(true));
    at_ += count;
    return pieces_.back();
  }
  Tensor list_;
  std::vector<Tensor> pieces_;
  long at_ = 0;
};

// ---- the networks' formulas. `evaluate(specification, parameters, x, drop)`: x is n × d, the
// result n numbers or n × d points; `drop` is applied to hidden units. For a custom specification,
// define a function of this name in its namespace.

template <class Activation>
Tensor activated(const Tensor& z, Pieces& p) {
  if constexpr (std::is_same_v<Activation, PRelu>) return at::prelu(z, p.next(1));
  else if constexpr (std::is_same_v<Activation, Silu>) return at::silu(z);
  else if constexpr (std::is_same_v<Activation, Softplus>)
    return at::softplus(z, 1, 40);  // z itself where e^−z is negligible
  else return z;
}

/// The output of the layers of an Mlp or a ResidualMlp.
template <class Spec, class Drop>
Tensor layers(const Spec& spec, Pieces& p, const Tensor& x, Drop&& drop) {
  constexpr int last = Spec::depth - 1;
  constexpr bool scalar = Spec::output == Output::scalar;
  Tensor h = spec.input_scale == 1 ? x : x * spec.input_scale;
  for (int l = 0; l <= last; ++l) {
    const long in = h.size(1), out = l < last ? Spec::width : scalar ? 1 : x.size(1);
    const Tensor weight = p.next(in, out), bias = p.next(out);
    h = at::addmm(bias, h, weight);
    if (l < last) h = drop(activated<typename Spec::activation>(h, p));
  }
  return h;
}
template <int W, int D, class Activation, class Drop>
Tensor evaluate(const Mlp<W, D, Activation>& spec, Pieces& p, const Tensor& x, Drop&& drop) {
  return layers(spec, p, x, drop).squeeze(1);
}
template <int W, int D, class Activation, class Drop>
Tensor evaluate(const ResidualMlp<W, D, Activation>& spec, Pieces& p, const Tensor& x,
                Drop&& drop) {
  const Tensor residual = x + layers(spec, p, x, drop);
  return spec.affine ? at::addmm(residual, x, p.next(x.size(1), x.size(1))) : residual;
}
template <class Drop>
Tensor evaluate(const Affine&, Pieces& p, const Tensor& x, Drop&&) {
  const long d = x.size(1);
  const Tensor matrix = p.next(d, d);
  return x + at::addmm(p.next(d), x, matrix);
}
template <class Drop>
Tensor evaluate(const Quadratic&, Pieces& p, const Tensor& x, Drop&&) {
  const long d = x.size(1);
  const Tensor matrix = p.next(d, d), linear = p.next(d), constant = p.next(1);
  return 0.5 * (at::matmul(x, matrix) * x).sum(1) + at::matmul(x, linear) + constant;
}
/// T = ∇φ: autograd differentiates φ, and then T for the VJPs.
template <int W, int D, class Drop>
Tensor evaluate(const IcnnGradient<W, D>& spec, Pieces& p, const Tensor& x, Drop&&) {
  const long d = x.size(1);
  const double scale = spec.input_scale, alpha = spec.strong_convexity;
  std::vector<Tensor> weights;
  for (int l = 0; l < D; ++l) weights.push_back(p.next((l ? W : 0) + d, W));
  const Tensor bias = p.next(D, W), top = p.next(W), factor = p.next(d, d), shift = p.next(d);
  const Tensor at = x.requires_grad() ? x : x.detach().requires_grad_(true);
  const Tensor scaled = scale == 1 ? at : scale * at;
  Tensor z;
  for (int l = 0; l < D; ++l) {
    const Tensor input = l ? at::cat({z, scaled}, 1) : scaled;
    z = at::softplus(at::addmm(bias.narrow(0, l, 1), input, weights[static_cast<std::size_t>(l)]),
                     1, 40);
  }
  const Tensor stretched = at + at::matmul(at, factor.t());
  const Tensor phi = at::matmul(z, top).sum() / scale + (0.5 * alpha) * at.square().sum() +
                     (0.5 * (1 - alpha)) * stretched.square().sum() + at::matmul(at, shift).sum();
  return torch::autograd::grad({phi}, {at}, {}, true, true)[0];
}

/// The ranges [begin, end) of parameters that must not be negative.
template <class Spec>
std::vector<std::pair<long, long>> nonnegative(const Spec&, long /*dim*/) {
  return {};
}
template <int W, int D>
std::vector<std::pair<long, long>> nonnegative(const IcnnGradient<W, D>&, long dim) {
  std::vector<std::pair<long, long>> ranges;
  long at = dim * W;
  for (int l = 1; l < D; ++l) ranges.emplace_back(at, at + W * W), at += (W + dim) * W;
  at += D * W;
  ranges.emplace_back(at, at + W);
  return ranges;
}

/// See cuda_graph.hpp.
struct Recorder;

/// Data that the networks of a runtime share.
struct Device {
  at::TensorOptions options;
  Random random;
  at::Generator generator;  ///< of a device that draws its own numbers; otherwise undefined
  bool record = true;       ///< whether iterations may be recorded and replayed
  std::shared_ptr<Recorder> recorder{};  ///< of such a device
  bool draws() const { return generator.defined(); }
};

/// A network's parameters and their gradient, each one flat tensor in the order of the
/// specification.
struct Parameters {
  Tensor value, gradient;
  long times_set = 0;  ///< how often they were set; this invalidates an average of earlier iterates
  std::size_t count() const { return static_cast<std::size_t>(value.numel()); }
};

template <class Spec>
concept HasFormula = requires(const Spec& spec, Pieces& p, const Tensor& x) {
  {
    evaluate(spec, p, x, [](const Tensor& h) { return h; })
  } -> std::convertible_to<Tensor>;
};

/// A network of a specification. `forward` stores what one VJP needs; the VJP consumes it.
template <class Spec, class Scalar>
class Network {
 public:
  Network(const Device& device, const Spec& spec, int dim, std::uint32_t stream)
      : device_(device),
        spec_(spec),
        dim_(dim),
        stream_(stream),
        positive_(nonnegative(spec, dim)) {
    if constexpr (requires { spec.check(); }) spec.check();
    const auto start = initial_parameters(spec_, dim_, device_.random, stream_);
    for (Tensor* t : {&block_.value, &block_.gradient})
      *t = at::zeros({static_cast<long>(start.size())}, device_.options);
    set_parameters(std::vector<Scalar>(start.begin(), start.end()));
  }

  Tensor forward(Slice s, const Tensor& x) {
    return forward(s, x, [](const Tensor& h) { return h; });
  }
  /// The same with dropout. On a CPU the masks are a function of (seed, stream, draw, point), as on
  /// the other backends.
  Tensor forward_train(Slice s, const Tensor& x, std::uint32_t draw) {
    if constexpr (requires { spec_.dropout; }) {
      if (spec_.dropout > 0) {
        Tensor masks = dropout_masks(x.size(0), draw);
        return forward(s, x, [&, unit = 0L](const Tensor& h) mutable {
          const Tensor mask = masks.narrow(1, unit, h.size(1));
          unit += h.size(1);
          return h * mask;
        });
      }
    }
    return forward(s, x);
  }
  void accumulate_vjp(Slice, const Tensor&, const Tensor& dy) {
    add_to_gradient(parameters_, pullback(parameters_, dy));
  }
  Tensor input_vjp(Slice, const Tensor&, const Tensor& dy) { return pullback({input_}, dy)[0]; }
  /// log det ((1 − e) I + e ∇T(x_i)): n numbers in double precision, NaN where the determinant is
  /// not positive.
  Tensor log_determinants(Slice, const Tensor& x, double extrapolation)
    requires(Spec::output == Output::point)
  {
    constexpr long max_rows = 1L << 16;  // in a pass, to limit memory
    const Tensor points = with_different_derivatives(x);
    const long n = points.size(0), block = std::max(1L, max_rows / dim_);
    const Tensor identity = at::eye(dim_, x.options().dtype(at::kDouble));
    std::vector<Tensor> logs;
    for (long first = 0; first < n; first += block) {
      Pieces pieces(block_.value);
      const Tensor jacobians =
          derivatives(points.narrow(0, first, std::min(block, n - first)), pieces, false);
      logs.push_back(log_determinants_of(identity + extrapolation * (jacobians - identity)));
    }
    return at::cat(logs).expand({x.size(0)});
  }
  /// Adds Σ c_i ∂ log det ∇T(x_i)/∂parameters over the points where the determinant is positive to
  /// the gradient. As ∂ log det M = tr(M⁻¹ ∂M), this is a VJP of M = ∇T(x_i) with the upstream
  /// gradient c_i M⁻ᵀ.
  /// \param weigh called once as weigh(n numbers log det ∇T(x_i)), it returns the n numbers c_i
  template <class Weigh>
    requires(Spec::output == Output::point)
  void accumulate_log_determinants(Slice, const Tensor& x, Weigh&& weigh) {
    ++host_visits;  // LibTorch's factorisations may wait for the device
    Pieces pieces(block_.value);
    const Tensor jacobians = derivatives(with_different_derivatives(x), pieces, true);
    const Tensor m = jacobians.detach().to(at::kDouble), log_det = log_determinants_of(m);
    Tensor weights = weigh(log_det.expand({x.size(0)}));
    if (log_det.size(0) < weights.size(0)) weights = weights.sum(0, true);
    if (!jacobians.requires_grad()) return;  // ∇T is independent of the parameters
    const auto per_matrix = [](const Tensor& t) { return t.view({-1, 1, 1}); };
    const Tensor inverse = std::get<0>(at::linalg_inv_ex(m)),
                 upstream = at::where(per_matrix(at::isnan(log_det)), 0.0,
                                      per_matrix(weights) * inverse.transpose(1, 2));
    add_to_gradient(pieces.all(),
                    torch::autograd::grad({jacobians}, pieces.all(),
                                          {upstream.to(jacobians.scalar_type())}, {}, false, true));
  }

  /// Resets the network to its initial parameters.
  void restart() {
    const auto start = initial_parameters(spec_, dim_, device_.random, stream_);
    set_parameters(std::vector<Scalar>(start.begin(), start.end()));
  }
  std::vector<Scalar> parameters() const { return list(block_.value); }
  std::vector<Scalar> gradient() const { return list(block_.gradient); }
  void clear_gradient() { block_.gradient.zero_(); }
  void set_parameters(std::span<const Scalar> values) {
    if (values.size() != block_.count())
      throw std::invalid_argument("wgf: a network of " + std::to_string(block_.count()) +
                                  " parameters was given " + std::to_string(values.size()));
    block_.value.copy_(at::from_blob(const_cast<Scalar*>(values.data()),
                                     {static_cast<long>(values.size())}, scalar_type));
    ++block_.times_set;
    blocks_changed();
  }

  // ---- for an optimiser, which writes to the blocks between complete_gradient() and
  // blocks_changed()

  std::array<Parameters*, 1> blocks() { return {&block_}; }
  std::array<const Parameters*, 1> blocks() const { return {&block_}; }
  void complete_gradient() {}
  /// Sets negative values to zero among the parameters that must not be negative.
  void blocks_changed() {
    for (const auto& [begin, end] : positive_)
      block_.value.narrow(0, begin, end - begin).clamp_min_(0);
  }

 private:
  static constexpr auto scalar_type = std::is_same_v<Scalar, float> ? at::kFloat : at::kDouble;
  template <class Drop>
  Tensor forward(Slice, const Tensor& x, Drop drop) {
    const at::AutoGradMode record(true);
    Pieces pieces(block_.value);
    input_ = x.detach().requires_grad_(true);
    output_ = evaluate(spec_, pieces, input_, drop);
    parameters_ = pieces.all();
    return output_.detach();
  }
  std::vector<Tensor> pullback(const std::vector<Tensor>& to, const Tensor& dy) {
    const Tensor output = std::exchange(output_, Tensor());
    if (!output.defined())
      throw std::logic_error("wgf: a pullback needs a forward pass of its own");
    return torch::autograd::grad({output}, to, {dy.detach()});
  }
  /// Adds gradients of consecutive pieces of the parameters; undefined ones are zero.
  void add_to_gradient(const std::vector<Tensor>& pieces, const std::vector<Tensor>& gradients) {
    std::vector<Tensor> sums, added;
    long at = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const Tensor& piece = pieces[i];
      if (gradients[i].defined()) {
        sums.push_back(block_.gradient.narrow(0, at, piece.numel()).view(piece.sizes()));
        added.push_back(gradients[i]);
      }
      at += piece.numel();
    }
    at::_foreach_add_(sums, added);
  }
  /// The points at which ∇T must be computed: one is enough for an affine map.
  static Tensor with_different_derivatives(const Tensor& x) {
    return AffineSpecification<Spec> ? x.narrow(0, 0, 1) : x;
  }
  /// ∇T at the points x: n × d × d with the elements ∂T_j/∂x_k in row j, by one VJP at d copies of
  /// each point.
  /// \param differentiable whether they can be differentiated with respect to the pieces
  Tensor derivatives(const Tensor& x, Pieces& pieces, bool differentiable) const {
    const at::AutoGradMode record(true);
    const long n = x.size(0), d = x.size(1);
    const Tensor copies =
        x.detach().unsqueeze(1).expand({n, d, d}).reshape({n * d, d}).requires_grad_(true);
    const Tensor units = at::eye(d, x.options()).repeat({n, 1}),
                 y = evaluate(spec_, pieces, copies, [](const Tensor& h) { return h; });
    return torch::autograd::grad({y}, {copies}, {units}, {}, differentiable)[0].view({n, d, d});
  }
  /// log det of each matrix; NaN where the determinant is not positive, or where the derivative of
  /// a convex function's gradient is not positive definite.
  static Tensor log_determinants_of(const Tensor& matrices) {
    if constexpr (GradientMapSpecification<Spec>) {
      const auto [factors, failed] = at::linalg_cholesky_ex(matrices);
      return at::where(failed > 0, NAN, 2 * factors.diagonal(0, 1, 2).log().sum(1));
    } else {
      const auto [sign, log] = at::linalg_slogdet(matrices);
      return at::where(sign > 0, log, NAN);
    }
  }
  /// n × (hidden units): 0 or 1/(1 − dropout).
  Tensor dropout_masks(long n, std::uint32_t draw) const
    requires requires(const Spec& s) { s.dropout; }
  {
    constexpr int units = Spec::width * (Spec::depth - 1);
    const double up = 1 / (1 - spec_.dropout);
    if (device_.draws())
      return at::rand({n, units}, device_.generator, device_.options).ge_(spec_.dropout).mul_(up);
    Tensor masks = at::empty({n, units}, scalar_type);
    Scalar* to = masks.template data_ptr<Scalar>();
    const auto rate = static_cast<Scalar>(spec_.dropout);
    device_.random.template fill<Scalar, false>(
        stream_, draw, 0, n, units, [&](long point, int first, const Scalar* u) {
          for (int j = 0; j < 4; ++j)
            to[point * units + first + j] = u[j] < rate ? Scalar(0) : static_cast<Scalar>(up);
        });
    return masks.to(device_.options);
  }
  std::vector<Scalar> list(const Tensor& t) const {
    const Tensor host = t.to(at::kCPU).contiguous();
    return {host.template data_ptr<Scalar>(), host.template data_ptr<Scalar>() + host.numel()};
  }

  Device device_;
  Spec spec_;
  int dim_;
  std::uint32_t stream_;
  std::vector<std::pair<long, long>> positive_;
  Parameters block_;
  Tensor input_, output_;  // of the last forward pass
  std::vector<Tensor> parameters_;
};

/// u = u_1 + u_2, each with its own parameters; in lists, those of u_1 come first.
template <class First, class Second, class Scalar>
class SumNetwork : public NetworkPair<First, Second, Scalar> {
  using Base = NetworkPair<First, Second, Scalar>;
  using Base::first_, Base::second_;

 public:
  template <class Spec>
  SumNetwork(const Device& device, const Spec& spec, int dim, std::uint32_t stream)
      : Base(First(device, spec.first, dim, stream),
             Second(device, spec.second, dim, stream + random_streams<decltype(spec.first)>)) {}
  Tensor forward(Slice s, const Tensor& x) { return first_.forward(s, x) + second_.forward(s, x); }
  Tensor forward_train(Slice s, const Tensor& x, std::uint32_t draw) {
    return first_.forward_train(s, x, draw) + second_.forward_train(s, x, draw);
  }
  void accumulate_vjp(Slice s, const Tensor& x, const Tensor& dy) {
    first_.accumulate_vjp(s, x, dy), second_.accumulate_vjp(s, x, dy);
  }
  Tensor input_vjp(Slice s, const Tensor& x, const Tensor& dy) {
    return first_.input_vjp(s, x, dy) + second_.input_vjp(s, x, dy);
  }
};

template <class Spec, class Scalar>
struct NetworkFor {
  static_assert(wgf::detail::no_network<Spec>,
                "wgf: LibTorchBackend has no network of this specification: see "
                "docs/backends.md to write one");
  using type = wgf::detail::NoNetwork;
};
template <HasFormula Spec, class Scalar>
struct NetworkFor<Spec, Scalar> {
  using type = Network<Spec, Scalar>;
};
template <class First, class Second, class Scalar>
struct NetworkFor<NetworkSum<First, Second>, Scalar> {
  using type = SumNetwork<typename NetworkFor<First, Scalar>::type,
                          typename NetworkFor<Second, Scalar>::type, Scalar>;
};

}  // namespace wgf::libtorch
