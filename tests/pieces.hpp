// SPDX-License-Identifier: BSL-1.0
#pragma once
// Runs in pieces, each resumed from the file of the previous one, compared with an uninterrupted
// run.
#include <wgf/solver/jko_solver.hpp>
#include <wgf/solver/observers.hpp>

#include <filesystem>
#include <functional>
#include <random>

#include "catch.hpp"
#include "folder.hpp"
#include "same_flow.hpp"

namespace wgf::test {

/// Saves and stops a run at an iteration of a step.
struct SaveAt {
  std::filesystem::path file;
  int steps_done, iteration;
  void operator()(const Progress&) const {}
  bool after_iteration(const Run& run) const {
    if (run.steps_done() != steps_done || run.iteration() != iteration) return true;
    run.save(file);
    return false;
  }
};
/// Saves and stops a run after a number of iterations, counted over steps.
struct SaveAndStop {
  std::filesystem::path file;
  long after;
  long seen = 0;
  bool operator()(const Progress&) { return seen < after; }
  bool after_iteration(const Run& run) {
    if (++seen < after) return true;
    run.save(file);
    return false;
  }
};

/// Runs in pieces: each is stopped after some iterations and resumed by a new solver, on a
/// different number of threads.
template <class MakeSolver, class Initial>
void check_pieces(MakeSolver make, const Initial& p0, const RunOptions& options, long seed) {
  const Folder folder("checkpoint");
  const auto file = folder / "run.ckpt";
  Recorder whole_told, told;
  const auto whole = make(1).run(p0, options, whole_told);
  std::mt19937 random(static_cast<unsigned>(seed));
  long total = 0;
  for (int k = 0; k < options.steps; ++k) total += options.training.iterations_of(k);
  int pieces = 0;
  const auto stop = [&] {
    return SaveAndStop{file, 1 + static_cast<long>(random() % static_cast<unsigned>(total / 3))};
  };
  auto first = stop();
  make(2).run(p0, options, first);
  for (bool done = false; !done; ++pieces) {
    REQUIRE(pieces < 60);
    auto solver = make(1 + pieces % 3);
    auto state = solver.start(p0, options);
    state.restore(file);
    auto next = stop();
    told.history.clear();
    Observers both{std::ref(told), std::ref(next)};
    while (!state.finished() && solver.step(state, both)) {
    }
    done = state.finished();
    if (done) {
      CHECK(same_flow(whole, state.flow()));
      REQUIRE(told.history.size() == whole_told.history.size());
      bool same = true;
      for (std::size_t i = 0; i < told.history.size(); ++i) {
        const Progress &a = told.history[i], &b = whole_told.history[i];
        same = same && a.step == b.step && a.iteration == b.iteration &&
               a.transport == b.transport && a.direct == b.direct && a.dual == b.dual &&
               a.done == b.done && a.time == b.time && a.error == b.error &&
               a.rejected == b.rejected;
      }
      CHECK(same);
    }
  }
  CHECK(pieces > 2);
}

}  // namespace wgf::test
