// SPDX-License-Identifier: BSL-1.0
// Nine Gaussians in d dimensions, compared with Langevin dynamics at the same time (section 4.1).
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <Eigen/Eigenvalues>
#include <wgf/exact/targets/mixtures.hpp>
#include <wgf/wgf.hpp>

#include "common/backend.hpp"
#include "common/options.hpp"
#include "common/output.hpp"
#include "common/plot.hpp"
#include "common/report.hpp"
#include "common/training.hpp"

using examples::CommonOptions, examples::Training;

namespace {

// ---- presets: networks and training ----
struct Ours {
  static auto map() { return wgf::ResidualMlp<64, 4, wgf::Silu>{}; }
  static auto dual(double dropout) {
    return examples::dual_of(wgf::Mlp<64, 4, wgf::Silu>{.dropout = dropout});
  }
  static Training training() {
    return {.run = {.steps = 20,
                    .training = {.iterations = 300,
                                 .batch = 1024,
                                 .map_rate = 2e-3,
                                 .dual_rate = 2e-3,
                                 .first_step = 4}},
            .step_size = 0.3,
            .dropout = 0};
  }
};
struct Paper {  // appendix D
  static Training training(int steps) {
    return {.run = {.steps = steps,
                    .training = {.iterations = 600,
                                 .batch = 100,
                                 .final_rate_fraction = 1,
                                 .tail_average = 0,
                                 .first_step = 1,
                                 .whiten = false}},
            .step_size = 0.3,
            .dropout = 0.1};
  }
};
struct Paper8 : Paper {
  static auto map() { return wgf::ResidualMlp<128, 3>{}; }
  static auto dual(double dropout) {
    return examples::dual_of<wgf::VariationalBound>(wgf::Mlp<64, 6>{.dropout = dropout});
  }
};
struct Paper13 : Paper {
  static auto map() { return wgf::ResidualMlp<64, 9>{}; }
  static auto dual(double dropout) {
    return examples::dual_of<wgf::VariationalBound>(wgf::Mlp<64, 8>{.dropout = dropout});
  }
};

// The map is the gradient of a convex network (appendix C.1, figure 6).
struct OursIcnn : Ours {
  static constexpr double map_rate = 4e-3;
  static auto map() { return wgf::IcnnGradient<64, 2>{.input_scale = 3}; }
};

struct Options : CommonOptions {
  std::string preset = "ours", map = "residual";
  Training training;
  int dim = 8;
  std::uint64_t target_seed = 1;
  long samples = 20000;
  double dt = 0.01;
};

/// Nine components of equal weight and unit covariance, with means uniform in [−2, 2]^d.
wgf::GaussianMixture nine_modes(int dim, std::uint64_t seed) {
  return wgf::uniform_mixture(9, dim, 2, 1, seed);
}

/// The projection of a mixture onto its first two principal axes, which is again a mixture.
struct Projection {
  explicit Projection(const wgf::GaussianMixture& mixture)
      : centre(mixture.mean()),
        axes(Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(mixture.covariance())
                 .eigenvectors()
                 .rightCols(2)
                 .rowwise()
                 .reverse()),
        density(projected(mixture)) {}

  wgf::Particles operator()(const wgf::Particles& x) const {
    return axes.transpose() * (x.colwise() - centre);
  }

  Eigen::VectorXd centre;
  Eigen::MatrixXd axes;  // d × 2
  wgf::GaussianMixture density;

 private:
  wgf::GaussianMixture projected(const wgf::GaussianMixture& mixture) const {
    std::vector<wgf::Gaussian> components;
    for (const auto& c : mixture.components())
      components.emplace_back(axes.transpose() * (c.mean() - centre),
                              axes.transpose() * c.covariance() * axes);
    return {mixture.weights(), std::move(components)};
  }
};

template <class Preset>
void run(const Options& options) {
  Training training = options.training;
  training.run.steps = options.steps;
  const double time = training.step_size * options.steps;
  const auto map = Preset::map();
  const auto dual = Preset::dual(training.dropout);
  examples::Report report("gaussian_mixture", options);
  examples::report_training(report, options.preset, training);
  report.setting("dim", options.dim);
  report.setting("target_seed", options.target_seed);
  report.setting("samples", options.samples);
  report.setting("langevin_dt", options.dt);
  report.setting("map", wgf::describe(map));
  report.setting("dual", examples::describe_dual(dual));
  examples::OutputFolder out(options.out);

  const auto target = nine_modes(options.dim, options.target_seed);
  const auto initial = wgf::Gaussian::isotropic(options.dim, 1.5);
  const wgf::JkoSolver solver{wgf::kl(target, dual), map,
                              wgf::Backward{.step_size = training.step_size},
                              examples::backend(options)};
  const auto trained = examples::train(solver, initial, training.run, options, report);
  const auto& flow = trained.flow;

  const auto x = flow.sample(options.samples, examples::derived_seed(options, 0));
  const auto langevin = report.timed("langevin", [&] {
    return wgf::langevin(target,
                         initial.sample(options.samples, examples::derived_seed(options, 1)), time,
                         options.dt, examples::derived_seed(options, 2));
  });
  const auto y = target.sample(options.samples, examples::derived_seed(options, 3));
  const auto y2 = target.sample(options.samples, examples::derived_seed(options, 4));
  const Eigen::VectorXd equal = Eigen::VectorXd::Constant(9, 1.0 / 9),
                        ours = wgf::mode_masses(x, target),
                        theirs = wgf::mode_masses(langevin, target),
                        exact = wgf::mode_masses(y, target);
  const auto some = [](const wgf::Particles& p) -> wgf::Particles {
    return p.leftCols(std::min<Eigen::Index>(p.cols(), 5000));
  };

  examples::Summary summary(report);
  report.timed("metrics", [&] {
    const double tv = wgf::total_variation(ours, equal),
                 langevin_tv = wgf::total_variation(theirs, equal);
    summary.metric("mode_mass_tv", "mode masses, total variation to the uniform distribution", tv,
                   "that of Langevin dynamics");
    summary.metric("langevin_mode_mass_tv", "... of Langevin dynamics at the same time",
                   langevin_tv, "");
    summary.metric("target_mode_mass_tv", "... of target samples",
                   wgf::total_variation(exact, equal), "sampling noise and overlap of the modes");
    summary.metric("tv_difference", "the flow's minus that of Langevin dynamics", tv - langevin_tv,
                   "0 to 0.02");
    summary.metric("mode_mass_tv_to_langevin", "mode masses, total variation to Langevin dynamics",
                   wgf::total_variation(ours, theirs), "below 0.03");
    summary.metric("energy_distance", "energy distance to the target",
                   wgf::energy_distance(some(x), some(y)), "that of Langevin dynamics");
    summary.metric("langevin_energy_distance", "... of Langevin dynamics",
                   wgf::energy_distance(some(langevin), some(y)), "");
    summary.metric("energy_distance_noise", "... of target samples",
                   wgf::energy_distance(some(y2), some(y)), "sampling noise");
    summary.metric("energy_distance_to_langevin", "energy distance to Langevin dynamics",
                   wgf::energy_distance(some(x), some(langevin)), "0");
    summary.metric("sliced_w2", "sliced W2 to the target", wgf::sliced_wasserstein(x, y),
                   "that of Langevin dynamics");
    summary.metric("langevin_sliced_w2", "... of Langevin dynamics",
                   wgf::sliced_wasserstein(langevin, y), "");
    summary.metric("sliced_w2_noise", "... of target samples", wgf::sliced_wasserstein(y2, y),
                   "sampling noise");
    summary.diagnose(trained, target, options);
    summary.training_seconds();
  });
  report.list("mode_masses", ours);
  report.list("langevin_mode_masses", theirs);

  wgf::write_npy(out.path("samples.npy"), x);
  wgf::save(flow, out.path("flow.wgf"));
  const bool picture = report.timed("picture", [&] {
    const Projection project(target);
    examples::ScatterStyle style;
    style.title =
        fmt::format("Nine modes in {} dimensions, along the first two principal axes, t = {:.3g}",
                    options.dim, time);
    style.log_density = [&](const Eigen::Vector2d& p) { return project.density.log_density(p); };
    return examples::draw_scatter(
        out.path("picture.png"),
        {{"Wasserstein gradient flow", {{project(x)}}},
         {"Langevin dynamics", {{project(langevin), examples::colour::third}}},
         {"target", {{project(y), examples::colour::target}}}},
        style);
  });
  summary.print(fmt::format("nine modes in {} dimensions at t = {:.3g}, {} steps", options.dim,
                            time, options.steps));
  examples::publish(out, report, picture);
}

}  // namespace

int main(int argc, char** argv) {
  examples::CommandLine line(
      "Samples a mixture of nine Gaussians by the Wasserstein gradient flow of the KL divergence "
      "and "
      "compares it with Langevin dynamics.",
      "gaussian_mixture");
  Options options;
  options.out = "out/gaussian_mixture";
  const examples::Presets presets{{"ours", Ours::training()},
                                  {"paper-8", Paper::training(50)},
                                  {"paper-13", Paper::training(20)}};
  examples::add_presets(line, options, presets, options.preset, options.training)
      .each([&](const std::string& name) { options.dim = name == "paper-13" ? 13 : 8; });
  examples::add_map(line, options.map).each([&](const std::string& name) {
    if (name == "icnn" && options.preset == "ours")
      options.training.run.training.map_rate = OursIcnn::map_rate;
  });
  examples::add_common_options(line, options);
  line.add("--dim", &options.dim, "dimension").at_least(2);
  line.add("--target-seed", &options.target_seed, "seed of the component means").at_least(0);
  line.add("--samples", &options.samples, "number of samples to evaluate and write").at_least(2);
  line.add("--dt", &options.dt, "time step of Langevin dynamics").positive();
  examples::add_training_options(line, options.training);
  examples::add_dropout(line, options.training);
  return examples::run_main(line, options, argc, argv, [&] {
    if (options.map == "icnn" && options.preset != "ours")
      throw examples::UsageError("--map: icnn goes with --preset ours");
    if (options.map == "icnn") run<OursIcnn>(options);
    else if (options.preset == "paper-8") run<Paper8>(options);
    else if (options.preset == "paper-13") run<Paper13>(options);
    else run<Ours>(options);
  });
}
