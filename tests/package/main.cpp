// SPDX-License-Identifier: BSL-1.0
// Uses the library through its umbrella header in two translation units: a function that is not
// inline would not link.
#include <iostream>
#include <wgf/wgf.hpp>

double distance_from_other();

int main() {
  const auto particles = wgf::Gaussian::isotropic(2, 1.0).sample(100, 1);
  const bool right =
      particles.rows() == 2 && particles.cols() == 100 && distance_from_other() == 0.0;
  std::cout << (right ? "wgf is usable\n" : "wrong result\n");
  return right ? 0 : 1;
}
