// SPDX-License-Identifier: BSL-1.0
#pragma once
// The gradient flow of F(P) = (1/(m−1)) ∫ P^m + ½λ E|X|², which is the porous medium equation
// ∂P/∂t = ΔP^m + λ∇·(xP) (section 4.3), from Barenblatt profiles in closed form: the solution of
// the PDE, the exact JKO iterates and the steady state.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "../measure/barenblatt.hpp"

namespace wgf {

/// A Barenblatt profile remains a Barenblatt profile under the PDE and under JKO steps: the
/// transport maps are dilations about its centre, which a confinement λ > 0 moves towards the
/// origin. With I of Barenblatt::log_unit_integral, q = n(m−1) + 1 and κ = 2m I^{−(m−1)}/(m−1), the
/// radius satisfies dR/dt = κR^{−q} − λR; a JKO step solves (1 + aλ)R' − R = aκR'^{−q}.
class PorousMedium {
 public:
  /// \param dim n.
  /// \param exponent m > 1.
  /// \param confinement λ ≥ 0.
  /// \throws std::invalid_argument if a parameter is out of range.
  explicit PorousMedium(int dim, double exponent, double confinement = 0)
      : dim_(dim), exponent_(exponent), confinement_(confinement) {
    Barenblatt::with_radius(dim, exponent, 1);  // checks both
    if (!(confinement >= 0) || !std::isfinite(confinement))
      throw std::invalid_argument("wgf::PorousMedium: the confinement must not be negative, got " +
                                  std::to_string(confinement));
    decay_ = dim * (exponent - 1) + 1;
    pressure_ = 2 * exponent / (exponent - 1) *
                std::exp(-(exponent - 1) * Barenblatt::log_unit_integral(dim, exponent));
  }

  int dim() const { return dim_; }
  double exponent() const { return exponent_; }
  double confinement() const { return confinement_; }

  /// The solution at time t ≥ 0 with initial value p.
  Barenblatt at(const Barenblatt& p, double t) const {
    check(p, "at");
    if (!(t >= 0) || !std::isfinite(t))
      throw std::invalid_argument("wgf::PorousMedium::at: the time must not be negative, got " +
                                  std::to_string(t));
    // w = R^{q+1} satisfies the linear equation dw/dt = (q + 1)(κ − λw).
    const double rate = (decay_ + 1) * confinement_, start = std::pow(p.radius(), decay_ + 1);
    const double source = rate > 0 ? -std::expm1(-rate * t) / rate : t;
    const double w = start * std::exp(-rate * t) + (decay_ + 1) * pressure_ * source;
    return Barenblatt::with_radius(std::exp(-confinement_ * t) * p.centre(), exponent_,
                                   std::pow(w, 1 / (decay_ + 1)));
  }

  /// argmin_P W₂²(P, p)/(2a) + F(P), exactly. The optimal map from p is c' + (R'/R)(x − c).
  /// \throws std::invalid_argument for a profile of another dimension or exponent, or a step size
  /// that is not positive.
  Barenblatt jko_iterate(const Barenblatt& p, double step_size) const {
    const double radius = p.radius() * dilation(p, step_size);
    return Barenblatt::with_radius(p.centre() / (1 + step_size * confinement_), exponent_, radius);
  }
  /// The exact JKO iterate after `steps` ≥ 0 steps from p.
  Barenblatt jko(Barenblatt p, int steps, double step_size) const {
    if (steps < 0)
      throw std::invalid_argument("wgf::PorousMedium::jko: steps must not be negative, got " +
                                  std::to_string(steps));
    for (int k = 0; k < steps; ++k) p = jko_iterate(p, step_size);
    return p;
  }
  /// R'/R, the dilation factor of the optimal map of a JKO step.
  double dilation(const Barenblatt& p, double step_size) const {
    check(p, "jko_iterate");
    if (!(step_size > 0) || !std::isfinite(step_size))
      throw std::invalid_argument("wgf::PorousMedium: step_size must be positive, got " +
                                  std::to_string(step_size));
    // The left side of the equation minus the right side is concave and increasing, and negative at
    // this starting point: Newton's iterates increase to the root.
    const double implicit = 1 + step_size * confinement_, source = step_size * pressure_;
    double r = std::max(p.radius() / implicit, std::pow(source / implicit, 1 / (decay_ + 1)));
    for (double step = r; step > 4 * std::numeric_limits<double>::epsilon() * r; r += step) {
      const double push = source * std::pow(r, -decay_);
      step = (push + p.radius() - implicit * r) / (implicit + decay_ * push / r);
    }
    return r / p.radius();
  }

  /// The stationary profile, R^{q+1} = κ/λ.
  /// \throws std::logic_error without confinement, where particles spread without bound.
  Barenblatt steady_state() const {
    if (!(confinement_ > 0))
      throw std::logic_error("wgf::PorousMedium::steady_state: there is none without confinement");
    return Barenblatt::with_radius(dim_, exponent_,
                                   std::pow(pressure_ / confinement_, 1 / (decay_ + 1)));
  }

 private:
  void check(const Barenblatt& p, const char* who) const {
    if (p.dim() != dim_ || p.exponent() != exponent_)
      throw std::invalid_argument(std::string("wgf::PorousMedium::") + who +
                                  ": the profile must have dimension " + std::to_string(dim_) +
                                  " and exponent " + std::to_string(exponent_) + ", got " +
                                  std::to_string(p.dim()) + " and " + std::to_string(p.exponent()));
  }

  int dim_;
  double exponent_, confinement_;
  double decay_ = 0, pressure_ = 0;  // q and κ
};

}  // namespace wgf
