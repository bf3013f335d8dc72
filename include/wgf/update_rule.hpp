// SPDX-License-Identifier: BSL-1.0
#pragma once
// The interface of update rules such as Adam or Momentum, by which parameters follow their
// gradient.
#include <concepts>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

#include <Eigen/Core>

namespace wgf {

namespace detail {
template <class Rule, class List, class Steps, class Rate, std::size_t... I>
constexpr bool updates(std::index_sequence<I...>) {
  return requires(const Rule& rule, List& p, List(&moment)[sizeof...(I) + 1], List& gradient,
                  const Steps& t,
                  const Rate& rate) { rule.update(p, moment[I]..., gradient, t, rate); };
}
}  // namespace detail

/// Whether a rule can update lists of this type, with step number and rate of the types Steps and
/// Rate.
template <class Rule, class List, class Steps, class Rate>
inline constexpr bool updates =
    detail::updates<Rule, List, Steps, Rate>(std::make_index_sequence<Rule::moments>());

/// Update rule: one descent step on parameters. It keeps a fixed number of lists of moments, which
/// are initially zero.
///
///     rule.update(p, m_1, …, m_k, g, t, rate);        k = Rule::moments
///
/// All lists have the same shape; t = 1, 2, … is the step number. The lists are consecutive pieces
/// of a network's parameters and moments, so that a rule must treat every number alike. A rule
/// whose `update` is a template in the types of the lists, t and rate, in unqualified arithmetic,
/// works on every backend: on a device, t and rate are tensors with one element.
template <class Rule>
concept UpdateRule =
    std::copyable<Rule> &&
    requires(const Rule& rule) {
      { Rule::name() } -> std::convertible_to<std::string>;
      Rule::fields();  // its numbers as pairs (name, member), as in the specification of a network
      rule.check();    // throws std::invalid_argument for invalid values
      typename std::integral_constant<int, Rule::moments>;  // known at compile time
      requires Rule::moments >= 0;
    } && updates<Rule, Eigen::Map<Eigen::Array<double, Eigen::Dynamic, 1>>, long, double> &&
    updates<Rule, Eigen::Map<Eigen::Array<float, Eigen::Dynamic, 1>>, long, double>;

}  // namespace wgf
