// SPDX-License-Identifier: BSL-1.0
// Reweighted steps: log Z, effective sample sizes and masses in closed form; the estimated error
// against the spread of runs; a target with many modes, with and without maps; the same bits on
// other threads, after a resume and from a file.
#include <cmath>

#include <wgf/backend/eigen/backend.hpp>
#include <wgf/diagnostics/importance.hpp>
#include <wgf/exact/targets/wells.hpp>
#include <wgf/flow/file.hpp>
#include <wgf/functional/tempered.hpp>
#include <wgf/sampling/smc.hpp>
#include <wgf/scheme/corrected.hpp>
#include <wgf/scheme/reweighted.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "../catch.hpp"
#include "../pieces.hpp"
#include "../support.hpp"
#include "../two_modes.hpp"

using namespace wgf;
using namespace wgf::test;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {
/// e^c times a density: log Z = c.
template <class T>
struct Scaled {
  T law;
  double log_constant;
  int dim() const { return law.dim(); }
  double log_density(const VectorXd& x) const { return log_constant + law.log_density(x); }
  VectorXd gradient(const VectorXd& x) const { return law.gradient(x); }
};
const Gaussian wide = Gaussian::isotropic(2, 2.0);
const Gaussian narrow(Eigen::Vector2d(2, -1), (MatrixXd(2, 2) << 0.5, 0.2, 0.2, 0.3).finished());
const std::vector<double> temperatures{0.1, 0.3, 0.6, 1};
const RunOptions brief{
    .steps = 4,
    .training = {.iterations = 40, .batch = 250, .map_rate = 3e-3, .first_step = 1},
    .population = {.size = 2000}};
template <class Scheme>
auto solver_of(const Scheme& scheme, int threads = 0) {
  return JkoSolver{
      kl(tempered(Scaled<Gaussian>{narrow, 2.5}, wide, temperatures, 0.1), LogDeterminant{}),
      ResidualMlp<16, 3, Silu>{.affine = true}, scheme,
      EigenBackend<float>{.seed = 3, .threads = threads}};
}
template <class Flow>
bool same_particles(const Flow& a, const Flow& b) {
  bool same = same_flow(a, b);
  for (std::size_t k = 0; k < a.stages.size(); ++k) {
    const auto &r = a.stages[k].reweighting, &s = b.stages[k].reweighting;
    same = same && r && s && r->log_evidence == s->log_evidence && r->error == s->error &&
           r->ess_fraction == s->ess_fraction && r->acceptance == s->acceptance &&
           r->step_size == s->step_size && describe(r->move) == describe(s->move);
  }
  return same && a.sample(300, 1) == b.sample(300, 1);
}
}  // namespace

TEST_CASE("weights alone: log Z, the effective sample size and the moments of a Gaussian") {
  // For q = e^c N(0, s² I) and p = N(0, I), E(q/p)² = e^{2c} (s √(2 − s²))^−d.
  for (const int d : {1, 2, 10}) {
    const double s = 0.8, c = -30;
    const Scaled<Gaussian> q{Gaussian::isotropic(d, s), c};
    const long n = 20'000;
    const JkoSolver solver{kl(q, LogDeterminant{}), Affine{},
                           Reweighted<>{.move = Mala{}, .maps = 0},
                           EigenBackend<double>{.seed = 1}};
    auto state = solver.start(Gaussian::isotropic(d, 1), {.steps = 1, .population = {.size = n}});
    solver.step(state);
    const Reweighting r = *state.flow().stages.at(0).reweighting;
    const double ess = std::pow(s * std::sqrt(2 - s * s), d);
    CAPTURE(d, r.log_evidence - c, r.error, r.ess_fraction, ess, r.acceptance);
    CHECK(r.ess_fraction == Approx(ess).margin(0.02));
    CHECK(r.error == Approx(std::sqrt((1 / ess - 1) / static_cast<double>(n))).epsilon(0.1));
    CHECK(std::abs(r.log_evidence - c) < 4 * r.error);
    CHECK(r.acceptance > 0.4);
    const Particles x = state.particles();
    CHECK(x.rowwise().mean().norm() < 4 * s * std::sqrt(2.0 * d / static_cast<double>(n)));
    CHECK(x.squaredNorm() / static_cast<double>(x.size()) == Approx(s * s).epsilon(0.04));
    // log p of the particles is that of the target, normalised by the estimate, which is what the
    // report says, too.
    for (Eigen::Index i = 0; i < 5; ++i)
      CHECK(state.log_densities()[i] ==
            Approx(q.log_density(VectorXd(x.col(i))) - r.log_evidence).margin(1e-9));
    CHECK(state.history().back().functional() == Approx(-r.log_evidence).margin(1e-9));
    CHECK(state.history().back().transport == 0);
    // Other particles, the same answer.
    const ReweightedSample fresh = state.flow().sample_with_evidence(n, 5);
    CHECK(std::abs(fresh.log_evidence - c) < 4 * r.error);
    CHECK(fresh.log_evidence_error == Approx(r.error).epsilon(0.1));
    CHECK(fresh.log_evidence != r.log_evidence);
    // Nor do fresh particles share random numbers with those of the run, whatever their seed.
    for (const std::uint64_t seed : {0, 1, 2}) {
      const Particles y = state.flow().sample(n, seed);
      CHECK(std::abs(x.row(0).dot(y.row(0))) < 0.03 * x.row(0).norm() * y.row(0).norm());
    }
    CHECK(fresh.ess_fractions.at(0) == Approx(ess).margin(0.02));
  }
}
TEST_CASE("weights alone repair the masses of modes that P_0 has wrong") {
  // The ratios are 3/8 and 7/2 on masses of 0.8 and 0.2: their mean is 1 and their variance 1.5625.
  // That of the repaired mass, Σ p w² (1{first} − 0.3)², is 0.2756/n.
  for (const long n : {4'000L, 64'000L}) {
    const JkoSolver solver{kl(Scaled<GaussianMixture>{modes(0.3), 7}, LogDeterminant{}), Affine{},
                           Reweighted<>{.maps = 0}, EigenBackend<double>{.seed = 1}};
    auto state = solver.start(modes(0.8), {.steps = 1, .population = {.size = n}});
    solver.step(state);
    const Reweighting r = *state.flow().stages.at(0).reweighting;
    const double root = std::sqrt(static_cast<double>(n));
    CAPTURE(n, r.log_evidence, r.error, first_mass(state.particles()));
    CHECK(r.error == Approx(1.25 / root).epsilon(0.1));
    CHECK(std::abs(r.log_evidence - 7) < 4 * r.error);
    CHECK(first_mass(state.particles()) == Approx(0.3).margin(4 * 0.525 / root));
    CHECK(first_mass(state.flow().sample(n, 9)) == Approx(0.3).margin(4 * 0.525 / root));
  }
}
TEST_CASE("a tempered chain: the spread of log Z over seeds, and its estimated error") {
  const auto flow =
      solver_of(Reweighted<>{.step_size = 0.1, .move = Mala{.moves = 5}}).run(wide, brief);
  REQUIRE(flow.size() == 4);
  CHECK(flow.is_reweighted());
  // Z of the last target is that of q. Between Gaussians the earlier ones are known, too.
  for (int k = 0; k < 4; ++k) {
    const double beta = temperatures[static_cast<std::size_t>(k)];
    const MatrixXd precision = beta * narrow.precision() + (1 - beta) * wide.precision();
    const VectorXd force = beta * narrow.precision() * narrow.mean();
    const VectorXd mean = precision.inverse() * force;
    const VectorXd origin = VectorXd::Zero(2);
    const double at_origin =
        beta * (2.5 + narrow.log_density(origin)) + (1 - beta) * wide.log_density(origin);
    const double exact = at_origin + 0.5 * force.dot(mean) + std::log(2 * std::acos(-1.0)) -
                         0.5 * std::log(precision.determinant());
    double error = 0;
    for (int j = 0; j <= k; ++j)
      error += std::pow(flow.stages[static_cast<std::size_t>(j)].reweighting->error, 2);
    CAPTURE(k, exact, flow.stages[static_cast<std::size_t>(k)].reweighting->log_evidence);
    CHECK(std::abs(flow.stages[static_cast<std::size_t>(k)].reweighting->log_evidence - exact) <
          4 * std::sqrt(error));
  }
  constexpr int runs = 60;
  double sum = 0, squares = 0, estimated = 0;
  for (int i = 0; i < runs; ++i) {
    const ReweightedSample sample = flow.sample_with_evidence(500, 100 + i);
    const double off = sample.log_evidence - 2.5;
    sum += off, squares += off * off, estimated += std::pow(sample.log_evidence_error, 2);
    CHECK(sample.families > 50);
    CHECK(sample.ess_fractions.size() == 4);
  }
  const double variance = squares / runs - std::pow(sum / runs, 2);
  CAPTURE(sum / runs, std::sqrt(variance), std::sqrt(estimated / runs));
  CHECK(std::abs(sum / runs) < 4 * std::sqrt(variance / runs));
  CHECK(estimated / runs / variance > 0.4);
  CHECK(estimated / runs / variance < 2.5);
  const Particles x = flow.sample(20'000, 3);
  CHECK((x.rowwise().mean() - narrow.mean()).norm() < 0.03);
  CHECK((Gaussian::fit(x).covariance() - narrow.covariance()).norm() < 0.04);
}
TEST_CASE("eight modes of a many-well: log Z, the modes' masses, and what maps are good for") {
  const ManyWell target(3);  // d = 6
  const Gaussian start = Gaussian::isotropic(6, 2);
  const std::vector<double> betas{0.03, 0.1, 0.25, 0.5, 1};
  const auto run = [&](int maps) {
    const JkoSolver solver{kl(tempered(target, start, betas, 10), LogDeterminant{}),
                           ResidualMlp<32, 3, Silu>{.affine = true},
                           Reweighted<>{.step_size = 10, .maps = maps},
                           EigenBackend<float>{.seed = 1}};
    return solver.run(start, {.steps = 5,
                              .training = {.iterations = 200,
                                           .batch = 500,
                                           .map_rate = 3e-3,
                                           .final_rate_fraction = 0.05},
                              .population = {.size = 4000}});
  };
  double ess[2] = {0, 0};  // means over the steps
  for (const int maps : {0, 1}) {
    const ReweightedSample sample = run(5 * maps).sample_with_evidence(8000, 7);
    for (const double fraction : sample.ess_fractions) ess[maps] += fraction / 5;
    CAPTURE(sample.log_evidence - target.log_evidence(), sample.log_evidence_error);
    CHECK(std::abs(sample.log_evidence - target.log_evidence()) < 4 * sample.log_evidence_error);
    CHECK(sample.log_evidence_error < 0.1);
    const Particles exact = target.sample(8000, 1);
    for (const int row : {0, 2, 4}) {
      const double share = static_cast<double>((sample.particles.row(row).array() > 0).count());
      const double expected = static_cast<double>((exact.row(row).array() > 0).count());
      CAPTURE(row, share / 8000, expected / 8000);
      CHECK(std::abs(share - expected) / 8000 < 0.06);
    }
  }
  // Without maps ess[0] is 0.5 at each step; with these maps 0.6 to 0.8.
  CAPTURE(ess[0], ess[1]);
  CHECK(ess[1] > 1.1 * ess[0]);
}
TEST_CASE("reweighted runs: the same bits on any threads, after a resume and from a file") {
  const Folder folder("reweighted");
  const Reweighted<> scheme{.step_size = 0.1, .move = Hmc{.moves = 1}, .maps = 3};
  const auto flow = solver_of(scheme, 1).run(wide, brief);
  CHECK(flow.stages[3].parameters.empty());
  CHECK(same_particles(flow, solver_of(scheme, 3).run(wide, brief)));
  solver_of(scheme, 2).run(wide, brief, SaveAt{folder / "run.ckpt", 2, 25});
  CHECK(same_particles(flow, solver_of(scheme, 1).resume(folder / "run.ckpt", wide, brief)));
  Reweighted<> other = scheme;
  other.move = Hmc{.moves = 2};
  CHECK_THROWS_AS(solver_of(other).resume(folder / "run.ckpt", wide, brief), FileError);
  save(flow, folder / "flow.wgf");
  using Loaded = std::remove_const_t<decltype(flow)>;
  CHECK(
      same_particles(flow, load<Loaded>(folder / "flow.wgf", flow.map, {}, {}, flow.corrections)));
  const auto path = flow.sample_path(300, 1);
  REQUIRE(path.size() == 5);
  CHECK(path.front() == flow.draw_initial(300, 1));
  CHECK(path.back() == flow.sample(300, 1));
  // Continued, also with a population that is drawn anew, as the flow's law is: log Z stays.
  RunOptions again = brief;
  again.steps = 2, again.population.refresh_every = 1;
  const auto longer = solver_of(scheme, 1).run(flow, again);
  REQUIRE(longer.size() == 6);
  CHECK(std::abs(longer.stages[5].reweighting->log_evidence - 2.5) < 0.1);
}
TEST_CASE("reweighted steps after corrected ones, and what is refused after them") {
  const auto corrected = solver_of(Corrected<>{.step_size = 0.1, .maps = 1}).run(wide, brief);
  const auto flow = solver_of(Reweighted<>{.step_size = 0.1}).run(corrected, brief);
  REQUIRE(flow.size() == 8);
  CHECK(flow.sample_path(500, 4)[4] == corrected.sample(500, 4));
  CHECK(std::abs(flow.sample_with_evidence(4000, 4).log_evidence - 2.5) < 0.1);
  const Particles x = flow.sample(10, 1);
  CHECK_THROWS_AS(flow.log_density(x), std::invalid_argument);
  CHECK_THROWS_AS(flow.push(x), std::invalid_argument);
  CHECK_THROWS_AS(importance(flow, narrow, 100), std::invalid_argument);
  CHECK(flow.sample_with_log_density(10, 1, 4).first == corrected.sample(10, 1));
  CHECK_THROWS_AS(solver_of(Corrected<>{.step_size = 0.1}).run(flow, brief), StepError);
  // A target that is 0 where the particles are.
  struct Far {
    int dim() const { return 2; }
    double log_density(const VectorXd&) const { return -std::numeric_limits<double>::infinity(); }
    VectorXd gradient(const VectorXd&) const { return VectorXd::Zero(2); }
  };
  const JkoSolver solver{kl(Far{}, LogDeterminant{}), Affine{}, Reweighted<>{.maps = 0},
                         EigenBackend<float>{.seed = 1}};
  CHECK_THROWS_AS(solver.run(wide, brief), StepError);
}
