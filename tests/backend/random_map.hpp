// SPDX-License-Identifier: BSL-1.0
#pragma once
// A map of the Eigen backend with random parameters, and its log-determinants.
#include <wgf/flow/inverse.hpp>

#include <Eigen/LU>
#include <cmath>

#include "network_probe.hpp"

namespace wgf::test {

/// A map with random parameters, and its log-determinants at n random points, in double precision.
template <class Spec, class Scalar = double>
struct Map {
  using Runtime = eigen::EigenRuntime<Scalar>;
  Runtime runtime;
  decltype(std::declval<Runtime>().network(Spec{}, 1, 1L, 0u, Keep::batch)) net;
  typename Runtime::Points x, y, dy;
  int dim;
  long n;

  Map(const Spec& spec, int d, double size = 0.3, int threads = 2, long batch = 131)
      : runtime(EigenBackend<Scalar>{.seed = 3, .threads = threads}.start()),
        net(runtime.network(spec, d, batch, 5, Keep::batch)),
        x(runtime.points(d, batch)),
        y(runtime.points(d, batch)),
        dy(runtime.points(d, batch)),
        dim(d),
        n(batch) {
    const auto count = static_cast<long>(net.parameters().size());
    const Eigen::VectorXd p =
        size / std::sqrt(static_cast<double>(d)) * numbers(1, count, 11).row(0).transpose();
    set(p);
    // A convex network sets negative elements of its cone to zero, where differences are one-sided.
    if (GradientMapSpecification<Spec>) {
      const Eigen::VectorXd q = (parameters().array() == 0).select(p.cwiseAbs(), p);
      set((q.array().abs() < 0.01).select(0.01, q));
    }
    runtime.upload(numbers(d, n, 12), x);
  }
  Eigen::VectorXd parameters() const {
    const auto p = net.parameters();
    return vector({p.begin(), p.end()});
  }
  void set(const Eigen::VectorXd& p) {
    const auto values = list(p);
    net.set_parameters(std::vector<Scalar>(values.begin(), values.end()));
  }
  /// At all points; with a factor, the gradient is accumulated.
  Eigen::VectorXd log_determinants(double factor = 0, double extrapolation = 1) {
    Eigen::VectorXd all(n);
    const auto keep = [&](eigen::Slice s) {
      return [&all, s](int i, double value) { all[s.begin + i] = value; };
    };
    runtime.parallel(n, [&](eigen::Slice s) {
      if (factor == 0) return net.log_determinants(s, x(s), extrapolation, keep(s));
      net.accumulate_log_determinants(s, x(s), [&, to = keep(s)](int i, double value) {
        to(i, value);
        return factor;
      });
    });
    return all;
  }
  /// The gradient that has been accumulated, which is then cleared.
  Eigen::VectorXd gradient() {
    const auto g = net.gradient();
    net.clear_gradient();
    return vector({g.begin(), g.end()});
  }
  /// The estimates of the log-determinants by probes, and of the gradient of their sum.
  Eigen::VectorXd estimates(const Probes& probes) {
    Eigen::VectorXd all(n);
    runtime.parallel(n, [&](eigen::Slice s) {
      net.estimate_log_determinants(s, x(s), probes,
                                    [&](int i, double value) { all[s.begin + i] = value; });
    });
    return all;
  }
  Eigen::VectorXd estimated_gradient(const Probes& probes, double factor = 1) {
    runtime.parallel(
        n, [&](eigen::Slice s) { net.accumulate_log_determinants(s, x(s), probes, factor); });
    return gradient();
  }
  /// The same from the vector-Jacobian products in x, which other tests check.
  Eigen::VectorXd by_products(double extrapolation = 1) {
    Eigen::VectorXd all(n);
    const Eigen::MatrixXd identity = Eigen::MatrixXd::Identity(dim, dim);
    const auto jacobians = detail::jacobians(runtime, net, runtime.download(x), x, y, dy);
    for (long i = 0; i < n; ++i) {
      const double det =
          (identity + extrapolation * (jacobians[static_cast<std::size_t>(i)] - identity))
              .determinant();
      all[i] = det > 0 ? std::log(det) : NAN;
    }
    return all;
  }
};

}  // namespace wgf::test
