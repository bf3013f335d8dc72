// SPDX-License-Identifier: BSL-1.0
// What observers are told, and those of the library.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>
#include <wgf/solver/observers.hpp>

#include <algorithm>
#include <cstdio>

#include "catch.hpp"

using namespace wgf;

namespace {
const RunOptions brief{.steps = 3,
                       .training = {.iterations = 20, .batch = 50, .first_step = 1},
                       .population = {.size = 500}};
template <class Observer>
void run(const RunOptions& options, Observer&& observer) {
  const JkoSolver solver{kl(Gaussian::isotropic(2, 0.7), Quadratic{}), Affine{}, Backward{},
                         EigenBackend<double>{.seed = 1, .threads = 1}};
  solver.run(Gaussian::isotropic(2, 1), options, observer);
}
}  // namespace

TEST_CASE("observers are told where the run stands") {
  Recorder recorder;
  RunOptions options = brief;
  options.training.first_step = 2, options.reports = 5;
  run(options, recorder);
  // 40 iterations reported every eighth, then twice 20 every fourth; the last report of a step
  // comes when it is done.
  const std::vector<int> expected{8, 16, 24, 32, 40, 4, 8, 12, 16, 20, 4, 8, 12, 16, 20};
  REQUIRE(recorder.history.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Progress& p = recorder.history[i];
    CHECK(p.step == static_cast<int>(i / 5) + 1);
    CHECK(p.steps == 3);
    CHECK(p.iteration == expected[i]);
    CHECK(p.iterations == (i < 5 ? 40 : 20));
    CHECK(p.step_done == (i % 5 == 4));
    CHECK(p.done == (i < 5 ? 0 : i < 10 ? 40 : 60) + expected[i]);
    CHECK(p.left == 80 - p.done);
    CHECK(std::isfinite(p.transport));
    CHECK(p.transport >= 0);
    CHECK(p.functional() == p.direct + p.dual);
    CHECK(p.seconds >= (i ? recorder.history[i - 1].seconds : 0));
  }
}

TEST_CASE("progress is printed, a line a step where there is no terminal") {
  std::FILE* file = std::tmpfile();
  REQUIRE(file);
  run(brief, ProgressPrinter(file));
  std::rewind(file);
  std::string text;
  for (int c; (c = std::fgetc(file)) != EOF;) text += static_cast<char>(c);
  std::fclose(file);
  CHECK(std::count(text.begin(), text.end(), '\n') == 3);
  CHECK(text.rfind("step 1/3 ", 0) == 0);
  CHECK(text.find("\nstep 3/3 ") != std::string::npos);
  CHECK(text.find('\r') == std::string::npos);
}
