// SPDX-License-Identifier: BSL-1.0
// Porous medium: a spreading Barenblatt profile, compared with exact densities (section 4.3). The
// energy is evaluated by change of variables or by the paper's dual networks.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <wgf/exact/porous_medium.hpp>
#include <wgf/exact/quantile_jko.hpp>
#include <wgf/wgf.hpp>

#include "common/backend.hpp"
#include "common/options.hpp"
#include "common/output.hpp"
#include "common/plot.hpp"
#include "common/report.hpp"
#include "common/training.hpp"

using Eigen::VectorXd, wgf::Barenblatt, wgf::Particles;
using examples::CommonOptions, examples::Training;

namespace {

// ---- presets: networks and training ----
struct ByLogDeterminant {  // an evenly spread population, without which its noise is the error
  static auto icnn() { return wgf::IcnnGradient<32, 2>{}; }
  static auto residual() { return wgf::ResidualMlp<32, 3, wgf::Silu>{.affine = true}; }
  static Training training() {
    return {.run = {.steps = 10,
                    .training = {.iterations = 200,
                                 .batch = 512,
                                 .map_rate = 1e-2,
                                 .final_rate_fraction = 0.01,
                                 .first_step = 4},
                    .population = {.size = 100'000,
                                   .points = wgf::PointSet::quasi_random,
                                   .stratified = true}},
            .step_size = 0.001,
            .dropout = 0};
  }
};
struct Ours {  // the networks contain the solution: dilations, and P^{m−1} = (C − β|x|²)₊; the
               // sampling error of the population dominates, hence its size
  static auto icnn() { return wgf::IcnnGradient<32, 2>{}; }
  static auto residual() { return wgf::ResidualMlp<32, 3, wgf::Silu>{}; }
  static auto dual(double dropout) {
    return examples::dual_of<wgf::VariationalBound>(wgf::Quadratic{} +
                                                    wgf::Mlp<32, 3, wgf::Silu>{.dropout = dropout});
  }
  static Training training() {
    return {.run = {.steps = 10,
                    .training = {.iterations = 300,
                                 .batch = 512,
                                 .map_rate = 2e-3,
                                 .dual_rate = 1e-2,
                                 .first_step = 4},
                    .population = {.size = 1'000'000, .stratified = true}},
            .step_size = 0.001,
            .dropout = 0};
  }
};
struct Paper {  // appendix D.3, whose layers have width 10; here widths are multiples of 16
  static auto icnn() { return wgf::IcnnGradient<16, 4>{}; }
  static auto residual() { return wgf::ResidualMlp<16, 5>{}; }
  static auto dual(double dropout) {
    return examples::dual_of<wgf::VariationalBound>(wgf::Mlp<16, 4>{.dropout = dropout});
  }
  static Training training() {
    return {.run = {.steps = 10,
                    .training = {.iterations = 600,
                                 .batch = 100,
                                 .final_rate_fraction = 1,
                                 .tail_average = 0,
                                 .first_step = 1,
                                 .whiten = false}},
            .step_size = 0.001,
            .dropout = 0.1};
  }
};

struct Options : CommonOptions {
  std::string preset = "ours", method = "log_determinant", map = "icnn";
  Training training;
  int dim = 1;
  double exponent = 2, start_time = 0.002, margin = 1.25;
  long samples = 100'000;
};

// ---- profiles centred at the origin ----

/// Points that are denser where profiles are steep: sin θ for n equidistant angles in (−π/2, π/2),
/// or in (0, π/2).
VectorXd sines(int n, bool half) {
  const double low = half ? 0 : -std::numbers::pi / 2, width = std::numbers::pi / 2 - low;
  return VectorXd::NullaryExpr(n, [&](Eigen::Index i) {
    return std::sin(low + width * (static_cast<double>(i) + 0.5) / n);
  });
}
double trapezoid(const VectorXd& x, const VectorXd& y) {
  const auto n = x.size() - 1;
  return 0.5 * (x.tail(n) - x.head(n)).dot(y.tail(n) + y.head(n));
}
VectorXd density_on_line(const Barenblatt& p, const VectorXd& x) {
  return x.unaryExpr([&](double at) { return p.density(VectorXd::Constant(1, at)); });
}
/// The density of |X| at r ≥ 0, X ~ p.
VectorXd radial_density(const Barenblatt& p, const VectorXd& r) {
  const double half = 0.5 * p.dim(),
               log_sphere = std::log(2.0) + half * std::log(std::numbers::pi) - std::lgamma(half);
  return r.unaryExpr([&](double at) {
    VectorXd x = VectorXd::Zero(p.dim());
    x[0] = at;
    return p.density(x) * std::exp(log_sphere) * std::pow(at, p.dim() - 1);
  });
}
/// The quantiles of X ~ p in one dimension and of |X| in more, by quadrature of the density of |X|.
class Quantiles {
 public:
  explicit Quantiles(const Barenblatt& p)
      : on_line_(p.dim() == 1), r_(4002), levels_(VectorXd::Zero(4002)) {
    r_ << 0, p.radius() * sines(4000, true), p.radius();
    const VectorXd density = radial_density(p, r_);
    for (Eigen::Index i = 1; i < r_.size(); ++i)
      levels_[i] = levels_[i - 1] + 0.5 * (r_[i] - r_[i - 1]) * (density[i] + density[i - 1]);
    levels_ /= levels_[levels_.size() - 1];
  }
  double operator()(double level) const {
    if (!on_line_) return radius(level);
    return level < 0.5 ? -radius(1 - 2 * level) : radius(2 * level - 1);
  }
  /// P(|X| ≤ r).
  double mass_within(double r) const { return interpolated(r_, levels_, r); }

 private:
  double radius(double level) const { return interpolated(levels_, r_, level); }
  static double interpolated(const VectorXd& x, const VectorXd& y, double at) {
    const auto i = std::clamp<Eigen::Index>(std::upper_bound(x.begin(), x.end(), at) - x.begin(), 1,
                                            x.size() - 1);
    const double width = x[i] - x[i - 1],
                 share = width > 0 ? std::clamp((at - x[i - 1]) / width, 0.0, 1.0) : 0;
    return y[i - 1] + share * (y[i] - y[i - 1]);
  }

  bool on_line_;
  VectorXd r_, levels_;
};
/// ∫|p − q|.
double l1(const Barenblatt& p, const Barenblatt& q) {
  const VectorXd r = std::max(p.radius(), q.radius()) * sines(4000, true);
  return trapezoid(r, (radial_density(p, r) - radial_density(q, r)).cwiseAbs());
}
/// (E|X − c|²)^½.
double rms_radius(const Particles& x) { return std::sqrt(x.colwise().squaredNorm().mean()); }
/// X on the line, |X| in more dimensions.
VectorXd profile_coordinates(const Particles& x) {
  return x.rows() == 1 ? VectorXd(x.row(0)) : VectorXd(x.colwise().norm());
}
/// W₂ between the profile coordinates of samples and of p: sorted values against quantiles.
double wasserstein(const Particles& x, const Barenblatt& p) {
  VectorXd values = profile_coordinates(x);
  std::sort(values.begin(), values.end());
  const Quantiles quantile(p);
  double sum = 0;
  for (Eigen::Index i = 0; i < values.size(); ++i)
    sum += std::pow(
        values[i] - quantile((static_cast<double>(i) + 0.5) / static_cast<double>(values.size())),
        2);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

// ---- densities of the flow, by the change of variables ----

/// Points and the log-density of P_k there.
struct Evaluated {
  Particles points;
  VectorXd log_density;
};
constexpr int shells = 25;

/// ∫|P_k − q|. In one dimension by quadrature on the sorted points, plus the mass of q outside
/// them; otherwise as 2 E(1 − q/P_k)₊ over the points, which are an evenly spread sample of P_k.
double l1(const Evaluated& p, const Barenblatt& q) {
  if (q.dim() == 1) {
    const VectorXd x = p.points.row(0), there = density_on_line(q, x);
    return trapezoid(x, (p.log_density.array().exp().matrix() - there).cwiseAbs()) +
           std::abs(1 - trapezoid(x, there));
  }
  double sum = 0;
  for (Eigen::Index i = 0; i < p.points.cols(); ++i) {
    const double excess = 1 - std::exp(q.log_density(p.points.col(i)) - p.log_density[i]);
    sum += excess + std::abs(excess);
  }
  return sum / static_cast<double>(p.points.cols());
}
/// Differences of the masses of P_k and q in shells of equal thickness that cover the support of q,
/// and outside: E(1 − q/P_k) over the points in the shell.
VectorXd shell_differences(const Evaluated& p, const Barenblatt& q) {
  VectorXd difference = VectorXd::Zero(shells + 1);
  for (Eigen::Index i = 0; i < p.points.cols(); ++i) {
    const double r = p.points.col(i).norm() / q.radius();
    difference[std::min(static_cast<int>(r * shells), shells)] +=
        1 - std::exp(q.log_density(p.points.col(i)) - p.log_density[i]);
  }
  return difference / static_cast<double>(p.points.cols());
}

// ---- picture ----

/// The outline of a histogram.
examples::Curve histogram(const VectorXd& values, double low, double high, int bins) {
  const double step = (high - low) / bins;
  VectorXd counts = VectorXd::Zero(bins);
  for (const double v : values)
    if (v >= low && v < high) ++counts[std::min(static_cast<int>((v - low) / step), bins - 1)];
  examples::Curve curve{"samples", VectorXd(2 * bins + 2), VectorXd::Zero(2 * bins + 2), "#B9C6D6"};
  for (int i = 0; i <= bins; ++i) curve.x[2 * i] = curve.x[2 * i + 1] = low + i * step;
  for (int i = 0; i < bins; ++i)
    curve.y[2 * i + 1] = curve.y[2 * i + 2] =
        counts[i] / (step * static_cast<double>(values.size()));
  return curve;
}

/// A step of the flow and the exact densities.
struct Step {
  double time;
  Evaluated flow;
  Barenblatt iterate, solution;
};

/// Densities of x in one dimension and of |x| in more, at the first, middle and last step.
/// \param quantiles of the quantile solver's steps, in one dimension
bool draw(const std::filesystem::path& file, const std::vector<Step>& all,
          const std::vector<Particles>& path, const std::vector<VectorXd>& quantiles,
          double exponent) {
  const int steps = static_cast<int>(all.size()) - 1, n = all.front().iterate.dim();
  const bool line = n == 1;
  const double reach = 1.1 * std::max(all.back().iterate.radius(), all.back().solution.radius()),
               low = line ? -reach : 0;
  const VectorXd x = VectorXd::LinSpaced(400, low, reach);
  const auto exact = [&](const Barenblatt& p) {
    return line ? density_on_line(p, x) : radial_density(p, x);
  };
  std::vector<examples::CurvePanel> panels;
  int last = 0;
  for (const int k : {1, (steps + 1) / 2, steps}) {
    if (k == last) continue;
    last = k;
    const auto i = static_cast<std::size_t>(k);
    const Step& step = all[i];
    examples::CurvePanel panel{fmt::format("t = {:.2g}", step.time),
                               line ? "x" : "|x|",
                               line ? "density" : "density of |x|",
                               {}};
    panel.curves.push_back(histogram(profile_coordinates(path[i]), low, reach, line ? 60 : 40));
    panel.curves.push_back({"PDE", x, exact(step.solution), examples::colour::target, false, true});
    if (line) {
      const VectorXd at = wgf::QuantileJko::midpoints(quantiles[i]),
                     density = wgf::QuantileJko::density(quantiles[i]);
      const Eigen::Index every = 80;
      const auto some = [&](const VectorXd& v) -> VectorXd {
        return v(Eigen::seq(0, v.size() - 1, every));
      };
      panel.curves.push_back(
          {"JKO in quantiles", some(at), some(density), examples::colour::third, true});
      panel.curves.push_back({"flow", step.flow.points.row(0), step.flow.log_density.array().exp(),
                              examples::colour::ours});
    } else {
      const double width = step.iterate.radius() / shells;
      const VectorXd difference = shell_differences(step.flow, step.iterate);
      const Quantiles law(step.iterate);
      examples::Curve curve{"flow", VectorXd(shells), VectorXd(shells), examples::colour::ours,
                            true};
      for (int j = 0; j < shells; ++j) {
        curve.x[j] = (j + 0.5) * width;
        curve.y[j] =
            (law.mass_within((j + 1) * width) - law.mass_within(j * width) + difference[j]) / width;
      }
      panel.curves.push_back(std::move(curve));
    }
    panel.curves.push_back({"exact JKO iterate", x, exact(step.iterate), "#20242A", false, true});
    panels.push_back(std::move(panel));
  }
  return examples::draw_curves(file, panels,
                               fmt::format("Porous medium equation, m = {}, in {} dimension{}",
                                           exponent, n, line ? "" : "s"));
}

/// \param form of the energy: wgf::LogDeterminant or a wgf::Dual
template <class Form, class Map>
void run(const Options& options, const Form& form, const Map& map) {
  Training training = options.training;
  training.run.steps = options.steps;
  const int n = options.dim, steps = options.steps;
  const double m = options.exponent, a = training.step_size;
  examples::Report report("porous_medium", options);
  report.setting("method", options.method);
  examples::report_training(report, options.preset, training);
  report.setting("dim", n);
  report.setting("m", m);
  report.setting("t0", options.start_time);
  report.setting("samples", options.samples);
  report.setting("map", wgf::describe(map));
  if constexpr (!std::is_same_v<Form, wgf::LogDeterminant>) {
    report.setting("margin", options.margin);
    report.setting("dual", examples::describe_dual(form));
  }
  const wgf::PorousMedium process(n, m);
  const auto start = Barenblatt::at(n, m, options.start_time);
  examples::OutputFolder out(options.out);

  const wgf::JkoSolver solver{wgf::generalized_entropy(m, form), map, wgf::Backward{.step_size = a},
                              examples::backend(options)};
  const double cpu_before = examples::cpu_seconds();
  const auto flow = examples::train(solver, start, training.run, options, report).flow;
  report.metric("cpu_seconds", examples::cpu_seconds() - cpu_before);

  std::vector<Step> all;
  std::vector<VectorXd> quantiles;
  std::vector<double> to_iterate, to_pde, to_each_other;
  const auto path = report.timed("metrics", [&] {
    Particles x = n == 1 ? Particles(start.radius() * sines(4000, false).transpose())
                         : start.quasi_random(20'000, examples::derived_seed(options, 1));
    VectorXd log_density = flow.initial_log_density(x);
    for (int k = 0; k <= steps; ++k) {
      if (k > 0) try {
          std::tie(x, log_density) = flow.push_with_log_density(x, log_density, k - 1, k);
        } catch (const wgf::InversionError& error) {  // a residual map can fold
          report.note(error.what());
          x = flow.push(x, k - 1, k),
          log_density.setConstant(std::numeric_limits<double>::quiet_NaN());
        }
      const auto& now = all.emplace_back(
          Step{k * a, {x, log_density}, process.jko(start, k, a), process.at(start, k * a)});
      if (k == 0) continue;
      to_iterate.push_back(l1(now.flow, now.iterate)), to_pde.push_back(l1(now.flow, now.solution));
      to_each_other.push_back(l1(now.iterate, now.solution));
    }
    if (n == 1)
      quantiles = wgf::QuantileJko({.exponent = m}, a)
                      .run(wgf::QuantileJko::quantiles(Quantiles(start), 2000), steps);
    return flow.trajectory(start.quasi_random(options.samples, examples::derived_seed(options, 0)));
  });

  examples::Summary summary(report);
  const auto& last = all.back().iterate;
  summary.metric(
      "l1_jko", "L1 to the exact iterate, maximum over the steps",
      Eigen::Map<const VectorXd>(to_iterate.data(), steps).maxCoeff<Eigen::PropagateNaN>(),
      "training error; exact: 0");
  summary.metric("l1_pde", "L1 to the PDE at the end", to_pde.back(),
                 fmt::format("exact iterate: {:.2g}", to_each_other.back()));
  if (n == 1) {
    const VectorXd at = wgf::QuantileJko::midpoints(quantiles.back()),
                   density = wgf::QuantileJko::density(quantiles.back());
    summary.metric("l1_reference", "L1 of the quantile solver to the exact iterate",
                   trapezoid(at, (density - density_on_line(last, at)).cwiseAbs()),
                   "its discretisation error");
  } else {
    const VectorXd difference = shell_differences(all.back().flow, last);
    summary.metric("radial_l1", "L1 of the density of |x| to the exact iterate",
                   (difference + difference.cwiseAbs()).sum(), "exact: 0");
  }
  summary.metric("rms_radius_error", "relative error of the rms radius",
                 rms_radius(path.back()) / last.rms_radius() - 1,
                 fmt::format("of the samples of P_0: {:.1g}",
                             rms_radius(path.front()) / start.rms_radius() - 1));
  summary.metric("w2_over_radius",
                 n == 1 ? "W2 to the exact iterate, relative to its radius"
                        : "W2 of |x| to the exact iterate, relative to its radius",
                 wasserstein(path.back(), last) / last.radius(),
                 fmt::format("of the samples of P_0: {:.1g}",
                             wasserstein(path.front(), start) / start.radius()));
  summary.training_seconds();
  report.list("l1_jko_by_step", to_iterate);
  report.list("l1_pde_by_step", to_pde);
  report.list("l1_jko_to_pde_by_step", to_each_other);

  wgf::write_npy(out.path("samples.npy"), path.back());
  wgf::save(flow, out.path("flow.wgf"));
  summary.print(fmt::format("porous medium, m = {}, in {} dimensions at t = {:.3g}, {} steps", m, n,
                            a * steps, steps));
  const bool picture = report.timed(
      "picture", [&] { return draw(out.path("picture.png"), all, path, quantiles, m); });
  examples::publish(out, report, picture);
}

}  // namespace

int main(int argc, char** argv) {
  examples::CommandLine line(
      "Solves the porous medium equation from a Barenblatt profile and compares with the exact "
      "solution and the exact JKO iterates.",
      "porous_medium");
  Options options;
  options.out = "out/porous_medium";
  const examples::Presets presets{{"ours", ByLogDeterminant::training()},
                                  {"paper", Paper::training()}};
  examples::add_presets(line, options, presets, options.preset, options.training)
      .each([&](const std::string& preset) {
        if (preset == "paper") options.method = "dual";
      });
  examples::add_method(line, options.method).each([&](const std::string& method) {
    if (method == "dual" && options.preset == "ours") options.training = Ours::training();
  });
  line.add("--dim", &options.dim,
           "dimension n; above 1 the step size and t0 are halved and the margin is 1.15")
      .at_least(1)
      .each([&](const std::string& dim) {
        int n = 1;
        if (examples::convert(dim, n) && n > 1)
          options.training.step_size = 0.0005, options.start_time = 0.001, options.margin = 1.15;
      });
  examples::add_map(line, options.map);
  examples::add_common_options(line, options);
  line.add("--m", &options.exponent, "exponent m of the equation, above 1").between(1, 10, true);
  line.add("--t0", &options.start_time, "P_0 is the Barenblatt profile at time t0").positive();
  std::string of_dual;  // an option given that goes with it
  line.add("--margin", &options.margin,
           "of the dual: width of the reference box relative to that of P_k")
      .at_least(1)
      .each([&](const std::string&) { of_dual = "--margin"; });
  line.add("--samples", &options.samples, "number of samples to evaluate and write").at_least(2);
  examples::add_training_options(line, options.training);
  examples::add_dropout(line, options.training).each([&](const std::string&) {
    of_dual = "--dropout";
  });
  line.when_parsed([&] {
    if (options.preset == "paper") of_dual = "--preset paper";
    examples::check_method(options.method, of_dual, "dual");
  });
  return examples::run_main(line, options, argc, argv, [&] {
    const auto with = [&](auto preset, const auto& form) {
      if (options.map == "icnn") run(options, form, preset.icnn());
      else run(options, form, preset.residual());
    };
    const auto by_dual = [&](auto preset) {
      auto dual = preset.dual(options.training.dropout);
      dual.margin = options.margin;
      with(preset, dual);
    };
    if (options.preset == "paper") by_dual(Paper{});
    else if (options.method == "dual") by_dual(Ours{});
    else with(ByLogDeterminant{}, wgf::LogDeterminant{});
  });
}
