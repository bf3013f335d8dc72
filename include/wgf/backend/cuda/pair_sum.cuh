// SPDX-License-Identifier: BSL-1.0
#pragma once
// The functions of pair_sum.hpp for any radial kernel whose value and derivative run on the device.
// Requires nvcc.
//
// A thread keeps four points and their sums in registers while it loops over all samples of its
// split; the threads of a block share the samples, 128 at a time. A pair of the Gaussian kernel in
// two dimensions then takes seven instructions and a fraction, one of them the power of two, of
// which a Hopper multiprocessor executes 16 per clock: about the time of the other six.
#if !defined(__CUDACC__)
#error \
    "wgf/backend/cuda/pair_sum.cuh needs nvcc; other compilers include pair_sum.hpp and link wgf::cuda"
#endif
#if __cplusplus < 202002L
#error "wgf needs C++20: compile with -std=c++20"
#endif

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "pair_sum.hpp"
#include "pair_tile.hpp"

namespace wgf::cuda {

namespace detail {
template <class Work, class Scalar>
__global__ void pack(Pairs<Work> p, double scale, const Scalar* x, long x_stride, const Scalar* y,
                     long y_stride) {
  const long i = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < p.cut.stride) pack_point(p, scale, x, x_stride, i);
  else if (i < p.cut.stride + p.packed_samples())
    pack_sample(p, scale, y, y_stride, i - p.cut.stride);
}

template <bool gradients, int D, class Work, class Shape>
__global__ void __launch_bounds__(threads) sum_pairs(const Pairs<Work> p, const Shape shape) {
  if constexpr (D <= max_fixed_dim) {
    static_assert(tile == threads, "every thread brings a sample");
    __shared__ Sample<D, Work> shared[tile];
    const auto* const y = reinterpret_cast<const Sample<D, Work>*>(p.y);
    const int thread = static_cast<int>(threadIdx.x);
    sum_of_thread<gradients, D>(p, shape, blockIdx.x, thread, blockIdx.y, [&](long j, int count) {
      __syncthreads();  // all threads are done with the last tile
      if (thread < count) shared[thread] = y[j + thread];
      __syncthreads();
      return shared;
    });
  } else {
    sum_of_thread_in_any_dim<gradients>(p, shape, blockIdx.x, static_cast<int>(threadIdx.x),
                                        blockIdx.y);
  }
}

template <class Work, class Scalar>
__global__ void finish(const Pairs<Work> p, double factor, Scalar* out, long out_stride) {
  const long i = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < p.points) finish_point(p, factor, out, out_stride, i);
}

inline void check(cudaError_t error, const char* caller) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // clears the error, which is reported below
  throw std::runtime_error(std::string("wgf::cuda::") + caller + ": " + cudaGetErrorString(error));
}

/// Memory of a stream's pool, freed when the work queued so far has run.
template <class T>
class Workspace {
 public:
  Workspace(long size, cudaStream_t stream, const char* caller) : stream_(stream) {
    check(cudaMallocAsync(&data_, static_cast<std::size_t>(size) * sizeof(T), stream), caller);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() { cudaFreeAsync(data_, stream_); }
  T* data() const { return static_cast<T*>(data_); }

 private:
  void* data_ = nullptr;
  cudaStream_t stream_;
};

template <bool gradients, class Work, class Kernel, class Scalar>
void pair_sums(const Kernel& kernel, const Scalar* x, long n, const Scalar* y, long m, int dim,
               Scalar* out, const PairOptions& options, const char* caller) {
  const auto form = radial_form(kernel);
  Pairs<Work> p{.dim = dim,
                .gradients = gradients,
                .compensated = options.accumulation != Accumulation::plain,
                .points = n,
                .samples = m,
                .first = options.first,
                .cut = cut_of(n, m, dim),
                .x = nullptr,
                .y = nullptr,
                .sum = nullptr,
                .lost = nullptr};
  const cudaStream_t stream = options.stream;
  const Workspace<Work> memory(p.size_of_x() + p.size_of_y() + 2 * p.size_of_sum(), stream, caller);
  p.x = memory.data();
  p.y = p.x + p.size_of_x();  // a multiple of 128 numbers away, as whole samples are read at a time
  p.sum = p.y + p.size_of_y();
  p.lost = p.sum + p.size_of_sum();

  const auto blocks_of = [](long count) {
    return static_cast<unsigned>((count + threads - 1) / threads);
  };
  const auto stride_or = [](long stride, long otherwise) {
    return stride == 0 ? otherwise : stride;
  };
  pack<<<blocks_of(p.cut.stride + p.packed_samples()), threads, 0, stream>>>(
      p, form.scale, x, stride_or(options.x_stride, dim), y, stride_or(options.y_stride, dim));
  check(cudaGetLastError(), caller);
  const dim3 grid(static_cast<unsigned>(p.cut.blocks), static_cast<unsigned>(p.cut.splits));
  const auto sum_in = [&]<int D>(std::integral_constant<int, D>) {
    sum_pairs<gradients, D><<<grid, threads, 0, stream>>>(p, form.shape);
  };
  if (dim == 1) sum_in(std::integral_constant<int, 1>{});
  else if (dim == 2) sum_in(std::integral_constant<int, 2>{});
  else if (dim == 3) sum_in(std::integral_constant<int, 3>{});
  else if (dim == 4) sum_in(std::integral_constant<int, 4>{});
  else sum_in(std::integral_constant<int, max_fixed_dim + 1>{});
  check(cudaGetLastError(), caller);
  const double partners = static_cast<double>(options.first == apart ? m : m - 1);
  const double factor =
      (gradients ? 2 * form.derivative_factor / form.scale : form.value_factor) / partners;
  finish<<<blocks_of(n), threads, 0, stream>>>(p, factor, out,
                                               stride_or(options.out_stride, p.sums()));
  check(cudaGetLastError(), caller);
}

/// Checks the arguments, and chooses the type in which the sums are computed.
template <bool gradients, class Kernel, class Scalar>
void checked_pair_sums(const Kernel& kernel, const Scalar* x, long n, const Scalar* y, long m,
                       int dim, Scalar* out, const PairOptions& options, const char* caller) {
  static_assert(RadialKernel<Kernel>,
                "wgf::cuda: the kernel must be radial, with value, derivative and curvature as "
                "functions of |x|^2");
  static_assert(std::is_same_v<Scalar, float> || std::is_same_v<Scalar, double>,
                "wgf::cuda: points are of float or double");
  check_kernel(kernel);
  check_sizes(caller, n, m, dim, gradients ? dim : 1, options);
  if (n == 0) return;
  if (options.accumulation == Accumulation::in_double)
    return pair_sums<gradients, double>(kernel, x, n, y, m, dim, out, options, caller);
  pair_sums<gradients, Scalar>(kernel, x, n, y, m, dim, out, options, caller);
}
}  // namespace detail

template <class Kernel, class Scalar>
void pair_gradients(const Kernel& kernel, const Scalar* x, long n, const Scalar* y, long m, int dim,
                    Scalar* out, const PairOptions& options) {
  detail::checked_pair_sums<true>(kernel, x, n, y, m, dim, out, options, "pair_gradients");
}
template <class Kernel, class Scalar>
void pair_values(const Kernel& kernel, const Scalar* x, long n, const Scalar* y, long m, int dim,
                 Scalar* out, const PairOptions& options) {
  detail::checked_pair_sums<false>(kernel, x, n, y, m, dim, out, options, "pair_values");
}

}  // namespace wgf::cuda
