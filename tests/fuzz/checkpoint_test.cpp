// SPDX-License-Identifier: BSL-1.0
#include "checkpoint_fuzz.hpp"

#include "corpus.hpp"

TEST_CASE("fuzz: saved runs are taken up or refused") {
  wgf::fuzz::run_corpus("checkpoint", wgf::fuzz::seeds(), wgf::fuzz::feed);
}
