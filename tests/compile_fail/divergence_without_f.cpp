// SPDX-License-Identifier: BSL-1.0
// expect: wgf::divergence_to: a divergence has a member f, `auto f(const auto& r) const`; see
// docs/functionals.md
#include <wgf/wgf.hpp>

struct Nothing {};
auto functional = wgf::divergence_to(wgf::Particles(), Nothing{});
