// SPDX-License-Identifier: BSL-1.0
// The sums over pairs for the library's own interaction kernels. The target wgf::cuda adds this
// file to programs that link it.
#ifndef EIGEN_NO_CUDA
#define EIGEN_NO_CUDA  // Eigen is used on the host only; its device annotations make nvcc warn
#endif
#include "pair_sum.cuh"

namespace wgf::cuda {
WGF_CUDA_PAIR_SUMS()
}  // namespace wgf::cuda
