// SPDX-License-Identifier: BSL-1.0
#pragma once
// A pool of particles represents P_k: it is pushed through each map once, so that the cost of a
// step does not grow with k.
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "../curve.hpp"
#include "../flow/stage.hpp"
#include "../options/options.hpp"
#include "../random.hpp"
#include "../random_streams.hpp"
#include "population.hpp"

namespace wgf {

/// Particles x_1, …, x_n on the runtime R. Batches are windows of the pool, with a different
/// starting point in each pass over it, or strata of it. If it carries log-densities, it knows
/// log P_k at every particle: log P_{k+1}(T(x)) = log P_k(x) − log det ∇T(x).
template <Runtime R>
class ParticlePopulation final : public Population<R> {
  using Base = Population<R>;
  using Slice = typename R::Slice;
  using Points = typename R::Points;

 public:
  using typename Base::Moments, typename Base::Motion, typename Base::Snapshot, typename Base::View;

  /// \param moves whether steps may start from a law other than P_k.
  /// \param remembers whether the particles' positions before the last step are kept.
  /// \param carries whether it carries log-densities; not together with `remembers`.
  /// \throws std::invalid_argument for a population smaller than a batch.
  ParticlePopulation(const R& runtime, int dim, long batch, const PopulationOptions& options,
                     std::uint64_t seed, bool moves, bool remembers, bool carries = false)
      : runtime_(runtime),
        seed_(seed),
        batch_(batch),
        size_(options.size),
        options_(options),
        carries_(carries) {
    if (size_ < batch)
      throw std::invalid_argument(
          "wgf::RunOptions: population.size must hold at least a batch, got " +
          std::to_string(size_));
    pool_ = runtime.points(dim, size_), proposed_ = runtime.points(dim, size_);
    batches_ = runtime.points(dim, size_ + batch);
    if (options.stratified) strata_ = runtime.points(dim, batch);
    if (moves || remembers) moved_ = runtime.points(dim, size_);
    if (remembers) before_ = runtime.points(dim, size_);
    if (carries) {
      batch_log_densities_ = runtime.points(1, size_ + batch);
      if (options.stratified) log_strata_ = runtime.points(1, batch);
    }
  }

  /// Replaces the particles: those of P_k, those before the last step, and log P_k at those of P_k;
  /// what is not kept may be empty.
  void refill(const Particles& now, const Particles& before = {},
              const Eigen::VectorXd& log_densities = {}) {
    runtime_.upload(now, pool_);
    has_before_ = before.size() > 0;
    if (has_before_) runtime_.upload(before, before_);
    if (carries_) log_densities_ = log_densities;
    moments_ = runtime_.moments(pool_);
    start_from_law();
  }

  Moments moments() const override { return is_moved_ ? moved_moments_ : moments_; }
  Particles particles() const override { return runtime_.download(pool_); }
  Eigen::VectorXd particle_log_densities() const override { return log_densities_; }
  View view() const override { return pool_; }
  View start(long n) const override { return here().window(0, n); }

  void start_from_law() override { is_moved_ = false; }
  void move_forward(const Motion& motion) override {
    runtime_.parallel(size_, [&](Slice s) { moved_(s) = pool_(s); });
    if (carries_) moved_logs_ = log_densities_ - motion.log_determinants(particles());
    motion.move(moved_, proposed_, batches_.window(0, size_), size_);
    moved_moments_ = runtime_.moments(moved_), is_moved_ = true;
  }
  void extrapolate(double inertia) override {
    runtime_.parallel(size_, [&](Slice s) { moved_(s) = pool_(s); });
    push_on(runtime_, inertia, moved_, before_, size_);
    moved_moments_ = runtime_.moments(moved_), is_moved_ = true;
  }
  bool has_previous() const override { return has_before_; }

  void begin_step(const Frame& frame, int /*step*/) override {
    const auto [in, shift] = frame.to_coordinates_on(runtime_);
    runtime_.parallel(size_, [&](Slice s) {
      if (frame.identity) batches_(s) = here()(s);
      else set_affine(in, shift, here()(s), batches_(s));
    });
    if (carries_) upload_log_densities();
    else if (options_.stratified) runtime_.sort_along_curve(batches_.window(0, size_));
    const auto wrap = [&](const Points& all) {  // windows wrap around
      const auto head = all.window(0, batch_), tail = all.window(size_, batch_);
      runtime_.parallel(batch_, [&](Slice s) { tail(s) = head(s); });
    };
    wrap(batches_);
    if (carries_) wrap(batch_log_densities_);
  }
  Batch<R> batch(std::uint32_t first_draw, int k) override {
    const auto draw = first_draw + static_cast<std::uint32_t>(k);
    if (options_.stratified) {
      const auto strata_of = [&](const Points& all, const Points& strata, Slice s) {
        runtime_.draw_strata(all.window(0, size_), s, strata(s), batch_, detail::batch_stream,
                             draw);
      };
      runtime_.parallel(batch_, [&](Slice s) {
        strata_of(batches_, strata_, s);
        if (carries_) strata_of(batch_log_densities_, log_strata_, s);  // at the same points
      });
      return {strata_.window(0, batch_), carries_ ? log_strata_.window(0, batch_) : View{}};
    }
    const long per_pass = size_ / batch_, pass = k / per_pass;
    const auto word = Random::philox(
        {static_cast<std::uint32_t>(pass), first_draw, 0, detail::offset_stream},
        {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
    const auto offset = word[0] % static_cast<std::uint64_t>(size_) +
                        static_cast<std::uint64_t>(k % per_pass * batch_);
    const auto first = static_cast<long>(offset % static_cast<std::uint64_t>(size_));
    return {batches_.window(first, batch_),
            carries_ ? batch_log_densities_.window(first, batch_) : View{}};
  }
  View representatives() const override { return batches_.window(0, size_); }
  View log_densities() const override {
    return carries_ ? batch_log_densities_.window(0, size_) : View{};
  }
  long representative_count() const override { return size_; }
  /// If the pool is sorted, its first particles are at one end of the law. Hence strata are drawn.
  Particles spread(long n, std::uint32_t draw) const override {
    const Points x = runtime_.points(pool_.dim(), n);
    const auto all = batches_.window(0, size_);
    runtime_.parallel(
        n, [&](Slice s) { runtime_.draw_strata(all, s, x(s), n, detail::offset_stream, draw); });
    return runtime_.download(x);
  }

  Moments propose(const StageMap<R>& map) override {
    runtime_.parallel(size_, [&](Slice s) { proposed_(s) = here()(s); });
    if (carries_) {
      proposed_logs_ = here_logs();
      if (map.push) proposed_logs_ -= map.log_determinants(proposed_, batches_, size_);
    }
    if (map.push) map.push(proposed_, batches_, size_);
    proposed_moments_ = runtime_.moments(proposed_);
    return proposed_moments_;
  }
  long folded() const override { return carries_ ? proposed_logs_.array().isNaN().count() : 0; }
  std::pair<Particles, Eigen::VectorXd> proposal() const override {
    return {runtime_.download(proposed_), proposed_logs_};
  }
  void accept() override {
    log_densities_.swap(proposed_logs_);
    if (before_.count() > 0) {
      std::swap(before_, pool_);
      has_before_ = true;
    }
    std::swap(pool_, proposed_);
    moments_ = std::move(proposed_moments_);
    start_from_law();
  }

  Snapshot snapshot() const override {
    return {numbers(pool_),
            has_before_ ? numbers(before_) : std::vector<typename R::Scalar>{},
            {log_densities_.data(), log_densities_.data() + log_densities_.size()}};
  }
  void restore(const Snapshot& snapshot) override {
    const auto numbers = static_cast<std::size_t>(size_) * static_cast<std::size_t>(pool_.dim());
    const auto logs = static_cast<std::size_t>(carries_ ? size_ : 0);
    if (snapshot.particles.size() != numbers || snapshot.log_densities.size() != logs ||
        (!snapshot.before.empty() && (before_.count() == 0 || snapshot.before.size() != numbers)))
      throw std::invalid_argument("the population is of another size");
    refill(as_particles(snapshot.particles),
           snapshot.before.empty() ? Particles() : as_particles(snapshot.before),
           Eigen::Map<const Eigen::VectorXd>(snapshot.log_densities.data(),
                                             static_cast<Eigen::Index>(logs)));
  }

 private:
  /// The particles from which the JKO step starts.
  const Points& here() const { return is_moved_ ? moved_ : pool_; }
  const Eigen::VectorXd& here_logs() const { return is_moved_ ? moved_logs_ : log_densities_; }
  /// log P where the JKO step starts, beside the particles, which are sorted here if batches are
  /// strata.
  void upload_log_densities() {
    const auto all = batches_.window(0, size_), logs = batch_log_densities_.window(0, size_);
    if (!options_.stratified) return runtime_.upload(here_logs().transpose(), logs);
    const Particles x = runtime_.download(all);
    const std::vector<long> order = detail::order_along_curve(x);
    runtime_.upload(x(Eigen::all, order), all);
    runtime_.upload(here_logs()(order).transpose(), logs);
  }
  std::vector<typename R::Scalar> numbers(const Points& points) const {
    const Particles x = runtime_.download(points);
    return {x.data(), x.data() + x.size()};
  }
  Particles as_particles(const std::vector<typename R::Scalar>& values) const {
    using Array = Eigen::Array<typename R::Scalar, Eigen::Dynamic, Eigen::Dynamic>;
    return Eigen::Map<const Array>(values.data(), pool_.dim(), size_)
        .template cast<double>()
        .matrix();
  }

  const R& runtime_;
  std::uint64_t seed_;
  long batch_, size_;
  PopulationOptions options_;
  Points pool_, moved_, proposed_, before_, batches_, strata_;
  Points batch_log_densities_, log_strata_;                     // beside batches_ and strata_
  Eigen::VectorXd log_densities_, moved_logs_, proposed_logs_;  // beside pool_, …
  bool carries_, is_moved_ = false, has_before_ = false;
  Moments moments_, moved_moments_, proposed_moments_;
};

}  // namespace wgf
