// SPDX-License-Identifier: BSL-1.0
// expect: wgf::kl and wgf::potential: a target has dim(), log_density(x), and gradient(x) unless
#include <wgf/functional/functional.hpp>

int main() { auto f = wgf::potential(3.0); }
