// SPDX-License-Identifier: BSL-1.0
// Uses the component torch: its headers and LibTorch are found.
#include <iostream>
#include <wgf/backend/libtorch/backend.hpp>

int main() {
  const auto runtime = wgf::LibTorchBackend<float>{.seed = 1}.start();
  const auto x = runtime.points(2, 3);
  runtime.upload(wgf::Particles::Ones(2, 3), x);
  std::cout << "wgf::torch is usable\n";
  return runtime.download(x) == wgf::Particles::Ones(2, 3) ? 0 : 1;
}
