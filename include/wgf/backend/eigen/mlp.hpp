// SPDX-License-Identifier: BSL-1.0
#pragma once
// Fully connected networks on the CPU: forward pass and hand-written vector-Jacobian products
// (VJPs), tile by tile, with hidden widths known at compile time. The features of a sample are
// contiguous and padded to whole registers. Layer l computes z = y W + b with W[in][out]; Wᵀ is
// stored as well as W.
#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "../../network/initial.hpp"
#include "../../network/network.hpp"
#include "activation.hpp"
#include "layer_products.hpp"
#include "parameters.hpp"
#include "probes.hpp"
#include "tangents.hpp"

namespace wgf::eigen {

/// The activation of a hidden layer's z, whose rows have length Row. Stores the result in y, and
/// what backward needs in kept.
template <class Act, class Scalar, int Row>
struct Activate {
  Scalar *y, *kept;
  const Scalar* mask;  // dropout mask, or null
  Vec<Scalar> slope;
  WGF_INLINE void operator()(std::ptrdiff_t r, std::ptrdiff_t c, Vec<Scalar> z) const {
    at(r * Row + c, z);
  }
  WGF_INLINE void at(std::ptrdiff_t i, Vec<Scalar> z) const {
    Vec<Scalar> keeping;
    Vec<Scalar> v = Act::forward(z, slope, keeping);
    if constexpr (Act::keeps) store(kept + i, keeping);
    if (mask) v *= load(mask + i);
    store(y + i, v);
  }
  /// Activates the first `count` numbers of y in place.
  [[gnu::noinline]] void all(int count) const {
    for (int i = 0; i < count; i += lanes<Scalar>) at(i, load(y + i));
  }
};
/// Backward through an activation: kept becomes dz, and the gradient of the slope is accumulated.
template <class Act, class Scalar, int Row>
struct Deactivate {
  Scalar* kept;
  const Scalar* mask;
  Vec<Scalar> slope, dslope;
  WGF_INLINE void operator()(std::ptrdiff_t r, std::ptrdiff_t c, Vec<Scalar> v) {
    Scalar* q = kept + r * Row + c;
    if (mask) v *= load(mask + r * Row + c);
    store(q, Act::backward(v, load(q), slope, dslope));
  }
};

/// A network of specification Spec (Mlp or ResidualMlp). `forward` stores what one VJP on the same
/// slice needs; the VJP overwrites it.
template <class Spec, class Scalar>
class MlpNetwork : public ParametricNetwork<MlpNetwork<Spec, Scalar>, Scalar>, Kernels<Scalar> {
  using Base = ParametricNetwork<MlpNetwork, Scalar>;
  using Base::team_, Base::parameters_;
  friend Base;
  static constexpr int W = Spec::width, depth = Spec::depth, last = depth - 1;
  static constexpr bool scalar = Spec::output == Output::scalar;
  using Act = ActivationKernel<typename Spec::activation, Scalar>;
  struct Layer {
    int in, out;  // out is padded
    // Offsets into the parameters and into the transposes.
    std::size_t weight, bias, slope, transposed;
  };
  using MapTangents = Tangents<Act, Scalar, W, depth>;
  using MapProbes = ProbedTangents<Scalar, MapTangents>;

 public:
  /// \param batch the largest number of points in a batch
  /// \param stream random stream of the initial parameters and of dropout
  MlpNetwork(ThreadTeam& team, const Spec& spec, int dim, long batch, std::uint32_t stream,
             Keep keep)
      : Base(team),
        spec_(spec),
        row_(keep, team.workers.count(), batch),
        dim_(dim),
        padded_(padded<Scalar>(dim)),
        stream_(stream) {
    spec.check();
    std::size_t transposed = 0;
    for (int l = 0; l < depth; ++l) {
      const int in = l == 0 ? dim : W, out = l < last ? W : scalar ? 1 : dim;
      Layer& a =
          layer_[l] = {in, l < last || !scalar ? padded<Scalar>(out) : 1, 0, 0, 0, transposed};
      // The last layer of a dual network is a single column; it is stored as a row, as the
      // primitives read it.
      a.weight = l == last && scalar ? parameters_.add(1, in) : parameters_.add(in, out);
      a.bias = parameters_.add(1, out);
      if (l < last && Act::learned) a.slope = parameters_.add(1, 1);
      transposed += static_cast<std::size_t>(W) * std::max(W, padded_);
    }
    if (affine()) {
      matrix_ = parameters_.add(dim, dim);
      matrix_transposed_ = Buffer<Scalar>(static_cast<std::size_t>(padded_) * padded_);
    }
    parameters_.allocate(ThreadTeam::chunks_of(batch));
    transposed_ = Buffer<Scalar>(transposed);
    const long rows = row_.count;
    for (auto& b : kept_) b = Act::keeps ? Buffer<Scalar>(rows * W) : Buffer<Scalar>();
    for (auto& b : y_) b = Buffer<Scalar>(rows * W);
    if (drops()) {
      for (auto& b : mask_) b = Buffer<Scalar>(rows * W);
      dropping_.resize(team.workers.count());
    }
    if (spec_.input_scale != 1) scaled_ = Buffer<Scalar>(rows * padded_);
    if (affine()) of_affine_ = Buffer<Scalar>(rows * padded_);
    output_ = Buffer<Scalar>(rows * (scalar ? 1 : padded_));
    dx_ = Buffer<Scalar>(rows * padded_);
    seed_ = Buffer<Scalar>(rows);
    tangents_.resize(static_cast<std::size_t>(team.workers.count()));
    probes_.resize(tangents_.size());
    initialise();
  }

  /// u(x) or T(x) on the slice; x is the slice's columns.
  template <class X>
  auto forward(Slice s, const X& x) {
    forward_tile(s, x.data(), x.outerStride(), false);
    return output(s);
  }
  /// The same with dropout; the masks are a function of (seed, stream, draw, point).
  template <class X>
  auto forward_train(Slice s, const X& x, std::uint32_t draw) {
    if (drops()) fill_masks(s, draw);
    forward_tile(s, x.data(), x.outerStride(), drops());
    return output(s);
  }
  /// Adds Σ dy·∂output/∂parameters to the gradient.
  template <class X, class G>
  void accumulate_vjp(Slice s, const X& x, const G& dy) {
    pull_tile<true, false>(s, x.data(), x.outerStride(), upstream(s, dy));
  }
  /// dy·∂output/∂x on the slice.
  template <class X, class G>
  Columns<Scalar> input_vjp(Slice s, const X& x, const G& dy) {
    pull_tile<false, true>(s, x.data(), x.outerStride(), upstream(s, dy));
    return {dx_.data() + row_(s) * padded_, dim_, s.size, Eigen::OuterStride<>(padded_)};
  }
  /// Calls give(i, log det ((1 − e) I + e ∇T(x_i))) for the points i of the slice: NaN where the
  /// determinant is not positive.
  template <class X, class Give>
    requires(!scalar)
  void log_determinants(Slice s, const X& x, double extrapolation, Give&& give) {
    run_tangents(s, x, extrapolation, nullptr, without_weights(give));
  }
  /// Adds Σ c_i ∂ log det ∇T(x_i)/∂parameters over the points of the slice where the determinant is
  /// positive to the gradient. \param weigh called as weigh(i, log det ∇T(x_i)), it returns c_i
  template <class X, class Weigh>
    requires(!scalar)
  void accumulate_log_determinants(Slice s, const X& x, Weigh&& weigh) {
    run_tangents(s, x, 1, parameters_.gradient(s.chunk), weigh);
  }
  /// Calls give(i, estimate of log |det ∇T(x_i)|) for the points i of the slice.
  template <class X, class Give>
    requires(!scalar)
  void estimate_log_determinants(Slice s, const X& x, const Probes& probes, Give&& give) {
    probed(s, probes).values(tangent_layers(nullptr), team_->random, probes, s.begin, x.data(),
                             x.outerStride(), s.size, give);
  }
  /// Adds factor times the estimate of Σ ∂ log |det ∇T(x_i)|/∂parameters to the gradient.
  template <class X>
    requires(!scalar)
  void accumulate_log_determinants(Slice s, const X& x, const Probes& probes, double factor) {
    probed(s, probes).gradients(tangent_layers(parameters_.gradient(s.chunk)), team_->random,
                                probes, s.begin, x.data(), x.outerStride(), s.size, factor);
  }
  /// Resets the network to its initial parameters.
  void restart() { initialise(); }

 private:
  template <class X, class Weigh>
  void run_tangents(Slice s, const X& x, double extrapolation, Scalar* g, Weigh&& weigh) {
    auto& tangents = tangents_[static_cast<std::size_t>(s.worker)];
    if (!tangents) tangents = std::make_unique<MapTangents>(dim_);
    tangents->run(tangent_layers(g), x.data(), x.outerStride(), s.size, extrapolation, weigh);
  }
  MapProbes& probed(Slice s, const Probes& probes) {
    return MapProbes::of_worker(probes_, s.worker, dim_, probes.count);
  }
  auto tangent_layers(Scalar* g) const {
    typename MapTangents::Layers net;
    const Scalar* p = parameters_.data();
    for (std::size_t l = 0; l < layer_.size(); ++l) {
      const Layer& a = layer_[l];
      const bool learned = Act::learned && l + 1 < layer_.size();
      net.layer[l] = {p + a.weight,
                      p + a.bias,
                      transposed_.data() + a.transposed,
                      learned ? p[a.slope] : Scalar(0),
                      g ? g + a.weight : nullptr,
                      g ? g + a.bias : nullptr,
                      g && learned ? g + a.slope : nullptr};
    }
    net.affine = {affine() ? p + matrix_ : nullptr, matrix_transposed_.data(),
                  affine() && g ? g + matrix_ : nullptr};
    net.input_scale = Scalar(spec_.input_scale);
    return net;
  }
  bool affine() const {
    if constexpr (requires { spec_.affine; }) return spec_.affine;
    else return false;
  }
  double dropout() const {
    if constexpr (requires { spec_.dropout; }) return spec_.dropout;
    else return 0;
  }
  bool drops() const { return dropout() > 0; }
  Scalar* y(int l, Slice s) { return y_[l].data() + row_(s) * W; }
  Scalar* kept(int l, Slice s) {
    return (Act::keeps ? kept_ : y_)[l].data() + row_(s) * W;
  }  // overwritten by dz in the backward pass
  auto output(Slice s) {
    if constexpr (scalar) return Values<Scalar>(output_.data() + row_(s), s.size);
    else
      return Columns<Scalar>(output_.data() + row_(s) * padded_, dim_, s.size,
                             Eigen::OuterStride<>(padded_));
  }
  template <class G>
  const Scalar* upstream(Slice s, const G& dy) {
    if constexpr (scalar) {
      Values<Scalar>(seed_.data() + row_(s), s.size) = dy;
      return seed_.data() + row_(s);
    } else {
      return dy.data();  // points of the same dimension have the same padding
    }
  }

  void initialise() {
    const auto values = initial_parameters(spec_, dim_, team_->random, stream_);
    this->set_parameters(std::vector<Scalar>(values.begin(), values.end()));
  }
  void refresh() {
    for (int l = 0; l < (scalar ? last : depth); ++l) {
      const Layer& a = layer_[l];
      transpose(parameters_.data() + a.weight, a.out, a.in, a.out,
                transposed_.data() + a.transposed, l ? W : padded_);
    }
    if (affine())
      transpose(parameters_.data() + matrix_, padded_, dim_, dim_, matrix_transposed_.data(),
                padded_);
  }
  void fill_masks(Slice s, std::uint32_t draw) {
    const auto rate = Scalar(dropout()), up = Scalar(1 / (1 - dropout()));
    team_->random.template fill<Scalar, false>(
        stream_, draw, s.begin, s.size, W * last, [&](long point, int first, const Scalar* u) {
          Scalar* m = mask_[first / W].data() + (row_(s) + point) * W + first % W;
          for (int j = 0; j < 4; ++j) m[j] = u[j] < rate ? Scalar(0) : up;
        });
  }

  void forward_tile(Slice s, const Scalar* x, std::ptrdiff_t ldx, bool dropping) {
    if (drops()) dropping_[s.worker] = dropping;
    const Scalar* p = parameters_.data();
    const Scalar* first = scaled(s, x, ldx);
    for (int l = 0; l < last; ++l) {
      const Layer& a = layer_[l];
      const Vec<Scalar> slope = broadcast(Act::learned ? p[a.slope] : Scalar(0));
      const Scalar* mask = dropping ? mask_[l].data() + row_(s) * W : nullptr;
      const Activate<Act, Scalar, W> activate{y(l, s), kept(l, s), mask, slope};
      const auto layer = [&](auto in) {
        const Bias<Scalar> bias{p + a.bias};
        if constexpr (Act::fused)
          product<W, Scalar>(s.size, W, a.in, in, p + a.weight, W, bias, activate);
        else product<W, Scalar>(s.size, W, a.in, in, p + a.weight, W, bias, To<Scalar, W>{y(l, s)});
      };
      if (l == 0) layer(RowMajor<Scalar>{first, spec_.input_scale != 1 ? padded_ : ldx});
      else layer(RowMajor<Scalar, W>{y(l - 1, s)});
      if constexpr (!Act::fused) activate.all(s.size * W);
    }
    const Layer& a = layer_[last];
    const Scalar *h = y(last - 1, s), *w = p + a.weight;
    if constexpr (scalar) {
      this->template dot_rows<W>(h, s.size, w, p[a.bias], output_.data() + row_(s));
    } else {
      Scalar* const to = output_.data() + row_(s) * padded_;
      product<0, Scalar>(s.size, padded_, W, RowMajor<Scalar, W>{h}, w, padded_,
                         FromSum<Scalar>{p + a.bias, x, ldx}, To<Scalar>{to, padded_});
      if (affine())
        product<0, Scalar>(s.size, padded_, dim_, RowMajor<Scalar>{x, ldx}, p + matrix_, padded_,
                           From<Scalar>{to, padded_}, To<Scalar>{to, padded_});
    }
  }
  const Scalar* scaled(Slice s, const Scalar* x, std::ptrdiff_t ldx) {
    if (spec_.input_scale == 1) return x;
    Scalar* to = scaled_.data() + row_(s) * padded_;
    const Vec<Scalar> scale = broadcast(Scalar(spec_.input_scale));
    for (int r = 0; r < s.size; ++r)
      for (int c = 0; c < padded_; c += lanes<Scalar>)
        store(to + r * padded_ + c, scale * load(x + r * ldx + c));
    return to;
  }

  template <bool Parameters, bool Input>
  void pull_tile(Slice s, const Scalar* x, std::ptrdiff_t ldx, const Scalar* dy) {
    const Scalar* p = parameters_.data();
    Scalar* g = Parameters ? parameters_.gradient(s.chunk) : nullptr;
    const auto slope_of = [&](int l) {
      return broadcast(Act::learned ? p[layer_[l].slope] : Scalar(0));
    };
    const auto mask_of = [&](int l) -> const Scalar* {
      return drops() && dropping_[s.worker] ? mask_[l].data() + row_(s) * W : nullptr;
    };
    Vec<Scalar> dslope{}, slope = slope_of(last - 1);
    const Layer& end = layer_[last];
    Scalar* dz = kept(last - 1, s);
    const Scalar *h = y(last - 1, s), *mask = mask_of(last - 1);
    // dz from the gradient that comes back through a layer, whose transposed weights are at
    // `weight`, and through the activation.
    const auto pull = [&](auto above, int out, std::size_t weight) {
      dslope = product<W, Scalar>(s.size, W, out, above, transposed_.data() + weight, W,
                                  FromZero<Scalar>{},
                                  Deactivate<Act, Scalar, W>{dz, mask, slope, Vec<Scalar>{}})
                   .dslope;
    };
    if constexpr (scalar) {  // an outer product and a weighted sum: no matrix product needed
      constexpr int V = W / lanes<Scalar>;
      Vec<Scalar> dw[V], db[V], w[V];
      WGF_UNROLL for (int j = 0; j < V; ++j) dw[j] = db[j] = Vec<Scalar>{},
                                             w[j] = load(p + end.weight + j * lanes<Scalar>);
      Scalar total = 0;
      for (int r = 0; r < s.size; ++r) {
        const Vec<Scalar> dr = broadcast(dy[r]);
        WGF_UNROLL for (int j = 0; j < V; ++j) {
          const int at = r * W + j * lanes<Scalar>;
          if constexpr (Parameters)
            dw[j] = fma(dr, load(h + at), dw[j]);  // before `finish`: dz may overwrite h
          Vec<Scalar> v = dr * w[j];
          if (mask) v *= load(mask + at);
          const Vec<Scalar> d = Act::backward(v, load(dz + at), slope, dslope);
          if constexpr (Parameters) db[j] += d;
          store(dz + at, d);
        }
        total += dy[r];
      }
      if constexpr (Parameters) {
        for (int j = 0; j < V; ++j) {
          Scalar *a = g + end.weight + j * lanes<Scalar>,
                 *b = g + layer_[last - 1].bias + j * lanes<Scalar>;
          store(a, load(a) + dw[j]), store(b, load(b) + db[j]);
        }
        g[end.bias] += total;
      }
    } else {
      if constexpr (Parameters) {
        this->template add_weights<0>(h, W, W, dy, padded_, s.size, g + end.weight);
        this->add_rows(dy, padded_, s.size, g + end.bias);
        if (affine()) this->template add_weights<0>(x, ldx, dim_, dy, padded_, s.size, g + matrix_);
      }
      pull(RowMajor<Scalar>{dy, padded_}, dim_, end.transposed);
      if constexpr (Parameters) this->add_rows(dz, W, s.size, g + layer_[last - 1].bias);
    }
    if constexpr (Parameters && Act::learned) g[layer_[last - 1].slope] += sum(dslope);
    for (int l = last - 1; l > 0; --l) {
      const Scalar* above = dz;
      if constexpr (Parameters)
        this->template add_weights<W, W>(y(l - 1, s), W, W, above, W, s.size, g + layer_[l].weight);
      slope = slope_of(l - 1), dz = kept(l - 1, s), mask = mask_of(l - 1);
      pull(RowMajor<Scalar, W>{above}, W, layer_[l].transposed);
      if constexpr (Parameters) {
        this->add_rows(dz, W, s.size, g + layer_[l - 1].bias);
        if constexpr (Act::learned) g[layer_[l - 1].slope] += sum(dslope);
      }
    }
    const bool scaling = spec_.input_scale != 1;
    if constexpr (Parameters)
      this->template add_weights<W>(scaling ? scaled_.data() + row_(s) * padded_ : x,
                                    scaling ? padded_ : ldx, dim_, dz, W, s.size,
                                    g + layer_[0].weight);
    if constexpr (Input) {
      Scalar* to = dx_.data() + row_(s) * padded_;
      const auto scale = Scalar(spec_.input_scale);
      const auto set = [&](auto finish) {
        product<0, Scalar>(s.size, padded_, W, RowMajor<Scalar, W>{dz},
                           transposed_.data() + layer_[0].transposed, padded_, FromZero<Scalar>{},
                           finish);
      };
      if constexpr (scalar) {
        set(ToScaled<Scalar>{to, padded_, scale});
      } else if (affine()) {  // T(x) = x + A x + …; dy may be in dx_
        Scalar* const other = of_affine_.data() + row_(s) * padded_;
        product<0, Scalar>(s.size, padded_, dim_, RowMajor<Scalar>{dy, padded_},
                           matrix_transposed_.data(), padded_, From<Scalar>{dy, padded_},
                           To<Scalar>{other, padded_});
        set(ToScaledPlus<Scalar>{to, padded_, scale, other});
      } else {
        set(ToScaledPlus<Scalar>{to, padded_, scale, dy});  // T(x) = x + …
      }
    }
  }

  Spec spec_;
  Rows row_;
  int dim_, padded_;
  std::uint32_t stream_;
  std::vector<std::uint8_t> dropping_;  // by worker: whether its last forward pass used dropout
  std::array<Layer, depth> layer_;
  std::size_t matrix_ = 0;  // offset of the affine part, if there is one, into the parameters
  Buffer<Scalar> transposed_, matrix_transposed_, scaled_, output_, of_affine_, dx_, seed_;
  std::array<Buffer<Scalar>, last> kept_, y_, mask_;
  // By worker, made when first used.
  std::vector<std::unique_ptr<MapTangents>> tangents_;
  std::vector<std::unique_ptr<MapProbes>> probes_;
};

}  // namespace wgf::eigen
