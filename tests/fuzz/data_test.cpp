// SPDX-License-Identifier: BSL-1.0
#include "data_fuzz.hpp"

#include "corpus.hpp"

TEST_CASE("fuzz: the examples' data files are read or refused") {
  wgf::fuzz::run_corpus("data", wgf::fuzz::seeds(), wgf::fuzz::feed);
}
