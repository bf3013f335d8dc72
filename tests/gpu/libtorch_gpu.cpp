// SPDX-License-Identifier: BSL-1.0
// The LibTorch backend on a GPU. Random numbers there are the GPU's own, so that runs are compared
// with known answers; what draws none is compared with Eigen. Not among the tests of a machine
// without a GPU: tools/gpu_check.sh builds and runs it.
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/measure/gaussian_mixture.hpp>
#include <wgf/metric/sym_kl.hpp>
#include <wgf/scheme/forward_backward.hpp>
#include <wgf/scheme/midpoint.hpp>

#include "../libtorch/network_results.hpp"
#include "../support.hpp"

using namespace wgf;
using namespace wgf::test;

namespace {

template <class Scalar>
LibTorchBackend<Scalar> on_gpu(bool record = true) {
  return {.seed = 7, .device = "cuda", .record = record};
}
template <class Scalar, class Spec>
void compare(const Spec& spec) {
  INFO(describe(spec) << ", " << (sizeof(Scalar) == sizeof(float) ? "float" : "double"));
  const NetworkResults a = network_results(on_eigen<Scalar>(), spec),
                       b = network_results(on_gpu<Scalar>(), spec);
  CHECK(a.start == b.start);
  CHECK(difference(a.output, b.output) < tolerance<Scalar>);
  CHECK(difference(a.gradient, b.gradient) < tolerance<Scalar>);
  CHECK(difference(a.input_gradient, b.input_gradient) < tolerance<Scalar>);
  CHECK(difference(a.after, b.after) < tolerance<Scalar>);
}
/// Runs with iterations recorded and as they come: with the same random numbers, so that maps
/// differ by rounding at most, and by far more where a record holds a number that should differ
/// from one iteration to the next. And once more with figures asked in between.
template <class Scalar, class Functional, class Map, class Scheme, class Initial>
void compare_recorded(const Functional& functional, const Map& map, const Scheme& scheme,
                      const Initial& initial) {
  RunOptions options{.steps = 2,
                     .reports = 1,
                     .training = {.iterations = 20, .batch = 250, .first_step = 1},
                     .population = {.size = 2000, .stratified = true}};
  const auto run = [&](bool record) {
    return JkoSolver{functional, map, scheme, on_gpu<Scalar>(record)}.run(initial, options);
  };
  const auto eager = run(false), recorded = run(true);
  options.reports = 20;
  const auto watched = run(true);
  for (std::size_t k = 0; k < 2; ++k) {
    CHECK(difference(eager.stages[k].parameters, recorded.stages[k].parameters) <
          100 * tolerance<Scalar>);
    CHECK(difference(watched.stages[k].parameters, recorded.stages[k].parameters) <
          100 * tolerance<Scalar>);
  }
}
/// SymKL of a flow's P_K to the exact JKO iterate.
template <class Backend>
double ornstein_uhlenbeck_error(int dim, const Backend& backend) {
  const auto reference = OrnsteinUhlenbeck::random(dim, 3);
  const RunOptions options{
      .steps = 3,
      .training = {.iterations = 300, .batch = 1000, .map_rate = 5e-3, .dual_rate = 5e-3}};
  const auto flow =
      JkoSolver{kl(reference.target(), Quadratic{}), Affine{}, Backward{.step_size = 0.05}, backend}
          .run(Gaussian::isotropic(dim, 1.0), options);
  return sym_kl(flow.gaussian(), reference.jko(3, 0.05));
}

}  // namespace

TEMPLATE_TEST_CASE("a GPU's networks are those of Eigen", "", float, double) {
  compare<TestType>(Mlp<32, 3>{.input_scale = 2});
  compare<TestType>(Quadratic{} + Mlp<16, 3, Silu>{});
  compare<TestType>(ResidualMlp<32, 3>{});
  compare<TestType>(DeepLinear<64, 3>{});
  compare<TestType>(IcnnGradient<32, 2>{.input_scale = 2});
}

TEMPLATE_TEST_CASE("Adam with its numbers on the GPU is Adam", "", float, double) {
  const auto [host, device] = parameters_by_host_and_device(Adam{}, on_gpu<TestType>());
  CHECK(difference(host, device) < tolerance<TestType>);
}

TEMPLATE_TEST_CASE("recorded iterations are the iterations", "", float, double) {
  const GaussianMixture mixture(
      {0.3, 0.7},
      {Gaussian::isotropic(2, 0.5), Gaussian(Eigen::Vector2d(1, -1), Eigen::Matrix2d::Identity())});
  const auto square = UniformBox::cube(2, 1.0);
  compare_recorded<TestType>(kl(mixture, Mlp<16, 3>{.dropout = 0.1}), ResidualMlp<16, 3>{},
                             Backward{.step_size = 0.2}, square);
  compare_recorded<TestType>(kl(mixture, Quadratic{} + Mlp<16, 2>{}), Affine{},
                             Midpoint{.step_size = 0.1}, Gaussian::isotropic(2, 1.5));
  compare_recorded<TestType>(
      3.0 * interaction(GaussianKernel{}) +
          0.2 * generalized_entropy(3, Dual<Mlp<16, 2, Silu>, VariationalBound>{}),
      IcnnGradient<16, 1>{}, Backward{.step_size = 0.1}, square);
  compare_recorded<TestType>(divergence_to(mixture.sample(1000, 2), KullbackLeibler{},
                                           Dual<Mlp<16, 2>, DonskerVaradhan>{}),
                             ResidualMlp<16, 2>{}, Backward{.step_size = 0.1}, square);
  compare_recorded<TestType>(kl(mixture, LogDeterminant{}), ResidualMlp<16, 2, Silu>{},
                             Backward{.step_size = 0.1}, square);
}

TEST_CASE("an Ornstein-Uhlenbeck flow on a GPU, iterations recorded and not") {
  const double host = ornstein_uhlenbeck_error(2, on_eigen<float>());
  const double eager = ornstein_uhlenbeck_error(2, on_gpu<float>(false)),
               recorded = ornstein_uhlenbeck_error(2, on_gpu<float>());
  // Independent batches scatter; on the CPU this is about 1e-5.
  CHECK(host < 1e-4);
  CHECK(eager < 1e-4);
  CHECK(recorded < 1e-4);
  CHECK(ornstein_uhlenbeck_error(2, on_gpu<float>()) == recorded);
  CHECK(ornstein_uhlenbeck_error(2, on_gpu<double>()) < 1e-4);
}

TEST_CASE(
    "every functional and map trains on a GPU, and its particles go where the CPU sends them") {
  const GaussianMixture mixture(
      {0.3, 0.7},
      {Gaussian::isotropic(2, 0.5), Gaussian(Eigen::Vector2d(1, -1), Eigen::Matrix2d::Identity())});
  const RunOptions options{
      .steps = 2,
      .training = {.iterations = 20, .batch = 250},
      .population = {.size = 2000, .stratified = true, .forward_samples = 500}};
  const Particles x = standard_normals(2, 500, 1);
  const auto same_push = [&](const auto& flow) {
    using Map = typename std::remove_cvref_t<decltype(flow)>::MapType;
    using Forward = typename std::remove_cvref_t<decltype(flow)>::ForwardType;
    Flow<Map, EigenBackend<float>, Forward> host(flow.initial, flow.map, flow.step_size,
                                                 on_eigen<float>(), flow.forward);
    for (const auto& stage : flow.stages) host.stages.push_back(stage);
    CHECK(flow.size() == 2);
    CHECK(difference(flow.push(x), host.push(x)) < 1e-5);
  };
  const auto backend = on_gpu<float>();
  const auto dual = Mlp<16, 3>{.dropout = 0.1};
  const auto square = UniformBox::cube(2, 1.0);
  same_push(
      JkoSolver{kl(mixture, dual), ResidualMlp<16, 3>{}, Backward{.step_size = 0.2}, backend}.run(
          square, options));
  same_push(JkoSolver{kl(mixture, LogDeterminant{}), ResidualMlp<16, 3, Silu>{},
                      Backward{.step_size = 0.2}, backend}
                .run(square, options));
  same_push(JkoSolver{generalized_entropy(2, LogDeterminant{}), IcnnGradient<16, 2>{},
                      Backward{.step_size = 0.1}, backend}
                .run(square, options));
  same_push(JkoSolver{3.0 * interaction(GaussianKernel{}) +
                          0.2 * generalized_entropy(3, Dual<Mlp<16, 2, Silu>, VariationalBound>{}),
                      IcnnGradient<16, 1>{}, ForwardBackward{.step_size = 0.1}, backend}
                .run(square, options));
  same_push(JkoSolver{divergence_to(mixture.sample(1000, 1), JensenShannon{}, dual) +
                          divergence_to(mixture.sample(1000, 2), KullbackLeibler{},
                                        Dual<Mlp<16, 2>, DonskerVaradhan>{}),
                      Affine{}, Backward{.step_size = 0.1}, backend}
                .run(square, options));
}

TEST_CASE("a GPU that is not there, and memory that it does not have") {
  CHECK(message_of<std::runtime_error>([] {
          (void)LibTorchBackend<float>{.device = "cuda:99"}.start();
        }).rfind("wgf::LibTorchBackend: device \"cuda:99\" was asked for, but there are ", 0) == 0);
  // A batch of pairs that no GPU holds: the first step fails, and says why.
  const JkoSolver solver{kl(Gaussian::isotropic(2, 1.0), Mlp<1024, 3>{}), ResidualMlp<1024, 3>{},
                         Backward{}, on_gpu<float>()};
  const std::string why = message_of<std::exception>([&] {
    solver.run(Gaussian::isotropic(2, 2.0),
               RunOptions{.steps = 1,
                          .training = {.iterations = 1, .batch = 100'000'000},
                          .population = {.size = 100'000'000}});
  });
  CHECK(why.find("out of memory") != std::string::npos);
}
