// SPDX-License-Identifier: BSL-1.0
// Heat: the flow of the entropy from a Gaussian, compared with the exact JKO iterates. The entropy
// is evaluated by change of variables or by the paper's dual networks.
#include <cmath>
#include <numbers>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <wgf/exact/aggregation.hpp>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
#include <wgf/wgf.hpp>

#include "common/backend.hpp"
#include "common/options.hpp"
#include "common/output.hpp"
#include "common/plot.hpp"
#include "common/report.hpp"
#include "common/training.hpp"

using Eigen::VectorXd;
using examples::CommonOptions, examples::Training;

namespace {

// ---- a preset for each map and method ----
// Batches of more than 2d points have the moments of their law, so that the training has no noise.
struct AffineByLogDeterminant {
  static auto map() { return wgf::Affine{}; }
  static auto form() { return wgf::LogDeterminant{}; }
  static Training training() {
    return {.run = {.steps = 25,
                    .training = {.iterations = 300,
                                 .batch = 200,
                                 .map_rate = 1e-2,
                                 .final_rate_fraction = 1e-4,
                                 .tail_average = 0}},
            .step_size = 0.02,
            .dropout = 0};
  }
};
struct IcnnByLogDeterminant {
  static auto map() { return wgf::IcnnGradient<32, 2>{}; }
  static auto form() { return wgf::LogDeterminant{}; }
  static Training training() {
    return {.run = {.steps = 25,
                    .training = {.iterations = 200,
                                 .batch = 500,
                                 .map_rate = 1e-2,
                                 .final_rate_fraction = 0.01},
                    .population = {.size = 20'000,
                                   .points = wgf::PointSet::quasi_random,
                                   .stratified = true}},
            .step_size = 0.02,
            .dropout = 0};
  }
};
struct Affine {  // the networks contain the solution; common random numbers
  static auto map() { return wgf::Affine{}; }
  static auto form() { return wgf::Dual<wgf::Quadratic>{}; }
  static Training training() {
    return {.run = {.steps = 25,
                    .training = {.iterations = 500,
                                 .batch = 1000,
                                 .map_rate = 2e-3,
                                 .dual_rate = 2e-3,
                                 .first_step = 4,
                                 .common_random_numbers = true}},
            .step_size = 0.02,
            .dropout = 0};
  }
};
struct Icnn {
  static auto map() { return wgf::IcnnGradient<32, 2>{}; }
  static auto form() { return examples::dual_of(wgf::Quadratic{} + wgf::Mlp<32, 3, wgf::Silu>{}); }
  static Training training() {
    return {.run = {.steps = 25,
                    .training = {.iterations = 300,
                                 .batch = 1000,
                                 .map_rate = 2e-3,
                                 .dual_rate = 2e-3,
                                 .first_step = 4},
                    .population = {.size = 400'000}},
            .step_size = 0.02,
            .dropout = 0};
  }
};

struct Options : CommonOptions {
  std::string map = "affine", method = "log_determinant";
  Training training;
  int dim = 2;
  long samples = 10'000;
};

/// N(b, Σ), b ~ N(0, I), Σ with eigenvalues between ½ and 1 in a random basis.
wgf::Gaussian random_gaussian(int dim, std::uint64_t seed) {
  return wgf::OrnsteinUhlenbeck::random(dim, seed).target();
}

/// Samples with exactly the mean and covariance of p, so that sampling noise hardly affects the
/// moments of their images under nearly affine maps.
wgf::Particles balanced_sample(const wgf::Gaussian& p, long n, std::uint64_t seed) {
  const wgf::Particles x = p.sample(n, seed);
  const auto moments = wgf::Gaussian::fit(x);
  const wgf::Particles standard =
      moments.factor().triangularView<Eigen::Lower>().solve(x.colwise() - moments.mean());
  return (p.factor() * standard).colwise() + p.mean();
}

/// The ellipse of points at two standard deviations from the mean, in the first two coordinates (a
/// segment in one dimension).
examples::Curve ellipse(const wgf::Gaussian& p, std::string label, std::string colour,
                        bool dashed) {
  const int n = 97, other = p.dim() > 1 ? 1 : 0;
  examples::Curve curve{std::move(label),  VectorXd(n), VectorXd(n),
                        std::move(colour), false,       dashed};
  const auto& l = p.factor();
  for (int i = 0; i < n; ++i) {
    const double angle = 2 * std::numbers::pi * i / (n - 1), c = 2 * std::cos(angle),
                 s = 2 * std::sin(angle);
    curve.x[i] = p.mean()[0] + l(0, 0) * c;
    curve.y[i] = p.mean()[other] + l(other, 0) * c + (other ? l(1, 1) * s : 0);
  }
  return curve;
}

double covariance_error(const wgf::Gaussian& p, const wgf::Gaussian& exact) {
  return (p.covariance() - exact.covariance()).norm() / exact.covariance().norm();
}

/// \param laws P_0, …, P_K \param iterates the exact JKO iterates \param solutions of the equation
bool draw(const std::filesystem::path& file, const std::vector<wgf::Gaussian>& laws,
          const std::vector<wgf::Gaussian>& iterates, const std::vector<wgf::Gaussian>& solutions,
          double step_size) {
  const int steps = static_cast<int>(laws.size()) - 1;
  examples::CurvePanel cloud{
      "two standard deviations, first two coordinates", "", "", {}, false, false, true};
  for (const int k : {0, (steps + 1) / 2, steps}) {
    const auto i = static_cast<std::size_t>(k);
    const char* colour = k == steps ? examples::colour::ours
                         : k == 0   ? examples::colour::quiet
                                    : examples::colour::third;
    cloud.curves.push_back(
        ellipse(laws[i], fmt::format("flow, t = {:.2g}", k * step_size), colour, false));
    cloud.curves.push_back(
        ellipse(solutions[i], k == steps ? "heat equation" : "", "#20242A", true));
  }
  examples::CurvePanel errors{"relative error of the covariance", "time", "", {}, false, true};
  const auto over_time = [&](std::string label, const auto& p, const auto& q, const char* colour,
                             bool dashed) {
    examples::Curve curve{std::move(label), VectorXd(steps), VectorXd(steps),
                          colour,           false,           dashed};
    for (int k = 1; k <= steps; ++k) {
      const auto i = static_cast<std::size_t>(k);
      curve.x[k - 1] = k * step_size,
                  curve.y[k - 1] = std::max(covariance_error(p[i], q[i]), 1e-16);
    }
    errors.curves.push_back(std::move(curve));
  };
  over_time("flow to the heat equation", laws, solutions, examples::colour::target, false);
  over_time("exact iterate to the heat equation", iterates, solutions, examples::colour::quiet,
            true);
  over_time("flow to the exact iterate", laws, iterates, examples::colour::ours, false);
  return examples::draw_curves(
      file, {cloud, errors},
      fmt::format("Heat equation in {} dimensions, a = {}", laws.front().dim(), step_size));
}

template <class Preset>
void run(const Options& options) {
  Training training = options.training;
  training.run.steps = options.steps;
  const int steps = options.steps;
  const double a = training.step_size;
  examples::Report report("heat", options);
  report.setting("method", options.method);
  examples::report_training(report, options.map, training);
  report.setting("dim", options.dim);
  report.setting("samples", options.samples);
  report.setting("map", wgf::describe(Preset::map()));
  if constexpr (!std::is_same_v<decltype(Preset::form()), wgf::LogDeterminant>)
    report.setting("dual", examples::describe_dual(Preset::form()));
  examples::OutputFolder out(options.out);

  const auto start = random_gaussian(options.dim, options.seed);
  const wgf::JkoSolver solver{wgf::entropy(Preset::form()), Preset::map(),
                              wgf::Backward{.step_size = a}, examples::backend(options)};
  const auto flow = examples::train(solver, start, training.run, options, report).flow;

  constexpr bool affine = wgf::AffineSpecification<decltype(Preset::map())>;
  std::vector<wgf::Gaussian> laws, iterates, solutions;
  report.timed("metrics", [&] {
    if constexpr (!affine)
      for (const auto& x :
           flow.trajectory(balanced_sample(start, 100'000, examples::derived_seed(options, 1))))
        laws.push_back(wgf::Gaussian::fit(x));
    for (int k = 0; k <= steps; ++k) {
      if constexpr (affine) laws.push_back(flow.gaussian(k));
      iterates.push_back(wgf::Heat{}.jko(start, k, a)),
          solutions.push_back(wgf::Heat{}.at(start, k * a));
    }
  });
  const auto &p = laws.back(), &iterate = iterates.back(), &solution = solutions.back();

  examples::Summary summary(report);
  summary.metric(
      "mean_error", "error of the mean, in standard deviations",
      (p.mean() - solution.mean()).norm() / std::sqrt(solution.covariance().trace() / options.dim),
      "exact: 0");
  summary.metric("covariance_error", "relative error of the covariance",
                 covariance_error(p, iterate), "to the exact iterate; exact: 0");
  summary.metric("covariance_error_pde", "... to the heat equation", covariance_error(p, solution),
                 fmt::format("exact iterate: {:.2g}", covariance_error(iterate, solution)));
  summary.metric("sym_kl_jko", "SymKL to the exact iterate", wgf::sym_kl(p, iterate),
                 affine ? "training error; exact: 0" : "of the Gaussian with the same moments");
  summary.metric("sym_kl_pde", "SymKL to the heat equation", wgf::sym_kl(p, solution),
                 fmt::format("exact iterate: {:.2g}", wgf::sym_kl(iterate, solution)));
  const auto samples = flow.sample(options.samples, examples::derived_seed(options, 0));
  if constexpr (!affine) {  // log P_K by the change of variables, at samples of the exact iterate
    const auto x = iterate.sample(2000, examples::derived_seed(options, 2));
    VectorXd difference =
        report.timed("log_density", [&]() -> VectorXd { return flow.log_density(x); });
    for (Eigen::Index i = 0; i < x.cols(); ++i) difference[i] -= iterate.log_density(x.col(i));
    summary.metric("log_density_error", "rms error of the log-density under the exact iterate",
                   std::sqrt(difference.array().square().mean()), "exact: 0");
  }
  summary.training_seconds();

  wgf::write_npy(out.path("samples.npy"), samples);
  wgf::save(flow, out.path("flow.wgf"));
  const bool picture = report.timed(
      "picture", [&] { return draw(out.path("picture.png"), laws, iterates, solutions, a); });
  summary.print(
      fmt::format("heat in {} dimensions at t = {:.3g}, {} steps", options.dim, a * steps, steps));
  examples::publish(out, report, picture);
}

}  // namespace

int main(int argc, char** argv) {
  examples::CommandLine line(
      "Solves the heat equation from a random Gaussian and compares with the exact solution and "
      "the "
      "exact JKO iterates.",
      "heat");
  Options options;
  options.out = "out/heat";
  const examples::Presets by_dual{{"affine", Affine::training()}, {"icnn", Icnn::training()}},
      by_log_determinant{{"affine", AffineByLogDeterminant::training()},
                         {"icnn", IcnnByLogDeterminant::training()}};
  examples::add_presets(
      line, options, by_log_determinant, options.map, options.training, "--map",
      "transport map: affine, or icnn (the gradient of a convex network); selects a preset");
  examples::add_method(line, options.method).each([&](const std::string& method) {
    if (method == "dual") options.training = by_dual.at(options.map);
  });
  examples::add_common_options(line, options);
  line.add("--dim", &options.dim, "dimension").at_least(1);
  line.add("--samples", &options.samples, "number of samples to write").at_least(1);
  examples::add_training_options(line, options.training);
  return examples::run_main(line, options, argc, argv, [&] {
    const bool icnn = options.map == "icnn";
    if (options.method == "dual") return icnn ? run<Icnn>(options) : run<Affine>(options);
    return icnn ? run<IcnnByLogDeterminant>(options) : run<AffineByLogDeterminant>(options);
  });
}
