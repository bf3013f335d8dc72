// SPDX-License-Identifier: BSL-1.0
#pragma once
// P_k as a Gaussian in closed form, for affine maps and a Gaussian P_0. Every batch is a fresh
// draw, and no particles are pushed.
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <utility>

#include "../flow/gaussian_path.hpp"
#include "../linear_algebra.hpp"
#include "../random.hpp"
#include "../random_streams.hpp"
#include "population.hpp"

namespace wgf {

template <Runtime R>
class GaussianPopulation final : public Population<R> {
  using Base = Population<R>;
  using Slice = typename R::Slice;

 public:
  using typename Base::Moments, typename Base::Motion, typename Base::Snapshot, typename Base::View;

  /// \param path the laws so far.
  /// \param size the number of particles that particles() draws.
  /// \param has_previous whether the path already has a step.
  /// \param gives whether batches have log-densities; they then have the moments of their law, too.
  GaussianPopulation(const R& runtime, const GaussianPath& path, long batch, long size,
                     std::uint64_t seed, bool has_previous, bool gives = false)
      : runtime_(runtime),
        seed_(seed),
        batch_(batch),
        size_(size),
        path_(path),
        start_(path.law()),
        has_previous_(has_previous),
        gives_(gives) {
    const int d = start_.dim();
    batches_ = runtime.points(d, batch), noise_ = runtime.points(d, batch);
    cloud_ = runtime.points(d, cloud_size), log_densities_ = runtime.points(1, cloud_size);
    if (gives_) batch_logs_ = runtime.points(1, batch);
  }

  Moments moments() const override { return {start_.mean(), start_.covariance()}; }
  Particles particles() const override { return path_.law().sample(size_, seed_); }
  View view() const override { return {}; }
  View start(long) const override { return {}; }

  void start_from_law() override { start_ = path_.law(); }
  void move_forward(const Motion&) override {
    throw std::logic_error("wgf::GaussianPopulation: a forward half needs particles");
  }
  void extrapolate(double inertia) override { start_ = path_.start(inertia); }
  bool has_previous() const override { return has_previous_; }

  void begin_step(const Frame& frame, int step) override {
    plain_ = frame.identity;
    factor_ = runtime_.constant(plain_ ? start_.factor() : frame.factor);
    mean_ = runtime_.constant(plain_ ? start_.mean() : frame.mean);
    const Particles standard = standard_normals(
        start_.dim(), cloud_size,
        detail::mixed_seed(seed_ + detail::cloud_stream + static_cast<std::uint64_t>(step)));
    const Particles x = Frame::whitening(start_).from_coordinates(standard);
    runtime_.upload(frame.to_coordinates(x), cloud_);
    const Eigen::RowVectorXd half_squares = 0.5 * standard.colwise().squaredNorm();
    runtime_.upload((start_.log_normaliser() - half_squares.array()).matrix(), log_densities_);
  }
  Batch<R> batch(std::uint32_t first_draw, int k) override {
    const auto draw = first_draw + static_cast<std::uint32_t>(k);
    const auto& standard = plain_ ? noise_ : batches_;
    runtime_.parallel(
        batch_, [&](Slice s) { runtime_.normals(s, standard(s), detail::batch_stream, draw); });
    if (gives_) match_moments(standard);
    if (plain_ || gives_)
      runtime_.parallel(batch_, [&](Slice s) {
        if (plain_) set_affine(factor_, mean_, standard(s), batches_(s));
        if (gives_) set_normal_log_density(s, standard(s), start_.log_normaliser(), batch_logs_(s));
      });
    return {batches_.window(0, batch_), gives_ ? batch_logs_.window(0, batch_) : View{}};
  }
  View representatives() const override { return cloud_; }
  View log_densities() const override { return log_densities_; }
  long representative_count() const override { return cloud_size; }
  Particles spread(long n, std::uint32_t) const override {
    return runtime_.download(cloud_.window(0, n));
  }

  /// \throws std::invalid_argument if the map does not take P_k to a Gaussian.
  Moments propose(const StageMap<R>& map) override {
    proposed_ = path_;
    proposed_->advance(map.affine(), map.inertia);
    return {proposed_->law().mean(), proposed_->law().covariance()};
  }
  void accept() override {
    path_ = std::move(*proposed_);
    proposed_.reset();
    has_previous_ = true;
    start_from_law();
  }
  Snapshot snapshot() const override { return {}; }
  /// The laws are computed from the flow: see reset.
  void restore(const Snapshot& snapshot) override {
    if (!snapshot.particles.empty() || !snapshot.before.empty())
      throw std::invalid_argument("the population is of another size");
  }
  /// Sets the laws to those of another flow.
  void reset(const GaussianPath& path, bool has_previous) {
    path_ = path, has_previous_ = has_previous;
    start_from_law();
  }

 private:
  /// Gives the batch the moments of its law, mean 0 and covariance I: with them the step of a
  /// quadratic functional has no sampling noise. Not for batches too small to have them.
  void match_moments(const typename R::Points& standard) const {
    const auto [mean, covariance] = runtime_.moments(standard);
    if (batch_ <= 2 * mean.size()) return;
    const Eigen::MatrixXd inverse = detail::inverse_of_lower(Gaussian(mean, covariance).factor());
    const auto in = runtime_.constant(inverse),
               shift = runtime_.constant(-detail::times(inverse, mean));
    const auto& scratch = plain_ ? batches_ : noise_;
    runtime_.parallel(batch_, [&](Slice s) {
      scratch(s) = standard(s);
      set_affine(in, shift, scratch(s), standard(s));
    });
  }
  static constexpr long cloud_size = 4096;  // particles that represent P_k for terms that need some
  const R& runtime_;
  std::uint64_t seed_;
  long batch_, size_;
  GaussianPath path_;
  Gaussian start_;
  bool has_previous_, gives_, plain_ = false;
  std::optional<GaussianPath> proposed_;
  typename R::Points batches_, noise_, cloud_, log_densities_, batch_logs_;
  typename R::Constant factor_, mean_;
};

}  // namespace wgf
