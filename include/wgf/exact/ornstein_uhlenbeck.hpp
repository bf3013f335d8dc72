// SPDX-License-Identifier: BSL-1.0
#pragma once
// Ornstein–Uhlenbeck, the Fokker–Planck flow of KL(·‖Q) for Q ∝ exp(−½(x − b)ᵀA(x − b)), in closed
// form: the PDE, the exact JKO iterates and those of the midpoint scheme.
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include <Eigen/Eigenvalues>

#include "../measure/gaussian.hpp"
#include "../random.hpp"

namespace wgf {

/// Everything about the flow from N(0, I) to N(b, A⁻¹) is known. The law at time t gives a scheme's
/// total error, the scheme's exact iterate the optimiser's part in it: what a perfect minimisation
/// with step size a would return.
class OrnsteinUhlenbeck {
 public:
  /// \param precision A, d × d, symmetric and positive definite; \param b the target's mean.
  /// \throws std::invalid_argument for sizes that differ, or a precision that is not symmetric and
  /// positive definite.
  OrnsteinUhlenbeck(const Eigen::MatrixXd& precision, Eigen::VectorXd b)
      : OrnsteinUhlenbeck(checked(precision, b), b) {}
  /// A random target: its covariance has eigenvalues uniform in [½, 1] and a random basis, b ~ N(0,
  /// I) (section 4.2).
  static OrnsteinUhlenbeck random(int dim, std::uint64_t seed) {
    if (dim < 1)
      throw std::invalid_argument("wgf::OrnsteinUhlenbeck: the dimension must be at least 1, got " +
                                  std::to_string(dim));
    // The Q of a Gaussian matrix's QR decomposition with positive diagonal of R has Haar's law
    // (Mezzadri, 2007). By Cholesky, twice: the second time mends what rounding did to the first's
    // orthogonality.
    Eigen::MatrixXd basis = standard_normals(dim, dim, seed, stream);
    for (int pass = 0; pass < 2; ++pass) {
      const Eigen::MatrixXd gram = detail::product(basis.transpose(), basis);
      basis = detail::solve_lower(Eigen::LLT<Eigen::MatrixXd>(gram).matrixL(), basis.transpose())
                  .transpose();
    }
    const Eigen::ArrayXd variances =
        0.5 + 0.5 * standard_uniforms(dim, 1, seed, stream + 1).col(0).array();
    return {detail::symmetric_part(spectral(basis, variances.inverse())),
            standard_normals(dim, 1, seed, stream + 2).col(0)};
  }

  int dim() const { return target_.dim(); }
  /// Q = N(b, A⁻¹).
  const Gaussian& target() const { return target_; }

  /// The law at time t ≥ 0 from N(0, I): mean (I − e^{−At})b, covariance A⁻¹(I − e^{−2At}) +
  /// e^{−2At}.
  Gaussian at(double t) const {
    if (!(t >= 0))
      throw std::invalid_argument(
          "wgf::OrnsteinUhlenbeck::at: the time must not be negative, got " + std::to_string(t));
    const Eigen::ArrayXd mean = -(-t * rates_).expm1() * b_;
    return in_basis(mean, -(-2 * t * rates_).expm1() / rates_ + (-2 * t * rates_).exp());
  }

  /// argmin_P W₂²(P, p)/(2a) + KL(P‖Q), exactly. With σ the root of p's covariance: m' = (I +
  /// aA)⁻¹(m + aAb), σ' = ½(I + aA)⁻¹[σ + (σ² + 4a(I + aA))^½]. \param p must have a covariance
  /// that commutes with A, as all iterates from an isotropic Gaussian do; \param step_size a > 0.
  /// \throws std::invalid_argument if it does not, or for another dimension, or a step size that is
  /// not positive.
  Gaussian jko_iterate(const Gaussian& p, double step_size) const {
    check(step_size);
    if (p.dim() != dim())
      throw std::invalid_argument(
          "wgf::OrnsteinUhlenbeck::jko_iterate: the Gaussian must have dimension " +
          std::to_string(dim()) + ", got " + std::to_string(p.dim()));
    // Covariances that commute with A but not with its computed basis exist (A may have equal
    // eigenvalues), hence matrices, not eigenvalues.
    const Eigen::MatrixXd identity = Eigen::MatrixXd::Identity(dim(), dim()), &s = p.covariance();
    const Eigen::MatrixXd a = spectral(basis_, rates_);
    if ((detail::product(a, s) - detail::product(s, a)).norm() > 1e-9 * a.norm() * s.norm())
      throw std::invalid_argument(
          "wgf::OrnsteinUhlenbeck::jko_iterate: the covariance must commute with the precision A");
    const Eigen::MatrixXd implicit = identity + step_size * a;
    const Eigen::MatrixXd inverse = spectral(basis_, (1 + step_size * rates_).inverse());
    const Eigen::MatrixXd root = detail::product(
        inverse, 0.5 * (square_root(s) + square_root(s + 4 * step_size * implicit)));
    const Eigen::VectorXd pull = step_size * (a * target_.mean()), mean = p.mean() + pull;
    return {inverse * mean, detail::congruence(root, identity)};
  }
  /// The exact JKO iterate after `steps` steps from N(0, I).
  Gaussian jko(int steps, double step_size) const {
    check(step_size), check(steps, "jko");
    Moments p = start();
    for (int k = 0; k < steps; ++k) p = jko_iterate(p, step_size);
    return in_basis(p.mean, p.sd.square());
  }
  /// The exact iterate of the midpoint scheme after `steps` steps from N(0, I): in each the optimal
  /// map T of a JKO step of size a/2 is extrapolated to x ↦ 2T(x) − x. \throws
  /// std::invalid_argument for a step size at which an extrapolated map would not be monotone.
  Gaussian midpoint(int steps, double step_size) const {
    check(step_size), check(steps, "midpoint");
    Moments p = start();
    for (int k = 0; k < steps; ++k) {
      const Moments half =
          jko_iterate(p, step_size / 2);  // T(x) = m_½ + (σ_½/σ)(x − m) in every direction
      p = {2 * half.mean - p.mean, 2 * half.sd - p.sd};
      if (!(p.sd > 0).all())
        throw std::invalid_argument(
            "wgf::OrnsteinUhlenbeck::midpoint: step_size must be so small that a half step "
            "contracts by less than a "
            "half, got " +
            std::to_string(step_size));
    }
    return in_basis(p.mean, p.sd.square());
  }

 private:
  static constexpr std::uint32_t stream = 0x4f552020;  // "OU  "

  struct Moments {  // of a Gaussian that commutes with A, in its eigenbasis
    Eigen::ArrayXd mean, sd;
  };
  Moments start() const { return {Eigen::ArrayXd::Zero(dim()), Eigen::ArrayXd::Ones(dim())}; }
  Moments jko_iterate(const Moments& p, double step_size) const {
    const Eigen::ArrayXd implicit = 1 + step_size * rates_;
    return {(p.mean + step_size * rates_ * b_) / implicit,
            (p.sd + (p.sd.square() + 4 * step_size * implicit).sqrt()) / (2 * implicit)};
  }

  OrnsteinUhlenbeck(const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>& a, Eigen::VectorXd b)
      : rates_(a.eigenvalues()),
        basis_(a.eigenvectors()),
        b_(basis_.transpose() * b),
        target_(std::move(b), spectral(basis_, rates_.inverse())) {}
  static Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> checked(const Eigen::MatrixXd& a,
                                                                const Eigen::VectorXd& b) {
    if (a.rows() != a.cols() || a.rows() != b.size() || b.size() < 1)
      throw std::invalid_argument(
          "wgf::OrnsteinUhlenbeck: the precision must be square and of b's dimension " +
          std::to_string(b.size()) + ", got " + std::to_string(a.rows()) + " x " +
          std::to_string(a.cols()));
    if (!a.allFinite() || !b.allFinite())
      throw std::invalid_argument("wgf::OrnsteinUhlenbeck: the precision and b must be finite");
    if ((a - a.transpose()).cwiseAbs().maxCoeff() > 1e-9 * a.cwiseAbs().maxCoeff())
      throw std::invalid_argument("wgf::OrnsteinUhlenbeck: the precision must be symmetric");
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(a);
    if (!(solver.eigenvalues()(0) > 0))
      throw std::invalid_argument(
          "wgf::OrnsteinUhlenbeck: the precision must be positive definite, its smallest "
          "eigenvalue is " +
          std::to_string(solver.eigenvalues()(0)));
    return solver;
  }
  static void check(double step_size) {
    if (!(step_size > 0) || !std::isfinite(step_size))
      throw std::invalid_argument("wgf::OrnsteinUhlenbeck: step_size must be positive, got " +
                                  std::to_string(step_size));
  }
  static void check(int steps, const char* what) {
    if (steps < 0)
      throw std::invalid_argument("wgf::OrnsteinUhlenbeck::" + std::string(what) +
                                  ": steps must not be negative, got " + std::to_string(steps));
  }
  /// V·diag(values)·Vᵀ.
  static Eigen::MatrixXd spectral(const Eigen::MatrixXd& basis, const Eigen::ArrayXd& values) {
    return detail::congruence(basis, Eigen::MatrixXd(values.matrix().asDiagonal()));
  }
  static Eigen::MatrixXd square_root(const Eigen::MatrixXd& s) {
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(s);
    return spectral(solver.eigenvectors(), solver.eigenvalues().array().sqrt());
  }
  Gaussian in_basis(const Eigen::ArrayXd& mean, const Eigen::ArrayXd& variances) const {
    return {basis_ * mean.matrix(), spectral(basis_, variances)};
  }

  Eigen::ArrayXd rates_;  // A's eigenvalues
  Eigen::MatrixXd basis_;
  Eigen::ArrayXd b_;  // in that basis
  Gaussian target_;
};

}  // namespace wgf
