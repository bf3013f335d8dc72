// SPDX-License-Identifier: BSL-1.0
// expect: wgf::Reweighted: a scheme that chooses its own step sizes (Adaptive), or is corrected
// already, cannot be reweighted
#include <wgf/scheme/adaptive.hpp>
#include <wgf/scheme/reweighted.hpp>

int main() { wgf::Reweighted<wgf::Adaptive>{}.check(); }
