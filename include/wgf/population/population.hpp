// SPDX-License-Identifier: BSL-1.0
#pragma once
// The population: the representation of the law P_k between steps, and the batches for the training
// of a step. Nothing else modifies the particles.
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "../concepts.hpp"
#include "../frame.hpp"
#include "../network/affine_form.hpp"

namespace wgf {

/// A step's map, as a population applies it.
template <Runtime R>
struct StageMap {
  using View = typename R::PointsView;
  /// Moves n points x in the user's coordinates; the second argument is scratch of x's size.
  std::function<void(const View& x, const View& scratch, long n)> push;
  /// The map in closed form; only for affine maps.
  std::function<AffineForm()> affine;
  /// log det of the map's derivative at n points x in the user's coordinates, NaN where it is not
  /// positive; the second argument as above. Called if the population carries log-densities.
  std::function<Eigen::VectorXd(const View& x, const View& scratch, long n)> log_determinants;
  double inertia = 0;  ///< see Stage::inertia
};

/// A population on the runtime R. The calls in a step are: move_forward or extrapolate, if the
/// scheme uses them; moments; begin_step; any number of batches; propose; and accept, unless the
/// proposal is refused. Batches are functions of (seed, step, iteration, index) alone.
template <Runtime R>
class Population {
 public:
  using View = typename R::PointsView;
  /// Mean and covariance in the user's coordinates; they need not be finite.
  using Moments = std::pair<Eigen::VectorXd, Eigen::MatrixXd>;
  /// The numbers from which a population is restored, bit for bit.
  struct Snapshot {
    std::vector<typename R::Scalar> particles{}, before{};
    std::vector<double> log_densities{};
  };
  /// A forward half: moves n particles x.
  struct Motion {
    std::function<void(const View& x, const View& drift, const View& scratch, long n)> move;
    /// log det of its derivative at particles x (d × n), NaN where it is not positive.
    std::function<Eigen::VectorXd(const Particles& x)> log_determinants;
  };

  virtual ~Population() = default;
  Population() = default;
  Population(const Population&) = delete;
  Population& operator=(const Population&) = delete;

  /// Moments of the law from which the JKO step starts: P_k, or P_k after it was moved.
  virtual Moments moments() const = 0;
  /// Samples of P_k: d × n, where n is the population's size.
  virtual Particles particles() const = 0;
  /// log P_k at particles(), if the population carries it; else empty.
  virtual Eigen::VectorXd particle_log_densities() const { return {}; }
  /// P_k's particles on the device; empty if P_k is known in closed form.
  virtual View view() const = 0;

  /// Lets the JKO step start from P_k itself.
  virtual void start_from_law() = 0;
  /// Lets the JKO step start from where `motion` moves the particles.
  virtual void move_forward(const Motion& motion) = 0;
  /// Lets the JKO step start from X_k + inertia·(X_k − X_{k−1}).
  virtual void extrapolate(double inertia) = 0;
  /// Whether X_{k−1} is known.
  virtual bool has_previous() const = 0;

  /// Sets the coordinates of the following batches.
  /// \param step number of the step, from 0.
  virtual void begin_step(const Frame& frame, int step) = 0;
  /// The batch of iteration k of a training whose first iteration has the number `first_draw`.
  virtual Batch<R> batch(std::uint32_t first_draw, int k) = 0;
  /// All particles, or some that represent the law, in the step's coordinates.
  virtual View representatives() const = 0;
  /// log P at the representatives, as a density in x: one-dimensional points, or none if unknown.
  virtual View log_densities() const { return {}; }
  /// n particles from the whole population, in the step's coordinates, as a function of `draw`.
  virtual Particles spread(long n, std::uint32_t draw) const = 0;
  /// The number of particles that spread() can return.
  virtual long representative_count() const = 0;
  /// The first n particles from which the JKO step starts, in the user's coordinates.
  virtual View start(long n) const = 0;

  /// Pushes the law through a step's map, as a proposal, which replaces the last one. begin_step
  /// must be called again before further batches.
  /// \returns the moments of the image.
  virtual Moments propose(const StageMap<R>& map) = 0;
  /// The number of particles at which the determinant of the proposed map is not positive; 0 if the
  /// population does not carry log-densities.
  virtual long folded() const { return 0; }
  /// The proposed particles, d × n, and their log-densities, if the population carries them.
  virtual std::pair<Particles, Eigen::VectorXd> proposal() const { return {}; }
  /// Makes the proposal P_{k+1}.
  virtual void accept() = 0;

  virtual Snapshot snapshot() const = 0;
  /// \throws std::invalid_argument if the snapshot is of another population.
  virtual void restore(const Snapshot& snapshot) = 0;
};

}  // namespace wgf
