// SPDX-License-Identifier: BSL-1.0
// Every network on LibTorch against the Eigen backend's hand-written one: the same parameters at
// the start, values, pullbacks, Adam steps.
#include <wgf/training/momentum.hpp>

#include "network_results.hpp"

using namespace wgf;
using namespace wgf::test;

namespace {

template <class Scalar, class Spec>
void compare(const Spec& spec) {
  INFO(describe(spec) << ", " << (sizeof(Scalar) == sizeof(float) ? "float" : "double"));
  const NetworkResults a = network_results(on_eigen<Scalar>(), spec),
                       b = network_results(on_torch<Scalar>(), spec);
  CHECK(a.start == b.start);
  CHECK(difference(a.output, b.output) < tolerance<Scalar>);
  CHECK(difference(a.gradient, b.gradient) < tolerance<Scalar>);
  CHECK(difference(a.input_gradient, b.input_gradient) < tolerance<Scalar>);
  CHECK(difference(a.after, b.after) < tolerance<Scalar>);
  if constexpr (Spec::output == Output::scalar)
    CHECK(difference(a.dropped, b.dropped) < tolerance<Scalar>);
}

}  // namespace

TEMPLATE_TEST_CASE("LibTorch's dual networks are those of Eigen", "", float, double) {
  compare<TestType>(Mlp<16, 2>{});
  compare<TestType>(Mlp<32, 3>{.dropout = 0.25, .input_scale = 2});
  compare<TestType>(Mlp<16, 4, Silu>{});
  compare<TestType>(Mlp<16, 3, Softplus>{.dropout = 0.5});
  compare<TestType>(Mlp<16, 3, Identity>{});
  compare<TestType>(Quadratic{});
  compare<TestType>(Quadratic{} + Mlp<16, 3, Silu>{.dropout = 0.1});
}

TEMPLATE_TEST_CASE("LibTorch's maps are those of Eigen", "", float, double) {
  compare<TestType>(ResidualMlp<16, 3>{});
  compare<TestType>(ResidualMlp<32, 2, Silu>{.input_scale = 3});
  compare<TestType>(ResidualMlp<32, 2, Silu>{.affine = true});
  compare<TestType>(DeepLinear<16, 3>{});
  compare<TestType>(Affine{});
  compare<TestType>(IcnnGradient<16, 1>{});
  compare<TestType>(IcnnGradient<32, 3>{.strong_convexity = 0.2, .input_scale = 2});
}

TEMPLATE_TEST_CASE("Adam with its numbers on the device is Adam", "", float, double) {
  const auto [host, device] = parameters_by_host_and_device(Adam{}, on_torch<TestType>());
  CHECK(difference(host, device) < tolerance<TestType>);
}

namespace {
/// Gradient descent that divides the rate by the number of the step, which it takes as a number.
struct Decaying : Momentum {
  template <class P, class M, class G>
  void update(P& p, M& m, const G& g, long t, double rate) const {
    Momentum::update(p, m, g, t, rate / static_cast<double>(t));
  }
};
}  // namespace

TEMPLATE_TEST_CASE("other rules on the device are those on the host", "", float, double) {
  const auto check = [](const auto& rule) {
    const auto [host, device] = parameters_by_host_and_device(rule, on_torch<TestType>());
    CHECK(difference(host, device) < tolerance<TestType>);
  };
  check(Momentum{.beta = 0.8});
  check(Momentum{.beta = 0});
  check(Decaying{});
}

TEMPLATE_TEST_CASE("an optimiser's state is all that training has left", "", float, double) {
  const auto runtime = on_torch<TestType>().start();
  const auto x = runtime.points(3, 50);
  runtime.upload(standard_normals(3, 50, 5), x);
  const libtorch::Slice s{0, 50};
  const auto train = [&](auto& net, auto& optimiser, int steps) {
    for (int k = 0; k < steps; ++k) {
      net.accumulate_vjp(s, x(s), net.forward(s, x(s)) + 1.0);
      optimiser.descend(net, 0.01);
      optimiser.accumulate_average(net);
    }
  };
  const auto make = [&] {
    return runtime.network(Quadratic{} + Mlp<16, 2>{}, 3, 50, 0, Keep::tile);
  };
  auto a = make(), b = make();
  auto of_a = runtime.optimiser(Adam{}, a), of_b = runtime.optimiser(Adam{}, b);
  train(a, of_a, 3);
  of_b.set_state(b, of_a.state(a));
  CHECK(of_b.state(b) == of_a.state(a));
  train(a, of_a, 2), train(b, of_b, 2);
  CHECK(of_b.state(b) == of_a.state(a));
  of_a.use_average(a), of_b.use_average(b);
  CHECK(a.parameters() == b.parameters());
  // Parameters that are set begin a new average.
  of_a.accumulate_average(a);
  const auto start = make().parameters();
  a.set_parameters(start);
  of_a.accumulate_average(a);
  of_a.use_average(a);
  CHECK(a.parameters() == start);
}

namespace mine {
/// u(x) = a·x, a specification of one's own.
struct Linear {
  static constexpr Output output = Output::scalar;
  static std::string name() { return "Linear"; }
  static constexpr auto fields() { return hana::make_tuple(); }
};
std::vector<double> initial_parameters(const Linear&, int dim, const Random&, std::uint32_t) {
  return std::vector<double>(static_cast<std::size_t>(dim), 1.0);
}
template <class Drop>
at::Tensor evaluate(const Linear&, libtorch::Pieces& p, const at::Tensor& x, Drop&&) {
  return at::matmul(x, p.next(x.size(1)));
}
}  // namespace mine

TEST_CASE("a specification of one's own is a formula") {
  const auto runtime = on_torch<double>().start();
  auto net = runtime.network(mine::Linear{}, 2, 3, 0, Keep::tile);
  const auto x = runtime.points(2, 3), dx = runtime.points(2, 3);
  runtime.upload(Particles{{1, 2, 3}, {4, 5, 6}}, x);
  const libtorch::Slice s{0, 3};
  const at::Tensor u = net.forward(s, x(s));
  CHECK(u.sum().item<double>() == 21);
  dx(s) = net.input_vjp(s, x(s), u);
  CHECK(runtime.download(dx) == Particles{{5, 7, 9}, {5, 7, 9}});
}
