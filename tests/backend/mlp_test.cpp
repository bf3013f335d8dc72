// SPDX-License-Identifier: BSL-1.0
// The dual network Mlp: its value by the plain formula, its pullbacks against differences.
#include "network_probe.hpp"

using namespace wgf;
using namespace wgf::test;

namespace {
double silu(double z) { return z / (1 + std::exp(-z)); }
double softplus(double z) { return z > 0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z)); }
double identity(double z) { return z; }

// At hidden units of any size: weights so large that pre-activations reach ±60.
void check_value(const Probe& net, int width, int depth, double input_scale,
                 const std::function<double(double)>& activation) {
  std::vector<int> sizes(static_cast<std::size_t>(depth) + 1, width);
  sizes.front() = net.dim, sizes.back() = 1;
  for (const double size : {0.3, 3.0}) {
    const auto count = static_cast<long>(net.parameters().size());
    const auto values = list(size * numbers(1, count, 11).row(0).transpose());
    const Particles x = 3 * numbers(net.dim, net.batch, 12);
    net.set_parameters(values), net.set_x(x);
    const Eigen::MatrixXd plain = plain_network(sizes, values, input_scale, net.piecewise_linear,
                                                activation, x),
                          u = net.forward();
    CHECK((u - plain).cwiseAbs().maxCoeff() <= 1e-13 * plain.cwiseAbs().maxCoeff());
    CHECK(net.parameters() == values);
  }
}
}  // namespace

TEST_CASE("Mlp computes the plain formula") {
  for (const int dim : {1, 5, 17}) {
    check_value(probe<Keep::tile, double>(Mlp<16, 3, PRelu>{}, dim, 131), 16, 3, 1, identity);
    check_value(probe<Keep::tile, double>(Mlp<16, 3, Silu>{.input_scale = 2.5}, dim, 131), 16, 3,
                2.5, silu);
    check_value(probe<Keep::tile, double>(Mlp<16, 2, Softplus>{}, dim, 131), 16, 2, 1, softplus);
    check_value(probe<Keep::tile, double>(Mlp<48, 4, Identity>{}, dim, 131), 48, 4, 1, identity);
  }
}

TEST_CASE("Mlp: pullbacks with PRelu") {
  check_all_shapes<Keep::tile>(Mlp<16, 3, PRelu>{});
  check_pullbacks(probe<Keep::tile, double>(Mlp<16, 3, PRelu>{.input_scale = 0.6}, 3, 131));
}
TEST_CASE("Mlp: pullbacks with Silu") {
  check_all_shapes<Keep::tile>(Mlp<16, 3, Silu>{});
  check_pullbacks(probe<Keep::tile, double>(Mlp<16, 3, Silu>{.input_scale = 1.7}, 3, 131));
}
TEST_CASE("Mlp: pullbacks with Softplus, of the least depth") {
  check_all_shapes<Keep::tile>(Mlp<16, 2, Softplus>{});
  check_pullbacks(probe<Keep::tile, double>(Mlp<16, 2, Softplus>{.input_scale = 1.7}, 3, 131));
}
TEST_CASE("Mlp: pullbacks with Identity, at a width of one and a half register tiles") {
  check_all_shapes<Keep::tile>(Mlp<48, 4, Identity>{});
  check_pullbacks(probe<Keep::tile, double>(Mlp<48, 4, Identity>{.input_scale = 1.7}, 3, 131));
}

TEST_CASE("Mlp: pullbacks with dropout go through the units that the forward pass kept") {
  for (const int dim : {1, 3})
    for (const long batch : {7L, 700L}) {
      check_pullbacks(
          probe<Keep::tile, double>(Mlp<16, 3, PRelu>{.dropout = 0.3}, dim, batch, {.draw = 42u}));
      check_pullbacks(
          probe<Keep::tile, double>(Mlp<16, 3, Silu>{.dropout = 0.3}, dim, batch, {.draw = 42u}));
      check_pullbacks(probe<Keep::tile, double>(
          Mlp<48, 4, Identity>{.dropout = 0.3, .input_scale = 2}, dim, batch, {.draw = 42u}));
    }
  // Without a draw nothing is dropped.
  check_pullbacks(probe<Keep::tile, double>(Mlp<16, 3, Silu>{.dropout = 0.3}, 3, 131));
}

TEST_CASE(
    "Mlp: dropout leaves the expectation of the last hidden layer and depends on the draw alone") {
  const long batch = 20000;
  const Probe plain = probe<Keep::tile, double>(Mlp<16, 2, Softplus>{}, 1, batch);
  const auto values =
      list(numbers(1, static_cast<long>(plain.parameters().size()), 21).row(0).transpose());
  const Particles x =
      Particles::Ones(1, batch);  // the same point many times, with other units dropped each time
  plain.set_parameters(values), plain.set_x(x);
  const double u = plain.forward()(0, 0);
  const auto dropped = [&](std::uint32_t draw, int threads) {
    const Probe net = probe<Keep::tile, double>(Mlp<16, 2, Softplus>{.dropout = 0.4}, 1, batch,
                                                {.threads = threads, .draw = draw});
    net.set_parameters(values), net.set_x(x);
    return net.forward();
  };
  const Eigen::MatrixXd first = dropped(1, 2);
  // u is linear in the last hidden layer. Its variance is p/(1 − p) Σ (w_j h_j)², here estimated;
  // four standard errors.
  const double mean = first.mean(), sd = std::sqrt((first.array() - mean).square().mean());
  CHECK(sd > 0.1);
  CHECK(std::abs(mean - u) < 4 * sd / std::sqrt(static_cast<double>(batch)));
  CHECK(first == dropped(1, 1));
  CHECK(first == dropped(1, 3));
  CHECK(first != dropped(2, 1));
}

TEST_CASE("Mlp starts near zero, differently for each stream, and restarts as it was made") {
  auto runtime = EigenBackend<double>{.seed = 1, .threads = 1}.start();
  auto net = runtime.network(Mlp<16, 3, Silu>{}, 3, 100, 7, Keep::tile);
  const auto start = net.parameters();
  CHECK(start.size() == (3 + 1) * 16 + (16 + 1) * 16 + 17);
  CHECK(start != runtime.network(Mlp<16, 3, Silu>{}, 3, 100, 8, Keep::tile).parameters());
  CHECK(start == runtime.network(Mlp<16, 3, Silu>{}, 3, 5, 7, Keep::tile).parameters());
  const Eigen::VectorXd values = test::vector(start);
  CHECK(values.head(64).cwiseAbs().maxCoeff() < 1 / std::sqrt(3.0));
  CHECK(values.segment(64, 272).cwiseAbs().maxCoeff() < 1 / 4.0);
  CHECK(values.tail(17).cwiseAbs().maxCoeff() < 0.1 / 4.0);
  CHECK(values.head(64).cwiseAbs().maxCoeff() > 0.5 / std::sqrt(3.0));
  net.set_parameters(std::vector<double>(start.size(), 1.0));
  net.restart();
  CHECK(net.parameters() == start);
}

TEST_CASE("Mlp refuses numbers that make no sense") {
  auto runtime = EigenBackend<double>{.threads = 1}.start();
  const auto make = [&](Mlp<16, 2, Softplus> spec) { runtime.network(spec, 1, 1, 0, Keep::tile); };
  CHECK_THROWS_WITH(make({.dropout = 1}), "wgf::Mlp: dropout must be in [0, 1), got 1.000000");
  CHECK_THROWS_WITH(make({.dropout = -0.1}), "wgf::Mlp: dropout must be in [0, 1), got -0.100000");
  CHECK_THROWS_AS(make({.dropout = std::nan("")}), std::invalid_argument);
  CHECK_THROWS_WITH(make({.input_scale = 0}),
                    "wgf::Mlp: input_scale must be positive, got 0.000000");
  CHECK_NOTHROW(make({.dropout = 0.99, .input_scale = 1e-3}));
}

TEST_CASE("a network refuses another number of parameters") {
  auto runtime = EigenBackend<double>{.threads = 1}.start();
  auto net = runtime.network(Mlp<16, 2, Softplus>{}, 1, 1, 0, Keep::tile);
  CHECK_THROWS_WITH(net.set_parameters(std::vector<double>(48)),
                    "wgf: a network of 49 parameters was given 48");
  CHECK_THROWS_WITH(net.set_parameters(std::vector<double>(50)),
                    "wgf: a network of 49 parameters was given 50");
}
