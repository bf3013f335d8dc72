// SPDX-License-Identifier: BSL-1.0
#pragma once
// Means over samples Y of a radial interaction kernel, E_Y W(x − Y) and E_Y ∇W(x − Y), on a GPU by
// a native CUDA kernel: the interface, which any C++ compiler can read. Programs link wgf::cuda,
// which adds the one .cu file with the functions for the library's own interaction kernels; files
// compiled by nvcc may include pair_sum.cuh and use a custom radial kernel.
#include <limits>

#include "../../functional/kernels.hpp"

struct CUstream_st;  // *cudaStream_t

namespace wgf::cuda {

/// How the sum at a point is accumulated. In every mode the order of addition is fixed and depends
/// on the sizes alone: the same call gives the same bits.
enum class Accumulation {
  plain,  ///< in the scalar type: partial sums over 128 samples (16 in more than 4 dimensions),
          ///< then the sum of those
  compensated,  ///< the partial sums are added exactly (Knuth): about twice the precision, and no
                ///< slower
  in_double,    ///< coordinates are converted to double first and everything is computed in double
};

/// Indicates that the samples are distinct from the points.
inline constexpr long apart = std::numeric_limits<long>::min() / 2;

struct PairOptions {
  Accumulation accumulation = Accumulation::compensated;
  /// A cudaStream_t; the call returns when its work is queued there.
  CUstream_st* stream = nullptr;
  /// apart, or the index of the sample that is point 0, in which case point 1 is the next sample,
  /// and so on: the pair of a point with itself is then left out, and the mean is over the m − 1
  /// other samples.
  long first = apart;
  long x_stride = 0;    ///< numbers from one point to the next; 0: dim
  long y_stride = 0;    ///< from one sample to the next; 0: dim
  long out_stride = 0;  ///< from one result to the next; 0: dim for gradients and 1 for values
};

/// out_i = mean_j ∇W(x_i − y_j) for n points and m samples in device memory, each a row of `dim`
/// numbers. The kernel is evaluated in the form that `radial_form` gives: its factors are applied
/// once per point. Working memory is allocated from the pool of the stream's device, which must be
/// the current device; a program that calls often and waits in between may let that pool keep its
/// memory (cudaMemPoolAttrReleaseThreshold).
/// \param kernel a radial kernel whose value and derivative are WGF_HOST_DEVICE
/// \param x, y n × dim and m × dim, row by row
/// \param out n × dim; may be x
/// \throws std::invalid_argument for inconsistent sizes, and for a kernel with invalid parameters
/// \throws std::runtime_error with CUDA's message
template <class Kernel, class Scalar>
void pair_gradients(const Kernel& kernel, const Scalar* x, long n, const Scalar* y, long m, int dim,
                    Scalar* out, const PairOptions& options = {});
/// out_i = mean_j W(x_i − y_j), n numbers; otherwise as above.
template <class Kernel, class Scalar>
void pair_values(const Kernel& kernel, const Scalar* x, long n, const Scalar* y, long m, int dim,
                 Scalar* out, const PairOptions& options = {});

// The instantiations in pair_sum.cu.
#define WGF_CUDA_PAIR_SUMS_OF(PREFIX, KERNEL, SCALAR)                                            \
  PREFIX template void pair_gradients(const KERNEL&, const SCALAR*, long, const SCALAR*, long,   \
                                      int, SCALAR*, const PairOptions&);                         \
  PREFIX template void pair_values(const KERNEL&, const SCALAR*, long, const SCALAR*, long, int, \
                                   SCALAR*, const PairOptions&);
#define WGF_CUDA_PAIR_SUMS(PREFIX)                        \
  WGF_CUDA_PAIR_SUMS_OF(PREFIX, GaussianKernel, float)    \
  WGF_CUDA_PAIR_SUMS_OF(PREFIX, GaussianKernel, double)   \
  WGF_CUDA_PAIR_SUMS_OF(PREFIX, QuadraticKernel, float)   \
  WGF_CUDA_PAIR_SUMS_OF(PREFIX, QuadraticKernel, double)  \
  WGF_CUDA_PAIR_SUMS_OF(PREFIX, RingKernel, float)        \
  WGF_CUDA_PAIR_SUMS_OF(PREFIX, RingKernel, double)       \
  WGF_CUDA_PAIR_SUMS_OF(PREFIX, LogarithmicKernel, float) \
  WGF_CUDA_PAIR_SUMS_OF(PREFIX, LogarithmicKernel, double)
WGF_CUDA_PAIR_SUMS(extern)

}  // namespace wgf::cuda
