// SPDX-License-Identifier: BSL-1.0
#pragma once
// A law given by samples, as the reference of an f-divergence (eq. 8).
#include <utility>

#include "../concepts.hpp"
#include "../particles.hpp"
#include "../step_context.hpp"

namespace wgf {

/// Given particles (d × N) on a runtime; batches are drawn from them with replacement.
template <class R>
class SampleReference {
 public:
  SampleReference(const R& runtime, const Particles& samples)
      : samples_(runtime.points(static_cast<int>(samples.rows()), samples.cols())),
        inside_(runtime.points(static_cast<int>(samples.rows()), samples.cols())),
        count_(samples.cols()) {
    runtime.upload(samples, samples_);
  }
  void begin_step(const R& runtime, const StepContext<R>& context, double /*weight*/) {
    const auto [in, shift] = context.frame.to_coordinates_on(runtime);
    runtime.parallel(count_,
                     [&](typename R::Slice s) { set_affine(in, shift, samples_(s), inside_(s)); });
  }
  template <class Z>
  void sample(const R& runtime, typename R::Slice s, Z&& z, std::uint32_t stream,
              std::uint32_t draw) {
    runtime.draw_from(inside_, s, z, stream, draw);
  }

 private:
  typename R::Points samples_, inside_;  // in x, and in the coordinates of the step
  long count_;
};

}  // namespace wgf
