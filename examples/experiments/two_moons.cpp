// SPDX-License-Identifier: BSL-1.0
// Two moons: samples a mixture of 16 Gaussians in the plane (section 4.1), by a corrected flow or
// by the paper's dual networks.
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <wgf/wgf.hpp>

#include "common/backend.hpp"
#include "common/chance.hpp"
#include "common/mixtures.hpp"
#include "common/options.hpp"
#include "common/output.hpp"
#include "common/plot.hpp"
#include "common/report.hpp"
#include "common/training.hpp"

using examples::CommonOptions, examples::Training;

namespace {

// ---- the methods: networks and training ----

/// The entropy by change of variables: a few maps, each followed by rejections.
struct ByFlow {
  static auto map() { return wgf::ResidualMlp<32, 4, wgf::Silu>{}; }
  static Training training() {
    return {.run = {.steps = 11,
                    .training = {.iterations = 200,
                                 .batch = 500,
                                 .map_rate = 1e-2,
                                 .final_rate_fraction = 0.02,
                                 .first_step = 2},
                    .population = {.size = 40'000, .points = wgf::PointSet::quasi_random}},
            .step_size = 0.05,  // the maps leave the tails wide, and so the weights bounded
            .dropout = 0};
  }
};
struct Ours {
  static auto map() { return wgf::ResidualMlp<64, 4, wgf::Silu>{.input_scale = 3}; }
  static auto dual(double dropout) {
    return examples::dual_of(wgf::Quadratic{} +
                             wgf::Mlp<64, 4, wgf::Silu>{.dropout = dropout, .input_scale = 3});
  }
  static Training training() {
    return {.run = {.steps = 20,
                    .training = {.iterations = 200,
                                 .batch = 1024,
                                 .map_rate = 1e-3,
                                 .dual_rate = 4e-3,
                                 .first_step = 4,
                                 .whiten = false}},
            .step_size = 0.3,
            .dropout = 0};
  }
};
struct Paper {  // appendix D
  static auto map() { return wgf::ResidualMlp<16, 5>{}; }
  static auto dual(double dropout) {
    return examples::dual_of<wgf::VariationalBound>(wgf::Mlp<16, 6>{.dropout = dropout});
  }
  static Training training() {
    return {.run = {.steps = 10,
                    .training = {.iterations = 600,
                                 .dual_steps = 6,
                                 .batch = 100,
                                 .final_rate_fraction = 1,
                                 .tail_average = 0,
                                 .first_step = 1,
                                 .whiten = false}},
            .step_size = 0.3,
            .dropout = 0.1};
  }
};

// The map is the gradient of a convex network (appendix C.1, figure 6).
struct OursIcnn : Ours {
  static constexpr double map_rate = 4e-3;
  static auto map() { return wgf::IcnnGradient<64, 2>{.input_scale = 6}; }
};
struct PaperIcnn : Paper {
  static auto map() { return wgf::IcnnGradient<16, 4>{}; }
};

/// The particles at five times, the first of them the start, next to samples of the target.
bool draw(const std::filesystem::path& file, const wgf::GaussianMixture& target,
          const std::vector<wgf::Particles>& path, const wgf::Particles& target_samples,
          const std::function<std::string(int)>& title_of) {
  std::vector<examples::ScatterPanel> panels;
  for (const int k : examples::steps_to_draw(static_cast<int>(path.size()) - 1))
    panels.push_back({title_of(k), {{path[static_cast<std::size_t>(k)]}}});
  panels.push_back({"target", {{target_samples, examples::colour::target}}});
  examples::ScatterStyle style;
  style.title = "Two moons: the flow from N(0, 2.25 I) to the target";
  style.log_density = [&](const Eigen::Vector2d& x) { return target.log_density(x); };
  style.lower = Eigen::Vector2d(-4.2, -3.2), style.upper = Eigen::Vector2d(4.2, 3.2);
  style.max_columns = 3;
  return examples::draw_scatter(file, panels, style);
}

struct Options : CommonOptions {
  std::string method, preset, map = "residual";
  Training training;
  long samples = 4000;
  int maps = 2, rejections = 1;  // of the flow
};

const wgf::Gaussian initial = wgf::Gaussian::isotropic(2, 1.5);

/// Distances of samples to the target, each beside its chance level.
void compare(examples::Summary& summary, const Options& options, const wgf::Particles& x) {
  const auto target = examples::two_moons();
  const auto exact = [&](int use) {
    return target.sample(options.samples, examples::derived_seed(options, use));
  };
  const auto y = exact(1), z = exact(2);
  const auto quoted = [](double chance) { return fmt::format("chance: {:.2g}", chance); };
  const double chance = examples::energy_distance_chance(exact);
  summary.metric("energy_distance", "energy distance to the target", wgf::energy_distance(x, y),
                 quoted(chance));
  summary.metric("energy_distance_chance", "... between exact samples, root mean square", chance);
  summary.metric("sliced_w2", "sliced W2 to the target", wgf::sliced_wasserstein(x, y),
                 quoted(wgf::sliced_wasserstein(y, z)));
  const Eigen::VectorXd masses = wgf::mode_masses(x, target);
  const Eigen::VectorXd exact_masses = Eigen::VectorXd::Constant(16, 1.0 / 16);
  const double mass_chance = examples::mode_tv_chance(16, options.samples);
  summary.metric("mode_tv", "total variation of the modes' masses",
                 wgf::total_variation(masses, exact_masses), quoted(mass_chance));
  summary.metric("mode_tv_chance", "... of exact samples, expected", mass_chance);
  summary.metric("modes_found", "modes with at least 3 % of the mass",
                 static_cast<double>((masses.array() >= 0.03).count()), "16");
  summary.metric("mode_mass_min", "smallest mass of a mode", masses.minCoeff(), "0.0625");
  summary.metric("mode_mass_max", "largest mass of a mode", masses.maxCoeff(), "0.0625");
}

/// A run: what all methods report first and write last.
struct Run {
  const Options& options;
  Training training = options.training;
  examples::Report report{"two_moons", options};
  examples::OutputFolder out{options.out};
  wgf::GaussianMixture target = examples::two_moons();

  template <class Map>
  Run(const Options& given, const Map& map) : options(given) {
    training.run.steps = options.steps;
    report.setting("method", options.method);
    examples::report_training(report, options.preset, training);
    report.setting("samples", options.samples);
    report.setting("map", wgf::describe(map));
  }
  /// \param path the particles after each step \param title_of the title of a step's panel
  template <class Flow>
  void write(const Flow& flow, const std::vector<wgf::Particles>& path,
             const examples::Summary& summary, const std::string& title,
             const std::function<std::string(int)>& title_of) {
    wgf::write_npy(out.path("samples.npy"), path.back());
    wgf::save(flow, out.path("flow.wgf"));
    const bool picture = report.timed("picture", [&] {
      return draw(out.path("picture.png"), target, path,
                  target.sample(options.samples, examples::derived_seed(options, 1)), title_of);
    });
    summary.print(title);
    examples::publish(out, report, picture);
  }
};

/// By the dual network, on either map.
template <class Preset>
void run_dual(const Options& options) {
  const auto map = Preset::map();
  Run run(options, map);
  const auto dual = Preset::dual(run.training.dropout);
  run.report.setting("dual", examples::describe_dual(dual));
  const wgf::JkoSolver solver{wgf::kl(run.target, dual), map,
                              wgf::Backward{.step_size = run.training.step_size},
                              examples::backend(options)};
  const auto trained = examples::train(solver, initial, run.training.run, options, run.report);
  const auto& flow = trained.flow;

  const auto start = flow.draw_initial(options.samples, examples::derived_seed(options, 0));
  const auto path = flow.trajectory(start);
  examples::Summary summary(run.report);
  run.report.timed("metrics", [&] {
    compare(summary, options, path.back());
    if constexpr (wgf::GradientMapSpecification<decltype(Preset::map())>) {  // invertible: the flow
                                                                             // has a density
      const auto [y_k, log_p] = flow.push_with_log_density(start, flow.initial_log_density(start));
      double sum = 0;
      for (long i = 0; i < options.samples; ++i)
        sum += log_p[i] - run.target.log_density(y_k.col(i));
      summary.metric("kl", "KL divergence to the target",
                     sum / static_cast<double>(options.samples), "0");
    }
    summary.diagnose(trained, run.target, options);
    summary.training_seconds();
  });
  const double a = run.training.step_size;
  run.write(flow, path, summary,
            fmt::format("two moons by the dual at t = {:.3g}, {} steps", a * options.steps,
                        options.steps),
            [&](int k) { return fmt::format("t = {:.3g}", k * a); });
}

/// By change of variables and rejections.
void run_flow(const Options& options) {
  const auto map = ByFlow::map();
  Run run(options, map);
  run.report.setting("maps", options.maps);
  run.report.setting("rejections", options.rejections);
  const wgf::JkoSolver solver{wgf::kl(run.target, wgf::LogDeterminant{}), map,
                              wgf::Corrected<>{.step_size = run.training.step_size,
                                               .rejections = options.rejections,
                                               .maps = options.maps},
                              examples::backend(options)};
  const double cpu_before = examples::cpu_seconds();
  const auto trained = examples::train(solver, initial, run.training.run, options, run.report);
  run.report.metric("cpu_seconds", examples::cpu_seconds() - cpu_before);
  const auto& flow = trained.flow;

  const auto path = flow.sample_path(options.samples, examples::derived_seed(options, 0));
  examples::Summary summary(run.report);
  run.report.timed("metrics", [&] {
    compare(summary, options, path.back());
    const auto weights = summary.diagnose(trained, run.target, options).importance;
    if (weights && weights->unknown.empty()) {
      summary.metric("log_evidence", "log Z by importance weights", weights->log_normaliser, "0");
      summary.metric("log_evidence_error", "its standard error, as estimated",
                     std::hypot(weights->standard_error, flow.normalisation_error()));
      summary.metric("ess_fraction", "effective sample size of a draw",
                     weights->effective_sample_size / static_cast<double>(weights->size()), "1");
      summary.metric("pareto_k", "Pareto k of the weights", weights->pareto_k, "below 0.7");
    }
    summary.metric("draws_per_sample", "draws of P_0 that a sample costs", flow.draws_per_sample());
    summary.training_seconds();
  });
  run.write(flow, path, summary,
            fmt::format("two moons by a corrected flow, {} steps, {} with a map", options.steps,
                        std::min(options.maps, options.steps)),
            [](int k) { return k == 0 ? std::string("start") : fmt::format("after step {}", k); });
}

}  // namespace

int main(int argc, char** argv) {
  examples::CommandLine line(
      "Samples two moons, a mixture of 16 Gaussians in the plane, by the Wasserstein gradient flow "
      "of the KL divergence.",
      "two_moons");
  Options options;
  options.out = "out/two_moons";
  examples::Presets presets{
      {"ours", Ours::training()}, {"paper", Paper::training()}, {"flow", ByFlow::training()}};
  options.preset = "flow";
  const auto choose = [&](const std::string& preset) {
    options.preset = preset, options.training = presets.at(preset);
    options.steps = options.training.run.steps;
  };
  std::string method;  // as given
  line.add(
          "--method",
          [&](const std::string& name) { method = name, choose(name == "flow" ? "flow" : "ours"); },
          "flow: maps by change of variables, and rejections; dual: the paper's dual networks")
      .one_of({"flow", "dual"})
      .shown_default("flow");
  bool preset_given = false;
  examples::add_presets(line, options, presets, options.preset, options.training)
      .each([&](const std::string&) { preset_given = true; });
  examples::add_map(line, options.map).each([&](const std::string& name) {
    if (name != "icnn") return;
    if (method.empty() && !preset_given && options.preset == "flow") choose("ours");
    if (options.preset == "ours") options.training.run.training.map_rate = OursIcnn::map_rate;
  });
  examples::add_common_options(line, options);
  line.add("--samples", &options.samples, "number of samples to evaluate and write").at_least(2);
  std::string of_flow, of_dual;  // options given that belong to a method
  line.add("--maps", &options.maps,
           "of the flow: steps with a map; later ones have rejections only")
      .at_least(0)
      .each([&](const std::string&) { of_flow = "--maps"; });
  line.add("--rejections", &options.rejections, "of the flow: rejections after each step")
      .at_least(0)
      .each([&](const std::string&) { of_flow = "--rejections"; });
  examples::add_training_options(line, options.training);
  examples::add_dropout(line, options.training).each([&](const std::string&) {
    of_dual = "--dropout";
  });
  line.when_parsed([&] {
    const bool flow = options.preset == "flow";
    if (options.map == "icnn") of_dual = "--map icnn";
    options.method = flow ? "flow" : "dual";
    if (!method.empty() && method != options.method)
      throw examples::UsageError("--preset: " + options.preset + " does not go with --method " +
                                 method);
    if (flow && !of_dual.empty()) throw examples::UsageError(of_dual + ": goes with --method dual");
    if (!flow && !of_flow.empty())
      throw examples::UsageError(of_flow + ": goes with --method flow");
  });
  return examples::run_main(line, options, argc, argv, [&] {
    const bool paper = options.preset == "paper";
    if (options.method == "flow") run_flow(options);
    else if (options.map == "icnn")
      paper ? run_dual<PaperIcnn>(options) : run_dual<OursIcnn>(options);
    else paper ? run_dual<Paper>(options) : run_dual<Ours>(options);
  });
}
