// SPDX-License-Identifier: BSL-1.0
// Dual networks in float against the same networks in double.
#include "network_probe.hpp"

using namespace wgf;
using namespace wgf::test;

TEST_CASE("Mlp in float") {
  for (const long batch : {7L, 700L})
    check_float<Keep::tile>(Mlp<48, 3, Silu>{.input_scale = 1.5}, 3, batch);
}
TEST_CASE("Quadratic in float") {
  for (const int dim : {3, 17}) check_float<Keep::tile>(Quadratic{}, dim, 700);
}
