// SPDX-License-Identifier: BSL-1.0
// Functionals that depend on time, against implicit and explicit Euler for the mean in a moving
// well, in closed form.
#include <filesystem>

#include <wgf/backend/eigen/backend.hpp>
#include <wgf/scheme/backward.hpp>
#include <wgf/scheme/forward_backward.hpp>
#include <wgf/scheme/midpoint.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "catch.hpp"
#include "pieces.hpp"

using namespace wgf;
using Eigen::VectorXd;

namespace {
constexpr double a = 0.2, stiffness = 3;
constexpr int steps = 6;
/// c(t) = (sin 4t, 1 + t).
Eigen::Vector2d centre(double t) { return {std::sin(4 * t), 1 + t}; }
/// V(x, t) = stiffness·|x − c(t)|²/2, without its gradient.
struct Well {
  template <class T>
  T value(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x, double t) const {
    const T u = x[0] - centre(t)[0], v = x[1] - centre(t)[1];
    return 0.5 * stiffness * (u * u + v * v);
  }
};
/// The same as a target, e^−V.
struct MovingTarget {
  int dim() const { return 2; }
  Gaussian at(double t) const {
    return Gaussian(VectorXd(centre(t)), Eigen::Matrix2d::Identity() / stiffness);
  }
};
const Gaussian start = Gaussian::isotropic(2, 0.8);
const RunOptions options{.steps = steps,
                         .training = {.iterations = 500,
                                      .batch = 500,
                                      .map_rate = 4e-3,
                                      .dual_rate = 4e-3,
                                      .final_rate_fraction = 1e-3,
                                      .common_random_numbers = true}};
const EigenBackend<double> backend{.seed = 3, .threads = 1};

/// m_{k+1} = (m_k + a·stiffness·c(t_{k+1}))/(1 + a·stiffness).
std::vector<Eigen::Vector2d> implicit_means() {
  std::vector<Eigen::Vector2d> means{Eigen::Vector2d::Zero()};
  for (int k = 1; k <= steps; ++k)
    means.push_back((means.back() + a * stiffness * centre(k * a)) / (1 + a * stiffness));
  return means;
}
}  // namespace

TEST_CASE("a moving well, backward: the means of implicit Euler at the end of each step") {
  const auto check = [](const auto& functional) {
    const JkoSolver solver{functional, Affine{}, Backward{.step_size = a}, backend};
    const auto flow = solver.run(start, options);
    const auto exact = implicit_means();
    for (int k = 1; k <= steps; ++k) {
      CAPTURE(k);
      CHECK((flow.gaussian(k).mean() - exact[static_cast<std::size_t>(k)]).norm() < 1e-3);
    }
  };
  check(entropy(Quadratic{}) + potential(Well{}));
  check(kl(MovingTarget{}, Quadratic{}));
}

TEST_CASE("a moving well, midpoint: the implicit midpoint rule") {
  const JkoSolver solver{kl(MovingTarget{}, Quadratic{}), Affine{}, Midpoint{.step_size = a},
                         backend};
  const auto flow = solver.run(start, options);
  Eigen::Vector2d exact = Eigen::Vector2d::Zero();
  for (int k = 0; k < steps; ++k) {
    const double h = a / 2;
    const Eigen::Vector2d half =
        (exact + h * stiffness * centre((k + 0.5) * a)) / (1 + h * stiffness);
    exact = 2 * half - exact;
    CAPTURE(k);
    REQUIRE(flow.stages[static_cast<std::size_t>(k)].extrapolation == 2);
    CHECK((flow.gaussian(k + 1).mean() - exact).norm() < 2e-3);
  }
}

TEST_CASE("a moving well, forward: explicit Euler at the beginning of each step, also in flows") {
  const JkoSolver solver{potential(Well{}), Affine{}, Forward{.step_size = a}, backend};
  const RunOptions few{.steps = steps, .population = {.size = 500}};
  auto state = solver.start(start, few);
  const Particles before = state.particles();
  while (!state.finished()) solver.step(state);
  Particles exact = before;
  for (int k = 0; k < steps; ++k)
    exact -= a * stiffness * (exact.colwise() - VectorXd(centre(k * a)));
  CHECK((state.particles() - exact).norm() < 1e-10 * exact.norm());
  CHECK((state.flow().push(before) - exact).norm() < 1e-10 * exact.norm());
  // The density of the flow, whose maps contract by 1 − a·stiffness, at a trajectory's end.
  const Particles one = before.leftCols(1);
  const VectorXd log = state.flow().log_density(state.flow().push(one));
  CHECK(log[0] ==
        Approx(start.log_density(VectorXd(one.col(0))) - 2 * steps * std::log(1 - a * stiffness))
            .epsilon(1e-6));
}

TEST_CASE("a run in a moving well that is resumed in its middle is the same, bit for bit") {
  const wgf::test::Folder folder("time_dependent");
  const JkoSolver solver{entropy(Quadratic{}) + potential(Well{}), ResidualMlp<16, 2>{},
                         Backward{.step_size = a}, backend};
  const RunOptions small{
      .steps = 4, .training = {.iterations = 20, .batch = 60}, .population = {.size = 300}};
  const auto whole = solver.run(start, small);
  auto state = solver.start(start, small);
  const auto file = folder / "run";
  wgf::test::SaveAndStop observer{file, 73};  // part-way through the third step
  while (!state.finished() && solver.step(state, observer)) {
  }
  REQUIRE(state.flow().size() == 2);
  const auto resumed = solver.resume(file, start, small);
  REQUIRE(resumed.size() == 4);
  for (std::size_t k = 0; k < 4; ++k)
    CHECK(resumed.stages[k].parameters == whole.stages[k].parameters);
}
