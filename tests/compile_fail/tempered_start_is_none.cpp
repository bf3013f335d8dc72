// SPDX-License-Identifier: BSL-1.0
// expect: wgf::tempered: p_0 needs dim(), log_density(x) and gradient(x), such as wgf::Gaussian
#include <wgf/functional/tempered.hpp>
#include <wgf/measure/gaussian.hpp>
#include <wgf/measure/uniform_box.hpp>

int main() {
  const Eigen::Vector2d one(1, 1);
  (void)wgf::tempered(wgf::Gaussian::isotropic(2, 1), wgf::UniformBox(-one, one), {1}, 0.1);
}
