// SPDX-License-Identifier: BSL-1.0
#include "flow_fuzz.hpp"

#include "corpus.hpp"

TEST_CASE("fuzz: flow files are read or refused") {
  wgf::fuzz::run_corpus("flow", wgf::fuzz::seeds(), wgf::fuzz::feed);
}
