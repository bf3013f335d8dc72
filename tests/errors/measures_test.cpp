// SPDX-License-Identifier: BSL-1.0
#include <wgf/measure/barenblatt.hpp>
#include <wgf/measure/block_mixture.hpp>
#include <wgf/measure/empirical.hpp>
#include <wgf/measure/fit_blocks.hpp>
#include <wgf/measure/fit_mixture.hpp>
#include <wgf/measure/gaussian_mixture.hpp>
#include <wgf/measure/uniform_box.hpp>

#include "refused.hpp"

using namespace wgf;
using Eigen::MatrixXd, Eigen::VectorXd, Eigen::Vector2d, Eigen::Vector3d;
using wgf::test::NaN, wgf::test::inf;

namespace {
const Gaussian normal = Gaussian::isotropic(2, 1), line = Gaussian::isotropic(1, 1);
const MatrixXd eye = MatrixXd::Identity(2, 2);
MatrixXd matrix(double a, double b, double c, double d) {
  return (MatrixXd(2, 2) << a, b, c, d).finished();
}
}  // namespace

TEST_CASE("errors of Gaussian") {
  REFUSED(std::invalid_argument,
          "wgf::Gaussian: the mean must have at least one coordinate, got none",
          Gaussian(VectorXd(), MatrixXd()));
  REFUSED(std::invalid_argument,
          "wgf::Gaussian: the covariance must be 2 x 2 like the mean, got 3 x 3",
          Gaussian(Vector2d(0, 0), MatrixXd::Identity(3, 3)));
  REFUSED(std::invalid_argument, "wgf::Gaussian: mean and covariance must be finite",
          Gaussian(Vector2d(NaN, 0), eye));
  REFUSED(std::invalid_argument, "wgf::Gaussian: mean and covariance must be finite",
          Gaussian(Vector2d(0, 0), inf * eye));
  REFUSED(std::invalid_argument,
          "wgf::Gaussian: the covariance must be symmetric, it differs from its transpose by 0.5",
          Gaussian(Vector2d(0, 0), matrix(1, 0.5, 0, 1)));
  REFUSED(std::invalid_argument,
          "wgf::Gaussian: the covariance must be positive definite to working precision",
          Gaussian(Vector2d(0, 0), matrix(1, 2, 2, 1)));
  REFUSED(std::invalid_argument,
          "wgf::Gaussian: the covariance must be positive definite to working precision",
          Gaussian(Vector2d(0, 0), 0 * eye));
  REFUSED(std::invalid_argument, "wgf::Gaussian: the dimension must be at least 1, got 0",
          Gaussian::isotropic(0, 1));
  REFUSED(std::invalid_argument, "wgf::Gaussian: the standard deviation must be positive, got -1",
          Gaussian::isotropic(2, -1));
  REFUSED(std::invalid_argument, "wgf::Gaussian: the standard deviation must be positive, got nan",
          Gaussian::isotropic(2, NaN));
  REFUSED(std::invalid_argument, "wgf::Gaussian: mean and covariance must be finite",
          Gaussian::isotropic(2, 1e200));
  REFUSED(std::invalid_argument,
          "wgf::Gaussian::fit: more particles than dimensions are needed, got 2 in 2 dimensions",
          Gaussian::fit(Particles::Zero(2, 2)));
  REFUSED(std::invalid_argument, "wgf::Gaussian: mean and covariance must be finite",
          Gaussian::fit(Particles::Constant(2, 9, NaN)));
  REFUSED(std::invalid_argument,
          "wgf::Gaussian: the covariance must be positive definite to working precision",
          Gaussian::fit(Particles::Ones(2, 9)));
  REFUSED(std::invalid_argument,
          "wgf::Gaussian::sample: at least one sample must be asked for, got 0",
          normal.sample(0, 1));
  REFUSED(std::invalid_argument,
          "wgf::Gaussian::quasi_random: at least one sample must be asked for, got 0",
          normal.quasi_random(0, 1));
  REFUSED(std::invalid_argument,
          "wgf::Gaussian::log_density: the point must have 2 coordinates, got 3",
          normal.log_density(Vector3d(1, 2, 3)));
  REFUSED(std::invalid_argument,
          "wgf::Gaussian::gradient: the point must have 2 coordinates, got 0",
          normal.gradient(VectorXd()));
  CHECK_THROWS_AS(normal.sample(std::numeric_limits<long>::max(), 1), std::bad_alloc);
}

TEST_CASE("errors of BlockMixture and its fit") {
  const GaussianMixture line({1.0}, {Gaussian::isotropic(1, 1)});
  const BlockMixture two({{{1}, line}, {{0}, line}});
  const Particles x = standard_normals(2, 20, 1);
  REFUSED(std::invalid_argument, "wgf::BlockMixture: at least one block is needed, got none",
          BlockMixture(std::vector<BlockMixture::Block>{}));
  REFUSED(std::invalid_argument,
          "wgf::BlockMixture: a block's law must have as many dimensions as the block has "
          "coordinates, got 1 and 2",
          BlockMixture({{{0, 1}, line}}));
  REFUSED(std::invalid_argument, "wgf::BlockMixture: coordinate 0 is in two blocks",
          BlockMixture({{{0}, line}, {{0}, line}}));
  REFUSED(std::invalid_argument,
          "wgf::BlockMixture: the coordinates of the blocks must be those from 0 to 0, got 1",
          BlockMixture({{{1}, line}}));
  REFUSED(std::invalid_argument,
          "wgf::BlockMixture::sample: at least one sample must be asked for, got 0",
          two.sample(0, 1));
  REFUSED(std::invalid_argument,
          "wgf::BlockMixture::quasi_random: at least one sample must be asked for, got 0",
          two.quasi_random(0, 1));
  REFUSED(std::invalid_argument,
          "wgf::BlockMixture::log_density: the point must have 2 coordinates, got 1",
          two.log_density(VectorXd::Zero(1)));
  REFUSED(std::invalid_argument,
          "wgf::BlockMixture::gradient: the point must have 2 coordinates, got 1",
          two.gradient(VectorXd::Zero(1)));
  REFUSED(std::invalid_argument, "wgf::dependent_blocks: dependence must be at least 0, got nan",
          dependent_blocks(x, NaN));
  REFUSED(std::invalid_argument,
          "wgf::dependent_blocks: the number of particles must be at least 10, got 9",
          dependent_blocks(x.leftCols(9)));
  REFUSED(std::invalid_argument, "wgf::fit_block_mixture: all particles are equal in coordinate 0",
          fit_block_mixture(Particles::Ones(2, 20), {{0, 1}}));
  REFUSED(std::invalid_argument, "wgf::fit_block_mixture: there is no coordinate 2",
          fit_block_mixture(x, {{0, 1, 2}}));
  REFUSED(std::invalid_argument, "wgf::BlockMixture: at least one block is needed, got none",
          fit_block_mixture(x, {}));
}
TEST_CASE("errors of fit_mixture") {
  const Particles x = Particles::Random(2, 20);
  REFUSED(std::invalid_argument,
          "wgf::MixtureFitOptions: most_components must be at least 1, got 0",
          fit_mixture(x, {.most_components = 0}));
  REFUSED(std::invalid_argument,
          "wgf::fit_mixture: the number of particles must be at least 10, got 9",
          fit_mixture(x.leftCols(9)));
  REFUSED(std::invalid_argument, "wgf::fit_mixture: the particles must be finite",
          fit_mixture(NaN * x));
  REFUSED(std::invalid_argument, "wgf::fit_mixture: all particles are equal in coordinate 0",
          fit_mixture(Particles::Ones(2, 20)));
  Particles same = Particles::Ones(2, 20);
  same.col(0) << 2, 2;
  REFUSED(std::invalid_argument, "wgf::fit_mixture: there are too few different particles",
          fit_mixture(same));
  REFUSED(std::invalid_argument, "wgf::fit_mixture: the particles have no finite likelihood",
          fit_mixture(1e200 * x));
}

TEST_CASE("errors of GaussianMixture") {
  REFUSED(std::invalid_argument, "wgf::GaussianMixture: at least one component is needed, got none",
          GaussianMixture({}, {}));
  REFUSED(std::invalid_argument,
          "wgf::GaussianMixture: every component needs a weight, got 1 weights for 2 components",
          GaussianMixture({1}, {line, line}));
  REFUSED(std::invalid_argument, "wgf::GaussianMixture: the weights must be positive, got 0.000000",
          GaussianMixture({1, 0}, {line, line}));
  REFUSED(std::invalid_argument, "wgf::GaussianMixture: the weights must be positive, got nan",
          GaussianMixture({1, NaN}, {line, line}));
  REFUSED(std::invalid_argument, "wgf::GaussianMixture: the weights' sum must be finite",
          GaussianMixture({1e308, 1e308}, {line, line}));
  REFUSED(std::invalid_argument, "wgf::GaussianMixture: a weight vanishes beside the others",
          GaussianMixture({1e300, 1e-300}, {line, line}));
  REFUSED(std::invalid_argument,
          "wgf::GaussianMixture: the components must have the same dimension, got 2 and 1",
          GaussianMixture({1, 1}, {normal, line}));
  REFUSED(std::invalid_argument, "wgf::GaussianMixture: at least one component is needed, got none",
          GaussianMixture::isotropic(MatrixXd(2, 0), 1));
  REFUSED(std::invalid_argument, "wgf::Gaussian: the standard deviation must be positive, got 0",
          GaussianMixture::isotropic(eye, 0));
  const auto two = GaussianMixture::isotropic(eye, 1);
  REFUSED(std::invalid_argument,
          "wgf::GaussianMixture::sample: at least one sample must be asked for, got -1",
          two.sample(-1, 1));
  REFUSED(std::invalid_argument,
          "wgf::GaussianMixture::quasi_random: at least one sample must be asked for, got -1",
          two.quasi_random(-1, 1));
  REFUSED(std::invalid_argument,
          "wgf::GaussianMixture::log_density: the point must have 2 coordinates, got 1",
          two.log_density(VectorXd::Zero(1)));
  REFUSED(std::invalid_argument,
          "wgf::GaussianMixture::mode_of: the point must have 2 coordinates, got 1",
          two.mode_of(VectorXd::Zero(1)));
}

TEST_CASE("errors of UniformBox") {
  REFUSED(std::invalid_argument,
          "wgf::UniformBox: the corners must have at least one coordinate, got none",
          UniformBox(VectorXd(), VectorXd()));
  REFUSED(std::invalid_argument,
          "wgf::UniformBox: the corners must have the same dimension, got 2 and 3",
          UniformBox(Vector2d(0, 0), Vector3d(1, 1, 1)));
  REFUSED(std::invalid_argument,
          "wgf::UniformBox: lower must be below upper and both finite, got 0.000000 and inf in "
          "coordinate 1",
          UniformBox(Vector2d(0, 0), Vector2d(1, inf)));
  REFUSED(std::invalid_argument,
          "wgf::UniformBox: lower must be below upper and both finite, got nan and 1.000000 in "
          "coordinate 0",
          UniformBox(Vector2d(NaN, 0), Vector2d(1, 1)));
  REFUSED(std::invalid_argument, "wgf::UniformBox: the dimension must be at least 1, got 0",
          UniformBox::cube(0, 1));
  REFUSED(std::invalid_argument,
          "wgf::UniformBox: lower must be below upper and both finite, got -0.000000 and 0.000000 "
          "in coordinate 0",
          UniformBox::cube(2, 0));
  const auto cube = UniformBox::cube(2, 1);
  REFUSED(std::invalid_argument,
          "wgf::UniformBox::sample: at least one sample must be asked for, got 0",
          cube.sample(0, 1));
  REFUSED(std::invalid_argument,
          "wgf::UniformBox::quasi_random: at least one sample must be asked for, got 0",
          cube.quasi_random(0, 1));
  REFUSED(std::invalid_argument,
          "wgf::UniformBox::log_density: the point must have 2 coordinates, got 3",
          cube.log_density(Vector3d(0, 0, 0)));
}

TEST_CASE("errors of Barenblatt") {
  REFUSED(std::invalid_argument, "wgf::Barenblatt: the dimension must be at least 1, got 0",
          Barenblatt::at(0, 2, 1));
  REFUSED(std::invalid_argument, "wgf::Barenblatt: the exponent must be above 1, got 1.000000",
          Barenblatt::at(2, 1, 1));
  REFUSED(std::invalid_argument, "wgf::Barenblatt: the exponent must be above 1, got inf",
          Barenblatt::at(2, inf, 1));
  REFUSED(std::invalid_argument, "wgf::Barenblatt::at: the time must be positive, got 0.000000",
          Barenblatt::at(2, 2, 0));
  REFUSED(std::invalid_argument,
          "wgf::Barenblatt: the centre must have at least one coordinate, got none",
          Barenblatt::at(VectorXd(), 2, 1));
  REFUSED(std::invalid_argument, "wgf::Barenblatt: the centre must be finite",
          Barenblatt::with_radius(Vector2d(inf, 0), 2, 1));
  REFUSED(std::invalid_argument, "wgf::Barenblatt: the radius must be positive, got -1.000000",
          Barenblatt::with_radius(2, 2, -1));
  REFUSED(std::invalid_argument,
          "wgf::Barenblatt: the radius must have a square that is a number, neither 0 nor infinite",
          Barenblatt::with_radius(2, 2, 1e200));
  const auto profile = Barenblatt::with_radius(2, 2, 1);
  REFUSED(std::invalid_argument,
          "wgf::Barenblatt::sample: at least one sample must be asked for, got 0",
          profile.sample(0, 1));
  REFUSED(std::invalid_argument,
          "wgf::Barenblatt::quasi_random: at least one sample must be asked for, got 0",
          profile.quasi_random(0, 1));
  REFUSED(std::invalid_argument,
          "wgf::Barenblatt::log_density: the point must have 2 coordinates, got 3",
          profile.log_density(Vector3d(0, 0, 0)));
}

TEST_CASE("errors of Empirical") {
  REFUSED(std::invalid_argument,
          "wgf::Empirical: at least one particle is needed, got 0 in 2 dimensions",
          Empirical(Particles(2, 0)));
  REFUSED(std::invalid_argument,
          "wgf::Empirical: at least one particle is needed, got 3 in 0 dimensions",
          Empirical(Particles(0, 3)));
  REFUSED(std::invalid_argument, "wgf::Empirical: the particles must be finite",
          Empirical(Particles::Constant(2, 3, NaN)));
  REFUSED(std::invalid_argument,
          "wgf::Empirical::sample: at least one sample must be asked for, got 0",
          Empirical(Particles::Zero(2, 3)).sample(0, 1));
  REFUSED(std::invalid_argument,
          "wgf::Empirical::quasi_random: at least one sample must be asked for, got 0",
          Empirical(Particles::Zero(2, 3)).quasi_random(0, 1));
}
