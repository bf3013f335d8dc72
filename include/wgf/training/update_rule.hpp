// SPDX-License-Identifier: BSL-1.0
#pragma once
// How parameters follow their gradient: what an update rule such as Adam or Momentum has to offer.
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

/// Whether a rule updates lists of numbers of this type, given the number of the step and the rate
/// as Steps and Rate.
template <class Rule, class List, class Steps, class Rate>
inline constexpr bool updates =
    detail::updates<Rule, List, Steps, Rate>(std::make_index_sequence<Rule::moments>());

/// Update rule: one descent step on parameters, given how many lists of moments it keeps beside
/// them, which are zero at the start.
///
///     rule.update(p, m_1, …, m_k, g, t, rate);        k = Rule::moments
///
/// All lists have one shape; t = 1, 2, … is the number of the step. The lists are consecutive
/// pieces of what a network has, so that a rule treats every number alike. A rule whose `update` is
/// a template of the types of the lists, t and rate, in unqualified arithmetic, serves every
/// backend: on a device t and the rate are tensors of one number.
template <class Rule>
concept UpdateRule =
    std::copyable<Rule> &&
    requires(const Rule& rule) {
      { Rule::name() } -> std::convertible_to<std::string>;
      Rule::fields();  // its numbers as pairs (name, member), as a network's specification has them
      rule.check();    // throws std::invalid_argument for numbers that make no sense
      typename std::integral_constant<int, Rule::moments>;  // known at compile time
      requires Rule::moments >= 0;
    } && updates<Rule, Eigen::Map<Eigen::Array<double, Eigen::Dynamic, 1>>, long, double> &&
    updates<Rule, Eigen::Map<Eigen::Array<float, Eigen::Dynamic, 1>>, long, double>;

}  // namespace wgf
