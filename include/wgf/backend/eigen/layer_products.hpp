// SPDX-License-Identifier: BSL-1.0
#pragma once
// Products that the layers of all networks share.
#include <cstddef>

#include "product.hpp"
#include "tiles.hpp"

namespace wgf::eigen {

using namespace simd;

/// to = slope⊙v, or to += slope⊙v; the rows of both have the same stride.
template <class Scalar, int Row, bool add>
struct ThroughSlope {
  Scalar* to;
  const Scalar* slope;
  WGF_INLINE void operator()(std::ptrdiff_t r, std::ptrdiff_t c, Vec<Scalar> v) const {
    Scalar* const q = to + r * Row + c;
    const Vec<Scalar> p = load(slope + r * Row + c);
    if constexpr (add) store(q, fma(p, v, load(q)));
    else store(q, v * p);
  }
};
/// SIMD primitives shared by the networks; n is the number of samples, which are the rows of x and
/// dy.
template <class Scalar>
struct Kernels {
  /// dW += xᵀ dy with x (n × in), dy (n × out), dW (in × out); `out` a multiple of lanes.
  /// \tparam In the stride of the rows of x if known at compile time, 0 if it is ldx.
  template <int Out, int In = 0>
  static void add_weights(const Scalar* x, std::ptrdiff_t ldx, int in, const Scalar* dy, int out,
                          int n, Scalar* gradient) {
    product<Out, Scalar>(in, out, n, Transposed<Scalar, In>{x, ldx}, dy, out,
                         From<Scalar, Out>{gradient, out}, To<Scalar, Out>{gradient, out});
  }
  /// db += Σ dy.
  static WGF_INLINE void add_rows(const Scalar* dy, int out, int n, Scalar* gradient) {
    for (int c = 0; c < out; c += lanes<Scalar>) {
      constexpr int chains = 4;  // independent of each other, to hide the latency of additions
      Vec<Scalar> total[chains] = {load(gradient + c), {}, {}, {}};
      int r = 0;
      for (; r + chains <= n; r += chains)
        WGF_UNROLL for (int i = 0; i < chains; ++i) total[i] += load(dy + (r + i) * out + c);
      for (; r < n; ++r) total[0] += load(dy + r * out + c);
      store(gradient + c, (total[0] + total[1]) + (total[2] + total[3]));
    }
  }
  /// out = h·w + bias, where the rows of h have length W.
  template <int W>
  [[gnu::noinline]] static void dot_rows(const Scalar* h, int n, const Scalar* w, Scalar bias,
                                         Scalar* out) {
    const auto product_of_row = [&](int r) WGF_LAMBDA_INLINE {
      Vec<Scalar> d = load(h + r * W) * load(w);
      for (int c = lanes<Scalar>; c < W; c += lanes<Scalar>)
        d = fma(load(h + r * W + c), load(w + c), d);
      return d;
    };
    int r = 0;
    for (; r + lanes<Scalar> <= n; r += lanes<Scalar>) {
      Vec<Scalar> d[lanes<Scalar>];
      WGF_UNROLL for (int i = 0; i < lanes<Scalar>; ++i) d[i] = product_of_row(r + i);
      store(out + r, sums(d) + broadcast(bias));
    }
    for (; r < n; ++r) out[r] = bias + sum(product_of_row(r));
  }
};

}  // namespace wgf::eigen
