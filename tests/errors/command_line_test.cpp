// SPDX-License-Identifier: BSL-1.0
#include <common/training.hpp>

#include "files.hpp"
#include "refused.hpp"

using namespace wgf::test;

namespace {
/// The options of the examples, from a command line.
examples::Training parse(const std::string& line) {
  CLI::App app;
  examples::CommonOptions options;
  examples::Presets presets{{"ours", {{}, 0.1, 0}}};
  std::string name = "ours", map = "residual";
  examples::Training training{};
  examples::add_presets(app, options, presets, name, training);
  examples::add_common_options(app, options), examples::add_training_options(app, training);
  examples::add_map(app, map), examples::add_dropout(app, training);
  app.parse(line);
  return training;
}
}  // namespace

TEST_CASE("errors of the examples' options") {
  REFUSED(CLI::ParseError, "The following argument was not expected: --no-such-option",
          parse("--no-such-option"));
  REFUSED(CLI::ParseError, "--steps: must be at least 1, got 0", parse("--steps 0"));
  REFUSED(CLI::ParseError, "--seed: must be at least 0, got -1", parse("--seed -1"));
  REFUSED(CLI::ParseError, "--threads: must be at least 0, got many", parse("--threads many"));
  REFUSED(CLI::ParseError, "--step-size: must be a positive number, got nan",
          parse("--step-size nan"));
  REFUSED(CLI::ParseError, "--iterations: must be positive, got 0", parse("--iterations 0"));
  REFUSED(CLI::ParseError, "--first-step: must be positive, got 0", parse("--first-step 0"));
  REFUSED(CLI::ParseError, "--dual-steps: must be positive, got 0", parse("--dual-steps 0"));
  REFUSED(CLI::ParseError, "--batch: must be positive and at most 10^12, got 0",
          parse("--batch 0"));
  REFUSED(CLI::ParseError, "--map-rate: must be positive, got 0", parse("--map-rate 0"));
  REFUSED(CLI::ParseError, "--dual-rate: must be positive, got -1", parse("--dual-rate -1"));
  REFUSED(CLI::ParseError, "--final-rate-fraction: must be in (0, 1], got 2",
          parse("--final-rate-fraction 2"));
  REFUSED(CLI::ParseError, "--tail-average: must be in [0, 1], got 2", parse("--tail-average 2"));
  REFUSED(CLI::ParseError, "--population-size: must be positive and at most 10^12, got 0",
          parse("--population-size 0"));
  REFUSED(CLI::ParseError, "--dropout: must be at least 0 and at most 0.99, got 1",
          parse("--dropout 1"));
  REFUSED(CLI::ParseError, "--preset: must be one of ours, got theirs", parse("--preset theirs"));
  REFUSED(CLI::ParseError, "--map: linear not in {residual,icnn}", parse("--map linear"));
}

TEST_CASE("errors of the output folder") {
  const OwnFolder here;
  wgf::test::write("mine", "");
  REFUSED(std::runtime_error, "the output folder's name is empty", (examples::OutputFolder(""), 0));
  REFUSED(std::runtime_error, "mine: is a file, not a folder to write to",
          (examples::OutputFolder("mine"), 0));
  REFUSED(std::runtime_error, "cannot make the output folder mine/out: Not a directory",
          (examples::OutputFolder("mine/out"), 0));
}
