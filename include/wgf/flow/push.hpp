// SPDX-License-Identifier: BSL-1.0
#pragma once
// Pushes particles through the stages of a flow.
#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "../particles.hpp"
#include "stage.hpp"

namespace wgf::detail {

/// Whether one of the stages [from, to) continues the motion of the stage before it.
template <class Scalar>
bool any_inertia(const std::vector<Stage<Scalar>>& stages, int from, int to) {
  return std::any_of(stages.begin() + from, stages.begin() + to,
                     [](const auto& stage) { return stage.inertia != 0; });
}
/// Calls visit(particles) after each of the stages [from, to).
template <class Flow, class Visit>
void push_stages(const Flow& flow, Particles& particles, int from, int to, Visit visit) {
  const auto runtime = flow.backend.start();
  const long n = particles.cols();
  const int d = flow.dim();
  auto net = runtime.network(flow.map, d, 1, 0, Keep::tile);
  auto x = runtime.points(d, n), inside = runtime.points(d, n),
       drift = runtime.points(d, Flow::has_forward ? n : 0);
  const bool remembers = any_inertia(flow.stages, from, to);
  auto before = runtime.points(d, remembers ? n : 0);
  if (from < to && flow.stages[static_cast<std::size_t>(from)].inertia != 0)
    throw std::invalid_argument("wgf::Flow::push: stage " + std::to_string(from) +
                                " continues the motion of the stage before it: push from 0");
  runtime.upload(particles, x);
  for (int k = from; k < to; ++k) {
    const auto& stage = flow.stages[static_cast<std::size_t>(k)];
    if (remembers) {
      const Particles now = particles;  // before this step
      if (stage.inertia != 0) push_on(runtime, stage.inertia, x, before, n);
      runtime.upload(now, before);
    }
    if constexpr (Flow::has_forward) {
      auto samples = runtime.points(d, stage.samples.cols());
      if (stage.samples.cols() > 0) runtime.upload(stage.samples, samples);
      push_forward(runtime, flow.forward, flow.time(k), flow.step_size_of(k), samples, x, drift,
                   inside, n);
    }
    if (!stage.parameters.empty()) {
      net.set_parameters(stage.parameters);
      push_through(runtime, net, stage, x, inside, n);
    }
    particles = runtime.download(x);
    visit(particles);
  }
}

}  // namespace wgf::detail
