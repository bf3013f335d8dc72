// SPDX-License-Identifier: BSL-1.0
// All diagnostics of a flow: one that ends at its target, held against that and against others.
#include <wgf/diagnostics/diagnose.hpp>
#include <wgf/wgf.hpp>

#include <algorithm>
#include <iostream>

#include "catch.hpp"
#include "support.hpp"

using Eigen::VectorXd;
using wgf::Verdict;

namespace {
const wgf::Gaussian target(VectorXd{{0.5, -1}}, Eigen::MatrixXd{{0.6, 0.2}, {0.2, 0.4}});
const wgf::JkoSolver solver{wgf::kl(target, wgf::Quadratic{}), wgf::Affine{},
                            wgf::Backward{.step_size = 1},
                            wgf::EigenBackend<double>{.seed = 1, .threads = 1}};
const wgf::RunOptions options{.steps = 8,
                              .training = {.iterations = 300,
                                           .batch = 1000,
                                           .map_rate = 3e-3,
                                           .dual_rate = 3e-3,
                                           .first_step = 4,
                                           .common_random_numbers = true}};
}  // namespace

TEST_CASE(
    "no diagnostic finds a fault in a flow that ends at its target, against another one they do") {
  wgf::Recorder recorder;
  const auto flow = solver.run(wgf::Gaussian::isotropic(2, 1.0), options, std::ref(recorder));
  const wgf::Diagnosis diagnostic = wgf::diagnose(flow, target, {.history = recorder.history});
  std::cout << diagnostic.text();

  CHECK(diagnostic.verdict == Verdict::ok);
  CHECK(diagnostic.overall == "no fault found by 4 diagnostics");
  CHECK(diagnostic.lines.size() == 4);
  REQUIRE(diagnostic.importance);
  CHECK(diagnostic.importance->effective_sample_size > 9900);
  CHECK(std::abs(diagnostic.importance->log_normaliser) <
        0.01);  // the target's density is normalised
  CHECK(diagnostic.importance->particles.cols() == 10'000);
  REQUIRE(diagnostic.energy);
  CHECK(diagnostic.energy->steps.size() == 7);

  // A function of the seed.
  CHECK(wgf::diagnose(flow, target, {.samples = 500, .seed = 2}).text() ==
        wgf::diagnose(flow, target, {.samples = 500, .seed = 2}).text());

  // The flow is too narrow for a target three times as wide.
  const wgf::Diagnosis wrong =
      wgf::diagnose(flow, wgf::Gaussian(target.mean(), 9 * target.covariance()));
  std::cout << wrong.text();
  CHECK(wrong.verdict == Verdict::problem);
  CHECK(wrong.importance->verdict() == Verdict::problem);
  CHECK(wrong.stein->verdict() == Verdict::problem);
  CHECK(wrong.overall.find("faults found by: importance weights, Stein discrepancy") == 0);
  CHECK_FALSE(wrong.energy);

  // A shift that weights repair.
  const wgf::Diagnosis shifted = wgf::diagnose(
      flow, wgf::Gaussian(target.mean() + VectorXd::Constant(2, 0.1), target.covariance()));
  CHECK(shifted.overall ==
        "faults found by: Stein discrepancy, which the importance weights correct");

  // A second mode that no sample is near.
  const wgf::GaussianMixture two(
      {1, 1},
      {target, wgf::Gaussian(target.mean() + VectorXd::Constant(2, 5), target.covariance())});
  const wgf::Diagnosis missing = wgf::diagnose(flow, two);
  std::cout << missing.text();
  CHECK(missing.overall == "faults found by: missed mass");
  CHECK(std::abs(missing.missed_mass->share - 0.5) < 4 * missing.missed_mass->error);
}

TEST_CASE("where the flow has no density the Stein discrepancy is left") {
  const wgf::Flow<wgf::Affine, wgf::EigenBackend<double>> flow(
      wgf::Empirical(target.sample(5000, 1)), wgf::Affine{}, 1, {});
  const auto diagnostic = wgf::diagnose(flow, target, {.samples = 1000});
  CHECK_FALSE(diagnostic.importance);
  CHECK_FALSE(diagnostic.missed_mass);
  CHECK(diagnostic.stein->verdict() == Verdict::ok);
  CHECK(diagnostic.overall == "no fault found by 1 diagnostic");
  CHECK(diagnostic.lines[0].find("do not apply") != std::string::npos);
  CHECK(wgf::test::message_of<std::invalid_argument>([&] {
          wgf::diagnose(flow, wgf::Gaussian::isotropic(3, 1.0));
        }).find("the samples have dimension 2, the target 3") != std::string::npos);
}

TEST_CASE("a flow of Bdf2 has no density, and is diagnosed without") {
  const wgf::JkoSolver steps{wgf::kl(target, wgf::Quadratic{}), wgf::Affine{},
                             wgf::Bdf2{.step_size = 0.1}, wgf::EigenBackend<double>{.seed = 2}};
  const auto flow =
      steps.run(wgf::Gaussian::isotropic(2, 1.0), {.steps = 2, .training = {.iterations = 5}});
  const wgf::Diagnosis diagnostic = wgf::diagnose(flow, target, {.samples = 500});
  CHECK_FALSE(diagnostic.importance);
  CHECK_FALSE(diagnostic.missed_mass);
  CHECK(diagnostic.stein);
  CHECK(diagnostic.text().find("do not apply: wgf::Flow: densities are not available") !=
        std::string::npos);
}
