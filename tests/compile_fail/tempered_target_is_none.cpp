// SPDX-License-Identifier: BSL-1.0
// expect: wgf::tempered: a target has dim(), log_density(x), and gradient(x) unless its log_density
// is a template over the scalar type
#include <wgf/functional/tempered.hpp>
#include <wgf/measure/gaussian.hpp>

struct Target {
  int dim() const { return 2; }
  double log_density(const Eigen::VectorXd& x) const { return -x.squaredNorm(); }
};
int main() { (void)wgf::tempered(Target{}, wgf::Gaussian::isotropic(2, 1), {1}, 0.1); }
