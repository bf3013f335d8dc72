// SPDX-License-Identifier: BSL-1.0
#pragma once
// Whether two flows are the same, bit for bit.
#include <cstddef>

namespace wgf::test {

template <class Flow>
bool same_flow(const Flow& a, const Flow& b) {
  if (a.size() != b.size() || a.step_size != b.step_size || a.backend.seed != b.backend.seed)
    return false;
  for (std::size_t k = 0; k < a.stages.size(); ++k) {
    const auto &s = a.stages[k], &t = b.stages[k];
    if (s.parameters != t.parameters || s.extrapolation != t.extrapolation ||
        s.step_size != t.step_size || s.frame.identity != t.frame.identity ||
        s.frame.mean != t.frame.mean || s.frame.factor != t.frame.factor ||
        s.samples.size() != t.samples.size() || (s.samples.size() > 0 && s.samples != t.samples))
      return false;
  }
  return true;
}

}  // namespace wgf::test
