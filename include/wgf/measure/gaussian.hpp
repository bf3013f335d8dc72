// SPDX-License-Identifier: BSL-1.0
#pragma once
// The Gaussian N(m, Σ) with log-density −½(x − m)ᵀΣ⁻¹(x − m) − ½ log det(2πΣ).
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "../checks.hpp"
#include "../linear_algebra.hpp"
#include "../particles.hpp"
#include "../quasi_random.hpp"
#include "../random.hpp"

namespace wgf {

/// A Gaussian with a full covariance matrix. A diagonal one is detected and costs O(d) per point
/// instead of O(d²).
class Gaussian {
 public:
  /// \param mean d numbers.
  /// \param covariance d × d, symmetric and positive definite, in squared units of the mean.
  /// \throws std::invalid_argument if the covariance has the wrong size, entries that are not
  /// finite, or is not symmetric and positive definite to working precision.
  Gaussian(Eigen::VectorXd mean, Eigen::MatrixXd covariance)
      : mean_(std::move(mean)), covariance_(std::move(covariance)) {
    const Eigen::Index d = mean_.size();
    if (d < 1)
      throw std::invalid_argument(
          "wgf::Gaussian: the mean must have at least one coordinate, got none");
    if (covariance_.rows() != d || covariance_.cols() != d)
      throw std::invalid_argument("wgf::Gaussian: the covariance must be " + std::to_string(d) +
                                  " x " + std::to_string(d) + " like the mean, got " +
                                  std::to_string(covariance_.rows()) + " x " +
                                  std::to_string(covariance_.cols()));
    if (!mean_.allFinite() || !covariance_.allFinite())
      throw std::invalid_argument("wgf::Gaussian: mean and covariance must be finite");
    const double asymmetry = (covariance_ - covariance_.transpose()).cwiseAbs().maxCoeff();
    if (asymmetry > 1e-9 * covariance_.cwiseAbs().maxCoeff())
      throw std::invalid_argument(
          "wgf::Gaussian: the covariance must be symmetric, it differs from its transpose by " +
          text(asymmetry));
    covariance_ = detail::symmetric_part(covariance_);

    factor_ = detail::cholesky(covariance_);
    // A pivot is the conditional variance of a coordinate given the previous ones. It is
    // meaningless below the rounding error of the variance itself.
    const double smallest = 4 * static_cast<double>(d) * std::numeric_limits<double>::epsilon();
    if (factor_.size() == 0 ||
        !(factor_.diagonal().array().square() > smallest * covariance_.diagonal().array()).all())
      throw std::invalid_argument(
          "wgf::Gaussian: the covariance must be positive definite to working precision");
    const Eigen::MatrixXd inverse = detail::inverse_of_lower(factor_);
    precision_ = detail::symmetric_part(detail::product(inverse.transpose(), inverse));
    diagonal_ = covariance_.isDiagonal(0);
    log_normaliser_ = -factor_.diagonal().array().log().sum() -
                      0.5 * static_cast<double>(d) * std::log(2 * std::numbers::pi);
  }

  /// N(0, sd² I) in `dim` dimensions.
  static Gaussian isotropic(int dim, double sd) {
    if (dim < 1)
      throw std::invalid_argument("wgf::Gaussian: the dimension must be at least 1, got " +
                                  std::to_string(dim));
    return isotropic(Eigen::VectorXd(Eigen::VectorXd::Zero(dim)), sd);
  }
  /// N(mean, sd² I).
  static Gaussian isotropic(Eigen::VectorXd mean, double sd) {
    if (!(sd > 0) || !std::isfinite(sd))
      throw std::invalid_argument("wgf::Gaussian: the standard deviation must be positive, got " +
                                  text(sd));
    const Eigen::Index d = mean.size();
    return {std::move(mean), sd * sd * Eigen::MatrixXd::Identity(d, d)};
  }
  /// The maximum-likelihood Gaussian: the mean and covariance of the particles, normalised by 1/n.
  /// \throws std::invalid_argument if there are no more particles than dimensions, or if they lie
  /// in a hyperplane, so that the covariance is singular.
  static Gaussian fit(const Particles& x) {
    if (x.cols() <= x.rows())
      throw std::invalid_argument(
          "wgf::Gaussian::fit: more particles than dimensions are needed, got " +
          std::to_string(x.cols()) + " in " + std::to_string(x.rows()) + " dimensions");
    Eigen::VectorXd mean = x.rowwise().mean();
    const Particles centred = x.colwise() - mean;
    return {std::move(mean),
            detail::product(centred, centred.transpose()) / static_cast<double>(x.cols())};
  }

  int dim() const { return static_cast<int>(mean_.size()); }
  const Eigen::VectorXd& mean() const { return mean_; }
  const Eigen::MatrixXd& covariance() const { return covariance_; }
  /// The lower Cholesky factor L, Σ = LLᵀ; zero above the diagonal.
  const Eigen::MatrixXd& factor() const { return factor_; }
  /// Σ⁻¹.
  const Eigen::MatrixXd& precision() const { return precision_; }
  /// Whether the covariance is exactly diagonal.
  bool is_diagonal() const { return diagonal_; }
  /// −½ log det(2πΣ), which log_density adds to −½(x − m)ᵀΣ⁻¹(x − m).
  double log_normaliser() const { return log_normaliser_; }

  /// n independent draws, a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles sample(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::Gaussian::sample");
    return from_standard(standard_normals(dim(), n, seed));
  }
  /// n evenly spread points of the law: a lattice with a random shift, mapped by the quantiles of
  /// the normal law; a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles quasi_random(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::Gaussian::quasi_random");
    return from_standard(detail::lattice_normals(dim(), n, seed, 0));
  }
  double log_density(const Eigen::VectorXd& x) const {
    check(x.size(), "log_density");
    if (diagonal_)
      return log_normaliser_ -
             0.5 * ((x - mean_).array() / factor_.diagonal().array()).square().sum();
    const Eigen::MatrixXd z = detail::solve_lower(factor_, x - mean_);
    return log_normaliser_ - 0.5 * z.squaredNorm();
  }
  /// ∇ log density: −Σ⁻¹(x − m).
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const {
    check(x.size(), "gradient");
    if (diagonal_) return precision_.diagonal().cwiseProduct(mean_ - x);
    return detail::times(precision_, mean_ - x);
  }
  /// Writes the gradients at all columns of x to `out`, which is resized to the shape of x.
  void gradients(const Particles& x, Particles& out) const {
    check(x.rows(), "gradients");
    out.resize(x.rows(), x.cols());
    if (diagonal_) out = ((-x).colwise() + mean_).array().colwise() * precision_.diagonal().array();
    else out = detail::product(precision_, (-x).colwise() + mean_);
  }

 private:
  Particles from_standard(Particles x) const {
    if (diagonal_) x.array().colwise() *= factor_.diagonal().array();
    else x = detail::product(factor_, x);
    x.colwise() += mean_;
    return x;
  }
  static std::string text(double value) { return (std::ostringstream() << value).str(); }
  void check(Eigen::Index d, const char* who) const {
    if (d != mean_.size())
      throw std::invalid_argument(std::string("wgf::Gaussian::") + who + ": the point must have " +
                                  std::to_string(dim()) + " coordinates, got " + std::to_string(d));
  }

  Eigen::VectorXd mean_;
  Eigen::MatrixXd covariance_, factor_, precision_;
  double log_normaliser_ = 0;
  bool diagonal_ = false;
};

}  // namespace wgf
