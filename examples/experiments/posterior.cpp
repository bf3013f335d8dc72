// SPDX-License-Identifier: BSL-1.0
// Posteriors of two Bayesian models, by a corrected flow in one call, by sequential Monte Carlo or
// by the paper's dual networks, compared with reference draws by Hamiltonian Monte Carlo and with
// the exact evidence.
#include <algorithm>
#include <cmath>
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
#include "common/sampling.hpp"
#include "common/training.hpp"

using examples::CommonOptions, examples::CountedTarget, examples::Sampled, examples::Training;
namespace fs = std::filesystem;

namespace {

#ifdef WGF_EXAMPLES_ON_TORCH
constexpr const char* default_method = "dual";  // the others do not use LibTorch
#else
constexpr const char* default_method = "flow";
#endif

struct Options : CommonOptions {
  std::string model = "test_scores", method = default_method;
  Training training;
  std::string data;  ///< empty: the data shipped with the program
  long samples = 50000;
  double budget = 60;
  // Of the dual:
  double spread = 1;     ///< standard deviation of P_0 in standardised coordinates
  double inflation = 1;  ///< of the Gaussian reference
};

constexpr double start_spread = 2;  // of sequential Monte Carlo in standardised coordinates

// ---- the networks of the dual, and the settings of each model ----
auto map() { return wgf::ResidualMlp<64, 3, wgf::Silu>{}; }
auto dual(double dropout) {
  return examples::dual_of(wgf::Mlp<64, 3, wgf::Silu>{.dropout = dropout});
}

struct TestScores {  // nearly Gaussian: standardised by a Laplace approximation
  using Posterior = examples::TestScores;
  static examples::GaussianFit fit(const CountedTarget& target, const Eigen::VectorXd& start) {
    return examples::laplace_fit(target, start);
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
// neither, so the coordinates are standardised by a variational fit. By the dual: where the
// Gaussian reference has no samples the dual network is unconstrained and the map diverges: hence a
// wider reference, a wider P_0 and a map that learns more slowly than the dual network.
struct EightSchools {
  using Posterior = examples::EightSchools;
  static examples::GaussianFit fit(const CountedTarget& target, const Eigen::VectorXd& start) {
    return examples::variational_fit(
        target, {start, Eigen::MatrixXd::Identity(target.dim(), target.dim())});
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

/// By the dual networks, in standardised coordinates. Adds its diagnostics to the summary.
Sampled by_dual(const CountedTarget& target, const Options& options, examples::Report& report,
                examples::Summary& summary, const examples::OutputFolder& out) {
  Training training = options.training;
  training.run.steps = options.steps;
  examples::report_training(report, options.model, training);
  auto term = dual(training.dropout);
  term.inflation = options.inflation;
  report.setting("spread", options.spread);
  report.setting("inflation", options.inflation);
  report.setting("map", wgf::describe(map()));
  report.setting("dual", examples::describe_dual(term));
  const wgf::JkoSolver solver{wgf::kl(target, term), map(),
                              wgf::Backward{.step_size = training.step_size},
                              examples::backend(options)};
  const auto trained =
      examples::train(solver, wgf::Gaussian::isotropic(target.dim(), options.spread), training.run,
                      options, report);
  wgf::save(trained.flow, out.path("flow.wgf"));
  const auto diagnosis = summary.diagnose(trained, target, options);
  Sampled result{.draws = trained.flow.sample(options.samples, examples::derived_seed(options, 0)),
                 .verdict = diagnosis.overall,
                 .has_density = diagnosis.importance && diagnosis.importance->unknown.empty()};
  if (result.has_density) {
    const auto& weights = *diagnosis.importance;
    result.log_evidence = weights.log_normaliser;
    result.log_evidence_error = weights.standard_error;
    result.ess_fraction = weights.effective_sample_size / static_cast<double>(weights.size());
  }
  return result;
}

template <class Model>
void run(const Options& options) {
  using Posterior = typename Model::Posterior;
  const fs::path data = options.data.empty() ? examples::shipped_data(options.model, "data.json")
                                             : fs::path(options.data);
  const bool flow = options.method == "flow", smc = options.method == "smc";
  examples::Report report("posterior", options);
  report.setting("model", options.model);
  report.setting("method", options.method);
  report.setting("data", data.lexically_normal().string());
  report.setting("samples", options.samples);
  report.setting("log_evidence_of", Posterior::evidence_text);
  if (flow) report.setting("budget", options.budget);

  const auto posterior = Posterior::read(data);
  std::optional<examples::Reference> reference;  // other data have none
  if (fs::exists(data.parent_path() / "reference_moments.json"))
    reference = examples::Reference::read<Posterior>(data.parent_path());
  examples::OutputFolder out(options.out);

  const double exact = posterior.log_evidence(), cpu_before = examples::cpu_seconds();
  examples::Summary summary(report);

  // In the coordinates z of a Gaussian fit, x = mean + factor z, the posterior has unit scale.
  const CountedTarget counted = examples::counted(posterior);
  const examples::Standardised target(counted, report.timed("gaussian_fit", [&] {
    return Model::fit(counted, posterior.start());
  }));
  const CountedTarget standardised = examples::counted(target);
  const examples::SamplingOptions sampling{
      .samples = options.samples,
      .budget = options.budget,
      .start = wgf::Gaussian::isotropic(target.dim(), start_spread)};
  const Sampled sampled_z = report.timed("sampling", [&] {
    return flow  ? examples::sample_by_flow(standardised, options, sampling, report, out)
           : smc ? examples::sample_by_smc(standardised, options, sampling)
                 : by_dual(standardised, options, report, summary, out);
  });
  if (options.resume.empty()) {  // else they were in part those of another run
    report.metric("cpu_seconds", examples::cpu_seconds() - cpu_before);
    report.metric("target_evaluations", static_cast<double>(counted.evaluations->load()));
  }

  const wgf::Particles sampled = target.to_sampled(sampled_z.draws);
  const wgf::Particles x = Posterior::constrain(sampled);
  const auto names = Posterior::constrained_names();
  report.setting("columns", names);

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
      summary.row(names[i], p["mean"].get<double>(),
                  fmt::format("sd {:.4g}", p["sd"].get<double>()));
    }
    report.note("no reference_moments.json beside the data: no comparison");
  }
  examples::put_evidence(sampled_z, exact, report, summary);
  if (flow || smc)
    summary.metric("seconds", "seconds, with those of the Gaussian fit",
                   report.seconds("gaussian_fit") + report.seconds("sampling"));
  else summary.training_seconds();
  report.details("verdict", sampled_z.verdict);
  report.details("parameters", parameters);

  wgf::write_npy(out.path("samples.npy"), x);
  if (!smc) {  // the flow is in z: x = first row + (the other rows) z
    wgf::Particles coordinates(target.dim(), target.dim() + 1);
    coordinates << target.fit().mean, target.fit().factor.transpose();
    wgf::write_npy(out.path("coordinates.npy"), coordinates);
  }
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
  const std::string way = flow  ? "a corrected flow"
                          : smc ? "sequential Monte Carlo"
                                : fmt::format("the dual, {} steps", options.steps);
  summary.print(fmt::format("posterior of {} by {}: {}", options.model, way, sampled_z.verdict));
  fmt::print("log Z is the log evidence {}\n", Posterior::evidence_text);
  examples::publish(out, report, picture, smc ? "" : ", coordinates.npy",
                    smc ? "samples.npy" : "samples.npy, flow.wgf");
}

}  // namespace

int main(int argc, char** argv) {
  examples::CommandLine line(
      "Samples the posterior of a Bayesian model by a Wasserstein gradient flow or by sequential "
      "Monte Carlo, and compares it with reference draws and the exact evidence.",
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
  line.add("--method", &options.method,
           "flow: wgf::sample; smc: wgf::smc; dual: the paper's dual networks")
      .one_of({"flow", "smc", "dual"});
  examples::add_common_options(line, options);
  line.add(
      "--data", &options.data,
      "data in the format of data.json; reference draws are read from the same folder if present");
  line.add("--samples", &options.samples, "number of samples to evaluate and write").at_least(2);
  std::string of_flow, of_dual;  // options given that belong to a method
  line.add("--budget", &options.budget,
           "of the flow: seconds after which it begins no further step")
      .positive()
      .each([&](const std::string&) { of_flow = "--budget"; });
  line.add("--spread", &options.spread, "standard deviation of P_0 in standardised coordinates")
      .positive()
      .group("Training");
  examples::add_training_options(line, options.training);
  examples::add_dropout(line, options.training);
  line.add("--inflation", &options.inflation,
           "standard deviation of the Gaussian reference relative to that of P_k")
      .positive()
      .group("Training");
  line.get("--steps").each([&](const std::string&) { of_dual = "--steps"; });
#ifdef WGF_EXAMPLES_ON_TORCH
  line.get("--device").each([&](const std::string&) { of_dual = "--device"; });
#endif
  line.when_parsed([&] {
    for (const char* heading : {"Training", "Checkpoints"})
      if (of_dual.empty()) of_dual = line.given_under(heading);
    if (options.method != "dual" && !of_dual.empty())
      throw examples::UsageError(of_dual + ": goes with --method dual");
    if (options.method != "flow" && !of_flow.empty())
      throw examples::UsageError(of_flow + ": goes with --method flow");
  });
  return examples::run_main(line, options, argc, argv, [&] {
    if (options.model == "eight_schools") run<EightSchools>(options);
    else run<TestScores>(options);
  });
}
