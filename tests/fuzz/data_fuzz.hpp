// SPDX-License-Identifier: BSL-1.0
#pragma once
// The examples' data. The first byte says what the others are: 't' test scores, 's' eight schools,
// 'r' a reference (its moments, a zero byte, its draws), else a CSV file.
#include <common/posteriors.hpp>

#include "input.hpp"

namespace wgf::fuzz {

template <class Posterior>
void read_posterior(const std::filesystem::path& path) {
  const auto posterior = Posterior::read(path);
  demand(posterior.gradient(posterior.start()).size() == posterior.dim(),
         "a gradient of another dimension");
}
inline void feed(std::string_view input) {
  if (input.empty()) return;
  const char kind = input[0];
  input.remove_prefix(1);
  try {
    if (kind == 't') {
      read_posterior<examples::TestScores>(file("data.json", input));
    } else if (kind == 's') {
      read_posterior<examples::EightSchools>(file("data.json", input));
    } else if (kind == 'r') {
      const std::size_t end = std::min(input.find('\0'), input.size());
      file("reference_moments.json", input.substr(0, end)),
          file("draws.csv", input.substr(std::min(end + 1, input.size())));
      const auto reference = examples::Reference::read<examples::TestScores>(folder());
      demand(reference.draws.cols() > 0 && reference.sampled_draws.allFinite(),
             "a reference without draws");
    } else {
      const auto table = examples::read_csv(file("data.csv", input));
      demand(
          table.values.allFinite() && table.values.rows() == static_cast<long>(table.names.size()),
          "a table of another width");
    }
  } catch (const std::runtime_error& error) {
    demand(std::string_view(error.what()).starts_with(folder().string()),
           "an error that does not name the file");
  }
}

inline Seeds seeds() {
  const std::string scores =
      R"({"kid_score": [65, 98, 85, 83, 115, 98], "mom_hs": [1, 1, 1, 0, 1, 0], "mom_iq": [121, 89, 115, 99, 92, 107]})";
  const std::string schools =
      R"({"y": [28, 8, -3, 7, -1, 1, 18, 12], "sigma": [15, 10, 16, 11, 9, 11, 10, 18]})";
  const auto moments = [](const char* last) {
    std::string text = "{";
    for (const char* name : {"beta1", "beta2", "beta3", "beta4", last}) {
      text += text.size() > 1 ? ", " : "";
      text += std::string("\"") + name + R"(": {"mean": 1, "sd": 2})";
    }
    return text + "}";
  };
  const std::string draws = "beta1,beta2,beta3,beta4,sigma\n1,2,3,4,5\n-1e3,2,.5,4,6\n";
  const std::string reference =
      "{\"constrained\": " + moments("sigma") + ", \"sampled\": " + moments("log_sigma") + "}";
  return {{"scores", "t" + scores},
          {"schools", "s" + schools},
          {"reference", "r" + reference + '\0' + draws},
          {"table", "c" + draws}};
}

}  // namespace wgf::fuzz
