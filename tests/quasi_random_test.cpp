// SPDX-License-Identifier: BSL-1.0
// Quasi-random populations: the lattice, the maps from the cube to each measure, and runs that
// start from them.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/quasi_random.hpp>
#include <wgf/solver/jko_solver.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <string>
#include <vector>

#include "catch.hpp"
#include "common/kolmogorov.hpp"
#include "folder.hpp"
#include "pieces.hpp"
#include "support.hpp"

using namespace wgf;
using Eigen::ArrayXd, Eigen::MatrixXd, Eigen::VectorXd;
using examples::kolmogorov;

namespace {
// The relative error of x = Φ⁻¹(p), from one Newton step with erfc, or erf near ½, where both are
// accurate.
double relative_error(double p, double x) {
  const double root = std::sqrt(0.5),
               density = std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
  double step;
  if (std::abs(p - 0.5) < 0.25) step = (0.5 * std::erf(x * root) - (p - 0.5)) / density;
  else if (p < 0.5) step = (0.5 * std::erfc(-x * root) - p) / density;
  else step = ((1 - p) - 0.5 * std::erfc(x * root)) / density;
  return std::abs(step / x);
}
double normal_cdf(double x) { return 0.5 * std::erfc(-x * std::sqrt(0.5)); }

// A law with known mean and covariance.
template <class M>
struct Law {
  M measure;
  VectorXd mean;
  MatrixXd covariance;
};
Law<UniformBox> box(int d) {
  const VectorXd u = VectorXd::LinSpaced(d, 0.5, 2);
  return {UniformBox(-u, 2 * u), u / 2, (0.75 * u.array().square()).matrix().asDiagonal()};
}
Law<Gaussian> gaussian(int d) {
  const MatrixXd c = MatrixXd::Identity(d, d) + 0.5 * MatrixXd::Ones(d, d);
  const VectorXd m = VectorXd::LinSpaced(d, -1, 3);
  return {Gaussian(m, c), m, c};
}
Law<Barenblatt> barenblatt(int d, double exponent) {
  const auto b = Barenblatt::with_radius(VectorXd(VectorXd::LinSpaced(d, -1, 3)), exponent, 1.7);
  return {b, b.centre(), std::pow(b.rms_radius(), 2) / d * MatrixXd::Identity(d, d)};
}
Law<GaussianMixture> mixture(int d) {
  const VectorXd u = VectorXd::LinSpaced(d, 0.5, 1.5);
  const GaussianMixture g({0.2, 0.5, 0.3}, {Gaussian::isotropic(u, 1), gaussian(d).measure,
                                            Gaussian::isotropic(VectorXd(3 * u), 2)});
  return {g, g.mean(), g.covariance()};
}

// Root mean square errors of averages over a set of points, relative to the standard error for
// independent draws.
struct Errors {
  double means = 0, squares = 0, products = 0;  // of x_j, (x_j − m_j)², (x_0 − m_0)(x_1 − m_1)
};
template <class M>
Errors errors(const Law<M>& law, PointSet points, int seeds, long n = 20'000) {
  const double count = static_cast<double>(n);
  Errors sum;
  for (int seed = 1; seed <= seeds; ++seed) {
    const auto key = static_cast<std::uint64_t>(seed);
    const auto average = [&](const ArrayXd& f, const ArrayXd& independent, double exact) {
      const double variance = (independent - independent.mean()).square().mean();
      return std::pow(f.mean() - exact, 2) / (variance / count);
    };
    const Particles y = law.measure.sample(n, 1000 + key).colwise() - law.mean;
    const Particles x = points == PointSet::random
                            ? y
                            : Particles(law.measure.quasi_random(n, key).colwise() - law.mean);
    const Eigen::Index d = x.rows();
    for (Eigen::Index j = 0; j < d; ++j) {
      const ArrayXd f = x.row(j), g = y.row(j);
      sum.means += average(f, g, 0) / static_cast<double>(d);
      sum.squares += average(f.square(), g.square(), law.covariance(j, j)) / static_cast<double>(d);
    }
    if (d > 1)
      sum.products += average(x.row(0).array() * x.row(1).array(),
                              y.row(0).array() * y.row(1).array(), law.covariance(0, 1));
  }
  return {std::sqrt(sum.means / seeds), std::sqrt(sum.squares / seeds),
          std::sqrt(sum.products / seeds)};
}
template <class M>
void check_errors(const std::string& name, const Law<M>& law, double means, double squares,
                  double products) {
  const Errors e = errors(law, PointSet::quasi_random, 10);
  INFO(name << ", d = " << law.mean.size() << ": errors of means 1/" << 1 / e.means
            << " of the standard error, of squares 1/" << 1 / e.squares << ", of products 1/"
            << 1 / e.products);
  CHECK(e.means < 1 / means);
  CHECK(e.squares < 1 / squares);
  CHECK(e.products < 1 / products);
}
}  // namespace

TEST_CASE("the inverse of the normal distribution function is accurate to rounding") {
  double worst = 0;
  const auto check = [&](double p) {
    worst = std::max(worst, relative_error(p, detail::inverse_normal_cdf(p)));
  };
  for (double digits = -300; digits < -0.31; digits += 0.01) check(std::pow(10, digits));
  for (double digits = -16; digits < -0.31; digits += 0.003) check(1 - std::pow(10, digits));
  for (double q = 1e-9; q < 0.45; q *= 1.005) check(0.5 + q), check(0.5 - q);
  check(1 - 0x1p-53);
  CHECK(worst < 1e-14);  // 7e-16
  CHECK(detail::inverse_normal_cdf(0.5) == 0);
  CHECK(detail::inverse_normal_cdf(0.975) == Approx(1.959963984540054).epsilon(1e-15));
}

TEST_CASE("levels of gamma laws, quantiles of beta laws: closed forms") {
  for (double x = 1e-8; x < 700; x *= 1.7) {
    const auto half = detail::gamma_level(0.5, x), one = detail::gamma_level(1, x);
    CHECK(half.below == Approx(std::erf(std::sqrt(x))).epsilon(1e-13));
    CHECK(half.above == Approx(std::erfc(std::sqrt(x))).epsilon(1e-12));
    CHECK(one.below == Approx(-std::expm1(-x)).epsilon(1e-13));
    double poisson = 0, term = std::exp(-x);
    for (int k = 0; k < 32; ++k) poisson += term, term *= x / (k + 1);
    CHECK(detail::gamma_level(32, x).above == Approx(poisson).epsilon(1e-11).margin(1e-300));
  }
  for (double p = 1e-12; p < 1; p = p < 0.01 ? 10 * p : p + 0.01) {
    const detail::Level at{p, 1 - p};
    for (const double a : {0.5, 1.0, 4.0, 32.0}) {  // P(Y ≤ y) = y^a for b = 1
      CHECK(detail::BetaLaw(a, 1).quantile(at).below == Approx(std::pow(p, 1 / a)).epsilon(1e-12));
      CHECK(detail::BetaLaw(1, a).quantile(at).above ==
            Approx(std::pow(1 - p, 1 / a)).epsilon(1e-12));
    }
    const auto square = [](double x) { return x * x; };
    CHECK(detail::BetaLaw(0.5, 0.5).quantile(at).below ==
          Approx(square(std::sin(p * std::numbers::pi / 2))).epsilon(1e-12));
    // a = ½, b = 2: P(Y ≤ r²) = (3r − r³)/2.
    const double r = std::sqrt(detail::BetaLaw(0.5, 2).quantile(at).below);
    CHECK((3 * r - r * r * r) / 2 == Approx(p).epsilon(1e-12));
    // and through the level that the law itself gives
    const detail::BetaLaw high(32, 3);
    CHECK(high.level(high.quantile(at).below).below == Approx(p).epsilon(1e-11));
  }
}

TEST_CASE("the quality of a pair of coordinates is that of all waves") {
  for (const long n : {5L, 8L, 30L, 89L, 97L})
    for (long z = 1; z < n; ++z) {
      if (std::gcd(z, n) != 1) continue;
      long smallest = n;
      for (long h = -n; h <= n; ++h)
        for (long k = -n; k <= n; ++k)
          if (h != 0 && k != 0 && (h + k * z) % n == 0)
            smallest = std::min(smallest, std::abs(h * k));
      CHECK(detail::pair_quality(z, n, 0) == static_cast<double>(smallest));
      CHECK(z * detail::inverse_modulo(z, n) % n == 1);
    }
  CHECK(detail::pair_quality(55, 89, 0) == 34);  // Fibonacci numbers: the best there is
}

TEST_CASE("every coordinate of a lattice has one value in each of n equal parts") {
  for (const int d : {1, 2, 10, 64})
    for (const long n : {1L, 2L, 3L, 4L, 5L, 6L, 12L, 97L, 1000L, 1024L}) {
      const Particles u = detail::lattice(d, n, 7, 1);
      REQUIRE(u.rows() == d);
      REQUIRE(u.cols() == n);
      for (int j = 0; j < d; ++j) {
        std::vector<double> parts;
        for (Eigen::Index i = 0; i < n; ++i) {
          REQUIRE(u(j, i) > 0);
          REQUIRE(u(j, i) < 1);
          parts.push_back(std::floor(u(j, i) * static_cast<double>(n)));
        }
        std::sort(parts.begin(), parts.end());
        bool each = true;
        for (std::size_t i = 0; i < parts.size(); ++i)
          each = each && parts[i] == static_cast<double>(i);
        CHECK(each);
      }
    }
}

TEST_CASE("no two coordinates of a lattice are close to a line") {
  for (const long n : {1000L, 20'000L, 65'536L, 100'000L}) {
    const auto z = detail::lattice_generator(64, n);
    double worst = static_cast<double>(n);
    for (std::size_t i = 0; i < z.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        worst =
            std::min(worst, detail::pair_quality(z[j] * detail::inverse_modulo(z[i], n) % n, n, 0));
    INFO("n = " << n << ", worst pair " << worst);
    CHECK(worst >= std::max(2.0, static_cast<double>(n) / 1000));  // 1 on a diagonal
  }
}

TEST_CASE("averages over quasi-random points are more accurate than over independent draws") {
  // Errors relative to the standard error of 20,000 independent draws, which are 1 for these:
  const Errors one = errors(gaussian(2), PointSet::random, 10);
  CHECK(one.means > 0.5);
  CHECK(one.squares > 0.5);
  CHECK(one.products > 0.3);
  for (const int d : {1, 2, 8}) {
    check_errors("box", box(d), 20, 20, 4);
    check_errors("Gaussian", gaussian(d), 20, d < 8 ? 20 : 5, 4);
    for (const double exponent : {1.5, 2.0, 3.0})
      check_errors("Barenblatt", barenblatt(d, exponent), 20, d < 8 ? 20 : 5, 4);
    check_errors("mixture", mixture(d), 20, d < 2 ? 20 : 5, 4);
  }
}

TEST_CASE("quasi-random points have the right distribution functions") {
  const long n = 20'000;
  const double part = 1 / static_cast<double>(n), rounding = 1e-11;
  for (const std::uint64_t seed : {1, 2, 3}) {
    for (const int d : {1, 3}) {
      const Particles x = box(d).measure.quasi_random(n, seed);
      const UniformBox b = box(d).measure;
      for (int j = 0; j < d; ++j)
        CHECK(kolmogorov(x.row(j), [&](double at) {
                return (at - b.lower()(j)) / (b.upper()(j) - b.lower()(j));
              }) <= part + rounding);
    }
    const Particles z = Gaussian::isotropic(4, 2).quasi_random(n, seed);
    for (int j = 0; j < 4; ++j)
      CHECK(kolmogorov(z.row(j), [](double at) { return normal_cdf(at / 2); }) <= part + rounding);
    const auto line = barenblatt(1, 2).measure;  // density ∝ 1 − (x − c)²/R²
    CHECK(kolmogorov(line.quasi_random(n, seed).row(0), [&](double at) {
            const double r = (at - line.centre()(0)) / line.radius();
            return 0.5 + (3 * r - r * r * r) / 4;
          }) <= part + rounding);
    // The radius in two dimensions; independent draws have a distance of about 0.006.
    const auto disc = barenblatt(2, 1.5).measure;
    const Particles y = disc.quasi_random(n, seed).colwise() - disc.centre();
    const double radial = kolmogorov(y.colwise().norm(), [&](double at) {
      const double ratio = at / disc.radius();
      return 1 - std::pow(1 - ratio * ratio, 3);
    });
    INFO("radius of Barenblatt's profile in two dimensions: " << radial);
    CHECK(radial < 0.001);
    const auto three = mixture(1).measure;
    const Particles m = three.quasi_random(n, seed);
    CHECK(kolmogorov(m.row(0), [&](double at) {
            double p = 0;
            for (std::size_t k = 0; k < 3; ++k) {
              const Gaussian& c = three.components()[k];
              p += three.weights()[k] * normal_cdf((at - c.mean()(0)) / c.factor()(0, 0));
            }
            return p;
          }) <= 3 * part + rounding);
  }
}

TEST_CASE("a mixture's components get their share of quasi-random points, each of its own law") {
  const auto centres = (MatrixXd(2, 3) << -100, 0, 100, 0, 100, 0).finished();
  const GaussianMixture far({0.123, 0.6, 0.277}, {Gaussian::isotropic(centres.col(0), 1),
                                                  Gaussian::isotropic(centres.col(1), 2),
                                                  Gaussian::isotropic(centres.col(2), 3)});
  const long n = 5001;
  const Particles x = far.quasi_random(n, 4);
  for (int k = 0; k < 3; ++k) {
    std::vector<double> first;
    for (Eigen::Index i = 0; i < n; ++i)
      if (far.mode_of(x.col(i)) == k) first.push_back(x(0, i) - centres(0, k));
    const double expected = far.weights()[static_cast<std::size_t>(k)] * static_cast<double>(n);
    CHECK(std::abs(static_cast<double>(first.size()) - expected) < 1);
    CHECK(kolmogorov(Eigen::Map<ArrayXd>(first.data(), static_cast<long>(first.size())),
                     [&](double at) { return normal_cdf(at / (k + 1)); }) < 2 / expected);
  }
}

TEST_CASE("an empirical measure uses every particle equally often") {
  const Particles data = standard_normals(2, 30, 1);
  for (const long n : {1L, 29L, 30L, 100L}) {
    const Particles x = Empirical(data).quasi_random(n, 5);
    for (Eigen::Index k = 0; k < 30; ++k) {
      const auto times = (x.colwise() - data.col(k)).colwise().squaredNorm().array();
      const long count = (times == 0).count();
      CHECK(count >= n / 30);
      CHECK(count <= n / 30 + 1);
    }
  }
  CHECK(Empirical(data).quasi_random(30, 5) != data);
}

TEST_CASE("quasi-random points are a function of the seed, and few points work in any dimension") {
  const auto check = [](const auto& measure) {
    for (const long n : {1L, 2L, 3L, 7L}) {
      const Particles x = measure.quasi_random(n, 3);
      REQUIRE(x.rows() == measure.dim());
      REQUIRE(x.cols() == n);
      CHECK(x.allFinite());
      if constexpr (requires { measure.log_density(VectorXd()); })
        for (Eigen::Index i = 0; i < n; ++i) CHECK(std::isfinite(measure.log_density(x.col(i))));
    }
    const Particles x = measure.quasi_random(500, 3);
    CHECK(x == measure.quasi_random(500, 3));
    CHECK(x != measure.quasi_random(500, 4));
    CHECK((x - measure.quasi_random(500, 4)).cwiseAbs().rowwise().maxCoeff().minCoeff() > 1e-3);
  };
  for (const int d : {1, 2, 10, 64}) {
    INFO("d = " << d);
    check(box(d).measure), check(gaussian(d).measure), check(mixture(d).measure);
    check(barenblatt(d, 2).measure), check(barenblatt(d, 1.01).measure);
    check(barenblatt(d, 50).measure);
    check(Empirical(standard_normals(d, 400, 2)));
  }
}

TEST_CASE("consecutive quasi-random points are a fair sample of all of them") {
  const long n = 20'000, batch = 500;
  for (const int d : {1, 2, 10, 64}) {
    const Particles x = Gaussian::isotropic(d, 1).quasi_random(n, 11);
    // Errors in units of the standard error of `batch` draws without replacement. In the order of
    // the lattice the first coordinate of a batch would lie in a fortieth of its range, with errors
    // of up to 50.
    const double unit = std::sqrt(static_cast<double>(n - batch) / static_cast<double>(n * batch));
    double squares = 0, worst = 0;
    long count = 0;
    const auto put = [&](double error, double variance) {
      const double z = error / (unit * std::sqrt(variance));
      squares += z * z, worst = std::max(worst, std::abs(z)), ++count;
    };
    for (long first = 0; first + batch <= n; first += batch) {
      const Particles y = x.middleCols(first, batch);
      const VectorXd mean = y.rowwise().mean();
      const MatrixXd second = y * y.transpose() / static_cast<double>(batch);
      for (int i = 0; i < d; ++i) {
        put(mean(i), 1), put(second(i, i) - 1, 2);
        for (int j = 0; j < i; ++j) put(second(i, j), 1);
      }
    }
    INFO("d = " << d << ": mean square " << squares / static_cast<double>(count) << ", greatest "
                << worst << " of " << count);
    CHECK(squares / static_cast<double>(count) == Approx(1).margin(d == 1 ? 0.4 : 0.2));
    CHECK(worst < 5.5);
  }
}

// ---- runs

namespace {
const Gaussian start = Gaussian::isotropic(2, 1);
auto solver(int threads) {
  return JkoSolver{kl(Gaussian::isotropic(VectorXd(VectorXd::Constant(2, 1)), 0.7), Quadratic{}),
                   ResidualMlp<16, 3>{}, Backward{.step_size = 0.3},
                   EigenBackend<double>{.seed = 5, .threads = threads}};
}
const RunOptions options{.steps = 2,
                         .training = {.iterations = 40, .batch = 300, .first_step = 1},
                         .population = {.size = 6000, .points = PointSet::quasi_random}};
/// The particles of P_0 that the k-th drawing of a run's population gives.
template <class M>
Particles drawn(const M& p0, std::uint64_t k) {
  return p0.quasi_random(options.population.size, detail::mixed_seed(5 + detail::pool_stream + k));
}
// A custom P_0 with its own quasi-random points: a ring.
struct Ring {
  int dim() const { return 2; }
  Particles sample(long n, std::uint64_t seed) const { return at(standard_uniforms(1, n, seed)); }
  Particles quasi_random(long n, std::uint64_t seed) const {
    return at(detail::lattice(1, n, seed, 0));
  }
  static Particles at(const Particles& u) {
    const ArrayXd angle = 2 * std::numbers::pi * u.row(0).transpose().array();
    Particles x(2, u.cols());
    x.row(0) = angle.cos(), x.row(1) = angle.sin();
    return x;
  }
};
}  // namespace

TEST_CASE("a run's population is quasi-random if its options say so") {
  const auto one = solver(1), two = solver(2);
  auto state = one.start(start, options);
  CHECK((state.particles() - drawn(start, 0)).cwiseAbs().maxCoeff() == 0);
  auto same = two.start(start, options);
  while (!state.finished()) one.step(state), two.step(same);
  CHECK(state.particles() == same.particles());
  CHECK(test::same_flow(state.flow(), same.flow()));
  // The pool has the law of independent draws that are pushed through the maps.
  const long n = 200'000;
  const Particles x = state.particles(), y = state.flow().sample(n, 9);
  const MatrixXd covariance = Gaussian::fit(y).covariance();
  for (int j = 0; j < 2; ++j) {
    const double sd = std::sqrt(covariance(j, j)), error = std::sqrt(1 / static_cast<double>(n));
    CHECK(std::abs(x.row(j).mean() - y.row(j).mean()) < 4 * error * sd);
    CHECK(std::abs(Gaussian::fit(x).covariance()(j, j) / covariance(j, j) - 1) < 6 * error);
  }
  // It is not that of a run with independent draws.
  RunOptions other = options;
  other.population.points = PointSet::random;
  CHECK(one.start(start, other).particles() != drawn(start, 0));
}

TEST_CASE("a refreshed population is another quasi-random set") {
  RunOptions refreshed = options;
  refreshed.population.refresh_every = 1;
  const auto one = solver(1);
  auto state = one.start(start, refreshed);
  while (!state.finished()) one.step(state);
  const Particles expected = state.flow().push(drawn(start, 1));
  CHECK((state.particles() - expected).cwiseAbs().maxCoeff() < 1e-12);
  CHECK((drawn(start, 1) - drawn(start, 0)).cwiseAbs().maxCoeff() > 0.1);
}

TEST_CASE("a run in pieces is the run: quasi-random populations") {
  RunOptions pieces = options;
  pieces.steps = 3, pieces.training.iterations = 20, pieces.population.refresh_every = 2;
  test::check_pieces(solver, start, pieces, 1);
  const test::Folder folder("quasi_random");
  const auto one = solver(1);
  one.start(start, pieces).save(folder / "run.ckpt");
  pieces.population.points = PointSet::random;
  CHECK(test::message_of<FileError>([&] { one.resume(folder / "run.ckpt", start, pieces); })
            .find("it was saved by a run with another option population.points: quasi_random, "
                  "this one has random") != std::string::npos);
}

TEST_CASE("a custom P_0 can have quasi-random points") {
  const auto one = solver(1);
  CHECK(one.start(Ring{}, options).particles() == drawn(Ring{}, 0));
  const auto flow = one.run(Ring{}, {.steps = 0});
  CHECK(draw_initial(flow.initial, 50, 3, PointSet::quasi_random) == Ring{}.quasi_random(50, 3));
  CHECK(draw_initial(flow.initial, 50, 3, PointSet::random) == Ring{}.sample(50, 3));
}
