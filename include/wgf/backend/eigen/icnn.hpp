// SPDX-License-Identifier: BSL-1.0
#pragma once
// The gradient of a strongly convex network on the CPU, T = ∇φ (eq. 5), with h_l the
// pre-activations, p_l = σ'(h_l), u_l = [z_{l−1}, s x]:
//
//   forward  δ_D = w⊙p_D, δ_{l−1} = (W_lᵀδ_l)⊙p_{l−1};
//            T = Σ A_lᵀδ_l + x + S x + c, S = (1 − α)(C + Cᵀ + CᵀC)
//   VJP of v
//            The derivative of φ along v is w·ż_D plus that of the other terms, where
//            ḣ_l = [W_l; A_l]·u̇_l, u̇_l = [ż_{l−1}, v], ż_l = p_l⊙ḣ_l.
//            Going back through the forward and tangent passes, δ is the adjoint of ḣ and η
//            that of h:
//            η_l = σ''(h_l)⊙ḣ_l⊙(W_{l+1}ᵀδ_{l+1}) + p_l⊙(W_{l+1}ᵀη_{l+1}),
//            with w in place of W_{D+1}ᵀδ_{D+1}; as σ'' = p(1 − p), the first summand is
//            δ_l⊙(1 − p_l)⊙ḣ_l. Then
//            d[W_l; A_l] = Σ u̇_l δ_lᵀ + u_l η_lᵀ, db_l = Σ η_l, dw = Σ ż_D, dc = Σ v,
//            dC = (1 − α)(I + C)(M + Mᵀ) with M = Σ x vᵀ; ∇²φ·v = s Σ A_lᵀη_l + v + S v.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "../../network/icnn.hpp"
#include "convex_tangents.hpp"
#include "mlp.hpp"

namespace wgf::eigen {

/// Computes from ḣ the tangent ż = p⊙ḣ and the initial value of η, δ⊙(1 − p)⊙ḣ.
template <class Scalar, int Row>
struct ToTangent {
  Scalar* tangent;
  std::ptrdiff_t tangent_row;
  Scalar* eta;
  const Scalar *slope, *delta;
  WGF_INLINE void operator()(std::ptrdiff_t r, std::ptrdiff_t c, Vec<Scalar> h) const {
    const std::ptrdiff_t at = r * Row + c;
    const Vec<Scalar> d = load(slope + at);
    store(tangent + r * tangent_row + c, d * h);
    store(eta + at, load(delta + at) * (broadcast(Scalar(1)) - d) * h);
  }
};

/// `forward` stores what VJPs on the same slice need; they do not change it, so that several may
/// follow one forward pass.
template <class Spec, class Scalar>
class IcnnNetwork : public ParametricNetwork<IcnnNetwork<Spec, Scalar>, Scalar>, Kernels<Scalar> {
  using Base = ParametricNetwork<IcnnNetwork, Scalar>;
  using Base::team_, Base::parameters_;
  friend Base;
  static constexpr int W = Spec::width, depth = Spec::depth, last = depth - 1, units = depth * W;
  using MapTangents = ConvexTangents<Scalar, W, depth>;
  using MapProbes = ProbedTangents<Scalar, MapTangents>;

 public:
  /// \param batch the largest number of points in a batch
  /// \param stream random stream of the initial parameters
  IcnnNetwork(ThreadTeam& team, const Spec& spec, int dim, long batch, std::uint32_t stream,
              Keep keep)
      : Base(team),
        spec_(spec),
        row_(keep, team.workers.count(), batch),
        tile_row_(Keep::tile, team.workers.count(), batch),
        dim_(dim),
        padded_(padded<Scalar>(dim)),
        stream_(stream) {
    spec.check();
    for (int l = 0; l < depth; ++l) weight_[l] = parameters_.add(inputs(l), W);
    bias_ = parameters_.add(1, units), top_ = parameters_.add(1, W);
    factor_ = parameters_.add(dim, dim), shift_ = parameters_.add(1, dim);
    parameters_.allocate(ThreadTeam::chunks_of(batch));
    const auto square = static_cast<std::size_t>(dim) * padded_;
    for (int k = 0; k < ThreadTeam::chunks_of(batch); ++k) moments_.emplace_back(square);
    quadratic_ = Buffer<Scalar>(square), symmetric_ = Buffer<Scalar>(square),
    zero_ = Buffer<Scalar>(padded_);
    back_to_z_ = Buffer<Scalar>(static_cast<std::size_t>(last) * W * W),
    back_to_x_ = Buffer<Scalar>(static_cast<std::size_t>(units) * padded_);
    for (int l = 0; l < depth; ++l)
      input_[l] = Buffer<Scalar>(row_.count * stride(l)),
      tangent_[l] = Buffer<Scalar>(tile_row_.count * stride(l));
    slope_ = Buffer<Scalar>(row_.count * units), delta_ = Buffer<Scalar>(row_.count * units);
    eta_ = Buffer<Scalar>(tile_row_.count * units),
    top_tangent_ = Buffer<Scalar>(tile_row_.count * W);
    output_ = Buffer<Scalar>(row_.count * padded_), dx_ = Buffer<Scalar>(row_.count * padded_);
    tangents_.resize(static_cast<std::size_t>(team.workers.count()));
    probes_.resize(tangents_.size());
    initialise();
  }

  /// T(x) = ∇φ(x) on the slice; x is the slice's columns.
  template <class X>
  Columns<Scalar> forward(Slice s, const X& x) {
    forward_tile(s, x.data(), x.outerStride());
    return columns(output_, s);
  }
  /// Adds Σ v·∂T/∂parameters to the gradient, v = dy.
  template <class X, class G>
  void accumulate_vjp(Slice s, const X& x, const G& dy) {
    pull_tile(s, dy.data());
    add_gradient(s, x.data(), x.outerStride(), dy.data());
  }
  /// ∇²φ(x)·dy on the slice: ∇²φ is symmetric.
  template <class X, class G>
  Columns<Scalar> input_vjp(Slice s, const X&, const G& dy) {
    pull_tile(s, dy.data());
    set_points(s, dy.data(), padded_, zero_.data(), Scalar(spec_.input_scale),
               eta_.data() + tile_row_(s) * units, dx_);
    return columns(dx_, s);
  }
  /// Calls give(i, log det ((1 − e) I + e ∇T(x_i))) for the points i of the slice: NaN where the
  /// matrix is not positive definite, which takes an e outside [0, 1].
  template <class X, class Give>
  void log_determinants(Slice s, const X& x, double extrapolation, Give&& give) {
    run_tangents(s, x, extrapolation, nullptr, without_weights(give));
  }
  /// Adds Σ c_i ∂ log det ∇T(x_i)/∂parameters over the points of the slice to the gradient.
  /// \param weigh called as weigh(i, log det ∇T(x_i)), it returns c_i
  template <class X, class Weigh>
  void accumulate_log_determinants(Slice s, const X& x, Weigh&& weigh) {
    run_tangents(s, x, 1, parameters_.gradient(s.chunk), weigh);
  }
  /// Calls give(i, estimate of log det ∇T(x_i)) for the points i of the slice.
  template <class X, class Give>
  void estimate_log_determinants(Slice s, const X& x, const Probes& probes, Give&& give) {
    probed(s, probes).values(tangent_layers(s, nullptr), team_->random, probes, s.begin, x.data(),
                             x.outerStride(), s.size, give);
  }
  /// Adds factor times the estimate of Σ ∂ log det ∇T(x_i)/∂parameters to the gradient.
  template <class X>
  void accumulate_log_determinants(Slice s, const X& x, const Probes& probes, double factor) {
    probed(s, probes).gradients(tangent_layers(s, parameters_.gradient(s.chunk)), team_->random,
                                probes, s.begin, x.data(), x.outerStride(), s.size, factor);
  }
  /// ∇²φ at the points of the slice, for the density of T's image: column i is the d × d matrix at
  /// point i, column by column. Takes one forward pass, and one VJP per coordinate.
  template <class X>
  Eigen::Array<Scalar, Eigen::Dynamic, Eigen::Dynamic> hessian(Slice s, const X& x) {
    Eigen::Array<Scalar, Eigen::Dynamic, Eigen::Dynamic> result(dim_ * dim_, s.size),
        unit(padded_, s.size);
    forward(s, x);
    for (int j = 0; j < dim_; ++j) {
      unit.setZero(), unit.row(j) = 1;
      result.middleRows(j * dim_, dim_) = input_vjp(s, x, unit);
    }
    return result;
  }

 private:
  template <class X, class Weigh>
  void run_tangents(Slice s, const X& x, double extrapolation, Scalar* g, Weigh&& weigh) {
    auto& tangents = tangents_[static_cast<std::size_t>(s.worker)];
    if (!tangents) tangents = std::make_unique<MapTangents>(dim_);
    tangents->run(tangent_layers(s, g), x.data(), x.outerStride(), s.size, extrapolation, weigh);
  }
  MapProbes& probed(Slice s, const Probes& probes) {
    return MapProbes::of_worker(probes_, s.worker, dim_, probes.count);
  }
  auto tangent_layers(Slice s, Scalar* g) const {
    const Scalar* p = parameters_.data();
    const auto gradient = [g](std::size_t at) { return g ? g + at : nullptr; };
    typename MapTangents::Layers layers{{},
                                        p + bias_,
                                        p + top_,
                                        quadratic_.data(),
                                        back_to_x_.data(),
                                        gradient(bias_),
                                        gradient(top_),
                                        g ? moments_[s.chunk].data() : nullptr,
                                        Scalar(spec_.input_scale)};
    for (int l = 0; l < depth; ++l) {
      const std::size_t points = weight_[l] + static_cast<std::size_t>(below(l)) * W;
      layers.layer[l] = {l ? p + weight_[l] : nullptr, p + points,
                         l ? back_to_z_.data() + (l - 1) * W * W : nullptr, gradient(weight_[l]),
                         gradient(points)};
    }
    return layers;
  }
  /// The number of inputs of layer l that are units of the layer below; that of all its inputs; and
  /// the stride of its rows u_l = [z_{l−1}, s x].
  static int below(int l) { return l ? W : 0; }
  int inputs(int l) const { return below(l) + dim_; }
  int stride(int l) const { return below(l) + padded_; }
  Scalar* input(int l, Slice s) const { return input_[l].data() + row_(s) * stride(l); }
  Scalar* tangent(int l, Slice s) const { return tangent_[l].data() + tile_row_(s) * stride(l); }
  Columns<Scalar> columns(const Buffer<Scalar>& b, Slice s) const {
    return {b.data() + row_(s) * padded_, dim_, s.size, Eigen::OuterStride<>(padded_)};
  }

  void initialise() {
    const auto values = initial_parameters(spec_, dim_, team_->random, stream_);
    this->set_parameters(std::vector<Scalar>(values.begin(), values.end()));
  }
  /// After each change of the parameters: projects them onto the cone, and recomputes what the
  /// passes derive from them.
  void refresh() {
    Scalar* p = parameters_.data();
    const auto project = [&](std::size_t at, int count) {
      for (Scalar* q = p + at; q < p + at + count; ++q) *q = std::max(*q, Scalar(0));
    };
    project(top_, W);
    for (int l = 1; l < depth; ++l) {
      project(weight_[l], W * W);
      transpose(p + weight_[l], W, W, W, back_to_z_.data() + (l - 1) * W * W, W);
    }
    for (int l = 0; l < depth; ++l)
      transpose(p + weight_[l] + below(l) * W, W, dim_, W,
                back_to_x_.data() + static_cast<std::ptrdiff_t>(l) * W * padded_, padded_);
    const Scalar *c = p + factor_, rest = Scalar(1 - spec_.strong_convexity);
    Scalar* q = quadratic_.data();
    product<0, Scalar>(dim_, padded_, dim_, Transposed<Scalar>{c, padded_}, c, padded_,
                       FromZero<Scalar>{}, To<Scalar>{q, padded_});
    for (int r = 0; r < dim_; ++r)
      for (int k = 0; k <= r; ++k) {
        Scalar &lower = q[r * padded_ + k], &upper = q[k * padded_ + r];
        lower = upper = rest * (c[r * padded_ + k] + c[k * padded_ + r] + lower);
      }
  }
  /// Computes the gradient of C from the chunks' sums M, which are then cleared.
  void chain() {
    Scalar *sum = moments_[0].data(), *both = symmetric_.data(),
           *g = parameters_.gradient(0) + factor_;
    const auto size = static_cast<long>(moments_[0].size());
    for (std::size_t k = 1; k < moments_.size(); ++k) {
      Values<Scalar>(sum, size) += Values<Scalar>(moments_[k].data(), size);
      std::fill_n(moments_[k].data(), size, Scalar(0));
    }
    for (int r = 0; r < dim_; ++r)
      for (int k = 0; k < dim_; ++k)
        both[r * padded_ + k] = sum[r * padded_ + k] + sum[k * padded_ + r];
    product<0, Scalar>(dim_, padded_, dim_, RowMajor<Scalar>{parameters_.data() + factor_, padded_},
                       both, padded_, From<Scalar>{both, padded_},
                       ToScaledPlus<Scalar>{g, padded_, Scalar(1 - spec_.strong_convexity), g});
    std::fill_n(sum, size, Scalar(0));
  }

  /// to = scale·x, point by point.
  void set_scaled(Scalar scale, const Scalar* x, std::ptrdiff_t ldx, int n, Scalar* to,
                  std::ptrdiff_t ld) const {
    const Vec<Scalar> factor = broadcast(scale);
    for (int r = 0; r < n; ++r)
      for (int c = 0; c < padded_; c += lanes<Scalar>)
        store(to + r * ld + c, factor * load(x + r * ldx + c));
  }
  /// to = x + S x + offset + scale Σ A_lᵀ rows_l.
  void set_points(Slice s, const Scalar* x, std::ptrdiff_t ldx, const Scalar* offset, Scalar scale,
                  const Scalar* rows, const Buffer<Scalar>& to) const {
    Scalar* out = to.data() + row_(s) * padded_;
    product<0, Scalar>(s.size, padded_, dim_, RowMajor<Scalar>{x, ldx}, quadratic_.data(), padded_,
                       FromSum<Scalar>{offset, x, ldx}, To<Scalar>{out, padded_});
    product<0, Scalar>(s.size, padded_, units, RowMajor<Scalar, units>{rows}, back_to_x_.data(),
                       padded_, FromZero<Scalar>{}, ToScaledPlus<Scalar>{out, padded_, scale, out});
  }
  /// rows_{l−1} = p_{l−1}⊙(W_lᵀ rows_l), or += if `add`.
  template <bool add>
  void back_to_z(int l, int n, Scalar* rows, const Scalar* slope) const {
    const int below_it = (l - 1) * W;
    product<W, Scalar>(n, W, W, RowMajor<Scalar, units>{rows + l * W},
                       back_to_z_.data() + below_it * W, W, FromZero<Scalar>{},
                       ThroughSlope<Scalar, units, add>{rows + below_it, slope + below_it});
  }

  void forward_tile(Slice s, const Scalar* x, std::ptrdiff_t ldx) {
    const Scalar* p = parameters_.data();
    Scalar *slope = slope_.data() + row_(s) * units, *delta = delta_.data() + row_(s) * units;
    for (int l = 0; l < depth; ++l) {
      Scalar *u = input(l, s), *above = l < last ? input(l + 1, s) : nullptr;
      set_scaled(Scalar(spec_.input_scale), x, ldx, s.size, u + below(l), stride(l));
      product<W, Scalar>(s.size, W, inputs(l), RowMajor<Scalar>{u, stride(l)}, p + weight_[l], W,
                         Bias<Scalar>{p + bias_ + l * W}, To<Scalar, units>{slope + l * W});
      for (int r = 0; r < s.size; ++r)
        for (int c = 0; c < W; c += lanes<Scalar>) {
          const int at = r * units + l * W + c;
          const SoftplusPair<Scalar> z(load(slope + at), above != nullptr);
          if (above) store(above + r * stride(l + 1) + c, z.value);
          else store(delta + at, load(p + top_ + c) * z.slope);
          store(slope + at, z.slope);
        }
    }
    for (int l = last; l > 0; --l) back_to_z<false>(l, s.size, delta, slope);
    set_points(s, x, ldx, p + shift_, Scalar(1), delta, output_);
  }
  /// The tangents u̇_l and ż_D along v, and η.
  void pull_tile(Slice s, const Scalar* v) {
    const Scalar *p = parameters_.data(), *slope = slope_.data() + row_(s) * units,
                 *delta = delta_.data() + row_(s) * units;
    Scalar* eta = eta_.data() + tile_row_(s) * units;
    for (int l = 0; l < depth; ++l) {
      Scalar *u = tangent(l, s),
             *above = l < last ? tangent(l + 1, s) : top_tangent_.data() + tile_row_(s) * W;
      const int ld = l < last ? stride(l + 1) : W;
      set_scaled(Scalar(1), v, padded_, s.size, u + below(l), stride(l));
      product<W, Scalar>(
          s.size, W, inputs(l), RowMajor<Scalar>{u, stride(l)}, p + weight_[l], W,
          FromZero<Scalar>{},
          ToTangent<Scalar, units>{above, ld, eta + l * W, slope + l * W, delta + l * W});
    }
    for (int l = last; l > 0; --l) back_to_z<true>(l, s.size, eta, slope);
  }
  void add_gradient(Slice s, const Scalar* x, std::ptrdiff_t ldx, const Scalar* v) {
    Scalar* g = parameters_.gradient(s.chunk);
    const Scalar *delta = delta_.data() + row_(s) * units,
                 *eta = eta_.data() + tile_row_(s) * units;
    for (int l = 0; l < depth; ++l)
      for (const auto& [u, rows] : {std::pair{tangent(l, s), delta}, std::pair{input(l, s), eta}}) {
        Scalar* w = g + weight_[l];
        product<W, Scalar>(inputs(l), W, s.size, Transposed<Scalar>{u, stride(l)}, rows + l * W,
                           units, From<Scalar, W>{w}, To<Scalar, W>{w});
      }
    this->add_rows(eta, units, s.size, g + bias_);
    this->add_rows(top_tangent_.data() + tile_row_(s) * W, W, s.size, g + top_);
    this->add_rows(v, padded_, s.size, g + shift_);
    this->template add_weights<0>(x, ldx, dim_, v, padded_, s.size, moments_[s.chunk].data());
  }

  Spec spec_;
  Rows row_, tile_row_;
  int dim_, padded_;
  std::uint32_t stream_;
  std::array<std::size_t, depth> weight_;
  std::size_t bias_, top_, factor_, shift_;
  // S, W_lᵀ and A_lᵀ, recomputed when the parameters change.
  Buffer<Scalar> quadratic_, back_to_z_, back_to_x_;
  Buffer<Scalar> symmetric_, zero_;
  std::vector<Buffer<Scalar>> moments_;                // M of each chunk
  std::array<Buffer<Scalar>, depth> input_, tangent_;  // u_l, u̇_l
  Buffer<Scalar> slope_, delta_, eta_, top_tangent_, output_, dx_;
  // By worker, made when first used.
  std::vector<std::unique_ptr<MapTangents>> tangents_;
  std::vector<std::unique_ptr<MapProbes>> probes_;
};

template <class Spec, class Scalar>
struct NetworkFor;
template <int W, int D, class Scalar>
struct NetworkFor<IcnnGradient<W, D>, Scalar> {
  using type = IcnnNetwork<IcnnGradient<W, D>, Scalar>;
};

}  // namespace wgf::eigen
