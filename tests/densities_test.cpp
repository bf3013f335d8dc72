// SPDX-License-Identifier: BSL-1.0
// log P_K by the change of variables: inverses, determinants, forward halves, against closed forms,
// differences and quadrature.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/flow/flow.hpp>
#include <wgf/functional/functional.hpp>
#include <wgf/scheme/forward_backward.hpp>
#include <wgf/scheme/midpoint.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace wgf;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using wgf::test::message_of;

namespace {
const EigenBackend<double> backend{.seed = 3, .threads = 2};

// A flow with random parameters: strongly curved maps, not trained ones.
template <class Map, class Terms = hana::tuple<>>
auto random_flow(Map map, int dim, int stages, double size, Terms terms = {},
                 const Frame* frame = nullptr) {
  Flow<Map, EigenBackend<double>, Terms> flow(Gaussian::isotropic(dim, 1.0), map, 0.1, backend,
                                              terms);
  const auto runtime = backend.start();
  for (int k = 0; k < stages; ++k) {
    auto net = runtime.network(map, dim, 1, 7 + static_cast<std::uint32_t>(k), Keep::tile);
    auto parameters = net.parameters();
    const Particles noise =
        standard_normals(static_cast<int>(parameters.size()), 1, 5, static_cast<std::uint32_t>(k));
    for (std::size_t i = 0; i < parameters.size(); ++i)
      parameters[i] += size * noise(static_cast<long>(i), 0);
    net.set_parameters(parameters);  // into the cone, where there is one
    flow.stages.push_back({frame ? *frame : Frame::none(dim), net.parameters()});
  }
  return flow;
}
// det ∂(push)/∂x by differences of fourth order.
template <class F>
double log_determinant_by_differences(const F& flow, const VectorXd& x) {
  const long d = x.size();
  MatrixXd slope(d, d);
  const double h = 1e-3;
  for (long j = 0; j < d; ++j) {
    const auto at = [&](double shift) -> VectorXd {
      VectorXd moved = x;
      moved[j] += shift;
      return flow.push(moved);
    };
    slope.col(j) = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
  }
  return std::log(slope.determinant());
}
}  // namespace

TEST_CASE("gradients of convex networks: the inverse round trip, the determinant, the mass") {
  for (const int d : {1, 2, 5}) {
    const Frame frame =
        Frame::scaling(Gaussian::isotropic(VectorXd(VectorXd::Constant(d, 0.3)), 1.4));
    const auto flow = random_flow(IcnnGradient<16, 2>{}, d, 3, 0.1, {}, &frame);
    const Particles x = standard_normals(d, 200, 8), y = flow.push(x);
    CHECK((y - x).colwise().norm().mean() > 0.05);
    // x → y → log P(y) must be log P_0(x) − log det, which asks for the inverse to be x.
    const VectorXd log = flow.log_density(y);
    for (int i = 0; i < 5; ++i)
      CHECK(log[i] == Approx(flow.initial_log_density(x.col(i))[0] -
                             log_determinant_by_differences(flow, x.col(i)))
                          .epsilon(1e-7));
    const auto [pushed, carried] = flow.push_with_log_density(x, flow.initial_log_density(x));
    CHECK((pushed - y).cwiseAbs().maxCoeff() < 1e-12);
    CHECK((carried - log).cwiseAbs().maxCoeff() < 1e-8);  // what 1e-8 in the inverse would make
  }
}

TEST_CASE("densities integrate to one") {
  const auto one = random_flow(IcnnGradient<16, 2>{}, 1, 3, 0.1);
  const long n = 4001;
  const VectorXd at = VectorXd::LinSpaced(n, -12, 12);
  CHECK(one.log_density(at.transpose()).array().exp().sum() * 24.0 / (n - 1) ==
        Approx(1).margin(1e-3));
  const auto two = random_flow(IcnnGradient<16, 2>{}, 2, 2, 0.1);
  const long m = 121;
  Particles grid(2, m * m);
  for (long i = 0; i < m; ++i)
    for (long j = 0; j < m; ++j)
      grid.col(i * m + j) << -9 + 18.0 * i / (m - 1), -9 + 18.0 * j / (m - 1);
  CHECK(two.log_density(grid).array().exp().sum() * std::pow(18.0 / (m - 1), 2) ==
        Approx(1).margin(1e-3));
}

TEST_CASE("affine maps: the density is that of the Gaussian, extrapolated or not") {
  Flow<Affine, EigenBackend<double>> flow = random_flow(Affine{}, 3, 2, 0.2);
  flow.stages[1].extrapolation = 2;
  const Particles x = flow.sample(50, 4);
  const VectorXd log = flow.log_density(x);
  const Gaussian p = flow.gaussian();
  for (long i = 0; i < 50; ++i) CHECK(log[i] == Approx(p.log_density(x.col(i))).epsilon(1e-10));
}

TEST_CASE("through forward halves: interactions and potentials") {
  const auto terms =
      forward_terms<Forward>(interaction(GaussianKernel{}) + 0.5 * interaction(QuadraticKernel{}) +
                             0.3 * potential(Gaussian::isotropic(2, 0.7)));
  auto flow = random_flow(IcnnGradient<16, 1>{}, 2, 2, 0.1, terms);
  for (auto& stage : flow.stages) stage.samples = standard_normals(2, 300, 21);
  flow.stages[1].extrapolation = 2;
  const Particles x = standard_normals(2, 20, 8), y = flow.push(x);
  const VectorXd log = flow.log_density(y),
                 carried = flow.push_with_log_density(x, flow.initial_log_density(x)).second;
  CHECK((carried - log).cwiseAbs().maxCoeff() < 1e-8);
  for (int i = 0; i < 5; ++i)
    CHECK(log[i] == Approx(flow.initial_log_density(x.col(i))[0] -
                           log_determinant_by_differences(flow, x.col(i)))
                        .epsilon(1e-7));
}

TEST_CASE("a potential that goes forward far from the origin") {
  const VectorXd here = VectorXd::Constant(2, 1e4),
                 there = here + VectorXd(Eigen::Vector2d(1.5, 0));
  const GaussianMixture target({0.5, 0.5},
                               {Gaussian::isotropic(here, 0.7), Gaussian::isotropic(there, 0.7)});
  auto flow = random_flow(Affine{}, 2, 1, 0.0, forward_terms<Forward>(potential(target)));
  flow.initial = Gaussian::isotropic(here, 1.0);
  const Particles x = standard_normals(2, 5, 8).colwise() + here;
  const VectorXd carried = flow.push_with_log_density(x, flow.initial_log_density(x)).second;
  for (int i = 0; i < 5; ++i)  // differences of numbers of size 1e4
    CHECK(carried[i] == Approx(flow.initial_log_density(x.col(i))[0] -
                               log_determinant_by_differences(flow, x.col(i)))
                            .epsilon(1e-6));
}

TEST_CASE("many points are worked off in blocks") {
  const Gaussian start = Gaussian::isotropic(2, 1.3);
  const auto flow = JkoSolver{
      kl(Gaussian::isotropic(2, 1.0), Quadratic{}), Affine{}, Midpoint{.step_size = 0.1},
      EigenBackend<double>{
          .seed = 2}}.run(start, {.steps = 2, .training = {.iterations = 20}});
  const Particles x = flow.sample(20'000);
  const Eigen::VectorXd log = flow.log_density(x);
  double worst = 0;
  for (Eigen::Index i = 0; i < x.cols(); ++i)
    worst = std::max(worst, std::abs(log[i] - flow.gaussian().log_density(x.col(i))));
  CHECK(worst < 1e-8);
  const Particles from = start.sample(20'000, 5);
  const auto [pushed, carried] = flow.push_with_log_density(from, flow.initial_log_density(from));
  worst = 0;
  for (Eigen::Index i = 0; i < x.cols(); ++i)
    worst = std::max(worst, std::abs(carried[i] - flow.gaussian().log_density(pushed.col(i))));
  CHECK(worst < 1e-8);
}

TEST_CASE("no points have no densities") {
  const auto flow = random_flow(IcnnGradient<16, 1>{}, 2, 2, 0.1);
  CHECK(flow.log_density(Particles(2, 0)).size() == 0);
  CHECK(flow.push_with_log_density(Particles(2, 0), VectorXd()).second.size() == 0);
  CHECK(flow.push(Particles(2, 0)).cols() == 0);
}

TEST_CASE("residual maps: log-densities can be carried along") {
  const auto flow = random_flow(ResidualMlp<16, 3, Silu>{}, 2, 2, 0.02);
  const Particles x = standard_normals(2, 20, 8);
  const auto [y, log] = flow.push_with_log_density(x, flow.initial_log_density(x));
  CHECK((y - flow.push(x)).cwiseAbs().maxCoeff() < 1e-12);
  for (int i = 0; i < 20; ++i)
    CHECK(log[i] == Approx(flow.initial_log_density(x.col(i))[0] -
                           log_determinant_by_differences(flow, x.col(i)))
                        .epsilon(1e-7));
}

TEST_CASE("what has no density is said") {
  auto flow = random_flow(Affine{}, 2, 1, 0.0);
  std::fill(flow.stages[0].parameters.begin(), flow.stages[0].parameters.end(), 0.0);
  for (const std::size_t i : {0u, 3u})
    flow.stages[0].parameters[i] = -1;  // T = 0: everything to a point
  const Particles x = Particles::Ones(2, 1);
  CHECK(message_of<InversionError>([&] { flow.log_density(x); }) ==
        "wgf::Flow: the map of step 1 cannot be inverted at x = (1.000000, 1.000000)");
  CHECK(message_of<InversionError>([&] { flow.push_with_log_density(x, VectorXd::Zero(1)); }) ==
        "wgf::Flow: the map of step 1 is not one to one: its determinant is not positive at x = "
        "(1.000000, 1.000000)");
  flow.initial = Empirical(Particles::Ones(2, 3));
  CHECK(message_of<std::invalid_argument>([&] { flow.initial_log_density(x); }) ==
        "wgf::Flow: P_0 has no log-density");
  CHECK(message_of<std::invalid_argument>([&] { flow.log_density(Particles::Ones(3, 1)); }) ==
        "wgf::Flow::log_density: the particles have dimension 3, the flow 2");
  CHECK(message_of<std::invalid_argument>([&] {
          flow.push_with_log_density(x, VectorXd::Zero(2));
        }) == "wgf::Flow::push_with_log_density: 1 points need as many log-densities, got 2");
}
