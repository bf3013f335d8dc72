// SPDX-License-Identifier: BSL-1.0
// The training loop takes no memory: every call of the C library's allocators, whoever makes it, is
// counted while the loop runs. (They are glibc's hooks for a program's own allocators; the
// sanitizers bring theirs, and this program is then empty.)
#include <cstdlib>

#include "catch.hpp"
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <atomic>
#include <cerrno>
#include <concepts>
#include <memory>
#include <new>

#include <wgf/backend/eigen/backend.hpp>
#include <wgf/population/gaussian_population.hpp>
#include <wgf/population/particle_population.hpp>
#include <wgf/training/min_max.hpp>

#include "step_context.hpp"

namespace {
std::atomic<bool> counting{false};
std::atomic<long> allocations{0};
}  // namespace

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

static void count() {
  if (counting) ++allocations;
}
void* malloc(std::size_t n) noexcept { return count(), __libc_malloc(n); }
void* calloc(std::size_t n, std::size_t size) noexcept { return count(), __libc_calloc(n, size); }
void* realloc(void* p, std::size_t n) noexcept { return count(), __libc_realloc(p, n); }
void* aligned_alloc(std::size_t alignment, std::size_t n) noexcept {
  return count(), __libc_memalign(alignment, n);
}
int posix_memalign(void** p, std::size_t alignment, std::size_t n) noexcept {
  return *p = aligned_alloc(alignment, n), *p ? 0 : ENOMEM;
}
}

namespace {

/// The law of the particles: a Gaussian; for LogDeterminant, particles with their log-densities.
template <class Form, class R>
std::unique_ptr<wgf::Population<R>> population(const R& runtime, const wgf::Gaussian& cloud,
                                               long batch) {
  if constexpr (std::same_as<Form, wgf::LogDeterminant>) {
    const long size = 4 * batch;
    auto particles = std::make_unique<wgf::ParticlePopulation<R>>(
        runtime, cloud.dim(), batch, wgf::PopulationOptions{.size = size}, 1, false, false, true);
    const Eigen::MatrixXd x = cloud.sample(size, 1);
    Eigen::VectorXd log_densities(size);
    for (long i = 0; i < size; ++i) log_densities[i] = cloud.log_density(Eigen::VectorXd(x.col(i)));
    particles->refill(x, {}, log_densities);
    return particles;
  } else {
    return std::make_unique<wgf::GaussianPopulation<R>>(runtime, wgf::GaussianPath(cloud), batch,
                                                        batch, 1, false);
  }
}

/// Allocations in 20 iterations, not counting the first. \param dual a Dual, or LogDeterminant{}
template <class Map, class Target, class Dual>
long allocations_of_loop(const Map& map_specification, const Target& target, const Dual& dual,
                         int threads, bool whiten) {
  using namespace wgf;
  const long n = 500;
  const int d = target.dim();
  const auto runtime = EigenBackend<float>{.seed = 1, .threads = threads}.start();
  using R = std::decay_t<decltype(runtime)>;
  const auto functional = kl(target, dual);
  const TrainingOptions options{.batch = n};
  auto training = MinMax{}.training(runtime, d, options,
                                    runtime.network(map_specification, d, n, 0, Keep::batch),
                                    functional.bind(runtime, d, n, 100), hana::tuple<>{});
  const Gaussian cloud = Gaussian::isotropic(d, 1.5);
  const Frame frame = whiten ? Frame::whitening(cloud) : Frame::none(d);
  const auto particles = population<Dual>(runtime, cloud, n);
  particles->begin_step(frame, 0);
  hana::for_each(training.terms, [&](auto& t) {
    t.term.begin_step(runtime, test::context<R>(frame, cloud, particles->representatives()),
                      t.weight);
  });
  training.begin(frame, {0.1, 20, 0, 1.0, 0}, *particles);
  allocations = 0;
  bool all_finite = true;
  while (training.next()) {
    all_finite = all_finite && training.finite_so_far();
    counting = training.iteration() < 20;
  }
  counting = false;
  CHECK(all_finite);
  return allocations;
}

const auto moons =
    wgf::GaussianMixture::isotropic((Eigen::MatrixXd(2, 3) << -1, 0, 1, 0, 1, 0).finished(), 0.5);
const auto gaussian = wgf::Gaussian::isotropic(Eigen::VectorXd(Eigen::VectorXd::Ones(5)), 0.7);

}  // namespace

TEST_CASE("the counter counts") {
  const auto counted = [](auto allocate) {
    allocations = 0;
    counting = true;
    allocate();
    counting = false;
    return allocations.load();
  };
  CHECK(counted([] { ::operator delete(::operator new(1)); }) ==
        1);  // not a new-expression, which a compiler may leave out
  CHECK(counted([] { Eigen::VectorXd(1000).setZero(); }) == 1);
  CHECK(counted([] { wgf::eigen::Buffer<float>(1000); }) == 1);
}

TEST_CASE("no allocation inside the loop") {
  for (const int threads : {1, 2}) {
    CHECK(allocations_of_loop(wgf::ResidualMlp<16, 3>{}, moons, wgf::Mlp<16, 3>{.dropout = 0.1},
                              threads, true) == 0);
    CHECK(allocations_of_loop(wgf::DeepLinear<64, 3>{}, gaussian,
                              wgf::Quadratic{} + wgf::Mlp<16, 3>{}, threads, false) == 0);
    CHECK(allocations_of_loop(wgf::IcnnGradient<16, 2>{}, moons, wgf::Mlp<16, 3>{}, threads,
                              false) == 0);
    CHECK(allocations_of_loop(wgf::Affine{}, gaussian, wgf::Quadratic{}, threads, true) == 0);
  }
}
TEST_CASE("no allocation inside the loop with log-determinants") {
  // On one thread: the tangents of a worker are made when it first has a slice.
  CHECK(allocations_of_loop(wgf::ResidualMlp<16, 3, wgf::Silu>{}, moons, wgf::LogDeterminant{}, 1,
                            true) == 0);
  CHECK(allocations_of_loop(wgf::IcnnGradient<16, 2>{}, moons, wgf::LogDeterminant{}, 1, false) ==
        0);
  CHECK(allocations_of_loop(wgf::IcnnGradient<16, 2>{}, gaussian, wgf::LogDeterminant{}, 1,
                            false) == 0);
  const wgf::LogDeterminant probes{.probes = 2};
  CHECK(allocations_of_loop(wgf::ResidualMlp<16, 3, wgf::Silu>{}, gaussian, probes, 1, true) == 0);
  CHECK(allocations_of_loop(wgf::IcnnGradient<16, 2>{}, gaussian, probes, 1, false) == 0);
}
#endif
