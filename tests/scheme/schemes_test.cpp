// SPDX-License-Identifier: BSL-1.0
// Schemes on flows whose steps are known in closed form: quadratic interaction, Ornstein–Uhlenbeck.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/metric/sym_kl.hpp>
#include <wgf/reference/ornstein_uhlenbeck.hpp>
#include <wgf/scheme/forward_backward.hpp>
#include <wgf/scheme/midpoint.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "../catch.hpp"
#include "../support.hpp"

using namespace wgf;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using wgf::test::message_of;

namespace {
const EigenBackend<double> backend{.seed = 3, .threads = 1};
const Gaussian start((VectorXd(2) << 1, -0.5).finished(), (MatrixXd(2, 2) << 1, 0.3, 0.3, 0.6).finished());
const RunOptions careful{
    .steps = 2, .iterations = 400, .batch = 500, .map_rate = 5e-3, .dual_rate = 5e-3, .final_rate = 1e-3, .first_step = 2};
}  // namespace

TEST_CASE("quadratic interaction: every scheme contracts about the mean by its own factor, the same clock for all") {
  const double a = 0.1;
  // The implicit step divides by 1 + a, the explicit one multiplies by 1 − a, the midpoint step by (1 − a/2)/(1 + a/2).
  const auto check = [&](const auto& flow, double factor, double tolerance) {
    REQUIRE(flow.size() == 2);
    const Particles x = start.sample(2000, 5), y = flow.push(x);
    const Particles expected = ((x.colwise() - start.mean()) * factor * factor).colwise() + start.mean();
    CHECK((y - expected).colwise().norm().maxCoeff() < tolerance);
  };
  check(JkoSolver{interaction(QuadraticKernel{}), Affine{}, Backward{.step_size = a}, backend}.run(start, careful), 1 / (1 + a), 0.02);
  check(JkoSolver{interaction(QuadraticKernel{}), Affine{}, Midpoint{.step_size = a}, backend}.run(start, careful),
        (1 - a / 2) / (1 + a / 2), 0.02);
  RunOptions options = careful;
  options.forward_samples = 20'000;
  const auto forward = JkoSolver{interaction(QuadraticKernel{}), Affine{}, Forward{.step_size = a}, backend}.run(start, options);
  // Nothing is trained; the samples' mean is off by 1/√20,000.
  CHECK(forward.stages[0].parameters.empty());
  check(forward, 1 - a, 0.01);
  // With the whole pool as samples, each pair once, the particles move as the flow's own maps say.
  options.pool = 3000, options.forward_samples = 3000;
  const JkoSolver all{interaction(GaussianKernel{.amplitude = 3}) + potential(start), Affine{}, Forward{.step_size = a}, backend};
  auto run = all.start(start, options);
  const Particles before = run.particles();
  CHECK(all.step(run));
  CHECK((run.particles() - run.flow().push(before)).cwiseAbs().maxCoeff() < 1e-12);
  CHECK((run.particles() - before).cwiseAbs().maxCoeff() > 0.01);
}

TEST_CASE("forward-backward: interaction forward, entropy backward") {
  // N(m, Σ) under ½|x|² interaction (forward: multiply by 1 − a) and entropy (backward, exact JKO: σ' = (σ + √(σ² + 4a))/2).
  const double a = 0.1;
  const auto flow =
      JkoSolver{entropy(Quadratic{}) + interaction(QuadraticKernel{}), Affine{}, ForwardBackward{.step_size = a}, backend}.run(
          Gaussian::isotropic(2, 1.0), careful);
  double sigma = 1;
  for (int k = 0; k < 2; ++k) {
    sigma *= 1 - a;
    sigma = (sigma + std::sqrt(sigma * sigma + 4 * a)) / 2;
  }
  const Gaussian fitted = Gaussian::fit(flow.sample(100'000));
  CHECK(fitted.mean().norm() < 0.02);
  CHECK((fitted.covariance() - sigma * sigma * MatrixXd::Identity(2, 2)).norm() < 0.02 * sigma * sigma);
}

TEST_CASE("a potential goes forward") {
  // Entropy backward, −log q forward (Remark 1): for q = N(0, 1) a step is σ' = (s + √(s² + 4a))/2, s = (1 − a)σ.
  const double a = 0.1;
  const auto flow = JkoSolver{kl(Gaussian::isotropic(2, 1.0), Quadratic{}), Affine{}, Forward{.step_size = a}, backend}.run(
      Gaussian::isotropic(2, 0.5), careful);
  CHECK(flow.stages[0].samples.cols() == 0);
  double sigma = 0.5;
  for (int k = 0; k < 2; ++k) {
    sigma *= 1 - a;
    sigma = (sigma + std::sqrt(sigma * sigma + 4 * a)) / 2;
  }
  const Gaussian fitted = Gaussian::fit(flow.sample(100'000));
  CHECK((fitted.covariance() - sigma * sigma * MatrixXd::Identity(2, 2)).norm() < 0.02 * sigma * sigma);
}

TEST_CASE("the midpoint scheme is of second order") {
  const OrnsteinUhlenbeck process = OrnsteinUhlenbeck::random(2, 3);
  const double a = 0.1;
  RunOptions options = careful;
  options.steps = 4, options.coupled_base = true;
  const auto flow =
      JkoSolver{kl(process.target(), Quadratic{}), Affine{}, Midpoint{.step_size = a}, backend}.run(Gaussian::isotropic(2, 1.0), options);
  for (const auto& stage : flow.stages) CHECK(stage.stretch == 2);
  const Gaussian exact = process.at(4 * a);
  CHECK(sym_kl(flow.gaussian(), exact) < 1e-5);
  CHECK(sym_kl(process.jko(4, a), exact) > 1e-4);  // where a perfect backward scheme stands
}

TEST_CASE("an extrapolation that is not monotone falls back to a backward step, or is refused") {
  // With a = 4 and the target N(0, 0.01) a half step contracts by far more than a half.
  const auto narrow = kl(Gaussian::isotropic(2, 0.1), Quadratic{});
  RunOptions options = careful;
  options.steps = 1, options.map_rate = 1e-2;
  const auto flow = JkoSolver{narrow, Affine{}, Midpoint{.step_size = 1}, backend}.run(Gaussian::isotropic(2, 1.0), options);
  CHECK(flow.stages[0].stretch == 1);
  const JkoSolver refusing{narrow, Affine{}, Midpoint{.step_size = 1, .refuse = true}, backend};
  auto state = refusing.start(Gaussian::isotropic(2, 1.0), options);
  CHECK(message_of<StepError>([&] { refusing.step(state); }).find("the extrapolated map is not monotone; a smaller step_size may help") !=
        std::string::npos);
  CHECK(state.flow().size() == 0);
}

TEST_CASE("schemes refuse step sizes that are none") {
  const auto why = [](auto scheme) {
    return message_of<std::invalid_argument>([&] {
      JkoSolver{kl(Gaussian::isotropic(2, 1.0), Quadratic{}), Affine{}, scheme, backend}.start(start);
    });
  };
  CHECK(why(Midpoint{.step_size = 0}) == "wgf::Midpoint: step_size must be positive, got 0.000000");
  CHECK(why(ForwardBackward{.step_size = -1}) == "wgf::ForwardBackward: step_size must be positive, got -1.000000");
  CHECK(why(Forward{.step_size = NAN}).find("wgf::Forward: step_size must be positive, got ") == 0);
}
