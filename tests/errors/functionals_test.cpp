// SPDX-License-Identifier: BSL-1.0
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/functional/functional.hpp>
#include <wgf/functional/tempered.hpp>

#include "refused.hpp"

using namespace wgf;
using Eigen::MatrixXd, Eigen::VectorXd;
using wgf::test::NaN, wgf::test::inf;

namespace {
const Gaussian normal = Gaussian::isotropic(2, 1);
struct SquaredDensity {
  auto energy(const auto& p) const { return p * p; }
};
struct BadKernel {  // with a gradient and a Hessian of a coordinate too few
  double value(const VectorXd&) const { return 0; }
  VectorXd gradient(const VectorXd& x) const { return x.head(1); }
  MatrixXd hessian(const VectorXd&) const { return MatrixXd::Zero(1, 1); }
};
}  // namespace

TEST_CASE("errors of functionals") {
  const auto f = potential(normal);
  REFUSED(std::invalid_argument, "wgf::Functional: a weight must be positive, got 0.000000", 0 * f);
  REFUSED(std::invalid_argument, "wgf::Functional: a weight must be positive, got -1.000000",
          -1 * f);
  REFUSED(std::invalid_argument, "wgf::Functional: a weight must be positive, got nan", NaN * f);
  REFUSED(std::invalid_argument, "wgf::Functional: a product of weights must be positive, got inf",
          1e200 * (1e200 * f));
  REFUSED(std::invalid_argument,
          "wgf::Functional: a product of weights must be positive, got 0.000000",
          1e-200 * (1e-200 * f));
  REFUSED(std::invalid_argument, "wgf::Functional: its terms have dimensions 2 and 3",
          (f + potential(Gaussian::isotropic(3, 1))).dim());
  REFUSED(std::invalid_argument,
          "wgf::entropy: the reference's inflation must be positive, got 0.000000",
          entropy(Dual<Quadratic>{.inflation = 0}));
  REFUSED(std::invalid_argument,
          "wgf::entropy: the reference's inflation must be positive, got inf",
          kl(normal, Dual<Quadratic>{.inflation = inf}));
  REFUSED(std::invalid_argument,
          "wgf::generalized_entropy: the exponent must be greater than 1, got 1.000000",
          generalized_entropy(1));
  REFUSED(std::invalid_argument,
          "wgf::generalized_entropy: the box's margin must be at least 1, got 0.500000",
          generalized_entropy(2, Dual<>{.margin = 0.5}));
  REFUSED(std::invalid_argument, "wgf::LogDeterminant: probes must be between 0 and 1000, got -1",
          entropy(LogDeterminant{.probes = -1}));
  REFUSED(std::invalid_argument, "wgf::LogDeterminant: probes must be between 0 and 1000, got 1001",
          entropy(LogDeterminant{.probes = 1001}));
  REFUSED(std::invalid_argument,
          "wgf::LogDeterminant: tolerance must be between 0 and 1, got 0.000000",
          kl(normal, LogDeterminant{.probes = 1, .tolerance = 0}));
  REFUSED(std::invalid_argument, "wgf::LogDeterminant: tolerance must be between 0 and 1, got nan",
          kl(normal, LogDeterminant{.probes = 1, .tolerance = NaN}));
  REFUSED(std::invalid_argument,
          "wgf::LogDeterminant: probes are for entropy and kl; other energies are nonlinear in the "
          "log-determinant, so that its noise would bias them",
          generalized_entropy(2, LogDeterminant{.probes = 1}));
  REFUSED(std::invalid_argument,
          "wgf::LogDeterminant: probes are for entropy and kl; other energies are nonlinear in the "
          "log-determinant, so that its noise would bias them",
          internal_energy(SquaredDensity{}, LogDeterminant{.probes = 1}));
  REFUSED(std::invalid_argument, "wgf::divergence_to: the samples must be finite, and at least one",
          divergence_to(Particles(2, 0), KullbackLeibler{}));
  REFUSED(std::invalid_argument, "wgf::divergence_to: the samples must be finite, and at least one",
          divergence_to(Particles::Constant(2, 5, NaN), KullbackLeibler{}));
}

TEST_CASE("errors of tempered targets") {
  const auto between = [](std::vector<double> temperatures, double step_size) {
    return tempered(normal, Gaussian::isotropic(2, 3), std::move(temperatures), step_size);
  };
  REFUSED(std::invalid_argument, "wgf::tempered: p_0 must have the target's dimension 2, got 3",
          tempered(normal, Gaussian::isotropic(3, 1), {1}, 0.1));
  REFUSED(std::invalid_argument, "wgf::tempered: at least one temperature is needed",
          between({}, 0.1));
  REFUSED(std::invalid_argument,
          "wgf::tempered: the temperatures must increase strictly from above 0 to at most 1, got "
          "0.000000 after 0.000000",
          between({0, 1}, 0.1));
  REFUSED(std::invalid_argument,
          "wgf::tempered: the temperatures must increase strictly from above 0 to at most 1, got "
          "0.500000 after 0.500000",
          between({0.5, 0.5}, 0.1));
  REFUSED(std::invalid_argument,
          "wgf::tempered: the temperatures must increase strictly from above 0 to at most 1, got "
          "1.500000 after 0.500000",
          between({0.5, 1.5}, 0.1));
  REFUSED(std::invalid_argument,
          "wgf::tempered: the temperatures must increase strictly from above 0 to at most 1, got "
          "nan after 0.000000",
          between({NaN}, 0.1));
  REFUSED(std::invalid_argument, "wgf::tempered: step_size must be positive, got 0.000000",
          between({1}, 0));
  REFUSED(std::invalid_argument, "wgf::tempered: step_size must be positive, got inf",
          between({1}, inf));
}

TEST_CASE("errors of kernels") {
  REFUSED(std::invalid_argument, "wgf::GaussianKernel: amplitude must be finite, got nan",
          interaction(GaussianKernel{.amplitude = NaN}));
  REFUSED(std::invalid_argument, "wgf::GaussianKernel: width must be positive, got 0.000000",
          interaction(GaussianKernel{.width = 0}));
  REFUSED(std::invalid_argument,
          "wgf::LogarithmicKernel: softening must not be negative, got -1.000000",
          interaction(LogarithmicKernel{.softening = -1}));
  REFUSED(std::invalid_argument, "a kernel's gradient at a point must have 2 coordinates, got 1",
          kernel_gradient(BadKernel{}, VectorXd::Zero(2)));
  REFUSED(std::invalid_argument, "a kernel's Hessian at a point must be 2 x 2, got 1 x 1",
          kernel_hessian(BadKernel{}, VectorXd::Zero(2)));
}

TEST_CASE("errors of sums over pairs") {
  eigen::ThreadTeam team(1, 0);
  const eigen::Points<double> two(2, 5), one(2, 1), none(2, 0), other(3, 5);
  const GaussianKernel kernel;
  REFUSED(std::invalid_argument,
          "wgf::pair_gradients: points and samples must have the same dimension, got 2 and 3",
          (eigen::pair_gradients<GaussianKernel, double>(team, kernel, two, other, two), 0));
  REFUSED(std::invalid_argument, "wgf::pair_gradients: there must be at least 1 samples, got 0",
          (eigen::pair_gradients<GaussianKernel, double>(team, kernel, two, none, two), 0));
  REFUSED(std::invalid_argument, "wgf::self_gradients: there must be at least 2 samples, got 1",
          (eigen::self_gradients<GaussianKernel, double>(team, kernel, one, one), 0));
  REFUSED(std::invalid_argument,
          "wgf::fast_pair_gradients: tolerance must be positive, got 0.000000",
          eigen::fast_pair_gradients<GaussianKernel, double>(team, kernel, two, two, two, 0));
}
