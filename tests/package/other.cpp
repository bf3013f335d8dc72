// SPDX-License-Identifier: BSL-1.0
// The second translation unit of the consumer.
#include <wgf/wgf.hpp>

double distance_from_other() {
  const auto standard = wgf::Gaussian::isotropic(2, 1.0);
  return (standard.sample(10, 1) - standard.sample(10, 1)).norm();
}
