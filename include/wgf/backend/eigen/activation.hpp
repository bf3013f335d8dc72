// SPDX-License-Identifier: BSL-1.0
#pragma once
// The arithmetic of the activations. Cheap ones are fused into the products (`fused`); the others
// run over the finished tile. forward returns the activation of z and stores what backward needs;
// backward returns dz from dy; derivatives returns the activation, and σ' and σ''.
#include "../../network/activation.hpp"
#include "simd.hpp"

namespace wgf::eigen {

using namespace simd;

template <class Activation, class Scalar>
struct ActivationKernel;

template <class Scalar>
struct ActivationKernel<PRelu, Scalar> {
  // Keeps z, which the gradient of the slope needs.
  static constexpr bool learned = true, keeps = true, fused = true;
  static WGF_INLINE Vec<Scalar> forward(Vec<Scalar> z, Vec<Scalar> slope, Vec<Scalar>& kept) {
    kept = z;
    return if_negative(z, slope * z, z);
  }
  static WGF_INLINE Vec<Scalar> backward(Vec<Scalar> dy, Vec<Scalar> z, Vec<Scalar> slope,
                                         Vec<Scalar>& dslope) {
    dslope = fma(dy, min_with_zero(z), dslope);
    return if_negative(z, slope * dy, dy);
  }
  static WGF_INLINE Vec<Scalar> derivatives(Vec<Scalar> z, Vec<Scalar> slope, Vec<Scalar>& first,
                                            Vec<Scalar>& second) {
    first = if_negative(z, slope, broadcast(Scalar(1))), second = Vec<Scalar>{};
    return if_negative(z, slope * z, z);
  }
};

/// An activation without parameters stores its derivative.
template <class Scalar>
struct SmoothKernel {
  static constexpr bool learned = false, keeps = true, fused = false;
  static WGF_INLINE Vec<Scalar> backward(Vec<Scalar> dy, Vec<Scalar> derivative, Vec<Scalar>,
                                         Vec<Scalar>&) {
    return dy * derivative;
  }
  /// 1 / (1 + e^{−z}); e^{−z} may overflow to infinity, which correctly gives 0.
  static WGF_INLINE Vec<Scalar> logistic(Vec<Scalar> z) {
    const Vec<Scalar> one = broadcast(Scalar(1));
    return one / (one + exp<Scalar>(-z));
  }
};

template <class Scalar>
struct ActivationKernel<Silu, Scalar> : SmoothKernel<Scalar> {
  static WGF_INLINE Vec<Scalar> forward(Vec<Scalar> z, Vec<Scalar>, Vec<Scalar>& kept) {
    const Vec<Scalar> one = broadcast(Scalar(1)), s = SmoothKernel<Scalar>::logistic(z), y = z * s;
    kept = s + y * (one - s);
    return y;
  }
  static WGF_INLINE Vec<Scalar> derivatives(Vec<Scalar> z, Vec<Scalar>, Vec<Scalar>& first,
                                            Vec<Scalar>& second) {
    const Vec<Scalar> one = broadcast(Scalar(1)), s = SmoothKernel<Scalar>::logistic(z),
                      rest = one - s;
    first = s + z * s * rest, second = s * rest * (one + one + z * (rest - s));
    return z * s;
  }
};

template <class Scalar>
struct ActivationKernel<Softplus, Scalar> : SmoothKernel<Scalar> {
  static WGF_INLINE Vec<Scalar> forward(Vec<Scalar> z, Vec<Scalar>, Vec<Scalar>& kept) {
    const Vec<Scalar> one = broadcast(Scalar(1)), positive = z - min_with_zero(z);
    kept = SmoothKernel<Scalar>::logistic(z);
    return positive + log<Scalar>(one + exp<Scalar>(if_negative(z, z, -z)));
  }
  static WGF_INLINE Vec<Scalar> derivatives(Vec<Scalar> z, Vec<Scalar> slope, Vec<Scalar>& first,
                                            Vec<Scalar>& second) {
    const Vec<Scalar> y = forward(z, slope, first);
    second = first * (broadcast(Scalar(1)) - first);
    return y;
  }
};

template <class Scalar>
struct ActivationKernel<Identity, Scalar> {
  static constexpr bool learned = false, keeps = false, fused = true;
  static WGF_INLINE Vec<Scalar> forward(Vec<Scalar> z, Vec<Scalar>, Vec<Scalar>&) { return z; }
  static WGF_INLINE Vec<Scalar> backward(Vec<Scalar> dy, Vec<Scalar>, Vec<Scalar>, Vec<Scalar>&) {
    return dy;
  }
  static WGF_INLINE Vec<Scalar> derivatives(Vec<Scalar> z, Vec<Scalar>, Vec<Scalar>& first,
                                            Vec<Scalar>& second) {
    first = broadcast(Scalar(1)), second = Vec<Scalar>{};
    return z;
  }
};

/// log(1 + e^z) and its derivative, from one exponential that cannot overflow.
template <class Scalar>
struct SoftplusPair {
  Vec<Scalar> value{}, slope;
  explicit WGF_INLINE SoftplusPair(Vec<Scalar> z, bool with_value) {
    const Vec<Scalar> one = broadcast(Scalar(1)), e = exp<Scalar>(if_negative(z, z, -z)),
                      inverse = one / (one + e);
    slope = if_negative(z, e * inverse, inverse);
    if (with_value) value = z - min_with_zero(z) + log<Scalar>(one + e);
  }
};

}  // namespace wgf::eigen
