// SPDX-License-Identifier: BSL-1.0
// expect: wgf::divergence_to: DonskerVaradhan fits KullbackLeibler only
#include <wgf/wgf.hpp>

auto functional = wgf::divergence_to(wgf::Particles(), wgf::JensenShannon{},
                                     wgf::Dual<wgf::Quadratic, wgf::DonskerVaradhan>{});
