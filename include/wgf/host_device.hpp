// SPDX-License-Identifier: BSL-1.0
#pragma once

/// Marks functions that also run on a GPU. Empty except for nvcc and other CUDA compilers.
#ifdef __CUDACC__
#define WGF_HOST_DEVICE __host__ __device__
#else
#define WGF_HOST_DEVICE
#endif
