// SPDX-License-Identifier: BSL-1.0
#pragma once
// log det ∇T of the gradient of a convex network, T = ∇φ, and its gradient in the parameters,
// exactly (icnn.hpp has the network and its notation: p_l = σ'(h_l), δ_l the adjoint of h_l in φ).
//
//   Hessian   A layer is affine in the one below, so that the only second derivatives are those of
//             the activations (Bishop, "Exact calculation of the Hessian matrix for the multilayer
//             perceptron", 1992): with the tangents ḣ_l of h_l in each coordinate,
//             ∇²φ = I + S + Σ_l ḣ_lᵀ diag(m_l) ḣ_l,   m_l = δ_l⊙(1 − p_l) = σ''(h_l)⊙∂φ/∂z_l ≥ 0,
//             ḣ_l = W_l ż_{l−1} + A_l,   ż_l = p_l⊙ḣ_l.
//             This is one forward pass of d tangent rows a point, without one through the δ; the
//             sum is symmetric and positive semidefinite by construction.
//   gradient  As ∂ log det M = tr(M⁻¹ ∂M), G = c·M⁻¹ is upstream of ∇²φ. With k_l = G ḣ_l and r_l
//             the sum over the coordinates of ḣ_l⊙k_l, the adjoints start from
//               ḣ_l: 2 m_l⊙k_l     h_l: m_l⊙(1 − 2p_l)⊙r_l     ∂φ/∂z_l: p_l⊙(1 − p_l)⊙r_l =: Γ_l
//             (σ''' = σ''(1 − 2p)). The δ are computed from the top down, so that Γ goes from the
//             bottom up: with v = W_l Γ_{l−1}, Γ_l += p_l⊙v and the adjoint of h_l += m_l⊙v. Those
//             of h and ḣ, η and κ, then go down together:
//               κ_{l−1} += p⊙(W_lᵀκ_l),  η_{l−1} += p⊙(W_lᵀη_l) + σ''⊙Σ (W_lᵀκ_l)⊙ḣ_{l−1}.
//             dW_l = Σ η_l z_{l−1}ᵀ + κ_l ż_{l−1}ᵀ + δ_l Γ_{l−1}ᵀ, dA_l = Σ s η_l xᵀ + κ_l,
//             db_l = Σ η_l, dw = s Σ Γ_D, dS = Σ G.
//
// The input scale s is left out of ḣ: the factor s² of the sum, times the 1/s of φ, is in δ_D = s
// w⊙p_D.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "activation.hpp"
#include "layer_products.hpp"

namespace wgf::eigen {

/// The first column of the register that has column c.
inline int register_of(int c) { return c / lanes<double> * lanes<double>; }

/// The Cholesky factorisation a = L Lᵀ of a symmetric d × d matrix whose rows are padded to whole
/// registers; Lᵀ replaces its upper triangle. \returns log det a, which is NaN unless a is positive
/// definite.
inline double cholesky(double* a, int d) {
  const int row = padded<double>(d);
  double log_det = 0;
  for (int k = 0; k < d; ++k) {
    double* const pivot = a + k * row;
    const double value = pivot[k];
    if (!(value > 0) || !std::isfinite(value)) return std::numeric_limits<double>::quiet_NaN();
    log_det += std::log(value);
    const auto scale = broadcast(1 / std::sqrt(value));
    for (int c = register_of(k); c < row; c += lanes<double>)
      store(pivot + c, scale * load(pivot + c));
    for (int r = k + 1; r < d; ++r) {
      const auto factor = broadcast(-pivot[r]);
      for (int c = register_of(r); c < row; c += lanes<double>)
        store(a + r * row + c, fma(factor, load(pivot + c), load(a + r * row + c)));
    }
  }
  return log_det;
}
/// inverse = (L Lᵀ)⁻¹, d × d, with padded rows. \param upper Lᵀ, as `cholesky` leaves it
/// \param lower scratch of the same size
inline void invert_cholesky(const double* upper, int d, double* lower, double* inverse) {
  const int row = padded<double>(d);
  std::fill_n(lower, d * row, 0.0), std::fill_n(inverse, d * row, 0.0);
  for (int r = 0; r < d; ++r) {  // lower = L⁻¹
    double* const to = lower + r * row;
    const double diagonal = upper[r * row + r];
    for (int c = 0; c <= register_of(r); c += lanes<double>) {
      Vec<double> total{};
      for (int k = c; k < r; ++k)  // above, the rows are zero in these columns
        total = fma(broadcast(-upper[k * row + r]), load(lower + k * row + c), total);
      store(to + c, broadcast(1 / diagonal) * total);
    }
    to[r] = 1 / diagonal;
    for (int j = 0; j <= r; ++j) {  // its lower triangle += row rowᵀ
      const auto factor = broadcast(to[j]);
      for (int c = 0; c <= register_of(j); c += lanes<double>)
        store(inverse + j * row + c, fma(factor, load(to + c), load(inverse + j * row + c)));
    }
  }
  for (int j = 0; j < d; ++j)
    for (int c = 0; c < j; ++c) inverse[c * row + j] = inverse[j * row + c];
}

/// Where the pass finds a layer of the network, and where its gradients go.
template <class Scalar>
struct ConvexLayer {
  const Scalar *weight, *points, *transposed;  // W_lᵀ (null in the first layer), A_lᵀ, W_l
  Scalar *dweight, *dpoints;                   // null: no gradients are wanted
};
/// The same of the whole network. \tparam Depth the number of hidden layers
template <class Scalar, int Depth>
struct ConvexLayers {
  std::array<ConvexLayer<Scalar>, Depth> layer;
  const Scalar *bias, *top, *quadratic;  // all b_l, one after the other; w; S
  const Scalar* to_points;               // all A_l, one below the other
  Scalar *dbias, *dtop, *dquadratic;     // null: no gradients are wanted
  Scalar input_scale;
};

/// Γ_l += p_l⊙v and η_l += m_l⊙v; the rows of all have the same stride.
template <class Scalar, int Row>
struct ToAdjoints {
  Scalar *gamma, *eta;
  const Scalar *slope, *curvature;
  WGF_INLINE void operator()(std::ptrdiff_t r, std::ptrdiff_t c, Vec<Scalar> v) const {
    const std::ptrdiff_t at = r * Row + c;
    store(gamma + at, fma(load(slope + at), v, load(gamma + at)));
    store(eta + at, fma(load(curvature + at), v, load(eta + at)));
  }
};

/// The scratch of one worker, and the passes.
/// \tparam W the width of the hidden layers \tparam Depth their number
template <class Scalar, int W, int Depth>
class ConvexTangents {
  static constexpr int last = Depth - 1, units = Depth * W;

 public:
  using Layers = ConvexLayers<Scalar, Depth>;

  explicit ConvexTangents(int dim) : ConvexTangents(dim, dim, std::max(1, 96 / (1 + dim))) {}
  /// For `group` points at a time, with this number of tangents each.
  ConvexTangents(int dim, int tangents, int group)
      : dim_(dim),
        padded_(padded<Scalar>(dim)),
        group_(group),
        x_(size(group_, padded_)),
        matrix_(size(group_ * tangents, padded_)),
        y_(size(group_ * (1 + tangents), units)),
        adjoint_(size(group_ * (1 + tangents), units)),
        back_(size(group_ * (1 + tangents), W)),
        hdot_(size(group_ * tangents, units)),
        slope_(size(group_, units)),
        delta_(size(group_, units)),
        curvature_(size(group_, units)),
        gamma_(size(group_, units)),
        weighted_(units),
        products_(size(1, padded_)),
        factor_(size(dim, padded<double>(dim))),
        lower_(size(dim, padded<double>(dim))),
        inverse_(size(dim, padded<double>(dim))) {}

  /// M = (1 − e) I + e ∇T(x_i) for the n rows of x. Calls weigh(i, log det M) for each: NaN where M
  /// is not positive definite. If the layers have gradients, the numbers that it returns are the
  /// factors c_i with which Σ c_i ∂ log det M is added to them; that of S is added as the gradient
  /// of a matrix whose elements are independent.
  template <class Weigh>
  void run(const Layers& net, const Scalar* x, std::ptrdiff_t ldx, int n, double extrapolation,
           Weigh&& weigh) {
    for (int first = 0; first < n; first += group_) {
      const int count = std::min(group_, n - first);
      set_points(net, x + first * ldx, ldx, count);
      forward_tangents<true>(net, count, dim_, nullptr);
      bool any = false;
      for (int i = 0; i < count; ++i) {
        set_matrix(net, i, extrapolation);
        const double log_det = cholesky(factor_.data(), dim_);
        const double factor = weigh(first + i, log_det);
        if (!net.dtop) continue;
        any = any || std::isfinite(log_det);
        set_upstream(i, std::isfinite(log_det) ? extrapolation * factor : 0, net.dquadratic);
      }
      if (!any) continue;
      start_adjoints(count);
      backward<true>(net, count, dim_, nullptr);
    }
  }

  // ---- products with M = ∇T, for probes.hpp; rows i·k + j of u, v and Mu belong to point i

  static constexpr bool symmetric = true;
  /// Starts with these points, of which there must not be more than in a group.
  void set_points(const Layers& net, const Scalar* x, std::ptrdiff_t ldx, int count) {
    for (int r = 0; r < count; ++r)
      for (int c = 0; c < padded_; ++c)
        x_.data()[r * padded_ + c] = net.input_scale * x[r * ldx + c];
    forward_points(net, count);
  }
  /// k products for each point: v + S v + Σ A_lᵀη_l with η_l = m_l⊙ḣ_l + p_l⊙(W_{l+1}ᵀη_{l+1}).
  void multiply(const Layers& net, int count, int k, const Scalar* v, Scalar* product_with_v) {
    const int rows = count * k;
    forward_tangents<false>(net, count, k, v);
    Scalar* const eta = adjoint_.data();
    for (int l = last; l >= 0; --l) {
      if (l < last)
        product<W, Scalar>(rows, W, W, At{eta + (l + 1) * W}, net.layer[l + 1].transposed, W,
                           FromZero<Scalar>{}, To<Scalar, W>{back_.data()});
      for (int i = 0; i < count; ++i)
        for (int c = 0; c < W; c += lanes<Scalar>) {
          const int at = i * units + l * W + c;
          const Vec<Scalar> p = load(slope_.data() + at), m = load(curvature_.data() + at);
          for (int row = i * k; row < (i + 1) * k; ++row) {
            const int t = row * units + l * W + c;
            const Vec<Scalar> own = m * load(hdot_.data() + t);
            store(eta + t, l < last ? fma(p, load(back_.data() + row * W + c), own) : own);
          }
        }
    }
    const To<Scalar> to{product_with_v, padded_};
    product<0, Scalar>(rows, padded_, dim_, RowMajor<Scalar>{v, padded_}, net.quadratic, padded_,
                       From<Scalar>{v, padded_}, to);
    product<0, Scalar>(rows, padded_, units, At{eta}, net.to_points, padded_,
                       From<Scalar>{product_with_v, padded_}, to);
  }
  /// Adds the gradient of Σ uᵀMv, with k pairs u, v for each point.
  void accumulate(const Layers& net, int count, int k, const Scalar* u, const Scalar* v) {
    Scalar* const pairs = matrix_.data();
    for (int row = 0; row < count * k; ++row) {
      std::copy_n(u + row * padded_, padded_, pairs + 2 * row * padded_);
      std::copy_n(v + row * padded_, padded_, pairs + (2 * row + 1) * padded_);
    }
    forward_tangents<false>(net, count, 2 * k, pairs);
    product<0, Scalar>(dim_, padded_, count * k, Transposed<Scalar>{u, padded_}, v, padded_,
                       From<Scalar>{net.dquadratic, padded_}, To<Scalar>{net.dquadratic, padded_});
    // G is the sum of the (u vᵀ + v uᵀ)/2.
    Scalar* const kappa = tangents_of(adjoint_, count);
    const Vec<Scalar> half = broadcast(Scalar(0.5));
    for (int row = 0; row < count * k; ++row)
      for (int c = 0; c < units; c += lanes<Scalar>) {
        const int first = 2 * row * units + c, second = first + units;
        store(kappa + first, half * load(hdot_.data() + second));
        store(kappa + second, half * load(hdot_.data() + first));
      }
    backward<false>(net, count, 2 * k, pairs);
  }

 private:
  // In y_ and adjoint_, rows 0 … count − 1 belong to the points, row count + i·k + j to the tangent
  // j of the k of point i; hdot_ has only these. A row has all units, layer by layer. In templates,
  // `unit` says that the tangents are those in each coordinate: there are no directions then.
  using At = RowMajor<Scalar, units>;

  static std::size_t size(int rows, int cols) { return static_cast<std::size_t>(rows) * cols; }
  Scalar* tangents_of(const Buffer<Scalar>& b, int count) const { return b.data() + count * units; }
  static constexpr Vec<Scalar> one = Vec<Scalar>{} + Scalar(1);

  /// z, p, δ and m.
  void forward_points(const Layers& net, int count) {
    for (int l = 0; l < Depth; ++l) {
      const ConvexLayer<Scalar>& a = net.layer[l];
      const To<Scalar, units> to{y_.data() + l * W};
      product<W, Scalar>(count, W, dim_, RowMajor<Scalar>{x_.data(), padded_}, a.points, W,
                         Bias<Scalar>{net.bias + l * W}, to);
      if (l > 0)
        product<W, Scalar>(count, W, W, At{y_.data() + (l - 1) * W}, a.weight, W,
                           From<Scalar, units>{to.data}, to);
      for (int i = 0; i < count; ++i)
        for (int c = 0; c < W; c += lanes<Scalar>) {
          const int at = i * units + l * W + c;
          const SoftplusPair<Scalar> z(load(y_.data() + at), l < last);
          store(y_.data() + at, z.value), store(slope_.data() + at, z.slope);
          if (l == last)
            store(delta_.data() + at, broadcast(net.input_scale) * load(net.top + c) * z.slope);
        }
    }
    for (int l = last; l > 0; --l)
      product<W, Scalar>(count, W, W, At{delta_.data() + l * W}, net.layer[l].transposed, W,
                         FromZero<Scalar>{},
                         ThroughSlope<Scalar, units, false>{delta_.data() + (l - 1) * W,
                                                            slope_.data() + (l - 1) * W});
    for (int at = 0; at < count * units; at += lanes<Scalar>)
      store(curvature_.data() + at, load(delta_.data() + at) * (one - load(slope_.data() + at)));
  }
  /// ḣ and ż for k tangents of each point.
  template <bool unit>
  void forward_tangents(const Layers& net, int count, int k, const Scalar* directions) {
    const int tangents = count * k;
    Scalar* const ydot = tangents_of(y_, count);
    for (int l = 0; l < Depth; ++l) {
      const ConvexLayer<Scalar>& a = net.layer[l];
      Scalar* const h = hdot_.data() + l * W;
      const To<Scalar, units> to{h};
      if (l > 0)
        product<W, Scalar>(tangents, W, W, At{ydot + (l - 1) * W}, a.weight, W, FromZero<Scalar>{},
                           to);
      if constexpr (!unit) {
        const RowMajor<Scalar> from{directions, padded_};
        if (l > 0)
          product<W, Scalar>(tangents, W, dim_, from, a.points, W, From<Scalar, units>{h}, to);
        else product<W, Scalar>(tangents, W, dim_, from, a.points, W, FromZero<Scalar>{}, to);
      }
      for (int i = 0; i < count; ++i)
        for (int c = 0; c < W; c += lanes<Scalar>) {
          const Vec<Scalar> p = load(slope_.data() + i * units + l * W + c);
          for (int j = 0; j < k; ++j) {
            const int t = (i * k + j) * units + l * W + c;
            Vec<Scalar> hdot{};
            if constexpr (unit) {
              const Vec<Scalar> from_x = load(a.points + j * W + c);
              hdot = l > 0 ? load(hdot_.data() + t) + from_x : from_x;
              store(hdot_.data() + t, hdot);
            } else {
              hdot = load(hdot_.data() + t);
            }
            store(ydot + t, p * hdot);
          }
        }
    }
  }
  /// M at point i, in factor_.
  void set_matrix(const Layers& net, int i, double extrapolation) {
    const Scalar *const h = hdot_.data() + i * dim_ * units, *const m =
                                                                 curvature_.data() + i * units;
    const int row = padded<double>(dim_);
    for (int j = 0; j < dim_; ++j) {
      for (int c = 0; c < units; c += lanes<Scalar>)
        store(weighted_.data() + c, load(m + c) * load(h + j * units + c));
      Kernels<Scalar>::template dot_rows<units>(h, j + 1, weighted_.data(), Scalar(0),
                                                products_.data());
      for (int k = 0; k <= j; ++k)
        factor_.data()[k * row + j] = factor_.data()[j * row + k] =
            (j == k ? 1 : 0) +
            extrapolation * (static_cast<double>(products_.data()[k]) +
                             static_cast<double>(net.quadratic[k * padded_ + j]));
    }
  }
  /// G of point i = factor · M⁻¹, which is also added to dS. Where the factor is 0, M need not have
  /// an inverse.
  void set_upstream(int i, double factor, Scalar* dquadratic) {
    if (factor != 0) invert_cholesky(factor_.data(), dim_, lower_.data(), inverse_.data());
    Scalar* const g = matrix_.data() + i * dim_ * padded_;
    const int row = padded<double>(dim_);
    for (int j = 0; j < dim_; ++j)
      for (int c = 0; c < dim_; ++c) {
        const Scalar value =
            factor == 0 ? Scalar(0) : static_cast<Scalar>(factor * inverse_.data()[j * row + c]);
        g[j * padded_ + c] = value, dquadratic[j * padded_ + c] += value;
      }
  }
  /// From κ = G ḣ to the gradients.
  template <bool unit>
  void backward(const Layers& net, int count, int k, const Scalar* directions) {
    const int rows = count * (1 + k);
    start_points(count, k);
    for (int l = 1; l < Depth; ++l) {
      const Scalar* const below = gamma_.data() + (l - 1) * W;
      const int at = l * W;
      product<W, Scalar>(count, W, W, At{below}, net.layer[l].weight, W, FromZero<Scalar>{},
                         ToAdjoints<Scalar, units>{gamma_.data() + at, adjoint_.data() + at,
                                                   slope_.data() + at, curvature_.data() + at});
      add_weights(below, W, count, delta_.data() + at, net.layer[l].dweight);
    }
    for (int c = 0; c < W; c += lanes<Scalar>) {
      Vec<Scalar> total{};
      for (int i = 0; i < count; ++i) total += load(gamma_.data() + i * units + last * W + c);
      store(net.dtop + c, fma(broadcast(net.input_scale), total, load(net.dtop + c)));
    }
    for (int l = last; l >= 0; --l) {
      const ConvexLayer<Scalar>& a = net.layer[l];
      const Scalar* const above = adjoint_.data() + l * W;
      add_to_points<unit>(a, count, k, above, directions);
      if (l == 0) break;
      add_weights(y_.data() + (l - 1) * W, W, rows, above, a.dweight);
      product<W, Scalar>(rows, W, W, At{above}, a.transposed, W, FromZero<Scalar>{},
                         To<Scalar, W>{back_.data()});
      through_activation((l - 1) * W, count, k);
    }
    Kernels<Scalar>::add_rows(adjoint_.data(), units, count, net.dbias);
  }
  /// κ = G ḣ.
  void start_adjoints(int count) {
    Scalar* const kappa = tangents_of(adjoint_, count);
    for (int i = 0; i < count; ++i)
      product<units, Scalar>(dim_, units, dim_,
                             RowMajor<Scalar>{matrix_.data() + i * dim_ * padded_, padded_},
                             hdot_.data() + i * dim_ * units, units, FromZero<Scalar>{},
                             To<Scalar, units>{kappa + i * dim_ * units});
  }
  /// The initial values of κ, η and Γ from κ = G ḣ.
  void start_points(int count, int k) {
    Scalar* const kappa = tangents_of(adjoint_, count);
    for (int i = 0; i < count; ++i)
      for (int c = 0; c < units; c += lanes<Scalar>) {
        const int at = i * units + c;
        const Vec<Scalar> p = load(slope_.data() + at), m = load(curvature_.data() + at);
        Vec<Scalar> r{};
        for (int j = 0; j < k; ++j) {
          const int t = (i * k + j) * units + c;
          const Vec<Scalar> g = load(kappa + t);
          r = fma(g, load(hdot_.data() + t), r);
          store(kappa + t, (m + m) * g);
        }
        store(gamma_.data() + at, p * (one - p) * r);
        store(adjoint_.data() + at, m * (one - p - p) * r);
      }
  }
  /// Adds the gradients that come back through a layer to η and κ of the layer below, at `layer`.
  void through_activation(int layer, int count, int k) {
    Scalar* const kappa = tangents_of(adjoint_, count);
    const Scalar* const back = back_.data() + count * W;
    for (int i = 0; i < count; ++i)
      for (int c = 0; c < W; c += lanes<Scalar>) {
        const int at = i * units + layer + c;
        const Vec<Scalar> p = load(slope_.data() + at);
        Vec<Scalar> r{};
        for (int j = 0; j < k; ++j) {
          const int row = i * k + j, t = row * units + layer + c;
          const Vec<Scalar> g = load(back + row * W + c);
          r = fma(g, load(hdot_.data() + t), r);
          store(kappa + t, fma(p, g, load(kappa + t)));
        }
        const Vec<Scalar> through = p * load(back_.data() + i * W + c) + p * (one - p) * r;
        store(adjoint_.data() + at, load(adjoint_.data() + at) + through);
      }
  }
  /// dW += xᵀ dy for n rows x and dy of all units.
  static void add_weights(const Scalar* x, int in, int n, const Scalar* dy, Scalar* gradient) {
    product<W, Scalar>(in, W, n, Transposed<Scalar, units>{x}, dy, units, From<Scalar, W>{gradient},
                       To<Scalar, W>{gradient});
  }
  /// dA from the adjoints of a layer.
  template <bool unit>
  void add_to_points(const ConvexLayer<Scalar>& a, int count, int k, const Scalar* above,
                     const Scalar* directions) const {
    const From<Scalar, W> from{a.dpoints};
    const To<Scalar, W> to{a.dpoints};
    product<W, Scalar>(dim_, W, count, Transposed<Scalar>{x_.data(), padded_}, above, units, from,
                       to);
    if constexpr (!unit) {
      product<W, Scalar>(dim_, W, count * k, Transposed<Scalar>{directions, padded_},
                         above + count * units, units, from, to);
    } else {
      for (int j = 0; j < dim_; ++j)
        for (int c = 0; c < W; c += lanes<Scalar>) {
          Vec<Scalar> total = load(a.dpoints + j * W + c);
          for (int i = 0; i < count; ++i) total += load(above + (count + i * dim_ + j) * units + c);
          store(a.dpoints + j * W + c, total);
        }
    }
  }

  int dim_, padded_, group_;
  Buffer<Scalar> x_, matrix_;          // s x; G, or directions
  Buffer<Scalar> y_, adjoint_, back_;  // z and ż; η and κ; what comes back through a layer
  Buffer<Scalar> hdot_;                // ḣ
  Buffer<Scalar> slope_, delta_, curvature_, gamma_;  // p, δ, m, Γ
  Buffer<Scalar> weighted_, products_;
  Buffer<double> factor_, lower_, inverse_;  // with rows padded to whole registers
};

}  // namespace wgf::eigen
