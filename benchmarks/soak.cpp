// SPDX-License-Identifier: BSL-1.0
// A long run: a thousand JKO steps of a small problem, in which nothing may wear out. Memory and
// speed must stay flat, threads and files must not pile up, and what is known of the run must hold
// in every step. Ends with status 1 and says so where something does not.
//
//     soak [steps, 1000 when left out]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <malloc.h>
#include <unistd.h>

#include <wgf/backend/eigen/backend.hpp>
#include <wgf/solver/checkpoint.hpp>
#include <wgf/solver/jko_solver.hpp>
#include <wgf/solver/observers.hpp>

namespace {

namespace fs = std::filesystem;
int broken = 0;
void check(bool good, const std::string& what) {
  if (good) return;
  ++broken;
  std::printf("BROKEN: %s\n", what.c_str());
}

double resident_megabytes() {
  malloc_trim(0);  // what was returned to the allocator is not held
  long pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return 1e-6 * static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}
long entries(const char* folder) { return std::distance(fs::directory_iterator(folder), {}); }
double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<long>(v.size()) / 2, v.end());
  return v[v.size() / 2];
}
std::string bytes_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace

int main(int argc, char** argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 1000;
  if (steps < 40) return std::fprintf(stderr, "soak: steps must be at least 40\n"), 2;
  const double a = 0.1;
  const auto target =
      wgf::Gaussian::isotropic(Eigen::VectorXd(Eigen::VectorXd::Constant(2, 1.0)), 0.5);
  const auto start = wgf::Gaussian::isotropic(2, 1.0);
  const wgf::RunOptions options{.steps = steps,
                                .reports = 1,
                                .training = {.iterations = 60, .batch = 250},
                                .population = {.size = 5000}};
  const auto make = [&](int threads) {
    return wgf::JkoSolver{wgf::kl(target, wgf::Quadratic{}), wgf::ResidualMlp<16, 2>{},
                          wgf::Backward{a},
                          wgf::EigenBackend<float>{.seed = 1, .threads = threads}};
  };
  const auto solver = make(2);
  const fs::path folder = fs::temp_directory_path() / ("wgf_soak_" + std::to_string(::getpid()));
  fs::create_directory(folder);

  auto run = solver.start(start, options);
  const wgf::Particles at_start = run.particles();
  wgf::Recorder recorder;
  std::vector<double> seconds, energy;
  double memory_early = 0, worst_mean = 0, worst_spread = 0;
  long threads_early = 0, files_early = 0;
  const int settled =
      std::max(30, steps / 10);  // by then the law is the target's, and memory has been taken
  for (int k = 1; k <= steps; ++k) {
    const auto begin = std::chrono::steady_clock::now();
    check(solver.step(run, recorder), "a step was stopped");
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    const std::string where = " in step " + std::to_string(k);

    const wgf::Particles x = run.particles();
    check(x.allFinite() && x.cols() == options.population.size, "particles are not finite" + where);
    check(run.flow().size() == k && std::abs(run.flow().time() - k * a) < 1e-9,
          "the clock is wrong" + where);
    const wgf::Progress& last = recorder.history.back();
    check(
        last.step == k && last.step_done && last.transport >= 0 && std::isfinite(last.functional()),
        "the report is wrong" + where);
    energy.push_back(last.functional());
    if (k >= 30) {
      const Eigen::VectorXd mean = x.rowwise().mean();
      const double spread =
          std::sqrt((x.colwise() - mean).squaredNorm() / static_cast<double>(2 * x.cols()));
      worst_mean = std::max(worst_mean, (mean - target.mean()).norm());
      worst_spread = std::max(worst_spread, std::abs(spread / 0.5 - 1));
    }
    if (k % std::max(20, steps / 20) == 0) {
      check(run.flow().push(at_start) == x,
            "the flow does not take the first particles to where they are" + where);
      // What is saved and restored is the run: saved again it gives the same file, and its next
      // step is the run's.
      run.save(folder / "run.ckpt");
      auto other = make(1).start(start, options);
      other.restore(folder / "run.ckpt");
      check(other.particles() == x && other.flow().size() == k,
            "a restored run is another" + where);
      wgf::save(run.flow(), folder / "flow.wgf");
      check(wgf::load<std::remove_const_t<decltype(solver)>::Flow>(folder / "flow.wgf")
                    .push(at_start) == x,
            "a loaded flow is another" + where);
      wgf::save(other.flow(), folder / "other.wgf");
      check(bytes_of(folder / "flow.wgf") == bytes_of(folder / "other.wgf"),
            "a restored run's flow is another" + where);
    }
    if (k == settled)
      memory_early = resident_megabytes(), threads_early = entries("/proc/self/task"),
      files_early = entries("/proc/self/fd");
  }
  // The energy falls until the target is reached, then hovers about its least value, −log Z: what a
  // batch can see of it.
  check(energy[0] > energy[9] && energy[9] > energy[19], "the energy does not fall at first");
  const std::vector<double> tail(energy.begin() + 30, energy.end());
  const double low = *std::min_element(tail.begin(), tail.end()),
               high = *std::max_element(tail.begin(), tail.end());

  const std::vector<double> early(seconds.begin() + settled - 10, seconds.begin() + settled + 10),
      late(seconds.end() - 20, seconds.end());
  const double memory_late = resident_megabytes();
  // What the run has to keep: a stage's numbers and frame, and two reports, each twice (the run's
  // own and the recorder's).
  const double kept =
      1e-6 * (steps - settled) * (1000 + 4.0 * static_cast<double>(sizeof(wgf::Progress)));
  const double grown = memory_late - memory_early;
  check(grown < kept + 2, "memory has grown by " + std::to_string(grown) +
                              " MB where the flow and the history take " + std::to_string(kept));
  check(entries("/proc/self/task") == threads_early, "threads have piled up");
  check(entries("/proc/self/fd") == files_early, "open files have piled up");
  check(worst_mean < 0.1, "the mean has left the target's, by " + std::to_string(worst_mean));
  check(worst_spread < 0.1,
        "the spread has left the target's, by a share of " + std::to_string(worst_spread));
  check(high - low < 0.5, "the energy has left its least value: it was between " +
                              std::to_string(low) + " and " + std::to_string(high));
  // A short run's figures are noise.
  if (steps >= 1000) check(median(late) < 1.5 * median(early), "steps have become slower");
  fs::remove_all(folder);

  std::printf(
      "{\"steps\": %d, \"ms_per_step_early\": %.3f, \"ms_per_step_late\": %.3f, "
      "\"late_over_early\": %.3f, \"memory_early_mb\": %.1f, "
      "\"memory_late_mb\": %.1f, \"kept_mb\": %.2f, \"worst_mean\": %.4f, \"worst_spread\": %.4f, "
      "\"energy_low\": %.4f, "
      "\"energy_high\": %.4f, \"broken\": %d}\n",
      steps, 1e3 * median(early), 1e3 * median(late), median(late) / median(early), memory_early,
      memory_late, kept, worst_mean, worst_spread, low, high, broken);
  return broken == 0 ? 0 : 1;
}
