// SPDX-License-Identifier: BSL-1.0
#pragma once
// The quadratic dual network on the CPU, u(x) = ½ xᵀ S x + bᵀ x + c with S the symmetric part of
// the parameter matrix, and sums of dual networks.
#include <vector>

#include "../../network/network_pair.hpp"
#include "mlp.hpp"

namespace wgf::eigen {

template <class Scalar>
class QuadraticNetwork : public ParametricNetwork<QuadraticNetwork<Scalar>, Scalar>,
                         Kernels<Scalar> {
  using Base = ParametricNetwork<QuadraticNetwork, Scalar>;
  using Base::parameters_;
  friend Base;

 public:
  QuadraticNetwork(ThreadTeam& team, const Quadratic&, int dim, long batch, std::uint32_t,
                   Keep keep)
      : Base(team),
        row_(keep, team.workers.count(), batch),
        dim_(dim),
        padded_(padded<Scalar>(dim)),
        matrix_(parameters_.add(dim, dim)),
        linear_(parameters_.add(1, dim)),
        constant_(parameters_.add(1, 1)),
        symmetric_(static_cast<std::size_t>(dim) * padded_) {
    parameters_.allocate(ThreadTeam::chunks_of(batch));
    const long rows = row_.count;
    sx_ = Buffer<Scalar>(rows * padded_), weighted_ = Buffer<Scalar>(rows * padded_),
    output_ = Buffer<Scalar>(rows);
  }
  template <class X>
  Values<Scalar> forward(Slice s, const X& x) {
    const Scalar *p = parameters_.data(), *in = x.data();
    const std::ptrdiff_t ldx = x.outerStride();
    Scalar *sx = at(sx_, s), *out = output_.data() + row_(s);
    product<0, Scalar>(s.size, padded_, dim_, RowMajor<Scalar>{in, ldx}, symmetric_.data(), padded_,
                       FromZero<Scalar>{}, To<Scalar>{sx, padded_});
    const Vec<Scalar> half = broadcast(Scalar(0.5));
    for (int r = 0; r < s.size; ++r) {
      Vec<Scalar> u{};
      for (int c = 0; c < padded_; c += lanes<Scalar>)
        u = fma(load(in + r * ldx + c),
                fma(half, load(sx + r * padded_ + c), load(p + linear_ + c)), u);
      out[r] = p[constant_] + sum(u);
    }
    return {out, s.size};
  }
  template <class X>
  auto forward_train(Slice s, const X& x, std::uint32_t) {
    return forward(s, x);
  }
  template <class X, class G>
  void accumulate_vjp(Slice s, const X& x, const G& dy) {
    Scalar *g = parameters_.gradient(s.chunk), *wx = at(weighted_, s);
    const Scalar* in = x.data();
    const std::ptrdiff_t ldx = x.outerStride();
    Values<Scalar> du(output_.data() + row_(s), s.size);
    du = dy;
    for (int r = 0; r < s.size; ++r)
      for (int c = 0; c < padded_; c += lanes<Scalar>)
        store(wx + r * padded_ + c, broadcast(du[r]) * load(in + r * ldx + c));
    this->add_rows(wx, padded_, s.size, g + linear_);
    for (int r = 0; r < s.size; ++r) g[constant_] += du[r];
    const Vec<Scalar> half = broadcast(Scalar(0.5));
    for (int i = 0; i < s.size * padded_; i += lanes<Scalar>) store(wx + i, half * load(wx + i));
    this->template add_weights<0>(in, ldx, dim_, wx, padded_, s.size, g + matrix_);
  }
  template <class X, class G>
  Columns<Scalar> input_vjp(Slice s, const X&, const G& dy) {
    const Scalar* p = parameters_.data();
    Scalar* sx = at(sx_, s);
    Values<Scalar> du(output_.data() + row_(s), s.size);
    du = dy;
    for (int r = 0; r < s.size; ++r)
      for (int c = 0; c < padded_; c += lanes<Scalar>) {
        Scalar* q = sx + r * padded_ + c;
        store(q, broadcast(du[r]) * (load(q) + load(p + linear_ + c)));
      }
    return {sx, dim_, s.size, Eigen::OuterStride<>(padded_)};
  }
  /// Resets the network to its initial parameters.
  void restart() { this->set_parameters(std::vector<Scalar>(parameters_.count())); }

 private:
  Scalar* at(const Buffer<Scalar>& b, Slice s) const { return b.data() + row_(s) * padded_; }
  void refresh() {
    const Scalar* m = parameters_.data() + matrix_;
    for (int r = 0; r < dim_; ++r)
      for (int c = 0; c < dim_; ++c)
        symmetric_.data()[r * padded_ + c] =
            Scalar(0.5) * (m[r * padded_ + c] + m[c * padded_ + r]);
  }
  Rows row_;
  int dim_, padded_;
  std::size_t matrix_, linear_, constant_;
  Buffer<Scalar> symmetric_, sx_, weighted_, output_;
};

/// u = u_1 + u_2, each with its own parameters; in lists, those of u_1 come first.
template <class First, class Second, class Scalar>
class SumNetwork : public NetworkPair<First, Second, Scalar> {
  using Base = NetworkPair<First, Second, Scalar>;
  using Base::first_, Base::second_;

 public:
  template <class Spec>
  SumNetwork(ThreadTeam& team, const Spec& spec, int dim, long batch, std::uint32_t stream,
             Keep keep)
      : Base(First(team, spec.first, dim, batch, stream, keep),
             Second(team, spec.second, dim, batch, stream + random_streams<decltype(spec.first)>,
                    keep)) {}
  template <class X>
  Values<Scalar> forward(Slice s, const X& x) {
    auto u = first_.forward(s, x);
    u += second_.forward(s, x);
    return u;
  }
  template <class X>
  Values<Scalar> forward_train(Slice s, const X& x, std::uint32_t draw) {
    auto u = first_.forward_train(s, x, draw);
    u += second_.forward_train(s, x, draw);
    return u;
  }
  template <class X, class G>
  void accumulate_vjp(Slice s, const X& x, const G& dy) {
    second_.accumulate_vjp(s, x, dy);
    first_.accumulate_vjp(s, x, dy);
  }
  template <class X, class G>
  Columns<Scalar> input_vjp(Slice s, const X& x, const G& dy) {
    auto dx = second_.input_vjp(s, x, dy);
    dx += first_.input_vjp(s, x, dy);
    return dx;
  }
};

}  // namespace wgf::eigen
