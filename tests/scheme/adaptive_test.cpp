// SPDX-License-Identifier: BSL-1.0
// Step-size control: the error that a step really makes against the tolerance that was asked for.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/exact/porous_medium.hpp>
#include <wgf/scheme/adaptive.hpp>
#include <wgf/solver/jko_solver.hpp>
#include <wgf/solver/observers.hpp>

#include <cmath>
#include <vector>

#include <Eigen/Eigenvalues>

#include "../catch.hpp"
#include "../support.hpp"

using namespace wgf;
using Eigen::MatrixXd, Eigen::VectorXd;
using wgf::test::message_of;

namespace {
MatrixXd root(const MatrixXd& a) {
  return Eigen::SelfAdjointEigenSolver<MatrixXd>(a).operatorSqrt();
}
/// W₂ between Gaussians.
double distance(const Gaussian& p, const Gaussian& q) {
  const MatrixXd s = root(p.covariance());
  const double bures = (p.covariance() + q.covariance() - 2 * root(s * q.covariance() * s)).trace();
  return std::sqrt((p.mean() - q.mean()).squaredNorm() + std::max(0.0, bures));
}
/// Where the Ornstein–Uhlenbeck flow to `target` takes p in time t.
Gaussian flow_of(const Gaussian& target, const Gaussian& p, double t) {
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(target.covariance());
  const MatrixXd decay =
      eigen.eigenvectors() *
      (-t * eigen.eigenvalues().cwiseInverse()).array().exp().matrix().asDiagonal() *
      eigen.eigenvectors().transpose();
  return {target.mean() + decay * (p.mean() - target.mean()),
          target.covariance() + decay * (p.covariance() - target.covariance()) * decay};
}
const Gaussian target(VectorXd{{1.0, -0.5}}, MatrixXd{{0.5, 0.1}, {0.1, 1.5}});
}  // namespace

TEST_CASE("Ornstein–Uhlenbeck: the error that a step makes is the tolerance") {
  const auto run = [](double tolerance, bool extrapolate, Recorder& told) {
    const JkoSolver solver{
        kl(target, Quadratic{}), Affine{},
        Adaptive{
            .step_size = 0.1, .tolerance = tolerance, .until = 1.5, .extrapolate = extrapolate},
        EigenBackend<double>{.seed = 2, .threads = 1}};
    return solver.run(Gaussian::isotropic(2, 1),
                      {.steps = 200,
                       .reports = 1,
                       .training = {.iterations = 400,
                                    .batch = 500,
                                    .map_rate = 2e-3,
                                    .dual_rate = 2e-3,
                                    .common_random_numbers = true}},
                      told);
  };
  const auto error = [](const auto& flow, int k) {
    return distance(flow.gaussian(k + 1), flow_of(target, flow.gaussian(k), flow.step_size_of(k)));
  };
  for (const double tolerance : {0.03, 0.003}) {
    Recorder told;
    const auto flow = run(tolerance, false, told);
    CHECK(flow.time() == Approx(1.5).epsilon(1e-12));
    const auto& ends = told.history;  // one report a training, and one at a step's end
    std::vector<double> estimates, times;
    for (const Progress& p : ends)
      if (p.step_done) estimates.push_back(p.error), times.push_back(p.time);
    REQUIRE(static_cast<int>(estimates.size()) == flow.size());
    for (int k = 0; k < flow.size(); ++k) {
      const double truth = error(flow, k), estimate = estimates[static_cast<std::size_t>(k)];
      CHECK(truth < 3 * tolerance);
      if (k + 2 < flow.size())
        CHECK(truth > tolerance / 3);                  // the last two steps are cut to end in time
      CHECK(estimate == Approx(truth).epsilon(0.15));  // measured: 0.12 at most
      CHECK(times[static_cast<std::size_t>(k)] == Approx(flow.time(k + 1)));
    }
    if (tolerance == 0.003) CHECK(ends.back().rejected >= 1);  // the first step is too long for it
    Recorder others;
    const auto better = run(tolerance, true, others);
    for (int k = 0; k < better.size(); ++k) CHECK(error(better, k) < 0.1 * tolerance);
  }
}

TEST_CASE("the porous medium equation: the error that a step makes is the tolerance") {
  // Affine maps keep Barenblatt profiles what they are: the flow's laws are known exactly, and so
  // is where the PDE takes them.
  const PorousMedium medium(1, 2);
  const double tolerance = 1e-3;
  const JkoSolver solver{generalized_entropy(2, Quadratic{} + Mlp<32, 3, Silu>{}), Affine{},
                         Adaptive{.step_size = 0.0005, .tolerance = tolerance, .until = 0.006},
                         EigenBackend<float>{.seed = 2, .threads = 1}};
  Recorder told;
  Barenblatt p = Barenblatt::at(1, 2, 0.002);
  const auto flow = solver.run(
      p,
      {.steps = 50,
       .training =
           {.iterations = 300, .batch = 512, .map_rate = 2e-3, .dual_rate = 1e-2, .first_step = 4},
       .population = {.stratified = true}},
      told);
  std::vector<double> estimates;
  for (const Progress& q : told.history)
    if (q.step_done) estimates.push_back(q.error);
  for (int k = 0; k < flow.size(); ++k) {
    const AffineForm map = flow.affine_form(k);
    const Barenblatt next = Barenblatt::with_radius(map.matrix * p.centre() + map.offset, 2,
                                                    map.matrix(0, 0) * p.radius());
    const Barenblatt exact = medium.at(p, flow.step_size_of(k));
    const double truth =
        std::hypot((next.centre() - exact.centre()).norm(), next.rms_radius() - exact.rms_radius());
    CHECK(truth < 3 * tolerance);
    CHECK(truth > tolerance / 3);
    CHECK(estimates.at(static_cast<std::size_t>(k)) ==
          Approx(truth).epsilon(0.25));  // measured: 0.18 at most
    p = next;
  }
  CHECK(flow.time() == Approx(0.006));
  CHECK(flow.size() >= 5);
}

TEST_CASE(
    "bounds of the step size hold, and a step at the least size is taken whatever its error") {
  const auto sizes = [](const Adaptive& scheme) {
    const JkoSolver solver{kl(target, Quadratic{}), Affine{}, scheme,
                           EigenBackend<double>{.seed = 2, .threads = 1}};
    const auto flow = solver.run(
        Gaussian::isotropic(2, 1),
        {.steps = 4, .training = {.iterations = 60, .batch = 200, .common_random_numbers = true}});
    std::vector<double> all;
    for (int k = 0; k < flow.size(); ++k) all.push_back(flow.step_size_of(k));
    return all;
  };
  CHECK(sizes({.step_size = 0.1, .tolerance = 1e-9, .min_step = 0.05}) ==
        std::vector<double>{0.05, 0.05, 0.05, 0.05});
  CHECK(sizes({.step_size = 0.1, .tolerance = 10, .max_step = 0.15}) ==
        std::vector<double>{0.1, 0.15, 0.15, 0.15});
  CHECK(sizes({.step_size = 0.25, .tolerance = 10, .max_step = 0.25, .until = 0.625}) ==
        std::vector<double>{0.25, 0.1875, 0.1875});
  const Adaptive short_run{.step_size = 0.25, .tolerance = 10, .max_step = 0.25, .until = 0.5};
  const JkoSolver solver{kl(target, Quadratic{}), Affine{}, short_run,
                         EigenBackend<double>{.seed = 2, .threads = 1}};
  auto state = solver.start(
      Gaussian::isotropic(2, 1),
      {.steps = 9, .training = {.iterations = 60, .batch = 200, .common_random_numbers = true}});
  while (!state.finished()) solver.step(state);
  CHECK(state.flow().time() == 0.5);
  solver.step(state);  // who asks for a step beyond the end gets one, uncut
  CHECK(state.flow().time() == 0.75);
  const auto why = [](const Adaptive& scheme) {
    return message_of<std::invalid_argument>([&] { scheme.check(); });
  };
  CHECK(why({.step_size = -1}) == "wgf::Adaptive: step_size must be positive, got -1.000000");
  CHECK(why({.tolerance = 0}) == "wgf::Adaptive: tolerance must be positive, got 0.000000");
  CHECK(why({.step_size = 0.1, .min_step = 0.2}) ==
        "wgf::Adaptive: min_step must be at most step_size, or 0 for a hundredth of it, got "
        "0.200000");
  CHECK(why({.step_size = 0.1, .max_step = 0.05}) ==
        "wgf::Adaptive: max_step must be at least step_size, or 0 for a hundred times it, got "
        "0.050000");
  CHECK(why({.until = -1}) == "wgf::Adaptive: until must be positive, got -1.000000");
}
