// SPDX-License-Identifier: BSL-1.0
// Aggregation and diffusion in the plane, compared with finite volumes (section 4.4).
// A uniform square splits into four pulses that merge; see also appendix C.3. The diffusion's
// energy is evaluated by change of variables or by the paper's dual networks.
#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <wgf/exact/finite_volume.hpp>
#include <wgf/wgf.hpp>

#include "common/backend.hpp"
#include "common/options.hpp"
#include "common/output.hpp"
#include "common/plot.hpp"
#include "common/report.hpp"
#include "common/training.hpp"

using examples::CommonOptions, examples::Training;

namespace {

// ∂P/∂t = c ∇·(P ∇W∗P) + 0.1 c² ΔP³, W(x) = −exp(−|x|²)/π: the equation of section 4.4 for a
// density of mass c, rescaled to mass 1.
constexpr double exponent = 3, half_width = 3;
double diffusion(double mass) { return 0.1 * mass * mass; }

struct Options : CommonOptions {
  std::string scheme = "backward", method = "log_determinant", map = "by default";
  Training training;
  double mass = 9;
  int cells = 80;
  long samples = 20000;
};

// ---- networks, and a preset for each scheme ----
auto dual(const Options& o) {
  return examples::dual_of<wgf::VariationalBound>(
      wgf::Quadratic{} +
      wgf::Mlp<48, 3, wgf::Silu>{.dropout = o.training.dropout, .input_scale = 5});
}
Training backward_by_dual() {
  return {.run = {.steps = 40,
                  .training = {.iterations = 300,
                               .batch = 2048,
                               .map_rate = 3e-3,
                               .dual_rate = 1.2e-2,
                               .final_rate_fraction = 0.01,
                               .first_step = 4},
                  .population = {.size = 20'000, .stratified = true, .forward_samples = 20'000}},
          .step_size = 0.5,
          .dropout = 0};
}
/// The forward half is an explicit step. It overshoots where a·c·∇²W > 1, which happens with a =
/// 0.5 once the pulses have merged.
Training forward_backward(Training t) {
  t.run.steps = 80, t.step_size = 0.25, t.run.training.iterations = 200;
  return t;
}
Training backward_by_log_determinant() {
  Training t = backward_by_dual();
  t.run.training.map_rate = 1e-2;
  t.run.population.points = wgf::PointSet::quasi_random;
  return t;
}
Training training(const Options& o) {
  const Training backward = o.method == "dual" ? backward_by_dual() : backward_by_log_determinant();
  return o.scheme == "backward" ? backward : forward_backward(backward);
}

wgf::UniformBox start() { return wgf::UniformBox::cube(2, half_width); }

/// The number of pulses: local maxima of the smoothed histogram of the particles, at least 0.5
/// apart and half as high as the largest.
int pulses(const wgf::Particles& x) {
  constexpr int n = 80, reach = 5;
  constexpr double cell = 0.1, width = 2;  // cell size in x; smoothing width in cells
  Eigen::MatrixXd counts = Eigen::MatrixXd::Zero(n, n), smoothing(n, n);
  const auto index = [](double at) {
    return std::clamp(static_cast<int>(at / cell + n / 2.0), 0, n - 1);
  };
  for (Eigen::Index i = 0; i < x.cols(); ++i) ++counts(index(x(0, i)), index(x(1, i)));
  for (int j = 0; j < n; ++j)
    for (int i = 0; i < n; ++i)
      smoothing(i, j) = std::exp(-0.5 * (i - j) * (i - j) / (width * width));
  const Eigen::MatrixXd height = smoothing * counts * smoothing;
  int found = 0;
  for (int j = reach; j < n - reach; ++j)
    for (int i = reach; i < n - reach; ++i)
      found += height(i, j) >= 0.5 * height.maxCoeff() &&
               height(i, j) ==
                   height.block(i - reach, j - reach, 2 * reach + 1, 2 * reach + 1).maxCoeff();
  return found;
}

/// A solution at the times 0, a, 2a, ….
struct Solution {
  std::vector<wgf::Particles> samples;
  std::vector<double> energy;

  double second_moment(int k) const {
    return samples[static_cast<std::size_t>(k)].colwise().squaredNorm().mean();
  }
};

Solution finite_volumes(const Options& o) {
  const auto grid = wgf::CellGrid::cube(2, 4, o.cells);
  wgf::AggregationDiffusion equation;
  equation.interaction = [](const Eigen::VectorXd& x) {
    return wgf::GaussianKernel{}.value(x.squaredNorm());
  };
  equation.strength = o.mass, equation.diffusion = diffusion(o.mass), equation.exponent = exponent;
  const auto square = start();
  wgf::FiniteVolume solver(
      grid, equation,
      grid.means([&](const Eigen::VectorXd& x) { return std::exp(square.log_density(x)); }, 10));
  Solution solution;
  for (int k = 0; k <= o.steps; ++k) {
    solver.advance(k * o.training.step_size);
    solution.samples.push_back(solver.sample(o.samples, examples::derived_seed(o, 1)));
    solution.energy.push_back(solver.energy());
    examples::check_interrupt();
  }
  return solution;
}

/// The energies c/2 E[W(X − Y)] + 0.1c²/2 ∫P³ after every step, one column for each of several
/// independent sets of evenly spread points: ∫P³ = E[P²] with P by the change of variables. The
/// rows end where a map is not injective.
template <class Flow>
Eigen::ArrayXXd energies(const Flow& flow, const Options& o, long n) {
  constexpr int sets = 4;
  const auto energy = [&](const wgf::Particles& x, const Eigen::VectorXd& log_density) {
    double interaction = 0;
    for (Eigen::Index i = 0; i < n; ++i)
      interaction += wgf::GaussianKernel{}
                         .value((x.colwise() - x.col(i)).colwise().squaredNorm().array().eval())
                         .mean();
    return 0.5 * o.mass * interaction / static_cast<double>(n) +
           diffusion(o.mass) / (exponent - 1) * ((exponent - 1) * log_density.array()).exp().mean();
  };
  Eigen::ArrayXXd all(flow.size() + 1, sets);
  Eigen::Index known = all.rows();
  for (int set = 0; set < sets; ++set) {
    wgf::Particles x = start().quasi_random(n, examples::derived_seed(o, 2 + set));
    Eigen::VectorXd log_density = flow.initial_log_density(x);
    all(0, set) = energy(x, log_density);
    for (int k = 0; k + 1 < known; ++k) try {
        std::tie(x, log_density) =
            flow.push_with_log_density(std::move(x), std::move(log_density), k, k + 1);
        all(k + 1, set) = energy(x, log_density);
      } catch (const wgf::InversionError&) {  // a residual map folds: no density from here on
        known = k + 1;
      }
  }
  return all.topRows(known);
}
/// The mean of each row.
std::vector<double> means(const Eigen::ArrayXXd& values) {
  const Eigen::ArrayXd mean = values.rowwise().mean();
  return {mean.begin(), mean.end()};
}
/// The standard errors of these means.
Eigen::ArrayXd errors(const Eigen::ArrayXXd& values) {
  const auto n = static_cast<double>(values.cols());
  return ((values.colwise() - values.rowwise().mean()).square().rowwise().sum() / (n * (n - 1)))
      .sqrt();
}

/// \param form of the diffusion's energy: wgf::LogDeterminant or a wgf::Dual
template <class Scheme, class Form, class Map>
void run(const Options& options, const Form& form, const Map& map) {
  Training training = options.training;
  training.run.steps = options.steps;
  examples::Report report("aggregation_diffusion", options);
  examples::report_training(report, options.scheme, training);
  report.setting("method", options.method);
  report.setting("scheme", options.scheme);
  report.setting("mass", options.mass);
  report.setting("cells", options.cells);
  report.setting("samples", options.samples);
  report.setting("map", wgf::describe(map));
  if constexpr (!std::is_same_v<Form, wgf::LogDeterminant>)
    report.setting("dual", examples::describe_dual(form));
  examples::OutputFolder out(options.out);

  const int steps = options.steps;
  const double a = training.step_size;
  const auto entropy = wgf::generalized_entropy(exponent, form);
  const wgf::JkoSolver solver{
      options.mass * wgf::interaction(wgf::GaussianKernel{}) + diffusion(options.mass) * entropy,
      map, Scheme{.step_size = a}, examples::backend(options)};
  const double cpu_before = examples::cpu_seconds();
  const auto flow = examples::train(solver, start(), training.run, options, report).flow;
  report.metric("cpu_seconds", examples::cpu_seconds() - cpu_before);
  Solution ours;
  report.timed("push", [&] {
    ours.samples =
        flow.trajectory(start().quasi_random(options.samples, examples::derived_seed(options, 0)));
  });
  const auto energy_sets = report.timed(
      "energy", [&] { return energies(flow, options, std::min(options.samples, 2000L)); });
  ours.energy = means(energy_sets);
  const auto reference = report.timed("reference", [&] { return finite_volumes(options); });

  std::vector<double> distance, moment, reference_moment;
  std::vector<int> found, reference_found;
  double distance_to_9 = 0, rise = 0, rise_error = 0;
  Eigen::Index worst = 0;
  report.timed("metrics", [&] {
    for (int k = 0; k <= steps; ++k) {
      const auto &x = ours.samples[static_cast<std::size_t>(k)],
                 &y = reference.samples[static_cast<std::size_t>(k)];
      distance.push_back(wgf::sliced_wasserstein(x, y, {.projections = 50}));
      if (k * a <= 9 + 1e-9) distance_to_9 = std::max(distance_to_9, distance.back());
      moment.push_back(ours.second_moment(k)),
          reference_moment.push_back(reference.second_moment(k));
      found.push_back(pulses(x)), reference_found.push_back(pulses(y));
    }
    const auto known = energy_sets.rows() - 1;
    const Eigen::ArrayXXd increases = energy_sets.bottomRows(known) - energy_sets.topRows(known);
    if (known > 0) rise = increases.rowwise().mean().maxCoeff(&worst);
    if (known > 0) rise_error = errors(increases)[worst];
  });

  examples::Summary summary(report);
  summary.metric("sliced_w2_max", "sliced W2 to finite volumes, maximum up to t = 9", distance_to_9,
                 "below 0.05");
  summary.metric("sliced_w2_end", "... at the end", distance.back(), "");
  summary.metric("sliced_w2_start", "... at the start", distance.front(), "sampling noise");
  summary.metric("pulses_end", "pulses at the end", found.back(),
                 fmt::format("finite volumes: {}", reference_found.back()));
  summary.metric("second_moment", "second moment at the end", moment.back(),
                 fmt::format("finite volumes: {:.4g}", reference_moment.back()));
  summary.metric("second_moment_error", "... its relative error",
                 std::abs(moment.back() / reference_moment.back() - 1), "below 0.04");
  const auto known = ours.energy.size() - 1;
  summary.metric("energy", "energy", ours.energy[known],
                 fmt::format("at t = {:.3g}, finite volumes: {:.4g}",
                             static_cast<double>(known) * a, reference.energy[known]));
  summary.metric("energy_rise", "largest increase of the energy in a step", rise,
                 fmt::format("standard error: {:.1g}", rise_error));
  summary.metric("energy_rise_error", "... its standard error", rise_error);
  summary.training_seconds();
  report.list("sliced_w2_by_step", distance);
  report.list("energy_by_step", ours.energy),
      report.list("reference_energy_by_step", reference.energy);
  report.list("second_moment_by_step", moment),
      report.list("reference_second_moment_by_step", reference_moment);
  report.list("pulses_by_step", found), report.list("reference_pulses_by_step", reference_found);

  wgf::write_npy(out.path("samples.npy"), ours.samples.back());
  wgf::save(flow, out.path("flow.wgf"));
  const bool picture = report.timed("picture", [&] {
    std::vector<examples::ScatterPanel> panels, below;
    for (const int k : examples::steps_to_draw(steps, {0.0, 0.1, 0.3, 0.6, 0.75, 1.0})) {
      panels.push_back(
          {fmt::format("t = {:.3g}", k * a), {{ours.samples[static_cast<std::size_t>(k)]}}});
      below.push_back(
          {"finite volumes",
           {{reference.samples[static_cast<std::size_t>(k)], examples::colour::target}}});
    }
    examples::ScatterStyle style;
    style.title = "Aggregation and diffusion: the flow (top) and finite volumes (bottom)";
    style.lower = Eigen::Vector2d::Constant(-3.3), style.upper = Eigen::Vector2d::Constant(3.3);
    style.max_columns = static_cast<int>(panels.size());
    panels.insert(panels.end(), below.begin(), below.end());
    return examples::draw_scatter(out.path("picture.png"), panels, style);
  });
  summary.print(fmt::format("aggregation and diffusion at t = {:.3g}, {} steps, {} scheme",
                            a * steps, steps, options.scheme));
  examples::publish(out, report, picture);
}

template <class Scheme, class Form>
void run(const Options& o, const Form& form) {
  const bool by_dual = !std::is_same_v<Form, wgf::LogDeterminant>;
  const bool icnn = o.map == "icnn" || (o.map == "by default" && by_dual && o.scheme == "backward");
  if (icnn) run<Scheme>(o, form, wgf::IcnnGradient<48, 2>{.input_scale = 3});
  else run<Scheme>(o, form, wgf::ResidualMlp<48, 3, wgf::Silu>{.input_scale = 3});
}
template <class Form>
void run_scheme(const Options& o, const Form& form) {
  if (o.scheme == "forward_backward") run<wgf::ForwardBackward>(o, form);
  else run<wgf::Backward>(o, form);
}

}  // namespace

int main(int argc, char** argv) {
  examples::CommandLine line(
      "Solves an aggregation-diffusion equation in the plane as a Wasserstein gradient flow and "
      "compares it with finite volumes.",
      "aggregation_diffusion");
  Options options;
  options.out = "out/aggregation_diffusion";
  const Training backward = backward_by_log_determinant();
  const examples::Presets schemes{{"backward", backward},
                                  {"forward_backward", forward_backward(backward)}};
  examples::add_presets(line, options, schemes, options.scheme, options.training, "--scheme",
                        "backward, or forward_backward (interaction explicit); selects a preset");
  examples::add_method(line, options.method).each([&](const std::string& method) {
    options.method = method, options.training = training(options);
  });
  examples::add_common_options(line, options);
  line.add(
          "--map", &options.map,
          "transport map: residual (a residual network) or icnn (the gradient of a convex network)")
      .one_of({"residual", "icnn"})
      .shown_default("residual; icnn with --method dual and --scheme backward");
  line.add("--mass", &options.mass, "mass c: interaction scales with c, diffusion with c^2")
      .positive();
  line.add("--cells", &options.cells, "finite-volume cells per side").at_least(20);
  line.add("--samples", &options.samples, "number of samples to evaluate and write").at_least(2);
  examples::add_training_options(line, options.training);
  std::string of_dual;  // an option given that goes with it
  examples::add_dropout(line, options.training).each([&](const std::string&) {
    of_dual = "--dropout";
  });
  line.when_parsed([&] { examples::check_method(options.method, of_dual, "dual"); });
  return examples::run_main(line, options, argc, argv, [&] {
    if (options.method == "dual") run_scheme(options, dual(options));
    else run_scheme(options, wgf::LogDeterminant{});
  });
}
