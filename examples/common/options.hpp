// SPDX-License-Identifier: BSL-1.0
#pragma once
// The command line options shared by the experiments, and a main() that reports errors and Ctrl-C
// in one line on stderr.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <wgf/solver/checkpoint.hpp>

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

/// Checks that the value of an option is at least `least`.
inline CLI::Validator at_least(double least) {
  const auto check = [least](const std::string& text) {
    double value = 0;
    if (CLI::detail::lexical_cast(text, value) && value >= least) return std::string();
    return fmt::format("must be at least {}, got {}", least, text);
  };
  return CLI::Validator(check, "");
}

/// Checks that the value of an option is positive.
inline CLI::Validator positive() {
  const auto check = [](const std::string& text) {
    double value = 0;
    if (CLI::detail::lexical_cast(text, value) && value > 0) return std::string();
    return fmt::format("must be a positive number, got {}", text);
  };
  return CLI::Validator(check, "");
}

/// Adds the common options to a command line.
inline void add_common_options(CLI::App& app, CommonOptions& options) {
  app.add_option("--seed", options.seed, "random seed")->check(at_least(0))->capture_default_str();
  app.add_option("--threads", options.threads, "number of threads; 0: all cores")
      ->check(at_least(0))
      ->capture_default_str();
  app.add_option("--steps", options.steps, "number of JKO steps")
      ->check(at_least(1))
      ->capture_default_str();
  app.add_option("--out", options.out, "output folder")->capture_default_str();
#ifdef WGF_EXAMPLES_ON_TORCH
  app.add_option("--device", options.device, "device: cpu, cuda, cuda:1, …")->capture_default_str();
#endif
  app.add_flag("--quiet", options.quiet, "print no progress");
  const auto add = [&app](const char* name, auto& value, const char* what) {
    return app.add_option(name, value, what)->group("Checkpoints");
  };
  add("--checkpoint", options.checkpoint,
      "write checkpoints to this file periodically, at the end and on Ctrl-C")
      ->type_name("FILE");
  add("--resume", options.resume,
      "resume from a checkpoint; all other options as before, except that --steps may be larger")
      ->type_name("FILE");
  add("--checkpoint-seconds", options.checkpoint_seconds,
      "time between checkpoints; 0: after every iteration")
      ->check(at_least(0))
      ->capture_default_str();
  app.parse_complete_callback([&options] {
    if (options.checkpoint.empty()) options.checkpoint = options.resume;
    if (options.threads == 0)
      options.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  });
}

/// Thrown after Ctrl-C or SIGTERM, at a point where the program can clean up.
class Interrupted : public std::runtime_error {
 public:
  explicit Interrupted(const std::string& where) : std::runtime_error("interrupted " + where) {}
};

/// A word quoted for the shell.
inline std::string shell_quoted(std::string_view word) {
  constexpr auto plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  if (!word.empty() && word.find_first_not_of(plain) == word.npos) return std::string(word);
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}
/// The command line with its --resume option replaced by --resume FILE.
inline std::string resume_command(int argc, char** argv, const std::string& file) {
  std::string line;
  for (int i = 0; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--resume") ++i;
    else if (!word.starts_with("--resume=")) line += shell_quoted(word) + ' ';
  }
  return line + "--resume " + shell_quoted(file);
}

/// Parses the command line and runs `body()`. The exit status is 0, 2 for an invalid command line,
/// 130 after Ctrl-C or SIGTERM, and 1 for any other exception. An exception is reported as one line
/// on stderr: "name: message".
template <class Body>
int run_main(CLI::App& app, const CommonOptions& options, int argc, char** argv, Body&& body) {
  const auto fail = [&app](std::string what, int status) {
    std::replace(what.begin(), what.end(), '\n', ' ');
    if (isatty(STDERR_FILENO))
      fmt::print(stderr, "\r\033[K");  // overwrite an unfinished progress line
    fmt::print(stderr, "{}: {}\n", app.get_name(), what);
    return status;
  };
  try {
    app.parse(argc, argv);
    const wgf::InterruptGuard guard;
    body();
    return std::fflush(stdout) == 0 ? 0 : fail("cannot write to standard output", 1);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    return fail(fmt::format("{} (--help lists the options)", error.what()), 2);
  } catch (const Interrupted& error) {
    const std::string how = options.checkpoint.empty()
                                ? ""
                                : "; to go on: " + resume_command(argc, argv, options.checkpoint);
    return fail(error.what() + how, 130);
  } catch (const std::bad_alloc&) {
    return fail("out of memory", 1);
  } catch (const std::exception& error) {
    return fail(error.what(), 1);
  } catch (...) {
    return fail("an unknown error", 1);
  }
}

}  // namespace examples
