// SPDX-License-Identifier: BSL-1.0
#pragma once
// The iterations of a step on a GPU: the first few run normally, then one is recorded as a CUDA
// graph and replayed, without the host in between. Everything that changes from one iteration to
// the next is on the device: a counter, the table of rate factors, the batch, and the state of the
// random numbers.
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

// Of the CUDA toolkit, these need only the runtime's headers.
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "network.hpp"

namespace wgf::libtorch {

/// A random number generator that belongs to one runtime alone.
inline at::Generator new_generator(at::Device device, std::uint64_t seed) {
  at::Generator generator = at::cuda::detail::createCUDAGenerator(device.index());
  generator.set_current_seed(seed);
  return generator;
}

/// Registers with a graph the generator whose numbers it will draw; newer versions of LibTorch do
/// so automatically.
template <class Graph>
void register_generator(Graph& graph, const at::Generator& generator) {
  if constexpr (requires { graph.register_generator_state(generator); })
    graph.register_generator_state(generator);
}

/// Shared by the loops of a runtime: the stream on which iterations run and are recorded, and the
/// last graph. LibTorch has separate free memory for every stream and every graph, and does not
/// release it while recording; the next recording therefore continues in the memory of the last
/// one.
struct Recorder {
  std::optional<c10::cuda::CUDAStream> stream{};
  std::unique_ptr<at::cuda::CUDAGraph> graph{};
};

/// Work queued in `later` from now on waits for the work queued in `first`.
inline void put_in_order(const c10::cuda::CUDAStream& first, const c10::cuda::CUDAStream& later) {
  c10::Event event(c10::DeviceType::CUDA);
  event.record(first.unwrap()), event.block(later.unwrap());
}

/// The loop of this backend: on a CPU it is like PlainLoop.
class Loop {
  // Iterations before the first recording: they allocate what must exist when recording starts.
  static constexpr int warm_up = 3;

 public:
  Loop(const Device& device, std::vector<double> shares)
      : device_(device), shares_(std::move(shares)), recordable_(device.record) {
    if (!on_gpu()) return;
    table_ = at::from_blob(shares_.data(), {static_cast<long>(shares_.size())}, at::kDouble)
                 .to(device_.options, false, true);
    counter_ = at::zeros({1}, device_.options.dtype(at::kLong));
    failed_ = at::zeros({1}, device_.options.dtype(at::kBool));
    if (auto& stream = device_.recorder->stream; !stream)
      stream = c10::cuda::getStreamFromPool(false, device_.options.device().index());
  }

  /// The batch, copied to where the graph reads it.
  template <class Batch>
  Batch batch(const Batch& drawn) {
    if (!on_gpu()) return drawn;
    return {stored(points_, drawn.points), stored(log_densities_, drawn.log_densities), drawn.draw};
  }
  template <class Work>
  void run(int k, int phase, Work&& work) {
    if (!on_gpu()) return work(shares_[static_cast<std::size_t>(k)]);
    const auto once = [&] {
      work(table_.index_select(0, counter_));
      counter_.add_(1);
    };
    if (k < warm_up || !recordable_) {
      const long visits = host_visits;
      on_own_stream(once);
      // Not if numbers were copied to the host, as for a target that is a function on the host.
      recordable_ = recordable_ && visits == host_visits;
      return;
    }
    if (phase != recorded_phase_) {
      if (!record(once)) {
        recordable_ = false;
        return on_own_stream(once);
      }
      recorded_phase_ = phase;
    }
    device_.recorder->graph->replay();
  }
  bool finite_so_far(const Tensor& finite) {
    if (!on_gpu()) return finite.item<bool>();
    failed_.logical_or_(finite.logical_not());
    return true;
  }
  /// Waits for the device.
  bool is_finite(bool known) const { return known && !(on_gpu() && failed_.item<bool>()); }

 private:
  bool on_gpu() const { return device_.draws(); }
  static PointsView stored(Tensor& memory, const PointsView& x) {
    if (!x.all().defined()) return x;  // a batch without log-densities
    if (!memory.defined()) memory = at::empty_like(x.all());
    memory.copy_(x.all());
    return PointsView(memory);
  }
  const c10::cuda::CUDAStream& own_stream() const { return *device_.recorder->stream; }
  c10::cuda::CUDAStream outside() const {
    return c10::cuda::getCurrentCUDAStream(own_stream().device_index());
  }

  /// Work outside waits for f, even if f throws: parameters are then restored, and must no longer
  /// be written to.
  template <class F>
  void on_own_stream(F&& f) const {
    const c10::cuda::CUDAStream around = outside();
    put_in_order(around, own_stream());
    try {
      const c10::cuda::CUDAStreamGuard guard(own_stream());
      f();
    } catch (...) {
      put_in_order(own_stream(), around);
      throw;
    }
    put_in_order(own_stream(), around);
  }
  /// Records f without running it.
  /// \returns false if memory is insufficient: outside a recording LibTorch can free the memory
  /// that it keeps.
  template <class F>
  bool record(F&& f) const {
    const c10::cuda::CUDAStream around = outside();
    bool enough = true;
    {
      // Also selects the stream's device, on which the generator is registered.
      const c10::cuda::CUDAStreamGuard guard(own_stream());
      c10::cuda::device_synchronize();
      auto graph = std::make_unique<at::cuda::CUDAGraph>();
      register_generator(*graph, device_.generator);
      auto& last = device_.recorder->graph;
      if (last) graph->capture_begin(last->pool());
      else graph->capture_begin();
      try {
        f();
      } catch (const c10::OutOfMemoryError&) {
        enough = false;
      } catch (...) {
        try {
          graph->capture_end();
        } catch (const c10::Error&) {  // the first error is the relevant one
        }
        throw;
      }
      graph->capture_end();
      last = enough ? std::move(graph) : nullptr;  // the previous graph is no longer useful
    }
    put_in_order(own_stream(), around);  // the generator was reset on that stream
    return enough;
  }

  Device device_;
  std::vector<double> shares_;
  Tensor table_, counter_, failed_;
  Tensor points_, log_densities_;      // of the batch
  std::optional<int> recorded_phase_;  // of the graph of this loop
  bool recordable_;
};

}  // namespace wgf::libtorch
