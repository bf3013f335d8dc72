// SPDX-License-Identifier: BSL-1.0
#include <common/training.hpp>

#include <iterator>
#include <sstream>

#include "files.hpp"
#include "refused.hpp"

using namespace wgf::test;

namespace {
/// The options of the examples, from a command line.
examples::Training parse(const std::string& line) {
  examples::CommandLine command("", "program");
  examples::CommonOptions options;
  examples::Presets presets{{"ours", {{}, 0.1, 0}}};
  std::string name = "ours", map = "residual";
  examples::Training training{};
  examples::add_presets(command, options, presets, name, training);
  examples::add_common_options(command, options), examples::add_training_options(command, training);
  examples::add_map(command, map), examples::add_dropout(command, training);
  std::istringstream words(line);
  command.parse({std::istream_iterator<std::string>(words), {}});
  return training;
}
}  // namespace

TEST_CASE("errors of the examples' options") {
  REFUSED(examples::UsageError, "The following argument was not expected: --no-such-option",
          parse("--no-such-option"));
  REFUSED(examples::UsageError, "--steps: must be at least 1, got 0", parse("--steps 0"));
  REFUSED(examples::UsageError, "--seed: must be at least 0, got -1", parse("--seed -1"));
  REFUSED(examples::UsageError, "--threads: must be at least 0, got many", parse("--threads many"));
  REFUSED(examples::UsageError, "--step-size: must be a positive number, got nan",
          parse("--step-size nan"));
  REFUSED(examples::UsageError, "--iterations: must be positive, got 0", parse("--iterations 0"));
  REFUSED(examples::UsageError, "--first-step: must be positive, got 0", parse("--first-step 0"));
  REFUSED(examples::UsageError, "--dual-steps: must be positive, got 0", parse("--dual-steps 0"));
  REFUSED(examples::UsageError, "--batch: must be positive and at most 10^12, got 0",
          parse("--batch 0"));
  REFUSED(examples::UsageError, "--map-rate: must be positive, got 0", parse("--map-rate 0"));
  REFUSED(examples::UsageError, "--dual-rate: must be positive, got -1", parse("--dual-rate -1"));
  REFUSED(examples::UsageError, "--final-rate-fraction: must be in (0, 1], got 2",
          parse("--final-rate-fraction 2"));
  REFUSED(examples::UsageError, "--tail-average: must be in [0, 1], got 2",
          parse("--tail-average 2"));
  REFUSED(examples::UsageError, "--population-size: must be positive and at most 10^12, got 0",
          parse("--population-size 0"));
  REFUSED(examples::UsageError, "--population-points: must be random or quasi_random, got sobol",
          parse("--population-points sobol"));
  REFUSED(examples::UsageError, "--dropout: must be at least 0 and at most 0.99, got 1",
          parse("--dropout 1"));
  REFUSED(examples::UsageError, "--preset: must be one of ours, got theirs",
          parse("--preset theirs"));
  REFUSED(examples::UsageError, "--map: linear not in {residual,icnn}", parse("--map linear"));
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
