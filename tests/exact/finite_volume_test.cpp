// SPDX-License-Identifier: BSL-1.0
#include <wgf/concepts.hpp>
#include <wgf/exact/aggregation.hpp>
#include <wgf/exact/finite_volume.hpp>
#include <wgf/exact/porous_medium.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "catch.hpp"
#include "convergence.hpp"
#include "support.hpp"

using Eigen::ArrayXXd;
using Eigen::VectorXd;
using wgf::AggregationDiffusion;
using wgf::Barenblatt;
using wgf::CellGrid;
using wgf::FiniteVolume;
using wgf::Gaussian;
using wgf::Particles;
using wgf::test::converging_error;
using wgf::test::message_of;
using Invalid = std::invalid_argument;

static_assert(wgf::Measure<FiniteVolume>);

namespace {
template <class P>
ArrayXXd cell_means(const CellGrid& grid, const P& p) {
  return grid.means([&](const VectorXd& x) { return std::exp(p.log_density(x)); });
}
template <class P>
double l1(const FiniteVolume& solver, const P& p) {
  return (solver.density() - cell_means(solver.grid(), p)).abs().sum() *
         solver.grid().cell_volume();
}
double quadratic(const VectorXd& x) { return 0.5 * x.squaredNorm(); }
// The aggregation–diffusion problem of section 4.4 with its clock nine times faster: c = 9 and κ =
// 0.1c².
FiniteVolume pulses(int cells) {
  const CellGrid grid = CellGrid::cube(2, 3.5, cells);
  const AggregationDiffusion equation{
      .interaction =
          [](const VectorXd& x) { return -std::exp(-x.squaredNorm()) / std::numbers::pi; },
      .strength = 9,
      .diffusion = 8.1,
      .exponent = 3};
  return {grid, equation, grid.means([](const VectorXd& x) {
            return x.cwiseAbs().maxCoeff() < 3 ? 1.0 / 36 : 0.0;
          })};
}
}  // namespace

TEST_CASE("FiniteVolume: linear diffusion of a Gaussian, of second order") {
  const double error = converging_error({40, 80, 160}, 1 / 3.6, [](int cells) {
    const CellGrid grid = CellGrid::cube(1, 8, cells);
    const Gaussian start = Gaussian::isotropic(VectorXd(VectorXd::Constant(1, 0.3)), 0.8);
    FiniteVolume solver(grid, {.diffusion = 1}, cell_means(grid, start));
    solver.advance(0.5);
    CHECK(solver.time() == 0.5);
    return l1(solver, wgf::Heat::at(start, 0.5));
  });
  CHECK(error < 2e-3);
}

TEST_CASE("FiniteVolume: Ornstein–Uhlenbeck on the plane, with different sides") {
  const CellGrid grid{VectorXd(Eigen::Vector2d(-6, -5)), VectorXd(Eigen::Vector2d(5, 6)),
                      Eigen::Vector2i(66, 80)};
  const Gaussian start(VectorXd(Eigen::Vector2d(-1, 1)),
                       VectorXd(Eigen::Vector2d(0.6, 1.2)).asDiagonal());
  FiniteVolume solver(grid, {.potential = quadratic, .diffusion = 1}, cell_means(grid, start));
  const double mass = solver.mass();
  solver.advance(0.4);
  const double decay = std::exp(-0.4);
  const Gaussian end(VectorXd(decay * start.mean()),
                     Eigen::MatrixXd(decay * decay * start.covariance() +
                                     (1 - decay * decay) * Eigen::MatrixXd::Identity(2, 2)));
  CHECK(l1(solver, end) < 0.02);
  CHECK(solver.mass() == Approx(mass).epsilon(1e-13));
  CHECK(solver.second_moment() ==
        Approx(end.covariance().trace() + end.mean().squaredNorm()).epsilon(0.01));
}

TEST_CASE("FiniteVolume: the porous medium equation from a Barenblatt profile") {
  for (const double m : {2.0, 3.0}) {
    const double share =
        m == 2 ? 1.0 / 8 : 1 / 3.5;  // for m = 3 the edge is a root: less than second order
    const double error = converging_error({100, 400}, share, [&](int cells) {
      const CellGrid grid = CellGrid::cube(1, 3, cells);
      FiniteVolume solver(grid, {.diffusion = 1, .exponent = m},
                          cell_means(grid, Barenblatt::at(1, m, 0.1)));
      solver.advance(0.5);
      CHECK(solver.density().minCoeff() >= 0);
      return l1(solver, Barenblatt::at(1, m, 0.6));
    });
    CHECK(error < 2e-4);
  }
  // On the plane, with a confinement, to the steady state.
  const CellGrid grid = CellGrid::cube(2, 1.5, 50);
  const Barenblatt still = wgf::PorousMedium(2, 2, 1).steady_state();
  REQUIRE(still.radius() < 1.4);
  FiniteVolume solver(grid, {.potential = quadratic, .diffusion = 1, .exponent = 2},
                      ArrayXXd::Constant(50, 50, 1.0 / 9));
  solver.advance(6);
  CHECK(l1(solver, still) < 0.01);
  CHECK(solver.energy() ==
        Approx(still.energy() + 0.5 * std::pow(still.rms_radius(), 2)).epsilon(1e-3));
}

TEST_CASE(
    "FiniteVolume: quadratic interaction contracts, and the logarithmic one ends in the "
    "semicircle") {
  const CellGrid grid = CellGrid::cube(1, 4, 200);
  FiniteVolume contracting(grid, {.interaction = quadratic},
                           cell_means(grid, Barenblatt::with_radius(1, 2, 3)));
  const double before = contracting.second_moment();
  contracting.advance(0.5);
  CHECK(contracting.second_moment() == Approx(before * std::exp(-1.0)).epsilon(2e-3));

  // W is infinite at 0, so that the kernel there is its mean over a cell.
  const CellGrid fine = CellGrid::cube(1, 2, 160);
  FiniteVolume repelling(
      fine,
      {.interaction = [](const VectorXd& x) { return quadratic(x) - std::log(std::abs(x(0))); }},
      cell_means(fine, Gaussian::isotropic(1, 0.5)));
  repelling.advance(6);
  const wgf::Semicircle law;
  const ArrayXXd exact = fine.means([&](const VectorXd& x) { return law.density(x(0)); }, 8);
  CHECK((repelling.density() - exact).abs().sum() * fine.cell_volume() < 0.02);
}

TEST_CASE("FiniteVolume: the energy is a plain double sum") {
  const CellGrid grid{VectorXd(Eigen::Vector2d(-1, 0)), VectorXd(Eigen::Vector2d(2, 1)),
                      Eigen::Vector2i(9, 7)};
  const auto w = [](const VectorXd& x) {
    return std::cos(x(0)) + x(1) * x(1) * std::exp(-std::abs(x(0) * x(1)));
  };
  const auto v = [](const VectorXd& x) { return x(0) - 2 * x(1); };
  const ArrayXXd p = 0.2 + wgf::standard_uniforms(9, 7, 5).array();
  double expected = 0;
  const double cell = grid.cell_volume();
  for (int i = 0; i < 63; ++i) {
    const VectorXd x = grid.point(i % 9, i / 9);
    expected += cell * (p(i) * v(x) + 0.3 / 1.5 * std::pow(p(i), 2.5));
    for (int j = 0; j < 63; ++j)
      expected += 0.5 * 1.7 * cell * cell * p(i) * p(j) * w(x - grid.point(j % 9, j / 9));
  }
  const FiniteVolume solver(
      grid, {.interaction = w, .strength = 1.7, .potential = v, .diffusion = 0.3, .exponent = 2.5},
      p);
  CHECK(solver.energy() == Approx(expected).epsilon(1e-12));
}

TEST_CASE("FiniteVolume: aggregation–diffusion splits into four pulses") {
  FiniteVolume solver = pulses(70);
  CHECK(solver.mass() == Approx(1).epsilon(1e-12));
  // Computed independently, on 70² and on 140² cells; they differ by 0.0008 in energy and 0.02 in
  // the second moment.
  double energy = solver.energy();
  struct Known {
    double time, energy, second_moment, peak;
  };
  for (const Known& k : {Known{2, -0.1142, 5.286, 1.93}, Known{4, -0.1361, 4.518, 1.58}}) {
    solver.advance(k.time);
    CHECK(solver.energy() < energy);
    energy = solver.energy();
    CHECK(energy == Approx(k.energy).margin(5e-4));
    CHECK(solver.second_moment() == Approx(k.second_moment).margin(0.01));
    CHECK(solver.peak().cwiseAbs()(0) == Approx(k.peak).margin(0.05));
    CHECK(solver.peak().cwiseAbs()(1) == Approx(k.peak).margin(0.05));
    CHECK(solver.mass() == Approx(1).epsilon(1e-12));
    CHECK(solver.density().minCoeff() >= 0);
    // The square's symmetries stay.
    CHECK((solver.density() - solver.density().transpose()).abs().maxCoeff() < 1e-9);
    CHECK((solver.density() - solver.density().rowwise().reverse()).abs().maxCoeff() < 1e-9);
  }
  CHECK(solver.value_at(solver.peak()) == Approx(solver.density().maxCoeff()));
  CHECK(solver.value_at(VectorXd::Zero(2)) < 0.6 * solver.density().maxCoeff());
  CHECK(solver.value_at(VectorXd::Constant(2, 4)) == 0);

  const long n = 40000;
  const Particles x = solver.sample(n, 3);
  const double moment = x.squaredNorm() / n,
               spread = std::sqrt((x.colwise().squaredNorm().array() - moment).square().mean() / n);
  CHECK(std::abs(moment - solver.second_moment() - 2 * 0.01 / 12) <
        4 * spread);  // cells of side 0.1 have a variance of their own
  CHECK(x.rowwise().mean().cwiseAbs().maxCoeff() < 4 * std::sqrt(0.5 * moment / n));
  CHECK(solver.sample(5, 1) == solver.sample(9, 1).leftCols(5));
  CHECK(solver.sample(5, 1) != solver.sample(5, 2));
}

TEST_CASE("FiniteVolume refuses what makes no sense") {
  const CellGrid grid = CellGrid::cube(1, 1, 4);
  const ArrayXXd one = ArrayXXd::Ones(4, 1);
  CHECK(message_of<Invalid>([&] { FiniteVolume(grid, {}, ArrayXXd::Ones(4, 4)); }) ==
        "wgf::FiniteVolume: the density must be 4 x 1 like the grid, got 4 x 4");
  CHECK(message_of<Invalid>([&] { FiniteVolume(grid, {}, ArrayXXd(-one)); }) ==
        "wgf::FiniteVolume: the density must be finite, nowhere negative and somewhere positive");
  CHECK(message_of<Invalid>([&] { FiniteVolume(grid, {.diffusion = -1}, one); }) ==
        "wgf::FiniteVolume: the diffusion must not be negative, got -1.000000");
  CHECK(message_of<Invalid>([&] { FiniteVolume(grid, {.exponent = 0.5}, one); }) ==
        "wgf::FiniteVolume: the exponent must be at least 1, got 0.500000");
  const auto on = [&](int dim, double half_width, int cells) {
    const VectorXd corner = VectorXd::Constant(dim, half_width);
    FiniteVolume(CellGrid{-corner, corner, Eigen::VectorXi::Constant(dim, cells)}, {}, one);
  };
  CHECK(message_of<Invalid>([&] { on(3, 1, 4); }) ==
        "wgf::FiniteVolume: the grid must have one or two dimensions, got 3");
  CHECK(message_of<Invalid>([&] { on(1, 1, 1); }) ==
        "wgf::FiniteVolume: a side must have at least 2 cells, got 1");
  CHECK(message_of<Invalid>([&] { on(1, -1, 4); }) ==
        "wgf::FiniteVolume: the grid's lower corner must be below its upper one, and both finite");
  CHECK(message_of<Invalid>([&] {
          FiniteVolume(grid, {.interaction = [](const VectorXd&) { return std::nan(""); }}, one);
        }) == "wgf::FiniteVolume: the interaction must have a finite mean over each cell");
  FiniteVolume solver(grid, {.diffusion = 1}, one);
  CHECK(message_of<Invalid>([&] { solver.advance(-1); }) ==
        "wgf::FiniteVolume::advance: the time must not be before 0.000000, got -1.000000");
  CHECK(message_of<Invalid>([&] { solver.sample(0, 1); }) ==
        "wgf::FiniteVolume::sample: at least one sample must be asked for, got 0");
  CHECK(message_of<Invalid>([&] { solver.value_at(VectorXd::Zero(2)); }) ==
        "wgf::FiniteVolume::value_at: the point must have 1 coordinates, got 2");
}
