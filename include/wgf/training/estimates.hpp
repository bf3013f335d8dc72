// SPDX-License-Identifier: BSL-1.0
#pragma once
// Estimates that a training provides after an iteration.

namespace wgf {

/// Averages over the batch of an iteration, in the units of the functional.
struct Estimates {
  double transport = 0;   ///< E|X − T(X)|²/(2a)
  double direct = 0;      ///< the direct and map terms
  double dual = 0;        ///< the dual terms' bounds
  double dual_size = 0;   ///< root mean square of u = log(P / Γ), over particles and dual networks
  bool is_finite = true;  ///< whether all gradients so far were finite

  /// The objective of the JKO step, up to the contributions of the references.
  double objective() const { return transport + direct + dual; }
};

}  // namespace wgf
