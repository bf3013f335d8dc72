// SPDX-License-Identifier: BSL-1.0
// Calls the component cuda from a program of the C++ compiler; what is called needs no GPU.
#include <iostream>
#include <wgf/backend/cuda/pair_sum.hpp>

int main() {
  const float* const none = nullptr;
  try {
    wgf::cuda::pair_gradients(wgf::GaussianKernel{}, none, 1, none, 0, 2,
                              static_cast<float*>(nullptr));
  } catch (const std::invalid_argument& e) {
    std::cout << "wgf::cuda is usable; " << e.what() << '\n';
    return 0;
  }
  return 1;
}
