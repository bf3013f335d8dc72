// SPDX-License-Identifier: BSL-1.0
// What a user brings: targets with and without a gradient, measures; pools and their refreshment.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/metric/energy_distance.hpp>
#include <wgf/solver/jko_solver.hpp>

#include <memory>
#include <set>

#include "catch.hpp"
#include "support.hpp"

using namespace wgf;
using Eigen::VectorXd;
using wgf::test::message_of;

namespace {
// A banana: x ~ N(0, 1), y ~ N(x²/2, 0.5²).
struct Templated {
  int dim() const { return 2; }
  template <class T>
  T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    const T bend = x[1] - x[0] * x[0] / 2;
    return -x[0] * x[0] / 2 - 2.0 * bend * bend;
  }
  Particles sample(long n, std::uint64_t seed) const {
    Particles x = standard_normals(2, n, seed, 3);
    x.row(1) = x.row(0).array().square() / 2 + x.row(1).array() / 2;
    return x;
  }
};
struct Analytic : Templated {
  VectorXd gradient(const VectorXd& x) const {
    const double bend = x[1] - x[0] * x[0] / 2;
    return VectorXd((VectorXd(2) << -x[0] + 4 * bend * x[0], -4 * bend).finished());
  }
};
// A normal that remembers where its gradient was asked for.
struct Recording {
  std::shared_ptr<std::vector<VectorXd>> seen;
  int dim() const { return 2; }
  double log_density(const VectorXd& x) const { return -0.5 * x.squaredNorm(); }
  VectorXd gradient(const VectorXd& x) const {
    seen->push_back(x);
    return -x;
  }
};
// P_0 of the user's own: a ring.
struct Ring {
  int dim() const { return 2; }
  Particles sample(long n, std::uint64_t seed) const {
    Particles x = standard_normals(2, n, seed, 17);
    for (long i = 0; i < n; ++i) x.col(i) *= (1 + 0.1 * x(0, i)) / x.col(i).norm();
    return x;
  }
};
const RunOptions brief{.steps = 2,
                       .training = {.iterations = 30, .batch = 100, .first_step = 1},
                       .population = {.size = 1000}};
}  // namespace

TEST_CASE("a target whose gradient is derived gives the run of the target that has it") {
  const auto run = [](const auto& target) {
    const JkoSolver solver{kl(target, Quadratic{}), ResidualMlp<16, 2>{},
                           Backward{.step_size = 0.1},
                           EigenBackend<double>{.seed = 2, .threads = 1}};
    return solver.run(Ring{}, brief);
  };
  const auto derived = run(Templated{}), analytic = run(Analytic{});
  REQUIRE(derived.size() == 2);
  const Particles x = derived.sample(100, 3), y = analytic.sample(100, 3);
  CHECK((x - y).cwiseAbs().maxCoeff() < 1e-9);  // rounding errors apart, sixty times through Adam
  CHECK((x - derived.draw_initial(100, 3)).norm() > 0.1);
  CHECK(std::holds_alternative<CustomMeasure>(derived.initial));
}

namespace {
using Solver = JkoSolver<Functional<Entropy<Dual<Quadratic>>, Potential<Analytic>>,
                         ResidualMlp<16, 2>, Backward, EigenBackend<double>>;
const Solver solver{kl(Analytic{}, Quadratic{}), {}, {.step_size = 0.1}, {.seed = 2, .threads = 1}};
}  // namespace

TEST_CASE("the state's particles are the pool, pushed through all maps") {
  auto state = solver.start(Ring{}, brief);
  const Particles pool = state.particles();
  REQUIRE(pool.cols() == 1000);
  CHECK(((pool.colwise().norm().array() - 1).abs() > 0)
            .all());  // draws of the ring, of which none is on the circle itself
  CHECK(pool.colwise().norm().mean() == Approx(1).margin(0.02));
  solver.step(state), solver.step(state);
  CHECK((state.particles() - state.flow().push(pool)).cwiseAbs().maxCoeff() < 1e-13);
}

TEST_CASE("samples drawn later are not the particles of the training") {
  const Particles pool = solver.start(Ring{}, brief).particles().leftCols(100);
  const auto none =
      solver.run(Ring{}, {.steps = 0, .training = {.batch = 100}, .population = {.size = 100}});
  const auto shared = [&](const Particles& x) {  // how many samples are particles of the pool
    long n = 0;
    for (Eigen::Index i = 0; i < x.cols(); ++i)
      n += ((pool.colwise() - x.col(i)).colwise().norm().array() == 0).any();
    return n;
  };
  for (std::uint64_t seed = 0; seed < 5; ++seed) CHECK(shared(none.sample(100, seed)) == 0);
  CHECK(shared(none.sample(100)) == 0);
}

TEST_CASE("a measure made of one of the library's is drawn as its own sample() says") {
  struct Shifted : Gaussian {
    Shifted() : Gaussian(Gaussian::isotropic(2, 1)) {}
    Particles sample(long n, std::uint64_t seed) const {
      return Gaussian::sample(n, seed).array() + 100;
    }
  };
  CHECK(solver.run(Shifted{}, {.steps = 0, .training = {.batch = 10}, .population = {.size = 100}})
            .sample(100, 1)
            .minCoeff() > 90);
}

TEST_CASE("a refreshed pool changes the steps after it, and the flow still goes to the target") {
  RunOptions options{
      .steps = 6,
      .training = {.iterations = 100, .batch = 100, .map_rate = 5e-3, .dual_rate = 5e-3},
      .population = {.size = 2000}};
  const auto fixed = solver.run(Ring{}, options);
  options.population.refresh_every = 2;
  const auto refreshed = solver.run(Ring{}, options);
  for (std::size_t k = 0; k < 6; ++k) {
    INFO("step " << k + 1);
    CHECK((fixed.stages[k].parameters == refreshed.stages[k].parameters) == (k < 2));
  }
  const Particles target = Templated{}.sample(3000, 5);
  const double before = energy_distance(fixed.draw_initial(3000, 1), target);
  CHECK(energy_distance(fixed.sample(3000, 1), target) < before / 2);
  CHECK(energy_distance(refreshed.sample(3000, 1), target) < before / 2);
}

TEST_CASE("a run continues from a flow whose P_0 is the user's") {
  const auto first = solver.run(Ring{}, brief), second = solver.run(first, brief);
  REQUIRE(second.size() == 4);
  CHECK(second.stages[1].parameters == first.stages[1].parameters);
  CHECK(second.push(second.draw_initial(10, 1), 0, 2) == first.sample(10, 1));
}

TEST_CASE("a flow of another map is not continued") {
  const auto flow =
      solver.run(Ring{}, {.steps = 1, .training = {.iterations = 3}, .population = {.size = 200}});
  const Solver scaled{kl(Analytic{}, Quadratic{}),
                      {.input_scale = 2},
                      {.step_size = 0.1},
                      {.seed = 2, .threads = 1}};
  CHECK(message_of<std::invalid_argument>([&] { scaled.run(flow); }) ==
        "wgf::JkoSolver: the flow to continue has the map ResidualMlp<16, 2, PRelu>{input_scale = "
        "1, affine = 0}, the solver "
        "ResidualMlp<16, 2, PRelu>{input_scale = 2, affine = 0}");
}

TEST_CASE(
    "batches are windows of the pool, also where the pool is not a multiple of the batch, or one "
    "batch") {
  for (const long pool : {100L, 101L, 199L, 250L}) {
    RunOptions options{
        .steps = 1,
        .training = {.iterations = 12, .batch = 100, .map_rate = 1e-300, .tail_average = 0},
        .population = {.size = pool}};
    // The map stays the identity, and so the target sees the particles themselves, in their order.
    const auto seen = std::make_shared<std::vector<VectorXd>>();
    const JkoSolver recording{kl(Recording{seen}, Quadratic{}), ResidualMlp<16, 2>{},
                              Backward{.step_size = 0.1},
                              EigenBackend<double>{.seed = 2, .threads = 1}};
    auto state = recording.start(Ring{}, options);
    const Particles particles = state.particles();
    recording.step(state);
    REQUIRE(seen->size() == 24 * 100);
    std::vector<Eigen::Index> index;
    for (const VectorXd& x : *seen) {
      Eigen::Index nearest = 0;
      REQUIRE((particles.colwise() - x).colwise().norm().minCoeff(&nearest) < 1e-12);
      index.push_back(nearest);
    }
    for (std::size_t batch = 0; batch < 24; ++batch)
      for (std::size_t i = 1; i < 100; ++i)
        CHECK(index[100 * batch + i] == (index[100 * batch] + static_cast<long>(i)) % pool);
    // A pass over the pool meets no particle twice, and starts elsewhere than the one before.
    const auto per_pass = static_cast<std::size_t>(pool / 100);
    const std::set<Eigen::Index> first(index.begin(),
                                       index.begin() + static_cast<long>(100 * per_pass));
    CHECK(first.size() == 100 * per_pass);
    CHECK(index[0] != index[100 * per_pass]);
  }
}
