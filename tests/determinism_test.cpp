// SPDX-License-Identifier: BSL-1.0
#include "determinism.hpp"

TEST_CASE("a run in float has the same bits on 1, 2 and 3 threads") {
  wgf::test::check_determinism<float>();
}
