// SPDX-License-Identifier: BSL-1.0
// Two moons: samples a mixture of 16 Gaussians in the plane (section 4.1).
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <wgf/wgf.hpp>

#include "common/backend.hpp"
#include "common/mixtures.hpp"
#include "common/options.hpp"
#include "common/output.hpp"
#include "common/plot.hpp"
#include "common/report.hpp"
#include "common/training.hpp"

using examples::CommonOptions, examples::Training;

namespace {

// ---- presets: networks and training ----
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

/// The particles at five times beside samples of the target.
bool draw(const std::filesystem::path& file, const wgf::GaussianMixture& target,
          const std::vector<wgf::Particles>& path, double step_size,
          const wgf::Particles& target_samples) {
  std::vector<examples::ScatterPanel> panels;
  for (const int k : examples::steps_to_draw(static_cast<int>(path.size()) - 1))
    panels.push_back(
        {fmt::format("t = {:.3g}", k * step_size), {{path[static_cast<std::size_t>(k)]}}});
  panels.push_back({"target", {{target_samples, examples::colour::target}}});
  examples::ScatterStyle style;
  style.title = "Two moons: the flow from N(0, 2.25 I) to the target";
  style.log_density = [&](const Eigen::Vector2d& x) { return target.log_density(x); };
  style.lower = Eigen::Vector2d(-4.2, -3.2), style.upper = Eigen::Vector2d(4.2, 3.2);
  style.max_columns = 3;
  return examples::draw_scatter(file, panels, style);
}

struct Options : CommonOptions {
  std::string preset = "ours", map = "residual";
  Training training;
  long samples = 4000;
};

template <class Preset>
void run(const Options& options) {
  Training training = options.training;
  training.run.steps = options.steps;
  const long samples = options.samples;
  examples::Report report("two_moons", options);
  examples::report_training(report, options.preset, training);
  report.setting("samples", samples);
  const auto map = Preset::map();
  const auto dual = Preset::dual(training.dropout);
  report.setting("map", wgf::describe(map));
  report.setting("dual", examples::describe_dual(dual));
  examples::OutputFolder out(options.out);

  const auto target = examples::two_moons();
  const wgf::JkoSolver solver{wgf::kl(target, dual), map,
                              wgf::Backward{.step_size = training.step_size},
                              examples::backend(options)};
  const auto trained =
      examples::train(solver, wgf::Gaussian::isotropic(2, 1.5), training.run, options, report);
  const auto& flow = trained.flow;

  const auto start = flow.draw_initial(samples, examples::derived_seed(options, 0));
  const auto path = flow.trajectory(start);
  const auto& x = path.back();
  const auto y = target.sample(samples, examples::derived_seed(options, 1)),
             z = target.sample(samples, examples::derived_seed(options, 2));
  const Eigen::VectorXd masses = wgf::mode_masses(x, target);
  const auto found = (masses.array() >= 0.03).count();

  examples::Summary summary(report);
  report.timed("metrics", [&] {
    summary.metric("energy_distance", "energy distance to the target", wgf::energy_distance(x, y),
                   "below 0.005");
    summary.metric("energy_distance_noise", "... of two target samples", wgf::energy_distance(y, z),
                   "sampling noise");
    summary.metric("sliced_w2", "sliced W2 to the target", wgf::sliced_wasserstein(x, y),
                   "sampling noise: " + fmt::format("{:.2g}", wgf::sliced_wasserstein(y, z)));
    summary.metric("modes_found", "modes with at least 3 % of the mass", static_cast<double>(found),
                   "16");
    summary.metric("mode_mass_min", "smallest mass of a mode", masses.minCoeff(), "0.0625");
    summary.metric("mode_mass_max", "largest mass of a mode", masses.maxCoeff(), "0.0625");
    if constexpr (wgf::GradientMapSpecification<decltype(Preset::map())>) {  // invertible: the flow
                                                                             // has a density
      const auto [y_k, log_p] = flow.push_with_log_density(start, flow.initial_log_density(start));
      double sum = 0;
      for (long i = 0; i < samples; ++i) sum += log_p[i] - target.log_density(y_k.col(i));
      summary.metric("kl", "KL divergence to the target", sum / static_cast<double>(samples), "0");
    }
    summary.diagnose(trained, target, options);
    summary.training_seconds();
  });

  wgf::write_npy(out.path("samples.npy"), x);
  wgf::save(flow, out.path("flow.wgf"));
  const bool picture = report.timed("picture", [&] {
    return draw(out.path("picture.png"), target, path, training.step_size, y);
  });
  summary.print(fmt::format("two moons at t = {:.3g}, {} steps", training.step_size * options.steps,
                            options.steps));
  examples::publish(out, report, picture);
}

}  // namespace

int main(int argc, char** argv) {
  examples::CommandLine line(
      "Samples two moons, a mixture of 16 Gaussians in the plane, by the Wasserstein gradient flow "
      "of the KL divergence.",
      "two_moons");
  Options options;
  options.out = "out/two_moons";
  const examples::Presets presets{{"ours", Ours::training()}, {"paper", Paper::training()}};
  examples::add_presets(line, options, presets, options.preset, options.training);
  examples::add_map(line, options.map).each([&](const std::string& name) {
    if (name == "icnn" && options.preset == "ours")
      options.training.run.training.map_rate = OursIcnn::map_rate;
  });
  examples::add_common_options(line, options);
  line.add("--samples", &options.samples, "number of samples to evaluate and write").at_least(2);
  examples::add_training_options(line, options.training);
  examples::add_dropout(line, options.training);
  return examples::run_main(line, options, argc, argv, [&] {
    const bool paper = options.preset == "paper";
    if (options.map == "icnn") paper ? run<PaperIcnn>(options) : run<OursIcnn>(options);
    else paper ? run<Paper>(options) : run<Ours>(options);
  });
}
