// SPDX-License-Identifier: BSL-1.0
#pragma once
// A network on its runtime behind plain functions of doubles, so that one text checks them all, and
// the check of pullbacks against differences.
#include <wgf/backend/eigen/backend.hpp>

#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../catch.hpp"

namespace wgf::test {

/// Numbers of size one: x, parameters, upstream gradients.
inline Eigen::MatrixXd numbers(long rows, long cols, std::uint32_t stream) {
  return standard_normals(static_cast<int>(rows), cols, 20240117, stream);
}
inline std::vector<double> list(const Eigen::VectorXd& v) {
  return {v.data(), v.data() + v.size()};
}
inline Eigen::VectorXd vector(const std::vector<double>& v) {
  return Eigen::Map<const Eigen::VectorXd>(v.data(), static_cast<long>(v.size()));
}

/// A network and a batch x (d × n) that it has been given.
struct Probe {
  std::string name;
  int dim;
  long batch;
  bool piecewise_linear;  ///< in each single parameter and coordinate
  std::function<std::vector<double>()> parameters;
  std::function<void(const std::vector<double>&)> set_parameters;
  std::function<void(const Particles&)> set_x;
  std::function<Eigen::MatrixXd()> forward;  ///< 1 × n numbers or d × n points
  std::function<Eigen::VectorXd(const Eigen::MatrixXd&)>
      accumulate_vjp;  ///< the gradient, which is then cleared
  std::function<Eigen::MatrixXd(const Eigen::MatrixXd&)> input_vjp;
};

struct ProbeOptions {
  int threads = 2;
  std::optional<std::uint32_t> draw{};  ///< forward with the dropout of this draw
};

template <Keep keep, class Backend, class Spec>
Probe probe_on(const Backend& backend, const Spec& spec, int dim, long batch,
               std::optional<std::uint32_t> draw = {}) {
  using Runtime = decltype(backend.start());
  using Slice = typename Runtime::Slice;
  using Scalar = typename Runtime::Scalar;
  struct State {
    State(const Backend& b, const Spec& s, int d, long n)
        : runtime(b.start()),
          net(runtime.network(s, d, n, 5, keep)),
          x(runtime.points(d, n)),
          dy(runtime.points(d, n)) {}
    Runtime runtime;
    decltype(std::declval<Runtime>().network(std::declval<Spec>(), 1, 1L, 0u, keep)) net;
    typename Runtime::Points x, dy;
    std::optional<std::uint32_t> draw;
  };
  auto state = std::make_shared<State>(backend, spec, dim, batch);
  state->draw = draw;
  constexpr bool number = Spec::output == Output::scalar;
  const auto forward_on = [state](Slice s) {
    if constexpr (requires { state->net.forward_train(s, state->x(s), 0u); })
      if (state->draw) return state->net.forward_train(s, state->x(s), *state->draw);
    return state->net.forward(s, state->x(s));
  };
  // What follows the forward pass: on the same tile, or after the whole batch.
  const auto after_forward = [state, batch, forward_on](auto pull) {
    if constexpr (keep == Keep::tile) {
      state->runtime.parallel(batch, [&](Slice s) { forward_on(s), pull(s); });
    } else {
      state->runtime.parallel(batch, [&](Slice s) { forward_on(s); });
      state->runtime.parallel(batch, pull);
    }
  };
  const auto upstream = [](auto& points, const Eigen::MatrixXd& dy, Slice s) {
    if constexpr (number)
      return Eigen::Array<Scalar, Eigen::Dynamic, 1>(
          dy.row(0).segment(s.begin, s.size).transpose().array().template cast<Scalar>());
    else return points(s);
  };
  const auto set_upstream = [state](const Eigen::MatrixXd& dy) {
    if constexpr (!number) state->runtime.upload(dy, state->dy);
  };
  Probe p;
  p.name = Spec::name(), p.dim = dim, p.batch = batch,
  p.piecewise_linear = p.name.find("PRelu") != std::string::npos;
  p.parameters = [state] {
    const auto values = state->net.parameters();
    return std::vector<double>(values.begin(), values.end());
  };
  p.set_parameters = [state](const std::vector<double>& values) {
    state->net.set_parameters(std::vector<Scalar>(values.begin(), values.end()));
  };
  p.set_x = [state](const Particles& x) { state->runtime.upload(x, state->x); };
  p.forward = [state, batch, dim, forward_on] {
    Eigen::MatrixXd out(number ? 1 : dim, batch);
    state->runtime.parallel(batch, [&](Slice s) {
      const auto y = forward_on(s);
      if constexpr (number)
        out.row(0).segment(s.begin, s.size) = y.template cast<double>().transpose();
      else out.middleCols(s.begin, s.size) = y.template cast<double>();
    });
    return out;
  };
  p.accumulate_vjp = [state, after_forward, upstream, set_upstream](const Eigen::MatrixXd& dy) {
    set_upstream(dy);
    after_forward(
        [&](Slice s) { state->net.accumulate_vjp(s, state->x(s), upstream(state->dy, dy, s)); });
    const auto gradient = state->net.gradient();
    state->net.clear_gradient();
    return vector({gradient.begin(), gradient.end()});
  };
  p.input_vjp = [state, batch, dim, after_forward, upstream,
                 set_upstream](const Eigen::MatrixXd& dy) {
    set_upstream(dy);
    Eigen::MatrixXd dx(dim, batch);
    after_forward([&](Slice s) {
      dx.middleCols(s.begin, s.size) =
          state->net.input_vjp(s, state->x(s), upstream(state->dy, dy, s)).template cast<double>();
    });
    return dx;
  };
  return p;
}

template <Keep keep, class Scalar, class Spec>
Probe probe(const Spec& spec, int dim, long batch, ProbeOptions options = {}) {
  return probe_on<keep>(EigenBackend<Scalar>{.seed = 3, .threads = options.threads}, spec, dim,
                        batch, options.draw);
}

/// Whether g is dL/dt at 0. A smooth L: central differences of fourth order. An L that is piecewise
/// linear in t: between kinks its one-sided differences are exact, and a kink within the small step
/// on both sides is not to be expected, so that one of the two must be g. \param scale what errors
/// are relative to.
template <class L>
bool is_slope(bool piecewise_linear, L&& loss, double g, double scale) {
  if (piecewise_linear) {
    const double h = 1e-7, here = loss(0), right = (loss(h) - here) / h,
                 left = (here - loss(-h)) / h;
    return std::min(std::abs(right - g), std::abs(left - g)) <= 1e-6 * scale;
  }
  const double h = 1e-3,
               slope = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h);
  return std::abs(slope - g) <= 1e-8 * scale;
}

/// Both pullbacks at random parameters (of the last layer too), random x and random upstream
/// gradients. For large batches about a hundred parameters and coordinates, and all together: the
/// derivative along a random direction.
inline void check_pullbacks(const Probe& net) {
  INFO(net.name << ", dim " << net.dim << ", batch " << net.batch);
  const auto count = static_cast<long>(net.parameters().size());
  const Eigen::VectorXd values = 0.4 * numbers(1, count, 1).row(0).transpose();
  const Particles x = numbers(net.dim, net.batch, 2);
  net.set_parameters(list(values));
  net.set_x(x);
  const Eigen::MatrixXd out = net.forward(), dy = numbers(out.rows(), out.cols(), 3);
  REQUIRE(out.allFinite());
  const auto loss = [&] {
    return (net.forward() - out).cwiseProduct(dy).sum();
  };  // differences first: the sum loses no digits

  const Eigen::VectorXd gradient = net.accumulate_vjp(dy);
  REQUIRE(gradient.size() == count);
  const double scale = gradient.cwiseAbs().maxCoeff();
  const auto moved = [&](const Eigen::VectorXd& v) {
    net.set_parameters(list(v));
    const double l = loss();
    net.set_parameters(list(values));
    return l;
  };
  const long parameter_stride = net.batch > 10 || count > 2000 ? count / 100 | 1 : 1;
  for (long i = 0; i < count; i += parameter_stride) {
    INFO("parameter " << i);
    CHECK(is_slope(
        net.piecewise_linear,
        [&](double t) { return moved(values + t * Eigen::VectorXd::Unit(count, i)); }, gradient[i],
        scale));
  }
  if (!net.piecewise_linear) {
    const Eigen::VectorXd direction = numbers(1, count, 4).row(0).transpose().normalized();
    CHECK(is_slope(
        false, [&](double t) { return moved(values + t * direction); }, gradient.dot(direction),
        gradient.norm()));
  }

  const Eigen::MatrixXd dx = net.input_vjp(dy);
  const double scale_x = dx.cwiseAbs().maxCoeff();
  const auto shifted = [&](const Particles& at) {
    net.set_x(at);
    const double l = loss();
    net.set_x(x);
    return l;
  };
  for (long i = 0; i < x.size(); i += x.size() / 100 | 1) {
    INFO("coordinate " << i % net.dim << " of point " << i / net.dim);
    const auto at = [&](double t) {
      Particles moved_x = x;
      moved_x.data()[i] += t;
      return shifted(moved_x);
    };
    CHECK(is_slope(net.piecewise_linear, at, dx.data()[i], scale_x));
  }
  if (!net.piecewise_linear) {
    const Eigen::MatrixXd direction = numbers(net.dim, net.batch, 5).normalized();
    CHECK(is_slope(
        false, [&](double t) { return shifted(x + t * direction); },
        dx.cwiseProduct(direction).sum(), dx.norm()));
  }
  // A second pass gives the same bits: nothing is left over from the first.
  CHECK(net.accumulate_vjp(dy) == gradient);
  CHECK(net.input_vjp(dy) == dx);
  CHECK(net.forward() == out);
}

/// The dimensions and batches that cut registers, tiles and chunks in different places.
template <Keep keep, class Spec>
void check_all_shapes(const Spec& spec, ProbeOptions options = {}) {
  for (const int dim : {1, 3, 17})
    for (const long batch : {1L, 7L, 131L, 700L})
      check_pullbacks(probe<keep, double>(spec, dim, batch, options));
}

/// Float against double with the same parameters, on 1 and 3 threads.
template <Keep keep, class Spec>
void check_float(const Spec& spec, int dim, long batch) {
  const Probe exact = probe<keep, double>(spec, dim, batch);
  const auto rounded = [](const Eigen::MatrixXd& m) {
    return Eigen::MatrixXd(m.cast<float>().cast<double>());
  };
  const auto count = static_cast<long>(exact.parameters().size());
  const auto values = list(rounded(0.3 * numbers(1, count, 1)).row(0).transpose());
  const Particles x = rounded(numbers(dim, batch, 2));
  const auto near = [](const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) {
    return (a - b).cwiseAbs().maxCoeff() <= 1e-5 * b.cwiseAbs().maxCoeff();
  };
  exact.set_parameters(values), exact.set_x(x);
  const Eigen::MatrixXd y = exact.forward(), dy = rounded(numbers(y.rows(), y.cols(), 3));
  for (const int threads : {1, 3}) {
    const Probe single = probe<keep, float>(spec, dim, batch, {.threads = threads});
    single.set_parameters(values), single.set_x(x);
    CHECK(near(single.forward(), y));
    CHECK(near(single.accumulate_vjp(dy), exact.accumulate_vjp(dy)));
    CHECK(near(single.input_vjp(dy), exact.input_vjp(dy)));
  }
}

/// u or T at x by the plain layered formula, parameters in the specification's order.
inline Eigen::MatrixXd plain_network(const std::vector<int>& sizes,
                                     const std::vector<double>& parameters, double input_scale,
                                     bool prelu, const std::function<double(double)>& activation,
                                     const Particles& x) {
  Eigen::MatrixXd y = input_scale * x;
  const double* p = parameters.data();
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    const int in = sizes[l], out = sizes[l + 1];
    Eigen::MatrixXd z(out, x.cols());
    for (long n = 0; n < x.cols(); ++n)
      for (int j = 0; j < out; ++j) {
        z(j, n) = p[in * out + j];
        for (int i = 0; i < in; ++i) z(j, n) += y(i, n) * p[i * out + j];
      }
    p += in * out + out;
    if (l + 2 < sizes.size()) {
      const double slope = prelu ? *p++ : 0;
      z = z.unaryExpr([&](double v) { return prelu ? (v < 0 ? slope * v : v) : activation(v); });
    }
    y = z;
  }
  CHECK(p == parameters.data() + parameters.size());
  return y;
}

}  // namespace wgf::test
