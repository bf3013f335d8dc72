// SPDX-License-Identifier: BSL-1.0
#include <wgf/diagnostics/diagnose.hpp>

#include "solver.hpp"

using namespace wgf;
using Eigen::VectorXd;
using wgf::test::NaN, wgf::test::normal;

TEST_CASE("errors of diagnostics") {
  const VectorXd logs = VectorXd::Zero(30), few = VectorXd::Zero(24),
                 nan = VectorXd::Constant(30, NaN);
  const Particles x = standard_normals(2, 5, 1), many = standard_normals(2, 30, 1);
  const auto flow = wgf::test::solver().run(normal, {.steps = 0});
  const auto weights = importance(logs, logs);
  REFUSED(std::invalid_argument,
          "wgf::importance: every draw has two log-densities, got 30 of the target and 29 of the "
          "proposal",
          importance(logs, VectorXd(29)));
  REFUSED(std::invalid_argument, "wgf::importance: at least 25 draws are needed, got 24",
          importance(few, few));
  REFUSED(std::invalid_argument, "wgf::importance: the proposal's log-densities must be finite",
          importance(logs, nan));
  REFUSED(std::invalid_argument,
          "wgf::importance: the target's log-densities must be numbers below +∞",
          importance(nan, logs));
  REFUSED(std::invalid_argument, "wgf::importance: at least 25 draws are needed, got 0",
          importance(flow, normal, 0));
  REFUSED(std::invalid_argument, "wgf::importance: the samples have dimension 2, the target 3",
          importance(flow, Gaussian::isotropic(3, 1), 100));
  REFUSED(std::invalid_argument, "wgf::ImportanceSampling: there are 30 weights, for 5 columns",
          weights.mean(x));
  REFUSED(std::invalid_argument,
          "wgf::ImportanceSampling: at least one draw must be asked for, got 0",
          weights.resample(many, 0, 1));
  REFUSED(std::invalid_argument, "wgf::GeneralisedPareto::fit: at least 5 values are needed, got 4",
          GeneralisedPareto::fit(VectorXd::Ones(4)));
  REFUSED(std::invalid_argument,
          "wgf::GeneralisedPareto::fit: the values must be positive, finite and in ascending order",
          GeneralisedPareto::fit(VectorXd::LinSpaced(9, 2, 1)));
  REFUSED(std::invalid_argument,
          "wgf::stein_discrepancy: the samples have dimension 2, the target 3",
          stein_discrepancy(x, Gaussian::isotropic(3, 1)));
  REFUSED(std::invalid_argument,
          "wgf::stein_discrepancy: at least 2 samples are needed, all finite, got 1",
          stein_discrepancy(x.leftCols(1), normal));
  REFUSED(std::invalid_argument,
          "wgf::SteinOptions: scale must not be negative, points at least 2, bootstraps at least 1",
          stein_discrepancy(x, normal, {.scale = -1}));
  REFUSED(std::invalid_argument,
          "wgf::MissedMassOptions: draws must be at least 400, degrees at least 1, widening 0 or "
          "at least 1",
          missed_mass(weights, many, normal, {.draws = 399}));
  REFUSED(std::invalid_argument, "wgf::missed_mass: there are 30 weights for 5 samples",
          missed_mass(weights, x, normal));
  REFUSED(std::invalid_argument,
          "wgf::energy_decay: the tolerance must not be negative, got -1.000000",
          energy_decay({}, -1));
  REFUSED(std::invalid_argument, "wgf::importance: at least 25 draws are needed, got 3",
          diagnose(flow, normal, {.samples = 3}));
}
