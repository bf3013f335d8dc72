// SPDX-License-Identifier: BSL-1.0
#include <wgf/metric/energy_distance.hpp>
#include <wgf/metric/mmd.hpp>
#include <wgf/metric/mode_masses.hpp>
#include <wgf/metric/sliced_wasserstein.hpp>
#include <wgf/metric/sym_kl.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include <Eigen/LU>

#include "catch.hpp"
#include "support.hpp"

using Eigen::MatrixXd;
using Eigen::VectorXd;
using wgf::Gaussian;
using wgf::GaussianMixture;
using wgf::Particles;
using wgf::test::message_of;
using Invalid = std::invalid_argument;

namespace {
Gaussian random_gaussian(int dim, std::uint64_t seed) {
  const MatrixXd a = wgf::standard_normals(dim, dim, seed);
  return {wgf::standard_normals(dim, 1, seed, 9).col(0),
          0.3 * MatrixXd::Identity(dim, dim) + a * a.transpose() / dim};
}
Particles line(std::initializer_list<double> values) {
  return Eigen::Map<const Eigen::RowVectorXd>(values.begin(),
                                              static_cast<Eigen::Index>(values.size()));
}
// Mean of f(|x_i − y_j|) over pairs, the pairs i = j left out if `distinct`: one pair at a time.
template <class F>
double naive_mean(const Particles& x, const Particles& y, bool distinct, F&& f) {
  double sum = 0;
  long count = 0;
  for (Eigen::Index i = 0; i < x.cols(); ++i)
    for (Eigen::Index j = 0; j < y.cols(); ++j)
      if (!distinct || i != j) sum += f((x.col(i) - y.col(j)).norm()), ++count;
  return sum / static_cast<double>(count);
}
}  // namespace

// ---- SymKL

TEST_CASE("sym_kl agrees with its formula") {
  for (const int d : {1, 2, 7}) {
    const Gaussian p = random_gaussian(d, 1), q = random_gaussian(d, 2);
    const MatrixXd a = p.covariance(), b = q.covariance();
    const VectorXd m = p.mean() - q.mean();
    const double expected = 0.5 * ((b.inverse() * a).trace() + (a.inverse() * b).trace() - 2 * d +
                                   m.dot((a.inverse() + b.inverse()) * m));
    CHECK(wgf::sym_kl(p, q) == Approx(expected).epsilon(1e-12));
    CHECK(wgf::sym_kl(p, q) == Approx(wgf::sym_kl(q, p)).epsilon(1e-13));
    CHECK(wgf::sym_kl(p, p) == 0);
  }
  // N(0, 1) and N(1, 4): ½(¼ + 4 − 2 + 1 + ¼).
  CHECK(wgf::sym_kl(Gaussian::isotropic(1, 1),
                    Gaussian::isotropic(VectorXd(VectorXd::Ones(1)), 2)) == Approx(1.75));
}

TEST_CASE("sym_kl agrees with the mean log-ratio of samples") {
  const Gaussian p = random_gaussian(3, 5), q = random_gaussian(3, 6);
  const long n = 100000;
  const auto mean_and_error = [&](const Gaussian& from, const Gaussian& to) {
    const Particles x = from.sample(n, 8);
    Eigen::ArrayXd ratio(n);
    for (Eigen::Index i = 0; i < n; ++i)
      ratio(i) = from.log_density(x.col(i)) - to.log_density(x.col(i));
    const double mean = ratio.mean();
    return std::pair{mean, (ratio - mean).square().mean() / static_cast<double>(n)};
  };
  const auto [there, v] = mean_and_error(p, q);
  const auto [back, w] = mean_and_error(q, p);
  CHECK(std::abs(there + back - wgf::sym_kl(p, q)) < 4 * std::sqrt(v + w));
}

TEST_CASE("sym_kl keeps its digits for Gaussians that are nearly equal") {
  // Σ₂ = (1 + e)Σ₁: ½ d ((1 + e) + 1/(1 + e) − 2) = ½ d e²/(1 + e).
  const double e = 1e-9;
  const Gaussian p = random_gaussian(4, 7), q(p.mean(), (1 + e) * p.covariance());
  CHECK(wgf::sym_kl(p, q) == Approx(2 * e * e).epsilon(1e-5));
}

TEST_CASE("sym_kl refuses Gaussians of different dimensions") {
  CHECK(message_of<Invalid>([] {
          wgf::sym_kl(Gaussian::isotropic(2, 1), Gaussian::isotropic(3, 1));
        }) == "wgf::sym_kl: both Gaussians must have the same dimension, got 2 and 3");
}

// ---- sliced Wasserstein

TEST_CASE("sliced_wasserstein is W₂ on the line") {
  // Against the best of all matchings.
  const Particles x = wgf::standard_normals(1, 6, 1), y = 2 * wgf::standard_normals(1, 6, 2);
  std::vector<Eigen::Index> to{0, 1, 2, 3, 4, 5};
  double best = std::numeric_limits<double>::infinity();
  do {
    double cost = 0;
    for (Eigen::Index i = 0; i < 6; ++i)
      cost += std::pow(x(0, i) - y(0, to[static_cast<std::size_t>(i)]), 2) / 6;
    best = std::min(best, cost);
  } while (std::next_permutation(to.begin(), to.end()));
  CHECK(wgf::sliced_wasserstein(x, y) == Approx(std::sqrt(best)).epsilon(1e-13));
}

TEST_CASE("sliced_wasserstein takes clouds of different sizes") {
  // Quantiles of {0, 1} and {0, ½, 1} differ by ½ on [1/3, 2/3].
  CHECK(wgf::sliced_wasserstein(line({1, 0}), line({1, 0, 0.5})) ==
        Approx(std::sqrt(1 / 12.0)).epsilon(1e-14));
  CHECK(wgf::sliced_wasserstein(line({2}), line({0, 1, 3, 4})) ==
        Approx(std::sqrt((4 + 1 + 1 + 4) / 4.0)).epsilon(1e-14));
  // A particle held twice, and three times, stands for the same law.
  const Particles x = wgf::standard_normals(3, 50, 3), y = wgf::standard_normals(3, 40, 4);
  Particles twice(3, 100), thrice(3, 120);
  twice << x, x;
  thrice << y, y, y;
  CHECK(wgf::sliced_wasserstein(x, twice) < 1e-14);
  CHECK(wgf::sliced_wasserstein(x, y) ==
        Approx(wgf::sliced_wasserstein(twice, thrice)).epsilon(1e-12));
  CHECK(wgf::sliced_wasserstein(x, y) == Approx(wgf::sliced_wasserstein(y, x)).epsilon(1e-12));
}

TEST_CASE("sliced_wasserstein of a translated cloud is the shift over the root of the dimension") {
  const int d = 5, projections = 20000;
  const Particles x = wgf::standard_normals(d, 10, 5);
  const VectorXd shift = VectorXd::LinSpaced(d, 1, 2);
  const double w =
      wgf::sliced_wasserstein(x, x.colwise() + shift, {.projections = projections, .seed = 6});
  // ⟨θ, s⟩² has mean |s|²/d and variance |s|⁴ (2 − 2/d)/(d(d + 2)).
  const double mean = shift.squaredNorm() / d;
  const double error = shift.squaredNorm() * std::sqrt((2 - 2.0 / d) / (d * (d + 2)) / projections);
  CHECK(std::abs(w * w - mean) < 4 * error);
  CHECK(wgf::sliced_wasserstein(x, 2 * x, {.seed = 1}) ==
        wgf::sliced_wasserstein(x, 2 * x, {.seed = 1}));
  CHECK(wgf::sliced_wasserstein(x, 2 * x, {.seed = 1}) !=
        wgf::sliced_wasserstein(x, 2 * x, {.seed = 2}));
}

// ---- energy distance and maximum mean discrepancy

TEST_CASE("energy_distance and mmd agree with a loop over pairs") {
  for (const int d : {1, 2, 5})
    for (const long n :
         {2L, 3L, 1500L}) {  // more than a block of the vectorised version, and not a multiple
      const Particles x = wgf::standard_normals(d, n, 1),
                      y = (1.5 * wgf::standard_normals(d, n / 2 + 1, 2)).array() + 0.3;
      const auto distance = [](double r) { return r; };
      const auto kernel = [](double r) { return std::exp(-r * r / (2 * 0.49)); };
      CHECK(wgf::energy_distance(x, y) ==
            Approx(2 * naive_mean(x, y, false, distance) - naive_mean(x, x, true, distance) -
                   naive_mean(y, y, true, distance))
                .epsilon(1e-11)
                .margin(1e-12));
      CHECK(wgf::mmd(x, y, 0.7) ==
            Approx(naive_mean(x, x, true, kernel) + naive_mean(y, y, true, kernel) -
                   2 * naive_mean(x, y, false, kernel))
                .epsilon(1e-11)
                .margin(1e-12));
    }
}

TEST_CASE("energy_distance by hand") {
  // 2·(mean of 2, 3, 1, 2) − 1 − 1.
  CHECK(wgf::energy_distance(line({0, 1}), line({2, 3})) == Approx(2));
}

TEST_CASE("energy_distance and mmd do not lose digits far from the origin") {
  // Coordinates that are exact after the shift, too.
  const Particles x = (wgf::standard_normals(2, 200, 1) * 1024).array().round() / 1024,
                  y = (wgf::standard_normals(2, 200, 2) * 1024).array().round() / 512;
  const Particles far_x = x.array() + 1048576, far_y = y.array() + 1048576;
  CHECK(wgf::energy_distance(far_x, far_y) == wgf::energy_distance(x, y));
  CHECK(wgf::mmd(far_x, far_y, 0.5) == wgf::mmd(x, y, 0.5));
}

TEST_CASE("energy_distance and mmd estimate the distance of two Gaussians without bias") {
  // Many small samples: the average over them has the population's value as its expectation, which
  // a V-statistic misses by far.
  const int runs = 4000, n = 6, m = 9;
  const double shift = 0.5, h = 0.8;
  const auto estimate = [&](const auto& metric, double mean_shift) {
    Eigen::ArrayXd values(runs);
    for (int k = 0; k < runs; ++k) {
      const Particles x = wgf::standard_normals(1, n, static_cast<std::uint64_t>(k), 1);
      const Particles y =
          wgf::standard_normals(1, m, static_cast<std::uint64_t>(k), 2).array() + mean_shift;
      values(k) = metric(x, y);
    }
    return std::pair{values.mean(), std::sqrt((values - values.mean()).square().mean() / runs)};
  };
  const auto energy = [](const Particles& x, const Particles& y) {
    return wgf::energy_distance(x, y);
  };
  const auto discrepancy = [&](const Particles& x, const Particles& y) {
    return wgf::mmd(x, y, h);
  };
  // E|N(s, 2)| = (2/√π) e^{−s²/4} + s erf(s/2).
  const auto mean_distance = [](double s) {
    return 2 / std::sqrt(std::numbers::pi) * std::exp(-s * s / 4) + s * std::erf(s / 2);
  };
  // E exp(−Z²/(2h²)) for Z ~ N(s, 2): h/√(h² + 2) e^{−s²/(2(h² + 2))}.
  const auto mean_kernel = [&](double s) {
    return h / std::sqrt(h * h + 2) * std::exp(-s * s / (2 * (h * h + 2)));
  };
  for (const double s : {0.0, shift}) {
    const auto [e, e_error] = estimate(energy, s);
    CHECK(std::abs(e - 2 * (mean_distance(s) - mean_distance(0))) < 4 * e_error);
    CHECK(e_error < 0.02);
    const auto [k, k_error] = estimate(discrepancy, s);
    CHECK(std::abs(k - 2 * (mean_kernel(0) - mean_kernel(s))) < 4 * k_error);
    CHECK(k_error < 0.01);
  }
}

TEST_CASE("metrics of clouds refuse what they cannot compare") {
  const Particles x = Particles::Zero(2, 5), one = Particles::Zero(2, 1),
                  other = Particles::Zero(3, 5), none(2, 0);
  Particles infinite = x;
  infinite(1, 3) = std::numeric_limits<double>::infinity();
  CHECK(message_of<Invalid>([&] { wgf::energy_distance(x, other); }) ==
        "wgf::energy_distance: both clouds must have the same dimension, got 2 and 3");
  CHECK(message_of<Invalid>([&] { wgf::energy_distance(x, one); }) ==
        "wgf::energy_distance: each cloud must hold at least 2 particles, got 5 and 1");
  CHECK(message_of<Invalid>([&] { wgf::energy_distance(infinite, x); }) ==
        "wgf::energy_distance: the particles must be finite");
  CHECK(message_of<Invalid>([&] { wgf::mmd(x, other, 1); }) ==
        "wgf::mmd: both clouds must have the same dimension, got 2 and 3");
  CHECK(message_of<Invalid>([&] { wgf::mmd(x, x, 0); }) ==
        "wgf::mmd: the bandwidth must be positive, got 0.000000");
  CHECK_THROWS_AS(wgf::mmd(one, x, 1), Invalid);
  CHECK(message_of<Invalid>([&] { wgf::sliced_wasserstein(x, none); }) ==
        "wgf::sliced_wasserstein: each cloud must hold at least 1 particles, got 5 and 0");
  CHECK(message_of<Invalid>([&] { wgf::sliced_wasserstein(x, x, {.projections = 0}); }) ==
        "wgf::sliced_wasserstein: projections must be positive, got 0");
  CHECK_THROWS_AS(wgf::sliced_wasserstein(x, other), Invalid);
  CHECK_THROWS_AS(wgf::sliced_wasserstein(x, infinite), Invalid);
}

// ---- modes

TEST_CASE("mode_masses counts particles by their most responsible component") {
  const GaussianMixture mixture(
      {1, 1, 2},
      {Gaussian::isotropic(VectorXd(VectorXd::Constant(1, -10)), 1), Gaussian::isotropic(1, 1),
       Gaussian::isotropic(VectorXd(VectorXd::Constant(1, 10)), 1)});
  const VectorXd masses = wgf::mode_masses(line({-9, -11, 0.5, 8, 30}), mixture);
  CHECK(masses == (VectorXd(3) << 0.4, 0.2, 0.4).finished());
  // Halfway between the last two the heavier one is more responsible; the border is at 5 −
  // log(2)/10.
  CHECK(wgf::mode_masses(line({5 - 0.0693}), mixture)(2) == 1);
  CHECK(wgf::mode_masses(line({5 - 0.0694}), mixture)(1) == 1);

  CHECK(message_of<Invalid>([&] { wgf::mode_masses(Particles::Zero(2, 3), mixture); }) ==
        "wgf::mode_masses: the particles must have the mixture's dimension 1, got 2");
  CHECK(message_of<Invalid>([&] { wgf::mode_masses(Particles(1, 0), mixture); }) ==
        "wgf::mode_masses: at least one particle is needed, got none");
  CHECK_THROWS_AS(wgf::mode_masses(line({std::numeric_limits<double>::quiet_NaN()}), mixture),
                  Invalid);
}

TEST_CASE("total_variation") {
  const VectorXd p = (VectorXd(3) << 0.5, 0.5, 0).finished(),
                 q = (VectorXd(3) << 0.25, 0.25, 0.5).finished();
  CHECK(wgf::total_variation(p, q) == 0.5);
  CHECK(wgf::total_variation(p, p) == 0);
  CHECK(wgf::total_variation(VectorXd::Unit(4, 0), VectorXd::Unit(4, 3)) == 1);
  CHECK(message_of<Invalid>([&] { wgf::total_variation(p, VectorXd::Unit(4, 0)); }) ==
        "wgf::total_variation: both vectors must have the same length, got 3 and 4");
  CHECK(message_of<Invalid>([&] { wgf::total_variation(p, 2 * p); }) ==
        "wgf::total_variation: probabilities must have sum 1, got 2.000000");
  CHECK(message_of<Invalid>([&] {
          wgf::total_variation((VectorXd(3) << 1.5, -0.5, 0).finished(), p);
        }) == "wgf::total_variation: probabilities must not be negative");
}
