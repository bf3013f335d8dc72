// SPDX-License-Identifier: BSL-1.0
// Posteriors of two Bayesian models, compared with reference draws by Hamiltonian Monte Carlo.
#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <wgf/wgf.hpp>

#include "common/backend.hpp"
#include "common/options.hpp"
#include "common/output.hpp"
#include "common/plot.hpp"
#include "common/posteriors.hpp"
#include "common/report.hpp"
#include "common/training.hpp"

using examples::CommonOptions, examples::Training;
namespace fs = std::filesystem;

namespace {

struct Options : CommonOptions {
  std::string model = "test_scores";
  Training training;
  std::string data;  ///< empty: the data shipped with the program
  long samples = 50000;
  double spread = 1;     ///< standard deviation of P_0 in standardised coordinates
  double inflation = 1;  ///< of the Gaussian reference
};

// ---- the settings of each model ----
struct TestScores {  // nearly Gaussian: standardised by a Laplace approximation
  using Posterior = examples::TestScores;
  static auto map() { return wgf::ResidualMlp<64, 3, wgf::Silu>{}; }
  static auto dual(double dropout) {
    return examples::dual_of(wgf::Mlp<64, 3, wgf::Silu>{.dropout = dropout});
  }
  static examples::GaussianFit fit(const Posterior& posterior) {
    return examples::laplace_fit(posterior, posterior.start());
  }
  static constexpr double spread = 1, inflation = 1;
  static Training training() {
    return {.run = {.steps = 5,
                    .training = {.iterations = 200,
                                 .batch = 1024,
                                 .map_rate = 1e-3,
                                 .dual_rate = 2e-3,
                                 .first_step = 4}},
            .step_size = 1,
            .dropout = 0};
  }
};
// log tau has a long left tail and a funnel to its right. The curvature at the mode reflects
// neither, so the coordinates are standardised by a variational fit. Where the Gaussian reference
// has no samples the dual network is unconstrained and the map diverges: hence a wider reference, a
// wider P_0 and a map that learns more slowly than the dual network.
struct EightSchools {
  using Posterior = examples::EightSchools;
  static auto map() { return wgf::ResidualMlp<64, 3, wgf::Silu>{}; }
  static auto dual(double dropout) {
    return examples::dual_of(wgf::Mlp<64, 3, wgf::Silu>{.dropout = dropout});
  }
  static examples::GaussianFit fit(const Posterior& posterior) {
    return examples::variational_fit(
        posterior,
        {posterior.start(), Eigen::MatrixXd::Identity(posterior.dim(), posterior.dim())});
  }
  static constexpr double spread = 1.4, inflation = 1.4;
  static Training training() {
    return {.run = {.steps = 10,
                    .training = {.iterations = 300,
                                 .batch = 1024,
                                 .map_rate = 5e-4,
                                 .dual_rate = 4e-3,
                                 .first_step = 4}},
            .step_size = 1,
            .dropout = 0};
  }
};

/// "theta3" as θ with a subscript, in gnuplot's notation.
std::string in_greek(const std::string& name) {
  const auto letters = std::min(name.find_first_of("0123456789"), name.size());
  const std::string word = name.substr(0, letters), index = name.substr(letters);
  for (const auto& [latin, greek] :
       {std::pair{"theta", "θ"}, {"beta", "β"}, {"sigma", "σ"}, {"mu", "μ"}, {"tau", "τ"}})
    if (word == latin) return index.empty() ? greek : fmt::format("{}_{{{}}}", greek, index);
  return name;
}

template <class Model>
void run(const Options& options) {
  using Posterior = typename Model::Posterior;
  Training training = options.training;
  training.run.steps = options.steps;
  const fs::path data = options.data.empty() ? examples::shipped_data(options.model, "data.json")
                                             : fs::path(options.data);
  examples::Report report("posterior", options);
  examples::report_training(report, options.model, training);
  report.setting("model", options.model);
  report.setting("data", data.lexically_normal().string());
  report.setting("samples", options.samples);
  report.setting("spread", options.spread);
  report.setting("inflation", options.inflation);
  auto dual = Model::dual(training.dropout);
  dual.inflation = options.inflation;
  report.setting("map", wgf::describe(Model::map()));
  report.setting("dual", examples::describe_dual(dual));

  const auto posterior = Posterior::read(data);
  std::optional<examples::Reference> reference;  // other data have none
  if (fs::exists(data.parent_path() / "reference_moments.json"))
    reference = examples::Reference::read<Posterior>(data.parent_path());
  examples::OutputFolder out(options.out);

  // In the coordinates z of a Gaussian fit, x = mean + factor z, the posterior has unit scale.
  const examples::Standardised target(
      posterior, report.timed("gaussian_fit", [&] { return Model::fit(posterior); }));
  const wgf::JkoSolver solver{wgf::kl(target, dual), Model::map(),
                              wgf::Backward{.step_size = training.step_size},
                              examples::backend(options)};
  const auto trained =
      examples::train(solver, wgf::Gaussian::isotropic(target.dim(), options.spread), training.run,
                      options, report);
  const auto& flow = trained.flow;

  const wgf::Particles sampled =
      target.to_sampled(flow.sample(options.samples, examples::derived_seed(options, 0)));
  const wgf::Particles x = Posterior::constrain(sampled);
  const auto names = Posterior::constrained_names();
  report.setting("columns", names);

  examples::Summary summary(report);
  auto parameters = nlohmann::ordered_json::object();
  double mean_error = 0, sd_error = 0;
  const auto compare = [&](const std::string& scale, const wgf::Particles& draws,
                           std::vector<std::string> all, const examples::Moments* known) {
    const auto moments = examples::Moments::of(draws, std::move(all));
    for (Eigen::Index i = 0; i < moments.mean.size(); ++i) {
      const auto& name = moments.names[static_cast<std::size_t>(i)];
      auto& p = parameters[scale][name] = {{"mean", moments.mean[i]}, {"sd", moments.sd[i]}};
      if (known) {
        p["reference_mean"] = known->mean[i], p["reference_sd"] = known->sd[i];
        p["mean_error"] = (moments.mean[i] - known->mean[i]) / known->sd[i],
        p["sd_error"] = moments.sd[i] / known->sd[i] - 1;
      }
    }
    if (!known) return;
    const auto errors = examples::MomentErrors::between(moments, *known);
    report.metric("max_mean_error_" + scale, errors.mean),
        report.metric("max_sd_error_" + scale, errors.sd);
    mean_error = std::max(mean_error, errors.mean), sd_error = std::max(sd_error, errors.sd);
  };
  compare("sampled", sampled, Posterior::sampled_names(),
          reference ? &reference->sampled : nullptr);
  compare("constrained", x, names, reference ? &reference->constrained : nullptr);
  if (reference) {
    summary.metric("max_mean_error", "largest error of a mean, in reference standard deviations",
                   mean_error, "below 0.05; error of the reference: 0.01");
    summary.metric("max_sd_error", "largest relative error of a standard deviation", sd_error,
                   "below 0.05; error of the reference: 0.01");
  } else {
    for (std::size_t i = 0; i < names.size(); ++i) {
      const nlohmann::ordered_json& p = parameters["constrained"][names[i]];
      summary.row(names[i], p["mean"], fmt::format("sd {:.4g}", p["sd"].get<double>()));
    }
    report.note("no reference_moments.json beside the data: no comparison");
  }
  summary.diagnose(trained, target, options);
  summary.training_seconds();
  report.details("parameters", parameters);

  wgf::write_npy(out.path("samples.npy"), x);
  wgf::save(flow, out.path("flow.wgf"));
  wgf::Particles coordinates(
      target.dim(), target.dim() + 1);  // the flow is in z: x = first row + (the other rows) z
  coordinates << target.fit().mean, target.fit().factor.transpose();
  wgf::write_npy(out.path("coordinates.npy"), coordinates);
  const bool picture = report.timed("picture", [&] {
    std::vector<examples::MarginalPanel> panels;
    for (Eigen::Index i = 0; i < x.rows(); ++i)
      panels.push_back({in_greek(names[static_cast<std::size_t>(i)]), x.row(i),
                        reference ? Eigen::VectorXd(reference->draws.row(i)) : Eigen::VectorXd()});
    examples::MarginalStyle style;
    style.title =
        "Posterior of " +
        std::string(options.model == "test_scores" ? "the test scores" : "the eight schools");
    if (!reference) style.reference_label = "(no reference draws)";
    return examples::draw_marginals(out.path("picture.png"), panels, style);
  });
  summary.print(fmt::format("posterior of {}, {} steps", options.model, options.steps));
  examples::publish(out, report, picture, ", coordinates.npy");
}

}  // namespace

int main(int argc, char** argv) {
  examples::CommandLine line(
      "Samples the posterior of a Bayesian model by the Wasserstein gradient flow of KL, and "
      "compares it with reference draws.",
      "posterior");
  Options options;
  options.out = "out/posterior";
  const examples::Presets models{{"test_scores", TestScores::training()},
                                 {"eight_schools", EightSchools::training()}};
  examples::add_presets(line, options, models, options.model, options.training, "--model",
                        "model; selects a preset")
      .each([&](const std::string& model) {
        const bool schools = model == "eight_schools";
        options.spread = schools ? EightSchools::spread : TestScores::spread;
        options.inflation = schools ? EightSchools::inflation : TestScores::inflation;
      });
  examples::add_common_options(line, options);
  line.add(
      "--data", &options.data,
      "data in the format of data.json; reference draws are read from the same folder if present");
  line.add("--samples", &options.samples, "number of samples to evaluate and write").at_least(2);
  line.add("--spread", &options.spread, "standard deviation of P_0 in standardised coordinates")
      .positive();
  examples::add_training_options(line, options.training);
  examples::add_dropout(line, options.training);
  line.add("--inflation", &options.inflation,
           "standard deviation of the Gaussian reference relative to that of P_k")
      .positive()
      .group("Training");
  return examples::run_main(line, options, argc, argv, [&] {
    if (options.model == "eight_schools") run<EightSchools>(options);
    else run<TestScores>(options);
  });
}
