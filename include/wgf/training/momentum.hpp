// SPDX-License-Identifier: BSL-1.0
#pragma once
// Gradient descent with momentum: the heavy-ball method (Polyak, 1964).
#include <stdexcept>
#include <string>

#include "../hana.hpp"
#include "../update_rule.hpp"

namespace wgf {

/// m = beta·m + g, p −= rate·m. With beta = 0 it is plain gradient descent.
struct Momentum {
  double beta = 0.9;  ///< fraction of the last step's direction that is kept

  static constexpr int moments = 1;
  static std::string name() { return "Momentum"; }
  static constexpr auto fields() {
    return hana::make_tuple(hana::make_pair("beta", &Momentum::beta));
  }
  /// \throws std::invalid_argument for invalid values.
  void check() const {
    if (!(beta >= 0 && beta < 1))
      throw std::invalid_argument("wgf::Momentum: beta must be in [0, 1), got " +
                                  std::to_string(beta));
  }

  /// One descent step: parameters p, direction m, gradient g.
  template <class P, class M, class G, class Steps, class Rate>
  void update(P& p, M& m, const G& g, const Steps& /*t*/, const Rate& rate) const {
    m = beta * m + g;
    p -= rate * m;
  }
};
static_assert(UpdateRule<Momentum>);

}  // namespace wgf
