// SPDX-License-Identifier: BSL-1.0
// The training loop takes no memory: every call of operator new, and every allocation of Eigen's, is counted while it runs.
#define EIGEN_RUNTIME_NO_MALLOC
#include <atomic>
#include <cstdlib>
#include <new>

#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_step.hpp>

#include "catch.hpp"

namespace {
std::atomic<bool> counting{false};
std::atomic<long> allocations{0};
}  // namespace

// Not inlined: g++ would see free() end what it takes for the standard operator new, and warn.
[[gnu::noinline]] void* operator new(std::size_t n) {
  if (counting) ++allocations;
  if (void* p = std::malloc(n)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

/// Allocations in 20 iterations, not counting the first.
template <class Map, class Target, class Dual>
long allocations_of_loop(const Map& map_specification, const Target& target, const Dual& dual, int threads, bool whiten) {
  using namespace wgf;
  const long n = 500;
  const int d = target.dim();
  const auto runtime = EigenBackend<float>{.seed = 1, .threads = threads}.start();
  using R = std::decay_t<decltype(runtime)>;
  const auto functional = kl(target, dual);
  using MapNetwork = decltype(runtime.network(map_specification, d, n, 0, Keep::batch));
  using Terms = decltype(functional.bind(runtime, d, n, 100));
  StepState<R, MapNetwork, Terms> state{runtime.network(map_specification, d, n, 0, Keep::batch), functional.bind(runtime, d, n, 100),
                                        runtime.points(d, n), runtime.points(d, n), runtime.points(d, n)};
  const Gaussian cloud = Gaussian::isotropic(d, 1.5);
  const Frame frame = whiten ? Frame::whitening(cloud) : Frame::none(d);
  hana::for_each(state.terms, [&](auto& t) { t.term.enter(runtime, frame, cloud, t.weight); });
  const Transport<R> transport(runtime, frame, 0.1);
  const auto x = runtime.points(d, n);
  allocations = 0;
  jko_step<R>(
      runtime, state, transport, RunOptions{.batch = n}, 20, 0, false,
      [&](int k) {
        runtime.parallel(n, [&](typename R::Slice s) { runtime.normals(s, x(s), 7, static_cast<std::uint32_t>(k)); });
        return x.window(0, n);
      },
      [&](int k, bool finite, const auto&) {
        CHECK_NOFAIL(finite);
        counting = k >= 0 && k < 19;
        Eigen::internal::set_is_malloc_allowed(!counting);
        return true;
      });
  counting = false;
  Eigen::internal::set_is_malloc_allowed(true);
  return allocations;
}

const auto moons = wgf::GaussianMixture::isotropic((Eigen::MatrixXd(2, 3) << -1, 0, 1, 0, 1, 0).finished(), 0.5);
const auto gaussian = wgf::Gaussian::isotropic(Eigen::VectorXd(Eigen::VectorXd::Ones(5)), 0.7);

}  // namespace

TEST_CASE("the counter counts") {
  counting = true;
  allocations = 0;
  ::operator delete(::operator new(1));  // not a new-expression, which a compiler may leave out
  counting = false;
  CHECK(allocations == 1);
}

TEST_CASE("no allocation inside the loop") {
  for (const int threads : {1, 2}) {
    CHECK(allocations_of_loop(wgf::ResidualMlp<16, 3>{}, moons, wgf::Mlp<16, 3>{.dropout = 0.1}, threads, true) == 0);
    CHECK(allocations_of_loop(wgf::DeepLinear<64, 3>{}, gaussian, wgf::Quadratic{} + wgf::Mlp<16, 3>{}, threads, false) == 0);
    CHECK(allocations_of_loop(wgf::Affine{}, gaussian, wgf::Quadratic{}, threads, true) == 0);
  }
}
