// SPDX-License-Identifier: BSL-1.0
// LogDeterminant on LibTorch: log det ∇T and its gradient against Eigen's hand-written ones and
// known determinants, whole runs against Eigen's and against exact iterates, densities of corrected
// flows.
#include <wgf/diagnostics/importance.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/exact/targets/mixtures.hpp>
#include <wgf/metric/sym_kl.hpp>
#include <wgf/scheme/corrected.hpp>
#include <wgf/scheme/midpoint.hpp>

#include "both.hpp"

using namespace wgf;
using namespace wgf::test;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

struct MixedEnergy {
  auto energy(const auto& p) const { return p * log(p) + 0.1 * p * p; }
};
/// What a term by change of variables computes from a map.
struct Results {
  VectorXd log_det, extrapolated, gradient;
  double value = 0;
};
/// A network of a backend and n points.
template <class Backend, class Spec>
struct Map {
  using R = decltype(std::declval<const Backend&>().start());
  using Scalar = typename R::Scalar;
  using Slice = typename R::Slice;
  R runtime;
  detail::NetworkOf<R, Spec> net;
  typename R::Points x, log_p;
  long n;

  Map(const Backend& backend, const Spec& spec, int d, long points)
      : runtime(backend.start()),
        net(runtime.network(spec, d, points, 11, Keep::batch)),
        x(runtime.points(d, points)),
        log_p(runtime.points(1, points)),
        n(points) {
    runtime.upload(standard_normals(d, n, 5), x);
    runtime.upload(0.3 * standard_normals(1, n, 6), log_p);
  }
  VectorXd list(const std::vector<Scalar>& values) const {
    return Eigen::Map<const Eigen::VectorX<Scalar>>(values.data(), std::ssize(values))
        .template cast<double>();
  }
  void set(const VectorXd& parameters) {
    net.set_parameters(std::vector<Scalar>(parameters.begin(), parameters.end()));
  }
  void move(double size) {
    const VectorXd start = list(net.parameters());
    set(start + size * standard_normals(1, start.size(), 3).row(0).transpose());
  }
  VectorXd log_determinants(double extrapolation = 1) {
    return detail::log_determinants(runtime, net, x, extrapolation, n);
  }
  template <class Energy>
  Results results(const Energy& energy) {
    Results r;
    r.log_det = log_determinants();
    r.extrapolated = log_determinants(1.4);
    const Batch<R> batch{x, log_p};
    auto term = InternalEnergy<Energy>{energy}.bind(runtime, x.dim(), n, 0);
    const Gaussian law = Gaussian::isotropic(x.dim(), 1.0);
    term.begin_step(runtime, {0, 1, 1, Frame::none(x.dim()), law, x}, 0.7);
    auto sum = runtime.sum();
    runtime.parallel(n, [&](Slice s) {
      sum.add(s, term.value(s, batch, net));
      term.accumulate(s, batch, net, 1.0 / static_cast<double>(n));
    });
    r.value = sum.value(), r.gradient = list(net.gradient());
    return r;
  }
};

/// log-determinants where they exist, which must be at the same points.
double difference_where_positive(const VectorXd& a, const VectorXd& b) {
  CHECK((a.array().isNaN() == b.array().isNaN()).all());
  return difference(VectorXd(a.array().isNaN().select(0, a)),
                    VectorXd(b.array().isNaN().select(0, b)));
}
template <class Scalar, class Spec, class Energy = detail::PowerPerParticle>
void compare(const Spec& spec, int d, double size = 0.2, long n = 300, const Energy& energy = {1.5},
             double allowed = sizeof(Scalar) == sizeof(float) ? 1e-5 : 3e-12) {
  CAPTURE(describe(spec), d, sizeof(Scalar), n);
  Map eigen(on_eigen<Scalar>(), spec, d, n);
  Map torch(on_torch<Scalar>(), spec, d, n);
  eigen.move(size / std::sqrt(d)), torch.move(size / std::sqrt(d));
  const Results a = eigen.results(energy), b = torch.results(energy);
  REQUIRE(a.gradient.norm() > 0.01);
  CHECK(a.log_det.array().isNaN().count() < n / 2);
  CHECK(difference_where_positive(a.log_det, b.log_det) < allowed);
  CHECK(difference_where_positive(a.extrapolated, b.extrapolated) < allowed);
  CHECK(difference(a.gradient, b.gradient) < allowed);
  CHECK(std::abs(a.value - b.value) < allowed * static_cast<double>(n));
}

}  // namespace

TEMPLATE_TEST_CASE("LibTorch's log det and its gradient are those of Eigen", "", float, double) {
  for (const int d : {1, 2, 8}) {
    compare<TestType>(ResidualMlp<16, 3, Silu>{.input_scale = 1.5}, d);
    compare<TestType>(ResidualMlp<32, 2, Softplus>{.affine = true}, d);
    compare<TestType>(ResidualMlp<16, 2, PRelu>{}, d);
    compare<TestType>(DeepLinear<16, 3>{.input_scale = 0.5}, d);
    compare<TestType>(Affine{}, d);
    compare<TestType>(IcnnGradient<16, 1>{.strong_convexity = 0.6, .input_scale = 0.7}, d);
    compare<TestType>(IcnnGradient<16, 3>{.strong_convexity = 0.2}, d);
  }
}
TEST_CASE("LibTorch's log det: other energies, large d, more points than fit in a pass") {
  using User = detail::EnergyPerParticle<MixedEnergy>;
  compare<double>(ResidualMlp<16, 3, Silu>{}, 2, 0.2, 300, detail::EntropyPerParticle{});
  compare<double>(ResidualMlp<16, 3, Silu>{}, 2, 0.2, 300, User{});
  compare<double>(ResidualMlp<32, 2, Silu>{.affine = true}, 40);
  compare<double>(IcnnGradient<16, 2>{}, 40);
  compare<double>(ResidualMlp<16, 2, Silu>{}, 8, 0.2, 8200);
}
TEST_CASE("LibTorch's log det is NaN where a map folds, and such points have no gradient") {
  using Torch = LibTorchBackend<double>;
  Map<Torch, Affine> map(on_torch<double>(), Affine{}, 2, 7);
  const auto check_nan = [&](double first, double second) {
    VectorXd matrix = VectorXd::Zero(6);
    matrix[0] = first, matrix[3] = second;
    map.set(matrix);
    const Results r = map.results(detail::EntropyPerParticle{});
    CHECK(r.log_det.size() == 7);
    CHECK(r.log_det.array().isNaN().all());
    CHECK(r.gradient.norm() == 0);
    CHECK(r.value == 0);
  };
  check_nan(-2, 0);   // x → −x in the first coordinate
  check_nan(-1, 0);   // singular
  check_nan(NAN, 0);  // not a number
  VectorXd turn = VectorXd::Zero(6);
  turn[0] = turn[3] = -2;  // a rotation by π keeps the orientation
  map.set(turn);
  CHECK(map.log_determinants().norm() < 1e-15);

  // A residual network that folds at some of the points.
  compare<double>(ResidualMlp<16, 3, Silu>{}, 2, 1.0);
  Map<Torch, ResidualMlp<16, 3, Silu>> wild(on_torch<double>(), {}, 2, 300);
  wild.move(1.0 / std::sqrt(2));
  const auto folded = wild.log_determinants().array().isNaN().count();
  CHECK((folded > 0 && folded < 150));

  // No convex function has a Hessian with two eigenvalues of −0.4, whose determinant is positive.
  Map<Torch, IcnnGradient<16, 2>> convex(on_torch<double>(), {.strong_convexity = 0.3}, 2, 7);
  VectorXd p = VectorXd::Zero(std::ssize(convex.net.parameters()));
  p[p.size() - 6] = p[p.size() - 3] = -1;  // the derivative is 0.3 I
  convex.set(p);
  CHECK((convex.log_determinants().array() - 2 * std::log(0.3)).abs().maxCoeff() < 1e-15);
  CHECK(convex.log_determinants(2).array().isNaN().all());
}

namespace mine {
/// T(x) = e^a x + b: a custom map.
struct Scaling {
  static constexpr Output output = Output::point;
  static std::string name() { return "Scaling"; }
  static constexpr auto fields() { return hana::make_tuple(); }
};
std::vector<double> initial_parameters(const Scaling&, int dim, const Random&, std::uint32_t) {
  return std::vector<double>(static_cast<std::size_t>(dim + 1), 0.0);
}
template <class Drop>
at::Tensor evaluate(const Scaling&, libtorch::Pieces& p, const at::Tensor& x, Drop&&) {
  const at::Tensor a = p.next(1), b = p.next(x.size(1));
  return x * exp(a) + b;
}
/// T(x) = x + b.
struct Shift : Scaling {};
std::vector<double> initial_parameters(const Shift&, int dim, const Random&, std::uint32_t) {
  return std::vector<double>(static_cast<std::size_t>(dim), 0.0);
}
template <class Drop>
at::Tensor evaluate(const Shift&, libtorch::Pieces& p, const at::Tensor& x, Drop&&) {
  return x + p.next(x.size(1));
}
}  // namespace mine

TEST_CASE("a custom map on LibTorch has a log det by its formula") {
  Map<LibTorchBackend<double>, mine::Scaling> scaling(on_torch<double>(), {}, 3, 5);
  scaling.set(VectorXd{{0.7, 1, 2, 3}});
  const long visits = libtorch::host_visits;
  const Results r = scaling.results(detail::EntropyPerParticle{});
  CHECK(libtorch::host_visits > visits);  // so that a GPU's iterations are not recorded
  CHECK((r.log_det.array() - 3 * 0.7).abs().maxCoeff() < 1e-15);
  CHECK(std::abs(r.gradient[0] + 0.7 * 3) < 1e-14);  // of −0.7 E log det
  CHECK(r.gradient.tail(3).norm() == 0);
  Map<LibTorchBackend<double>, mine::Shift> shift(on_torch<double>(), {}, 3, 5);
  const Results s = shift.results(detail::EntropyPerParticle{});
  CHECK(s.log_det.norm() == 0);
  CHECK(s.gradient.norm() == 0);
}

namespace {
const Gaussian target(VectorXd::Constant(2, 0.5), 0.5 * MatrixXd::Identity(2, 2));
GaussianMixture pair() {
  const MatrixXd covariance = (MatrixXd(2, 2) << 0.5, 0.1, 0.1, 0.3).finished();
  return {{0.3, 0.7},
          {Gaussian(VectorXd::Constant(2, -1), covariance),
           Gaussian(VectorXd::Constant(2, 1), covariance)}};
}
RunOptions short_run(bool stratified) {
  return {.steps = 2,
          .reports = 1,
          .training = {.iterations = 5, .batch = 250, .map_rate = 3e-3, .first_step = 1},
          .population = {.size = 1000, .stratified = stratified}};
}
}  // namespace

TEST_CASE("runs by change of variables are those of Eigen, with their densities") {
  const auto check = [](const auto& functional, const auto& map, const auto& scheme,
                        bool stratified) {
    const auto [eigen, torch] =
        run_on_both<double>(functional, map, scheme, pair(), short_run(stratified));
    const auto [x, a] = eigen.sample_with_log_density(200, 3);
    const auto [y, b] = torch.sample_with_log_density(200, 3);
    CHECK(difference(x, y) < 1e-10);
    CHECK(difference(a, b) < 1e-10);
    CHECK(difference(a, torch.log_density(x)) < 1e-10);
  };
  check(kl(target, LogDeterminant{}), ResidualMlp<16, 3, Silu>{}, Midpoint{0.1}, false);
  check(generalized_entropy(2, LogDeterminant{}) + potential(target), IcnnGradient<16, 2>{},
        Backward{0.1}, true);
}
TEST_CASE("LibTorch's population carries the log-densities of the flow") {
  const JkoSolver solver{kl(target, LogDeterminant{}), ResidualMlp<16, 3, Silu>{}, Backward{0.1},
                         on_torch<double>()};
  auto state = solver.start(pair(), short_run(true));
  while (!state.finished()) solver.step(state);
  const VectorXd exact = state.flow().log_density(state.particles());
  CHECK((state.log_densities() - exact).cwiseAbs().maxCoeff() < 1e-8);
}
TEST_CASE("LogDeterminant on LibTorch: the exact iterates of Ornstein-Uhlenbeck, to rounding") {
  const RunOptions precise{.steps = 3,
                           .training = {.iterations = 300,
                                        .batch = 200,
                                        .map_rate = 1e-2,
                                        .final_rate_fraction = 1e-5,
                                        .tail_average = 0,
                                        .first_step = 2}};
  for (const int d : {1, 2, 8}) {
    CAPTURE(d);
    const auto process = OrnsteinUhlenbeck::random(d, 3);
    const JkoSolver solver{kl(process.target(), LogDeterminant{}), Affine{}, Backward{0.05},
                           on_torch<double>()};
    const auto flow = solver.run(Gaussian::isotropic(d, 1.0), precise);
    for (int k = 1; k <= 3; ++k) CHECK(sym_kl(flow.gaussian(k), process.jko(k, 0.05)) < 1e-13);
  }
}
TEST_CASE("a corrected flow on LibTorch: its density integrates to one") {
  const auto moons = two_moons();
  const Corrected<> scheme{.step_size = 0.05, .rejections = 2, .maps = 2};
  const JkoSolver solver{kl(moons, LogDeterminant{}), ResidualMlp<32, 3, Silu>{}, scheme,
                         on_torch<float>()};
  const auto flow = solver.run(
      Gaussian::isotropic(2, 2.0),
      {.steps = 5,
       .training = {.iterations = 60, .batch = 500, .map_rate = 1e-2, .final_rate_fraction = 0.02},
       .population = {.size = 10'000}});
  REQUIRE(flow.size() == 5);
  const long n = 10'000;
  const auto [x, log_p] = flow.sample_with_log_density(n, 9);
  CHECK((flow.log_density(x) - log_p).cwiseAbs().maxCoeff() < 1e-8);
  VectorXd log_q(n);
  for (long i = 0; i < n; ++i) log_q[i] = moons.log_density(VectorXd(x.col(i)));
  const auto weights = importance(log_q, log_p);
  CAPTURE(weights.summary());
  CHECK(weights.effective_sample_size > 0.5 * n);
  CHECK(std::abs(weights.log_normaliser) <
        4 * std::hypot(weights.standard_error, flow.normalisation_error()));
}
