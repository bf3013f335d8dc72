// SPDX-License-Identifier: BSL-1.0
// expect: wgf::kl and wgf::potential: a target has dim(), log_density(x), and gradient(x) unless
#include <wgf/functional/functional.hpp>

struct Target {
  int dim() const { return 2; }
  double log_density(const Eigen::VectorXd& x) const { return -x.squaredNorm(); }
};
int main() { auto f = wgf::kl(Target{}); }
