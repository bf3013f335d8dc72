// SPDX-License-Identifier: BSL-1.0
#pragma once
// Means over samples Y of a radial interaction kernel, E_Y W(x − Y) and E_Y ∇W(x − Y), on a GPU by
// a native CUDA kernel: the interface, which any C++ compiler reads. Programs link wgf::cuda, which
// adds the one .cu file that holds the functions for wgf's own kernels; those compiled by nvcc may
// include pair_sum.cuh and use a radial kernel of their own.
#include <limits>

#include "../../functional/kernels.hpp"

struct CUstream_st;  // *cudaStream_t

namespace wgf::cuda {

/// How the sum at a point is added up. Every way adds in a fixed order that depends on the sizes
/// alone: the same call has the same bits.
enum class Accumulation {
  plain,  ///< in the scalar type: partial sums over 128 samples (16 in more than 4 dimensions),
          ///< then those
  compensated,  ///< the partial sums are added exactly (Knuth): as good as twice the digits, and no
                ///< slower
  in_double,    ///< coordinates are turned into double first and everything is computed in double
};

/// Says that the samples are others than the points.
inline constexpr long apart = std::numeric_limits<long>::min() / 2;

struct PairOptions {
  Accumulation accumulation = Accumulation::compensated;
  CUstream_st* stream =
      nullptr;  ///< a cudaStream_t; the call returns when its work is queued there
  long first =
      apart;  ///< or the number of the sample that point 0 is, point 1 being the next, and so on: a
              ///< point is then no partner of itself, and the mean is over the m − 1 others
  long x_stride = 0;    ///< numbers from a point to the next, 0: dim
  long y_stride = 0;    ///< from a sample to the next, 0: dim
  long out_stride = 0;  ///< from a result to the next, 0: dim for gradients and 1 for values
};

/// out_i = mean_j ∇W(x_i − y_j) for n points and m samples in device memory, each of `dim` numbers
/// in a row. x and y are in the form that `radial_form` gives: factors of the kernel are applied
/// once a point. Memory for the work is taken from the pool of the stream's device, which has to be
/// the current one; a program that calls often and waits in between may let that pool keep its
/// memory (cudaMemPoolAttrReleaseThreshold). \param kernel a radial kernel whose value and
/// derivative are WGF_HOST_DEVICE \param x, y n × dim and m × dim, row by row \param out n × dim;
/// may be x \throws std::invalid_argument for sizes that do not fit and for a kernel whose numbers
/// make no sense \throws std::runtime_error with CUDA's sentence
template <class Kernel, class Scalar>
void pair_gradients(const Kernel& kernel, const Scalar* x, long n, const Scalar* y, long m, int dim,
                    Scalar* out, const PairOptions& options = {});
/// out_i = mean_j W(x_i − y_j), n numbers; all else as above.
template <class Kernel, class Scalar>
void pair_values(const Kernel& kernel, const Scalar* x, long n, const Scalar* y, long m, int dim,
                 Scalar* out, const PairOptions& options = {});

// What pair_sum.cu holds.
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
