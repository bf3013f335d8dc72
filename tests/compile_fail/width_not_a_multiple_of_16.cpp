// SPDX-License-Identifier: BSL-1.0
// expect: wgf: a network's width must be a positive multiple of 16
#include <wgf/network/network.hpp>

wgf::Mlp<17, 3> dual;
