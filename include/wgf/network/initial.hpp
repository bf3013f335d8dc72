// SPDX-License-Identifier: BSL-1.0
#pragma once
// Initial parameters of networks: a function of the specification, the seed and a stream, the same
// on every backend. For a custom specification, define a function `initial_parameters` in its
// namespace.
#include <cmath>
#include <cstdint>
#include <vector>

#include "../random.hpp"
#include "icnn.hpp"
#include "network.hpp"

namespace wgf {

namespace detail {
/// Appends f(u) for the uniform numbers u of one block of a stream.
template <class F>
void append(std::vector<double>& values, const Random& random, std::uint32_t stream,
            std::uint32_t block, long count, F f) {
  random.fill<double, false>(stream, block, 0, count, 1,
                             [&](long, int, const double* u) { values.push_back(f(u[0])); });
}
}  // namespace detail

namespace detail {
/// Weights and biases uniform on ±1/√inputs, learned slopes ¼. The last layer is zero for a map,
/// which is then the identity, and a tenth of that range for a dual network.
template <class Spec>
std::vector<double> initial_layers(int dim, const Random& random, std::uint32_t stream) {
  constexpr int last = Spec::depth - 1;
  constexpr bool scalar = Spec::output == Output::scalar;
  std::vector<double> values;
  for (int l = 0; l <= last; ++l) {
    const long in = l == 0 ? dim : Spec::width, out = l < last ? Spec::width : scalar ? 1 : dim;
    const double bound = (l < last ? 1.0 : scalar ? 0.1 : 0.0) / std::sqrt(in);
    detail::append(values, random, stream, static_cast<std::uint32_t>(l), (in + 1) * out,
                   [&](double u) { return (2 * u - 1) * bound; });
    if (l < last && Spec::activation::slopes > 0) values.push_back(0.25);
  }
  return values;
}
}  // namespace detail

template <int W, int D, class Activation>
std::vector<double> initial_parameters(const Mlp<W, D, Activation>&, int dim, const Random& random,
                                       std::uint32_t stream) {
  return detail::initial_layers<Mlp<W, D, Activation>>(dim, random, stream);
}
template <int W, int D, class Activation>
std::vector<double> initial_parameters(const ResidualMlp<W, D, Activation>& spec, int dim,
                                       const Random& random, std::uint32_t stream) {
  auto values = detail::initial_layers<ResidualMlp<W, D, Activation>>(dim, random, stream);
  if (spec.affine) values.resize(values.size() + static_cast<std::size_t>(dim) * dim);
  return values;
}

/// A_l uniform on ±1/√d; b_l such that the kinks of the units are spread over particles of unit
/// scale, after subtracting the mean of W_l z; W_l uniform on [0, 2/W). w, C and c zero, so that T
/// is the identity.
template <int W, int D>
std::vector<double> initial_parameters(const IcnnGradient<W, D>& spec, int dim,
                                       const Random& random, std::uint32_t stream) {
  std::vector<double> values;
  std::uint32_t block = 0;
  const auto fill = [&](long count, double low, double high) {
    detail::append(values, random, stream, block++, count,
                   [&](double u) { return low + (high - low) * u; });
  };
  for (int l = 0; l < D; ++l) {
    fill(l > 0 ? W * W : 0, 0, 2.0 / W);
    fill(dim * W, -1 / std::sqrt(dim), 1 / std::sqrt(dim));
  }
  for (int l = 0; l < D; ++l)
    fill(W, spec.input_scale * (l ? -2.3 : -1.5), spec.input_scale * (l ? 0.7 : 1.5));
  values.resize(values.size() + static_cast<std::size_t>(W + dim * dim + dim));
  return values;
}

/// Zero: T is the identity, and u = 0.
inline std::vector<double> initial_parameters(const Affine&, int dim, const Random&,
                                              std::uint32_t) {
  return std::vector<double>(static_cast<std::size_t>(dim) * dim + dim);
}
inline std::vector<double> initial_parameters(const Quadratic&, int dim, const Random&,
                                              std::uint32_t) {
  return std::vector<double>(static_cast<std::size_t>(dim) * dim + dim + 1);
}

}  // namespace wgf
