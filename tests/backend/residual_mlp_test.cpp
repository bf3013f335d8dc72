// SPDX-License-Identifier: BSL-1.0
// The transport map ResidualMlp: T(x) − x by the plain formula, pullbacks against differences, the
// start.
#include "network_probe.hpp"

using namespace wgf;
using namespace wgf::test;

TEST_CASE("ResidualMlp is x plus the plain formula") {
  for (const int dim : {1, 5, 17}) {
    const Probe net =
        probe<Keep::batch, double>(ResidualMlp<16, 3, PRelu>{.input_scale = 1.5}, dim, 131);
    const auto values =
        list(0.4 * numbers(1, static_cast<long>(net.parameters().size()), 11).row(0).transpose());
    const Particles x = numbers(dim, 131, 12);
    net.set_parameters(values), net.set_x(x);
    const Eigen::MatrixXd plain = x + plain_network({dim, 16, 16, dim}, values, 1.5, true, {}, x);
    CHECK((net.forward() - plain).cwiseAbs().maxCoeff() <= 1e-13 * plain.cwiseAbs().maxCoeff());
  }
}

TEST_CASE("ResidualMlp: pullbacks with PRelu, kept through the batch") {
  check_all_shapes<Keep::batch>(ResidualMlp<16, 3, PRelu>{});
  check_pullbacks(
      probe<Keep::batch, double>(ResidualMlp<16, 3, PRelu>{.input_scale = 0.6}, 3, 131));
}
TEST_CASE("ResidualMlp: pullbacks with Silu, kept through the batch") {
  check_all_shapes<Keep::batch>(ResidualMlp<48, 3, Silu>{});
  check_pullbacks(probe<Keep::batch, double>(ResidualMlp<48, 3, Silu>{.input_scale = 1.7}, 3, 131));
}
TEST_CASE("ResidualMlp: pullbacks with Softplus, kept for a tile") {
  check_all_shapes<Keep::tile>(ResidualMlp<16, 2, Softplus>{});
  check_pullbacks(
      probe<Keep::tile, double>(ResidualMlp<16, 2, Softplus>{.input_scale = 1.7}, 3, 131));
}

TEST_CASE("ResidualMlp with an affine part: its formula and its pullbacks") {
  for (const int dim : {1, 5, 17}) {
    const ResidualMlp<16, 3, PRelu> spec{.input_scale = 1.5, .affine = true};
    const Probe net = probe<Keep::batch, double>(spec, dim, 131);
    const auto values =
        list(0.4 * numbers(1, static_cast<long>(net.parameters().size()), 11).row(0).transpose());
    const Particles x = numbers(dim, 131, 12);
    net.set_parameters(values), net.set_x(x);
    const auto layers = static_cast<std::ptrdiff_t>(values.size()) - dim * dim;
    // A is stored as A[in][out]; read column by column, it acts on a column vector.
    const Eigen::Map<const Eigen::MatrixXd> a(values.data() + layers, dim, dim);
    const Eigen::MatrixXd plain =
        x + a * x +
        plain_network({dim, 16, 16, dim}, {values.begin(), values.begin() + layers}, 1.5, true, {},
                      x);
    CHECK((net.forward() - plain).cwiseAbs().maxCoeff() <= 1e-13 * plain.cwiseAbs().maxCoeff());
  }
  check_all_shapes<Keep::batch>(ResidualMlp<16, 3, Silu>{.affine = true});
  check_pullbacks(probe<Keep::tile, double>(
      ResidualMlp<16, 2, Softplus>{.input_scale = 1.7, .affine = true}, 3, 131));
  for (const int dim : {17, 40})
    check_pullbacks(probe<Keep::batch, double>(ResidualMlp<16, 2, Silu>{.affine = true}, dim, 70));
}

TEST_CASE("ResidualMlp is the identity at the start") {
  for (const long batch : {1L, 700L}) {
    const Particles x = numbers(3, batch, 2);
    const Probe tile = probe<Keep::tile, double>(ResidualMlp<16, 2, Softplus>{}, 3, batch);
    const Probe whole =
        probe<Keep::batch, double>(ResidualMlp<16, 3, PRelu>{.input_scale = 3}, 3, batch);
    const Probe affine =
        probe<Keep::batch, double>(ResidualMlp<16, 3, Silu>{.affine = true}, 3, batch);
    tile.set_x(x), whole.set_x(x), affine.set_x(x);
    CHECK(affine.forward() == x);
    CHECK(tile.forward() == x);
    CHECK(whole.forward() == x);
  }
}
