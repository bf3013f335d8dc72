// SPDX-License-Identifier: BSL-1.0
#pragma once
// The fuzz targets without libFuzzer: every input of the corpus, every seed, and random mutations
// of both.
#include <algorithm>
#include <random>

#include "../catch.hpp"
#include "input.hpp"

namespace wgf::fuzz {

/// One to four changes: bits, bytes, blocks, numbers in text.
inline std::string mutated(std::string bytes, std::mt19937_64& random) {
  const auto below = [&](std::size_t n) {
    return static_cast<std::size_t>(random() % std::max<std::size_t>(n, 1));
  };
  for (std::size_t changes = 1 + below(4); changes-- > 0;) {
    const std::size_t at = below(bytes.size()), length = std::min(1 + below(16), bytes.size() - at);
    static constexpr const char* texts[] = {
        "0",  "-1", "1e999", "nan", "4294967296", "9223372036854775807", "99999999999999999999",
        "\"", ","};
    static constexpr unsigned char extremes[] = {0, 1, 0x7f, 0x80, 0xff};
    switch (bytes.empty() ? 3 : below(6)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(extremes[below(std::size(extremes))]);
        break;
      case 2:
        bytes.erase(at, length);
        break;
      case 3:
        bytes.insert(at, texts[below(std::size(texts))]);
        break;
      case 4:
        bytes.insert(at, bytes.substr(below(bytes.size()), length));
        break;
      default:
        if (const auto digit = bytes.find_first_of("0123456789", at); digit != bytes.npos)
          bytes.replace(
              digit, std::min(bytes.find_first_not_of("0123456789", digit), bytes.size()) - digit,
              texts[below(std::size(texts))]);
    }
  }
  return bytes;
}

/// Runs feed on all of it. \param target the corpus's folder beside this file
template <class Feed>
void run_corpus(const std::string& target, const Seeds& seeds, Feed feed) {
  Seeds inputs = seeds;
  const auto corpus = std::filesystem::path(__FILE__).parent_path() / "corpus" / target;
  for (const auto& entry : std::filesystem::directory_iterator(corpus))
    inputs.emplace_back(entry.path().filename(), test::read(entry.path()));
  std::sort(inputs.begin(), inputs.end());
  REQUIRE(inputs.size() > seeds.size());
  for (const auto& [name, bytes] : inputs) {
    INFO(target << "/" << name);
    CHECK_NOTHROW(feed(bytes));
    std::mt19937_64 random(1);
    for (int i = 0; i < 300; ++i) {
      INFO("mutation " << i);
      const std::string other = mutated(bytes, random);
      CHECK_NOTHROW(feed(other));
    }
  }
}

}  // namespace wgf::fuzz
