// SPDX-License-Identifier: BSL-1.0
// Parts written outside the library: a scheme with a schedule of step sizes, a term of the map, and
// a method that solves steps in closed form. A network of this kind is in
// backend/own_network_test.cpp, a backend in backend/own_backend_test.cpp, an update rule in
// backend/optimiser_test.cpp, and a direct term in functional/user_term_test.cpp.
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <wgf/backend/eigen/backend.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/metric/sym_kl.hpp>
#include <wgf/scheme/backward.hpp>
#include <wgf/solver/jko_solver.hpp>
#include <wgf/training/momentum.hpp>

#include "catch.hpp"

using namespace wgf;
using Eigen::MatrixXd, Eigen::VectorXd;

namespace {

// ---- a scheme: the user says how long each step is
struct Schedule {
  double step_size = 0.1;  // of the first step
  double growth = 1.5;

  void check() const {}
  template <class Trainer, class Stage>
  void solve(Trainer& trainer, Stage& stage) const {
    stage.step_size = step_size * std::pow(growth, trainer.step() - 1);
    stage.parameters = trainer.train(stage.step_size);
  }
};
static_assert(SchemePolicy<Schedule>);

struct HalfAScheme {  // the protocol without solve
  double step_size = 0.1;
  void check() const {}
};
static_assert(!SchemePolicy<HalfAScheme>);

// ---- a term of the map: E|T(X) − X|²·strength/2, which shortens the step to a/(1 + a·strength)
struct Inertia {
  double strength;

  template <class R>
  struct Bound {
    double strength, weight = 1;
    typename R::Points difference;

    void begin_step(const R&, const StepContext<R>&, double w) { weight = w; }
    template <class Map>
    double value(typename R::Slice s, const Batch<R>& batch, Map& map) {
      difference(s) = map.forward(s, batch.points(s));
      difference(s) -= batch.points(s);
      return strength * static_cast<double>(difference(s).square().sum()) / 2;
    }
    template <class Map>
    void accumulate(typename R::Slice s, const Batch<R>& batch, Map& map, double factor) {
      const auto& x = batch.points;
      difference(s) = map.forward(s, x(s));
      difference(s) -= x(s);
      difference(s) *= static_cast<typename R::Scalar>(factor * weight * strength);
      map.accumulate_vjp(s, x(s), difference(s));
    }
  };
  template <class R>
  Bound<R> bind(const R& runtime, int dim, long batch, std::uint32_t) const {
    return {strength, 1, runtime.points(dim, batch)};
  }
};

// ---- a method: the step of E A|X − b|²/2 by an affine map, in closed form
template <class R, class MapNetwork, class Terms, class Monitored>
struct ClosedFormTraining {
  MapNetwork map;
  Terms terms;
  Monitored monitored;
  double stiffness;
  VectorXd centre;
  double a = 0;
  int done = 0;

  void begin(const Frame& frame, const TrainingTask& task, Population<R>&) {
    REQUIRE(frame.identity);
    a = task.step_size, done = task.begin;
  }
  bool next() {
    if (done == 1) return false;
    const int d = static_cast<int>(centre.size());
    const double shrink = 1 / (1 + a * stiffness) - 1;
    std::vector<typename R::Scalar> values;
    for (int i = 0; i < d; ++i)
      for (int j = 0; j < d; ++j) values.push_back(i == j ? shrink : 0);
    for (int i = 0; i < d; ++i) values.push_back(-shrink * centre[i]);
    map.set_parameters(values);
    return ++done, true;
  }
  int iteration() const { return done; }
  bool finite_so_far() const { return true; }
  Estimates estimates() { return {}; }
  Particles last_images() const { return Particles(centre.size(), 0); }
  std::vector<std::vector<double>> states() {
    const auto values = map.parameters();
    return {std::vector<double>(values.begin(), values.end())};
  }
  void set_states(const std::vector<std::vector<double>>& states) {
    const auto& values = states.at(0);
    map.set_parameters(std::vector<typename R::Scalar>(values.begin(), values.end()));
  }
  void reset_carryover() {}
  void abandon(const std::vector<double>& state) { set_states({state}); }
  template <class F>
  void each_network(F&&) {}
};
struct ClosedForm {
  double stiffness;
  VectorXd centre;
  void check() const {}
  std::string describe() const { return "ClosedForm"; }
  template <class R, class MapNetwork, class Terms, class Monitored>
  ClosedFormTraining<R, MapNetwork, Terms, Monitored> training(const R&, int,
                                                               const TrainingOptions&,
                                                               MapNetwork map, Terms terms,
                                                               Monitored monitored) const {
    return {std::move(map), std::move(terms), std::move(monitored), stiffness, centre};
  }
};

const EigenBackend<double> backend{.seed = 2, .threads = 1};
const MatrixXd precision = VectorXd{{1.0, 3.0}}.asDiagonal();
const OrnsteinUhlenbeck process(precision, VectorXd{{1.0, -1.0}});
const Gaussian start = Gaussian::isotropic(2, 1);
const RunOptions careful{.steps = 3,
                         .training = {.iterations = 500,
                                      .batch = 1000,
                                      .map_rate = 2e-3,
                                      .dual_rate = 2e-3,
                                      .final_rate_fraction = 1e-3,
                                      .common_random_numbers = true}};
}  // namespace

TEST_CASE("a scheme from outside: variable steps by a schedule, against the exact iterates") {
  const JkoSolver solver{kl(process.target(), Quadratic{}), Affine{}, Schedule{.step_size = 0.1},
                         backend};
  const auto flow = solver.run(start, careful);
  Gaussian exact = start;
  double a = 0.1, time = 0;
  for (int k = 1; k <= 3; ++k, a *= 1.5) {
    exact = process.jko_iterate(exact, a), time += a;
    CAPTURE(k);
    CHECK(flow.step_size_of(k - 1) == Approx(a));
    CHECK(flow.time(k) == Approx(time));
    CHECK(sym_kl(flow.gaussian(k), exact) < 1e-5);
  }
}

TEST_CASE("a map term from outside: inertia shortens the step as it must") {
  // transport/a + strength·transport is the transport cost of a step of a/(1 + a·strength).
  const double a = 0.2, strength = 5;
  const JkoSolver solver{potential(process.target()) + functional(Inertia{strength / 2}) +
                             0.5 * functional(Inertia{strength}),
                         Affine{}, Backward{.step_size = a}, backend};
  RunOptions options = careful;
  options.training.common_random_numbers = false, options.steps = 1;
  options.training.whiten = false;
  const auto flow = solver.run(start, options);
  // Without entropy the step is the proximal map (1 + hA)⁻¹(x + hAb).
  const double h = a / (1 + a * strength);
  const MatrixXd shrink = (MatrixXd::Identity(2, 2) + h * precision).inverse();
  const AffineForm map = flow.affine_form(0);
  CHECK((map.matrix - shrink).norm() < 2e-3);
  CHECK((map.offset - h * shrink * precision * process.target().mean()).norm() < 2e-3);
}

TEST_CASE("a method from outside: steps in closed form, also interrupted and resumed") {
  const VectorXd centre{{2.0, -1.0}};
  const double a = 0.3, stiffness = 2;
  const Gaussian target(centre, MatrixXd::Identity(2, 2) / stiffness);
  const JkoSolver solver{potential(target), Affine{}, Backward{.step_size = a}, backend,
                         ClosedForm{stiffness, centre}};
  const RunOptions options{.steps = 4,
                           .training = {.iterations = 1, .first_step = 1, .whiten = false}};
  const auto flow = solver.run(start, options);
  const double shrink = 1 / std::pow(1 + a * stiffness, 4);
  CHECK((flow.gaussian().mean() - (1 - shrink) * centre).norm() < 1e-12);
  CHECK((flow.gaussian().covariance() - shrink * shrink * start.covariance()).norm() < 1e-12);
}

TEST_CASE("another update rule: gradient descent with momentum reaches the exact iterate") {
  const JkoSolver solver{kl(process.target(), Quadratic{}), Affine{}, Backward{.step_size = 0.2},
                         backend, MinMax<Momentum>{.rule = {.beta = 0.5}}};
  RunOptions options = careful;
  options.training.map_rate = 0.05, options.training.dual_rate = 0.2;
  const auto flow = solver.run(start, options);
  CHECK(sym_kl(flow.gaussian(), process.jko(3, 0.2)) < 1e-4);
}

TEST_CASE("a population in closed form tells terms its log-density") {
  const auto runtime = EigenBackend<double>{.seed = 4}.start();
  const Gaussian law(
      VectorXd{{1, -2, 30}},
      Eigen::Vector3d(4, 0.01, 9).asDiagonal().toDenseMatrix() + 0.05 * MatrixXd::Ones(3, 3));
  GaussianPopulation population(runtime, GaussianPath(law), 100, 100, 4, false);
  for (const Frame& frame : {Frame::none(3), Frame::whitening(law), Frame::scaling(law)}) {
    population.begin_step(frame, 0);
    const Particles x = frame.from_coordinates(runtime.download(population.representatives()));
    const Particles log = runtime.download(population.log_densities());
    REQUIRE(log.cols() == x.cols());
    for (Eigen::Index i = 0; i < 50; ++i)
      CHECK(log(0, i) == Approx(law.log_density(x.col(i))).epsilon(1e-10));
  }
}
