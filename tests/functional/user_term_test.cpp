// SPDX-License-Identifier: BSL-1.0
// A term of the user's own: E_P[⟨c, X⟩], which carries the cloud along −c.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "../catch.hpp"

using namespace wgf;
using Eigen::VectorXd;

namespace {
struct Drift {
  VectorXd c;
  template <class R>
  struct Bound {
    VectorXd c;
    typename R::Constant zero, derivative;
    Frame frame;
    void begin_step(const R& runtime, const StepContext<R>& context, double weight) {
      frame = context.frame;
      zero = runtime.constant(Eigen::MatrixXd::Zero(c.size(), c.size()));
      derivative = runtime.constant(weight * frame.factor.transpose() * c);
    }
    void add_gradient(typename R::Slice s, const typename R::PointsView& y,
                      typename R::PointsView& g) {
      add_affine(zero, derivative, y(s), g(s));
    }
    double value(typename R::Slice s, const typename R::PointsView& y) {
      return sum_pointwise(s, y(s),
                           [&](const VectorXd& x) { return c.dot(frame.mean + frame.factor * x); });
    }
  };
  int dim() const { return static_cast<int>(c.size()); }
  template <class R>
  Bound<R> bind(const R&, int, long, std::uint32_t) const {
    return {c, {}, {}, {}};
  }
};
}  // namespace

TEST_CASE("a term of the user's own") {
  const VectorXd c = (VectorXd(2) << 1, -2).finished();
  const Gaussian start(VectorXd::Ones(2), (Eigen::MatrixXd(2, 2) << 2, 0.5, 0.5, 1).finished());
  // argmin E|X − T(X)|²/(2a) + weight·E⟨c, T(X)⟩ is T(x) = x − a·weight·c.
  for (const double weight : {1.0, 2.0}) {
    const JkoSolver drifting{weight * functional(Drift{c}), Affine{}, Backward{.step_size = 0.1},
                             EigenBackend<double>{.seed = 2, .threads = 1}};
    const auto flow = drifting.run(
        start,
        {.steps = 2,
         .training = {
             .iterations = 1000, .batch = 200, .map_rate = 1e-2, .final_rate_fraction = 1e-3}});
    CHECK((flow.gaussian().mean() - (start.mean() - 0.2 * weight * c)).norm() < 1e-4);
    CHECK((flow.gaussian().covariance() - start.covariance()).norm() < 1e-3);
  }
}
