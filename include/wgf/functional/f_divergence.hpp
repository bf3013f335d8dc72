// SPDX-License-Identifier: BSL-1.0
#pragma once
// f-divergences D_f(P‖Q) from a law Q that is known by samples (eq. 8).
#include <memory>
#include <utility>

#include "bound_dual.hpp"
#include "sample_reference.hpp"

namespace wgf {

/// D_f(P‖Q) in its dual form, with batches of Q's samples. \tparam Divergence KullbackLeibler, or a
/// DivergenceFunction.
template <class Divergence, DualSpecification Dual = Mlp<16, 4>, class Fit = LogisticLoss>
struct FDivergence {
  Divergence divergence;
  std::shared_ptr<const Particles> samples;  ///< of Q: d × N
  /// The network of u = log(P / Q).
  Dual dual{};
  Fit fit{};

  int dim() const { return static_cast<int>(samples->rows()); }
  template <class R>
  auto bind(const R& runtime, int dim, long batch, std::uint32_t stream) const {
    const auto in_u = [&] {
      if constexpr (DivergenceFunction<Divergence>) return DivergenceOf<Divergence>{divergence};
      else return divergence;
    }();
    return bind_dual(runtime, in_u, fit, dual, SampleReference<R>(runtime, *samples), dim, batch,
                     stream);
  }
};

}  // namespace wgf
