// SPDX-License-Identifier: BSL-1.0
// expect: wgf::internal_energy: an energy density has a member
#include <wgf/functional/functional.hpp>

struct Energy {
  double energy(double p) const { return p * p; }
};
int main() { (void)wgf::internal_energy(Energy{}, wgf::LogDeterminant{}); }
