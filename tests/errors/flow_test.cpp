// SPDX-License-Identifier: BSL-1.0
#include <wgf/flow/file.hpp>
#include <wgf/scheme/corrected.hpp>
#include <wgf/scheme/forward_backward.hpp>

#include "files.hpp"
#include "solver.hpp"

using namespace wgf;
using Eigen::Vector3d, Eigen::VectorXd;
using namespace wgf::test;

namespace {
using Residual = Flow<ResidualMlp<16, 2>, EigenBackend<double>>;
using Linear = Flow<Affine, EigenBackend<double>>;
Linear linear(InitialMeasure initial = normal,
              std::vector<double> parameters = std::vector<double>(6)) {
  Linear flow(std::move(initial), {}, 0.1, backend);
  flow.stages.push_back({Frame::none(2), std::move(parameters)});
  return flow;
}
/// A flow of two steps, the second of which continues the motion of the first.
Linear moving() {
  Linear flow = linear();
  flow.stages.push_back(flow.stages.front());
  flow.stages.back().inertia = 1.0 / 3;
  return flow;
}
/// A target without data of its own, so that load's correction_terms have a default.
struct Centred {
  int dim() const { return 2; }
  double log_density(const VectorXd& at) const { return -0.5 * at.squaredNorm(); }
  VectorXd gradient(const VectorXd& at) const { return -at; }
};
/// A flow of one step, with a rejection after it.
using CorrectionTerms = decltype(correction_terms<Corrected<>>(kl(Centred{}, LogDeterminant{})));
using Rejecting = Flow<Affine, EigenBackend<double>, boost::hana::tuple<>, CorrectionTerms>;
Rejecting rejecting(double acceptance = 0.8) {
  Rejecting flow(normal, {}, 0.1, backend, {},
                 correction_terms<Corrected<>>(kl(Centred{}, LogDeterminant{})));
  flow.stages.push_back({Frame::none(2), std::vector<double>(6)});
  flow.stages.back().rejections.push_back({0, acceptance});
  return flow;
}
/// The same with a reweighting in its place.
Rejecting reweighted(double acceptance = 0.5) {
  Rejecting flow = rejecting();
  flow.stages.back().rejections.clear();
  flow.stages.back().reweighting = {{}, 1, 0, 0.1, 0.9, acceptance};
  return flow;
}
const Particles x = Particles::Zero(2, 4), other = Particles::Zero(3, 4);
}  // namespace

TEST_CASE("errors of Flow") {
  const Linear flow = linear();
  REFUSED(std::invalid_argument,
          "wgf::Gaussian::sample: at least one sample must be asked for, got 0", flow.sample(0));
  REFUSED(std::invalid_argument, "wgf::Flow::push: the particles have dimension 3, the flow 2",
          flow.push(other));
  REFUSED(std::invalid_argument, "wgf::Flow::push: no stages [0, 2) in a flow of 1",
          flow.push(x, 0, 2));
  REFUSED(std::invalid_argument, "wgf::Flow::push: no stages [-1, 1) in a flow of 1",
          flow.push(x, -1));
  REFUSED(std::invalid_argument, "wgf::Flow::push: the particles have dimension 3, the flow 2",
          flow.trajectory(other));
  REFUSED(std::invalid_argument,
          "wgf::Flow::log_density: the particles have dimension 3, the flow 2",
          flow.log_density(other));
  REFUSED(std::invalid_argument, "wgf::Flow: P_0 has no log-density",
          linear(Empirical(x)).log_density(x));
  REFUSED(std::invalid_argument,
          "wgf::Flow::push_with_log_density: the particles have dimension 3, the flow 2",
          flow.push_with_log_density(other, VectorXd::Zero(4)));
  REFUSED(std::invalid_argument,
          "wgf::Flow::push_with_log_density: 4 points need as many log-densities, got 3",
          flow.push_with_log_density(x, Vector3d(0, 0, 0)));
  REFUSED(InversionError,
          "wgf::Flow: the map of step 1 is not one to one: its determinant is not positive at x = "
          "(0.000000, 0.000000)",
          linear(normal, {-1, 0, 0, 0, 0, 0}).push_with_log_density(x, VectorXd::Zero(4)));
  REFUSED(std::invalid_argument,
          "wgf::Flow::push: stage 1 continues the motion of the stage before it: push from 0",
          moving().push(x, 1));
  REFUSED(std::invalid_argument,
          "wgf::Flow: densities are not available where a stage continues the motion of the stage "
          "before it (Bdf2)",
          moving().log_density(x));
  REFUSED(std::invalid_argument, "wgf::Flow::affine_form: there is no stage 1 in a flow of 1",
          flow.affine_form(1));
  REFUSED(std::invalid_argument, "wgf::Flow::affine_form: there is no stage -1 in a flow of 1",
          flow.affine_form(-1));
  REFUSED(std::invalid_argument, "wgf::Flow::step_size_of: there is no stage 1 in a flow of 1",
          flow.step_size_of(1));
  REFUSED(std::invalid_argument, "wgf::Flow::step_size_of: there is no stage 1 in a flow of 1",
          flow.time(2));
  REFUSED(std::invalid_argument, "wgf::Flow::gaussian: there is no P_2 in a flow of 1",
          flow.gaussian(2));
  REFUSED(std::invalid_argument, "wgf::Flow::gaussian: P_0 is not Gaussian",
          linear(Empirical(x)).gaussian());
  REFUSED(std::invalid_argument, "wgf: a network of 6 parameters was given 5",
          linear(normal, std::vector<double>(5)).push(x));
}

TEST_CASE("errors of save and load") {
  REFUSED(FileError, "wgf::save: cannot write /no/where.wgf: No such file or directory",
          (save(linear(), "/no/where.wgf"), 0));
  REFUSED(FileError, "wgf::save: cannot write /dev/null: it exists and is not a regular file",
          (save(linear(), "/dev/null"), 0));
  REFUSED(FileError, "wgf::load: /no/where.wgf: cannot be read: No such file or directory",
          load<Linear>("/no/where.wgf"));
  REFUSED(FileError, "wgf::load: /dev/zero: cannot be read: it is not a regular file",
          load<Linear>("/dev/zero"));
  const OwnFolder here;  // the process's folder for the time of this test
  wgf::test::write("text.wgf", "some text, and more of it");
  REFUSED(FileError, "wgf::load: text.wgf: this is not a file of a wgf flow",
          load<Linear>("text.wgf"));
  save(linear(), "flow.wgf");
  wgf::test::write("cut.wgf", wgf::test::read("flow.wgf").substr(0, 200));
  REFUSED(FileError, "wgf::load: cut.wgf: the checksum is wrong: the file is damaged or truncated",
          load<Linear>("cut.wgf"));
  REFUSED(FileError,
          "wgf::load: flow.wgf: the file's map is Affine, not ResidualMlp<16, 2, "
          "PRelu>{input_scale = 1, affine = 0}",
          load<Residual>("flow.wgf"));
  REFUSED(FileError, "wgf::load: flow.wgf: the file's scalar is float64, not float32",
          load<Flow<Affine, EigenBackend<float>>>("flow.wgf"));
  auto flow = linear();
  flow.step_size = -1;
  save(flow, "flow.wgf");
  REFUSED(FileError,
          "wgf::load: flow.wgf: its numbers make no sense: the step size is not positive",
          load<Linear>("flow.wgf"));
  flow = linear(normal, std::vector<double>(5)), save(flow, "flow.wgf");
  REFUSED(
      FileError,
      "wgf::load: flow.wgf: its numbers make no sense: wgf: a network of 6 parameters was given 5",
      load<Linear>("flow.wgf"));
  flow = linear(), flow.stages.push_back({Frame::none(2), std::vector<double>(5)});
  save(flow, "flow.wgf");
  REFUSED(FileError,
          "wgf::load: flow.wgf: its numbers make no sense: stages have different numbers of "
          "parameters",
          load<Linear>("flow.wgf"));
  flow = linear(normal, std::vector<double>(6, NaN)), save(flow, "flow.wgf");
  REFUSED(FileError,
          "wgf::load: flow.wgf: its numbers make no sense: a stage's parameters are not finite",
          load<Linear>("flow.wgf"));
}

TEST_CASE("errors of files of flows with forward halves") {
  const auto terms = forward_terms<ForwardBackward>(interaction(QuadraticKernel{}));
  using Forward = Flow<Affine, EigenBackend<double>, std::remove_const_t<decltype(terms)>>;
  Forward flow(normal, {}, 0.1, backend, terms);
  flow.stages.push_back({Frame::none(2), std::vector<double>(6)});
  const OwnFolder here;
  save(flow, "flow.wgf");
  REFUSED(std::invalid_argument,
          "wgf::load: a flow with forward halves needs their terms, "
          "wgf::forward_terms<Scheme>(functional)",
          load<Forward>("flow.wgf"));
  REFUSED(FileError, "wgf::load: flow.wgf: the file's forward_terms is 1, not 0",
          load<Linear>("flow.wgf"));
  REFUSED(FileError,
          "wgf::load: flow.wgf: its numbers make no sense: a stage lacks the samples of its "
          "forward half",
          load<Forward>("flow.wgf", {}, {}, terms));
}

TEST_CASE("errors of reweighted flows and their files") {
  const Rejecting flow = reweighted(), without = rejecting();
  REFUSED(std::invalid_argument,
          "wgf::Flow::push: stage 1 weights and resamples its particles together: use sample, "
          "sample_path or sample_with_evidence",
          flow.push(x));
  REFUSED(std::invalid_argument,
          "wgf::Flow::push: stage 1 weights and resamples its particles together: use sample, "
          "sample_path or sample_with_evidence",
          flow.push_with_log_density(x, VectorXd::Zero(4)));
  REFUSED(std::invalid_argument,
          "wgf::Flow::log_density: stage 1 weights and resamples its particles together: use "
          "sample, sample_path or sample_with_evidence",
          flow.log_density(x));
  REFUSED(std::invalid_argument,
          "wgf::Flow::sample_with_log_density: stage 1 weights and resamples its particles "
          "together: use sample, sample_path or sample_with_evidence",
          flow.sample_with_log_density(9, 1));
  REFUSED(std::invalid_argument,
          "wgf::Flow: the number of particles of a reweighted flow must be at least 2, got 1",
          flow.sample(1));
  REFUSED(std::invalid_argument,
          "wgf::Flow::sample_with_evidence: no stage is reweighted: use sample_with_log_density",
          without.sample_with_evidence(9, 1));
  const OwnFolder here;
  save(reweighted(2), "flow.wgf");
  REFUSED(FileError,
          "wgf::load: flow.wgf: its numbers make no sense: a reweighting's numbers are out of "
          "range",
          load<Rejecting>("flow.wgf", {}, {}, {}, flow.corrections));
  Linear plain = linear();
  plain.stages.back().reweighting = flow.stages.back().reweighting;
  save(plain, "flow.wgf");
  REFUSED(FileError,
          "wgf::load: flow.wgf: its numbers make no sense: it is reweighted, but has no target "
          "for that",
          load<Linear>("flow.wgf"));
}

TEST_CASE("errors of corrected flows and their files") {
  const Rejecting flow = rejecting();
  REFUSED(std::invalid_argument,
          "wgf::Flow::push: stage 1 has rejections, which replace particles by fresh draws: use "
          "sample, sample_path or sample_with_log_density",
          flow.push(x));
  REFUSED(std::invalid_argument,
          "wgf::Flow::push: stage 1 has rejections, which replace particles by fresh draws: use "
          "sample, sample_path or sample_with_log_density",
          flow.trajectory(x));
  REFUSED(std::invalid_argument,
          "wgf::Flow::push: stage 1 has rejections, which replace particles by fresh draws: use "
          "sample, sample_path or sample_with_log_density",
          flow.push_with_log_density(x, VectorXd::Zero(4)));
  const OwnFolder here;
  save(flow, "flow.wgf");
  REFUSED(std::invalid_argument,
          "wgf::load: a corrected flow needs the target of its rejections, "
          "wgf::correction_terms<Scheme>(functional)",
          load<Rejecting>("flow.wgf"));
  REFUSED(FileError, "wgf::load: flow.wgf: the file's correction_terms is 1, not 0",
          load<Linear>("flow.wgf"));
  save(rejecting(0), "flow.wgf");
  REFUSED(FileError,
          "wgf::load: flow.wgf: its numbers make no sense: a rejection's constants are out of "
          "range",
          load<Rejecting>("flow.wgf", {}, {}, {}, flow.corrections));
  Linear plain = linear();
  plain.stages.back().rejections = flow.stages.back().rejections;
  save(plain, "flow.wgf");
  REFUSED(FileError,
          "wgf::load: flow.wgf: its numbers make no sense: it has rejections, but no target for "
          "them",
          load<Linear>("flow.wgf"));
}
