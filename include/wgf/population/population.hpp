// SPDX-License-Identifier: BSL-1.0
#pragma once
// The population: what represents the law P_k between steps, and the batches that a step is
// trained with. Nothing else touches the particles.
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
  /// The map in closed form; only of affine maps.
  std::function<AffineForm()> affine;
  double inertia = 0;  ///< see Stage::inertia
};

/// A population on the runtime R. A step runs through: move_forward or extrapolate, where the
/// scheme has it; moments; begin_step; any number of batches; propose; and accept, unless the
/// proposal is refused.
/// Batches are functions of (seed, step, iteration, index) alone.
template <Runtime R>
class Population {
 public:
  using View = typename R::PointsView;
  /// Mean and covariance in the user's coordinates, which need not be finite.
  using Moments = std::pair<Eigen::VectorXd, Eigen::MatrixXd>;
  /// Numbers with which a population is saved and restored, bit for bit.
  struct Snapshot {
    std::vector<typename R::Scalar> particles{}, before{};
  };
  using Motion = std::function<void(const View& x, const View& drift, const View& scratch, long n)>;

  virtual ~Population() = default;
  Population() = default;
  Population(const Population&) = delete;
  Population& operator=(const Population&) = delete;

  /// Of the law from which the JKO step starts: P_k, or where it was moved.
  virtual Moments moments() const = 0;
  /// P_k, sampled: d × n, n being the population's size.
  virtual Particles particles() const = 0;
  /// P_k's particles on the device; none where P_k is known in closed form.
  virtual View view() const = 0;

  /// The JKO step starts from P_k itself.
  virtual void start_from_law() = 0;
  /// The JKO step starts from where `motion` takes the particles.
  virtual void move_forward(const Motion& motion) = 0;
  /// The JKO step starts from X_k + inertia·(X_k − X_{k−1}).
  virtual void extrapolate(double inertia) = 0;
  /// Whether X_{k−1} is known.
  virtual bool has_previous() const = 0;

  /// Batches will be in these coordinates. \param step number of the step, from 0.
  virtual void begin_step(const Frame& frame, int step) = 0;
  /// The batch of iteration k of a training whose first iteration has the number `first_draw`.
  virtual View batch(std::uint32_t first_draw, int k) = 0;
  /// All particles, or some that represent the law, in the step's coordinates.
  virtual View representatives() const = 0;
  /// n particles in the step's coordinates from all over the population, a function of `draw`.
  virtual Particles spread(long n, std::uint32_t draw) const = 0;
  /// How many particles spread() can give.
  virtual long representative_count() const = 0;
  /// The first n particles from which the JKO step starts, in the user's coordinates.
  virtual View start(long n) const = 0;

  /// Where a step's map takes the law. \returns the moments there. After it begin_step must be
  /// called anew before further batches.
  virtual Moments propose(const StageMap<R>& map) = 0;
  /// The proposal becomes P_{k+1}.
  virtual void accept() = 0;

  virtual Snapshot snapshot() const = 0;
  /// \throws std::invalid_argument for numbers of another population.
  virtual void restore(const Snapshot& snapshot) = 0;
};

}  // namespace wgf
