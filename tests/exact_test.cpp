// SPDX-License-Identifier: BSL-1.0
#include <wgf/exact/langevin.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>

#include <cmath>
#include <limits>

#include <Eigen/Eigenvalues>
#include <Eigen/LU>

#include "catch.hpp"
#include "convergence.hpp"
#include "support.hpp"

using Eigen::MatrixXd;
using Eigen::VectorXd;
using wgf::Gaussian;
using wgf::GaussianMixture;
using wgf::OrnsteinUhlenbeck;
using wgf::Particles;
using wgf::test::message_of;
using Invalid = std::invalid_argument;

namespace {
MatrixXd root(const MatrixXd& s) {
  return Eigen::SelfAdjointEigenSolver<MatrixXd>(s).operatorSqrt();
}
// W₂²(p, q) = |m − n|² + tr(P + Q − 2(P^½ Q P^½)^½), whether or not the covariances commute.
double squared_wasserstein(const Gaussian& p, const Gaussian& q) {
  const MatrixXd r = root(p.covariance());
  return (p.mean() - q.mean()).squaredNorm() +
         (p.covariance() + q.covariance() - 2 * root(r * q.covariance() * r)).trace();
}
double kl(const Gaussian& p, const Gaussian& q) {
  const MatrixXd inverse = q.covariance().inverse();
  const VectorXd shift = p.mean() - q.mean();
  return 0.5 * ((inverse * p.covariance()).trace() + shift.dot(inverse * shift) - p.dim() +
                std::log(q.covariance().determinant() / p.covariance().determinant()));
}
MatrixXd random_symmetric(int dim, std::uint64_t seed) {
  const MatrixXd a = wgf::standard_normals(dim, dim, seed, 77);
  return 0.5 * (a + a.transpose());
}
double difference(const Gaussian& p, const Gaussian& q) {
  return (p.mean() - q.mean()).norm() + (p.covariance() - q.covariance()).norm();
}
// A target that gives its gradient one point at a time.
template <class T>
struct Pointwise {
  T target;
  int dim() const { return target.dim(); }
  VectorXd gradient(const VectorXd& x) const { return target.gradient(x); }
};
// A target with nothing but its log-density: −¼ Σ x⁴.
struct Quartic {
  int dim() const { return 2; }
  template <class T>
  T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    T sum(0);
    for (Eigen::Index i = 0; i < x.size(); ++i) sum += -0.25 * x[i] * x[i] * x[i] * x[i];
    return sum;
  }
};
struct QuarticGradient {
  int dim() const { return 2; }
  VectorXd gradient(const VectorXd& x) const { return -x.array().cube(); }
};
struct Flat {
  int dim() const { return 2; }
  VectorXd gradient(const VectorXd& x) const { return VectorXd::Zero(x.size()); }
};
}  // namespace

// ---- Ornstein–Uhlenbeck

TEST_CASE("OrnsteinUhlenbeck::at solves the equations of mean and covariance") {
  const OrnsteinUhlenbeck flow = OrnsteinUhlenbeck::random(5, 1);
  const MatrixXd a = flow.target().precision();
  const double h = 1e-3;
  for (const double t : {0.01, 0.3, 1.7}) {
    const Gaussian before = flow.at(t - h), now = flow.at(t), after = flow.at(t + h);
    // dm/dt = −A(m − b), dΣ/dt = −AΣ − ΣA + 2I; central differences err by h².
    const VectorXd slope = -a * (now.mean() - flow.target().mean());
    const MatrixXd rate =
        -a * now.covariance() - now.covariance() * a + 2 * MatrixXd::Identity(5, 5);
    CHECK(((after.mean() - before.mean()) / (2 * h) - slope).norm() < 20 * h * h);
    CHECK(((after.covariance() - before.covariance()) / (2 * h) - rate).norm() < 20 * h * h);
  }
  CHECK(difference(flow.at(0), Gaussian::isotropic(5, 1)) < 1e-14);
  CHECK(difference(flow.at(100), flow.target()) < 1e-13);
}

TEST_CASE("OrnsteinUhlenbeck::jko_iterate minimises W₂²/(2a) + KL over all Gaussians") {
  // An isotropic start; a start that commutes with A but not with every basis of it, A having equal
  // eigenvalues.
  const OrnsteinUhlenbeck general = OrnsteinUhlenbeck::random(3, 2);
  const VectorXd b = wgf::standard_normals(3, 1, 3).col(0);
  const OrnsteinUhlenbeck degenerate(2.5 * MatrixXd::Identity(3, 3), b);
  const MatrixXd full = MatrixXd::Identity(3, 3) + 0.2 * random_symmetric(3, 4);
  for (const double a : {0.05, 0.7, 5.0})
    for (const auto& [flow, p] :
         {std::pair{general, Gaussian::isotropic(b, 0.8)}, std::pair{general, general.at(0.2)},
          std::pair{degenerate, Gaussian(-b, full)}}) {
      const Gaussian best = flow.jko_iterate(p, a);
      const auto objective = [&](const Gaussian& q) {
        return squared_wasserstein(p, q) / (2 * a) + kl(q, flow.target());
      };
      for (std::uint64_t seed = 0; seed < 20; ++seed) {
        // Any direction, those that do not commute with A included: no slope, and upward both ways.
        const VectorXd u = wgf::standard_normals(3, 1, seed, 5).col(0);
        const MatrixXd v = random_symmetric(3, seed);
        const double h = 1e-3, here = objective(best);
        const auto at = [&](double e) {
          return objective({best.mean() + e * u, best.covariance() + e * v});
        };
        const double slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h),
                     bend = (at(h) + at(-h) - 2 * here) / (h * h);
        CHECK(bend > 0);
        CHECK(std::abs(slope) < 1e-7 * bend);
      }
    }
}

TEST_CASE("OrnsteinUhlenbeck::jko repeats jko_iterate") {
  const OrnsteinUhlenbeck flow = OrnsteinUhlenbeck::random(8, 3);
  Gaussian p = Gaussian::isotropic(8, 1);
  for (int k = 0; k <= 20; ++k) {
    CHECK(difference(flow.jko(k, 0.1), p) < 1e-12);
    p = flow.jko_iterate(p, 0.1);
  }
  CHECK(difference(flow.jko_iterate(flow.target(), 0.3), flow.target()) < 1e-13);
  CHECK(difference(flow.jko(1000, 1), flow.target()) < 1e-13);
}

TEST_CASE("OrnsteinUhlenbeck: the JKO iterates tend to the flow, to first order in the step") {
  const OrnsteinUhlenbeck flow = OrnsteinUhlenbeck::random(4, 4);
  const auto error = [&](int steps) {
    return difference(flow.jko(steps, 0.8 / steps), flow.at(0.8));
  };
  CHECK(error(16) < 0.1);
  wgf::test::check_order(1, {256, 1024, 4096}, 2, error);
  CHECK(error(65536) < 2e-5);
}

TEST_CASE("OrnsteinUhlenbeck::midpoint extrapolates the map of half a JKO step") {
  const OrnsteinUhlenbeck flow = OrnsteinUhlenbeck::random(5, 6);
  Gaussian p = Gaussian::isotropic(5, 1);
  for (int k = 0; k <= 10; ++k) {
    CHECK(difference(flow.midpoint(k, 0.3), p) < 1e-12);
    // The optimal map between Gaussians, covariances commuting or not: A = P^−½ (P^½ Q P^½)^½ P^−½.
    const Gaussian half = flow.jko_iterate(p, 0.15);
    const MatrixXd r = root(p.covariance()), inverse = r.inverse();
    const MatrixXd map =
        2 * inverse * root(r * half.covariance() * r) * inverse - MatrixXd::Identity(5, 5);
    p = {2 * half.mean() - p.mean(), map * p.covariance() * map.transpose()};
  }
  CHECK(difference(flow.midpoint(1000, 0.5), flow.target()) < 1e-13);
}

TEST_CASE(
    "OrnsteinUhlenbeck: the midpoint iterates tend to the flow, to second order in the step") {
  const OrnsteinUhlenbeck flow = OrnsteinUhlenbeck::random(4, 4);
  const auto error = [&](int steps) {
    return difference(flow.midpoint(steps, 0.8 / steps), flow.at(0.8));
  };
  CHECK(error(16) < 1e-3);
  wgf::test::check_order(2, {64, 256, 1024}, 2, error);
}

TEST_CASE("OrnsteinUhlenbeck::random draws covariances with eigenvalues in [½, 1]") {
  VectorXd mean = VectorXd::Zero(6);
  double smallest = 1, greatest = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const OrnsteinUhlenbeck flow = OrnsteinUhlenbeck::random(6, seed);
    const VectorXd eigenvalues =
        Eigen::SelfAdjointEigenSolver<MatrixXd>(flow.target().covariance()).eigenvalues();
    smallest = std::min(smallest, eigenvalues.minCoeff()),
    greatest = std::max(greatest, eigenvalues.maxCoeff());
    CHECK(!flow.target().is_diagonal());
    mean += flow.target().mean() / 50;
  }
  CHECK(smallest >= 0.5);
  CHECK(smallest < 0.52);
  CHECK(greatest <= 1);
  CHECK(greatest > 0.98);
  CHECK(mean.cwiseAbs().maxCoeff() < 4 / std::sqrt(50.0));
  CHECK(difference(OrnsteinUhlenbeck::random(6, 1).target(),
                   OrnsteinUhlenbeck::random(6, 1).target()) == 0);
}

TEST_CASE("OrnsteinUhlenbeck refuses what is none") {
  const VectorXd b = VectorXd::Zero(2);
  const MatrixXd indefinite = VectorXd(Eigen::Vector2d(1, -2)).asDiagonal();
  MatrixXd skew = MatrixXd::Identity(2, 2);
  skew(0, 1) = 0.1;
  CHECK(message_of<Invalid>([&] { OrnsteinUhlenbeck(indefinite, b); }) ==
        "wgf::OrnsteinUhlenbeck: the precision must be positive definite, its smallest eigenvalue "
        "is -2.000000");
  CHECK(message_of<Invalid>([&] { OrnsteinUhlenbeck(skew, b); }) ==
        "wgf::OrnsteinUhlenbeck: the precision must be symmetric");
  CHECK(message_of<Invalid>([&] { OrnsteinUhlenbeck(MatrixXd::Identity(3, 3), b); }) ==
        "wgf::OrnsteinUhlenbeck: the precision must be square and of b's dimension 2, got 3 x 3");
  CHECK_THROWS_AS(
      OrnsteinUhlenbeck(MatrixXd::Constant(2, 2, std::numeric_limits<double>::quiet_NaN()), b),
      Invalid);
  CHECK_THROWS_AS(OrnsteinUhlenbeck::random(0, 1), Invalid);

  const OrnsteinUhlenbeck flow(VectorXd(Eigen::Vector2d(1, 2)).asDiagonal(), b);
  const MatrixXd turned = (MatrixXd(2, 2) << 1, 0.5, 0.5, 1).finished();
  CHECK(message_of<Invalid>([&] { flow.jko_iterate(Gaussian(b, turned), 0.1); }) ==
        "wgf::OrnsteinUhlenbeck::jko_iterate: the covariance must commute with the precision A");
  CHECK(message_of<Invalid>([&] { flow.jko_iterate(Gaussian::isotropic(3, 1), 0.1); }) ==
        "wgf::OrnsteinUhlenbeck::jko_iterate: the Gaussian must have dimension 2, got 3");
  CHECK(message_of<Invalid>([&] { flow.jko(3, 0); }) ==
        "wgf::OrnsteinUhlenbeck: step_size must be positive, got 0.000000");
  CHECK(message_of<Invalid>([&] { flow.jko(-1, 1); }) ==
        "wgf::OrnsteinUhlenbeck::jko: steps must not be negative, got -1");
  CHECK(message_of<Invalid>([&] { flow.midpoint(-1, 1); }) ==
        "wgf::OrnsteinUhlenbeck::midpoint: steps must not be negative, got -1");
  CHECK_THROWS_AS(flow.midpoint(1, -1), Invalid);
  const OrnsteinUhlenbeck steep(VectorXd(Eigen::Vector2d(1, 30)).asDiagonal(), b);
  CHECK(message_of<Invalid>([&] { steep.midpoint(1, 1); }) ==
        "wgf::OrnsteinUhlenbeck::midpoint: step_size must be so small that a half step contracts "
        "by less than a half, got 1.000000");
  CHECK(message_of<Invalid>([&] { flow.at(-1); }) ==
        "wgf::OrnsteinUhlenbeck::at: the time must not be negative, got -1.000000");
}

// ---- Langevin

TEST_CASE("langevin on a Gaussian has the exact law of the discrete chain") {
  // x ← m + (I − hP)(x − m) + √(2h) ξ, an AR(1) process; with h so large that the continuous
  // process's law is another.
  const MatrixXd covariance =
      (MatrixXd(3, 3) << 1, 0.3, 0.1, 0.3, 0.8, -0.2, 0.1, -0.2, 1.2).finished();
  const Gaussian target(Eigen::Vector3d(1, -2, 0.5), covariance);
  const double h = 0.25;
  const int steps = 6;
  const long n = 100000;
  const VectorXd start = Eigen::Vector3d(3, 0, -1);
  const MatrixXd contraction = MatrixXd::Identity(3, 3) - h * target.precision();
  VectorXd mean = start;
  MatrixXd spread = MatrixXd::Zero(3, 3);
  for (int k = 0; k < steps; ++k) {
    mean = target.mean() + contraction * (mean - target.mean());
    spread = contraction * spread * contraction + 2 * h * MatrixXd::Identity(3, 3);
  }
  const Particles x = wgf::langevin(target, start.replicate(1, n), steps * h, h, 9);
  const VectorXd m = x.rowwise().mean();
  const MatrixXd s =
      (x.colwise() - mean) * (x.colwise() - mean).transpose() / static_cast<double>(n);
  for (int i = 0; i < 3; ++i) {
    CHECK(std::abs(m(i) - mean(i)) < 4 * std::sqrt(spread(i, i) / n));
    for (int j = 0; j <= i; ++j) {
      const double error =
          std::sqrt((spread(i, i) * spread(j, j) + spread(i, j) * spread(i, j)) / n);
      CHECK(std::abs(s(i, j) - spread(i, j)) < 4 * error);
    }
  }
  // The continuous process, whose covariance at that time is Σ(I − e^{−2tP}), would have been told
  // apart.
  const Eigen::SelfAdjointEigenSolver<MatrixXd> p(target.precision());
  const VectorXd variances =
      (1 - (-2 * steps * h * p.eigenvalues().array()).exp()) / p.eigenvalues().array();
  const MatrixXd continuous =
      p.eigenvectors() * variances.asDiagonal() * p.eigenvectors().transpose();
  CHECK((continuous - spread).cwiseAbs().maxCoeff() > 10 * spread.maxCoeff() * std::sqrt(2.0 / n));
}

TEST_CASE(
    "langevin on a flat target is Brownian motion, independent of a start with the same seed") {
  const long n = 100000;
  const Particles start = Gaussian::isotropic(2, 1).sample(n, 5),
                  moved = wgf::langevin(Flat{}, start, 1.5, 0.5, 5) - start;
  for (int i = 0; i < 2; ++i) {
    const double variance = moved.row(i).squaredNorm() / n;
    CHECK(std::abs(variance - 3) < 4 * 3 * std::sqrt(2.0 / n));
    CHECK(std::abs(moved.row(i).dot(start.row(i)) / n) < 4 * std::sqrt(3.0 / n));
  }
}

TEST_CASE("langevin takes targets by the batch, by the point, or by their log-density alone") {
  const GaussianMixture mixture(
      {1, 2}, {Gaussian(Eigen::Vector2d(1, 0), (MatrixXd(2, 2) << 1, 0.4, 0.4, 0.7).finished()),
               Gaussian::isotropic(VectorXd(Eigen::Vector2d(-1, 1)), 0.6)});
  const Particles start = wgf::standard_normals(2, 300, 1);
  CHECK(wgf::langevin(mixture, start, 1, 0.1, 2)
            .isApprox(wgf::langevin(Pointwise<GaussianMixture>{mixture}, start, 1, 0.1, 2), 1e-10));
  CHECK(wgf::langevin(Quartic{}, start, 0.1, 0.01, 2)
            .isApprox(wgf::langevin(QuarticGradient{}, start, 0.1, 0.01, 2), 1e-12));
}

TEST_CASE("langevin divides the time evenly") {
  const Particles start = wgf::standard_normals(2, 50, 1);
  const Gaussian target = Gaussian::isotropic(2, 1);
  CHECK(wgf::langevin(target, start, 0, 0.1, 3) == start);
  CHECK(wgf::langevin(target, start, 1, 0.3, 3) ==
        wgf::langevin(target, start, 1, 0.25, 3));  // four steps either way
  // 2.1/0.3 is above 7 in binary, which must not make an eighth step.
  CHECK(wgf::langevin(target, start, 2.1, 0.3, 3) == wgf::langevin(target, start, 2.1, 0.32, 3));
  CHECK(wgf::langevin(target, start, 1, 0.1, 3) != wgf::langevin(target, start, 1, 0.1, 4));
}

TEST_CASE("langevin refuses what makes no sense") {
  const Gaussian target = Gaussian::isotropic(2, 1);
  const Particles start = Particles::Ones(2, 3);
  CHECK(message_of<Invalid>([&] { wgf::langevin(target, Particles::Ones(3, 3), 1, 0.1, 1); }) ==
        "wgf::langevin: the particles must have the target's dimension 2, got 3");
  CHECK(message_of<Invalid>([&] { wgf::langevin(target, start, -1, 0.1, 1); }) ==
        "wgf::langevin: the time must not be negative, got -1.000000");
  CHECK(message_of<Invalid>([&] { wgf::langevin(target, start, 1, 0, 1); }) ==
        "wgf::langevin: dt must be positive, got 0.000000");
  CHECK_THROWS_AS(wgf::langevin(target, start, 1e300, 1e-10, 1), Invalid);
  CHECK(message_of<std::runtime_error>([&] {
          wgf::langevin(QuarticGradient{}, Particles(10 * start), 100, 1, 1);
        }) == "wgf::langevin: the particles diverged; dt = 1.000000 is too long for this target");
}
