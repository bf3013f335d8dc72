// SPDX-License-Identifier: BSL-1.0
#include "sampling.hpp"

#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <wgf/diagnostics/diagnose.hpp>
#include <wgf/sampling/sample.hpp>
#include <wgf/wgf.hpp>

namespace examples {

Sampled sample_by_flow(const CountedTarget& target, const CommonOptions& common,
                       const SamplingOptions& options, Report& report, const OutputFolder& out) {
  const auto sampled = wgf::sample(
      target, {.seed = common.seed,
               .threads = common.threads,
               .budget = options.budget,
               .start = options.start,
               .observer = [&](const wgf::SampleProgress& p) {
                 if (!common.quiet)
                   fmt::print(stderr, "step {:2}  {}  effective sample size {:5.1f} %  {:5.1f} s\n",
                              p.step,
                              p.step == 0 ? "start     "
                              : p.has_map ? "map       "
                                          : "rejections",
                              100 * p.ess, p.seconds);
               }});
  wgf::save(sampled.flow(), out.path("flow.wgf"));
  report.setting("policies", sampled.policies());
  report.metric("draws_per_sample", sampled.flow().draws_per_sample());
  report.metric("pareto_k", sampled.certificate().pareto_k);
  return {.draws = sampled.draws(options.samples, derived_seed(common, 0)),
          .verdict = sampled.summary(),
          .path = target.dimension == 2 ? sampled.flow().sample_path(4000, derived_seed(common, 0))
                                        : std::vector<wgf::Particles>{},
          .log_evidence = sampled.log_evidence(),
          .log_evidence_error = sampled.log_evidence_error(),
          .ess_fraction = sampled.ess_fraction()};
}

wgf::SmcResult run_smc(const CountedTarget& target, const CommonOptions& common,
                       const SamplingOptions& options) {
  const wgf::Gaussian start =
      options.start
          ? *options.start
          : wgf::Gaussian::isotropic(target.dimension,
                                     wgf::most_useful_width(target, common.seed, common.threads));
  return wgf::smc(target, start,
                  {.particles = options.samples, .seed = common.seed, .threads = common.threads});
}

Sampled sample_by_smc(const CountedTarget& target, const CommonOptions& common,
                      const SamplingOptions& options) {
  const auto run = run_smc(target, common, options);
  return {
      .draws = run.particles,
      .verdict = fmt::format("{} temperatures, {} families", run.temperatures.size(), run.families),
      .log_evidence = run.log_evidence,
      .log_evidence_error = run.log_evidence_error};
}

void put_evidence(const Sampled& result, std::optional<double> exact, Report& report,
                  Summary& summary) {
  if (!result.has_density) return;
  report.metric("log_evidence", result.log_evidence);
  summary.row("log Z", fmt::format("{:.4f}", result.log_evidence),
              exact ? fmt::format("{:.4f}", *exact) : std::string());
  summary.metric("log_evidence_error", "its standard error, as estimated",
                 result.log_evidence_error);
  if (exact)
    summary.metric("log_evidence_off", "its distance from the exact value",
                   std::abs(result.log_evidence - *exact));
  if (result.ess_fraction)
    summary.metric("ess_fraction", "effective sample size of a draw", *result.ess_fraction, "1");
}

}  // namespace examples
