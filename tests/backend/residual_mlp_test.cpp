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

TEST_CASE("ResidualMlp is the identity at the start") {
  for (const long batch : {1L, 700L}) {
    const Particles x = numbers(3, batch, 2);
    const Probe tile = probe<Keep::tile, double>(ResidualMlp<16, 2, Softplus>{}, 3, batch);
    const Probe whole =
        probe<Keep::batch, double>(ResidualMlp<16, 3, PRelu>{.input_scale = 3}, 3, batch);
    tile.set_x(x), whole.set_x(x);
    CHECK(tile.forward() == x);
    CHECK(whole.forward() == x);
  }
}
