// SPDX-License-Identifier: BSL-1.0
// expect: wgf::smc: the target needs dim(), log_density(x), and gradient(x) unless log_density is a
// template over the scalar type
#include <wgf/measure/gaussian.hpp>
#include <wgf/sampling/smc.hpp>

struct Target {
  int dim() const { return 2; }
  double log_density(const Eigen::VectorXd& x) const { return -x.squaredNorm(); }
};
int main() { (void)wgf::smc(Target{}, wgf::Gaussian::isotropic(2, 1)); }
