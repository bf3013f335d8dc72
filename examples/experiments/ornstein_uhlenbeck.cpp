// SPDX-License-Identifier: BSL-1.0
// Ornstein–Uhlenbeck: a flow of Gaussians, compared with the exact JKO iterates (section 4.2). The
// entropy is evaluated by change of variables or by the paper's dual networks.
#include <cmath>
#include <numbers>
#include <numeric>
#include <string>
#include <type_traits>
#include <vector>

#include <fmt/format.h>
#include <wgf/exact/ornstein_uhlenbeck.hpp>
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
// Batches of more than 2d points have the moments of their law, so that the training has no noise.
struct ByLogDeterminant {
  static auto map() { return wgf::Affine{}; }
  static auto form() { return wgf::LogDeterminant{}; }
  static Training training() {
    return {.run = {.steps = 18,
                    .training = {.iterations = 300,
                                 .batch = 200,
                                 .map_rate = 1e-2,
                                 .final_rate_fraction = 1e-5,
                                 .tail_average = 0,
                                 .first_step = 2}},
            .step_size = 0.05,
            .dropout = 0};
  }
};
struct Ours {  // the networks contain the solution: an affine map and a quadratic log-ratio
  static auto map() { return wgf::Affine{}; }
  static auto form() { return wgf::Dual<wgf::Quadratic>{}; }
  static Training training(bool common) {
    return {.run = {.steps = 18,
                    .training = {.iterations = 500,
                                 .batch = 1000,
                                 .map_rate = 2e-3,
                                 .dual_rate = 2e-3,
                                 .first_step = 4,
                                 .common_random_numbers = common}},
            .step_size = 0.05,
            .dropout = 0};
  }
};
struct Paper {  // appendix D.2
  static auto map() { return wgf::DeepLinear<64, 3>{}; }
  static auto form() { return wgf::Dual<wgf::Mlp<64, 3>, wgf::VariationalBound>{}; }
  static Training training() {
    return {.run = {.steps = 18,
                    .training = {.iterations = 500,
                                 .batch = 1000,
                                 .map_rate = 5e-3,
                                 .dual_rate = 5e-3,
                                 .final_rate_fraction = 1,
                                 .tail_average = 0,
                                 .first_step = 1,
                                 .whiten = false}},
            .step_size = 0.05,
            .dropout = 0};
  }
};

struct Options : CommonOptions {
  std::string preset = "ours", method = "log_determinant", precision = "double";
  Training training;
  std::string scheme = "backward";
  bool figure = false, stiff = false;
  int dim = 2;
  int repeats = 1;
  long samples = 10000;
};

/// A random target.
wgf::OrnsteinUhlenbeck random_process(const Options& options, int dim, std::uint64_t seed) {
  const auto process = wgf::OrnsteinUhlenbeck::random(dim, seed);
  if (!options.stiff) return process;
  const auto& target = process.target();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> of(target.covariance());
  const Eigen::MatrixXd a = of.eigenvectors() *
                            Eigen::VectorXd::LinSpaced(dim, std::log(0.03), std::log(49))
                                .array()
                                .exp()
                                .matrix()
                                .asDiagonal() *
                            of.eigenvectors().transpose();
  return {0.5 * (a + a.transpose()), 2 * target.mean()};
}

/// The iterate of a scheme whose steps are solved exactly.
wgf::Gaussian exact_iterate(const wgf::OrnsteinUhlenbeck& process, const wgf::Backward& scheme,
                            int step) {
  return process.jko(step, scheme.step_size);
}
wgf::Gaussian exact_iterate(const wgf::OrnsteinUhlenbeck& process, const wgf::Midpoint& scheme,
                            int step) {
  return process.midpoint(step, scheme.step_size);
}

/// SymKL for one dimension d: one row per step, one column per target.
struct Errors {
  Errors(int d, int steps, int repeats)
      : dim(d),
        to_iterate(steps, repeats),
        to_pde(steps, repeats),
        iterate_to_pde(steps, repeats) {}
  int dim;
  Eigen::ArrayXXd to_iterate, to_pde, iterate_to_pde;
};
using Part = Eigen::ArrayXXd Errors::*;

/// The ellipse of points at `radius` standard deviations from the mean, in the first two
/// coordinates (a segment in one dimension).
examples::Curve ellipse(const wgf::Gaussian& p, double radius, std::string label,
                        std::string colour, bool dashed) {
  const int n = 97, other = p.dim() > 1 ? 1 : 0;
  examples::Curve curve{
      std::move(label), Eigen::VectorXd(n), Eigen::VectorXd(n), std::move(colour), false, dashed};
  const auto& l = p.factor();
  for (int i = 0; i < n; ++i) {
    const double angle = 2 * std::numbers::pi * i / (n - 1), c = radius * std::cos(angle),
                 s = radius * std::sin(angle);
    curve.x[i] = p.mean()[0] + l(0, 0) * c;
    curve.y[i] = p.mean()[other] + l(other, 0) * c + (other ? l(1, 1) * s : 0);
  }
  return curve;
}

Eigen::VectorXd positive(const Eigen::ArrayXd& y) {
  return y.max(1e-20);
}  // for a logarithmic axis

template <class Flow>
bool draw(const std::filesystem::path& file, const Errors& errors,
          const wgf::OrnsteinUhlenbeck& process, const Flow& flow) {
  const int steps = flow.size();
  const Eigen::VectorXd times =
      Eigen::VectorXd::LinSpaced(steps, flow.step_size, flow.step_size * steps);
  const auto mean = [&](Part part) { return positive((errors.*part).rowwise().mean()); };
  examples::CurvePanel distances{"symmetrised KL divergence", "time", "", {}, false, true};
  distances.curves = {
      {"flow to the PDE", times, mean(&Errors::to_pde), examples::colour::target},
      {"exact iterate to the PDE", times, mean(&Errors::iterate_to_pde), examples::colour::quiet,
       false, true},
      {"flow to the exact iterate", times, mean(&Errors::to_iterate), examples::colour::ours}};
  examples::CurvePanel cloud{
      "two standard deviations, first two coordinates", "", "", {}, false, false, true};
  for (const int k : {0, (steps + 2) / 3, steps}) {
    const bool last = k == steps;
    const char* colour = last     ? examples::colour::ours
                         : k == 0 ? examples::colour::quiet
                                  : examples::colour::third;
    cloud.curves.push_back(ellipse(
        flow.gaussian(k), 2, fmt::format("flow, t = {:.2g}", k * flow.step_size), colour, false));
    cloud.curves.push_back(
        ellipse(process.at(k * flow.step_size), 2, last ? "the PDE's law" : "", "#20242A", true));
  }
  return examples::draw_curves(
      file, {distances, cloud},
      fmt::format("Ornstein-Uhlenbeck in {} dimensions, a = {}", flow.dim(), flow.step_size));
}

/// Figure 3: SymKL at the final time against the dimension, and against time in every dimension.
/// Error bars span minimum and maximum.
bool draw_figure(const std::filesystem::path& file, const std::vector<Errors>& all,
                 double step_size, const std::string& scheme) {
  const char* colours[] = {examples::colour::ours, examples::colour::target,
                           examples::colour::third, examples::colour::fourth,
                           examples::colour::quiet};
  const auto n = static_cast<Eigen::Index>(all.size()), steps = all.front().to_pde.rows();
  const double time = step_size * static_cast<double>(steps);
  const auto over_dimensions = [&](std::string label, Part part, const char* colour, bool dashed) {
    examples::Curve curve{std::move(label), Eigen::VectorXd(n), Eigen::VectorXd(n), colour, false,
                          dashed,           Eigen::VectorXd(n), Eigen::VectorXd(n)};
    for (Eigen::Index i = 0; i < n; ++i) {
      const auto& errors = all[static_cast<std::size_t>(i)];
      const auto last = (errors.*part).row(steps - 1);
      curve.x[i] = errors.dim, curve.y[i] = last.mean(), curve.low[i] = last.minCoeff(),
      curve.high[i] = last.maxCoeff();
    }
    curve.y = positive(curve.y), curve.low = positive(curve.low), curve.high = positive(curve.high);
    return curve;
  };
  const auto over_time = [&](std::string title, Part part) {
    examples::CurvePanel panel{std::move(title), "time", "", {}, false, true};
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto& values = all[i].*part;
      panel.curves.push_back(
          {fmt::format("d = {}", all[i].dim), Eigen::VectorXd::LinSpaced(steps, step_size, time),
           positive(values.rowwise().mean()), colours[i % std::size(colours)], false, false,
           positive(values.rowwise().minCoeff()), positive(values.rowwise().maxCoeff())});
    }
    return panel;
  };
  examples::CurvePanel dimensions{
      fmt::format("SymKL at t = {:.3g}", time), "dimension", "", {}, false, true};
  dimensions.curves = {
      over_dimensions("flow to the PDE", &Errors::to_pde, examples::colour::target, false),
      over_dimensions("exact iterate to the PDE", &Errors::iterate_to_pde, examples::colour::quiet,
                      true),
      over_dimensions("flow to the exact iterate", &Errors::to_iterate, examples::colour::ours,
                      false)};
  return examples::draw_curves(
      file,
      {dimensions, over_time("SymKL to the PDE", &Errors::to_pde),
       over_time("SymKL to the exact iterate", &Errors::to_iterate)},
      fmt::format(
          "Ornstein-Uhlenbeck, {} scheme, a = {}: mean, minimum and maximum over {} targets",
          scheme, step_size, all.front().to_pde.cols()));
}

/// \tparam Scalar of the training
template <class Preset, class Scheme, class Scalar>
void run(const Options& options) {
  Training training = options.training;
  training.run.steps = options.steps;
  examples::Report report("ornstein_uhlenbeck", options);
  constexpr bool by_dual = !std::is_same_v<decltype(Preset::form()), wgf::LogDeterminant>;
  report.setting("method", options.method);
  examples::report_training(report, options.preset, training);
  const std::vector<int> dims =
      options.figure ? std::vector{2, 6, 12, 16, 32} : std::vector{options.dim};
  report.setting("scheme", options.scheme);
  report.setting("figure", options.figure);
  report.setting("stiff", options.stiff);
  report.setting("dim", dims.back());
  report.setting("repeats", options.repeats);
  report.setting("samples", options.samples);
  report.setting("map", wgf::describe(Preset::map()));
  if constexpr (by_dual) report.setting("dual", examples::describe_dual(Preset::form()));
  else report.setting("precision", options.precision);
  examples::OutputFolder out(options.out);

  const int steps = options.steps;
  const Scheme scheme{.step_size = training.step_size};
  std::vector<Errors> all;
  std::vector<double> seconds;
  bool picture = false;
  examples::RunNumber which{.number = 0, .of = static_cast<int>(dims.size()) * options.repeats};
  for (const int dim : dims) {
    auto& errors = all.emplace_back(dim, steps, options.repeats);
    seconds.push_back(0);
    for (int repeat = options.repeats - 1; repeat >= 0;
         --repeat) {  // the last one, with the seed given, is kept
      const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(repeat);
      const auto process = random_process(options, dim, seed);
      const wgf::JkoSolver solver{wgf::kl(process.target(), Preset::form()), Preset::map(), scheme,
                                  examples::backend<Scalar>(options, seed)};
      ++which.number;
      const auto flow = examples::train(solver, wgf::Gaussian::isotropic(dim, 1), training.run,
                                        options, report, which)
                            .flow;
      seconds.back() += report.seconds("training");
      for (int k = 1; k <= steps; ++k) {
        const auto p = flow.gaussian(k), iterate = exact_iterate(process, scheme, k),
                   pde = process.at(k * scheme.step_size);
        errors.to_iterate(k - 1, repeat) = wgf::sym_kl(p, iterate),
                                 errors.to_pde(k - 1, repeat) = wgf::sym_kl(p, pde);
        errors.iterate_to_pde(k - 1, repeat) = wgf::sym_kl(iterate, pde);
      }
      if (repeat > 0 || dim != dims.back()) continue;
      wgf::write_npy(out.path("samples.npy"),
                     flow.sample(options.samples, examples::derived_seed(options, 0)));
      wgf::save(flow, out.path("flow.wgf"));
      picture = options.figure
                    ? draw_figure(out.path("picture.png"), all, scheme.step_size, options.scheme)
                    : draw(out.path("picture.png"), errors, process, flow);
    }
  }
  report.seconds("training", std::accumulate(seconds.begin(), seconds.end(), 0.0));

  examples::Summary summary(report);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& errors = all[i];
    const std::string suffix = options.figure ? fmt::format("_d{}", errors.dim) : "";
    const std::string where = options.figure ? fmt::format(", d = {}", errors.dim) : "";
    const auto end = [&](Part part) { return (errors.*part).row(steps - 1); };
    const double floor = end(&Errors::iterate_to_pde).mean();
    summary.metric("sym_kl_jko" + suffix, "SymKL to the exact iterate" + where,
                   end(&Errors::to_iterate).mean(), "training error; exact: 0");
    summary.metric("sym_kl_pde" + suffix, "SymKL to the PDE" + where, end(&Errors::to_pde).mean(),
                   fmt::format("exact iterate: {:.2g}", floor));
    summary.metric("sym_kl_jko_to_pde" + suffix, "... of the exact iterate", floor,
                   "time discretisation error");
    summary.metric("seconds" + suffix, "training time in seconds", seconds[i], "");
    report.list("sym_kl_jko_by_step" + suffix, errors.to_iterate.rowwise().mean().eval());
    report.list("sym_kl_pde_by_step" + suffix, errors.to_pde.rowwise().mean().eval());
    report.list("sym_kl_jko_to_pde_by_step" + suffix,
                errors.iterate_to_pde.rowwise().mean().eval());
    report.list("sym_kl_jko_by_repeat" + suffix, end(&Errors::to_iterate).transpose().eval());
    report.list("sym_kl_pde_by_repeat" + suffix, end(&Errors::to_pde).transpose().eval());
  }
  summary.print(fmt::format(
      "Ornstein-Uhlenbeck{} at t = {:.3g}, {} {} steps{}",
      options.figure ? "" : fmt::format(" in {} dimensions", options.dim), scheme.step_size * steps,
      steps, options.scheme,
      options.repeats > 1 ? fmt::format(", mean over {} targets", options.repeats) : ""));
  examples::publish(out, report, picture);
}

}  // namespace

int main(int argc, char** argv) {
  examples::CommandLine line(
      "Solves the Fokker-Planck equation of an Ornstein-Uhlenbeck process from N(0, I) and "
      "compares "
      "with the exact solution and the exact JKO iterates.",
      "ornstein_uhlenbeck");
  Options options;
  options.out = "out/ornstein_uhlenbeck";
  const examples::Presets presets{{"ours", ByLogDeterminant::training()},
                                  {"independent", Ours::training(false)},
                                  {"paper", Paper::training()}};
  examples::add_presets(line, options, presets, options.preset, options.training)
      .each([&](const std::string& preset) {
        if (preset != "ours") options.method = "dual";
      });
  examples::add_method(line, options.method).each([&](const std::string& method) {
    if (method == "dual" && options.preset == "ours") options.training = Ours::training(true);
  });
  std::string of_log_determinant;  // an option given that goes with it
  line.add("--precision", &options.precision,
           "of the training by log-determinants: double, or float as the dual has")
      .one_of({"double", "float"})
      .each([&](const std::string&) { of_log_determinant = "--precision"; });
  examples::add_common_options(line, options);
  line.add("--scheme", &options.scheme,
           "time discretisation: backward (JKO, first order) or midpoint (second order)")
      .one_of({"backward", "midpoint"});
  const auto dim = line.add("--dim", &options.dim, "dimension").at_least(1);
  line.add_flag(
          "--figure", [&] { options.figure = true, options.repeats = 15; },
          "figure 3: dimensions 2, 6, 12, 16 and 32, with 15 targets each (or --repeats)")
      .excludes(dim);
  line.add_flag(
      "--stiff", [&] { options.stiff = true; },
      "the rates, which are the eigenvalues of A, lie between 0.03 and 49, not 1 and 2");
  line.add("--repeats", &options.repeats,
           "number of random targets, with consecutive seeds from --seed")
      .at_least(1);
  line.add("--samples", &options.samples, "number of samples to write").at_least(1);
  examples::add_training_options(line, options.training);
  line.when_parsed([&] {
    examples::check_method(options.method, of_log_determinant, "log_determinant");
    if (options.preset != "ours")
      examples::check_method(options.method, "--preset " + options.preset, "dual");
  });
  return examples::run_main(line, options, argc, argv, [&] {
    const auto with = [&]<class Scalar>(auto preset, Scalar) {
      if (options.scheme == "midpoint") run<decltype(preset), wgf::Midpoint, Scalar>(options);
      else run<decltype(preset), wgf::Backward, Scalar>(options);
    };
    if (options.preset == "paper") with(Paper{}, 0.0f);
    else if (options.method == "dual") with(Ours{}, 0.0f);
    else if (options.precision == "float") with(ByLogDeterminant{}, 0.0f);
    else with(ByLogDeterminant{}, 0.0);
  });
}
