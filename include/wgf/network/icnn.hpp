// SPDX-License-Identifier: BSL-1.0
#pragma once
// Maps T = ∇φ that are gradients of strongly convex functions; optimal maps are gradients of convex
// functions (section 2.1). φ is an input-convex network (Amos, Xu and Kolter, 2017).
#include <concepts>
#include <stdexcept>
#include <string>

#include "network.hpp"

namespace wgf {

/// T = ∇φ, initially the identity, with ∇²φ ≥ strong_convexity·I everywhere, so that T is
/// invertible and pushes densities forward to densities.
///
///     φ(x) = w·z_D/s + ½α|x|² + ½(1 − α)|(I + C)x|² + c·x
///     z_l = softplus(W_l z_{l−1} + A_l s x + b_l),  z_0 absent
///
/// with W_l ≥ 0 and w ≥ 0 elementwise, α = strong_convexity, s = input_scale. Order of the
/// parameters: for l = 1, …, D the rows of [W_l; A_l], first those for z, then those for x, with
/// one column per unit; b_1, …, b_D; w; C row by row; c. Negative elements of W_l and w are set to
/// zero.
/// \tparam Width units of a hidden layer.
/// \tparam Depth number of hidden layers, D.
template <int Width, int Depth>
struct IcnnGradient {
  static_assert(Width > 0 && Width % 16 == 0,
                "wgf: a network's width must be a positive multiple of 16");
  static_assert(Depth >= 1, "wgf: a convex network has at least one hidden layer");
  static constexpr int width = Width, depth = Depth;
  static constexpr Output output = Output::point;

  /// Lower bound of the eigenvalues of ∇²φ: T scales every direction by at least this factor.
  double strong_convexity = 0.1;
  /// The coordinates are multiplied by this before they enter the layers; sharp features need more
  /// than 1.
  double input_scale = 1;

  /// \throws std::invalid_argument for invalid values.
  void check() const {
    if (!(strong_convexity > 0 && strong_convexity < 1))
      throw std::invalid_argument("wgf::IcnnGradient: strong_convexity must be in (0, 1), got " +
                                  std::to_string(strong_convexity));
    detail::check_input_scale("IcnnGradient", input_scale);
  }

  static std::string name() {
    return "IcnnGradient<" + std::to_string(Width) + ", " + std::to_string(Depth) + ">";
  }
  static constexpr auto fields() {
    return hana::make_tuple(hana::make_pair("strong_convexity", &IcnnGradient::strong_convexity),
                            hana::make_pair("input_scale", &IcnnGradient::input_scale));
  }
};

/// A map that is the gradient of a function φ with ∇²φ ≥ strong_convexity·I > 0 in the coordinates
/// of its input. Under changes of coordinates x = m + Lξ it remains a gradient only if LᵀL is a
/// multiple of I.
template <class S>
concept GradientMapSpecification = MapSpecification<S> && requires(const S& s) {
  { s.strong_convexity } -> std::convertible_to<double>;
};

}  // namespace wgf
