// SPDX-License-Identifier: BSL-1.0
#pragma once
// What a network is, as compile-time specifications: widths and depths are types, the dimension of
// the points is known at run time. A backend turns a specification into a network with parameters,
// a forward pass and pullbacks.
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <boost/hana.hpp>

#include "activation.hpp"

namespace wgf {

namespace hana = boost::hana;

namespace detail {
/// For a backend's complaint of a specification that it has no network for, and in the network's
/// place, so that the compiler says no more than that.
template <class Spec>
inline constexpr bool no_network = false;
struct NoNetwork {};
}  // namespace detail

/// What the network returns for a point: a number (the dual network u) or a point (the map T).
enum class Output { scalar, point };
/// How long a network keeps its activations: until the pullback on the same tile, or through the
/// whole batch.
enum class Keep { tile, batch };

namespace detail {
/// The shortest text that reads back as this number.
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

/// A fully connected network: Depth linear layers, all hidden ones Width wide, Activation between
/// them. The usual dual network u = log h (the paper's h, in logarithms): positive densities for
/// free, log-ratios exact.
template <int Width, int Depth, class Activation = PRelu>
struct Mlp {
  static_assert(Width > 0 && Width % 16 == 0,
                "wgf: a network's width must be a positive multiple of 16");
  static_assert(Depth >= 2, "wgf: a network has at least two linear layers");
  static constexpr int width = Width, depth = Depth;
  static constexpr Output output = Output::scalar;
  using activation = Activation;

  /// Share of the hidden units that is dropped, at random, while the network is fitted (0: none).
  /// Never when it is used.
  double dropout = 0;
  /// Coordinates are multiplied by this before the first layer: sharp structure wants more than 1.
  double input_scale = 1;

  /// \throws std::invalid_argument for numbers that make no sense.
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

/// T(x) = x + mlp(x), the identity at the start (its last layer is zero). The paper's map of
/// sections 4.1 and 4.2.
template <int Width, int Depth, class Activation = PRelu>
struct ResidualMlp {
  static_assert(Width > 0 && Width % 16 == 0,
                "wgf: a network's width must be a positive multiple of 16");
  static_assert(Depth >= 2, "wgf: a network has at least two linear layers");
  static constexpr int width = Width, depth = Depth;
  static constexpr Output output = Output::point;
  using activation = Activation;

  /// Coordinates are multiplied by this before the first layer: sharp structure wants more than 1.
  double input_scale = 1;

  /// \throws std::invalid_argument for numbers that make no sense.
  void check() const { detail::check_input_scale("ResidualMlp", input_scale); }

  static std::string name() {
    return "ResidualMlp<" + std::to_string(Width) + ", " + std::to_string(Depth) + ", " +
           Activation::name + ">";
  }
  static constexpr auto fields() {
    return hana::make_tuple(hana::make_pair("input_scale", &ResidualMlp::input_scale));
  }
};

/// The paper's deep linear map (appendix D.2): T(x) = x + W_D(… (W_1 x + b_1) …) + b_D. Affine in
/// effect, so that Gaussians stay Gaussian.
template <int Width, int Depth>
using DeepLinear = ResidualMlp<Width, Depth, Identity>;

/// T(x) = x + A x + b with A and b themselves as parameters, zero at the start.
struct Affine {
  static constexpr Output output = Output::point;
  static std::string name() { return "Affine"; }
  static constexpr auto fields() { return hana::make_tuple(); }
};

/// u(x) = ½ xᵀ S x + bᵀ x + c: the logarithm of a ratio of Gaussians, exactly.
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

/// How many streams of random numbers a network of this specification uses, one after the other.
template <class S>
inline constexpr std::uint32_t random_streams = 1;
template <class S>
inline constexpr std::uint32_t random_streams<const S> = random_streams<S>;
template <class A, class B>
inline constexpr std::uint32_t random_streams<NetworkSum<A, B>> =
    random_streams<A> + random_streams<B>;

/// A specification has a name and a list of its run-time fields (name, member): file headers,
/// reports and checks read both.
template <class S>
concept NetworkSpecification = std::copyable<S> && requires {
  { S::name() } -> std::convertible_to<std::string>;
  S::fields();
};
/// A specification of a dual network: u is a number.
template <class S>
concept DualSpecification = NetworkSpecification<S> && S::output == Output::scalar;
/// A specification of a transport map: T is a point, the identity at the start.
template <class S>
concept MapSpecification = NetworkSpecification<S> && S::output == Output::point;
/// A map that keeps Gaussians Gaussian.
template <class S>
concept AffineSpecification =
    MapSpecification<S> &&
    (std::same_as<S, Affine> || std::same_as<typename S::activation, Identity>);

template <DualSpecification A, DualSpecification B>
NetworkSum<A, B> operator+(A a, B b) {
  return {a, b};
}

namespace detail {
/// The name of something with fields (name, member), and their values: "Adam{beta1 = 0.5, …}".
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

/// "ResidualMlp<16, 5, PRelu>{input_scale = 1}": what two specifications must share to mean the
/// same network.
template <NetworkSpecification S>
std::string describe(const S& spec) {
  if constexpr (requires { spec.first, spec.second; })
    return describe(spec.first) + " + " + describe(spec.second);
  else return detail::with_fields(spec);
}

}  // namespace wgf
