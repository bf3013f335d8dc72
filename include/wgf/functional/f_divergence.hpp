// SPDX-License-Identifier: BSL-1.0
#pragma once
// f-divergences D_f(P‖Q) from a law Q given by samples (eq. 8).
#include <memory>
#include <utility>

#include "bound_dual.hpp"
#include "dual.hpp"
#include "sample_reference.hpp"

namespace wgf {

/// D_f(P‖Q) in its dual form, with batches of samples of Q.
/// \tparam Divergence KullbackLeibler, or a DivergenceFunction.
/// \tparam Form a Dual, whose network represents u = log(P / Q).
template <class Divergence, class Form>
struct FDivergence {
  Divergence divergence;
  std::shared_ptr<const Particles> samples;  ///< of Q: d × N
  Form dual{};

  /// \throws std::invalid_argument for a field that does not apply.
  void check() const { dual.check("wgf::divergence_to", false, false); }
  int dim() const { return static_cast<int>(samples->rows()); }
  template <class R>
  auto bind(const R& runtime, int dim, long batch, std::uint32_t stream) const {
    const auto in_u = [&] {
      if constexpr (DivergenceFunction<Divergence>) return DivergenceOf<Divergence>{divergence};
      else return divergence;
    }();
    return bind_dual(runtime, in_u, dual.fit, dual.network, SampleReference<R>(runtime, *samples),
                     dim, batch, stream);
  }
};

}  // namespace wgf
