// SPDX-License-Identifier: BSL-1.0
// Samples a target of the sampling benchmarks in one call, and compares with its exact values.
#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <wgf/diagnostics/diagnose.hpp>
#include <wgf/exact/targets.hpp>
#include <wgf/metric/energy_distance.hpp>
#include <wgf/metric/mode_masses.hpp>
#include <wgf/sampling/smc.hpp>
#include <wgf/wgf.hpp>

#include "common/chance.hpp"
#include "common/data.hpp"
#include "common/kolmogorov.hpp"
#include "common/options.hpp"
#include "common/output.hpp"
#include "common/plot.hpp"
#include "common/report.hpp"
#include "common/sampling.hpp"
#include "common/training.hpp"

using Eigen::VectorXd;
using examples::CommonOptions, examples::Sampled;

namespace {

struct Options : CommonOptions {
  std::string target = "two_moons", method = "flow", data;
  double budget = 60;
  long samples = 10'000;
};

/// A target with its exact values.
struct Benchmark {
  examples::CountedTarget target{};
  std::function<wgf::Particles(long, std::uint64_t)> exact_samples{};  ///< empty: none are known
  std::optional<double> exact_log_evidence{};     ///< none for data of the user's
  std::optional<wgf::GaussianMixture> mixture{};  ///< if it is one
};
template <class T>
Benchmark benchmark(const T& target, std::optional<double> log_evidence) {
  Benchmark b{.target = examples::counted(target), .exact_log_evidence = log_evidence};
  if constexpr (requires { target.sample(1L, std::uint64_t{1}); })
    b.exact_samples = [target](long n, std::uint64_t seed) { return target.sample(n, seed); };
  if constexpr (std::same_as<T, wgf::GaussianMixture>) b.mixture = target;
  return b;
}
template <class T>
Benchmark benchmark(const T& target) {
  return benchmark(target, wgf::log_evidence(target));
}

const std::vector<std::string> names{
    "two_moons", "mixture8",    "mixture13",   "mixture64",   "mixture200",  "gmm10",
    "gmm20",     "gmm40",       "gmm40_50",    "gmm50",       "gmm100",      "funnel",
    "mustache",  "eight_modes", "eight_peaky", "many_well32", "many_well64", "sonar"};
Benchmark benchmark_of(const Options& options) {
  const std::string& name = options.target;
  if (name == "two_moons") return benchmark(wgf::two_moons());
  if (name == "mixture8") return benchmark(wgf::uniform_mixture(9, 8, 2, 1, 1));
  if (name == "mixture13") return benchmark(wgf::uniform_mixture(9, 13, 2, 1, 1));
  if (name == "mixture64") return benchmark(wgf::mixture64());
  if (name == "mixture200") return benchmark(wgf::uniform_mixture(10, 200, 2, 1, 1));
  if (name == "gmm10") return benchmark(wgf::concentrated_mixture(10));
  if (name == "gmm20") return benchmark(wgf::concentrated_mixture(20));
  if (name == "gmm40") return benchmark(wgf::gmm40());
  if (name == "gmm40_50") return benchmark(wgf::gmm40(50));
  if (name == "gmm50") return benchmark(wgf::concentrated_mixture(50));
  if (name == "gmm100") return benchmark(wgf::concentrated_mixture(100));
  if (name == "funnel") return benchmark(wgf::Funnel(10, 9));
  if (name == "mustache") return benchmark(wgf::Mustache());
  if (name == "eight_modes") return benchmark(wgf::eight_modes());
  if (name == "eight_peaky") return benchmark(wgf::eight_peaky_modes());
  if (name == "many_well32") return benchmark(wgf::ManyWell(16));
  if (name == "many_well64") return benchmark(wgf::ManyWell(32));
  const auto table =
      examples::read_csv(options.data.empty() ? examples::shipped_data("sonar", "sonar.csv")
                                              : std::filesystem::path(options.data));
  const Eigen::Index d = table.values.rows() - 1;
  const auto posterior = wgf::LogisticRegression::standardised(table.values.topRows(d).transpose(),
                                                               table.values.row(d).transpose());
  return benchmark(posterior,
                   options.data.empty() ? std::optional(wgf::sonar_log_evidence) : std::nullopt);
}

/// By dual networks as in the paper, from a Gaussian with the moments of a pilot run: 20 steps,
/// each of a tenth of its mean variance.
Sampled by_dual(const examples::CountedTarget& target, const Options& options,
                const examples::OutputFolder& out) {
  const wgf::Gaussian fit =
      wgf::Gaussian::fit(examples::run_smc(target, options, {.samples = 2000}).particles);
  const wgf::Gaussian start(fit.mean(), 1.4 * fit.covariance());
  const wgf::JkoSolver solver{
      wgf::kl(target, wgf::Dual<wgf::NetworkSum<wgf::Quadratic, wgf::Mlp<64, 4, wgf::Silu>>>{}),
      wgf::ResidualMlp<64, 4, wgf::Silu>{.affine = true},
      wgf::Backward{.step_size = 0.1 * fit.covariance().trace() / target.dimension},
      wgf::EigenBackend<float>{.seed = options.seed, .threads = options.threads}};
  wgf::Recorder recorder;
  const auto flow = solver.run(
      start,
      {.steps = 20,
       .training = {.iterations = 200, .batch = 1024, .dual_rate = 4e-3, .first_step = 4}},
      [&](const wgf::Progress& p) {
        if (!options.quiet) wgf::print_progress(p);
        recorder(p);
        return true;
      });
  wgf::save(flow, out.path("flow.wgf"));
  const auto diagnosis = wgf::diagnose(
      flow, target, {.samples = 4000, .seed = options.seed, .history = recorder.history});
  return {.draws = flow.sample(options.samples, examples::derived_seed(options, 0)),
          .verdict = diagnosis.overall,
          .path = target.dimension == 2
                      ? flow.trajectory(flow.draw_initial(4000, examples::derived_seed(options, 0)))
                      : std::vector<wgf::Particles>{},
          .has_density = false};
}

/// The funnel's first coordinate, whose exact law is N(0, 9).
void report_neck(examples::Summary& summary, Eigen::ArrayXd neck) {
  constexpr double sd = 3, quantile = 1.6448536269514722 * sd;  // of 95 %
  std::sort(neck.begin(), neck.end());
  const auto n = static_cast<double>(neck.size());
  const auto at = [&](double level) { return neck[static_cast<Eigen::Index>(level * n)]; };
  summary.metric("neck_sd", "spread of the funnel's neck",
                 std::sqrt((neck - neck.mean()).square().mean()), "3");
  summary.metric("neck_q05_off", "its 5 % quantile, less the exact one", at(0.05) + quantile, "0");
  summary.metric("neck_q95_off", "its 95 % quantile, less the exact one", at(0.95) - quantile, "0");
  summary.metric(
      "neck_ks", "its Kolmogorov-Smirnov distance",
      examples::kolmogorov(
          neck, [](double x) { return 0.5 * std::erfc(-x / (sd * std::numbers::sqrt2)); }),
      fmt::format("chance: {:.2g}", 0.8687 / std::sqrt(n)));
}
/// The masses of the right wells, one in each copy of many wells.
void report_wells(examples::Summary& summary, const wgf::Particles& x) {
  const double exact = wgf::ManyWell(1).right_share();
  double largest = 0, mean = 0;
  const Eigen::Index copies = x.rows() / 2;
  for (Eigen::Index i = 0; i < copies; ++i) {
    const double share = (x.row(2 * i).array() > 0).cast<double>().mean();
    largest = std::max(largest, std::abs(share - exact));
    mean += share / static_cast<double>(copies);
  }
  const double chance = std::sqrt(exact * (1 - exact) / static_cast<double>(x.cols()));
  summary.metric("well_share", "mass of the right wells, on average", mean,
                 fmt::format("{:.4f}", exact));
  summary.metric(
      "well_share_off", "the largest error of such a mass", largest,
      fmt::format("chance: {:.2g}", chance * std::sqrt(2 * std::log(static_cast<double>(copies)))));
}

void run(const Options& options) {
  examples::Report report("sample", options);
  report.setting("target", options.target);
  report.setting("method", options.method);
  report.setting("budget", options.budget);
  report.setting("samples", options.samples);
  examples::OutputFolder out(options.out);
  const Benchmark benchmark = benchmark_of(options);
  const examples::CountedTarget& target = benchmark.target;
  const examples::SamplingOptions sampling{.samples = options.samples, .budget = options.budget};

  const double cpu_before = examples::cpu_seconds();
  const Sampled result = report.timed("sampling", [&] {
    return options.method == "smc" ? examples::sample_by_smc(target, options, sampling)
           : options.method == "dual"
               ? by_dual(target, options, out)
               : examples::sample_by_flow(target, options, sampling, report, out);
  });
  report.metric("cpu_seconds", examples::cpu_seconds() - cpu_before);
  report.metric("seconds", report.seconds("sampling"));
  report.metric("target_evaluations", static_cast<double>(target.evaluations->load()));

  examples::Summary summary(report);
  report.timed("metrics", [&] {
    examples::put_evidence(result, benchmark.exact_log_evidence, report, summary);
    if (benchmark.exact_samples) {
      const auto exact = [&](int use) {
        return benchmark.exact_samples(options.samples, examples::derived_seed(options, use));
      };
      const double chance = examples::energy_distance_chance(exact);
      summary.metric("energy_distance", "energy distance to exact samples",
                     wgf::energy_distance(result.draws, exact(1)),
                     fmt::format("chance: {:.2g}", chance));
      report.metric("energy_distance_chance", chance);
      if (options.target == "funnel") report_neck(summary, result.draws.row(0).transpose());
      if (options.target.starts_with("many_well")) report_wells(summary, result.draws);
    }
    if (benchmark.mixture) {
      const std::vector<double>& of_modes = benchmark.mixture->weights();
      const VectorXd weights =
          Eigen::Map<const VectorXd>(of_modes.data(), static_cast<Eigen::Index>(of_modes.size()));
      const double chance = examples::mode_tv_chance(static_cast<double>(of_modes.size()),
                                                     static_cast<double>(result.draws.cols()));
      summary.metric(
          "mode_tv", "total variation of the modes' masses",
          wgf::total_variation(wgf::mode_masses(result.draws, *benchmark.mixture), weights),
          "chance: " + fmt::format("{:.2g}", chance));
      report.metric("mode_tv_chance", chance);
    }
  });
  report.details("verdict", result.verdict);

  wgf::write_npy(out.path("samples.npy"), result.draws);
  const bool picture = !result.path.empty() && report.timed("picture", [&] {
    std::vector<examples::ScatterPanel> panels;
    for (const int k : examples::steps_to_draw(static_cast<int>(result.path.size()) - 1))
      panels.push_back({k == 0 ? "start" : fmt::format("after step {}", k),
                        {{result.path[static_cast<std::size_t>(k)]}}});
    const auto exact = benchmark.exact_samples(4000, examples::derived_seed(options, 3));
    panels.push_back({"exact", {{exact, examples::colour::target}}});
    // The window is the target's: the start is much wider.
    const Eigen::Vector2d lower = exact.rowwise().minCoeff(), upper = exact.rowwise().maxCoeff();
    examples::ScatterStyle style;
    style.lower = lower - 0.3 * (upper - lower), style.upper = upper + 0.3 * (upper - lower);
    style.log_density = [&](const Eigen::Vector2d& x) { return target.log_density(x); };
    style.title = options.target + ": the flow to the target";
    std::replace(style.title.begin(), style.title.end(), '_', ' ');
    style.max_columns = 3;
    return examples::draw_scatter(out.path("picture.png"), panels, style);
  });
  const std::string way = options.method == "smc"    ? "sequential Monte Carlo"
                          : options.method == "dual" ? "the dual"
                                                     : "a corrected flow";
  summary.print(
      fmt::format("{} by {}, d = {}: {}", options.target, way, target.dimension, result.verdict));
  examples::publish(out, report, picture, {},
                    options.method == "smc" ? "samples.npy" : "samples.npy, flow.wgf");
}

}  // namespace

int main(int argc, char** argv) {
  examples::CommandLine line(
      "Samples a target of the sampling benchmarks, by a corrected Wasserstein gradient flow in "
      "one "
      "call, by sequential Monte Carlo or by the dual networks of the paper.",
      "sample");
  Options options;
  options.out = "out/sample";
  examples::add_basic_options(line, options);
  line.add("--target", &options.target, "the target").one_of(names);
  line.add("--method", &options.method,
           "flow: wgf::sample; smc: wgf::smc; dual: the paper's dual networks, in 20 steps")
      .one_of({"flow", "smc", "dual"});
  line.add("--budget", &options.budget, "seconds after which the flow begins no further step")
      .positive();
  line.add("--samples", &options.samples, "number of samples to draw, evaluate and write")
      .at_least(100);
  line.add("--data", &options.data, "CSV file in place of sonar's").type_name("FILE");
  return examples::run_main(line, options, argc, argv, [&] { run(options); });
}
