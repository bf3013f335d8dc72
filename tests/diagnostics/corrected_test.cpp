// SPDX-License-Identifier: BSL-1.0
// The diagnostics of corrected flows: right ones, and ones that are wrong although their density is
// known and their weights are even.
#include <wgf/diagnostics/diagnose.hpp>
#include <wgf/wgf.hpp>

#include "../catch.hpp"

using Eigen::VectorXd;
using wgf::Verdict;

namespace {
/// Two Gaussians at (∓4, 0); its gradient is multiplied by a factor, which is 1 unless it is wrong.
struct TwoModes {
  double factor = 1;
  wgf::GaussianMixture law{{1, 1},
                           {wgf::Gaussian::isotropic(VectorXd{{-4, 0}}, 1),
                            wgf::Gaussian::isotropic(VectorXd{{4, 0}}, 1)}};
  int dim() const { return 2; }
  double log_density(const VectorXd& x) const { return law.log_density(x); }
  VectorXd gradient(const VectorXd& x) const { return factor * law.gradient(x); }
};
wgf::Diagnosis diagnosis(const TwoModes& target, const wgf::Gaussian& start) {
  const wgf::JkoSolver solver{wgf::kl(target, wgf::LogDeterminant{}),
                              wgf::ResidualMlp<16, 2, wgf::Silu>{},
                              wgf::Corrected<wgf::Backward>{.step_size = 0.3, .rejections = 4},
                              wgf::EigenBackend<float>{.seed = 1, .threads = 2}};
  const auto flow = solver.run(
      start,
      {.steps = 3, .training = {.iterations = 60, .batch = 500}, .population = {.size = 8000}});
  return wgf::diagnose(flow, target);
}
}  // namespace

TEST_CASE("a corrected flow: no fault is found in one that is right, and the faults of others") {
  const wgf::Gaussian wide = wgf::Gaussian::isotropic(2, 4.0);
  const wgf::Diagnosis right = diagnosis({}, wide);
  CAPTURE(right.text());
  CHECK(right.verdict == Verdict::ok);
  CHECK(right.importance->effective_sample_size > 9000);
  CHECK(std::abs(right.importance->log_normaliser) < 0.02);

  // Rejections use log q alone: the draws are right, and the gradient does not belong to them.
  const wgf::Diagnosis halved = diagnosis({.factor = 0.5}, wide);
  CAPTURE(halved.text());
  CHECK(halved.verdict == Verdict::problem);
  CHECK(halved.stein->verdict() == Verdict::problem);

  // Half of the mass is never reached, and the weights of the other half are even.
  const wgf::Diagnosis half = diagnosis({}, wgf::Gaussian::isotropic(VectorXd{{4, 0}}, 1.2));
  CAPTURE(half.text());
  CHECK(half.importance->effective_sample_size > 9000);
  CHECK(half.missed_mass->verdict() == Verdict::problem);
  CHECK(half.verdict == Verdict::problem);
}
