// SPDX-License-Identifier: BSL-1.0
#pragma once
// How a term with a density is evaluated in its dual form (eq. 8): the network of u = log(P / Γ),
// the loss that fits it, and the reference density Γ.
#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "../measure/uniform_box.hpp"
#include "../network/network.hpp"
#include "divergence.hpp"

namespace wgf {

/// The dual form of a term: `wgf::kl(target, wgf::Dual<wgf::Mlp<64, 3>>{.inflation = 1.5})`. If
/// only the network differs from the default, the network alone suffices: `wgf::kl(target,
/// Quadratic{})`.
/// \tparam NetworkSpec a specification of a network from points to numbers, u = log(P / Γ).
/// \tparam Loss the loss that fits it: LogisticLoss; VariationalBound, the bound of the functional
/// itself (as in the paper); or DonskerVaradhan, for Kullback–Leibler divergences.
template <class NetworkSpec = Mlp<16, 4>, class Loss = LogisticLoss>
struct Dual {
  static_assert(DualSpecification<NetworkSpec>,
                "wgf::entropy and wgf::kl: the dual must be a specification of a network from "
                "points to numbers, such as wgf::Mlp<64, 3>; see docs/architecture.md");
  using Network = NetworkSpec;
  using Fit = Loss;

  Network network{};
  Fit fit{};
  /// For the entropy: Γ is the Gaussian with the mean of P_k and inflation² times its covariance.
  /// Values above 1 help the network to resolve heavy tails.
  double inflation = 1;
  /// For the generalized entropy: Γ is uniform on the smallest box that contains the particles,
  /// enlarged by this factor. The particles must not leave it within a step.
  double margin = 1.25;
  /// For the generalized entropy, instead of `margin`: a box that contains every P_k.
  std::optional<UniformBox> box{};

  /// \param who the beginning of the messages, such as "wgf::entropy".
  /// \param gaussian,uniform which reference the term has; fields of the other one must keep their
  /// defaults.
  /// \throws std::invalid_argument for a field that is invalid or does not apply.
  void check(const std::string& who, bool gaussian, bool uniform) const {
    const auto need = [&](bool good, const char* what, double got) {
      if (!good) throw std::invalid_argument(who + ": " + what + ", got " + std::to_string(got));
    };
    const auto unused = [&](bool is_default, const char* field) {
      if (!is_default)
        throw std::invalid_argument(who + ": Dual::" + field + " does not apply to this term");
    };
    need(inflation > 0 && std::isfinite(inflation), "the reference's inflation must be positive",
         inflation);
    need(margin >= 1 && std::isfinite(margin), "the box's margin must be at least 1", margin);
    const Dual defaults{};
    if (!gaussian) unused(inflation == defaults.inflation, "inflation");
    if (!uniform) unused(margin == defaults.margin, "margin"), unused(!box, "box");
  }
};

namespace detail {
template <class T>
inline constexpr bool is_dual = false;
template <class N, class F>
inline constexpr bool is_dual<Dual<N, F>> = true;

/// A dual form with default values for the specification of a network; a dual form unchanged.
template <class Form>
auto as_dual(const Form& form) {
  if constexpr (is_dual<Form>) return form;
  else return Dual<Form>{.network = form};
}
}  // namespace detail

}  // namespace wgf
