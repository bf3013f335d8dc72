// SPDX-License-Identifier: BSL-1.0
#pragma once
// The backend: the only policy that changes when an example runs on LibTorch, and with it on a GPU.
// With the CMake option WGF_EXAMPLES_ON_TORCH every experiment is built a second time, as
// NAME_torch.
#include <cstdint>

#ifdef WGF_EXAMPLES_ON_TORCH
#include <wgf/backend/libtorch/backend.hpp>
#else
#include <wgf/backend/eigen/backend.hpp>
#endif

#include "options.hpp"

namespace examples {

#ifdef WGF_EXAMPLES_ON_TORCH
template <class Scalar = float>
auto backend(const CommonOptions& options, std::uint64_t seed) {
  return wgf::LibTorchBackend<Scalar>{
      .seed = seed, .device = options.device, .threads = options.threads};
}
#else
template <class Scalar = float>
auto backend(const CommonOptions& options, std::uint64_t seed) {
  return wgf::EigenBackend<Scalar>{.seed = seed, .threads = options.threads};
}
#endif
inline auto backend(const CommonOptions& options) { return backend(options, options.seed); }

}  // namespace examples
