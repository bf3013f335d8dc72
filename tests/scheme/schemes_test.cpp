// SPDX-License-Identifier: BSL-1.0
// Schemes on flows whose steps are known in closed form: quadratic interaction, Ornstein–Uhlenbeck.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/metric/sym_kl.hpp>
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
const Gaussian start((VectorXd(2) << 1, -0.5).finished(),
                     (MatrixXd(2, 2) << 1, 0.3, 0.3, 0.6).finished());
const RunOptions careful{.steps = 2,
                         .training = {.iterations = 400,
                                      .batch = 500,
                                      .map_rate = 5e-3,
                                      .dual_rate = 5e-3,
                                      .final_rate_fraction = 1e-3,
                                      .first_step = 2}};
}  // namespace

TEST_CASE(
    "quadratic interaction: every scheme contracts about the mean by its own factor, the same "
    "clock for all") {
  const double a = 0.1;
  // The implicit step divides by 1 + a, the explicit one multiplies by 1 − a, the midpoint step by
  // (1 − a/2)/(1 + a/2).
  const auto check = [&](const auto& flow, double factor, double tolerance) {
    REQUIRE(flow.size() == 2);
    const Particles x = start.sample(2000, 5), y = flow.push(x);
    const Particles expected =
        ((x.colwise() - start.mean()) * factor * factor).colwise() + start.mean();
    CHECK((y - expected).colwise().norm().maxCoeff() < tolerance);
  };
  check(JkoSolver{interaction(QuadraticKernel{}), Affine{}, Backward{.step_size = a}, backend}.run(
            start, careful),
        1 / (1 + a), 0.02);
  check(JkoSolver{interaction(QuadraticKernel{}), Affine{}, Midpoint{.step_size = a}, backend}.run(
            start, careful),
        (1 - a / 2) / (1 + a / 2), 0.02);
  RunOptions options = careful;
  options.population.forward_samples = 20'000;
  const auto forward =
      JkoSolver{interaction(QuadraticKernel{}), Affine{}, Forward{.step_size = a}, backend}.run(
          start, options);
  // Nothing is trained; the samples' mean is off by 1/√20,000.
  CHECK(forward.stages[0].parameters.empty());
  check(forward, 1 - a, 0.01);
  // With the whole pool as samples, each pair once, the particles move as the flow's own maps say.
  options.population.size = 3000, options.population.forward_samples = 3000;
  const JkoSolver all{interaction(GaussianKernel{.amplitude = 3}) + potential(start), Affine{},
                      Forward{.step_size = a}, backend};
  auto run = all.start(start, options);
  const Particles before = run.particles();
  CHECK(all.step(run));
  CHECK((run.particles() - run.flow().push(before)).cwiseAbs().maxCoeff() < 1e-12);
  CHECK((run.particles() - before).cwiseAbs().maxCoeff() > 0.01);
}

TEST_CASE(
    "a kernel that is singular at the origin: a particle does not move itself, nor others in its "
    "place") {
  // The whole pool as samples; the flow's own maps then meet each particle as a sample too.
  const Particles ten = standard_normals(1, 10, 3);
  const auto check = [&](const auto& initial, const auto& policy, double tolerance) {
    const JkoSolver solver{interaction(LogarithmicKernel{}), Affine{}, Forward{.step_size = 0.01},
                           policy};
    auto run =
        solver.start(initial, {.steps = 1, .training = {.batch = 10}, .population = {.size = 600}});
    const Particles before = run.particles();
    CHECK(solver.step(run));
    const Particles after = run.particles();
    CHECK(after.allFinite());
    CHECK((after - run.flow().push(before)).cwiseAbs().maxCoeff() <
          tolerance * after.cwiseAbs().maxCoeff());
  };
  check(Gaussian::isotropic(1, 1.0), backend, 1e-12);
  check(Empirical(ten), backend, 1e-12);
  check(Empirical(ten), EigenBackend<float>{.seed = 3, .threads = 1}, 1e-5);
}

TEST_CASE("a kernel of amplitude zero moves nothing") {
  const JkoSolver still{interaction(GaussianKernel{.amplitude = 0}), Affine{},
                        Forward{.step_size = 0.1}, EigenBackend<float>{.seed = 3}};
  const auto flow = still.run(
      start,
      {.steps = 1, .training = {.batch = 10}, .population = {.size = 100, .forward_samples = 50}});
  const Particles x = start.sample(20, 5).cast<float>().cast<double>();
  CHECK(flow.push(x) == x);
}

namespace {
// One's own scheme: interactions forward, the rest extrapolated.
struct Both {
  double step_size = 0.1;
  template <class Term>
  static constexpr bool forward = InteractionTerm<Term>;
  void check() const {}
  template <class Trainer, class Stage>
  void solve(Trainer& trainer, Stage& stage) const {
    trainer.move_forward(step_size, stage);
    stage.parameters = trainer.train(step_size / 2);
    if (!trainer.is_monotone(stage.parameters)) trainer.refuse("the step is too long");
    stage.extrapolation = 2;
  }
};
// A potential whose gradient fails after some calls.
struct Failing {
  long calls;
  int dim() const { return 2; }
  double log_density(const VectorXd& x) const { return -x.squaredNorm(); }
  VectorXd gradient(const VectorXd& x) const {
    static long called = 0;
    if (++called > calls) throw std::runtime_error("the potential's own trouble");
    return -2 * x;
  }
};
}  // namespace

TEST_CASE("a forward half before an extrapolated step, by a scheme of one's own") {
  // Entropy by the midpoint scheme: σ' = 2(s + √(s² + 2a))/2 − s = √(s² + 2a), which is the heat
  // equation; s = (1 − a)σ.
  const double a = 0.1;
  const JkoSolver solver{entropy(Quadratic{}) + interaction(QuadraticKernel{}), Affine{},
                         Both{.step_size = a}, backend};
  const auto flow = solver.run(Gaussian::isotropic(2, 1.0), careful);
  for (const auto& stage : flow.stages) CHECK(stage.extrapolation == 2);
  double variance = 1;
  for (int k = 0; k < 2; ++k) variance = (1 - a) * (1 - a) * variance + 2 * a;
  const Gaussian fitted = Gaussian::fit(flow.sample(100'000));
  CHECK((fitted.covariance() - variance * MatrixXd::Identity(2, 2)).norm() < 0.02 * variance);
}

TEST_CASE("a forward half that fails is a step that failed, with the flow so far") {
  const JkoSolver failing{potential(Failing{250}), Affine{}, Forward{.step_size = 0.1}, backend};
  try {
    failing.run(start, {.steps = 20, .training = {.batch = 10}, .population = {.size = 100}});
    FAIL("no exception");
  } catch (const FlowError<decltype(failing)::Flow>& error) {
    CHECK(std::string(error.what()) ==
          "wgf::JkoSolver: step 3, iteration 0: the potential's own trouble");
    CHECK(error.flow().size() == 2);
  }
}

TEST_CASE("one particle interacts with nobody") {
  const JkoSolver solver{interaction(QuadraticKernel{}), Affine{}, Backward{}, backend};
  CHECK(message_of<std::invalid_argument>([&] { solver.run(start, {.training = {.batch = 1}}); }) ==
        "wgf::interaction: a batch must have at least two particles, got 1");
}

TEST_CASE("forward-backward: interaction forward, entropy backward") {
  // N(m, Σ) under ½|x|² interaction (forward: multiply by 1 − a) and entropy (backward, exact JKO:
  // σ' = (σ + √(σ² + 4a))/2).
  const double a = 0.1;
  const auto flow = JkoSolver{entropy(Quadratic{}) + interaction(QuadraticKernel{}), Affine{},
                              ForwardBackward{.step_size = a}, backend}
                        .run(Gaussian::isotropic(2, 1.0), careful);
  double sigma = 1;
  for (int k = 0; k < 2; ++k) {
    sigma *= 1 - a;
    sigma = (sigma + std::sqrt(sigma * sigma + 4 * a)) / 2;
  }
  const Gaussian fitted = Gaussian::fit(flow.sample(100'000));
  CHECK(fitted.mean().norm() < 0.02);
  CHECK((fitted.covariance() - sigma * sigma * MatrixXd::Identity(2, 2)).norm() <
        0.02 * sigma * sigma);
}

TEST_CASE("a potential goes forward") {
  // Entropy backward, −log q forward (Remark 1): for q = N(0, 1) a step is σ' = (s + √(s² + 4a))/2,
  // s = (1 − a)σ.
  const double a = 0.1;
  const auto flow = JkoSolver{kl(Gaussian::isotropic(2, 1.0), Quadratic{}), Affine{},
                              Forward{.step_size = a}, backend}
                        .run(Gaussian::isotropic(2, 0.5), careful);
  CHECK(flow.stages[0].samples.cols() == 0);
  double sigma = 0.5;
  for (int k = 0; k < 2; ++k) {
    sigma *= 1 - a;
    sigma = (sigma + std::sqrt(sigma * sigma + 4 * a)) / 2;
  }
  const Gaussian fitted = Gaussian::fit(flow.sample(100'000));
  CHECK((fitted.covariance() - sigma * sigma * MatrixXd::Identity(2, 2)).norm() <
        0.02 * sigma * sigma);
}

TEST_CASE("the midpoint scheme is of second order") {
  const OrnsteinUhlenbeck process = OrnsteinUhlenbeck::random(2, 3);
  const double a = 0.1;
  RunOptions options = careful;
  options.steps = 4, options.training.common_random_numbers = true;
  const auto flow =
      JkoSolver{kl(process.target(), Quadratic{}), Affine{}, Midpoint{.step_size = a}, backend}.run(
          Gaussian::isotropic(2, 1.0), options);
  for (const auto& stage : flow.stages) CHECK(stage.extrapolation == 2);
  const Gaussian exact = process.at(4 * a);
  CHECK(sym_kl(flow.gaussian(), exact) < 1e-5);
  CHECK(sym_kl(process.jko(4, a), exact) > 1e-4);  // where a perfect backward scheme stands
}

TEST_CASE("an extrapolation that is not monotone falls back to a backward step, or is refused") {
  // With a = 4 and the target N(0, 0.01) a half step contracts by far more than a half.
  const auto narrow = kl(Gaussian::isotropic(2, 0.1), Quadratic{});
  RunOptions options = careful;
  options.steps = 1, options.training.map_rate = 1e-2;
  const auto flow = JkoSolver{narrow, Affine{}, Midpoint{.step_size = 1}, backend}.run(
      Gaussian::isotropic(2, 1.0), options);
  CHECK(flow.stages[0].extrapolation == 1);
  const JkoSolver refusing{narrow, Affine{}, Midpoint{.step_size = 1, .refuse = true}, backend};
  auto state = refusing.start(Gaussian::isotropic(2, 1.0), options);
  CHECK(message_of<StepError>([&] {
          refusing.step(state);
        }).find("the extrapolated map is not monotone; a smaller step_size may help") !=
        std::string::npos);
  CHECK(state.flow().size() == 0);
}

namespace {
// V(x) = 30 max(x, 0)²: only on one side do particles contract.
struct OneSided {
  int dim() const { return 1; }
  double log_density(const VectorXd& x) const { return -30 * std::pow(std::max(x[0], 0.0), 2); }
  VectorXd gradient(const VectorXd& x) const {
    return VectorXd::Constant(1, -60 * std::max(x[0], 0.0));
  }
};
}  // namespace

TEST_CASE("an extrapolation is looked at all over the cloud, sorted or not") {
  // The half step's map is x/(1 + 30a) for x > 0 and the identity elsewhere, where the sorted pool
  // begins.
  for (const bool stratified : {false, true}) {
    const auto flow =
        JkoSolver{potential(OneSided{}), ResidualMlp<16, 3>{}, Midpoint{.step_size = 0.1}, backend}
            .run(Gaussian::isotropic(1, 1.0),
                 {.steps = 1,
                  .training = {.iterations = 300, .batch = 500, .map_rate = 1e-2},
                  .population = {.size = 5000, .stratified = stratified}});
    CHECK(flow.stages[0].extrapolation == 1);
  }
}

TEST_CASE("schemes refuse step sizes that are none") {
  const auto why = [](auto scheme) {
    return message_of<std::invalid_argument>([&] {
      JkoSolver{kl(Gaussian::isotropic(2, 1.0), Quadratic{}), Affine{}, scheme, backend}.start(
          start);
    });
  };
  CHECK(why(Midpoint{.step_size = 0}) == "wgf::Midpoint: step_size must be positive, got 0.000000");
  CHECK(why(ForwardBackward{.step_size = -1}) ==
        "wgf::ForwardBackward: step_size must be positive, got -1.000000");
  CHECK(why(Forward{.step_size = NAN}).find("wgf::Forward: step_size must be positive, got ") == 0);
}
