// SPDX-License-Identifier: BSL-1.0
#pragma once
// The command line options shared by the experiments, and a main() that reports errors and Ctrl-C
// in one line on stderr.
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "command_line.hpp"

namespace examples {

/// The options of every experiment. Set the defaults before calling add_common_options().
struct CommonOptions {
  std::uint64_t seed = 1;
  int threads = 0;  ///< 0 on the command line: all cores; at least 1 after parsing
  int steps = 10;
  std::string out;
  bool quiet = false;
  std::string device = "cpu";  ///< for programs built on LibTorch
  /// Files, or empty. A resumed run writes its checkpoints to the file it was resumed from unless
  /// another one is given.
  std::string checkpoint, resume;
  double checkpoint_seconds = 30;
};

/// Adds the options of every program to a command line: seed, threads, output folder, quiet.
void add_basic_options(CommandLine& line, CommonOptions& options);
/// Adds these, and those of programs that train step by step: steps, checkpoints.
void add_common_options(CommandLine& line, CommonOptions& options);

/// Thrown after Ctrl-C or SIGTERM, at a point where the program can clean up.
class Interrupted : public std::runtime_error {
 public:
  explicit Interrupted(const std::string& where) : std::runtime_error("interrupted " + where) {}
};

/// A word quoted for the shell.
std::string shell_quoted(std::string_view word);

/// Parses the command line and runs `body()`. The exit status is 0, 2 for an invalid command line,
/// 130 after Ctrl-C or SIGTERM, and 1 for any other exception. An exception is reported as one line
/// on stderr: "name: message".
int run_main(CommandLine& line, const CommonOptions& options, int argc, char** argv,
             const std::function<void()>& body);

}  // namespace examples
