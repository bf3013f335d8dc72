// SPDX-License-Identifier: BSL-1.0
#include <wgf/exact/aggregation.hpp>
#include <wgf/exact/finite_volume.hpp>
#include <wgf/exact/langevin.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/exact/porous_medium.hpp>
#include <wgf/exact/quantile_jko.hpp>
#include <wgf/exact/targets.hpp>

#include "refused.hpp"

using namespace wgf;
using Eigen::MatrixXd, Eigen::VectorXd, Eigen::Vector2d, Eigen::Vector3d;
using wgf::test::NaN, wgf::test::inf;

namespace {
const MatrixXd eye = MatrixXd::Identity(2, 2);
const Gaussian normal = Gaussian::isotropic(2, 1);
}  // namespace

TEST_CASE("errors of OrnsteinUhlenbeck") {
  REFUSED(std::invalid_argument,
          "wgf::OrnsteinUhlenbeck: the precision must be square and of b's dimension 3, got 2 x 2",
          OrnsteinUhlenbeck(eye, Vector3d(0, 0, 0)));
  REFUSED(std::invalid_argument, "wgf::OrnsteinUhlenbeck: the precision and b must be finite",
          OrnsteinUhlenbeck(eye, Vector2d(NaN, 0)));
  REFUSED(std::invalid_argument, "wgf::OrnsteinUhlenbeck: the precision must be symmetric",
          OrnsteinUhlenbeck((MatrixXd(2, 2) << 1, 1, 0, 1).finished(), Vector2d(0, 0)));
  REFUSED(std::invalid_argument,
          "wgf::OrnsteinUhlenbeck: the precision must be positive definite, its smallest "
          "eigenvalue is -1.000000",
          OrnsteinUhlenbeck(-eye, Vector2d(0, 0)));
  REFUSED(std::invalid_argument, "wgf::OrnsteinUhlenbeck: the dimension must be at least 1, got 0",
          OrnsteinUhlenbeck::random(0, 1));
  const auto ou = OrnsteinUhlenbeck::random(2, 1);
  REFUSED(std::invalid_argument,
          "wgf::OrnsteinUhlenbeck::at: the time must not be negative, got -1.000000", ou.at(-1));
  REFUSED(std::invalid_argument, "wgf::OrnsteinUhlenbeck: step_size must be positive, got 0.000000",
          ou.jko(1, 0));
  REFUSED(std::invalid_argument, "wgf::OrnsteinUhlenbeck::jko: steps must not be negative, got -1",
          ou.jko(-1, 0.1));
  REFUSED(std::invalid_argument,
          "wgf::OrnsteinUhlenbeck::jko_iterate: the Gaussian must have dimension 2, got 3",
          ou.jko_iterate(Gaussian::isotropic(3, 1), 0.1));
  REFUSED(std::invalid_argument,
          "wgf::OrnsteinUhlenbeck::jko_iterate: the covariance must commute with the precision A",
          ou.jko_iterate(Gaussian(Vector2d(0, 0), Vector2d(1, 2).asDiagonal()), 0.1));
  REFUSED(std::invalid_argument,
          "wgf::OrnsteinUhlenbeck::midpoint: step_size must be so small that a half step contracts "
          "by less than a half, got 100.000000",
          OrnsteinUhlenbeck(100 * eye, Vector2d(0, 0)).midpoint(1, 100));
}

TEST_CASE("errors of PorousMedium") {
  REFUSED(std::invalid_argument, "wgf::Barenblatt: the exponent must be above 1, got 1.000000",
          PorousMedium(2, 1));
  REFUSED(std::invalid_argument,
          "wgf::PorousMedium: the confinement must not be negative, got -1.000000",
          PorousMedium(2, 2, -1));
  const PorousMedium flow(2, 2);
  const auto p = Barenblatt::at(2, 2, 1);
  REFUSED(std::invalid_argument,
          "wgf::PorousMedium::at: the profile must have dimension 2 and exponent 2.000000, got 2 "
          "and 3.000000",
          flow.at(Barenblatt::at(2, 3, 1), 1));
  REFUSED(std::invalid_argument, "wgf::PorousMedium::at: the time must not be negative, got nan",
          flow.at(p, NaN));
  REFUSED(std::invalid_argument, "wgf::PorousMedium: step_size must be positive, got -1.000000",
          flow.jko_iterate(p, -1));
  REFUSED(std::invalid_argument, "wgf::PorousMedium::jko: steps must not be negative, got -1",
          flow.jko(p, -1, 1));
  REFUSED(std::logic_error, "wgf::PorousMedium::steady_state: there is none without confinement",
          flow.steady_state());
}

TEST_CASE("errors of aggregation and heat") {
  REFUSED(std::invalid_argument, "wgf::QuarticRing: the dimension must be at least 1, got 0",
          QuarticRing::radius(0));
  REFUSED(std::invalid_argument, "wgf::Semicircle: the radius must be positive, got 0.000000",
          Semicircle(0));
  REFUSED(std::invalid_argument, "wgf::Semicircle::quantile: u must be in [0, 1], got 1.500000",
          Semicircle().quantile(1.5));
  REFUSED(std::invalid_argument,
          "wgf::Semicircle::sample: at least one sample must be asked for, got 0",
          Semicircle().sample(0, 1));
  REFUSED(std::invalid_argument, "wgf::Heat::at: the time must not be negative, got -1.000000",
          Heat::at(normal, -1));
  REFUSED(std::invalid_argument, "wgf::Heat: step_size must be positive, got inf",
          Heat::jko_iterate(normal, inf));
  REFUSED(std::invalid_argument, "wgf::Heat::jko: steps must not be negative, got -1",
          Heat::jko(normal, -1, 1));
}

TEST_CASE("errors of QuantileJko") {
  REFUSED(std::invalid_argument,
          "wgf::QuantileJko: the diffusion must not be negative, got -1.000000",
          QuantileJko({.diffusion = -1}, 0.1));
  REFUSED(std::invalid_argument, "wgf::QuantileJko: the exponent must be at least 1, got 0.500000",
          QuantileJko({.exponent = 0.5}, 0.1));
  REFUSED(std::invalid_argument,
          "wgf::QuantileJko: a potential needs its value, derivative and curvature",
          QuantileJko({.potential = [](double x) { return x; }}, 0.1));
  REFUSED(std::invalid_argument, "wgf::QuantileJko: step_size must be positive, got 0.000000",
          QuantileJko({}, 0));
  const QuantileJko jko({}, 0.1);
  REFUSED(std::invalid_argument,
          "wgf::QuantileJko::quantiles: at least one must be asked for, got -1",
          QuantileJko::quantiles([](double u) { return u; }, -1));
  REFUSED(std::invalid_argument,
          "wgf::QuantileJko::density: at least two quantiles are needed, got 0",
          QuantileJko::density(VectorXd()));
  REFUSED(std::invalid_argument,
          "wgf::QuantileJko::midpoints: at least two quantiles are needed, got 0",
          QuantileJko::midpoints(VectorXd()));
  REFUSED(std::invalid_argument,
          "wgf::QuantileJko::step: at least two quantiles in strictly ascending order are needed",
          jko.step(Vector2d(1, 0)));
  REFUSED(std::invalid_argument,
          "wgf::QuantileJko::step: at least two quantiles in strictly ascending order are needed",
          jko.step(Vector2d(0, NaN)));
  REFUSED(std::invalid_argument, "wgf::QuantileJko::run: steps must not be negative, got -1",
          jko.run(Vector2d(0, 1), -1));
  REFUSED(
      std::runtime_error,
      "wgf::QuantileJko::step: particles pass one another in the interaction's forward step; "
      "step_size 3.000000 is too long",
      QuantileJko({.interaction_derivative = [](double x) { return x; }}, 3).step(Vector2d(0, 1)));
}

TEST_CASE("errors of FiniteVolume") {
  const CellGrid grid = CellGrid::cube(1, 1, 4);
  const Eigen::ArrayXXd ones = Eigen::ArrayXXd::Ones(4, 1);
  REFUSED(std::invalid_argument, "wgf::CellGrid: the grid must have one or two dimensions, got 3",
          CellGrid::cube(3, 1, 4));
  REFUSED(std::invalid_argument, "wgf::CellGrid: half_width must be positive, got nan",
          CellGrid::cube(1, NaN, 4));
  REFUSED(std::invalid_argument, "wgf::CellGrid: a side must have at least 2 cells, got -4",
          CellGrid::cube(1, 1, -4));
  REFUSED(std::invalid_argument, "wgf::CellGrid::means: parts must be positive, got 0",
          grid.means([](const VectorXd& x) { return x[0]; }, 0));
  REFUSED(std::invalid_argument,
          "wgf::FiniteVolume: the grid must have one or two dimensions, got 0",
          FiniteVolume({}, {}, ones));
  REFUSED(std::invalid_argument,
          "wgf::FiniteVolume: the density must be 4 x 1 like the grid, got 3 x 1",
          FiniteVolume(grid, {}, ones.topRows(3)));
  REFUSED(std::invalid_argument,
          "wgf::FiniteVolume: the density must be finite, nowhere negative and somewhere positive",
          FiniteVolume(grid, {}, -ones));
  REFUSED(std::invalid_argument,
          "wgf::FiniteVolume: the density must be finite, nowhere negative and somewhere positive",
          FiniteVolume(grid, {}, 0 * ones));
  REFUSED(std::invalid_argument, "wgf::FiniteVolume: the interaction's strength must be finite",
          FiniteVolume(grid, {.strength = inf}, ones));
  REFUSED(std::invalid_argument,
          "wgf::FiniteVolume: the diffusion must not be negative, got -1.000000",
          FiniteVolume(grid, {.diffusion = -1}, ones));
  REFUSED(std::invalid_argument, "wgf::FiniteVolume: the exponent must be at least 1, got 0.000000",
          FiniteVolume(grid, {.exponent = 0}, ones));
  REFUSED(std::invalid_argument,
          "wgf::FiniteVolume: the potential must be finite at the cells' centres",
          FiniteVolume(grid, {.potential = [](const VectorXd&) { return inf; }}, ones));
  REFUSED(std::invalid_argument,
          "wgf::FiniteVolume: the interaction must have a finite mean over each cell",
          FiniteVolume(grid, {.interaction = [](const VectorXd&) { return NaN; }}, ones));
  FiniteVolume pde(grid, {.diffusion = 1}, ones);
  pde.advance(1);
  REFUSED(std::invalid_argument,
          "wgf::FiniteVolume::advance: the time must not be before 1.000000, got 0.500000",
          (pde.advance(0.5), 0));
  REFUSED(std::invalid_argument,
          "wgf::FiniteVolume::value_at: the point must have 1 coordinates, got 2",
          pde.value_at(Vector2d(0, 0)));
  REFUSED(std::invalid_argument,
          "wgf::FiniteVolume::sample: at least one sample must be asked for, got 0",
          pde.sample(0, 1));
}

TEST_CASE("errors of langevin") {
  struct Short {  // a gradient of one coordinate too few
    int dim() const { return 2; }
    double log_density(const VectorXd&) const { return 0; }
    VectorXd gradient(const VectorXd& x) const { return x.head(1); }
  };
  const Particles x = Particles::Zero(2, 3);
  REFUSED(std::invalid_argument,
          "wgf::langevin: the particles must have the target's dimension 2, got 3",
          langevin(normal, Particles(3, 3), 1, 0.1, 1));
  REFUSED(std::invalid_argument, "wgf::langevin: the particles must be finite",
          langevin(normal, Particles::Constant(2, 3, NaN), 1, 0.1, 1));
  REFUSED(std::invalid_argument, "wgf::langevin: the time must not be negative, got inf",
          langevin(normal, x, inf, 0.1, 1));
  REFUSED(std::invalid_argument, "wgf::langevin: dt must be positive, got nan",
          langevin(normal, x, 1, NaN, 1));
  REFUSED(std::invalid_argument,
          "wgf::langevin: dt must allow fewer than 2^32 steps, got 10000000000.000000",
          langevin(normal, x, 1, 1e-10, 1));
  REFUSED(std::invalid_argument,
          "wgf::langevin: the target's gradient must have 2 coordinates, got 1",
          langevin(Short{}, x, 1, 0.1, 1));
  REFUSED(std::runtime_error,
          "wgf::langevin: the particles diverged; dt = 100.000000 is too long for this target",
          langevin(normal, x, 1e5, 100, 1));
}

TEST_CASE("errors of sampling targets") {
  const VectorXd three = VectorXd::Zero(3);
  REFUSED(std::invalid_argument, "wgf::Funnel: the dimension must be at least 2, got 1", Funnel(1));
  REFUSED(std::invalid_argument, "wgf::Funnel: the variance must be positive, got 0.000000",
          Funnel(3, 0));
  REFUSED(std::invalid_argument,
          "wgf::Funnel::log_density: the point must have 10 coordinates, got 3",
          Funnel().log_density(three));
  REFUSED(std::invalid_argument, "wgf::Funnel::gradient: the point must have 10 coordinates, got 2",
          Funnel().gradient(VectorXd::Zero(2)));
  REFUSED(std::invalid_argument,
          "wgf::Funnel::sample: at least one sample must be asked for, got 0",
          Funnel().sample(0, 1));
  REFUSED(std::invalid_argument, "wgf::Mustache: the correlation must be in (-1, 1), got 1.000000",
          Mustache(1));
  REFUSED(std::invalid_argument,
          "wgf::Mustache::log_density: the point must have 2 coordinates, got 3",
          Mustache().log_density(three));
  REFUSED(std::invalid_argument,
          "wgf::Mustache::gradient: the point must have 2 coordinates, got 3",
          Mustache().gradient(three));
  REFUSED(std::invalid_argument,
          "wgf::Mustache::sample: at least one sample must be asked for, got 0",
          Mustache().sample(0, 1));
  REFUSED(std::invalid_argument, "wgf::ManyWell: the number of copies must be from 1 to 62, got 0",
          ManyWell(0));
  REFUSED(std::invalid_argument,
          "wgf::ManyWell::modes: 2^32 modes are too many for a list; it has at most 2^20",
          ManyWell(32).modes());
  REFUSED(std::invalid_argument,
          "wgf::ManyWell::weights: 2^32 modes are too many for a list; it has at most 2^20",
          ManyWell(32).weights());
  REFUSED(std::invalid_argument,
          "wgf::ManyWell::log_density: the point must have 4 coordinates, got 3",
          ManyWell(2).log_density(three));
  REFUSED(std::invalid_argument,
          "wgf::ManyWell::gradient: the point must have 4 coordinates, got 3",
          ManyWell(2).gradient(three));
  REFUSED(std::invalid_argument, "wgf::ManyWell::mode_of: the point must have 4 coordinates, got 3",
          ManyWell(2).mode_of(three));
  REFUSED(std::invalid_argument,
          "wgf::ManyWell::sample: at least one sample must be asked for, got 0",
          ManyWell(2).sample(0, 1));
  REFUSED(std::invalid_argument, "wgf::DoubleWell: the dimension must be at least 1, got 0",
          DoubleWell(0));
  REFUSED(std::invalid_argument, "wgf::DoubleWell: the number of wells must be from 1 to 2, got 3",
          DoubleWell(2, 3));
  REFUSED(std::invalid_argument, "wgf::DoubleWell: delta must be positive, got -1.000000",
          DoubleWell(2, 2, -1));
  REFUSED(std::invalid_argument,
          "wgf::DoubleWell::modes: 2^21 modes are too many for a list; it has at most 2^20",
          DoubleWell(21, 21).modes());
  REFUSED(std::invalid_argument,
          "wgf::DoubleWell::weights: 2^21 modes are too many for a list; it has at most 2^20",
          DoubleWell(21, 21).weights());
  REFUSED(std::invalid_argument,
          "wgf::DoubleWell::log_density: the point must have 5 coordinates, got 3",
          DoubleWell().log_density(three));
  REFUSED(std::invalid_argument,
          "wgf::DoubleWell::gradient: the point must have 5 coordinates, got 3",
          DoubleWell().gradient(three));
  REFUSED(std::invalid_argument,
          "wgf::DoubleWell::mode_of: the point must have 5 coordinates, got 3",
          DoubleWell().mode_of(three));
  REFUSED(std::invalid_argument,
          "wgf::DoubleWell::sample: at least one sample must be asked for, got 0",
          DoubleWell().sample(0, 1));
  REFUSED(std::invalid_argument,
          "wgf::StudentMixture: the number of components must be at least 1, got 0",
          StudentMixture(MatrixXd(2, 0)));
  REFUSED(std::invalid_argument, "wgf::StudentMixture: the dimension must be at least 1, got 0",
          StudentMixture(MatrixXd(0, 2)));
  REFUSED(std::invalid_argument, "wgf::StudentMixture: the means must be finite",
          StudentMixture(NaN * eye));
  REFUSED(std::invalid_argument,
          "wgf::StudentMixture::uniform: the number of components must be at least 1, got 0",
          StudentMixture::uniform(2, 0));
  REFUSED(std::invalid_argument,
          "wgf::StudentMixture::log_density: the point must have 2 coordinates, got 3",
          StudentMixture(eye).log_density(three));
  REFUSED(std::invalid_argument,
          "wgf::StudentMixture::gradient: the point must have 2 coordinates, got 3",
          StudentMixture(eye).gradient(three));
  REFUSED(std::invalid_argument,
          "wgf::StudentMixture::sample: at least one sample must be asked for, got 0",
          StudentMixture(eye).sample(0, 1));
  REFUSED(std::invalid_argument,
          "wgf::uniform_mixture: the number of components must be at least 1, got 0",
          uniform_mixture(0, 2, 1, 1));
  REFUSED(std::invalid_argument, "wgf::uniform_mixture: the dimension must be at least 1, got 0",
          uniform_mixture(1, 0, 1, 1));
  REFUSED(std::invalid_argument,
          "wgf::uniform_mixture: the half width must be positive, got -1.000000",
          uniform_mixture(1, 2, -1, 1));
}

TEST_CASE("errors of LogisticRegression") {
  const Vector2d labels(0, 1);
  const Vector3d three(0, 1, 1);
  REFUSED(std::invalid_argument,
          "wgf::LogisticRegression: the design must have rows and columns, got 0 x 2",
          LogisticRegression(MatrixXd(0, 2), VectorXd()));
  REFUSED(std::invalid_argument,
          "wgf::LogisticRegression: every row of the design needs a label, got 3 labels for 2 rows",
          LogisticRegression(eye, three));
  REFUSED(std::invalid_argument, "wgf::LogisticRegression: the design must be finite",
          LogisticRegression(inf * eye, labels));
  REFUSED(std::invalid_argument,
          "wgf::LogisticRegression: the prior's standard deviation must be positive, got 0.000000",
          LogisticRegression(eye, labels, 0));
  REFUSED(std::invalid_argument, "wgf::LogisticRegression: the labels must be 0 or 1, got 2.000000",
          LogisticRegression(eye, 2 * labels));
  REFUSED(std::invalid_argument,
          "wgf::LogisticRegression::standardised: the columns must not be constant, column 0 is",
          LogisticRegression::standardised(MatrixXd::Ones(2, 1), labels));
  const LogisticRegression posterior(eye, labels);
  Particles out;
  REFUSED(std::invalid_argument,
          "wgf::LogisticRegression::log_density: the point must have 2 coordinates, got 3",
          posterior.log_density(three));
  REFUSED(std::invalid_argument,
          "wgf::LogisticRegression::gradient: the point must have 2 coordinates, got 3",
          posterior.gradient(three));
  REFUSED(std::invalid_argument,
          "wgf::LogisticRegression::gradients: the point must have 2 coordinates, got 3",
          (posterior.gradients(Particles(3, 1), out), 0));
  REFUSED(std::invalid_argument,
          "wgf::LogisticRegression::hessian: the point must have 2 coordinates, got 3",
          posterior.hessian(three));
}
