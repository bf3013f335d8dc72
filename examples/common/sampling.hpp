// SPDX-License-Identifier: BSL-1.0
#pragma once
// What the programs that sample any target share: a target that counts its evaluations, and the
// methods flow (wgf::sample) and smc (wgf::smc). They are compiled once, in sampling.cpp.
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <wgf/measure/gaussian.hpp>
#include <wgf/particles.hpp>

#include "options.hpp"
#include "output.hpp"
#include "report.hpp"
#include "training.hpp"

namespace wgf {
struct SmcResult;
}

namespace examples {

/// A target of any type that counts its evaluations, so that one type of flow serves all.
struct CountedTarget {
  int dimension = 0;
  std::function<double(const Eigen::VectorXd&)> log_q{};
  std::function<Eigen::VectorXd(const Eigen::VectorXd&)> slope{};
  /// How often log_density or gradient was called.
  std::shared_ptr<std::atomic<long>> evaluations = std::make_shared<std::atomic<long>>(0);

  int dim() const { return dimension; }
  double log_density(const Eigen::VectorXd& x) const { return ++*evaluations, log_q(x); }
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const { return ++*evaluations, slope(x); }
};
template <class T>
CountedTarget counted(const T& target) {
  return {.dimension = target.dim(),
          .log_q = [target](const Eigen::VectorXd& x) { return target.log_density(x); },
          .slope = [target](const Eigen::VectorXd& x) { return target.gradient(x); }};
}

/// What a method returns.
struct Sampled {
  wgf::Particles draws;
  std::string verdict;
  std::vector<wgf::Particles> path{};  ///< of a flow in the plane, after each step
  bool has_density = true;             ///< whether there are the following
  double log_evidence = 0, log_evidence_error = 0;
  std::optional<double> ess_fraction{};  ///< of a draw, where draws are independent
};

/// What the methods need besides the options of every program.
struct SamplingOptions {
  long samples = 10'000;
  double budget = 60;                    ///< seconds after which the flow begins no further step
  std::optional<wgf::Gaussian> start{};  ///< of sequential Monte Carlo; chosen if there is none
};

/// Draws by wgf::sample. Saves flow.wgf and reports policies, draws_per_sample and pareto_k.
Sampled sample_by_flow(const CountedTarget& target, const CommonOptions& common,
                       const SamplingOptions& options, Report& report, const OutputFolder& out);
/// Draws by wgf::smc, from the most useful width, as wgf::sample finds it.
Sampled sample_by_smc(const CountedTarget& target, const CommonOptions& common,
                      const SamplingOptions& options);
/// Adds log_evidence, its stated error and ess_fraction, if there is one, to report and screen, and
/// with a known value log_evidence_off, the distance from it. Does nothing for a method without a
/// density.
void put_evidence(const Sampled& result, std::optional<double> exact, Report& report,
                  Summary& summary);
/// The run of sample_by_smc.
wgf::SmcResult run_smc(const CountedTarget& target, const CommonOptions& common,
                       const SamplingOptions& options);

}  // namespace examples
