// SPDX-License-Identifier: BSL-1.0
#pragma once

/// Marks functions that run on a GPU too. Only nvcc and other CUDA compilers see anything of it.
#ifdef __CUDACC__
#define WGF_HOST_DEVICE __host__ __device__
#else
#define WGF_HOST_DEVICE
#endif
