// SPDX-License-Identifier: BSL-1.0
// Mixtures of independent blocks of coordinates: their law, and their fit to particles.
#include "catch.hpp"

#include <wgf/exact/targets/wells.hpp>
#include <wgf/measure/block_mixture.hpp>
#include <wgf/measure/fit_blocks.hpp>

using namespace wgf;

namespace {
GaussianMixture line(double left, double right) {
  return {{1.0, 3.0},
          {Gaussian(Eigen::VectorXd::Constant(1, left), Eigen::MatrixXd::Constant(1, 1, 0.25)),
           Gaussian(Eigen::VectorXd::Constant(1, right), Eigen::MatrixXd::Constant(1, 1, 1))}};
}
GaussianMixture plane() {
  Eigen::Matrix2d c;
  c << 1, 0.6, 0.6, 2;
  return {{2.0, 1.0},
          {Gaussian(Eigen::VectorXd(Eigen::Vector2d(1, -2)), Eigen::MatrixXd(c)),
           Gaussian::isotropic(Eigen::VectorXd(Eigen::Vector2d(-1, 0)), 0.5)}};
}
/// Coordinates 2 and 0 together, in this order; 1 alone.
BlockMixture law() { return BlockMixture({{{2, 0}, plane()}, {{1}, line(-2, 3)}}); }
}  // namespace

TEST_CASE("a mixture of blocks: density, gradient and moments are those of its blocks") {
  const BlockMixture p = law();
  CHECK(p.dim() == 3);
  const Eigen::Vector3d x(0.3, 1.7, -0.8);
  CHECK(p.log_density(x) == Approx(plane().log_density(Eigen::Vector2d(x[2], x[0])) +
                                   line(-2, 3).log_density(Eigen::VectorXd::Constant(1, x[1])))
                                .epsilon(1e-14));
  const Eigen::VectorXd g = p.gradient(x);
  for (int j = 0; j < 3; ++j) {
    const Eigen::VectorXd step = 1e-5 * Eigen::VectorXd::Unit(3, j);
    CHECK(g[j] == Approx((p.log_density(x + step) - p.log_density(x - step)) / 2e-5).epsilon(1e-8));
  }
  const Particles many = p.sample(300, 4);
  Particles gradients;
  p.gradients(many, gradients);
  for (Eigen::Index i = 0; i < many.cols(); ++i)
    CHECK((gradients.col(i) - p.gradient(many.col(i))).norm() < 1e-11);
  // Moments of 200,000 draws: standard errors below 0.01, of the covariances below 0.03.
  const Particles draws = p.sample(200'000, 5);
  const Eigen::VectorXd mean = draws.rowwise().mean();
  const Particles centred = draws.colwise() - mean;
  CHECK((mean - p.mean()).cwiseAbs().maxCoeff() < 0.03);
  CHECK((Eigen::MatrixXd(centred * centred.transpose() / 200'000) - p.covariance())
            .cwiseAbs()
            .maxCoeff() < 0.1);
  CHECK(p.covariance()(0, 1) == 0);
  CHECK(p.covariance()(0, 2) != 0);
}
TEST_CASE("a mixture of one block is the mixture, bit for bit") {
  const BlockMixture one(plane());
  CHECK(one.sample(50, 3) == plane().sample(50, 3));
  CHECK(one.quasi_random(50, 3) == plane().quasi_random(50, 3));
}
TEST_CASE("equal blocks are drawn independently, and quasi-random points are even in each") {
  const BlockMixture two({{{0}, line(-2, 3)}, {{1}, line(-2, 3)}, {{2}, line(-2, 3)}});
  constexpr long n = 4000;
  for (const bool even : {false, true}) {
    CAPTURE(even);
    const Particles x = even ? two.quasi_random(n, 7) : two.sample(n, 7);
    const Eigen::VectorXd mean = x.rowwise().mean();
    const Particles z = x.colwise() - mean;
    // The standard error of a correlation is 0.016.
    CHECK(std::abs(z.row(0).dot(z.row(1)) / (z.row(0).norm() * z.row(1).norm())) < 0.06);
    // Nor do draws with the next seed share numbers with these.
    const Particles next = even ? two.quasi_random(n, 8) : two.sample(n, 8);
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) {
        const Particles a = x.row(i).array() - x.row(i).mean(),
                        b = next.row(j).array() - next.row(j).mean();
        CHECK(std::abs(a.row(0).dot(b.row(0)) / (a.norm() * b.norm())) < 0.06);
      }
    // sd/√n is 0.037 for random draws.
    if (even) CHECK((mean - two.mean()).cwiseAbs().maxCoeff() < 2e-3);
  }
}
TEST_CASE("coordinates that depend on each other are in one block, whatever their units") {
  constexpr long n = 3000;
  const Particles z = standard_normals(6, n, 11);
  Particles x(6, n);
  x.row(0) = z.row(0);
  x.row(1) = 1e-6 * z.row(1);
  x.row(2) = 1e6 * (z.row(0).array().square() + 0.3 * z.row(2).array());  // uncorrelated with x_0
  x.row(3) = 0.8 * z.row(1) + 0.6 * z.row(3);
  x.row(4) = z.row(4).array().exp().cube();  // heavy tails
  x.row(5) = x.row(2) * 1e-6 + 0.1 * z.row(5);
  using Blocks = std::vector<std::vector<int>>;
  CHECK(dependent_blocks(x, 0.2) == Blocks{{0, 2, 5}, {1, 3}, {4}});
  CHECK(dependent_blocks(x, 0) == Blocks{{0, 1, 2, 3, 4, 5}});
  CHECK(dependent_blocks(x, 1.1) == Blocks{{0}, {1}, {2}, {3}, {4}, {5}});
  CHECK(dependent_blocks(standard_normals(32, 2000, 12), 0.1).size() == 32);
}
TEST_CASE("a product of wells is fitted by its blocks, not by one mixture") {
  const ManyWell wells(6);  // 64 modes in 12 dimensions
  const Particles x = wells.sample(2000, 3), fresh = wells.sample(5000, 4);
  const auto divergence = [&](const BlockMixture& fit) {
    double sum = -wells.log_evidence();
    for (Eigen::Index i = 0; i < fresh.cols(); ++i)
      sum += (wells.log_density(fresh.col(i)) - fit.log_density(fresh.col(i))) /
             static_cast<double>(fresh.cols());
    return sum;
  };
  const auto blocks = dependent_blocks(x, 0.15);
  CHECK(blocks.size() == 12);
  const double apart = divergence(fit_block_mixture(x, blocks)),
               together = divergence(fit_block_mixture(x, dependent_blocks(x, 0)));
  // By quadrature: that of the pairs of Gaussians which have the moments of the wells.
  CHECK(apart < 0.101);
  CHECK(together > 5 * apart);
}
