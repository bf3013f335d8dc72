// SPDX-License-Identifier: BSL-1.0
// A specification of one's own with a network on the Eigen backend: the program of
// docs/backends.md.
#include <wgf/wgf.hpp>

#include "../catch.hpp"

namespace {
struct Shift {
  static constexpr wgf::Output output = wgf::Output::point;
  static std::string name() { return "Shift"; }
  static constexpr auto fields() { return boost::hana::make_tuple(); }
};

template <class S>
class ShiftNetwork : public wgf::eigen::ParametricNetwork<ShiftNetwork<S>, S> {
  using Base = wgf::eigen::ParametricNetwork<ShiftNetwork, S>;
  using Base::parameters_;
  using Slice = wgf::eigen::Slice;
  friend Base;

 public:
  ShiftNetwork(wgf::eigen::ThreadTeam& team, const Shift&, int dim, long batch,
               std::uint32_t /*stream*/, wgf::Keep keep)
      : Base(team), row_(keep, team.workers.count(), batch), result_(dim, row_.count) {
    parameters_.add(1, dim);  // zero at the start
    parameters_.allocate(wgf::eigen::ThreadTeam::chunks_of(batch));
  }
  auto forward(Slice s, const auto& x) {
    auto y = result(s);
    y = x.colwise() + wgf::eigen::Values<S>(parameters_.data(), x.rows());
    return y;
  }
  void accumulate_vjp(Slice s, const auto& x, const auto& dy) {
    wgf::eigen::Values<S>(parameters_.gradient(s.chunk), x.rows()) += dy.rowwise().sum();
  }
  auto input_vjp(Slice s, const auto& /*x*/, const auto& dy) {
    auto dx = result(s);
    dx = dy;
    return dx;
  }

 private:
  auto result(Slice s) const { return result_({row_(s), s.size, s.chunk, s.worker}); }
  void refresh() {}  // nothing is kept of the parameters
  wgf::eigen::Rows row_;
  wgf::eigen::Points<S> result_;
};
}  // namespace

template <class S>
struct wgf::eigen::NetworkFor<Shift, S> {
  using type = ShiftNetwork<S>;
};

TEST_CASE("a map of one's own trains") {
  const wgf::Gaussian target(Eigen::Vector2d(1, -2), Eigen::Matrix2d::Identity());
  const wgf::JkoSolver solver{wgf::kl(target, wgf::Quadratic{}), Shift{},
                              wgf::Backward{.step_size = 1},
                              wgf::EigenBackend<double>{.seed = 1, .threads = 2}};
  const auto flow = solver.run(wgf::Gaussian::isotropic(2, 1.0),
                               {.steps = 2,
                                .training = {.iterations = 200, .batch = 500, .map_rate = 0.02},
                                .population = {.size = 2000}});
  const Eigen::Vector2d mean = flow.sample(20'000).rowwise().mean();
  // A step takes the mean half of the way to the target's.
  CHECK((mean - Eigen::Vector2d(0.75, -1.5)).norm() < 0.1);
}
