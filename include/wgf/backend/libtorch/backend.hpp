// SPDX-License-Identifier: BSL-1.0
#pragma once
// The LibTorch backend: the same algorithm on tensors, on a CPU or on a GPU. A slice is the whole
// batch, and vector-Jacobian products are computed by autograd.
#include <cmath>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <ATen/core/ivalue.h>  // must come first: see tensor.hpp

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/util/Exception.h>

#include "../../concepts.hpp"
#include "../../curve.hpp"
#include "../eigen/backend.hpp"
#include "mixture.hpp"
#include "network.hpp"
#include "optimiser.hpp"
#include "pairs.hpp"
#ifdef WGF_TORCH_HAS_CUDA
#include "cuda_graph.hpp"
#endif

namespace wgf {

namespace libtorch {

/// A running backend: it owns the device's random numbers, and provides memory and networks.
/// Satisfies wgf::Runtime. On a CPU, the random numbers are exactly those of the Eigen backend; a
/// GPU draws different ones, from a generator that belongs to this runtime alone.
template <class S>
class Runtime {
 public:
  using Scalar = S;
  using Slice = libtorch::Slice;
  using Points = libtorch::Points;
  using PointsView = libtorch::PointsView;
  using Constant = libtorch::Constant;

  Runtime(std::uint64_t seed, at::Device device, int threads, bool record)
      : device_{at::TensorOptions().device(device).dtype(std::is_same_v<S, float> ? at::kFloat
                                                                                  : at::kDouble),
                Random{seed},
                {},
                record,
                {}},
        host_(std::make_unique<eigen::EigenRuntime<S>>(seed, threads)) {
#ifdef WGF_TORCH_HAS_CUDA
    if (device.is_cuda())
      device_.generator = new_generator(device, seed),
      device_.recorder = std::make_shared<Recorder>();
#endif
  }

  Points points(int dim, long n) const { return {dim, n, device_.options}; }
  void upload(const Particles& x, const PointsView& to) const { to.all() = shared_with(x); }
  Particles download(const PointsView& x) const { return on_host(x.all()); }
  Constant constant(const Eigen::MatrixXd& a) const {
    return {shared_with(a).to(device_.options, false, true)};
  }
  /// Mean and covariance (1/n) of the points, in double precision.
  std::pair<Eigen::VectorXd, Eigen::MatrixXd> moments(const PointsView& x) const {
    const Tensor all = x.all().to(at::kDouble), mean = all.mean(0, true), centred = all - mean;
    return {on_host(mean),
            on_host(at::matmul(centred.t(), centred) / static_cast<double>(x.count()))};
  }
  void normals(Slice s, const Tensor& x, std::uint32_t stream, std::uint32_t index) const {
    fill<true>(s, x, stream, index);
  }
  void uniforms(Slice s, const Tensor& x, std::uint32_t stream, std::uint32_t index) const {
    fill<false>(s, x, stream, index);
  }
  /// n quasi-random points that fill the unit cube evenly, with a new random shift in every draw.
  void lattice(Slice s, const Tensor& x, long n, std::uint32_t stream, std::uint32_t index) const {
    const int dim = static_cast<int>(x.size(1));
    const auto precise = device_.options.dtype(at::kDouble);
    const Tensor point = at::arange(s.begin, s.begin + s.size, precise),
                 shifts = device_.draws() ? at::rand({dim}, device_.generator, precise) : Tensor();
    for (int j = 0; j < dim; ++j) {
      const Tensor steps = point * wgf::detail::lattice_step(dim, j, n);
      const Tensor at = device_.draws() ? steps + shifts.narrow(0, j, 1)
                                        : steps + device_.random.shared_uniform(stream, index, j);
      x.select(1, j).copy_(at - at.floor());
    }
  }
  /// Points drawn from others with replacement.
  void draw_from(const PointsView& others, Slice s, const Tensor& x, std::uint32_t stream,
                 std::uint32_t index) const {
    Tensor which;
    if (device_.draws()) {
      which = at::randint(others.count(), {s.size}, device_.generator,
                          device_.options.dtype(at::kLong));
    } else {
      std::vector<std::int64_t> list(static_cast<std::size_t>(s.size));
      for (long i = 0; i < s.size; ++i)
        list[static_cast<std::size_t>(i)] =
            device_.random.below(others.count(), stream, index, s.begin + i);
      which = indices(list);
    }
    Tensor to = x;
    to.copy_(others.all().index_select(0, which));
  }
  /// One point from each of n equal consecutive parts of others; the relative position within a
  /// part is the same random number for all.
  void draw_strata(const PointsView& others, Slice s, const Tensor& x, long n, std::uint32_t stream,
                   std::uint32_t index) const {
    const double share = static_cast<double>(others.count()) / static_cast<double>(n);
    const auto precise = device_.options.dtype(at::kDouble);
    Tensor at = at::arange(s.begin, s.begin + s.size, precise);
    if (device_.draws()) at = at + at::rand({1}, device_.generator, precise);
    else at = at + device_.random.shared_uniform(stream, index, 0);
    Tensor to = x;
    to.copy_(others.all().index_select(
        0, (share * at).floor().clamp_max(static_cast<double>(others.count() - 1)).to(at::kLong)));
  }
  /// Reorders points along a curve on which neighbours are close; the order is computed on the
  /// host.
  void sort_along_curve(const PointsView& x) const {
    const std::vector<long> order = wgf::detail::order_along_curve(download(x));
    x.all() = x.all().index_select(0, indices({order.begin(), order.end()}));
  }
  /// Minimum and maximum of each coordinate.
  std::pair<Eigen::VectorXd, Eigen::VectorXd> bounds(const PointsView& x) const {
    return {on_host(x.all().amin(0, true)), on_host(x.all().amax(0, true))};
  }
  template <class F>
  void parallel(long n, F&& f) const {
    if (n > 0) f(Slice{0, n});
  }
  /// f(i) for i = 0, …, n − 1, on the threads of the host.
  template <class F>
  void each(long n, F&& f) const {
    host_->each(n, f);
  }
  template <class Spec>
  typename NetworkFor<Spec, S>::type network(const Spec& spec, int dim, long /*batch*/,
                                             std::uint32_t stream, Keep) const {
    return {device_, spec, dim, stream};
  }
  /// The optimiser of a network of this runtime, with an update rule.
  template <UpdateRule Rule, class Net>
  Optimiser<Rule, S> optimiser(const Rule& rule, const Net& network) const {
    return {device_, rule, network};
  }
  MixtureKernel mixture(const GaussianMixture& m) const { return {m, device_.options}; }
  template <class Kernel>
  PairSum<Kernel, S> pairs(const Kernel& kernel, int /*dim*/) const {
    return {kernel, *host_};
  }
  /// out_i = mean_j ∇W(x_i − y_j) for points x and samples y.
  template <class Kernel>
  void pair_gradients(const Kernel& kernel, const PointsView& x, const PointsView& y,
                      const PointsView& out) const {
    if (native_gradients(kernel, x.all(), y.all(), out.all(), -1)) {
      // computed on the GPU
    } else if (RadialKernel<Kernel> && device_.draws()) {
      if constexpr (RadialKernel<Kernel>)
        each_block_of_pairs(x.all(), y.all(),
                            [&](long first, long count, const Tensor& difference, const Tensor& q) {
                              out.window(first, count).all() =
                                  2 * (kernel.derivative(q).unsqueeze(2) * difference).mean(1);
                            });
    } else {
      const auto at = to_host(x), samples = to_host(y), sums = host_->points(x.dim(), x.count());
      host_->pair_gradients(kernel, at, samples, sums);
      upload(host_->download(sums), out);
    }
  }
  /// out_i = mean over j ≠ i of ∇W(x_i − x_j).
  template <class Kernel>
  void self_gradients(const Kernel& kernel, const PointsView& x, const PointsView& out) const {
    if (RadialKernel<Kernel> && device_.draws()) {
      out.all().zero_();
      pairs(kernel, x.dim()).add_gradient({0, x.count()}, x.all(), x, out.all(), 1, 0);
    } else {
      const auto at = to_host(x), sums = host_->points(x.dim(), x.count());
      host_->self_gradients(kernel, at, sums);
      upload(host_->download(sums), out);
    }
  }
  /// mean_j ∇²W(x_i − y_j) at points x (d × n), in double precision, on the host.
  template <class Kernel>
  std::vector<Eigen::MatrixXd> pair_hessians(const Kernel& kernel, const Particles& x,
                                             const PointsView& y) const {
    return host_->pair_hessians(kernel, x, to_host(y));
  }
  Sum sum() const { return {}; }
#ifdef WGF_TORCH_HAS_CUDA
  /// The loop over the iterations of a step: on a GPU, one iteration is recorded as a CUDA graph
  /// and replayed.
  Loop loop(std::vector<double> shares) const { return Loop(device_, std::move(shares)); }
#endif
  /// LibTorch's messages without the backtrace.
  static std::string message(const std::exception& error) {
    if (const auto* e = dynamic_cast<const c10::Error*>(&error)) return e->what_without_backtrace();
    return error.what();
  }

 private:
  template <bool Normal>
  void fill(Slice s, const Tensor& x, std::uint32_t stream, std::uint32_t index) const {
    Tensor to = x;
    if (device_.draws()) {
      if constexpr (Normal) to.normal_(0, 1, device_.generator);
      else to.uniform_(0, 1, device_.generator);
      return;
    }
    const int dim = static_cast<int>(x.size(1));
    const bool direct = x.is_contiguous();
    Tensor memory = direct ? x : at::empty({s.size, dim}, device_.options);
    S* p = memory.template data_ptr<S>();
    device_.random.template fill<S, Normal>(stream, index, s.begin, s.size, dim,
                                            [&](long point, int first, const S* four) {
                                              for (int j = 0; j < 4 && first + j < dim; ++j)
                                                p[point * dim + first + j] = four[j];
                                            });
    if (!direct) to.copy_(memory);
  }
  Tensor indices(const std::vector<std::int64_t>& list) const {
    return at::from_blob(const_cast<std::int64_t*>(list.data()), {static_cast<long>(list.size())},
                         at::kLong)
        .to(device_.options.dtype(at::kLong), false, true);
  }
  eigen::Points<S> to_host(const PointsView& x) const {
    auto points = host_->points(x.dim(), x.count());
    host_->upload(download(x), points);
    return points;
  }

  Device device_;
  // For work on the host: kernels that are functions of single points.
  std::unique_ptr<eigen::EigenRuntime<S>> host_;
};

}  // namespace libtorch

/// Backend policy: LibTorch, on a CPU or a GPU, in float (the default) or double. On one device the
/// same seed gives the same samples, as far as LibTorch's own sums are reproducible.
template <class S = float>
struct LibTorchBackend {
  using Scalar = S;
  std::uint64_t seed = 0;
  /// "cpu", "cuda", "cuda:1", …, in LibTorch's notation for devices.
  std::string device = "cpu";
  /// Threads on the host for the work that LibTorch does not do; 0 for all cores.
  int threads = 0;
  /// On a GPU, record an iteration as a CUDA graph and replay it. This is not done if a target or
  /// kernel is a function on the host.
  bool record = true;

  /// The same backend in double precision.
  LibTorchBackend<double> precise() const { return {seed, device, threads, record}; }
  /// \throws std::invalid_argument for a device that LibTorch does not know.
  /// \throws std::runtime_error if the device is not available; no other device is used instead.
  libtorch::Runtime<S> start() const {
    if (threads < 0)
      throw std::invalid_argument(
          "wgf::LibTorchBackend: threads must be positive, or 0 for all cores, got " +
          std::to_string(threads));
    if (threads > max_threads)  // each takes memory, and the system creates them one by one
      throw std::invalid_argument("wgf::LibTorchBackend: threads must be at most " +
                                  std::to_string(max_threads) + ", got " + std::to_string(threads));
    return {seed, checked_device(),
            threads > 0
                ? threads
                : std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, max_threads),
            record};
  }

 private:
  at::Device checked_device() const {
    const auto unknown = [&] {
      return std::invalid_argument(
          "wgf::LibTorchBackend: the device must be \"cpu\" or \"cuda\" (\"cuda:1\", …), got \"" +
          device + "\"");
    };
    std::optional<at::Device> asked;
    try {
      asked.emplace(device);
    } catch (const c10::Error&) {
      throw unknown();
    }
    if (asked->is_cpu()) return *asked;
    if (!asked->is_cuda()) throw unknown();
    const std::string wanted =
        "wgf::LibTorchBackend: device \"" + device + "\" was asked for, but ";
#ifndef WGF_TORCH_HAS_CUDA
    throw std::runtime_error(wanted + "this program was built with a LibTorch without CUDA");
#else
    const int devices = at::detail::getCUDAHooks().getNumGPUs();
    if (devices == 0) throw std::runtime_error(wanted + "no GPU was found");
    if (asked->index() >= devices)
      throw std::runtime_error(wanted + "there are " + std::to_string(devices) +
                               " GPUs, from cuda:0");
    return {at::kCUDA, asked->has_index() ? asked->index() : static_cast<c10::DeviceIndex>(0)};
#endif
  }
};

}  // namespace wgf
