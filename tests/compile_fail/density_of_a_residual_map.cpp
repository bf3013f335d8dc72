// SPDX-License-Identifier: BSL-1.0
// expect: wgf::Flow::log_density: a residual map may not be invertible: use IcnnGradient or Affine
#include <wgf/wgf.hpp>

void density(const wgf::Flow<wgf::ResidualMlp<16, 2>, wgf::EigenBackend<float>>& flow) {
  flow.log_density(wgf::Particles());
}
