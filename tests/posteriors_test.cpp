// SPDX-License-Identifier: BSL-1.0
// The examples' posteriors: gradients against finite differences, densities against the models as
// written, and the reference draws against exact moments by quadrature.
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "../examples/common/posteriors.hpp"
#include "catch.hpp"

using namespace examples;
using Eigen::MatrixXd, Eigen::VectorXd;
using std::numbers::pi;

namespace {

const std::filesystem::path data =
    std::filesystem::path(__FILE__).parent_path() / ".." / "examples" / "data";

TestScores test_scores() { return TestScores::read(data / "test_scores" / "data.json"); }
EightSchools eight_schools() { return EightSchools::read(data / "eight_schools" / "data.json"); }

/// The worst relative difference of the gradient from a central difference of the log-density, in
/// coordinates of size one.
template <class Target>
double gradient_error(const Target& target, const VectorXd& x, const VectorXd& scale) {
  const VectorXd g = target.gradient(x);
  double worst = 0;
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    const auto at = [&](double h) {
      VectorXd y = x;
      y[i] += h * scale[i];
      return target.log_density(y);
    };
    const double h = 1e-3, slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) /
                                   (12 * h);  // error O(h⁴)
    worst = std::max(worst, std::abs(slope - g[i] * scale[i]) / (1 + std::abs(slope)));
  }
  return worst;
}

/// Expectations under an unnormalised density on the line, by the trapezoidal rule (spectrally
/// accurate: everything vanishes at the ends).
template <std::size_t N>
std::array<double, N> expectations(double low, double high,
                                   const std::function<double(double)>& log_density,
                                   const std::function<std::array<double, N>(double)>& values) {
  const int nodes = 20001;
  double peak = -1e300, total = 0;
  std::array<double, N> sums{};
  const auto node = [&](int i) { return low + (high - low) * i / (nodes - 1); };
  for (int i = 0; i < nodes; ++i) peak = std::max(peak, log_density(node(i)));
  for (int i = 0; i < nodes; ++i) {
    const double weight = std::exp(log_density(node(i)) - peak);
    const auto v = values(node(i));
    total += weight;
    for (std::size_t k = 0; k < N; ++k) sums[k] += weight * v[k];
  }
  for (auto& s : sums) s /= total;
  return sums;
}

/// 10,000 draws, a little correlated: as informative as 6,000 independent ones (from the spread of
/// the ten chains' means). Four standard errors.
constexpr double draws = 6000;
void check_mean(double reference, double exact, double sd) {
  CHECK(std::abs(reference - exact) < 4 * sd / std::sqrt(draws));
}
/// `kurtosis` of the parameter: the variance of its sample variance is (kurtosis − 1) σ⁴/n.
void check_sd(double reference, double exact, double kurtosis = 3) {
  CHECK(std::abs(reference / exact - 1) < 4 * std::sqrt((kurtosis - 1) / (4 * draws)));
}

}  // namespace

TEST_CASE("posteriors: gradients agree with finite differences") {
  const auto scores = test_scores();
  const auto schools = eight_schools();
  const auto score_moments = Reference::read<TestScores>(data / "test_scores").sampled;
  for (int k = 0; k < 10; ++k) {
    const VectorXd z = wgf::standard_normals(5, 1, 7, static_cast<std::uint32_t>(k));
    CHECK(gradient_error(scores, score_moments.mean + 2 * score_moments.sd.cwiseProduct(z),
                         score_moments.sd) < 1e-7);
    const VectorXd x = 2 * wgf::standard_normals(10, 1, 8, static_cast<std::uint32_t>(k));
    CHECK(gradient_error(schools, x, VectorXd::Ones(10)) < 1e-8);
  }
}

TEST_CASE("posteriors: the test_scores density is that of the model datum by datum") {
  const auto json = read_json(data / "test_scores" / "data.json");
  const auto target = test_scores();
  const auto model = [&](const VectorXd& x) {
    const double sigma = std::exp(x[4]);
    double sum = std::log(2 / (pi * 2.5 * (1 + sigma * sigma / 6.25))) + x[4];
    for (std::size_t i = 0; i < json["kid_score"].size(); ++i) {
      const double hs = json["mom_hs"][i], iq = json["mom_iq"][i], y = json["kid_score"][i];
      const double e = (y - x[0] - x[1] * hs - x[2] * iq - x[3] * hs * iq) / sigma;
      sum -= 0.5 * std::log(2 * pi) + std::log(sigma) + 0.5 * e * e;
    }
    return sum;
  };
  const VectorXd a = target.start();
  for (int k = 0; k < 5; ++k) {
    VectorXd b = a + 0.1 * VectorXd(wgf::standard_normals(5, 1, 3, static_cast<std::uint32_t>(k)));
    CHECK(target.log_density(b) == Approx(model(b)).epsilon(1e-9));
  }
}

TEST_CASE("posteriors: the eight_schools density is that of the model") {
  const auto target = eight_schools();
  const double y[] = {28, 8, -3, 7, -1, 1, 18, 12}, sigma[] = {15, 10, 16, 11, 9, 11, 10, 18};
  const auto model = [&](const VectorXd& x) {
    const double mu = x[8], tau = std::exp(x[9]);
    const auto normal = [](double e, double sd) {
      return -0.5 * std::log(2 * pi) - std::log(sd) - 0.5 * e * e / (sd * sd);
    };
    double sum = normal(mu, 5) + std::log(2 / (pi * 5 * (1 + tau * tau / 25))) + x[9];
    for (int j = 0; j < 8; ++j) sum += normal(x[j], 1) + normal(y[j] - mu - tau * x[j], sigma[j]);
    return sum;
  };
  for (int k = 0; k < 5; ++k) {
    const VectorXd a = wgf::standard_normals(10, 1, 4, static_cast<std::uint32_t>(k));
    CHECK(target.log_density(a) == Approx(model(a)).epsilon(1e-12));
  }
}

TEST_CASE(
    "posteriors: the test_scores reference moments are the exact ones within their Monte-Carlo "
    "error") {
  // β | σ ~ N(b, σ² (HᵀH)⁻¹), and integrating β out leaves log σ with density σ^{4−n} exp(−r/2σ²)
  // σ/(1 + (σ/2.5)²).
  const auto json = read_json(data / "test_scores" / "data.json");
  const auto column = [&](const char* name) { return vector_field(json, name, "data.json"); };
  const VectorXd hs = column("mom_hs"), iq = column("mom_iq"), y = column("kid_score");
  MatrixXd h(y.size(), 4);
  h << VectorXd::Ones(y.size()), hs, iq, hs.cwiseProduct(iq);
  const VectorXd b = h.householderQr().solve(y);
  const MatrixXd inverse = (h.transpose() * h).inverse();
  const double r = (y - h * b).squaredNorm(), n = static_cast<double>(y.size());
  const auto [s, ss, sigma, variance] = expectations<4>(
      2, 4,
      [&](double t) {
        return (5 - n) * t - 0.5 * r * std::exp(-2 * t) - std::log1p(std::exp(2 * t) / 6.25);
      },
      [](double t) {
        return std::array{t, t * t, std::exp(t), std::exp(2 * t)};
      });

  const auto reference = Reference::read<TestScores>(data / "test_scores");
  for (Eigen::Index i = 0; i < 4; ++i) {
    CAPTURE(i);
    const double sd = std::sqrt(variance * inverse(i, i));
    check_mean(reference.sampled.mean[i], b[i], sd), check_sd(reference.sampled.sd[i], sd);
  }
  check_mean(reference.sampled.mean[4], s, std::sqrt(ss - s * s)),
      check_sd(reference.sampled.sd[4], std::sqrt(ss - s * s));
  check_mean(reference.constrained.mean[4], sigma, std::sqrt(variance - sigma * sigma));
  check_sd(reference.constrained.sd[4], std::sqrt(variance - sigma * sigma));
}

TEST_CASE(
    "posteriors: the eight_schools reference moments are the exact ones within their Monte-Carlo "
    "error") {
  // Given τ everything is Gaussian: y_j | μ ~ N(μ, v_j) with v_j = σ_j² + τ²; μ ~ N(0, 25); θ_j |
  // μ, y ~ N(τ (y_j − μ)/v_j, σ_j²/v_j).
  const double y[] = {28, 8, -3, 7, -1, 1, 18, 12}, sigma[] = {15, 10, 16, 11, 9, 11, 10, 18};
  struct Given {
    double tau, mean, variance, log_evidence;  // of μ
  };
  const auto given = [&](double t) {
    const double tau = std::exp(t);
    double precision = 1.0 / 25, weighted = 0, log_sum = 0, squares = 0;
    for (int j = 0; j < 8; ++j) {
      const double v = sigma[j] * sigma[j] + tau * tau;
      precision += 1 / v, weighted += y[j] / v, log_sum += std::log(v), squares += y[j] * y[j] / v;
    }
    const double log_evidence =
        -0.5 * (log_sum + std::log(precision) + squares - weighted * weighted / precision);
    return Given{tau, weighted / precision, 1 / precision,
                 log_evidence + t - std::log1p(tau * tau / 25)};
  };
  const auto log_density = [&](double t) { return given(t).log_evidence; };
  const auto reference = Reference::read<EightSchools>(data / "eight_schools");
  const auto check = [&](double mean, double square, double kurtosis, const Moments& m,
                         Eigen::Index i) {
    CAPTURE(i, m.mean[i], mean, m.sd[i], std::sqrt(square - mean * mean));
    const double sd = std::sqrt(square - mean * mean);
    check_mean(m.mean[i], mean, sd), check_sd(m.sd[i], sd, kurtosis);
  };

  const auto top = expectations<8>(-25, 12, log_density, [&](double t) {
    const auto g = given(t);
    return std::array{t,     t * t,         t * t * t, t * t * t * t,
                      g.tau, g.tau * g.tau, g.mean,    g.mean * g.mean + g.variance};
  });
  const double tau4 = expectations<1>(-25, 12, log_density,
                                      [&](double t) { return std::array{std::exp(4 * t)}; })[0];
  const double tau3 = expectations<1>(-25, 12, log_density,
                                      [&](double t) { return std::array{std::exp(3 * t)}; })[0];
  const auto kurtosis = [](double m1, double m2, double m3, double m4) {
    const double v = m2 - m1 * m1;
    return (m4 - 4 * m1 * m3 + 6 * m1 * m1 * m2 - 3 * m1 * m1 * m1 * m1) / (v * v);
  };
  check(top[0], top[1], kurtosis(top[0], top[1], top[2], top[3]), reference.sampled, 9);
  check(top[4], top[5], kurtosis(top[4], top[5], tau3, tau4), reference.constrained, 9);
  check(top[6], top[7], 3, reference.sampled, 8);
  for (Eigen::Index j = 0; j < 8; ++j) {
    const auto school = expectations<8>(-25, 12, log_density, [&](double t) {
      const auto g = given(t);
      const double s2 = sigma[j] * sigma[j], v = s2 + g.tau * g.tau, shrink = g.tau / v,
                   keep = s2 / v;
      const double raw = shrink * (y[j] - g.mean),
                   raw_variance = s2 / v + shrink * shrink * g.variance;
      const double effect = g.mean + g.tau * raw,
                   variance = g.tau * g.tau * s2 / v + keep * keep * g.variance;
      std::array<double, 8> all;
      for (int k = 0; k < 2; ++k) {  // the four moments of each Gaussian
        const double m = k == 0 ? raw : effect, w = k == 0 ? raw_variance : variance;
        const std::array moments{m, m * m + w, m * m * m + 3 * m * w,
                                 m * m * m * m + 6 * m * m * w + 3 * w * w};
        std::copy(moments.begin(), moments.end(), all.begin() + 4 * k);
      }
      return all;
    });
    check(school[0], school[1], kurtosis(school[0], school[1], school[2], school[3]),
          reference.sampled, j);
    check(school[4], school[5], kurtosis(school[4], school[5], school[6], school[7]),
          reference.constrained, j);
  }
}

TEST_CASE(
    "posteriors: constrained and sampled scales are inverse to each other and the draws match "
    "their moments") {
  const auto both = [](auto posterior, const char* folder, double mean, double sd) {
    using Posterior = decltype(posterior);
    const auto reference = Reference::read<Posterior>(data / folder);
    REQUIRE(reference.draws.cols() == 2000);
    CHECK((Posterior::constrain(reference.sampled_draws) - reference.draws).cwiseAbs().maxCoeff() <
          1e-9);
    const auto constrained =
        MomentErrors::between(Moments::of(reference.draws), reference.constrained);
    const auto sampled =
        MomentErrors::between(Moments::of(reference.sampled_draws), reference.sampled);
    CHECK(std::max(constrained.mean, sampled.mean) < mean);
    CHECK(std::max(constrained.sd, sampled.sd) < sd);
  };
  both(test_scores(), "test_scores", 0.018, 0.020);  // examples/data/README.md states these
  both(eight_schools(), "eight_schools", 0.028, 0.026);
}

namespace {
/// A Gaussian that no coordinate axis suits.
struct Tilted {
  VectorXd mean = VectorXd{{1000, -2, 3}};
  MatrixXd precision = MatrixXd{{1e-4, 5e-4, 0}, {5e-4, 4, 1}, {0, 1, 2}};
  int dim() const { return 3; }
  double log_density(const VectorXd& x) const {
    return -0.5 * (x - mean).dot(precision * (x - mean));
  }
  VectorXd gradient(const VectorXd& x) const { return -precision * (x - mean); }
};
}  // namespace

TEST_CASE("posteriors: both fits of a Gaussian target are that Gaussian") {
  const Tilted target;
  const MatrixXd covariance = target.precision.inverse();
  const auto laplace = laplace_fit(target, VectorXd::Zero(3));
  const auto variational = variational_fit(target, {VectorXd::Zero(3), MatrixXd::Identity(3, 3)});
  for (const auto& fit : {laplace, variational}) {
    CHECK((fit.mean - target.mean).norm() < 1e-3);
    CHECK((fit.factor * fit.factor.transpose() - covariance).norm() < 1e-5 * covariance.norm());
    CHECK(fit.factor.isLowerTriangular());
  }
}

TEST_CASE("posteriors: standardised coordinates keep the integral, whatever the units") {
  // ∫ exp(−½ xᵀAx) dx = (2π)^{3/2}/√det A.
  const Tilted target;
  const Standardised standardised(target, laplace_fit(target, VectorXd::Zero(3)));
  CHECK(standardised.log_density(VectorXd::Zero(3)) ==
        Approx(-0.5 * std::log(target.precision.determinant())).epsilon(1e-8));
}

TEST_CASE("posteriors: log integrals of wide and narrow densities") {
  for (const double sd : {1e-7, 1.0, 50.0}) {
    const auto normal = [&](double x) { return -0.5 * std::pow((x - 3) / sd, 2) - std::log(sd); };
    CHECK(log_integral(normal, -900, 1000) == Approx(0.5 * std::log(2 * pi)).epsilon(1e-7));
  }
  const auto tails = [](double x) { return x - 2 * std::log1p(std::exp(x)); };  // logistic
  CHECK(std::abs(log_integral(tails, -70, 60)) < 1e-12);
  const auto flat = [](double) { return 0.0; };
  const auto none = [](double) { return -std::numeric_limits<double>::infinity(); };
  CHECK_THROWS_AS(log_integral(flat, -1, 1), std::runtime_error);
  CHECK_THROWS_AS(log_integral(none, -1, 1), std::runtime_error);
}

TEST_CASE("posteriors: the evidence is that of the models, in any units and with few data") {
  // By quadrature in mpmath with 15 digits. Each was confirmed by importance sampling of the model
  // as written, in all dimensions and with SciPy's densities: within two standard errors, which
  // were 0.0004 to 0.0014, and 0.005 for the outlier.
  constexpr double digits = 1e-9;
  using Vector8 = Eigen::Matrix<double, 8, 1>;
  Vector8 y, sigma, far;
  y << 28, 8, -3, 7, -1, 1, 18, 12;
  sigma << 15, 10, 16, 11, 9, 11, 10, 18;
  far << 280, 8, -30, 7, -100, 1, 18, 12;
  const auto near = [&](double exact) { return Approx(exact).epsilon(digits); };
  CHECK(eight_schools().log_evidence() == near(-31.3113473523));
  CHECK(EightSchools(0.1 * y, 0.1 * sigma).log_evidence() == near(-15.8968632369));
  CHECK(EightSchools(10 * y, 10 * sigma).log_evidence() == near(-49.8920963798));
  CHECK(EightSchools(far, sigma).log_evidence() == near(-52.5997058285));

  const auto json = read_json(data / "test_scores" / "data.json");
  const auto column = [&](const char* name) { return vector_field(json, name, "data.json"); };
  const auto scores = [&](double of_score, double of_iq) {
    const VectorXd hs = column("mom_hs"), iq = of_iq * column("mom_iq");
    MatrixXd h(hs.size(), 4);
    h << VectorXd::Ones(hs.size()), hs, iq, hs.cwiseProduct(iq);
    return TestScores(h, of_score * column("kid_score"));
  };
  CHECK(test_scores().log_evidence() == near(-1872.81586793));
  CHECK(scores(100, 1).log_evidence() == near(-3857.62501099));
  CHECK(scores(1, 1e-3).log_evidence() == near(-1872.81586793 + 2 * std::log(1000)));

  MatrixXd five(5, 4);
  five << 1, 0, 80, 0, 1, 0, 110, 0, 1, 1, 90, 90, 1, 1, 105, 105, 1, 1, 120, 120;
  const VectorXd few{{60, 95, 80, 70, 110}};
  CHECK(TestScores(five, few).log_evidence() == near(-13.520398883));
  CHECK_THROWS_AS(TestScores(five, five * Eigen::Vector4d(1, 2, 3, 4)), std::invalid_argument);
}

TEST_CASE("posteriors: the mode has no gradient and the standardised target is standard there") {
  const auto check = [](const auto& target) {
    const auto fit = laplace_fit(target, target.start());
    const Standardised standardised(target, fit);
    const VectorXd origin = VectorXd::Zero(target.dim());
    CHECK(standardised.gradient(origin).norm() < 1e-6);
    CHECK((hessian(standardised, origin) + MatrixXd::Identity(target.dim(), target.dim())).norm() <
          1e-4);
    const wgf::Particles z = wgf::standard_normals(target.dim(), 50, 5);
    CHECK((standardised.from_sampled(standardised.to_sampled(z)) - z).norm() < 1e-9);
    CHECK(gradient_error(standardised, z.col(0), VectorXd::Ones(target.dim())) < 1e-7);
  };
  check(test_scores());
  check(eight_schools());
}

TEST_CASE(
    "posteriors: the variational fit of eight_schools is stationary under normals it has not "
    "seen") {
  // At the best Gaussian E[∇log p] = 0 and E[ε ∇log pᵀ] + I = 0 (symmetric part) in the fit's own
  // coordinates.
  const auto target = eight_schools();
  const int fitted = 10000, fresh = 40000;
  const Standardised standardised(
      target, variational_fit(target, laplace_fit(target, target.start()), 1, fitted));
  const wgf::Particles z = wgf::standard_normals(10, fresh, 99);
  wgf::Particles terms(10 + 100, fresh);
  for (long i = 0; i < fresh; ++i) {
    const VectorXd g = standardised.gradient(z.col(i));
    const MatrixXd product = z.col(i) * g.transpose(),
                   stein = 0.5 * (product + product.transpose()) + MatrixXd::Identity(10, 10);
    terms.col(i) << g, stein.reshaped();
  }
  const auto moments = Moments::of(terms);
  const double both = std::sqrt(1.0 / fresh + 1.0 / fitted);  // the fit saw a sample as well
  for (Eigen::Index k = 0; k < terms.rows(); ++k) {
    CAPTURE(k);
    CHECK(std::abs(moments.mean[k]) < 5 * moments.sd[k] * both);
  }
  CHECK(moments.mean.cwiseAbs().maxCoeff() <
        0.1);  // and the test is sharp enough to mean something
}

TEST_CASE("data of the examples: one clear line about what is wrong") {
  const auto folder = std::filesystem::temp_directory_path() / "wgf_posteriors_test";
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, const char* text) {
    std::ofstream(folder / name) << text;
    return folder / name;
  };
  /// Whether `read` throws a std::runtime_error that says `expected`, on one line.
  const auto says = [](auto&& read, const std::string& expected) {
    try {
      read();
    } catch (const std::runtime_error& error) {
      const std::string what = error.what();
      UNSCOPED_INFO(what);
      return what.find(expected) != what.npos && what.find('\n') == what.npos;
    }
    return false;
  };
  CHECK(says([&] { read_json(folder / "none.json"); }, "none.json: no such file"));
  CHECK(says([&] { read_json(write("a.json", "{\n \"y\": [1, 2\n}")); },
             "a.json: parse error at line 3"));
  CHECK(says([&] { EightSchools::read(write("b.json", R"({"y": [1]})")); },
             "the field \"sigma\" is missing"));
  CHECK(says([&] { EightSchools::read(write("c.json", R"({"y": 1, "sigma": []})")); },
             "the field \"y\" has the wrong type (number)"));
  CHECK(says([&] { EightSchools::read(write("d.json", R"({"y": [1], "sigma": [1]})")); },
             "eight numbers each"));
  CHECK(says([&] { read_csv(write("e.csv", "a,b\n1,2\n3\n")); },
             "line 3: 1 values, but the header names 2"));
  CHECK(says([&] { read_csv(write("f.csv", "a,b\n1,x2\n")); },
             "line 2, column 2: \"x2\" is not a number"));
  CHECK(says([&] { read_csv(write("g.csv", "a,b\n")); }, "no rows"));
  CHECK(says([&] { read_csv(write("h.csv", "")); }, "line 1: no header"));
  CHECK(read_csv(write("i.csv", "\"a\",b\r\n1, 2\r\n3,-4e1\r\n")).values ==
        MatrixXd{{1, 3}, {2, -40}});
  std::filesystem::remove_all(folder);
}
