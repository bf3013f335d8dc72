// SPDX-License-Identifier: BSL-1.0
// Every network on LibTorch against the Eigen backend's hand-written one: the same parameters at
// the start, values, pullbacks, Adam steps.
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
  compare<TestType>(DeepLinear<16, 3>{});
  compare<TestType>(Affine{});
  compare<TestType>(IcnnGradient<16, 1>{});
  compare<TestType>(IcnnGradient<32, 3>{.strong_convexity = 0.2, .input_scale = 2});
}

TEMPLATE_TEST_CASE("Adam with its numbers on the device is Adam", "", float, double) {
  const auto [host, device] = parameters_by_host_and_device(on_torch<TestType>());
  CHECK(difference(host, device) < tolerance<TestType>);
}
