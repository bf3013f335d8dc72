// SPDX-License-Identifier: BSL-1.0
#pragma once
// The targets that samplers are compared on, with their exact values. Each has dim(),
// log_density(x) and gradient(x); log_evidence(target) is log ∫ q; sample(n, seed) draws exact
// samples, a d × n function of the seed; modes (d × K) and weights() where they exist.
//
//   target                       d         log Z       samples  modes
//   two_moons()                  2         0           yes      16
//   mixture64()                  64        0           yes      10
//   concentrated_mixture(dim)    any       0           yes      10
//   gmm40(dim)                   2, any    0           yes      40
//   eight_modes(), …peaky…       2         0           yes      8
//   Funnel, Mustache             10, 2     0           yes      1
//   StudentMixture::uniform()    50, any   0           yes      10
//   ManyWell(copies)             2·copies  quadrature  yes      2^copies
//   DoubleWell(dim, wells, δ)    5, any    quadrature  yes      2^wells
//   LogisticRegression           any       Sonar's     no       1
//
// The mixtures are GaussianMixture, whose modes are modes(mixture).
#include "targets/curved.hpp"
#include "targets/logistic_regression.hpp"
#include "targets/mixtures.hpp"
#include "targets/student_mixture.hpp"
#include "targets/wells.hpp"
