// SPDX-License-Identifier: BSL-1.0
// The concept Runtime asks for everything that the solver uses: a backend without some of it is
// none.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/concepts.hpp>

#include "../catch.hpp"

using namespace wgf;

namespace {
using Whole = eigen::EigenRuntime<float>;
static_assert(Runtime<Whole> && Runtime<eigen::EigenRuntime<double>>);

// A function of the derived class hides the whole one's.
#define WGF_WITHOUT(member)         \
  struct Without_##member : Whole { \
    using Whole::Whole;             \
    void member() const = delete;   \
  };                                \
  static_assert(!Runtime<Without_##member>)
WGF_WITHOUT(points);
WGF_WITHOUT(upload);
WGF_WITHOUT(download);
WGF_WITHOUT(constant);
WGF_WITHOUT(normals);
WGF_WITHOUT(uniforms);
WGF_WITHOUT(lattice);
WGF_WITHOUT(draw_from);
WGF_WITHOUT(draw_strata);
WGF_WITHOUT(moments);
WGF_WITHOUT(bounds);
WGF_WITHOUT(sort_along_curve);
WGF_WITHOUT(parallel);
WGF_WITHOUT(each);
WGF_WITHOUT(sum);
WGF_WITHOUT(pairs);
WGF_WITHOUT(pair_gradients);
WGF_WITHOUT(self_gradients);
WGF_WITHOUT(pair_hessians);
WGF_WITHOUT(network);
WGF_WITHOUT(optimiser);
#undef WGF_WITHOUT

// A network that is no dual network: it cannot go back to its start.
using DualOfWhole = Whole::Network<Quadratic>;
static_assert(DualNetwork<DualOfWhole, Whole>);
struct NoRestart : DualOfWhole {
  using DualOfWhole::DualOfWhole;
  void restart() = delete;
};
static_assert(Network<NoRestart, Whole> && !DualNetwork<NoRestart, Whole>);

// An optimiser that keeps no state.
using OptimiserOfWhole = eigen::Optimiser<detail::SomeRule, float>;
static_assert(Optimiser<OptimiserOfWhole, Whole, DualOfWhole>);
struct NoState : OptimiserOfWhole {
  void state() const = delete;
};
static_assert(!Optimiser<NoState, Whole, DualOfWhole>);
}  // namespace

TEST_CASE("a backend that lacks what the solver uses is none") { SUCCEED("at compile time"); }
