// SPDX-License-Identifier: BSL-1.0
// expect: wgf::smc: the start needs dim(), sample(n, seed), log_density(x), and gradient(x) unless
// log_density is a template over the scalar type
#include <wgf/measure/empirical.hpp>
#include <wgf/measure/gaussian.hpp>
#include <wgf/sampling/smc.hpp>

int main() {
  const wgf::Empirical start(wgf::Particles::Zero(2, 100));
  (void)wgf::smc(wgf::Gaussian::isotropic(2, 1), start);
}
