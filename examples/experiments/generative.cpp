// SPDX-License-Identifier: BSL-1.0
// Generative: the flow of an f-divergence to a target given by samples (eq. 8).
// The target is two moons, a ring of Gaussians or a file.
#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
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

// ---- networks, and a preset for each divergence ----
auto map() { return wgf::ResidualMlp<64, 4, wgf::Silu>{.input_scale = 3}; }
auto dual(double dropout) {
  return examples::dual_of(wgf::Quadratic{} +
                           wgf::Mlp<64, 4, wgf::Silu>{.dropout = dropout, .input_scale = 3});
}
/// \param step_size relative to the variance of the data. Near the target the flow of D_f is f''(1)
/// times as fast as that of KL.
Training training(double step_size) {
  return {.run = {.steps = 20,
                  .training = {.iterations = 200,
                               .batch = 1024,
                               .map_rate = 1e-3,
                               .dual_rate = 4e-3,
                               .first_step = 4}},
          .step_size = step_size,
          .dropout = 0};
}

struct Options : CommonOptions {
  std::string divergence = "js";
  Training training;
  std::string target = "two_moons", data;
  long target_samples = 20000;
  long samples = 4000;
};

/// The training samples and the held-out samples of the target.
struct Data {
  wgf::Particles seen, held_out;
  std::optional<wgf::GaussianMixture> law = {};  ///< if known
};

/// Samples of a built-in target, or the rows of a file. Every fifth row is held out, up to the
/// number of samples evaluated.
Data data_of(const Options& options) {
  if (options.data.empty()) {
    const auto law = options.target == "ring" ? examples::ring() : examples::two_moons();
    return {law.sample(options.target_samples, examples::derived_seed(options, 0)),
            law.sample(options.samples, examples::derived_seed(options, 1)), law};
  }
  const wgf::Particles all = wgf::read_npy(options.data);
  const Eigen::Index held_out = all.cols() / 5, least = 10 * (all.rows() + 1);
  if (all.rows() < 1 || held_out < least)
    throw std::runtime_error(fmt::format("{}: {} rows of {} numbers; at least {} are needed",
                                         options.data, all.cols(), all.rows(), 5 * least));
  if (!all.allFinite())
    throw std::runtime_error(fmt::format("{}: not all numbers are finite", options.data));
  Data data{wgf::Particles(all.rows(), all.cols() - held_out),
            wgf::Particles(all.rows(), held_out)};
  Eigen::Index seen = 0, kept = 0;
  for (Eigen::Index i = 0; i < all.cols(); ++i)
    (i % 5 == 4 ? data.held_out.col(kept++) : data.seen.col(seen++)) = all.col(i);
  if (kept > options.samples) data.held_out.conservativeResize(Eigen::NoChange, options.samples);
  return data;
}

/// In the plane the particles at five times beside the data; otherwise the marginals.
template <class Flow>
bool draw(const std::filesystem::path& file, const Data& data, const Flow& flow,
          const wgf::Particles& start, const std::string& title) {
  const auto path = flow.trajectory(start);
  if (flow.dim() != 2) {
    std::vector<examples::MarginalPanel> panels;
    for (int i = 0; i < std::min(flow.dim(), 10); ++i)
      panels.push_back(
          {fmt::format("coordinate {}", i + 1), path.back().row(i), data.held_out.row(i)});
    return examples::draw_marginals(file, panels,
                                    {.title = title, .reference_label = "held-out data"});
  }
  std::vector<examples::ScatterPanel> panels;
  for (const int k : examples::steps_to_draw(flow.size()))
    panels.push_back(
        {fmt::format("t = {:.3g}", k * flow.step_size), {{path[static_cast<std::size_t>(k)]}}});
  panels.push_back({"data", {{data.held_out, examples::colour::target}}});
  examples::ScatterStyle style;
  style.title = title;
  style.max_columns = 3;
  return examples::draw_scatter(file, panels, style);
}

/// \param along the name of the divergence in the title
template <class Divergence>
void run(const Options& options, const std::string& along, const Divergence& divergence) {
  Training training = options.training;
  training.run.steps = options.steps;
  examples::Report report("generative", options);
  examples::report_training(report, options.divergence, training);
  report.setting("divergence", options.divergence);
  report.setting("data", options.data.empty() ? options.target : options.data);
  report.setting("samples", options.samples);
  const auto u = dual(training.dropout);
  report.setting("map", wgf::describe(map()));
  report.setting("dual", examples::describe_dual(u));
  const Data data = data_of(options);
  report.setting("dim", data.seen.rows());
  report.setting("target_samples", data.seen.cols());
  examples::OutputFolder out(options.out);

  const auto initial = wgf::Gaussian::fit(data.seen);
  const double variance = initial.covariance().trace() / initial.dim();
  const wgf::JkoSolver solver{wgf::divergence_to(data.seen, divergence, u), map(),
                              wgf::Backward{.step_size = training.step_size * variance},
                              examples::backend(options)};
  const auto trained = examples::train(solver, initial, training.run, options, report);
  const auto& flow = trained.flow;
  double bound = 0;
  int reports = 0;  // in the last step
  for (const auto& p : trained.history)
    if (p.step == flow.size() && !p.step_done) bound += p.dual, ++reports;

  const auto start = flow.draw_initial(options.samples, examples::derived_seed(options, 2));
  const auto x = flow.push(start);
  const auto& y = data.held_out;
  const auto some = data.seen.leftCols(std::min<Eigen::Index>(data.seen.cols(), options.samples));

  examples::Summary summary(report);
  report.timed("metrics", [&] {
    summary.metric("energy_distance", "energy distance to held-out data",
                   wgf::energy_distance(x, y), "0 up to sampling noise");
    summary.metric("energy_distance_noise", "... of the training data",
                   wgf::energy_distance(some, y), "sampling noise");
    summary.metric("energy_distance_initial", "... of the initial Gaussian",
                   wgf::energy_distance(start, y), "");
    summary.metric("sliced_w2", "sliced W2 to held-out data", wgf::sliced_wasserstein(x, y),
                   fmt::format("sampling noise: {:.2g}", wgf::sliced_wasserstein(some, y)));
    if (data.law) {
      const Eigen::VectorXd masses = wgf::mode_masses(x, *data.law);
      const auto modes = masses.size();
      const auto found = (masses.array() >= 0.5 / static_cast<double>(modes)).count();
      summary.metric("modes_found", "modes with at least half their mass",
                     static_cast<double>(found), fmt::format("{}", modes));
      summary.metric("mode_mass_min", "smallest mass of a mode", masses.minCoeff(),
                     fmt::format("{:.4g}", 1.0 / static_cast<double>(modes)));
      summary.metric("mode_mass_max", "largest mass of a mode", masses.maxCoeff(),
                     fmt::format("{:.4g}", 1.0 / static_cast<double>(modes)));
    }
    summary.metric("divergence", "divergence estimated by the dual network",
                   bound / std::max(reports, 1), "exact: 0");
    summary.training_seconds();
  });

  wgf::write_npy(out.path("samples.npy"), x);
  wgf::save(flow, out.path("flow.wgf"));
  const std::string title = fmt::format(
      "Flow of {1} from a Gaussian to the distribution of {0} samples", data.seen.cols(), along);
  const bool picture = report.timed(
      "picture", [&] { return draw(out.path("picture.png"), data, flow, start, title); });
  summary.print(fmt::format("{} samples in {} dimensions, t = {:.3g}, {} steps", data.seen.cols(),
                            flow.dim(), flow.step_size * options.steps, options.steps));
  examples::publish(out, report, picture);
}

}  // namespace

int main(int argc, char** argv) {
  examples::CommandLine line(
      "Wasserstein gradient flow of an f-divergence from a Gaussian to a target given by samples.",
      "generative");
  Options options;
  options.out = "out/generative";
  const examples::Presets divergences{{"js", training(0.4)},
                                      {"kl", training(0.2)},
                                      {"reverse_kl", training(0.1)},
                                      {"hellinger", training(0.4)},
                                      {"chi2", training(0.1)}};
  examples::add_presets(line, options, divergences, options.divergence, options.training,
                        "--divergence",
                        "functional; selects a preset, other options override its values");
  const auto target = line.add("--target", &options.target,
                               "target: two_moons, or ring (eight Gaussians on a circle)")
                          .one_of({"two_moons", "ring"});
  line.add("--data", &options.data, "samples of a custom target: a NumPy file of shape (n, d)")
      .excludes(target);
  line.add("--target-samples", &options.target_samples, "number of training samples of --target")
      .at_least(10);
  examples::add_common_options(line, options);
  line.add("--samples", &options.samples, "number of samples to evaluate and write").at_least(2);
  examples::add_training_options(line, options.training);
  line.get("--step-size")
      .description("step size a of the scheme, relative to the mean variance of the data");
  examples::add_dropout(line, options.training);
  return examples::run_main(line, options, argc, argv, [&] {
    if (options.divergence == "kl") run(options, "the KL divergence", wgf::KullbackLeibler{});
    else if (options.divergence == "reverse_kl")
      run(options, "the reverse KL divergence", wgf::ReverseKullbackLeibler{});
    else if (options.divergence == "hellinger")
      run(options, "the squared Hellinger distance", wgf::SquaredHellinger{});
    else if (options.divergence == "chi2")
      run(options, "the chi squared divergence", wgf::ChiSquared{});
    else run(options, "the Jensen-Shannon divergence", wgf::JensenShannon{});
  });
}
