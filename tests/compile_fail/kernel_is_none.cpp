// SPDX-License-Identifier: BSL-1.0
// expect: wgf::interaction: a kernel has value(q), derivative(q) and curvature(q) of q = |x|^2
#include <wgf/wgf.hpp>

struct Nothing {};
auto functional = wgf::interaction(Nothing{});
