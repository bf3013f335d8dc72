// SPDX-License-Identifier: BSL-1.0
#pragma once
// Particles on the host: the form in which samples enter and leave the library.
#include <Eigen/Core>

namespace wgf {

/// n particles in d dimensions: a d × n matrix of doubles, one column per particle. Backends
/// convert it to their own storage and precision.
using Particles = Eigen::MatrixXd;

}  // namespace wgf
