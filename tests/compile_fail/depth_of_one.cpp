// SPDX-License-Identifier: BSL-1.0
// expect: wgf: a network has at least two linear layers
#include <wgf/network/network.hpp>

wgf::ResidualMlp<16, 1> map;
