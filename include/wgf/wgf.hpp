// SPDX-License-Identifier: BSL-1.0
#pragma once
// Includes what most programs use. Left out, because every file that included them would pay for
// their compilation: the diagnostics (diagnostics/diagnose.hpp), the exact solutions in exact/
// other than Langevin dynamics, and the backends other than EigenBackend.
#if __cplusplus < 202002L
#error "wgf needs C++20: compile with -std=c++20"
#endif

#include "backend/eigen/backend.hpp"
#include "concepts.hpp"
#include "exact/langevin.hpp"
#include "flow/file.hpp"
#include "flow/flow.hpp"
#include "functional/functional.hpp"
#include "functional/tempered.hpp"
#include "io/npy.hpp"
#include "measure/barenblatt.hpp"
#include "measure/empirical.hpp"
#include "measure/gaussian.hpp"
#include "measure/gaussian_mixture.hpp"
#include "measure/uniform_box.hpp"
#include "metric/energy_distance.hpp"
#include "metric/mmd.hpp"
#include "metric/mode_masses.hpp"
#include "metric/sliced_wasserstein.hpp"
#include "metric/sym_kl.hpp"
#include "network/icnn.hpp"
#include "network/network.hpp"
#include "scheme/adaptive.hpp"
#include "scheme/backward.hpp"
#include "scheme/bdf2.hpp"
#include "scheme/corrected.hpp"
#include "scheme/forward_backward.hpp"
#include "scheme/midpoint.hpp"
#include "scheme/reweighted.hpp"
#include "solver/checkpoint.hpp"
#include "solver/jko_solver.hpp"
#include "solver/observers.hpp"
#include "training/momentum.hpp"
