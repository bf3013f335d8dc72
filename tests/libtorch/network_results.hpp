// SPDX-License-Identifier: BSL-1.0
#pragma once
// What a network computes on a backend, from the same parameters and points on every one.
#include "both.hpp"

namespace wgf::test {

struct NetworkResults {
  std::vector<double> start, gradient, after;
  Particles output, dropped, input_gradient;
};

/// Numbers are pulled back with u² + 1, points with given ones.
template <class Backend, class Spec>
NetworkResults network_results(const Backend& backend, const Spec& spec) {
  constexpr int dim = 3;
  constexpr long batch = 300;
  const auto runtime = backend.start();
  using R = std::remove_cvref_t<decltype(runtime)>;
  using Slice = typename R::Slice;
  constexpr bool scalar = Spec::output == Output::scalar;
  auto net = runtime.network(spec, dim, batch, 11, Keep::tile);
  const auto list = [](const auto& values) {
    return std::vector<double>(values.begin(), values.end());
  };
  NetworkResults r;
  r.start = list(net.parameters());
  // Away from the start, where a map's last layer is zero.
  auto moved = net.parameters();
  const Particles shifts = standard_normals(1, static_cast<long>(moved.size()), 3);
  using Scalar = typename R::Scalar;
  for (std::size_t i = 0; i < moved.size(); ++i)
    moved[i] += static_cast<Scalar>(0.2 * shifts(0, static_cast<long>(i)));
  net.set_parameters(moved);

  auto x = runtime.points(dim, batch), dy = runtime.points(dim, batch),
       out = runtime.points(scalar ? 1 : dim, batch), dx = runtime.points(dim, batch);
  runtime.upload(standard_normals(dim, batch, 5), x),
      runtime.upload(standard_normals(dim, batch, 6), dy);
  const auto store = [&](Slice s, const auto& y) {
    if constexpr (scalar) out(s) = as_points(y);
    else out(s) = y;
  };
  const auto upstream = [&]([[maybe_unused]] Slice s, [[maybe_unused]] const auto& y) {
    if constexpr (scalar) return evaluated(y * y + 1.0);
    else return dy(s);
  };
  runtime.parallel(batch, [&](Slice s) { store(s, net.forward(s, x(s))); });
  r.output = runtime.download(out);
  runtime.parallel(batch, [&](Slice s) {
    const auto y = net.forward(s, x(s));
    dx(s) = net.input_vjp(s, x(s), upstream(s, y));
  });
  r.input_gradient = runtime.download(dx);
  runtime.parallel(batch, [&](Slice s) {
    const auto y = net.forward(s, x(s));
    net.accumulate_vjp(s, x(s), upstream(s, y));
  });
  r.gradient = list(net.gradient());
  auto optimiser = runtime.optimiser(Adam{}, net);
  optimiser.descend(net, 0.01);
  for (int k = 0; k < 2; ++k) {
    runtime.parallel(batch, [&](Slice s) {
      const auto y = net.forward(s, x(s));
      net.accumulate_vjp(s, x(s), upstream(s, y));
    });
    optimiser.descend(net, 0.01);
    optimiser.accumulate_average(net);
  }
  optimiser.use_average(net);
  r.after = list(net.parameters());
  if constexpr (requires { net.restart(); }) {
    runtime.parallel(batch, [&](Slice s) {
      if constexpr (scalar) store(s, net.forward_train(s, x(s), 9));
    });
    r.dropped = runtime.download(out);
    if constexpr (scalar) {
      net.restart();
      CHECK(list(net.parameters()) == r.start);
    }
  }
  return r;
}

/// The parameters after steps of a rule, one of them without a finite gradient: where the host
/// knows the share of the rate, the number of the step and whether the gradient is finite, and
/// where these are on the device, as a recorded iteration has them.
template <class Rule, class Scalar>
auto parameters_by_host_and_device(const Rule& rule, const LibTorchBackend<Scalar>& backend) {
  constexpr int dim = 3;
  constexpr long batch = 300;
  const auto runtime = backend.start();
  auto host = runtime.network(Mlp<16, 2>{}, dim, batch, 11, Keep::tile),
       device = runtime.network(Mlp<16, 2>{}, dim, batch, 11, Keep::tile);
  const auto x = runtime.points(dim, batch);
  runtime.upload(standard_normals(dim, batch, 5), x);
  const auto options = x.all().options();
  const libtorch::Slice s{0, batch};
  auto by_host = runtime.optimiser(rule, host), by_device = runtime.optimiser(rule, device);
  for (int k = 0; k < 6; ++k) {
    const double share = 1 - 0.1 * k;
    const bool finite = k != 2;
    for (auto* net : {&host, &device}) {
      const at::Tensor u = net->forward(s, x(s));
      net->accumulate_vjp(s, x(s), u / (finite ? static_cast<double>(batch) : 0.0));
    }
    by_host.descend(host, 0.01, share, finite);
    if (!finite) host.clear_gradient();
    if (k < 4)
      by_device.descend(device, 0.01, at::full({1}, share, options),
                        at::full({}, finite, options.dtype(at::kBool)));
    else
      by_device.descend(device, 0.01, at::full({1}, share, options), true);  // as dual networks do
  }
  return std::pair{host.parameters(), device.parameters()};
}

}  // namespace wgf::test
