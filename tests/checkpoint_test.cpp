// SPDX-License-Identifier: BSL-1.0
// Runs that are saved and taken up again: the same flow, bit for bit, as that of a run which was
// never interrupted.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/scheme/adaptive.hpp>
#include <wgf/scheme/forward_backward.hpp>
#include <wgf/scheme/midpoint.hpp>
#include <wgf/solver/checkpoint.hpp>
#include <wgf/solver/jko_solver.hpp>
#include <wgf/solver/observers.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <random>
#include <string>

#include "catch.hpp"
#include "folder.hpp"
#include "pieces.hpp"
#include "same_flow.hpp"
#include "support.hpp"

using namespace wgf;
using Eigen::VectorXd;
using wgf::test::check_pieces, wgf::test::Folder, wgf::test::FullDisk, wgf::test::message_of,
    wgf::test::same_flow, wgf::test::SaveAndStop;

namespace {
const RunOptions small{.steps = 4,
                       .reports = 3,
                       .training = {.iterations = 25, .batch = 260, .first_step = 1.6},
                       .population = {.size = 1000}};
GaussianMixture target() {
  return {{0.4, 0.6},
          {Gaussian::isotropic(2, 1),
           Gaussian(VectorXd::Constant(2, 1.5), 0.5 * Eigen::MatrixXd::Identity(2, 2))}};
}
const Gaussian start = Gaussian::isotropic(2, 1.2);
}  // namespace

TEST_CASE("a run in pieces is the run: residual map, a dual network with dropout") {
  const auto make = [](int threads) {
    return JkoSolver{kl(target(), Mlp<16, 3>{.dropout = 0.2}), ResidualMlp<16, 3>{}, Backward{0.2},
                     EigenBackend<float>{.seed = 7, .threads = threads}};
  };
  check_pieces(make, start, small, 1);
  RunOptions options = small;
  options.population.refresh_every = 2, options.training.carry_dual = false,
  options.training.carry_optimiser = false, options.population.stratified = true,
  options.training.tail_average = 0;
  check_pieces(make, start, options, 2);
}

TEST_CASE("a run in pieces is the run: Gaussian flows, in double") {
  const auto make = [](int threads) {
    return JkoSolver{kl(Gaussian(VectorXd::Constant(2, 0.5), 0.7 * Eigen::MatrixXd::Identity(2, 2)),
                        Quadratic{}),
                     Affine{}, Midpoint{.step_size = 0.2},
                     EigenBackend<double>{.seed = 3, .threads = threads}};
  };
  RunOptions options = small;
  options.training.common_random_numbers = true;
  check_pieces(make, start, options, 3);
}

TEST_CASE("a run in pieces is the run: forward halves, sums of dual networks") {
  const auto make = [](int threads) {
    return JkoSolver{entropy(Quadratic{} + Mlp<16, 2>{}) + 0.5 * interaction(QuadraticKernel{}),
                     ResidualMlp<16, 2>{}, ForwardBackward{0.1},
                     EigenBackend<float>{.seed = 9, .threads = threads}};
  };
  check_pieces(make, start, small, 4);
}

TEST_CASE(
    "a run in pieces is the run: gradients of convex networks, a midpoint step that must be solved "
    "again") {
  const auto make = [](int threads) {
    // So narrow a target that the half step contracts by more than a half: the guard solves with
    // the whole step.
    return JkoSolver{
        kl(Gaussian(VectorXd::Zero(2), 0.01 * Eigen::MatrixXd::Identity(2, 2)), Quadratic{}),
        IcnnGradient<16, 2>{}, Midpoint{.step_size = 1},
        EigenBackend<float>{.seed = 9, .threads = threads}};
  };
  RunOptions options = small;
  options.steps = 3, options.training.iterations = 60;
  check_pieces(make, start, options, 5);
}

TEST_CASE("a run in pieces is the run: the step size follows a tolerance") {
  const auto make = [](int threads) {
    return JkoSolver{kl(Gaussian(VectorXd::Constant(2, 1.0), 0.5 * Eigen::MatrixXd::Identity(2, 2)),
                        Quadratic{}),
                     Affine{}, Adaptive{.step_size = 0.6, .tolerance = 0.05, .until = 1},
                     EigenBackend<double>{.seed = 3, .threads = threads}};
  };
  RunOptions options = small;
  options.steps = 20;
  check_pieces(make, start, options, 6);
}

TEST_CASE("a run in pieces is the run: steps that collapse and are rolled back") {
  const auto fall = [](double variance) {
    return kl(Gaussian(VectorXd::Zero(2), variance * Eigen::MatrixXd::Identity(2, 2)), Quadratic{});
  };
  RunOptions options{
      .steps = 3,
      .reports = 3,
      .training = {.iterations = 60, .batch = 260, .map_rate = 1e-2, .first_step = 1},
      .population = {.size = 1000}};
  const auto rolled_back = [&](const auto& solver) {
    Recorder told;
    solver.run(start, options, told);
    return told.history.back().rolled_back;
  };
  {
    const auto make = [&](int threads) {
      return JkoSolver{fall(0.04), ResidualMlp<16, 2>{}, Backward{0.5},
                       EigenBackend<float>{.seed = 7, .threads = threads}};
    };
    options.population.stratified = true,
    options.safeguards = {.retries = 6, .rate_factor = 0.2, .collapse = 0.75};
    CHECK(rolled_back(make(1)) > 0);
    check_pieces(make, start, options, 2);
  }
  {
    const auto make = [&](int threads) {
      return JkoSolver{fall(0.25), ResidualMlp<16, 2>{}, Midpoint{0.15},
                       EigenBackend<float>{.seed = 7, .threads = threads}};
    };
    options.population.stratified = false,
    options.safeguards = {.retries = 6, .rate_factor = 0.2, .collapse = 0.8};
    CHECK(rolled_back(make(1)) > 0);
    check_pieces(make, start, options, 2);
  }
}

TEST_CASE("a run whose figures are infinite is saved and taken up as well") {
  struct Disk {  // a log-density of −∞ beyond its edge, where the gradient leads back
    int dim() const { return 2; }
    double log_density(const VectorXd& x) const {
      return x.norm() > 2 ? -std::numeric_limits<double>::infinity() : 0.0;
    }
    VectorXd gradient(const VectorXd& x) const { return -0.1 * x; }
  };
  const Folder folder("checkpoint");
  const JkoSolver solver{potential(Disk{}), ResidualMlp<16, 2>{}, Forward{0.2},
                         EigenBackend<float>{.seed = 7, .threads = 1}};
  RunOptions two = small;
  two.steps = 2;
  Recorder told;
  Checkpoint checkpoint(folder / "end.ckpt");
  Observers both{std::ref(told), std::ref(checkpoint)};
  solver.run(start, two, both);
  REQUIRE(std::isinf(told.history.back().direct));
  CHECK(same_flow(solver.resume(folder / "end.ckpt", start, small), solver.run(start, small)));
}

TEST_CASE(
    "a run that continues a flow is saved and taken up as well, and a finished one can be given "
    "more steps") {
  const Folder folder("checkpoint");
  const auto make = [](int threads) {
    return JkoSolver{kl(target(), Mlp<16, 2>{}), ResidualMlp<16, 2>{}, Backward{0.2},
                     EigenBackend<float>{.seed = 7, .threads = threads}};
  };
  const auto solver = make(1);
  RunOptions two = small;
  two.steps = 2;
  const auto begun = solver.run(start, two);
  check_pieces(make, begun, small, 7);
  Checkpoint checkpoint(folder / "end.ckpt");
  solver.run(start, two, checkpoint);
  CHECK(same_flow(solver.resume(folder / "end.ckpt", start, small), solver.run(start, small)));
}

namespace {
auto plain(std::uint64_t seed = 7, double step_size = 0.2) {
  return JkoSolver{kl(target(), Mlp<16, 2>{}), ResidualMlp<16, 2>{}, Backward{step_size},
                   EigenBackend<float>{.seed = seed, .threads = 1}};
}
/// A run that was saved in the midst of its second step.
void save_second_step(const std::filesystem::path& file) {
  SaveAndStop stop{file, small.training.iterations_of(0) + 9};
  plain().run(start, small, stop);
}
}  // namespace

TEST_CASE(
    "a program that is killed at any moment leaves a checkpoint from which the same flow comes "
    "out") {
  const Folder folder("checkpoint");
  const auto file = folder / "run.ckpt", result = folder / "flow.wgf";
  const auto whole = plain().run(start, small);
  std::mt19937 random(11);
  int kills = 0, resumed = 0;
  // Each child resumes if it can, saves after every iteration, and is killed after some
  // milliseconds, unless it has come to the end.
  for (int child_number = 0; !std::filesystem::exists(result); ++child_number) {
    REQUIRE(child_number < 500);
    resumed += std::filesystem::exists(file);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        Checkpoint checkpoint(file, {.seconds = 0});
        const auto flow = std::filesystem::exists(file)
                              ? plain().resume(file, start, small, checkpoint)
                              : plain().run(start, small, checkpoint);
        save(flow, result);
        _exit(0);
      } catch (...) {
        _exit(1);
      }
    }
    // Time enough for some progress, whatever the machine: wait until a new checkpoint is there,
    // then a little longer.
    const auto made = [&] {
      std::error_code error;
      return std::filesystem::last_write_time(file, error).time_since_epoch().count();
    };
    const auto before = made();
    int status = 0;
    pid_t ended = 0;
    while ((ended = waitpid(child, &status, WNOHANG)) == 0 && made() == before) usleep(200);
    if (ended == 0) {
      usleep(random() % 30000);
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
    }
    if (WIFSIGNALED(status)) ++kills;
    else REQUIRE(WEXITSTATUS(status) == 0);
  }
  CHECK(kills >= 3);
  CHECK(resumed >= 3);
  CHECK(same_flow(load<decltype(whole)>(result), whole));
}

TEST_CASE("Ctrl-C: the run stops after the iteration, saved, and says how to continue") {
  const Folder folder("checkpoint");
  const auto file = folder / "run.ckpt";
  std::FILE* said = std::tmpfile();
  const auto whole = plain().run(start, small);
  {
    const InterruptGuard guard;
    Checkpoint checkpoint(
        file, {.seconds = 1e9, .how_to_resume = "moons --resume run.ckpt", .messages = said});
    long reports = 0;
    const auto interrupt = [&](const Progress&) {
      if (++reports == 5) std::raise(SIGINT);
    };
    Observers both{interrupt, std::ref(checkpoint)};
    CHECK_FALSE(interrupted());
    CHECK(plain().run(start, small, both).size() == 1);
    CHECK(interrupted());
    CHECK(std::signal(SIGINT, SIG_DFL) == SIG_DFL);  // a second one would end the program
  }
  std::string text(200, '\0');
  std::rewind(said);
  text.resize(std::fread(text.data(), 1, text.size(), said));
  std::fclose(said);
  CHECK(text ==
        "\ninterrupted in step 2, after iteration 18; to continue: moons --resume run.ckpt\n");
  InterruptGuard guard;
  CHECK_FALSE(interrupted());
  CHECK(same_flow(plain().resume(file, start, small), whole));
}

TEST_CASE("the newest checkpoint and the one before it are kept, and nothing else") {
  const Folder folder("checkpoint");
  Checkpoint checkpoint(folder / "run.ckpt", {.seconds = 0});
  const auto whole = plain().run(start, small, checkpoint);
  CHECK(folder.entries() == 2);
  CHECK(same_flow(plain().resume(folder / "run.ckpt", start, small), whole));  // the end
  auto before = plain().start(start, small);
  before.restore(folder / "run.ckpt.previous");  // one iteration before it
  CHECK(before.steps_done() == small.steps - 1);
  CHECK(before.iteration() == small.training.iterations - 1);
  CHECK(same_flow(plain().resume(folder / "run.ckpt.previous", start, small), whole));
}

TEST_CASE("a checkpoint that cannot be written: a sentence, the old one stays, the run goes on") {
  const Folder folder("checkpoint");
  CHECK(message_of<FileError>([&] { Checkpoint(folder / "none" / "run.ckpt"); }) ==
        "wgf::Checkpoint: cannot write " + (folder / "none" / "run.ckpt.probe").string() +
            ": No such file or directory");
  CHECK(message_of<FileError>([&] { Checkpoint{folder.path}; }) ==
        "wgf::Checkpoint: cannot write " + folder.path.string() + ": it is a folder");

  const auto file = folder / "run.ckpt";
  std::FILE* said = std::tmpfile();
  Checkpoint checkpoint(file, {.seconds = 0, .messages = said});
  save_second_step(file);
  const std::string old = wgf::test::read(file);
  std::string error;
  {
    const FullDisk full;
    REQUIRE(full.good());
    CHECK(plain().run(start, small, checkpoint).size() == small.steps);
    InterruptGuard guard;
    std::raise(SIGINT);
    error = message_of<FileError>([&] { plain().run(start, small, checkpoint); });
  }
  CHECK(error == "wgf::save: cannot write " + file.string() + ".new: File too large");
  CHECK(wgf::test::read(file) == old);
  CHECK(std::ftell(said) > 0);
  std::fclose(said);
  CHECK(folder.entries() == 1);
}

TEST_CASE("what a run cannot go on from: one sentence that says why") {
  const Folder folder("checkpoint");
  const auto file = folder / "run.ckpt";
  save_second_step(file);
  const auto why = [&](const auto& solver, const auto& p0, const RunOptions& options = small) {
    std::string text = message_of<FileError>([&] { solver.resume(file, p0, options); });
    const std::string begin = "wgf::JkoSolver::resume: " + file.string() + ": ";
    REQUIRE(text.find(begin) == 0);
    return text.substr(begin.size());
  };
  CHECK(why(plain(8), start) == "it was saved by a run with another seed: 7, this one has 8");
  CHECK(why(plain(7, 0.3), start) ==
        "it was saved by a run with another scheme: wgf::Backward of step size 0.2, this one has "
        "wgf::Backward of step size 0.3");
  RunOptions other = small;
  other.training.map_rate = 2e-3;
  CHECK(why(plain(), start, other) ==
        "it was saved by a run with another option training.map_rate: 0.001, this one has 0.002");
  CHECK(why(plain(), Gaussian::isotropic(2, 1))
            .find("it was saved by a run with another start (P_0, or the flow to continue): "
                  "checksum ") == 0);
  CHECK(why(JkoSolver{kl(target(), Mlp<16, 2>{}), ResidualMlp<16, 3>{}, Backward{0.2},
                      EigenBackend<float>{.seed = 7}},
            start) ==
        "it was saved by a run with another map: ResidualMlp<16, 2, PRelu>{input_scale = 1, affine "
        "= 0}, this "
        "one has "
        "ResidualMlp<16, 3, PRelu>{input_scale = 1, affine = 0}");
  CHECK(why(JkoSolver{kl(target(), Mlp<16, 2>{}), ResidualMlp<16, 2>{}, Backward{0.2},
                      EigenBackend<double>{.seed = 7}},
            start) ==
        "it was saved by a run with another backend: wgf::EigenBackend<float>, this one has "
        "wgf::EigenBackend<double>");
  CHECK(why(JkoSolver{kl(target(), Mlp<16, 3>{}), ResidualMlp<16, 2>{}, Backward{0.2},
                      EigenBackend<float>{.seed = 7}},
            start)
            .find("it was saved by a run with another functional: wgf::Functional<") == 0);

  CHECK(why(JkoSolver{kl(GaussianMixture({0.5, 0.5}, target().components()), Mlp<16, 2>{}),
                      ResidualMlp<16, 2>{}, Backward{0.2}, EigenBackend<float>{.seed = 7}},
            start)
            .find("it was saved by a run with another term 2: 1 with log-density -") == 0);
  CHECK(why(JkoSolver{kl(target(), Mlp<16, 2>{.dropout = 0.1}), ResidualMlp<16, 2>{}, Backward{0.2},
                      EigenBackend<float>{.seed = 7}},
            start) ==
        "it was saved by a run with another term 1: 1 with Mlp<16, 2, PRelu>{dropout = 0, "
        "input_scale = 1}, this one has 1 with "
        "Mlp<16, 2, PRelu>{dropout = 0.1, input_scale = 1}");

  {
    const auto adaptive = [](const Adaptive& scheme) {
      return JkoSolver{kl(target(), Mlp<16, 2>{}), ResidualMlp<16, 2>{}, scheme,
                       EigenBackend<float>{.seed = 7, .threads = 1}};
    };
    const auto saved = folder / "adaptive.ckpt";
    SaveAndStop stop{saved, 9};
    adaptive({.step_size = 0.2}).run(start, small, stop);
    const auto ends_with = [&](const Adaptive& scheme, const std::string& end) {
      return message_of<FileError>([&] { adaptive(scheme).resume(saved, start, small); })
          .ends_with(end);
    };
    CHECK(ends_with({.step_size = 0.2, .tolerance = 0.02},
                    "it was saved by a run with another tolerance: 0.01, this one has 0.02"));
    CHECK(ends_with({.step_size = 0.2, .min_step = 0.1},
                    "it was saved by a run with another min_step: 0, this one has 0.1"));
    CHECK(ends_with({.step_size = 0.2, .max_step = 0.3},
                    "it was saved by a run with another max_step: 0, this one has 0.3"));
    CHECK(ends_with({.step_size = 0.2, .extrapolate = true},
                    "it was saved by a run with another extrapolation: no, this one has yes"));
  }

  CHECK(why(plain(), start,
            {.steps = 0,
             .training = {.iterations = small.training.iterations,
                          .batch = small.training.batch,
                          .first_step = small.training.first_step},
             .population = {.size = small.population.size}}) ==
        "it has 1 steps, more than the 0 that are asked for");
  const std::string whole = wgf::test::read(file);
  std::string bytes = whole;
  bytes[8] = 9;
  wgf::test::write(file, bytes);
  CHECK(why(plain(), start) == "the file has version 9, this library reads version 3");
  for (std::size_t i = 0; i < whole.size(); i += 1 + whole.size() / 200) {
    bytes = whole, bytes[i] = static_cast<char>(bytes[i] ^ 0x10);
    wgf::test::write(file, bytes);
    CHECK_FALSE(why(plain(), start).empty());
    wgf::test::write(file, whole.substr(0, i));
    CHECK_FALSE(why(plain(), start).empty());
  }
  save(plain().run(start, {.steps = 0}), file);
  CHECK(why(plain(), start) == "this is not a file of a wgf run");
  std::filesystem::remove(file);
  CHECK(why(plain(), start) == "cannot be read: No such file or directory");
}
