// SPDX-License-Identifier: BSL-1.0
#pragma once
// The iterations of a step on a GPU: the first few as they come, then one is recorded as a CUDA graph and repeated, without the host in
// between. What differs from one iteration to the next is on the device: a counter, the table of the rates' shares, the batch, and the
// state of the random numbers.
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "network.hpp"

namespace wgf::libtorch {

/// A generator of random numbers for one runtime alone.
inline at::Generator new_generator(at::Device device, std::uint64_t seed) {
  at::Generator generator = at::cuda::detail::createCUDAGenerator(device.index());
  generator.set_current_seed(seed);
  return generator;
}

/// Tells a graph of the generator whose numbers it will draw; newer versions of LibTorch notice by themselves.
template <class Graph>
void register_generator(Graph& graph, const at::Generator& generator) {
  if constexpr (requires { graph.register_generator_state(generator); }) graph.register_generator_state(generator);
}

/// See PlainLoop, which this is on a CPU.
class Loop {
  static constexpr int warm_up = 3;  // iterations before the first record: they allocate what the record must find

 public:
  Loop(const Device& device, std::vector<double> shares) : device_(device), shares_(std::move(shares)), recordable_(device.record) {
    if (!on_gpu()) return;
    table_ = at::from_blob(shares_.data(), {static_cast<long>(shares_.size())}, at::kDouble).to(device_.options, false, true);
    counter_ = at::zeros({1}, device_.options.dtype(at::kLong));
    failed_ = at::zeros({1}, device_.options.dtype(at::kBool));
    stream_ = std::make_unique<c10::cuda::CUDAStream>(c10::cuda::getStreamFromPool(false, device_.options.device().index()));
  }

  /// The batch, copied to where the record reads it.
  Window batch(const Window& x) {
    if (!on_gpu()) return x;
    if (!batch_.defined()) batch_ = at::empty_like(x.all());
    batch_.copy_(x.all());
    return Window(batch_);
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
      recordable_ = recordable_ && visits == host_visits;  // a target that is a function of the host, say
      return;
    }
    if (!graph_ || phase != phase_) {
      graph_ = std::make_unique<at::cuda::CUDAGraph>();
      register_generator(*graph_, device_.generator);
      c10::cuda::device_synchronize();
      const c10::cuda::CUDAStreamGuard guard(*stream_);
      graph_->capture_begin();
      try {
        once();
      } catch (...) {
        try {
          graph_->capture_end();
        } catch (const c10::Error&) {  // the first error says what is wrong
        }
        graph_.reset();
        throw;
      }
      graph_->capture_end();
      phase_ = phase;
    }
    graph_->replay();
  }
  bool known(const Tensor& finite) {
    if (!on_gpu()) return finite.item<bool>();
    failed_.logical_or_(finite.logical_not());
    return true;
  }
  /// Waits for the device.
  bool sound(bool known) const { return known && !(on_gpu() && failed_.item<bool>()); }

 private:
  bool on_gpu() const { return device_.draws(); }
  template <class F>
  void on_own_stream(F&& f) {
    at::cuda::CUDAEvent before, after;
    const auto outside = c10::cuda::getCurrentCUDAStream(stream_->device_index());
    before.record(outside), before.block(*stream_);
    {
      const c10::cuda::CUDAStreamGuard guard(*stream_);
      f();
    }
    after.record(*stream_), after.block(outside);
  }

  Device device_;
  std::vector<double> shares_;
  Tensor table_, counter_, failed_, batch_;
  std::unique_ptr<c10::cuda::CUDAStream> stream_;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
  int phase_ = 0;
  bool recordable_;
};

}  // namespace wgf::libtorch
