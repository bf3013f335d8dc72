// SPDX-License-Identifier: BSL-1.0
#pragma once
// Markov moves of weighted particles that leave a tempered density q^β p₀^{1−β} invariant: the
// Metropolis-adjusted Langevin algorithm (MALA) and Hamiltonian Monte Carlo (HMC). Both follow the
// Hamiltonian −log π(x) + ½|p|² in coordinates x = Lz, p ~ N(0, I), by leapfrog steps of size ε,
//     p ← p + ½ε Lᵀ∇log π(x),   x ← x + ε L p,   p ← p + ½ε Lᵀ∇log π(x),
// and accept the end with probability min(1, e^−ΔH) (Neal, "MCMC using Hamiltonian dynamics",
// 2011). MALA is one such step: a Langevin step of length ½ε² with the preconditioner LLᵀ.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <Eigen/Core>

#include "backend/eigen/workers.hpp"
#include "concepts.hpp"
#include "functional/target.hpp"
#include "linear_algebra.hpp"
#include "network/network.hpp"
#include "particles.hpp"
#include "random.hpp"

namespace wgf {

/// What LLᵀ is: the variances of the particles, at O(d) per step, or their covariance, at O(d²) per
/// step and O(n d²) per temperature.
enum class Metric { diagonal, full };

namespace detail {
inline void check_move(const char* who, int moves, double acceptance, double step_size) {
  const std::string name = who;
  if (moves < 1)
    throw std::invalid_argument(name + ": moves must be at least 1, got " + std::to_string(moves));
  if (!(acceptance > 0 && acceptance < 1))
    throw std::invalid_argument(name + ": acceptance must be between 0 and 1, got " +
                                std::to_string(acceptance));
  if (!(step_size >= 0) || !std::isfinite(step_size))
    throw std::invalid_argument(name + ": step_size must be positive, or 0 to be adapted, got " +
                                std::to_string(step_size));
}
}  // namespace detail

/// Move policy: the Metropolis-adjusted Langevin algorithm, with one gradient per move.
struct Mala {
  int moves = 10;            ///< at each temperature
  double acceptance = 0.57;  ///< the mean acceptance to which the step size is adapted; the optimum
                             ///< in high dimension (Roberts and Rosenthal, JRSS B 60, 1998)
  double step_size = 0;      ///< ε, in standard deviations of the particles; 0 to adapt it
  Metric metric = Metric::full;

  /// \throws std::invalid_argument for a field out of range.
  void check() const { detail::check_move("wgf::Mala", moves, acceptance, step_size); }
  /// The number of leapfrog steps.
  int steps(double, double) const { return 1; }
  static constexpr double jitter = 0;  ///< relative, of each particle's ε
  double initial_step(int dim) const { return std::pow(dim, -1.0 / 6); }
  /// A move multiplies ε by exp(gain · (its acceptance − the goal)). With gains near the inverse
  /// derivative of the acceptance in log ε at the goal, the error vanishes in a few moves.
  static constexpr double gain = 0.8;
};

/// Move policy: Hamiltonian Monte Carlo.
struct Hmc {
  /// The largest mean number of leapfrog steps of a move, each with one gradient. The mean L is
  /// smaller if L·ε reaches π/2, a quarter of the period of a Gaussian with the metric's
  /// covariance, after which particles come back. Every move draws its number from ⌈½L⌉, …, ⌊3/2
  /// L⌋, the same for all particles, and every particle its ε within ±20 %.
  int leapfrog_steps = 8;
  int moves = 2;            ///< at each temperature
  double acceptance = 0.8;  ///< the mean acceptance to which the step size is adapted
  double step_size = 0;     ///< ε, in standard deviations of the particles; 0 to adapt it
  Metric metric = Metric::full;

  /// \throws std::invalid_argument for a field out of range.
  void check() const {
    detail::check_move("wgf::Hmc", moves, acceptance, step_size);
    if (leapfrog_steps < 1 || leapfrog_steps > 1'000'000)
      throw std::invalid_argument("wgf::Hmc: leapfrog_steps must be from 1 to 1000000, got " +
                                  std::to_string(leapfrog_steps));
  }
  /// The number of leapfrog steps of size `step`, for u in [0, 1).
  int steps(double u, double step) const {
    const double quarter = std::round(0.5 * std::numbers::pi / step);
    const int mean =
                  static_cast<int>(std::clamp(quarter, 1.0, static_cast<double>(leapfrog_steps))),
              fewest = (mean + 1) / 2, most = mean + mean / 2;
    return fewest + static_cast<int>(u * (most - fewest + 1));
  }
  double initial_step(int dim) const { return std::pow(dim, -0.25); }
  static constexpr double jitter = 0.2, gain = 2;  ///< as of Mala
};

/// "Hmc{moves = 2, acceptance = 0.8, …}": equal for two policies exactly if they move alike.
inline std::string describe(const std::variant<Hmc, Mala>& move) {
  return std::visit(
      [](const auto& policy) {
        using detail::shortest;
        std::string text = "Mala{moves = ";
        if constexpr (requires { policy.leapfrog_steps; })
          text = "Hmc{leapfrog_steps = " + shortest(policy.leapfrog_steps) + ", moves = ";
        return text + shortest(policy.moves) + ", acceptance = " + shortest(policy.acceptance) +
               ", step_size = " + shortest(policy.step_size) +
               (policy.metric == Metric::full ? ", full metric}" : ", diagonal metric}");
      },
      move);
}

/// n particles in d dimensions with log q, log p₀ and their gradients, moved together. A move is a
/// function of the seed, the number of moves before it and the state: the particles are processed
/// in blocks that do not depend on the number of threads.
/// \tparam T the target q, up to a constant. If it has gradients(x, out) for all columns at once,
/// that is used. It is called from several threads.
/// \tparam P the normalised density p₀ at temperature β = 0.
template <Target T, Target P>
class TemperedParticles {
 public:
  /// \param target, start referred to, not copied.
  /// \param x d × n.
  /// \param threads 0 for all cores.
  /// \param who begins the messages of exceptions.
  /// \throws std::invalid_argument for densities of another dimension than the particles, particles
  /// that are not finite, log q = NaN or +∞, log p₀ not finite, or gradients of the wrong size or,
  /// where log q is finite, not finite. log q = −∞ is accepted: such a particle has density 0.
  TemperedParticles(const T& target, const P& start, Particles x, std::uint64_t seed,
                    int threads = 0, std::string who = "wgf::TemperedParticles")
      : target_(target),
        start_(start),
        seed_(seed),
        who_(std::move(who)),
        x_(std::move(x)),
        log_target_(x_.cols()),
        log_start_(x_.cols()),
        target_gradient_(x_.rows(), x_.cols()),
        start_gradient_(x_.rows(), x_.cols()),
        acceptance_(x_.cols()),
        workers_(threads > 0 ? threads
                             : std::max(1, static_cast<int>(std::thread::hardware_concurrency()))) {
    for (const int dim : {static_cast<int>(target.dim()), static_cast<int>(start.dim())})
      if (dim != x_.rows())
        throw std::invalid_argument(who_ + ": the densities must have the particles' dimension " +
                                    std::to_string(x_.rows()) + ", got " + std::to_string(dim));
    if (!x_.allFinite()) throw std::invalid_argument(who_ + ": the particles must be finite");
    each_block([&](int, Eigen::Index first, Eigen::Index size) {
      const Particles at = x_.middleCols(first, size);
      Particles of_target(at.rows(), size), of_start(at.rows(), size);
      gradients(target_, at, of_target), gradients(start_, at, of_start);
      target_gradient_.middleCols(first, size) = of_target;
      start_gradient_.middleCols(first, size) = of_start;
      for (Eigen::Index i = 0; i < size; ++i) {
        const Eigen::VectorXd point = at.col(i);
        const double log = log_target_[first + i] = checked(target_.log_density(point));
        const double log_start = log_start_[first + i] = start_.log_density(point);
        if (!std::isfinite(log_start))
          throw std::invalid_argument(
              who_ + ": the start's log-density must be finite at its particles, got " +
              std::to_string(log_start));
        if (std::isfinite(log) && !of_target.col(i).allFinite())
          throw std::invalid_argument(
              who_ + ": the target's gradient must be finite where its log-density is");
      }
    });
    evaluations_ = static_cast<long>(x_.cols());
    for (Scale& scale : scales_) scale.deviation = Eigen::VectorXd::Ones(x_.rows());
    set_metric(Metric::full,
               Eigen::VectorXd::Constant(x_.cols(), 1.0 / static_cast<double>(x_.cols())));
  }

  const Particles& x() const { return x_; }
  /// log q and log p₀ of each particle.
  Eigen::VectorXd log_target() const { return log_target_.transpose(); }
  Eigen::VectorXd log_start() const { return log_start_.transpose(); }
  /// The evaluations of the target so far: log q and its gradient at one point count once.
  long evaluations() const { return evaluations_; }
  /// ε of the next move; 0 before the first one.
  double step_size() const { return step_size_; }
  /// Sets ε of the next move, for policies that adapt it.
  void set_step_size(double step_size) { step_size_ = step_size; }

  /// Sets LLᵀ to the variances or the covariance of the particles: for the first half of them to
  /// that of the second half, and the other way round. A metric that depends on the particles it
  /// moves does not leave their law invariant: with the covariance of all 1000 particles in 50
  /// dimensions log Z was too small by 0.6, eight standard deviations, and by none with the halves.
  /// If a half does not differ in every coordinate, all particles are used, and if these do not
  /// either, the metric remains as it is.
  /// \param weights n, nonnegative, with sum 1.
  void set_metric(Metric metric, const Eigen::VectorXd& weights) {
    const Eigen::Index n = x_.cols(), half = n / 2;
    const auto set = [&](Scale& scale, Eigen::Index first, Eigen::Index size) {
      return set_scale(scale, metric, x_.middleCols(first, size), weights.segment(first, size));
    };
    for (const int h : {0, 1})
      if (Scale& scale = scales_[h]; !set(scale, h == 0 ? half : 0, h == 0 ? n - half : half))
        set(scale, 0, n);
  }

  /// Moves every particle once, then adapts the step size unless the policy gives it.
  /// \param weights n, nonnegative, with sum 1: of the particles in the mean acceptance.
  /// \return the mean of the acceptance probabilities min(1, e^−ΔH).
  /// \throws std::invalid_argument if log q is NaN or +∞ at a proposal. Where the leapfrog steps
  /// diverged (a coordinate is not finite, or ½|p|² > 1000 d), the proposal is rejected instead.
  template <class Move>
  double move(const Move& policy, double beta, const Eigen::VectorXd& weights) {
    const int dim = static_cast<int>(x_.rows());
    if (policy.step_size > 0) step_size_ = policy.step_size;
    else if (step_size_ == 0) step_size_ = policy.initial_step(dim);
    const int steps = policy.steps(Random{seed_}.shared_uniform(stream + 2, moves_, 0), step_size_);
    each_block([&](int half, Eigen::Index first, Eigen::Index size) {
      block(scales_[half], first, size, beta, steps, Move::jitter);
    });
    evaluations_ += steps * static_cast<long>(x_.cols());
    ++moves_;
    double mean = 0;
    for (Eigen::Index i = 0; i < x_.cols(); ++i) mean += weights[i] * acceptance_[i];
    // Steps of 2 are where leapfrog becomes unstable for a Gaussian with this covariance.
    if (policy.step_size == 0)
      step_size_ = std::min(2.0, step_size_ * std::exp(Move::gain * (mean - policy.acceptance)));
    return mean;
  }

  /// Replaces particle i by the old particle parents[i], for i from 0 to n − 1.
  void select(const std::vector<Eigen::Index>& parents) {
    const auto chosen = [&](auto& columns) {
      const auto old = columns;
      for (Eigen::Index i = 0; i < old.cols(); ++i)
        columns.col(i) = old.col(parents[static_cast<std::size_t>(i)]);
    };
    chosen(x_), chosen(target_gradient_), chosen(start_gradient_);
    chosen(log_target_), chosen(log_start_);
  }

 private:
  struct Scale {
    Eigen::VectorXd deviation;           // of each coordinate
    Eigen::MatrixXd factor, transposed;  // L and Lᵀ; no rows for the diagonal metric
  };
  /// False, without a change, if the particles do not differ in every coordinate.
  static bool set_scale(Scale& scale, Metric metric, const Particles& x, Eigen::VectorXd weights) {
    weights /= weights.sum();
    const Eigen::VectorXd mean = detail::times(x, weights);
    Particles scaled = x.colwise() - mean;
    scaled.array().rowwise() *= weights.array().sqrt().transpose();
    const Eigen::VectorXd variance = scaled.rowwise().squaredNorm();
    if (!(variance.array() > 0).all() || !variance.allFinite()) return false;
    scale.deviation = variance.cwiseSqrt();
    scale.factor.resize(0, 0);
    if (metric == Metric::diagonal || x.rows() == 1) return true;
    // In units of the standard deviations, so that the units of the coordinates do not matter. The
    // correlations are shrunk, by more the fewer particles per dimension there are.
    scaled.array().colwise() /= scale.deviation.array();
    Eigen::MatrixXd correlation = detail::product(scaled, scaled.transpose());
    const double d = static_cast<double>(x.rows()), effective = 1 / weights.squaredNorm();
    correlation *= effective / (d + effective);
    correlation.diagonal().setOnes();
    scale.factor = detail::cholesky(correlation);
    if (scale.factor.size() > 0) scale.factor.array().colwise() *= scale.deviation.array();
    scale.transposed = scale.factor.transpose();
    return true;
  }
  static constexpr std::uint32_t stream = 0x4d4f5645;  // "MOVE"
  static constexpr Eigen::Index block_size = 64;

  /// f(half, first, size) for blocks of particles, on the workers.
  template <class F>
  void each_block(F&& f) {
    const Eigen::Index n = x_.cols(), half = n / 2,
                       before = (half + block_size - 1) / block_size,  // blocks of the first half
        blocks = before + (n - half + block_size - 1) / block_size;
    constexpr Eigen::Index most = 4096;  // the workers take fewer than 65536 tasks
    workers_.run(static_cast<int>(std::min(blocks, most)), [&](int task, int) {
      for (Eigen::Index b = task; b < blocks; b += most) {
        const bool second = b >= before;
        const Eigen::Index first = second ? half + (b - before) * block_size : b * block_size;
        f(second ? 1 : 0, first, std::min(block_size, (second ? n : half) - first));
      }
    });
  }
  double checked(double log) const {
    if (!(log < std::numeric_limits<double>::infinity()))
      throw std::invalid_argument(who_ +
                                  ": the target's log-density must be a number below +∞, got " +
                                  std::to_string(log));
    return log;
  }
  template <class Density>
  void gradients(const Density& density, const Particles& x, Particles& out) const {
    if constexpr (requires { density.gradients(x, out); }) {
      density.gradients(x, out);
    } else {
      for (Eigen::Index i = 0; i < x.cols(); ++i) {
        const Eigen::VectorXd gradient = log_density_gradient(density, Eigen::VectorXd(x.col(i)));
        if (gradient.size() != x.rows())
          throw std::invalid_argument(who_ + ": a gradient must have " + std::to_string(x.rows()) +
                                      " coordinates, got " + std::to_string(gradient.size()));
        out.col(i) = gradient;
      }
    }
  }
  /// p ← p + h Lᵀ(β∇log q + (1 − β)∇log p₀), with a step h of each particle. At β = 0 and 1 the
  /// other gradient may be infinite.
  static void kick(const Scale& scale, const Eigen::RowVectorXd& h, double beta,
                   const Particles& of_target, const Particles& of_start, Particles& p) {
    Particles g = beta == 1   ? of_target
                  : beta == 0 ? of_start
                              : Particles(beta * of_target + (1 - beta) * of_start);
    g.array().rowwise() *= h.array();
    if (scale.factor.size() == 0) p.array() += g.array().colwise() * scale.deviation.array();
    else p += detail::product(scale.transposed, g);
  }
  /// x ← x + h L p.
  static void drift(const Scale& scale, const Eigen::RowVectorXd& h, const Particles& p,
                    Particles& x) {
    Particles v = scale.factor.size() == 0
                      ? Particles(p.array().colwise() * scale.deviation.array())
                      : detail::product(scale.factor, p);
    v.array().rowwise() *= h.array();
    x += v;
  }
  static double tempered(double beta, double log_target, double log_start) {
    return beta == 1   ? log_target
           : beta == 0 ? log_start
                       : beta * log_target + (1 - beta) * log_start;
  }
  /// Moves the particles [first, first + size).
  void block(const Scale& scale, Eigen::Index first, Eigen::Index size, double beta, int steps,
             double jitter) {
    const int dim = static_cast<int>(x_.rows());
    const Particles before = x_.middleCols(first, size);
    Particles x = before, p(dim, size), of_target = target_gradient_.middleCols(first, size),
              of_start = start_gradient_.middleCols(first, size);
    Eigen::VectorXd log_uniform(size);
    Eigen::RowVectorXd step(size);
    Random{seed_}.fill<double, true>(stream, moves_, first, size, dim,
                                     [&](long i, int from, const double* four) {
                                       for (int j = 0; j < 4 && from + j < dim; ++j)
                                         p(from + j, i) = four[j];
                                     });
    Random{seed_}.fill<double, false>(stream + 1, moves_, first, size, 1,
                                      [&](long i, int, const double* four) {
                                        log_uniform[i] = std::log(four[0]);
                                        step[i] = step_size_ * (1 + jitter * (2 * four[1] - 1));
                                      });
    const Eigen::VectorXd kinetic = 0.5 * p.colwise().squaredNorm().transpose();
    std::vector<char> diverged(static_cast<std::size_t>(size), 0);
    kick(scale, 0.5 * step, beta, of_target, of_start, p);
    for (int k = 0; k < steps; ++k) {
      drift(scale, step, p, x);
      // The densities are evaluated at finite points only.
      for (Eigen::Index i = 0; i < size; ++i)
        if (!x.col(i).allFinite())
          diverged[static_cast<std::size_t>(i)] = 1, x.col(i) = before.col(i), p.col(i).setZero();
      gradients(target_, x, of_target), gradients(start_, x, of_start);
      kick(scale, (k + 1 < steps ? 1 : 0.5) * step, beta, of_target, of_start, p);
    }
    for (Eigen::Index i = 0; i < size; ++i) {
      const Eigen::Index at = first + i;
      acceptance_[at] = 0;
      const double kinetic_after = 0.5 * p.col(i).squaredNorm();
      if (diverged[static_cast<std::size_t>(i)] || !std::isfinite(kinetic_after)) continue;
      const Eigen::VectorXd point = x.col(i);
      const double log_target = target_.log_density(point), log_start = start_.log_density(point);
      if (kinetic_after <= 1000.0 * dim) checked(log_target);
      const double gain = tempered(beta, log_target, log_start) - kinetic_after -
                          (tempered(beta, log_target_[at], log_start_[at]) - kinetic[i]);
      if (std::isnan(gain) || !(log_target < std::numeric_limits<double>::infinity())) continue;
      acceptance_[at] = std::exp(std::min(0.0, gain));
      if (log_uniform[i] >= gain) continue;
      x_.col(at) = point;
      log_target_[at] = log_target, log_start_[at] = log_start;
      target_gradient_.col(at) = of_target.col(i), start_gradient_.col(at) = of_start.col(i);
    }
  }

  const T& target_;
  const P& start_;
  std::uint64_t seed_;
  std::string who_;
  Particles x_;
  Eigen::RowVectorXd log_target_, log_start_;
  Particles target_gradient_, start_gradient_;
  Eigen::VectorXd acceptance_;
  eigen::Workers workers_;
  Scale scales_[2];  // of the two halves
  double step_size_ = 0;
  std::uint32_t moves_ = 0;
  long evaluations_ = 0;
};

}  // namespace wgf
