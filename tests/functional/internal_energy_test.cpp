// SPDX-License-Identifier: BSL-1.0
// Internal energies by change of variables: against the exact JKO iterates of Gaussians and of
// Barenblatt profiles, and the log-densities that the population carries against those of the flow.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/exact/aggregation.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/measure/gaussian_mixture.hpp>
#include <wgf/metric/sym_kl.hpp>
#include <wgf/scheme/adaptive.hpp>
#include <wgf/scheme/forward_backward.hpp>
#include <wgf/scheme/midpoint.hpp>
#include <wgf/solver/checkpoint.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "../catch.hpp"
#include "../pieces.hpp"

using namespace wgf;
using namespace wgf::test;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {
Gaussian standard(int d) { return {VectorXd::Zero(d), MatrixXd::Identity(d, d)}; }
/// Rates that fall to almost nothing: without noise, the training converges to rounding.
RunOptions precise(int steps) {
  return {.steps = steps,
          .training = {.iterations = 600,
                       .batch = 200,
                       .map_rate = 1e-2,
                       .final_rate_fraction = 1e-5,
                       .tail_average = 0,
                       .first_step = 2}};
}
/// The largest SymKL of all steps to the exact iterates, P_0 = N(0, I), a = 0.05.
template <class Scalar>
double worst(const OrnsteinUhlenbeck& process, int steps) {
  const JkoSolver solver{kl(process.target(), LogDeterminant{}), Affine{}, Backward{0.05},
                         EigenBackend<Scalar>{.seed = 1}};
  const auto flow = solver.run(standard(process.dim()), precise(steps));
  double most = 0;
  for (int k = 1; k <= steps; ++k)
    most = std::max(most, sym_kl(flow.gaussian(k), process.jko(k, 0.05)));
  return most;
}
/// A mixture on both sides of the origin, from which populations of particles start.
GaussianMixture pair() {
  const MatrixXd covariance = (MatrixXd(2, 2) << 0.5, 0.1, 0.1, 0.3).finished();
  return {{0.3, 0.7},
          {Gaussian(VectorXd::Constant(2, -1), covariance),
           Gaussian(VectorXd::Constant(2, 1), covariance)}};
}
const Gaussian target(VectorXd::Constant(2, 0.5), 0.5 * MatrixXd::Identity(2, 2));
using Residual = ResidualMlp<16, 3, Silu>;
using Convex = IcnnGradient<16, 2>;
const EigenBackend<double> backend{.seed = 3};
RunOptions short_run(bool stratified = false) {
  return {.steps = 3,
          .training = {.iterations = 60, .batch = 250, .map_rate = 3e-3},
          .population = {.size = 1000, .stratified = stratified}};
}
/// n normals with exactly the mean and the covariance of N(0, I), so that the moments of their
/// image have no sampling noise.
MatrixXd exact_normals(int d, long n) {
  MatrixXd x = standard_normals(d, n, 7);
  x.colwise() -= x.rowwise().mean();
  return Eigen::LLT<MatrixXd>(x * x.transpose() / n).matrixL().solve(x);
}
Gaussian moments_of(const MatrixXd& y) {
  const MatrixXd centred = y.colwise() - y.rowwise().mean();
  return {y.rowwise().mean(), centred * centred.transpose() / static_cast<double>(y.cols())};
}
/// The log-densities that the population carries must be those of the flow at its particles: these
/// come from inverting all maps.
template <class Solver>
void check_carried(const Solver& solver, const RunOptions& options = short_run()) {
  auto state = solver.start(pair(), options);
  while (!state.finished()) solver.step(state);
  const VectorXd carried = state.log_densities();
  REQUIRE(carried.size() == options.population.size);
  const VectorXd exact = state.flow().log_density(state.particles());
  CHECK((carried - exact).cwiseAbs().maxCoeff() < 1e-8);
}
struct Seen {
  double most = 0;
  long count = 0;
};
/// A map term that compares log P of its batches with that of P_0.
struct Spy {
  Seen* seen;
  static constexpr bool needs_density = true;
  struct Bound {
    Seen* seen;
    Frame frame;
    void begin_step(const auto&, const auto& context, double) { frame = context.frame; }
    double value(auto, const auto&, auto&) { return 0; }
    void accumulate(auto s, const auto& batch, auto&, double) {
      const MatrixXd x = frame.from_coordinates(batch.points(s).matrix().template cast<double>());
      for (long i = 0; i < x.cols(); ++i) {
        const double log_p = pair().log_density(VectorXd(x.col(i)));
        seen->most = std::max(seen->most, std::abs(batch.log_densities(s)(0, i) - log_p));
        ++seen->count;
      }
    }
  };
  template <class R>
  Bound bind(const R&, int dim, long, std::uint32_t) const {
    return {seen, Frame::none(dim)};
  }
};
struct SquaredDensity {
  auto energy(const auto& p) const { return p * p; }
};
struct OwnEntropy {
  auto energy(const auto& p) const { return p * log(p); }
};
}  // namespace

TEST_CASE("LogDeterminant: the exact iterates of Ornstein-Uhlenbeck, to rounding") {
  for (const int d : {1, 2, 8}) {
    CAPTURE(d);
    CHECK(worst<double>(OrnsteinUhlenbeck::random(d, 3), 6) < 1e-13);
    CHECK(worst<float>(OrnsteinUhlenbeck::random(d, 3), 6) < 1e-9);
  }
  // Displacements of many standard deviations in the first step.
  VectorXd rates(8);
  for (int i = 0; i < 8; ++i) rates[i] = 0.03 * std::pow(49 / 0.03, i / 7.0);
  const OrnsteinUhlenbeck stiff(rates.asDiagonal(), 2 * standard_normals(8, 1, 3).col(0));
  CHECK(worst<double>(stiff, 6) < 1e-13);
}
TEST_CASE("LogDeterminant: iterates of Ornstein-Uhlenbeck by gradients of convex networks") {
  // A convex network can be nonlinear, so that the law is represented by particles, whose averages
  // the map fits: the error is that of strata of a quasi-random set.
  const long n = 20'000;
  const double a = 0.05;
  for (const int d : {1, 2}) {
    CAPTURE(d);
    const auto process = OrnsteinUhlenbeck::random(d, 3);
    const JkoSolver solver{kl(process.target(), LogDeterminant{}), Convex{}, Backward{a}, backend};
    RunOptions options = precise(3);
    options.training.batch = 500;
    options.population = {.size = 16'000, .points = PointSet::quasi_random, .stratified = true};
    const auto flow = solver.run(standard(d), options);
    const MatrixXd y = flow.push(exact_normals(d, n));
    const Gaussian exact = process.jko(3, a);
    CHECK(sym_kl(moments_of(y), exact) < (d == 1 ? 3e-7 : 3e-6));
    const VectorXd log_p = flow.log_density(y);
    double squares = 0;
    for (long i = 0; i < n; ++i)
      squares += std::pow(log_p[i] - exact.log_density(VectorXd(y.col(i))), 2);
    CHECK(std::sqrt(squares / n) < 3e-3);
  }
}
TEST_CASE("LogDeterminant by probes: iterates of Ornstein-Uhlenbeck") {
  // The error is that of the strata, as without probes: SymKL 2.0e-5 and 1.6e-5 for the exact form.
  const int d = 6;
  const double a = 0.05;
  const auto process = OrnsteinUhlenbeck::random(d, 3);
  RunOptions options = precise(3);
  options.training.batch = 500;
  options.population = {.size = 16'000, .points = PointSet::quasi_random, .stratified = true};
  const auto error_of = [&](const auto& map) {
    const JkoSolver solver{kl(process.target(), LogDeterminant{.probes = 1}), map, Backward{a},
                           backend};
    const auto flow = solver.run(standard(d), options);
    return sym_kl(moments_of(flow.push(exact_normals(d, 20'000))), process.jko(3, a));
  };
  CHECK(error_of(Convex{}) < 6e-5);
  CHECK(error_of(ResidualMlp<16, 3, Silu>{.affine = true}) < 4e-5);
}
TEST_CASE("LogDeterminant by probes: reported values are those of the exact form, to their noise") {
  const auto reported = [&](int probes, const auto& map) {
    const JkoSolver solver{kl(target, LogDeterminant{.probes = probes}), map, Backward{0.1},
                           backend};
    RunOptions options = short_run();
    options.training.batch = 1000;
    double functional = 0;
    auto state = solver.start(pair(), options);
    while (!state.finished())
      solver.step(state, [&](const Progress& p) { functional = p.functional(); });
    return functional;
  };
  const auto check = [&](const auto& map) {
    const double exact = reported(0, map);
    CHECK(std::abs(reported(1, map) - exact) < 0.015);
    CHECK(std::abs(reported(20, map) - exact) < 0.005);
  };
  check(Convex{});
  check(Residual{});
}
TEST_CASE("LogDeterminant: the heat equation, whitened far from the origin, and not whitened") {
  const MatrixXd covariance = (MatrixXd(2, 2) << 1, 0.3, 0.3, 0.6).finished();
  RunOptions options = precise(3);
  const JkoSolver solver{entropy(LogDeterminant{}), Affine{}, Backward{0.1}, backend};
  for (const bool whiten : {true, false}) {
    CAPTURE(whiten);
    options.training.whiten = whiten;
    const Gaussian start(VectorXd::Constant(2, whiten ? 300 : 1), covariance);
    const Gaussian found = solver.run(start, options).gaussian(), exact = Heat::jko(start, 3, 0.1);
    CHECK((found.mean() - exact.mean()).norm() < 1e-8);
    CHECK((found.covariance() - exact.covariance()).norm() < 1e-8);
  }
}
TEST_CASE("internal energies of a user's U are those of the library") {
  const auto run = [](const auto& functional) {
    const JkoSolver solver{functional, Residual{}, Backward{0.1}, backend};
    return solver.run(pair(), short_run()).sample(100, 5);
  };
  const Particles entropic = run(entropy(LogDeterminant{})),
                  power = run(generalized_entropy(2, LogDeterminant{}));
  CHECK((run(internal_energy(OwnEntropy{}, LogDeterminant{})) - entropic).norm() < 1e-9);
  CHECK((run(internal_energy(SquaredDensity{}, LogDeterminant{})) - power).norm() < 1e-9);
  CHECK((entropic - power).norm() > 0.1);
}
TEST_CASE("the population carries log P_k: backward, with batches that are windows or strata") {
  const auto functional = kl(target, LogDeterminant{});
  for (const bool stratified : {false, true}) {
    check_carried(JkoSolver{functional, Affine{}, Backward{0.1}, backend}, short_run(stratified));
    check_carried(JkoSolver{functional, Residual{}, Backward{0.1}, backend}, short_run(stratified));
    check_carried(JkoSolver{functional, Convex{}, Backward{0.1}, backend}, short_run(stratified));
  }
  RunOptions plain = short_run();
  plain.training.whiten = false;
  check_carried(JkoSolver{functional, Residual{}, Backward{0.1}, backend}, plain);
  plain.population.refresh_every = 2;
  check_carried(JkoSolver{functional, Residual{}, Backward{0.1}, backend}, plain);
}
TEST_CASE("the population carries log P_k: other schemes and sums of terms") {
  const auto functional = kl(target, LogDeterminant{});
  check_carried(JkoSolver{functional, Residual{}, Midpoint{0.1}, backend});
  check_carried(JkoSolver{functional, Convex{.input_scale = 2}, Midpoint{0.1}, backend});
  check_carried(JkoSolver{functional, Residual{}, Adaptive{.step_size = 0.05}, backend});
  check_carried(JkoSolver{functional + 0.5 * interaction(QuadraticKernel{}), Residual{},
                          ForwardBackward{0.1}, backend});
  check_carried(JkoSolver{functional, Residual{}, Forward{0.05}, backend});
  check_carried(JkoSolver{functional + 0.1 * entropy(Mlp<16, 2, Silu>{}), Residual{}, Backward{0.1},
                          backend});
}
TEST_CASE("the population carries log P_k exactly, although the map is trained by probes") {
  const auto functional = kl(target, LogDeterminant{.probes = 1});
  check_carried(JkoSolver{functional, Residual{}, Midpoint{0.1}, backend});
  check_carried(JkoSolver{functional, Convex{}, Backward{0.1}, backend}, short_run(true));
  check_carried(JkoSolver{functional, Affine{}, Backward{0.1}, backend});
}
TEST_CASE("affine maps ignore probes") {
  const auto run = [](int probes) {
    return JkoSolver{kl(target, LogDeterminant{.probes = probes}), Affine{}, Backward{0.1}, backend}
        .run(pair(), short_run());
  };
  CHECK(same_flow(run(0), run(1)));
}
TEST_CASE("batches have the log-densities of their points") {
  for (const bool stratified : {false, true}) {
    Seen seen;
    RunOptions options = short_run(stratified);
    options.steps = 1, options.training.first_step = 1;
    const JkoSolver solver{potential(target) + functional(Spy{&seen}), Affine{}, Backward{0.1},
                           EigenBackend<double>{.seed = 3, .threads = 1}};
    solver.run(pair(), options);
    CHECK(seen.count == 60 * 250);
    CHECK(seen.most < 1e-10);
  }
}
TEST_CASE("LogDeterminant: the same bits on any threads, and after a resume") {
  const Folder folder("log_determinant");
  const auto solver = [](int threads) {
    return JkoSolver{kl(target, LogDeterminant{}), Residual{}, Midpoint{0.1},
                     EigenBackend<float>{.seed = 3, .threads = threads}};
  };
  const auto whole = solver(1).run(pair(), short_run());
  CHECK(same_flow(whole, solver(3).run(pair(), short_run())));
  solver(2).run(pair(), short_run(), SaveAt{folder / "run.ckpt", 1, 25});
  CHECK(same_flow(whole, solver(1).resume(folder / "run.ckpt", pair(), short_run())));
}
TEST_CASE("LogDeterminant by probes: the same bits on any threads, and after a resume") {
  const Folder folder("log_determinant_probes");
  const auto solver = [](int threads, const auto& map, int probes = 2) {
    return JkoSolver{kl(target, LogDeterminant{.probes = probes}), map, Backward{0.1},
                     EigenBackend<float>{.seed = 3, .threads = threads}};
  };
  const auto check = [&](const auto& map) {
    const auto file = folder / "run.ckpt";
    const auto whole = solver(1, map).run(pair(), short_run());
    CHECK(same_flow(whole, solver(3, map).run(pair(), short_run())));
    solver(2, map).run(pair(), short_run(), SaveAt{file, 1, 25});
    CHECK(same_flow(whole, solver(1, map).resume(file, pair(), short_run())));
    CHECK_THROWS_AS(solver(1, map, 3).resume(file, pair(), short_run()), FileError);
    CHECK_FALSE(same_flow(whole, solver(1, map, 3).run(pair(), short_run())));
  };
  check(Residual{});
  check(Convex{});
}
TEST_CASE("a map that folds is damped until it does not") {
  const RunOptions wild{.steps = 4,
                        .training = {.iterations = 12,
                                     .batch = 20,
                                     .map_rate = 0.5,
                                     .first_step = 1,
                                     .whiten = false},
                        .population = {.size = 1000}};
  const JkoSolver solver{kl(target, LogDeterminant{}), Residual{.input_scale = 4}, Backward{3},
                         backend};
  int damped = 0;
  auto state = solver.start(pair(), wild);
  while (!state.finished()) solver.step(state, [&](const Progress& p) { damped = p.damped; });
  CHECK(damped > 0);
  CHECK(state.log_densities().allFinite());
  const auto [x, log_density] =
      state.flow().push_with_log_density(pair().sample(1, 1), VectorXd::Zero(1));
  CHECK(log_density.allFinite());
}
TEST_CASE("a gradient of a convex network is not shortened, however much it contracts") {
  const Gaussian narrow = Gaussian::isotropic(2, 0.03);
  const JkoSolver solver{kl(narrow, LogDeterminant{}), Convex{.strong_convexity = 0.01},
                         Backward{10}, backend};
  RunOptions options = short_run();
  options.steps = 1, options.training = {.iterations = 300, .batch = 250, .map_rate = 3e-2};
  int damped = 0;
  auto state = solver.start(Gaussian::isotropic(2, 1.0), options);
  while (!state.finished()) solver.step(state, [&](const Progress& p) { damped = p.damped; });
  CHECK(damped == 0);
  CHECK(state.flow().stages[0].extrapolation == 1);
  // Displacements a tenth longer would fold.
  const double contraction = std::sqrt(state.particles().colwise().squaredNorm().mean() / 2);
  CHECK(contraction < 0.06);
}
TEST_CASE("LogDeterminant needs the density of P_0") {
  struct Samples {
    int dim() const { return 2; }
    Particles sample(long n, std::uint64_t seed) const { return pair().sample(n, seed); }
  };
  const JkoSolver solver{kl(target, LogDeterminant{}), Residual{}, Backward{0.1}, backend};
  CHECK_THROWS_AS(solver.run(Samples{}, short_run()), std::invalid_argument);
}
