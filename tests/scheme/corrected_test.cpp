// SPDX-License-Identifier: BSL-1.0
// Corrected flows: the law after rejections in closed form, and the same law by sampling, by
// densities, in the population, after a resume and in a file.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/diagnostics/importance.hpp>
#include <wgf/flow/file.hpp>
#include <wgf/scheme/corrected.hpp>
#include <wgf/scheme/midpoint.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "../catch.hpp"
#include "../pieces.hpp"
#include "../two_modes.hpp"

using namespace wgf;
using namespace wgf::test;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {
/// KL to a normalised target, from samples of a flow and their log-densities.
template <class Flow, class Target>
double divergence(const Flow& flow, const Target& q, long n) {
  const auto [x, log_p] = flow.sample_with_log_density(n, 11);
  double total = 0;
  for (Eigen::Index i = 0; i < n; ++i) total += log_p[i] - q.log_density(VectorXd(x.col(i)));
  return total / static_cast<double>(n);
}
const GaussianMixture four = [] {
  std::vector<Gaussian> parts;
  for (int i = 0; i < 4; ++i)
    parts.emplace_back((VectorXd(2) << 2 * std::cos(i * 1.6), 2 * std::sin(i * 1.6)).finished(),
                       0.1 * MatrixXd::Identity(2, 2));
  return GaussianMixture({0.4, 0.3, 0.2, 0.1}, parts);
}();
const Gaussian wide = Gaussian::isotropic(2, 2.0);
const RunOptions brief{.steps = 4,
                       .training = {.iterations = 60, .batch = 250, .map_rate = 3e-3},
                       .population = {.size = 2000}};
template <class Scheme>
auto solver_of(const Scheme& scheme, int threads = 0) {
  return JkoSolver{kl(four, LogDeterminant{}), ResidualMlp<16, 3, Silu>{}, scheme,
                   EigenBackend<float>{.seed = 3, .threads = threads}};
}
const Corrected<Midpoint> mixed{
    .step_size = 0.1, .growth = 2, .rejections = 2, .without_map = 1, .maps = 2};
}  // namespace

TEST_CASE("rejections between two modes: the masses and densities in closed form") {
  // The masses are (0.8, 0.2), the target's (0.3, 0.7), the ratios 3/8 and 7/2. With c = 1/2 a
  // share 0.8·(1 − 3/4) = 0.2 is rejected; α = (3/4, 1), and the masses become (0.8·0.95, 0.2·1.2).
  const JkoSolver solver{kl(modes(0.3), LogDeterminant{}), Affine{},
                         Corrected<>{.rejections = 1, .maps = 0}, EigenBackend<double>{.seed = 1}};
  const long n = 40'000;
  const auto flow = solver.run(modes(0.8), {.steps = 1, .population = {.size = n}});
  const Rejection r = flow.stages.at(0).rejections.at(0);
  // The pool's masses have a standard error of 0.002.
  CHECK(r.log_scale == Approx(std::log(0.5)).margin(0.01));
  CHECK(r.acceptance == Approx(0.8).margin(1e-6));
  CHECK(flow.draws_per_sample() == Approx(1.2).margin(1e-6));
  MatrixXd centres(1, 2);
  centres << -3, 3;
  const VectorXd log_p = flow.log_density(centres);
  CHECK(std::exp(log_p[0]) ==
        Approx(0.95 * std::exp(modes(0.8).log_density(centres.col(0)))).epsilon(0.01));
  CHECK(std::exp(log_p[1]) ==
        Approx(1.2 * std::exp(modes(0.8).log_density(centres.col(1)))).epsilon(1e-6));
  CHECK(first_mass(flow.sample(n, 5)) ==
        Approx(0.76).margin(4 * std::sqrt(0.76 * 0.24 / n) + 0.002));

  // The path of a longer run has P_1 in its middle, not the history of what is never rejected.
  const JkoSolver longer{kl(modes(0.3), LogDeterminant{}), Affine{},
                         Corrected<>{.rejections = 1, .maps = 0}, EigenBackend<double>{.seed = 1}};
  const auto path =
      longer.run(modes(0.8), {.steps = 4, .population = {.size = n}}).sample_path(n, 5);
  const double noise = 4 * std::sqrt(0.25 / n) + 0.003;
  CHECK(first_mass(path[0]) == Approx(0.8).margin(noise));
  CHECK(first_mass(path[1]) == Approx(0.76).margin(noise));
  CHECK(first_mass(path[4]) < 0.62);

  // Many rejections reach the target's masses.
  const JkoSolver thorough{kl(modes(0.3), LogDeterminant{}), Affine{},
                           Corrected<>{.rejections = 5, .maps = 0},
                           EigenBackend<double>{.seed = 1}};
  const auto repaired = thorough.run(modes(0.8), {.steps = 3, .population = {.size = n}});
  CHECK(first_mass(repaired.sample(n, 5)) == Approx(0.3).margin(4 * std::sqrt(0.21 / n) + 0.003));
  // Each of 15 averages α over the pool has a standard error of at most 0.002, and log p the sum of
  // their errors.
  CHECK(std::abs(divergence(repaired, modes(0.3), n)) < 4 * 0.002 * std::sqrt(15));
}
TEST_CASE("the density of a corrected flow integrates to one, and its samples have it") {
  const auto flow = solver_of(mixed).run(wide, brief);
  REQUIRE(flow.size() == 4);
  CHECK(flow.stages[0].parameters.empty());
  CHECK_FALSE(flow.stages[1].parameters.empty());
  CHECK(flow.stages[3].parameters.empty());
  CHECK(flow.time(3) == Approx(0.1 + 0.1 + 0.2));  // a step without a map has the scheme's a
  const auto [x, log_p] = flow.sample_with_log_density(4000, 9);
  CHECK((flow.log_density(x) - log_p).cwiseAbs().maxCoeff() < 1e-8);
  CHECK(flow.sample(4000, 9) == x);
  // Draws with other seeds have no particle in common, not even those that start again.
  const Particles other = flow.sample(4000, 10);
  long shared = 0;
  for (Eigen::Index i = 0; i < x.cols(); ++i)
    shared += (other.colwise() - x.col(i)).colwise().squaredNorm().minCoeff() == 0;
  CHECK(shared == 0);
  const auto path = flow.sample_path(4000, 9);
  REQUIRE(path.size() == 5);
  CHECK(path.back() == x);
  CHECK(path.front() == flow.draw_initial(4000, 9));

  // On a grid that holds all but 1e-6 of the mass. E α is an average over 2,000 particles, so that
  // each of 8 factors misses 1 by at most some 0.01.
  const int cells = 160;
  const double side = 20, cell = side / cells;
  Particles grid(2, cells * cells);
  for (int i = 0; i < cells; ++i)
    for (int j = 0; j < cells; ++j)
      grid.col(i * cells + j) << (i + 0.5) * cell - side / 2, (j + 0.5) * cell - side / 2;
  const Eigen::ArrayXd p = flow.log_density(grid).array().exp() * cell * cell;
  CHECK(p.sum() == Approx(1).margin(0.04));
  // A probability by the density and by samples: the standard error of the latter is 0.008.
  const double by_density = (grid.row(0).transpose().array() > 1).select(p, 0.0).sum() / p.sum();
  const double by_samples = static_cast<double>((x.row(0).array() > 1).count()) / 4000;
  CHECK(by_samples == Approx(by_density).margin(0.03));
}
TEST_CASE("the particles of a corrected run have its flow's density, and its divergence falls") {
  const auto solver = solver_of(mixed);
  auto state = solver.start(wide, brief);
  const double first = divergence(state.flow(), four, 4000);
  double before = first;
  while (!state.finished()) {
    solver.step(state);
    CHECK((state.flow().log_density(state.particles()) - state.log_densities())
              .cwiseAbs()
              .maxCoeff() < 1e-3);  // particles and maps are floats
    const double now = divergence(state.flow(), four, 4000);
    CHECK(now < before + 0.03);
    before = now;
    // The report holds the divergence over the population, after the rejections.
    double total = 0;
    for (Eigen::Index i = 0; i < state.particles().cols(); ++i)
      total += state.log_densities()[i] - four.log_density(VectorXd(state.particles().col(i)));
    const Progress& report = state.history().back();
    CHECK(report.functional() ==
          Approx(total / static_cast<double>(state.particles().cols())).margin(1e-3));
    CHECK((report.transport > 0) == !state.flow().stages.back().parameters.empty());
  }
  CHECK(before < 0.4 * first);
  CHECK(state.history().back().left == 0);  // steps without a map are done, too
}
TEST_CASE("a step with neither map nor rejections reports no transport") {
  const auto solver = solver_of(Corrected<>{.step_size = 0.1, .rejections = 0, .maps = 1});
  auto state = solver.start(wide, brief);
  solver.step(state);
  CHECK(state.history().back().transport > 0);
  solver.step(state);
  CHECK(state.history().back().transport == 0);
}
TEST_CASE("the divergence that a corrected run reports is in the functional's units") {
  const auto report_of = [](double unit) {
    const JkoSolver solver{unit * kl(four, LogDeterminant{}), Affine{},
                           Corrected<>{.rejections = 1, .maps = 0},
                           EigenBackend<double>{.seed = 1}};
    auto state = solver.start(wide, brief);
    solver.step(state);
    return state.history().back().functional();
  };
  CHECK(report_of(1) > 0.1);
  CHECK(report_of(1e6) == Approx(1e6 * report_of(1)));
}
namespace {
template <class Flow>
bool same_corrections(const Flow& a, const Flow& b) {
  return same_flow(a, b) && a.sample(300, 1) == b.sample(300, 1);
}
}  // namespace
TEST_CASE("corrected flows: the same bits on any threads, after a resume and from a file") {
  const Folder folder("corrected");
  const auto flow = solver_of(mixed, 1).run(wide, brief);
  CHECK(same_corrections(flow, solver_of(mixed, 3).run(wide, brief)));
  solver_of(mixed, 2).run(wide, brief, SaveAt{folder / "run.ckpt", 2, 25});
  CHECK(same_corrections(flow, solver_of(mixed, 1).resume(folder / "run.ckpt", wide, brief)));
  // Before the last step, which trains no map: its stage has no coordinates of an earlier one.
  const auto solver = solver_of(mixed);
  auto state = solver.start(wide, brief);
  for (int k = 0; k < 3; ++k) solver.step(state);
  state.save(folder / "later.ckpt");
  const auto resumed = solver.resume(folder / "later.ckpt", wide, brief);
  CHECK(same_corrections(flow, resumed));
  CHECK(resumed.stages.back().frame.identity);
  CHECK(flow.stages.back().frame.identity);
  save(flow, folder / "flow.wgf");
  const auto terms = correction_terms<Corrected<Midpoint>>(kl(four, LogDeterminant{}));
  using Loaded = std::remove_const_t<decltype(flow)>;
  CHECK(same_corrections(flow, load<Loaded>(folder / "flow.wgf", {}, {}, {}, terms)));
  // A run can be continued, with other random numbers.
  const auto longer = solver_of(mixed, 1).run(flow, brief);
  CHECK(longer.size() == 8);
  CHECK(std::abs(divergence(longer, four, 4000)) < 0.1);
}
TEST_CASE(
    "a corrected flow's certificate: importance weights, whose log Z does not depend on scale") {
  const auto flow = solver_of(mixed).run(wide, brief);
  const auto weights = importance(flow, four, 4000, 3);
  CHECK(weights.unknown.empty());
  CHECK(std::abs(weights.log_normaliser) < 5 * weights.standard_error + 0.02);
}
