// SPDX-License-Identifier: BSL-1.0
#pragma once
// The JKO step (4) on the line, where W₂ is the L² distance of quantile functions: particles q₁ < …
// < q_N of mass 1/N minimise Σ (q_i − p_i)²/(2aN) + F, a convex problem with a tridiagonal Hessian.
// Its minimiser is that of the program (18), without a grid.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Core>

namespace wgf {

/// The energy on the line: κ E[log P] (exponent 1) or κ/(m−1) ∫ P^m (exponent m > 1), plus E[V(X)],
/// plus ½ E[W(X − Y)].
struct LineEnergy {
  double diffusion = 1;  ///< κ ≥ 0
  double exponent = 1;   ///< m ≥ 1
  /// V, V' and V'': all three, or none for V = 0. V need not be convex.
  std::function<double(double)> potential = {}, potential_derivative = {}, potential_curvature = {};
  /// W', odd; empty for W = 0. W is treated as in the forward–backward scheme: a forward step (12),
  /// then the JKO step without W (13).
  std::function<double(double)> interaction_derivative = {};
};

/// Exact JKO steps of a discretised functional. Particle i represents the mass between the levels
/// (i − 1)/N and i/N, and P at level i/N is 1/(N(q_{i+1} − q_i)); the pressure at both ends is
/// zero. The error is largest in the end cells, where quantile functions are not smooth. Measured
/// against exact iterates, the root mean square error of all quantiles decreases like N⁻¹ for
/// Barenblatt profiles (m = 2 and 3) and like N^{−½} for Gaussians. The error of the middle half of
/// the quantiles decreases like N^{−3/2} and N^{−6/5}, and that of the standard deviation like
/// N^{−3/2} and N⁻¹.
class QuantileJko {
 public:
  /// \param step_size a > 0.
  /// \throws std::invalid_argument for a negative diffusion, an exponent below 1, an incomplete
  /// potential, or a step size that is not positive.
  QuantileJko(LineEnergy energy, double step_size)
      : energy_(std::move(energy)), step_size_(step_size) {
    if (!(energy_.diffusion >= 0) || !std::isfinite(energy_.diffusion))
      throw std::invalid_argument("wgf::QuantileJko: the diffusion must not be negative, got " +
                                  std::to_string(energy_.diffusion));
    if (!(energy_.exponent >= 1) || !std::isfinite(energy_.exponent))
      throw std::invalid_argument("wgf::QuantileJko: the exponent must be at least 1, got " +
                                  std::to_string(energy_.exponent));
    if (!energy_.potential != !energy_.potential_derivative ||
        !energy_.potential != !energy_.potential_curvature)
      throw std::invalid_argument(
          "wgf::QuantileJko: a potential needs its value, derivative and curvature");
    if (!(step_size > 0) || !std::isfinite(step_size))
      throw std::invalid_argument("wgf::QuantileJko: step_size must be positive, got " +
                                  std::to_string(step_size));
  }

  double step_size() const { return step_size_; }

  /// The quantiles F⁻¹((i − ½)/n), i = 1 … n, in ascending order.
  /// \throws std::invalid_argument for n < 1.
  template <class InverseCdf>
  static Eigen::VectorXd quantiles(InverseCdf&& inverse_cdf, int n) {
    if (n < 1)
      throw std::invalid_argument(
          "wgf::QuantileJko::quantiles: at least one must be asked for, got " + std::to_string(n));
    Eigen::VectorXd q(n);
    for (int i = 0; i < n; ++i) q(i) = inverse_cdf((i + 0.5) / n);
    return q;
  }
  /// P in the middle of each of the N − 1 gaps.
  /// \throws std::invalid_argument for fewer than two quantiles.
  static Eigen::VectorXd density(const Eigen::VectorXd& q) {
    check_two(q, "density");
    return (static_cast<double>(q.size()) * gaps(q)).cwiseInverse();
  }
  /// The points to which the values of density() belong.
  /// \throws std::invalid_argument for fewer than two quantiles.
  static Eigen::VectorXd midpoints(const Eigen::VectorXd& q) {
    check_two(q, "midpoints");
    return 0.5 * (q.head(q.size() - 1) + q.tail(q.size() - 1));
  }

  /// The quantiles of P_{k+1} from those of P_k, by Newton's method, damped so that no gap closes.
  /// \param p at least two numbers in strictly ascending order.
  /// \throws std::invalid_argument for any other p.
  /// \throws std::runtime_error if particles cross in the forward step of the interaction, or
  /// Newton's method does not converge.
  Eigen::VectorXd step(Eigen::VectorXd p) const {
    if (p.size() < 2 || !p.allFinite() || !(gaps(p).minCoeff() > 0))
      throw std::invalid_argument(
          "wgf::QuantileJko::step: at least two quantiles in strictly ascending order are needed");
    if (energy_.interaction_derivative) {
      p = forward(p);
      if (!(gaps(p).minCoeff() > 0))
        throw std::runtime_error(
            "wgf::QuantileJko::step: particles pass one another in the interaction's forward step; "
            "step_size " +
            std::to_string(step_size_) + " is too long");
    }
    Eigen::VectorXd q = p, trial;
    double value = objective(q, p);
    for (int iteration = 0; iteration < 200; ++iteration) {
      const auto [direction, decrement] = newton(q, p);
      // Once the predicted decrease is below rounding error, a last full step is free and may still
      // reduce the error.
      const bool last = decrement <= 1e-13 * (1 + std::abs(value));
      double length = std::min(1.0, 0.95 * longest(q, direction));
      for (int halving = 0;; ++halving, length /= 2) {
        trial = q + length * direction;
        const double next = objective(trial, p);
        if (last || next <= value - 0.25 * length * decrement + 1e-14 * (1 + std::abs(value))) {
          value = next;
          break;
        }
        if (halving == 60)
          throw std::runtime_error("wgf::QuantileJko::step: no descent along Newton's direction");
      }
      q.swap(trial);
      if (last) return q;
    }
    throw std::runtime_error(
        "wgf::QuantileJko::step: Newton's method did not converge in 200 iterations");
  }
  /// The quantiles of P_0 = p, P_1, …, P_steps.
  /// \throws std::invalid_argument for negative steps; otherwise as for step().
  std::vector<Eigen::VectorXd> run(Eigen::VectorXd p, int steps) const {
    if (steps < 0)
      throw std::invalid_argument("wgf::QuantileJko::run: steps must not be negative, got " +
                                  std::to_string(steps));
    std::vector<Eigen::VectorXd> iterates{std::move(p)};
    for (int k = 0; k < steps; ++k) iterates.push_back(step(iterates.back()));
    return iterates;
  }

 private:
  static void check_two(const Eigen::VectorXd& q, const char* who) {
    if (q.size() < 2)
      throw std::invalid_argument(std::string("wgf::QuantileJko::") + who +
                                  ": at least two quantiles are needed, got " +
                                  std::to_string(q.size()));
  }
  static Eigen::VectorXd gaps(const Eigen::VectorXd& q) {
    return q.tail(q.size() - 1) - q.head(q.size() - 1);
  }
  // The explicit half (12): p_i − a (1/N) Σ_j W'(p_i − p_j).
  Eigen::VectorXd forward(const Eigen::VectorXd& p) const {
    Eigen::VectorXd moved = p;
    const double scale = step_size_ / static_cast<double>(p.size());
    for (Eigen::Index i = 0; i < p.size(); ++i)
      for (Eigen::Index j = 0; j < i; ++j) {
        const double push = scale * energy_.interaction_derivative(p(i) - p(j));
        moved(i) -= push, moved(j) += push;
      }
    return moved;
  }
  // The largest t for which q + t·direction has no negative gap.
  static double longest(const Eigen::VectorXd& q, const Eigen::VectorXd& direction) {
    double t = std::numeric_limits<double>::infinity();
    for (Eigen::Index i = 0; i + 1 < q.size(); ++i)
      if (direction(i + 1) < direction(i))
        t = std::min(t, (q(i + 1) - q(i)) / (direction(i) - direction(i + 1)));
    return t;
  }
  // N times the functional: Σ (q_i − p_i)²/(2a) + Σ V(q_i) + Σ e(g_i), where e(g) = −κ log(Ng) or
  // κ/(m−1) (Ng)^{1−m} for a gap g.
  double objective(const Eigen::VectorXd& q, const Eigen::VectorXd& p) const {
    double sum = (q - p).squaredNorm() / (2 * step_size_);
    if (energy_.potential)
      for (const double x : q) sum += energy_.potential(x);
    if (energy_.diffusion > 0) {
      const Eigen::ArrayXd g = gaps(q).array() * static_cast<double>(q.size());
      const double m = energy_.exponent;
      sum += energy_.diffusion * (m > 1 ? g.pow(1 - m).sum() / (m - 1) : -g.log().sum());
    }
    return sum;
  }
  // The Newton direction, and twice the decrease of the objective that it predicts.
  std::pair<Eigen::VectorXd, double> newton(const Eigen::VectorXd& q,
                                            const Eigen::VectorXd& p) const {
    const Eigen::Index n = q.size();
    Eigen::VectorXd gradient = (q - p) / step_size_,
                    diagonal = Eigen::VectorXd::Constant(n, 1 / step_size_);
    if (energy_.potential)
      for (Eigen::Index i = 0; i < n; ++i) {
        gradient(i) += energy_.potential_derivative(q(i));
        // Keeps the Hessian positive definite where the potential is concave. The direction is then
        // no longer Newton's, but still a descent direction.
        diagonal(i) = std::max(diagonal(i) + energy_.potential_curvature(q(i)), 0.1 / step_size_);
      }
    Eigen::VectorXd stiffness = Eigen::VectorXd::Zero(
        n - 1);  // e''(g); e' = −κ N^{1−m} g^{−m} and e'' = −m e'/g for every m
    if (energy_.diffusion > 0) {
      const Eigen::ArrayXd g = gaps(q).array();
      const double m = energy_.exponent;
      const Eigen::ArrayXd pressure =
          energy_.diffusion * static_cast<double>(n) * (g * static_cast<double>(n)).pow(-m);
      gradient.head(n - 1).array() += pressure;
      gradient.tail(n - 1).array() -= pressure;
      stiffness = m * pressure / g;
    }
    // The Hessian is diagonal + Dᵀ stiffness D with the difference matrix D. It is factored as
    // LDLᵀ, with pivots written as excess + stiffness to the right neighbour, so that there is no
    // cancellation where gaps are small.
    Eigen::VectorXd excess(n), x = -gradient;
    excess(0) = diagonal(0);
    for (Eigen::Index i = 0; i + 1 < n; ++i) {
      const double pivot = excess(i) + stiffness(i), factor = stiffness(i) / pivot;
      x(i + 1) += factor * x(i);
      excess(i + 1) = diagonal(i + 1) + factor * excess(i);
    }
    x(n - 1) /= excess(n - 1);
    for (Eigen::Index i = n - 1; i-- > 0;)
      x(i) = (x(i) + stiffness(i) * x(i + 1)) / (excess(i) + stiffness(i));
    const double decrement = -gradient.dot(x);
    return {std::move(x), decrement};
  }

  LineEnergy energy_;
  double step_size_;
};

}  // namespace wgf
