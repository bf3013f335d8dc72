// SPDX-License-Identifier: BSL-1.0
#pragma once
// What observers receive during a run.

#include "../hana.hpp"

namespace wgf {

/// The state of a run as reported to an observer, several times per step: sample estimates on the
/// current batch, in the units of the functional.
struct Progress {
  int step, steps;  ///< the JKO step in progress, from 1, and the number of steps in total
  int iteration, iterations;  ///< within the step, from 1
  double transport;           ///< E|X − T(X)|²/(2a)
  double direct;  ///< potentials, interactions and reference densities: E_P[−log q + log μ_k] for
                  ///< a KL divergence
  double dual;           ///< the dual terms' bounds: E_P[A(u)] − E_Γ[B(u)], Γ the reference
  double seconds;        ///< since the run began
  long done, left;       ///< iterations of the whole run, before and after this report
  bool step_done;        ///< the step's map has just been appended to the flow
  double time = 0;       ///< of the gradient flow, at the end of this step
  double step_size = 0;  ///< a of this step
  double error = 0;      ///< at step_done, the estimated error if the step size is adaptive
  int rejected = 0;      ///< steps rejected so far for their error (Adaptive)
  int rolled_back = 0;   ///< steps repeated so far after they diverged
  int damped = 0;        ///< steps so far whose map was shortened because it folded

  /// All members, in the order in which they are saved with a run.
  static constexpr auto fields() {
    using P = Progress;
    return hana::make_tuple(&P::step, &P::steps, &P::iteration, &P::iterations, &P::transport,
                            &P::direct, &P::dual, &P::seconds, &P::done, &P::left, &P::step_done,
                            &P::time, &P::step_size, &P::error, &P::rejected, &P::rolled_back,
                            &P::damped);
  }

  /// The functional F(P), estimated from samples.
  double functional() const { return direct + dual; }
  /// Iterations per second, on average since the run began.
  double rate() const { return seconds > 0 ? static_cast<double>(done) / seconds : 0; }
};

}  // namespace wgf
