// SPDX-License-Identifier: BSL-1.0
// The affine maps and the quadratic dual network: values in closed form, pullbacks against
// differences.
#include "network_probe.hpp"

using namespace wgf;
using namespace wgf::test;

namespace {
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::VectorXd given(const Probe& net, const Particles& x) {
  const Eigen::VectorXd values =
      0.4 * numbers(1, static_cast<long>(net.parameters().size()), 11).row(0).transpose();
  net.set_parameters(list(values)), net.set_x(x);
  return values;
}
}  // namespace

TEST_CASE("Affine: T(x) = x + A x + b, the identity at the start") {
  for (const int dim : {1, 3, 17}) {
    const Particles x = numbers(dim, 131, 12);
    const Probe net = probe<Keep::batch, double>(Affine{}, dim, 131);
    net.set_x(x);
    CHECK(net.forward() == x);
    const Eigen::VectorXd p = given(net, x);
    const Eigen::MatrixXd a = Eigen::Map<const RowMajor>(p.data(), dim, dim)
                                  .transpose();  // in the list, a row for each input
    CHECK((net.forward() - ((x + a * x).colwise() + p.tail(dim))).cwiseAbs().maxCoeff() <
          1e-13 * dim);
  }
}
TEST_CASE("Affine: pullbacks") {
  check_all_shapes<Keep::tile>(Affine{});
  check_all_shapes<Keep::batch>(Affine{});
}

TEST_CASE("DeepLinear is x plus the plain product of layers, the identity at the start") {
  for (const int dim : {1, 3, 17}) {
    const Particles x = numbers(dim, 131, 12);
    const Probe net = probe<Keep::batch, double>(DeepLinear<32, 4>{.input_scale = 1.5}, dim, 131);
    net.set_x(x);
    CHECK(net.forward() == x);
    const auto identity = [](double z) { return z; };
    const auto p = list(given(net, x));
    const Eigen::MatrixXd plain =
        x + plain_network({dim, 32, 32, 32, dim}, p, 1.5, false, identity, x);
    CHECK((net.forward() - plain).cwiseAbs().maxCoeff() < 1e-13 * plain.cwiseAbs().maxCoeff());
  }
}
TEST_CASE("DeepLinear: pullbacks") {
  check_all_shapes<Keep::tile>(DeepLinear<16, 2>{});
  check_all_shapes<Keep::batch>(DeepLinear<32, 4>{});
  check_pullbacks(probe<Keep::batch, double>(DeepLinear<32, 4>{.input_scale = 1.7}, 3, 131));
}

TEST_CASE(
    "Quadratic: u(x) = ½ xᵀSx + bᵀx + c with the symmetric part of the parameter, zero at the "
    "start") {
  for (const int dim : {1, 3, 17}) {
    const Particles x = numbers(dim, 131, 12);
    const Probe net = probe<Keep::tile, double>(Quadratic{}, dim, 131);
    net.set_x(x);
    CHECK(net.forward().isZero(0));
    const Eigen::VectorXd p = given(net, x);
    const Eigen::MatrixXd m = Eigen::Map<const RowMajor>(p.data(), dim, dim);
    const Eigen::VectorXd b = p.segment(dim * dim, dim);
    for (long i = 0; i < 131; ++i) {
      const Eigen::VectorXd at = x.col(i);
      CHECK(net.forward()(0, i) == Approx(0.5 * at.dot(m * at) + b.dot(at) + p[dim * dim + dim])
                                       .epsilon(1e-12)
                                       .margin(1e-12));
    }
  }
}
TEST_CASE("Quadratic: pullbacks") { check_all_shapes<Keep::tile>(Quadratic{}); }

TEST_CASE("Quadratic + Mlp is the sum of both, the first one's parameters first") {
  const Probe sum = probe<Keep::tile, double>(Quadratic{} + Mlp<16, 2, Silu>{.input_scale = 1.5}, 3,
                                              131),
              quadratic = probe<Keep::tile, double>(Quadratic{}, 3, 131),
              mlp = probe<Keep::tile, double>(Mlp<16, 2, Silu>{.input_scale = 1.5}, 3, 131);
  const Particles x = numbers(3, 131, 12);
  const auto values = list(given(sum, x));
  quadratic.set_parameters({values.begin(), values.begin() + 13}),
      mlp.set_parameters({values.begin() + 13, values.end()});
  quadratic.set_x(x), mlp.set_x(x);
  CHECK(sum.forward() == quadratic.forward() + mlp.forward());
  CHECK(sum.name == "Quadratic + Mlp<16, 2, Silu>");
}
TEST_CASE("Quadratic + Mlp: pullbacks") {
  check_all_shapes<Keep::tile>(Quadratic{} + Mlp<16, 2, Silu>{.input_scale = 1.5});
  check_pullbacks(probe<Keep::tile, double>(Quadratic{} + Mlp<16, 2, Silu>{.dropout = 0.3}, 3, 131,
                                            {.draw = 42u}));
}
TEST_CASE("Quadratic + Mlp refuses another number of parameters") {
  const Probe sum = probe<Keep::tile, double>(Quadratic{} + Mlp<16, 2, Silu>{}, 1, 1);
  for (const std::size_t n :
       {std::size_t(0), std::size_t(2), std::size_t(3), std::size_t(51), std::size_t(53)})
    CHECK_THROWS_AS(sum.set_parameters(std::vector<double>(n)), std::invalid_argument);
  CHECK_NOTHROW(sum.set_parameters(std::vector<double>(52)));
}
