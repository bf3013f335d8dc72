// SPDX-License-Identifier: BSL-1.0
// expect: wgf::Corrected: a scheme that chooses its own step sizes (Adaptive) cannot be corrected
#include <wgf/scheme/adaptive.hpp>
#include <wgf/scheme/corrected.hpp>

wgf::Corrected<wgf::Adaptive> scheme;
int main() {}
