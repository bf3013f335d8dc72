// SPDX-License-Identifier: BSL-1.0
#pragma once
// Saved runs: a state that was started takes one up or refuses it, and can take a step either way.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/jko_solver.hpp>

#include "input.hpp"

namespace wgf::fuzz {

inline const Gaussian normal = Gaussian::isotropic(1, 1);
inline const RunOptions few{
    .steps = 2,
    .reports = 1,
    .training = {.iterations = 2, .dual_steps = 1, .batch = 4, .first_step = 1},
    .population = {.size = 4}};
inline auto residual() {
  return JkoSolver{kl(normal, Quadratic{}), ResidualMlp<16, 2>{}, Backward{},
                   EigenBackend<float>{.threads = 1}};
}
inline auto affine() {
  return JkoSolver{kl(normal, Quadratic{}), Affine{}, Backward{},
                   EigenBackend<double>{.threads = 1}};
}

template <class Solver>
void restore(const Solver& solver, const std::filesystem::path& path) {
  auto state = solver.start(normal, few);
  try {
    state.restore(path);
  } catch (const FileError&) {
  }
  state.save(folder() / "again");
  try {
    if (!state.finished()) solver.step(state);
  } catch (const StepError&) {  // numbers in the file may be as large as they like
  }
}
inline void feed(std::string_view input) {
  const auto path = file("input", sealed(std::string(input)));
  restore(residual(), path), restore(affine(), path);
}

template <class Solver>
std::string saved(const Solver& solver, int iterations) {
  auto state = solver.start(normal, few);
  struct Stop {
    int* left;
    void operator()(const Progress&) const {}
    bool after_iteration(const Run&) const { return --*left > 0; }
  };
  while (iterations > 0 && !state.finished() && solver.step(state, Stop{&iterations})) {
  }
  state.save(folder() / "seed");
  return test::read(folder() / "seed");
}
inline Seeds seeds() {
  Seeds all;
  for (const int iterations : {0, 1, 3}) {
    all.emplace_back("residual_" + std::to_string(iterations), saved(residual(), iterations));
    all.emplace_back("affine_" + std::to_string(iterations), saved(affine(), iterations));
  }
  return all;
}

}  // namespace wgf::fuzz
