// SPDX-License-Identifier: BSL-1.0
#pragma once
// Two posteriors as targets on all of R^d (a positive parameter is sampled by its logarithm, with
// the log-Jacobian in the density, and no constant is left out), and tools to standardise them:
// Laplace approximation, Gaussian variational fit, standardised coordinates.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <Eigen/Dense>
#include <wgf/random.hpp>

#include "data.hpp"
#include "quadrature.hpp"

namespace examples {

namespace detail {
inline constexpr double log_sqrt_2pi = 0.91893853320467274178;
/// log(1 + e^x), without overflow.
inline double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }
/// 1 / (1 + e^-x), without overflow.
inline double sigmoid(double x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}

/// Half-Cauchy log-density of e^s plus the log-Jacobian s, and its derivative:
/// log(2/(π scale)) + s − log(1 + (e^s/scale)²).
inline double log_half_cauchy(double s, double scale) {
  return std::log(2 / (std::numbers::pi * scale)) + s - softplus(2 * (s - std::log(scale)));
}
inline double log_half_cauchy_derivative(double s, double scale) {
  return 1 - 2 * sigmoid(2 * (s - std::log(scale)));
}
}  // namespace detail

/// Children's test scores by mother's schooling and IQ, a linear regression with interaction:
/// y_i ~ N(β1 + β2 hs_i + β3 iq_i + β4 hs_i iq_i, σ), flat prior on β, σ ~ half-Cauchy(0, 2.5).
/// Sampled: x = (β1, β2, β3, β4, log σ). The data enter only through
/// |y − Hβ|² = r + (β − b)ᵀ HᵀH (β − b), where b is the least-squares solution, so that the cost of
/// an evaluation does not depend on their number.
class TestScores {
 public:
  /// \param file posteriordb's data of kidscore_interaction \throws std::runtime_error if data are
  /// missing or malformed
  static TestScores read(const std::filesystem::path& file) {
    const auto json = read_json(file);
    const auto score = vector_field(json, "kid_score", file),
               hs = vector_field(json, "mom_hs", file), iq = vector_field(json, "mom_iq", file);
    if (score.size() != hs.size() || score.size() != iq.size())
      throw std::runtime_error(fmt::format(
          "{}: kid_score, mom_hs and mom_iq have {}, {} and {} entries, but must have as many",
          file.string(), score.size(), hs.size(), iq.size()));
    Eigen::MatrixXd design(score.size(), 4);
    design << Eigen::VectorXd::Ones(score.size()), hs, iq, hs.cwiseProduct(iq);
    try {
      return {design, score};
    } catch (const std::invalid_argument& error) {
      throw std::runtime_error(fmt::format("{}: {}", file.string(), error.what()));
    }
  }

  /// \param design n × 4 \param y n observations, n ≥ 5
  TestScores(const Eigen::MatrixXd& design, const Eigen::VectorXd& y)
      : count_(static_cast<double>(y.size())) {
    const auto need = [&](bool good) {
      if (good) return;
      throw std::invalid_argument(
          fmt::format("TestScores: {} data with {} columns do not determine 4 coefficients",
                      y.size(), design.cols()));
    };
    need(design.cols() == 4 && design.rows() == y.size() && y.size() >= 5 && design.allFinite() &&
         y.allFinite());
    const Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr(design);
    need(qr.rank() == 4);
    gram_ = design.transpose() * design;
    fit_ = qr.solve(y);
    residual_ = (y - design * fit_).squaredNorm();
    if (!(residual_ > 1e-24 * y.squaredNorm()))
      throw std::invalid_argument(
          "TestScores: the coefficients fit the data exactly, so that sigma has no posterior");
  }

  int dim() const { return 5; }
  double log_density(const Eigen::VectorXd& x) const {
    const Eigen::Vector4d e = x.head<4>() - fit_;
    return -count_ * (x[4] + detail::log_sqrt_2pi) -
           0.5 * (residual_ + e.dot(gram_ * e)) * std::exp(-2 * x[4]) +
           detail::log_half_cauchy(x[4], 2.5);
  }
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const {
    const Eigen::Vector4d e = x.head<4>() - fit_, ge = gram_ * e;
    const double precision = std::exp(-2 * x[4]);
    Eigen::VectorXd g(5);
    g << -precision * ge, -count_ + (residual_ + e.dot(ge)) * precision +
                              detail::log_half_cauchy_derivative(x[4], 2.5);
    return g;
  }

  static std::vector<std::string> sampled_names() {
    return {"beta1", "beta2", "beta3", "beta4", "log_sigma"};
  }
  static std::vector<std::string> constrained_names() {
    return {"beta1", "beta2", "beta3", "beta4", "sigma"};
  }
  /// log ∫ of the density, exact up to rounding: β | σ is Gaussian, the rest a quadrature in log σ.
  double log_evidence() const {
    const double normals = (count_ - 4) * detail::log_sqrt_2pi,
                 volume = gram_.llt().matrixLLT().diagonal().array().log().sum(),
                 centre = start()[4];
    const auto marginal = [&](double s) {
      return (4 - count_) * s - 0.5 * residual_ * std::exp(-2 * s) +
             detail::log_half_cauchy(s, 2.5) - normals - volume;
    };
    return log_integral(marginal, std::min(centre, std::log(2.5)) - 60,
                        std::max(centre, std::log(2.5)) + 60);
  }
  static constexpr const char* evidence_text =
      "of the data, with the likelihood and the prior of sigma normalised; the prior of beta is "
      "flat with density 1, so that log Z depends on the units of beta";

  /// The constrained parameters (β1, …, β4, σ), one particle per column.
  static wgf::Particles constrain(wgf::Particles x) {
    x.row(4) = x.row(4).array().exp();
    return x;
  }
  static wgf::Particles unconstrain(wgf::Particles x) {
    x.row(4) = x.row(4).array().log();
    return x;
  }
  /// A starting point for the search of the mode.
  Eigen::VectorXd start() const {
    Eigen::VectorXd x(5);
    x << fit_, 0.5 * std::log(residual_ / count_);
    return x;
  }

 private:
  double count_;
  Eigen::Matrix4d gram_;  // HᵀH
  Eigen::Vector4d fit_;   // least squares
  double residual_;       // |y − H fit|²
};

/// Eight schools' coaching effects, non-centred: y_j ~ N(μ + τ θ_j, σ_j), θ_j ~ N(0, 1), μ ~ N(0,
/// 5), τ ~ half-Cauchy(0, 5). Sampled: x = (θ_1, …, θ_8, μ, log τ); constrained: (μ + τ θ_1, …, μ +
/// τ θ_8, μ, τ).
class EightSchools {
 public:
  /// \param file posteriordb's data of eight_schools_noncentered \throws std::runtime_error if data
  /// are missing or malformed
  static EightSchools read(const std::filesystem::path& file) {
    const auto json = read_json(file);
    const auto y = vector_field(json, "y", file), sigma = vector_field(json, "sigma", file);
    if (y.size() != 8 || sigma.size() != 8 || !(sigma.minCoeff() > 0))
      throw std::runtime_error(fmt::format(
          "{}: y and sigma must hold eight numbers each, sigma positive ones", file.string()));
    return {y, sigma};
  }
  EightSchools(const Eigen::Matrix<double, 8, 1>& y, const Eigen::Matrix<double, 8, 1>& sigma)
      : y_(y),
        precision_(sigma.array().square().inverse()),
        constant_(-17 * detail::log_sqrt_2pi - sigma.array().log().sum() - std::log(5.0)) {}

  int dim() const { return 10; }
  double log_density(const Eigen::VectorXd& x) const {
    const double mu = x[8], tau = std::exp(x[9]);
    const Vector8 theta = x.head<8>(), e = y_ - mu - tau * theta;
    return constant_ - 0.5 * ((precision_ * e * e).sum() + (theta * theta).sum() + mu * mu / 25) +
           detail::log_half_cauchy(x[9], 5);
  }
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const {
    const double mu = x[8], tau = std::exp(x[9]);
    const Vector8 theta = x.head<8>(), score = precision_ * (y_ - mu - tau * theta);
    Eigen::VectorXd g(10);
    g << (tau * score - theta).matrix(), score.sum() - mu / 25,
        tau * (score * theta).sum() + detail::log_half_cauchy_derivative(x[9], 5);
    return g;
  }

  static std::vector<std::string> sampled_names() {
    return {"theta_raw1", "theta_raw2", "theta_raw3", "theta_raw4", "theta_raw5",
            "theta_raw6", "theta_raw7", "theta_raw8", "mu",         "log_tau"};
  }
  static std::vector<std::string> constrained_names() {
    return {"theta1", "theta2", "theta3", "theta4", "theta5",
            "theta6", "theta7", "theta8", "mu",     "tau"};
  }
  /// log ∫ of the density, exact up to rounding: given τ all is Gaussian, y_j | μ ~ N(μ, σ_j² +
  /// τ²). The rest is a quadrature in log τ.
  double log_evidence() const {
    const auto marginal = [&](double s) {
      const Vector8 v = precision_.inverse() + std::exp(2 * s);
      const double precision = 1.0 / 25 + v.inverse().sum(), mean = (y_ / v).sum() / precision;
      return -8 * detail::log_sqrt_2pi -
             0.5 * (v.log().sum() + std::log(25 * precision) + (y_.square() / v).sum() -
                    precision * mean * mean) +
             detail::log_half_cauchy(s, 5);
    };
    const double finest = 1 / precision_.maxCoeff(), widest = finest + y_.square().maxCoeff();
    return log_integral(marginal, std::log(std::min(finest, 25.0)) / 2 - 60,
                        std::log(std::max(widest, 25.0)) / 2 + 60);
  }
  static constexpr const char* evidence_text =
      "of the data, with the likelihood and all priors normalised, whatever the coordinates";

  static wgf::Particles constrain(wgf::Particles x) {
    x.row(9) = x.row(9).array().exp();
    for (int j = 0; j < 8; ++j) x.row(j) = x.row(8).array() + x.row(9).array() * x.row(j).array();
    return x;
  }
  static wgf::Particles unconstrain(wgf::Particles x) {
    for (int j = 0; j < 8; ++j) x.row(j) = (x.row(j) - x.row(8)).array() / x.row(9).array();
    x.row(9) = x.row(9).array().log();
    return x;
  }
  Eigen::VectorXd start() const { return Eigen::VectorXd::Zero(10); }

 private:
  using Vector8 = Eigen::Array<double, 8, 1>;
  Vector8 y_, precision_;  // 1/σ²
  double constant_;        // of 17 normal log-densities
};

/// Means and standard deviations of a posterior's parameters.
struct Moments {
  std::vector<std::string> names;
  Eigen::VectorXd mean, sd;

  /// The moments of particles, one per column.
  static Moments of(const wgf::Particles& x, std::vector<std::string> names = {}) {
    const Eigen::VectorXd mean = x.rowwise().mean();
    const double n = static_cast<double>(std::max<Eigen::Index>(x.cols() - 1, 1));
    return {std::move(names), mean, ((x.colwise() - mean).rowwise().squaredNorm() / n).cwiseSqrt()};
  }
};

/// Reference draws of a posterior: the moments of all 10,000 on both scales, and 2,000 of the draws
/// for pictures.
struct Reference {
  Moments constrained, sampled;
  wgf::Particles draws;          ///< on the constrained scale
  wgf::Particles sampled_draws;  ///< the same draws in the sampled coordinates

  /// \param folder with reference_moments.json and draws.csv
  template <class Posterior>
  static Reference read(const std::filesystem::path& folder) {
    const auto file = folder / "reference_moments.json";
    const auto json = read_json(file);
    const auto moments = [&](const char* scale, std::vector<std::string> names) {
      const auto part = field<nlohmann::json>(json, scale, file);
      Moments m{std::move(names), {}, {}};
      m.mean.resize(static_cast<Eigen::Index>(m.names.size())), m.sd = m.mean;
      for (std::size_t i = 0; i < m.names.size(); ++i) {
        const auto parameter = field<nlohmann::json>(part, m.names[i], file);
        m.mean[static_cast<Eigen::Index>(i)] = field<double>(parameter, "mean", file);
        m.sd[static_cast<Eigen::Index>(i)] = field<double>(parameter, "sd", file);
      }
      return m;
    };
    Reference reference{moments("constrained", Posterior::constrained_names()),
                        moments("sampled", Posterior::sampled_names()),
                        {},
                        {}};
    Table table = read_csv(folder / "draws.csv");
    if (table.names != Posterior::constrained_names())
      throw std::runtime_error(fmt::format("{}: line 1: the columns must be {}",
                                           (folder / "draws.csv").string(),
                                           fmt::join(Posterior::constrained_names(), ",")));
    reference.draws = std::move(table.values);
    reference.sampled_draws = Posterior::unconstrain(reference.draws);
    if (!reference.sampled_draws.allFinite())
      throw std::runtime_error(fmt::format("{}: {} must be positive in every row",
                                           (folder / "draws.csv").string(),
                                           Posterior::constrained_names().back()));
    return reference;
  }
};

/// Largest differences between the moments of particles and reference moments.
struct MomentErrors {
  double mean;  ///< in reference standard deviations
  double sd;    ///< relative
  static MomentErrors between(const Moments& measured, const Moments& reference) {
    return {((measured.mean - reference.mean).array() / reference.sd.array()).abs().maxCoeff(),
            (measured.sd.array() / reference.sd.array() - 1).abs().maxCoeff()};
  }
};

/// A Gaussian N(mean, factor factorᵀ), factor lower triangular.
struct GaussianFit {
  Eigen::VectorXd mean;
  Eigen::MatrixXd factor;
};

/// The Hessian of a target's log-density by central differences of its gradient, symmetrised.
template <class Target>
Eigen::MatrixXd hessian(const Target& target, const Eigen::VectorXd& x) {
  Eigen::MatrixXd h(x.size(), x.size());
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    const double step =
        6e-6 * std::max(1.0, std::abs(x[i]));  // about the cube root of the rounding error
    Eigen::VectorXd up = x, down = x;
    up[i] += step, down[i] -= step;
    h.col(i) = (target.gradient(up) - target.gradient(down)) / (up[i] - down[i]);
  }
  return 0.5 * (h + h.transpose());
}

/// The Laplace approximation of a target at its mode, by a damped Newton method. \throws
/// std::runtime_error if no maximum with a negative definite Hessian is found
template <class Target>
GaussianFit laplace_fit(const Target& target, Eigen::VectorXd x) {
  double value = target.log_density(x), damping = 0;
  for (int iteration = 0; iteration < 200; ++iteration) {
    const Eigen::MatrixXd curvature = -hessian(target, x);
    const Eigen::VectorXd g = target.gradient(x),
                          scale = curvature.diagonal().cwiseAbs().cwiseMax(1e-8);
    if (!curvature.allFinite() || !g.allFinite()) break;
    bool moved = false;
    for (int attempt = 0; attempt < 60 && !moved; ++attempt) {
      const Eigen::LLT<Eigen::MatrixXd> llt(curvature +
                                            damping * Eigen::MatrixXd(scale.asDiagonal()));
      if (llt.info() == Eigen::Success) {
        const Eigen::VectorXd step = llt.solve(g);
        const double gain = g.dot(step);  // twice the increase predicted by the quadratic model
        if (damping == 0 && gain < 1e-16)
          return {x, llt.solve(Eigen::MatrixXd::Identity(x.size(), x.size())).llt().matrixL()};
        const double next = target.log_density(x + step);
        if (next >= value + 1e-4 * gain || (damping == 0 && gain < 1e-9 * (1 + std::abs(value)))) {
          x += step, value = next, moved = true;
          damping = damping < 1e-4 ? 0 : damping / 10;
          break;
        }
      }
      damping = std::max(10 * damping, 1e-3);
    }
    if (!moved) break;
  }
  throw std::runtime_error("laplace_fit: found no mode with a negative definite Hessian");
}

/// The Gaussian q that maximises the evidence lower bound E_q[log p] + H(q). For skewed posteriors
/// it is a better fit than the Laplace approximation. The expectation is over fixed normals, x = m
/// + Lε, whitened so that a Gaussian target is fitted exactly. Natural gradient ascent: m += ρ S
/// E[∇log p], S⁻¹ −= ρ (S⁻¹ + E[∇² log p]), with E[∇² log p] = S⁻¹ E[(x − m)∇log pᵀ] (Price's
/// theorem). ρ is halved when the bound decreases.
template <class Target>
GaussianFit variational_fit(const Target& target, GaussianFit fit, std::uint64_t seed = 1,
                            int normals = 10000, int iterations = 500) {
  using Eigen::MatrixXd, Eigen::VectorXd;
  const Eigen::Index d = fit.mean.size();
  MatrixXd e = wgf::standard_normals(static_cast<int>(d), normals / 2, seed);
  const MatrixXd moment = e * e.transpose() / static_cast<double>(e.cols());
  moment.llt().matrixL().solveInPlace(e);
  MatrixXd eps(d, 2 * e.cols());
  eps << e, -e;  // antithetic, hence mean 0; whitened, hence covariance I
  const double n = static_cast<double>(eps.cols());

  const auto bound = [&](const GaussianFit& q) {
    double sum = 0;
    for (Eigen::Index i = 0; i < eps.cols(); ++i)
      sum += target.log_density(q.mean + q.factor * eps.col(i));
    return sum / n + q.factor.diagonal().array().log().sum();
  };
  const auto inverse = [d](const MatrixXd& a) {
    return MatrixXd(a.llt().solve(MatrixXd::Identity(d, d)));
  };

  double value = bound(fit), rate = 0.5;
  MatrixXd precision = inverse(fit.factor * fit.factor.transpose());
  for (int iteration = 0; iteration < iterations && rate > 1e-6; ++iteration) {
    VectorXd mean_gradient = VectorXd::Zero(d);
    MatrixXd product = MatrixXd::Zero(d, d);  // E[ε ∇log pᵀ]
    for (Eigen::Index i = 0; i < eps.cols(); ++i) {
      const VectorXd g = target.gradient(fit.mean + fit.factor * eps.col(i));
      mean_gradient += g / n, product += eps.col(i) * g.transpose() / n;
    }
    MatrixXd curvature = -fit.factor.transpose().template triangularView<Eigen::Upper>().solve(
        product);  // −E[∇² log p]
    curvature = 0.5 * (curvature + curvature.transpose()).eval();
    const VectorXd direction = fit.factor * (fit.factor.transpose() * mean_gradient);
    const double progress =
        mean_gradient.dot(direction) +
        (fit.factor.transpose() * (curvature - precision) * fit.factor).squaredNorm();
    if (progress < 1e-12) break;
    for (; rate > 1e-6; rate *= 0.5) {
      const MatrixXd trial_precision = (1 - rate) * precision + rate * curvature;
      if (trial_precision.llt().info() != Eigen::Success) continue;
      const GaussianFit trial{fit.mean + rate * direction,
                              inverse(trial_precision).llt().matrixL()};
      const double trial_value = bound(trial);
      if (!(trial_value > value)) continue;
      fit = trial, precision = trial_precision, value = trial_value;
      rate = std::min(1.5 * rate, 1.0);
      break;
    }
  }
  return fit;
}

/// A target in the coordinates z of a Gaussian fit, x = mean + factor z: well scaled, and standard
/// normal if the fit is exact. The density is that of z, with the same integral as that of x.
/// Stores a copy of the target.
template <class Target>
class Standardised {
 public:
  Standardised(Target target, GaussianFit fit) : target_(std::move(target)), fit_(std::move(fit)) {
    if (fit_.mean.size() != target_.dim() || fit_.factor.rows() != target_.dim() ||
        fit_.factor.cols() != target_.dim())
      throw std::invalid_argument(
          fmt::format("Standardised: the fit has dimension {}, the target {}", fit_.mean.size(),
                      target_.dim()));
    log_determinant_ = fit_.factor.diagonal().array().abs().log().sum();
  }

  int dim() const { return target_.dim(); }
  double log_density(const Eigen::VectorXd& z) const {
    return target_.log_density(fit_.mean + fit_.factor * z) + log_determinant_;
  }
  Eigen::VectorXd gradient(const Eigen::VectorXd& z) const {
    return fit_.factor.transpose() * target_.gradient(fit_.mean + fit_.factor * z);
  }

  /// From standardised to sampled coordinates and back, one particle per column.
  wgf::Particles to_sampled(const wgf::Particles& z) const {
    return (fit_.factor * z).colwise() + fit_.mean;
  }
  wgf::Particles from_sampled(const wgf::Particles& x) const {
    return fit_.factor.triangularView<Eigen::Lower>().solve(x.colwise() - fit_.mean);
  }
  const Target& target() const { return target_; }
  const GaussianFit& fit() const { return fit_; }

 private:
  Target target_;
  GaussianFit fit_;
  double log_determinant_;  // of the factor
};

}  // namespace examples
