// SPDX-License-Identifier: BSL-1.0
#include "options.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <thread>

#include <fmt/format.h>
#include <wgf/solver/checkpoint.hpp>

namespace examples {

void add_basic_options(CommandLine& line, CommonOptions& options) {
  line.add("--seed", &options.seed, "random seed").at_least(0);
  line.add("--threads", &options.threads, "number of threads; 0: all cores").at_least(0);
  line.add("--out", &options.out, "output folder");
  line.add_flag(
      "--quiet", [&options] { options.quiet = true; }, "print no progress");
  line.when_parsed([&options] {
    if (options.threads == 0)
      options.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  });
}
void add_common_options(CommandLine& line, CommonOptions& options) {
  add_basic_options(line, options);
  line.add("--steps", &options.steps, "number of JKO steps").at_least(1);
#ifdef WGF_EXAMPLES_ON_TORCH
  line.add("--device", &options.device, "device: cpu, cuda, cuda:1, …");
#endif
  const char* group = "Checkpoints";
  line.add("--checkpoint", &options.checkpoint,
           "write checkpoints to this file periodically, at the end and on Ctrl-C")
      .type_name("FILE")
      .group(group);
  line.add("--resume", &options.resume,
           "resume from a checkpoint; all other options as before, except that --steps may be "
           "larger")
      .type_name("FILE")
      .group(group);
  line.add("--checkpoint-seconds", &options.checkpoint_seconds,
           "time between checkpoints; 0: after every iteration")
      .at_least(0)
      .group(group);
  line.when_parsed([&options] {
    if (options.checkpoint.empty()) options.checkpoint = options.resume;
  });
}

std::string shell_quoted(std::string_view word) {
  constexpr auto plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  if (!word.empty() && word.find_first_not_of(plain) == word.npos) return std::string(word);
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}
namespace {
/// The command line with its --resume option replaced by --resume FILE.
std::string resume_command(int argc, char** argv, const std::string& file) {
  std::string line;
  for (int i = 0; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--resume") ++i;
    else if (!word.starts_with("--resume=")) line += shell_quoted(word) + ' ';
  }
  return line + "--resume " + shell_quoted(file);
}
}  // namespace

int run_main(CommandLine& line, const CommonOptions& options, int argc, char** argv,
             const std::function<void()>& body) {
  const auto fail = [&line](std::string what, int status) {
    std::replace(what.begin(), what.end(), '\n', ' ');
    if (isatty(STDERR_FILENO))
      fmt::print(stderr, "\r\033[K");  // overwrite an unfinished progress line
    fmt::print(stderr, "{}: {}\n", line.name(), what);
    return status;
  };
  try {
    if (!line.parse({argv + 1, argv + argc})) return 0;  // --help
    const wgf::InterruptGuard guard;
    body();
    return std::fflush(stdout) == 0 ? 0 : fail("cannot write to standard output", 1);
  } catch (const UsageError& error) {
    return fail(fmt::format("{} (--help lists the options)", error.what()), 2);
  } catch (const Interrupted& error) {
    const std::string how =
        options.checkpoint.empty()
            ? ""
            : "; to continue: " + resume_command(argc, argv, options.checkpoint);
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
