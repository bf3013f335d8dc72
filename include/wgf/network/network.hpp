// SPDX-License-Identifier: BSL-1.0
#pragma once
// Network specifications, known at compile time: widths and depths are template parameters, whereas
// the dimension of the points is known at run time. A backend turns a specification into a network
// with parameters, a forward pass and vector-Jacobian products.
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "../hana.hpp"
#include "activation.hpp"

namespace wgf {

namespace detail {
/// Used in a backend's error message for a specification that has no network on it. NoNetwork then
/// stands for the network, so that the compiler reports nothing else.
template <class Spec>
inline constexpr bool no_network = false;
struct NoNetwork {};
}  // namespace detail

/// What the network returns for a point: a number (the dual network u) or a point (the map T).
enum class Output { scalar, point };
/// How long a network keeps its activations: until the VJP on the same tile, or for the whole
/// batch.
enum class Keep { tile, batch };

namespace detail {
/// The shortest text that parses back to this number.
template <class T>
std::string shortest(T value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, +value).ptr};
}
inline void check_input_scale(const char* name, double scale) {
  if (!(scale > 0) || !std::isfinite(scale))
    throw std::invalid_argument(std::string("wgf::") + name +
                                ": input_scale must be positive, got " + std::to_string(scale));
}
}  // namespace detail

/// A fully connected network: Depth linear layers, the hidden ones of width Width, with Activation
/// between them. The usual dual network u = log h, the logarithm of the paper's h: densities are
/// positive by construction, and log-ratios exact.
template <int Width, int Depth, class Activation = PRelu>
struct Mlp {
  static_assert(Width > 0 && Width % 16 == 0,
                "wgf: a network's width must be a positive multiple of 16");
  static_assert(Depth >= 2, "wgf: a network has at least two linear layers");
  static constexpr int width = Width, depth = Depth;
  static constexpr Output output = Output::scalar;
  using activation = Activation;

  /// Fraction of the hidden units that is dropped at random during training (0: none). Never
  /// applied in evaluation.
  double dropout = 0;
  /// The coordinates are multiplied by this before the first layer; sharp features need more than
  /// 1.
  double input_scale = 1;

  /// \throws std::invalid_argument for invalid values.
  void check() const {
    if (!(dropout >= 0 && dropout < 1))
      throw std::invalid_argument("wgf::Mlp: dropout must be in [0, 1), got " +
                                  std::to_string(dropout));
    detail::check_input_scale("Mlp", input_scale);
  }

  static std::string name() {
    return "Mlp<" + std::to_string(Width) + ", " + std::to_string(Depth) + ", " + Activation::name +
           ">";
  }
  static constexpr auto fields() {
    return hana::make_tuple(hana::make_pair("dropout", &Mlp::dropout),
                            hana::make_pair("input_scale", &Mlp::input_scale));
  }
};

/// T(x) = x + mlp(x), initially the identity (its last layer is zero). The map of sections 4.1 and
/// 4.2 of the paper. With an affine part, T(x) = x + A x + mlp(x).
template <int Width, int Depth, class Activation = PRelu>
struct ResidualMlp {
  static_assert(Width > 0 && Width % 16 == 0,
                "wgf: a network's width must be a positive multiple of 16");
  static_assert(Depth >= 2, "wgf: a network has at least two linear layers");
  static constexpr int width = Width, depth = Depth;
  static constexpr Output output = Output::point;
  using activation = Activation;

  /// The coordinates are multiplied by this before the first layer; sharp features need more than
  /// 1.
  double input_scale = 1;
  /// Whether A, d × d and initially zero, is trained as well. A network narrower than the points'
  /// dimension needs it: it cannot contract or rotate more directions than its width.
  bool affine = false;

  /// \throws std::invalid_argument for invalid values.
  void check() const {
    detail::check_input_scale("ResidualMlp", input_scale);
    if (affine && std::same_as<Activation, Identity>)
      throw std::invalid_argument("wgf::ResidualMlp: a deep linear map is affine already");
  }

  static std::string name() {
    return "ResidualMlp<" + std::to_string(Width) + ", " + std::to_string(Depth) + ", " +
           Activation::name + ">";
  }
  static constexpr auto fields() {
    return hana::make_tuple(hana::make_pair("input_scale", &ResidualMlp::input_scale),
                            hana::make_pair("affine", &ResidualMlp::affine));
  }
};

/// The paper's deep linear map (appendix D.2): T(x) = x + W_D(… (W_1 x + b_1) …) + b_D. It is
/// affine, so that Gaussians stay Gaussian.
template <int Width, int Depth>
using DeepLinear = ResidualMlp<Width, Depth, Identity>;

/// T(x) = x + A x + b with A and b as parameters, initially zero.
struct Affine {
  static constexpr Output output = Output::point;
  static std::string name() { return "Affine"; }
  static constexpr auto fields() { return hana::make_tuple(); }
};

/// u(x) = ½ xᵀ S x + bᵀ x + c, which represents the log-ratio of two Gaussians exactly.
struct Quadratic {
  static constexpr Output output = Output::scalar;
  static std::string name() { return "Quadratic"; }
  static constexpr auto fields() { return hana::make_tuple(); }
};

/// The sum of two dual networks, such as Quadratic{} + Mlp<64, 3>{}.
template <class First, class Second>
struct NetworkSum {
  First first;
  Second second;
  static constexpr Output output = Output::scalar;
  static std::string name() { return First::name() + " + " + Second::name(); }
  static constexpr auto fields() { return hana::make_tuple(); }
};

/// The number of consecutive random streams that a network of this specification uses.
template <class S>
inline constexpr std::uint32_t random_streams = 1;
template <class S>
inline constexpr std::uint32_t random_streams<const S> = random_streams<S>;
template <class A, class B>
inline constexpr std::uint32_t random_streams<NetworkSum<A, B>> =
    random_streams<A> + random_streams<B>;

/// A specification has a name and a list of its run-time fields (name, member), which file headers,
/// reports and checks use.
template <class S>
concept NetworkSpecification = std::copyable<S> && requires {
  { S::name() } -> std::convertible_to<std::string>;
  S::fields();
};
/// Specification of a dual network: u is a number.
template <class S>
concept DualSpecification = NetworkSpecification<S> && S::output == Output::scalar;
/// Specification of a transport map: T is a point, initially the identity.
template <class S>
concept MapSpecification = NetworkSpecification<S> && S::output == Output::point;
/// Specification of an affine map, which maps Gaussians to Gaussians.
template <class S>
concept AffineSpecification =
    MapSpecification<S> &&
    (std::same_as<S, Affine> || std::same_as<typename S::activation, Identity>);

template <DualSpecification A, DualSpecification B>
NetworkSum<A, B> operator+(A a, B b) {
  return {a, b};
}

namespace detail {
/// The name of an object with fields (name, member), and their values: "Adam{beta1 = 0.5, …}".
template <class T>
std::string with_fields(const T& object) {
  std::string text;
  hana::for_each(T::fields(), [&](const auto& field) {
    text += (text.empty() ? "" : ", ") + std::string(hana::first(field)) + " = " +
            shortest(object.*hana::second(field));
  });
  return text.empty() ? T::name() : T::name() + "{" + text + "}";
}
}  // namespace detail

/// "ResidualMlp<16, 5, PRelu>{input_scale = 1, affine = 0}": equal for two specifications exactly
/// if they describe the same network.
template <NetworkSpecification S>
std::string describe(const S& spec) {
  if constexpr (requires { spec.first, spec.second; })
    return describe(spec.first) + " + " + describe(spec.second);
  else return detail::with_fields(spec);
}

}  // namespace wgf
