// SPDX-License-Identifier: BSL-1.0
#pragma once
// The Ornstein–Uhlenbeck process, the Fokker–Planck flow of KL(·‖Q) for Q ∝ exp(−½(x − b)ᵀA(x −
// b)), in closed form: the solution of the PDE and the exact iterates of the JKO and midpoint
// schemes.
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include <Eigen/Eigenvalues>

#include "../measure/gaussian.hpp"
#include "../random.hpp"

namespace wgf {

/// The flow from N(0, I) to N(b, A⁻¹) in closed form. The law at time t gives the total error of a
/// scheme. The exact iterate of the scheme, which a perfect minimisation with step size a would
/// return, gives the part of the error that is due to the optimiser.
class OrnsteinUhlenbeck {
 public:
  /// \param precision A, d × d, symmetric and positive definite.
  /// \param b the mean of the target.
  /// \throws std::invalid_argument if the sizes differ, or the precision is not symmetric and
  /// positive definite.
  OrnsteinUhlenbeck(const Eigen::MatrixXd& precision, Eigen::VectorXd b)
      : OrnsteinUhlenbeck(checked(precision, b), b) {}
  /// A random target: the eigenvalues of its covariance are uniform in [½, 1], its eigenbasis is
  /// random, and b ~ N(0, I) (section 4.2).
  static OrnsteinUhlenbeck random(int dim, std::uint64_t seed) {
    if (dim < 1)
      throw std::invalid_argument("wgf::OrnsteinUhlenbeck: the dimension must be at least 1, got " +
                                  std::to_string(dim));
    // The factor Q of a Gaussian matrix's QR decomposition, with a positive diagonal of R, is Haar
    // distributed (Mezzadri, 2007). It is computed by Cholesky twice: the second pass restores the
    // orthogonality that the first loses to rounding.
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

  /// The law at time t ≥ 0, starting from N(0, I): mean (I − e^{−At})b, covariance A⁻¹(I −
  /// e^{−2At}) + e^{−2At}.
  Gaussian at(double t) const {
    if (!(t >= 0))
      throw std::invalid_argument(
          "wgf::OrnsteinUhlenbeck::at: the time must not be negative, got " + std::to_string(t));
    const Eigen::ArrayXd mean = -(-t * rates_).expm1() * b_;
    return in_basis(mean, -(-2 * t * rates_).expm1() / rates_ + (-2 * t * rates_).exp());
  }

  /// argmin_P W₂²(P, p)/(2a) + KL(P‖Q), exactly. With σ the square root of p's covariance:
  /// m' = (I + aA)⁻¹(m + aAb), σ' = ½(I + aA)⁻¹[σ + (σ² + 4a(I + aA))^½].
  /// \param p its covariance must commute with A, as for all iterates from an isotropic Gaussian.
  /// \param step_size a > 0.
  /// \throws std::invalid_argument if the covariance does not commute with A, the dimension is
  /// wrong, or the step size is not positive.
  Gaussian jko_iterate(const Gaussian& p, double step_size) const {
    check(step_size);
    if (p.dim() != dim())
      throw std::invalid_argument(
          "wgf::OrnsteinUhlenbeck::jko_iterate: the Gaussian must have dimension " +
          std::to_string(dim()) + ", got " + std::to_string(p.dim()));
    // If A has equal eigenvalues, a covariance can commute with A without being diagonal in the
    // computed basis. Hence matrices, not eigenvalues.
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
  /// The exact iterate of the midpoint scheme after `steps` steps from N(0, I): in each step the
  /// optimal map T of a JKO step of size a/2 is extrapolated to x ↦ 2T(x) − x.
  /// \throws std::invalid_argument for a step size at which an extrapolated map would not be
  /// monotone.
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
