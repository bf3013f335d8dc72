// SPDX-License-Identifier: BSL-1.0
// The JKO inequality over histories that are made up.
#include <wgf/diagnostics/energy.hpp>

#include <cmath>
#include <limits>

#include "catch.hpp"
#include "support.hpp"

using namespace wgf;
using wgf::test::message_of;

namespace {
Progress finished(int step, double functional, double transport) {
  return {.step = step,
          .steps = 9,
          .iteration = 10,
          .iterations = 10,
          .transport = transport,
          .direct = functional + 1,
          .dual = -1,
          .seconds = 0,
          .done = 0,
          .left = 0,
          .step_done = true};
}
}  // namespace

TEST_CASE("a history that goes downhill as it must") {
  const auto energy =
      energy_decay({finished(1, 4, 0.5), finished(2, 2, 1), finished(3, 1, 1)}, 0.0);
  REQUIRE(energy.steps.size() == 2);  // before the first step F was not seen
  CHECK(energy.steps[0].step == 2);
  CHECK(energy.steps[0].functional == 2);
  CHECK(energy.steps[0].decrease == 2);
  CHECK(energy.steps[0].transport == 1);
  CHECK(energy.steps[1].decrease == 1);  // with equality
  CHECK(energy.failures() == 0);
  CHECK(energy.verdict() == Verdict::ok);
  CHECK(energy.summary() ==
        "energy: F + W²/(2a) ≤ F before holds in all 2 steps, within 0; F fell by 3 in them");
}

TEST_CASE("steps that move further than F falls, or uphill") {
  const std::vector<Progress> history{finished(1, 4, 0.5), finished(2, 2, 2.25),
                                      finished(3, 2.5, 0.5), finished(4, 1, 0.1)};
  const auto energy = energy_decay(history, 0.0);
  CHECK(energy.failures() == 2);
  CHECK(energy.verdict() == Verdict::problem);
  CHECK(energy.summary() ==
        "energy: F + W²/(2a) ≤ F before fails in 2 of 3 steps, most in step 3, by 1 (tolerance 0)");
  CHECK(energy_decay(history, 0.5).failures() == 1);
  CHECK(energy_decay(history, 1.0).failures() == 0);
  // What is no number fails.
  CHECK(energy_decay(
            {finished(1, 4, 0.5), finished(2, std::numeric_limits<double>::quiet_NaN(), 1)}, 1.0)
            .failures() == 1);
}

TEST_CASE("the tolerance is the scatter of the reports, whatever their trend") {
  // Reports at iterations 61, …, 100 of 100, the functional ± 0.1 about a line, the transport
  // still: differences of ± 0.2 plus the slope.
  std::vector<Progress> history;
  for (int step = 1; step <= 3; ++step)
    for (int i = 61; i <= 100; ++i) {
      Progress p = finished(step, -step - 1e-3 * i + (i % 2 ? 0.1 : -0.1), 0.2);
      p.iteration = i, p.iterations = 100, p.step_done = i == 100;
      history.push_back(p);
    }
  const auto energy = energy_decay(history);
  // Both sides have the variance 0.2²/2, and the line adds 1e-6/2.
  CHECK(energy.tolerance == Approx(3 * std::sqrt(2 * 0.02)).epsilon(1e-3));
  CHECK(energy.verdict() == Verdict::ok);
  CHECK(energy_decay(history, 0.7).tolerance == 0.7);
}

TEST_CASE("the energy cannot be told of too little") {
  CHECK(energy_decay({}).summary() == "energy: cannot tell: two finished steps are needed");
  CHECK(energy_decay({finished(1, 4, 0.5)}, 0.0).verdict() == Verdict::inconclusive);
  const auto bare = energy_decay({finished(1, 4, 0.5), finished(2, 2, 1)});
  CHECK(bare.verdict() == Verdict::inconclusive);
  CHECK(bare.summary().find("give a tolerance") != std::string::npos);
  CHECK(message_of<std::invalid_argument>([] {
          energy_decay({}, -1.0);
        }).find("must not be negative") != std::string::npos);
}
