// SPDX-License-Identifier: BSL-1.0
// The solver with the paper's other functionals and maps: porous medium steps in one dimension,
// stratified batches, densities from the dual network, flows with forward halves in files.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/exact/porous_medium.hpp>
#include <wgf/flow/file.hpp>
#include <wgf/scheme/forward_backward.hpp>
#include <wgf/scheme/midpoint.hpp>
#include <wgf/solver/jko_solver.hpp>

#include <filesystem>

#include "catch.hpp"
#include "support.hpp"

using namespace wgf;
using Eigen::VectorXd;
using wgf::test::message_of;

namespace {
const Barenblatt profile = Barenblatt::at(1, 2, 0.002);
const EigenBackend<float> backend{.seed = 2, .threads = 2};
const RunOptions brief{.steps = 2,
                       .training = {.iterations = 200,
                                    .batch = 256,
                                    .map_rate = 2e-3,
                                    .dual_rate = 4e-3,
                                    .first_step = 3},
                       .population = {.size = 20'000, .stratified = true}};

// ∫|p − q| where p is known at increasing points: by the trapezoid rule.
template <class Q>
double l1_distance(const Particles& at, const VectorXd& log_p, const Q& exact) {
  const auto gap = [&](long i) {
    return std::abs(std::exp(log_p[i]) - exact.density(VectorXd(at.col(i))));
  };
  double total = 0;
  for (long i = 1; i < at.cols(); ++i)
    total += 0.5 * (at(0, i) - at(0, i - 1)) * (gap(i) + gap(i - 1));
  return total;
}
}  // namespace

TEST_CASE(
    "two steps of the porous medium equation: densities by residual and by convex maps, and by the "
    "dual network") {
  using Dual = Mlp<32, 3, Silu>;
  const Barenblatt exact = PorousMedium(1, 2).jko(profile, 2, 0.001);
  const auto grid = [](double radius) -> Particles {
    return VectorXd::LinSpaced(2001, -0.999 * radius, 0.999 * radius).transpose();
  };
  const auto functional = generalized_entropy(2, Dual{});
  {
    const JkoSolver solver{functional, ResidualMlp<32, 3, Silu>{}, Backward{.step_size = 0.001},
                           backend};
    auto run = solver.start(profile, brief);
    solver.step(run), solver.step(run);
    const Particles x = grid(profile.radius());
    const auto [y, log] = run.flow().push_with_log_density(x, run.flow().initial_log_density(x));
    CHECK(l1_distance(y, log, exact) < 0.03);
    const Particles inside = grid(0.9 * exact.radius());
    CHECK(l1_distance(inside, run.dual_log_density(inside), exact) < 0.06);
    CHECK(l1_distance(grid(profile.radius()),
                      run.flow().initial_log_density(grid(profile.radius())),
                      exact) > 0.1);  // there was something to do
  }
  {
    const JkoSolver solver{functional, IcnnGradient<32, 2>{}, Backward{.step_size = 0.001},
                           backend};
    const auto flow = solver.run(profile, brief);
    const Particles x = grid(1.1 * exact.radius());
    CHECK(l1_distance(x, flow.log_density(x), exact) < 0.05);
  }
}

TEST_CASE("the dual network's density in the middle of a step, and where it would be another's") {
  // Heat: a step of size a takes σ to (σ + √(σ² + 4a))/2, here 1 to 2 to 2.732.
  const EigenBackend<double> precise{.seed = 1, .threads = 2};
  const RunOptions options{
      .steps = 2,
      .training = {.iterations = 400, .batch = 400, .map_rate = 1e-2, .dual_rate = 1e-2},
      .population = {.size = 20'000}};
  const JkoSolver solver{entropy(Quadratic{}), ResidualMlp<16, 2>{}, Backward{.step_size = 2},
                         precise};
  auto run = solver.start(Gaussian::isotropic(1, 1.0), options);
  solver.step(run);
  int reports = 0;
  CHECK_FALSE(solver.step(run, [&](const Progress&) { return ++reports < 9; }));
  CHECK(run.flow().size() == 1);
  const Particles x = VectorXd::LinSpaced(5, -4, 4).transpose();
  const VectorXd log = run.dual_log_density(x);
  const Gaussian expected = Gaussian::isotropic(1, 1 + std::sqrt(3.0));
  for (int i = 0; i < 5; ++i) CHECK(log[i] == Approx(expected.log_density(x.col(i))).margin(0.2));
  CHECK(message_of<std::invalid_argument>([&] { run.dual_log_density(Particles::Zero(2, 1)); }) ==
        "wgf::JkoSolver: dual_log_density was given points of dimension 2, the flow has 1");

  const JkoSolver midpoint{entropy(Quadratic{}), Affine{}, Midpoint{.step_size = 0.1}, precise};
  auto half = midpoint.start(Gaussian::isotropic(1, 1.0), options);
  midpoint.step(half);
  CHECK(message_of<std::logic_error>([&] { half.dual_log_density(x); }) ==
        "wgf::JkoSolver: the last step was extrapolated, and its dual network saw the half step "
        "only");
}

TEST_CASE(
    "a generalized entropy's box in a Gaussian flow is drawn around the law, not around a batch") {
  // A box around one point would have no volume.
  const JkoSolver solver{generalized_entropy(2, Mlp<16, 2>{}), Affine{},
                         Backward{.step_size = 0.01}, EigenBackend<double>{.seed = 1}};
  const auto flow = solver.run(Gaussian::isotropic(2, 1.0),
                               {.steps = 1, .training = {.iterations = 5, .batch = 1}});
  CHECK(flow.gaussian().covariance().allFinite());
}

TEST_CASE("what has no dual density says so") {
  const JkoSolver solver{interaction(QuadraticKernel{}), Affine{}, Backward{.step_size = 0.1},
                         backend};
  auto run = solver.start(Gaussian::isotropic(2, 1.0), {.training = {.iterations = 5}});
  CHECK(message_of<std::logic_error>([&] { run.dual_log_density(Particles::Zero(2, 1)); }) ==
        "wgf::JkoSolver: dual_log_density needs a step to be done");
  solver.step(run);
  CHECK(message_of<std::logic_error>([&] { run.dual_log_density(Particles::Zero(2, 1)); }) ==
        "wgf::JkoSolver: no dual term of the functional has a reference with a density");
}

TEST_CASE("stratified batches have less noise") {
  // The mean of a batch of 100 in one dimension: plain 1/√100, stratified far less.
  const auto runtime = EigenBackend<double>{.seed = 3, .threads = 1}.start();
  auto pool = runtime.points(1, 10'000), batch = runtime.points(1, 100);
  runtime.upload(standard_normals(1, 10'000, 5), pool);
  runtime.sort_along_curve(pool);
  const Particles sorted = runtime.download(pool);
  for (long i = 1; i < 10'000; ++i) REQUIRE(sorted(0, i - 1) <= sorted(0, i));
  double square = 0, total = 0;
  for (std::uint32_t draw = 0; draw < 100; ++draw) {
    runtime.parallel(100,
                     [&](eigen::Slice s) { runtime.draw_strata(pool, s, batch(s), 100, 7, draw); });
    const double off = runtime.download(batch).mean() - sorted.mean();
    total += off / 100, square += off * off / 100;
  }
  CHECK(std::sqrt(square) < 0.03);
  CHECK(std::abs(total) < 0.01);
}

TEST_CASE("the lattice fills the cube evenly, and is unbiased") {
  const auto runtime = EigenBackend<double>{.seed = 3, .threads = 1}.start();
  for (const int d : {1, 2, 3}) {
    auto x = runtime.points(d, 512);
    double mean = 0, square = 0;
    const int draws = 200;
    for (std::uint32_t draw = 0; draw < static_cast<std::uint32_t>(draws); ++draw) {
      runtime.parallel(512, [&](eigen::Slice s) { runtime.lattice(s, x(s), 512, 7, draw); });
      const Particles at = runtime.download(x);
      REQUIRE((at.minCoeff() >= 0 && at.maxCoeff() <= 1));
      // ∫ Π 3x² dx = 1, whose estimate from 512 independent points has standard deviation ((9/5)^d
      // − 1)^½/√512.
      const double estimate = (3 * at.array().square()).colwise().prod().mean();
      mean += estimate / draws, square += (estimate - 1) * (estimate - 1) / draws;
    }
    const double independent = std::sqrt((std::pow(1.8, d) - 1) / 512);
    INFO(d << ": " << std::sqrt(square) << " against " << independent);
    CHECK(std::sqrt(square) < independent / 3);
    CHECK(std::abs(mean - 1) < 5 * std::sqrt(square / draws));
  }
}

TEST_CASE("a flow with forward halves in a file") {
  const auto functional = 2.0 * interaction(GaussianKernel{}) + entropy(Quadratic{});
  const JkoSolver solver{functional, ResidualMlp<16, 2>{}, ForwardBackward{.step_size = 0.1},
                         backend};
  const auto flow = solver.run(Gaussian::isotropic(2, 1.0),
                               {.steps = 2,
                                .training = {.iterations = 5},
                                .population = {.size = 1000, .forward_samples = 300}});
  CHECK(flow.stages[1].samples.cols() == 300);
  const auto file = std::filesystem::temp_directory_path() / "wgf_forward_flow_test.wgf";
  save(flow, file);
  using Flow = decltype(solver)::Flow;
  const auto back = load<Flow>(file, {}, backend, forward_terms<ForwardBackward>(functional));
  CHECK(back.sample(200, 3) == flow.sample(200, 3));
  CHECK(message_of<std::invalid_argument>([&] { load<Flow>(file); }) ==
        "wgf::load: a flow with forward halves needs their terms, "
        "wgf::forward_terms<Scheme>(functional)");
  using Plain = wgf::Flow<ResidualMlp<16, 2>, EigenBackend<float>>;
  CHECK(message_of<FileError>([&] { load<Plain>(file); }) ==
        "wgf::load: " + file.string() + ": the file's forward_terms is 1, not 0");
  std::filesystem::remove(file);
}
