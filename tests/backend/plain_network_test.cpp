// SPDX-License-Identifier: BSL-1.0
// The plain backend's networks: pullbacks against differences, and the Eigen backend's values.
#include <wgf/backend/plain/backend.hpp>
#include <wgf/training/adam.hpp>
#include <wgf/training/momentum.hpp>

#include "network_probe.hpp"

using namespace wgf;
using namespace wgf::test;

static_assert(Runtime<plain::Runtime<float>> && Runtime<plain::Runtime<double>>);

namespace {
const PlainBackend<double> plainly{.seed = 3};

/// Pullbacks, and outputs at the parameters and points that the Eigen backend's network is given.
void check(const auto& spec, std::optional<std::uint32_t> draw = {}) {
  for (const int dim : {1, 3, 17})
    for (const long batch : {1L, 7L, 131L}) {
      const Probe net = probe_on<Keep::batch>(plainly, spec, dim, batch, draw),
                  other = probe<Keep::batch, double>(spec, dim, batch, {.draw = draw});
      CHECK(net.parameters() == other.parameters());
      check_pullbacks(net);
      const auto count = static_cast<long>(net.parameters().size());
      const auto values = list(0.4 * numbers(1, count, 21).row(0).transpose());
      const Particles x = numbers(dim, batch, 22);
      for (const Probe* p : {&net, &other}) p->set_parameters(values), p->set_x(x);
      CHECK((net.forward() - other.forward()).cwiseAbs().maxCoeff() <
            1e-12 * (1 + other.forward().cwiseAbs().maxCoeff()));
    }
}
}  // namespace

TEST_CASE("plain Mlp") {
  check(Mlp<16, 3>{});
  check(Mlp<16, 2, Silu>{.input_scale = 1.7});
  check(Mlp<16, 4, Softplus>{});
  check(Mlp<16, 3, Silu>{.dropout = 0.3}, 42u);
  check(Mlp<16, 3>{.dropout = 0.3}, 42u);
}
TEST_CASE("plain ResidualMlp and DeepLinear") {
  check(ResidualMlp<16, 3>{});
  check(ResidualMlp<16, 2, Silu>{.input_scale = 1.7});
  check(ResidualMlp<16, 2, Silu>{.input_scale = 1.7, .affine = true});
  check(DeepLinear<16, 3>{});
}
TEST_CASE("plain Affine, Quadratic and sums") {
  check(Affine{});
  check(Quadratic{});
  check(Quadratic{} + Mlp<16, 2, Silu>{.input_scale = 1.5});
  check(Quadratic{} + Mlp<16, 2>{.dropout = 0.2}, 42u);
}

TEST_CASE("plain optimisers are those of Eigen") {
  const auto trained = [](const auto& backend, const auto& rule) {
    const auto runtime = backend.start();
    using Slice = typename std::remove_cvref_t<decltype(runtime)>::Slice;
    auto net = runtime.network(Quadratic{} + Mlp<16, 2>{}, 3, 50, 5, Keep::tile);
    auto optimiser = runtime.optimiser(rule, net);
    const auto x = runtime.points(3, 50);
    runtime.upload(numbers(3, 50, 1), x);
    for (int k = 0; k < 6; ++k) {
      runtime.parallel(50, [&](Slice s) {
        const auto dy = evaluated((net.forward(s, x(s)) + 1.0) / 50.0);
        net.accumulate_vjp(s, x(s), dy);
      });
      optimiser.descend(net, 0.05, 1 - 0.1 * k, true);
      if (k > 2) optimiser.accumulate_average(net);
    }
    auto state = optimiser.state(net);
    // The state is all there is.
    auto copy = runtime.network(Quadratic{} + Mlp<16, 2>{}, 3, 50, 6, Keep::tile);
    auto of_copy = runtime.optimiser(rule, copy);
    of_copy.set_state(copy, state);
    CHECK(of_copy.state(copy) == state);
    of_copy.use_average(copy), optimiser.use_average(net);
    CHECK(copy.parameters() == net.parameters());
    copy.restart();
    CHECK(copy.parameters() ==
          runtime.network(Quadratic{} + Mlp<16, 2>{}, 3, 50, 6, Keep::tile).parameters());
    return state;
  };
  const auto same = [&](const auto& rule) {
    const Eigen::VectorXd a = vector(trained(plainly, rule)),
                          b = vector(trained(EigenBackend<double>{.seed = 3, .threads = 1}, rule));
    REQUIRE(a.size() == b.size());
    CHECK((a - b).norm() < 1e-12 * b.norm());
  };
  same(Adam{});
  same(Momentum{});
}
