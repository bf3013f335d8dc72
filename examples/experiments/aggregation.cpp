// SPDX-License-Identifier: BSL-1.0
// Aggregation: particles converge to a ring or the semicircle law (appendix C.2).
#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <wgf/exact/aggregation.hpp>
#include <wgf/wgf.hpp>

#include "common/backend.hpp"
#include "common/options.hpp"
#include "common/output.hpp"
#include "common/plot.hpp"
#include "common/report.hpp"
#include "common/training.hpp"

using examples::CommonOptions, examples::Training;

namespace {

struct Options : CommonOptions {
  std::string law = "ring", scheme = "backward";
  Training training;
  double softening = 1e-3;
  long samples = 20'000;
};

// ---- the two cases: kernel, P_0, map, training and steady state ----
struct Ring {  // example 1
  static auto kernel(const Options&) { return wgf::RingKernel{}; }
  static auto initial() { return wgf::Gaussian::isotropic(2, 0.5); }
  static auto map() { return wgf::ResidualMlp<48, 3, wgf::Silu>{.input_scale = 4}; }
  static Training training() {
    return {
        .run = {.steps = 30,
                .training = {.iterations = 200, .batch = 256, .map_rate = 3e-3, .first_step = 4},
                .population = {.size = 20'000}},
        .step_size = 0.3,
        .dropout = 0};
  }
  /// n equidistant points on the ring.
  static wgf::Particles steady(long n) {
    wgf::Particles x(2, n);
    for (Eigen::Index i = 0; i < n; ++i) {
      const double angle =
          2 * std::numbers::pi * (static_cast<double>(i) + 0.5) / static_cast<double>(n);
      x.col(i) << std::cos(angle), std::sin(angle);
    }
    return wgf::QuarticRing::radius() * x;
  }
};
struct SemicircleLaw {  // example 2
  static auto kernel(const Options& o) { return wgf::LogarithmicKernel{.softening = o.softening}; }
  static auto initial() { return wgf::Gaussian::isotropic(1, 1); }
  static auto map() { return wgf::ResidualMlp<48, 3, wgf::Silu>{.input_scale = 4}; }
  static Training training() {
    return {
        .run = {.steps = 12,
                .training = {.iterations = 200, .batch = 512, .map_rate = 3e-3, .first_step = 4},
                .population = {.size = 20'000, .stratified = true}},
        .step_size = 0.5,
        .dropout = 0};
  }
  /// Its quantiles at the midpoints of n intervals of equal mass.
  static wgf::Particles steady(long n) {
    const wgf::Semicircle law;
    wgf::Particles x(1, n);
    for (Eigen::Index i = 0; i < n; ++i)
      x(0, i) = law.quantile((static_cast<double>(i) + 0.5) / static_cast<double>(n));
    return x;
  }
};

bool draw_ring(const std::filesystem::path& file, const std::vector<wgf::Particles>& path,
               const std::string& scheme, double step_size) {
  std::vector<examples::ScatterPanel> panels;
  for (const int k : examples::steps_to_draw(static_cast<int>(path.size()) - 1))
    panels.push_back(
        {fmt::format("t = {:.3g}", k * step_size),
         {{path[static_cast<std::size_t>(k)]}, {Ring::steady(400), examples::colour::target}}});
  examples::ScatterStyle style;
  style.title = fmt::format("Aggregation, {}: particles and the steady ring", scheme);
  style.lower = Eigen::Vector2d::Constant(-1.3), style.upper = Eigen::Vector2d::Constant(1.3);
  return examples::draw_scatter(file, panels, style);
}

bool draw_semicircle(const std::filesystem::path& file, const std::vector<wgf::Particles>& path,
                     const std::string& scheme, double step_size) {
  constexpr int bins = 60;
  constexpr double range = 2.4, width = 2 * range / bins;
  const wgf::Semicircle law;
  const Eigen::VectorXd fine = Eigen::VectorXd::LinSpaced(401, -range, range),
                        middle =
                            Eigen::VectorXd::LinSpaced(bins, -range + width / 2, range - width / 2);
  std::vector<examples::CurvePanel> panels;
  for (const int k : examples::steps_to_draw(static_cast<int>(path.size()) - 1)) {
    if (panels.size() == 4) panels.pop_back();
    const auto& x = path[static_cast<std::size_t>(k)];
    Eigen::VectorXd density = Eigen::VectorXd::Zero(bins);
    for (const double at : x.reshaped())
      if (std::abs(at) < range)
        density[std::min(static_cast<int>((at + range) / width), bins - 1)] +=
            1 / (width * static_cast<double>(x.size()));
    panels.push_back({fmt::format("t = {:.3g}", k * step_size), "", "", {}});
    panels.back().curves = {
        {"particles", middle, density},
        {"steady state", fine, fine.unaryExpr([&](double at) { return law.density(at); }),
         examples::colour::target, false, true}};
  }
  return examples::draw_curves(
      file, panels,
      fmt::format("Aggregation, {}: histogram of the particles and the semicircle law", scheme));
}

template <class Case, class Scheme>
void run(const Options& options) {
  Training training = options.training;
  training.run.steps = options.steps;
  constexpr bool ring = std::same_as<Case, Ring>;
  const auto map = Case::map();
  examples::Report report("aggregation", options);
  examples::report_training(report, options.law, training);
  report.setting("case", options.law);
  report.setting("scheme", options.scheme);
  report.setting("samples", options.samples);
  report.setting("softening", options.softening);
  report.setting("map", wgf::describe(map));
  examples::OutputFolder out(options.out);

  const double a = training.step_size;
  const wgf::JkoSolver solver{wgf::interaction(Case::kernel(options)), map, Scheme{.step_size = a},
                              examples::backend(options)};
  const auto flow = examples::train(solver, Case::initial(), training.run, options, report).flow;

  examples::Summary summary(report);
  const auto path = report.timed("push", [&] {
    return flow.trajectory(flow.draw_initial(options.samples, examples::derived_seed(options, 0)));
  });
  report.timed("metrics", [&] {
    const auto steady = Case::steady(options.samples);
    const wgf::SlicedWasserstein few{.projections = 50};
    const Eigen::VectorXd radius = path.back().colwise().norm();
    if (ring) {
      const double exact = wgf::QuarticRing::radius(), mean = radius.mean();
      summary.metric("ring_radius", "mean radius", mean, fmt::format("{:.4f}", exact));
      summary.metric("ring_radius_error", "... its relative error", std::abs(mean / exact - 1),
                     "below 0.005");
      summary.metric("ring_width", "standard deviation of the radius",
                     std::sqrt((radius.array() - mean).square().mean()), "0");
    }
    summary.metric(ring ? "sliced_w2" : "w2",
                   ring ? "sliced W2 to the ring" : "W2 to the semicircle law",
                   wgf::sliced_wasserstein(path.back(), steady, few), ring ? "0" : "below 0.01");
    std::vector<double> distance;
    for (const auto& x : path) distance.push_back(wgf::sliced_wasserstein(x, steady, few));
    report.list(ring ? "sliced_w2_by_step" : "w2_by_step", distance);
    summary.training_seconds();
  });

  wgf::write_npy(out.path("samples.npy"), path.back());
  wgf::save(flow, out.path("flow.wgf"));
  const bool picture = report.timed("picture", [&] {
    return ring ? draw_ring(out.path("picture.png"), path, options.scheme, a)
                : draw_semicircle(out.path("picture.png"), path, options.scheme, a);
  });
  summary.print(fmt::format("aggregation, {}, at t = {:.3g}, {} steps {}", options.law,
                            a * options.steps, options.steps, options.scheme));
  examples::publish(out, report, picture);
}

template <class Case>
void run(const Options& options) {
  if (options.scheme == "forward") run<Case, wgf::Forward>(options);
  else run<Case, wgf::Backward>(options);
}

}  // namespace

int main(int argc, char** argv) {
  examples::CommandLine line(
      "Wasserstein gradient flow of an interaction energy with attraction and repulsion.",
      "aggregation");
  Options options;
  options.out = "out/aggregation";
  const examples::Presets cases{{"ring", Ring::training()},
                                {"semicircle", SemicircleLaw::training()}};
  examples::add_presets(line, options, cases, options.law, options.training, "--case",
                        "interaction kernel; selects a preset")
      .each([&](const std::string& name) { options.samples = name == "ring" ? 20'000 : 100'000; });
  examples::add_common_options(line, options);
  line.add("--scheme", &options.scheme,
           "backward (JKO steps) or forward (explicit steps without training)")
      .one_of({"backward", "forward"});
  line.add("--softening", &options.softening, "softening of the logarithmic kernel at the origin")
      .positive();
  line.add("--samples", &options.samples, "number of samples to evaluate and write").at_least(2);
  examples::add_training_options(line, options.training);
  return examples::run_main(line, options, argc, argv, [&] {
    if (options.law == "semicircle") run<SemicircleLaw>(options);
    else run<Ring>(options);
  });
}
