// SPDX-License-Identifier: BSL-1.0
// Ornstein–Uhlenbeck: a flow of Gaussians, compared in closed form with the PDE and with the exact JKO iterate (section 4.2).
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <wgf/reference/ornstein_uhlenbeck.hpp>
#include <wgf/wgf.hpp>

#include "common/options.hpp"
#include "common/output.hpp"
#include "common/plot.hpp"
#include "common/report.hpp"
#include "common/training.hpp"

using examples::CommonOptions, examples::Training;

namespace {

// ---- the settings: networks and numbers of each preset ----
struct Ours {  // the networks hold the solution: an affine map, the logarithm of a ratio of Gaussians
  static auto map() { return wgf::Affine{}; }
  static auto dual() { return wgf::Quadratic{}; }
  static auto fit() { return wgf::LogisticLoss{}; }
  static Training training(bool coupled) {
    return {
        .run =
            {.steps = 18, .iterations = 500, .batch = 1000, .map_rate = 2e-3, .dual_rate = 2e-3, .first_step = 4, .coupled_base = coupled},
        .step_size = 0.05,
        .dropout = 0};
  }
};
struct Paper {  // appendix D.2
  static auto map() { return wgf::DeepLinear<64, 3>{}; }
  static auto dual() { return wgf::Mlp<64, 3>{}; }
  static auto fit() { return wgf::OwnBound{}; }
  static Training training() {
    return {.run = {.steps = 18,
                    .iterations = 500,
                    .batch = 1000,
                    .map_rate = 5e-3,
                    .dual_rate = 5e-3,
                    .final_rate = 1,
                    .average = 0,
                    .first_step = 1,
                    .whiten = false},
            .step_size = 0.05,
            .dropout = 0};
  }
};

struct Options : CommonOptions {
  std::string preset = "ours";
  Training training;
  int dim = 2;
  int repeats = 1;
  long samples = 10000;
};

/// Distances in every step, from step 1.
struct Errors {
  Eigen::ArrayXd to_jko, to_pde, jko_to_pde;
};

/// The ellipse of points at `radius` standard deviations from the mean, in the first two coordinates (a segment in one dimension).
examples::Curve ellipse(const wgf::Gaussian& p, double radius, std::string label, std::string colour, bool dashed) {
  const int n = 97, other = p.dim() > 1 ? 1 : 0;
  examples::Curve curve{std::move(label), Eigen::VectorXd(n), Eigen::VectorXd(n), std::move(colour), false, dashed};
  const auto& l = p.factor();
  for (int i = 0; i < n; ++i) {
    const double angle = 2 * std::numbers::pi * i / (n - 1), c = radius * std::cos(angle), s = radius * std::sin(angle);
    curve.x[i] = p.mean()[0] + l(0, 0) * c;
    curve.y[i] = p.mean()[other] + l(other, 0) * c + (other ? l(1, 1) * s : 0);
  }
  return curve;
}

template <class Flow>
bool draw(const std::filesystem::path& file, const Errors& errors, const wgf::OrnsteinUhlenbeck& process, const Flow& flow) {
  const int steps = flow.size();
  const Eigen::VectorXd times = Eigen::VectorXd::LinSpaced(steps, flow.step_size, flow.step_size * steps);
  const auto positive = [](const Eigen::ArrayXd& y) -> Eigen::VectorXd { return y.max(1e-16); };
  examples::CurvePanel distances{"symmetrised KL divergence", "time", "", {}, false, true};
  distances.curves = {{"flow to the PDE", times, positive(errors.to_pde), examples::colour::target},
                      {"exact JKO iterate to the PDE", times, positive(errors.jko_to_pde), examples::colour::quiet, false, true},
                      {"flow to the exact JKO iterate", times, positive(errors.to_jko), examples::colour::ours}};
  examples::CurvePanel cloud{"two standard deviations, first two coordinates", "", "", {}, false, false, true};
  for (const int k : {0, (steps + 2) / 3, steps}) {
    const bool last = k == steps;
    const char* colour = last ? examples::colour::ours : k == 0 ? examples::colour::quiet : examples::colour::third;
    cloud.curves.push_back(ellipse(flow.gaussian(k), 2, fmt::format("flow, t = {:.2g}", k * flow.step_size), colour, false));
    cloud.curves.push_back(ellipse(process.at(k * flow.step_size), 2, last ? "the PDE's law" : "", "#20242A", true));
  }
  return examples::draw_curves(file, {distances, cloud},
                               fmt::format("Ornstein-Uhlenbeck in {} dimensions, a = {}", flow.dim(), flow.step_size));
}

template <class Preset>
void run(const Options& options) {
  Training training = options.training;
  training.run.steps = options.steps;
  examples::Report report("ornstein_uhlenbeck", options);
  examples::report_training(report, options.preset, training);
  report.setting("coupled_base", training.run.coupled_base);
  report.setting("dim", options.dim);
  report.setting("repeats", options.repeats);
  report.setting("samples", options.samples);
  report.setting("map", wgf::describe(Preset::map()));
  report.setting("dual", wgf::describe(Preset::dual()) + ", " + Preset::fit().name);
  examples::OutputFolder out(options.out);

  const int steps = options.steps;
  const double a = training.step_size;
  const Eigen::ArrayXd none = Eigen::ArrayXd::Zero(steps);
  Errors mean{none, none, none};
  std::vector<double> to_jko, to_pde;
  double seconds = 0;
  bool picture = false;
  for (int repeat = options.repeats - 1; repeat >= 0; --repeat) {  // the last one, with the seed itself, is kept
    const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(repeat);
    const auto process = wgf::OrnsteinUhlenbeck::random(options.dim, seed);
    const wgf::JkoSolver solver{wgf::kl(process.target(), Preset::dual(), Preset::fit()), Preset::map(), wgf::Backward{.step_size = a},
                                wgf::EigenBackend<float>{.seed = seed, .threads = options.threads}};
    const auto flow = report.timed(
        "training", [&] { return solver.run(wgf::Gaussian::isotropic(options.dim, 1), training.run, examples::observer(options)); });
    seconds += report.content()["seconds"]["training"].template get<double>();

    Errors errors{none, none, none};
    for (int k = 1; k <= steps; ++k) {
      const auto p = flow.gaussian(k), jko = process.jko(k, a), pde = process.at(k * a);
      errors.to_jko[k - 1] = wgf::sym_kl(p, jko), errors.to_pde[k - 1] = wgf::sym_kl(p, pde);
      errors.jko_to_pde[k - 1] = wgf::sym_kl(jko, pde);
    }
    const double share = 1.0 / options.repeats;
    mean.to_jko += share * errors.to_jko, mean.to_pde += share * errors.to_pde, mean.jko_to_pde += share * errors.jko_to_pde;
    to_jko.insert(to_jko.begin(), errors.to_jko[steps - 1]), to_pde.insert(to_pde.begin(), errors.to_pde[steps - 1]);
    if (repeat > 0) continue;
    wgf::write_npy(out.path("samples.npy"), flow.sample(options.samples, examples::derived_seed(options, 0)));
    wgf::save(flow, out.path("flow.wgf"));
    picture = draw(out.path("picture.png"), mean, process, flow);
  }
  report.seconds("training", seconds);

  examples::Summary summary;
  const auto metric = [&](const char* name, const char* what, double value, std::string good) {
    report.metric(name, value);
    summary.row(what, value, std::move(good));
  };
  const double floor = mean.jko_to_pde[steps - 1];
  metric("sym_kl_jko", "SymKL to the exact JKO iterate", mean.to_jko[steps - 1], "the training's error: 0 is perfect");
  metric("sym_kl_pde", "SymKL to the PDE", mean.to_pde[steps - 1], fmt::format("the exact iterate's: {:.2g}", floor));
  metric("sym_kl_jko_to_pde", "... of the exact JKO iterate", floor, "the error of the steps' size");
  metric("seconds", "seconds of training", seconds, "");
  const auto list = [&](const char* name, const auto& values) { report.metric(name, std::vector<double>(values.begin(), values.end())); };
  list("sym_kl_jko_by_step", mean.to_jko), list("sym_kl_pde_by_step", mean.to_pde), list("sym_kl_jko_to_pde_by_step", mean.jko_to_pde);
  list("sym_kl_jko_by_repeat", to_jko), list("sym_kl_pde_by_repeat", to_pde);
  summary.print(fmt::format("Ornstein-Uhlenbeck in {} dimensions at t = {:.3g}, {} steps{}", options.dim, a * steps, steps,
                            options.repeats > 1 ? fmt::format(", mean over {} targets", options.repeats) : ""));
  examples::publish(out, report, picture);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Follows an Ornstein-Uhlenbeck process from N(0, I), where the PDE and the exact JKO iterates are known.",
               "ornstein_uhlenbeck");
  Options options;
  options.out = "out/ornstein_uhlenbeck";
  const examples::Presets presets{{"ours", Ours::training(true)}, {"independent", Ours::training(false)}, {"paper", Paper::training()}};
  examples::add_presets(app, options, presets, options.preset, options.training);
  examples::add_common_options(app, options);
  app.add_option("--dim", options.dim, "dimension")->check(examples::at_least(1))->capture_default_str();
  app.add_option("--repeats", options.repeats, "random targets, with the seeds from --seed on")
      ->check(examples::at_least(1))
      ->capture_default_str();
  app.add_option("--samples", options.samples, "samples to write")->check(examples::at_least(1))->capture_default_str();
  examples::add_training_options(app, options.training);
  return examples::run_main(app, argc, argv, [&] {
    if (options.preset == "paper") run<Paper>(options);
    else run<Ours>(options);
  });
}
