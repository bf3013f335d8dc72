// SPDX-License-Identifier: BSL-1.0
#include "npy_fuzz.hpp"

#include "corpus.hpp"

TEST_CASE("fuzz: NumPy files are read or refused") {
  wgf::fuzz::run_corpus("npy", wgf::fuzz::seeds(), wgf::fuzz::feed);
}
