// SPDX-License-Identifier: BSL-1.0
// expect: wgf::entropy and wgf::kl: the dual must be a specification of a network from points to
// numbers, such as wgf::Mlp<64, 3>
#include <wgf/functional/functional.hpp>

int main() { auto f = wgf::kl(wgf::Gaussian::isotropic(2, 1), wgf::ResidualMlp<16, 5>{}); }
