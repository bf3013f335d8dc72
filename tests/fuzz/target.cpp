// SPDX-License-Identifier: BSL-1.0
// A fuzz target for libFuzzer: feed() and seeds() are those of the header WGF_FUZZ_TARGET.
#include WGF_FUZZ_TARGET

#include <cstdlib>

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* to = std::getenv("WGF_FUZZ_SEEDS"))  // writes them before the corpus is read
    for (const auto& [name, bytes] : wgf::fuzz::seeds())
      std::ofstream(std::filesystem::path(to) / name, std::ios::binary) << bytes;
  return 0;
}
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  wgf::fuzz::feed({reinterpret_cast<const char*>(data), size});
  return 0;
}
