// SPDX-License-Identifier: BSL-1.0
// Maps in float against the same maps in double.
#include "network_probe.hpp"

using namespace wgf;
using namespace wgf::test;

TEST_CASE("ResidualMlp in float") {
  for (const long batch : {7L, 700L})
    check_float<Keep::batch>(ResidualMlp<16, 3, Softplus>{}, 17, batch);
}
TEST_CASE("DeepLinear in float") {
  for (const long batch : {7L, 700L}) check_float<Keep::batch>(DeepLinear<32, 3>{}, 3, batch);
}
