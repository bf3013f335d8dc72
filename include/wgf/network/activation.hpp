// SPDX-License-Identifier: BSL-1.0
#pragma once
// Activations as types, with a name and the number of slopes that a layer learns; a backend
// supplies the arithmetic.

namespace wgf {

/// max(z, 0) + s·min(z, 0) with one learned slope s per layer, initially 0.25 (the paper's choice,
/// appendix D).
struct PRelu {
  static constexpr const char* name = "PRelu";
  static constexpr int slopes = 1;
};
/// z·σ(z) with the logistic function σ: smooth, for densities and for smooth maps.
struct Silu {
  static constexpr const char* name = "Silu";
  static constexpr int slopes = 0;
};
/// log(1 + e^z): smooth, convex, increasing.
struct Softplus {
  static constexpr const char* name = "Softplus";
  static constexpr int slopes = 0;
};
/// z: the network is then an affine function (appendix D.2).
struct Identity {
  static constexpr const char* name = "Identity";
  static constexpr int slopes = 0;
};

}  // namespace wgf
