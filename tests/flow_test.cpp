// SPDX-License-Identifier: BSL-1.0
// Flows made by hand: pushing, sampling, closed forms of affine flows.
#include <Eigen/LU>
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/flow/flow.hpp>

#include "backend/network_probe.hpp"
#include "support.hpp"

using namespace wgf;
using namespace wgf::test;
using Invalid = std::invalid_argument;

namespace {
Frame random_frame(int dim, std::uint64_t seed) {
  return Frame::whitening(Gaussian::fit(2 * standard_normals(dim, 50, seed, 31)));
}
template <class Map, class Backend>
void add_stages(Flow<Map, Backend>& flow, std::size_t parameters) {
  using Scalar = typename Backend::Scalar;
  for (std::uint32_t k = 0; k < 3; ++k) {
    const auto values =
        list(0.3 * numbers(1, static_cast<long>(parameters), 40 + k).row(0).transpose());
    flow.stages.push_back({k == 1 ? Frame::none(flow.dim()) : random_frame(flow.dim(), k),
                           std::vector<Scalar>(values.begin(), values.end())});
  }
}
using MlpFlow = Flow<ResidualMlp<16, 2, Silu>, EigenBackend<double>>;
MlpFlow mlp_flow() {
  MlpFlow flow(Gaussian::isotropic(3, 1.5), {.input_scale = 1.5}, 0.2, {.seed = 4, .threads = 2});
  add_stages(flow, 4 * 16 + 17 * 3);
  return flow;
}
using DeepFlow = Flow<DeepLinear<16, 2>, EigenBackend<double>>;
DeepFlow deep_flow() {
  const Eigen::MatrixXd a = standard_normals(3, 3, 6);
  DeepFlow flow(Gaussian(standard_normals(3, 1, 5),
                         Eigen::MatrixXd(Eigen::MatrixXd::Identity(3, 3) + a * a.transpose())),
                {.input_scale = 1.5}, 0.2, {.threads = 2});
  add_stages(flow, 4 * 16 + 17 * 3);
  return flow;
}
}  // namespace

TEST_CASE("a flow pushes particles through its stages in their frames") {
  const MlpFlow flow = mlp_flow();
  CHECK(flow.size() == 3);
  CHECK(flow.dim() == 3);
  const Particles start = numbers(3, 500, 1);
  Particles x = start;
  const auto path = flow.trajectory(start);
  REQUIRE(path.size() == 4);
  CHECK(path[0] == start);
  for (int k = 0; k < 3; ++k) {
    // By the plain formula: into the frame, x + mlp(x) there, and back.
    const auto& stage = flow.stages[static_cast<std::size_t>(k)];
    const Frame& frame = stage.frame;
    const Particles inside = frame.factor.partialPivLu().solve(x.colwise() - frame.mean);
    const auto silu = [](double z) { return z / (1 + std::exp(-z)); };
    x = (frame.factor *
         (inside + plain_network({3, 16, 3}, stage.parameters, 1.5, false, silu, inside)))
            .colwise() +
        frame.mean;
    CHECK((path[static_cast<std::size_t>(k) + 1] - x).cwiseAbs().maxCoeff() <
          1e-12 * x.cwiseAbs().maxCoeff());
    CHECK(path[static_cast<std::size_t>(k)] == flow.push(start, 0, k));
  }
  CHECK(path[3] == flow.push(start));
  CHECK(flow.push(flow.push(start, 0, 1), 1) == flow.push(start));
  CHECK(flow.push(start, 2, 2) == start);
  CHECK((flow.push(start.col(17)) - flow.push(start).col(17)).cwiseAbs().maxCoeff() < 1e-13);
}

TEST_CASE("samples are pushed draws of P_0, a function of the seed") {
  const MlpFlow flow = mlp_flow();
  const Particles x = flow.sample(100, 9);
  CHECK(x.rows() == 3);
  CHECK(x.cols() == 100);
  CHECK(x == flow.push(flow.draw_initial(100, 9)));
  CHECK(flow.draw_initial(100, 9) == Gaussian::isotropic(3, 1.5).sample(100, 9));
  CHECK(flow.sample(100) == flow.sample(100));
  CHECK(flow.sample(100) != x);
  MlpFlow other = flow;
  other.backend.seed = 5;
  CHECK(other.sample(100) != flow.sample(100));
  other.backend.threads = 3;
  CHECK(other.sample(1000, 9) == flow.sample(1000, 9));
}

TEST_CASE("a flow refuses particles and stages that it does not have") {
  const MlpFlow flow = mlp_flow();
  CHECK(message_of<Invalid>([&] { flow.push(Particles::Zero(2, 5)); }) ==
        "wgf::Flow::push: the particles have dimension 2, the flow 3");
  CHECK_THROWS_AS(flow.trajectory(Particles::Zero(4, 5)), Invalid);
  CHECK(message_of<Invalid>([&] { flow.push(Particles::Zero(3, 5), 0, 4); }) ==
        "wgf::Flow::push: no stages [0, 4) in a flow of 3");
  CHECK(message_of<Invalid>([&] { flow.push(Particles::Zero(3, 5), 2, 1); }) ==
        "wgf::Flow::push: no stages [2, 1) in a flow of 3");
  CHECK_THROWS_AS(flow.push(Particles::Zero(3, 5), -1, 1), Invalid);
  CHECK_THROWS_AS(flow.sample(0), Invalid);
  CHECK_THROWS_AS(flow.sample(-1, 3), Invalid);
  CHECK(flow.push(Particles(3, 0)).cols() == 0);
  CHECK(flow.trajectory(Particles(3, 0)).size() == 4);
  // No stages: the identity.
  const MlpFlow none(Gaussian::isotropic(2, 1), {}, 0.2, {});
  CHECK(none.push(Particles::Ones(2, 3)) == Particles::Ones(2, 3));
  CHECK(none.trajectory(Particles::Ones(2, 3)).size() == 1);
}

TEST_CASE("any measure can be P_0") {
  const Empirical cloud(numbers(3, 20, 2));
  MlpFlow flow = mlp_flow();
  flow.initial = cloud;
  CHECK(flow.sample(50, 3) == flow.push(cloud.sample(50, 3)));
  struct Ones {
    int dim() const { return 3; }
    Particles sample(long n, std::uint64_t seed) const {
      return Particles::Constant(3, n, static_cast<double>(seed));
    }
  };
  flow.initial = initial_measure(Ones{});
  CHECK(std::holds_alternative<CustomMeasure>(flow.initial));
  CHECK(flow.dim() == 3);
  CHECK(flow.sample(50, 3) == flow.push(Particles::Constant(3, 50, 3)));
  CHECK(std::holds_alternative<UniformBox>(initial_measure(UniformBox::cube(3, 1))));
  CHECK(
      std::holds_alternative<UniformBox>(initial_measure(InitialMeasure(UniformBox::cube(3, 1)))));
}

TEST_CASE(
    "a measure of the user's own that draws another number of particles, or of another dimension, "
    "is refused") {
  struct Careless {
    long rows, extra;
    int dim() const { return 3; }
    Particles sample(long n, std::uint64_t) const { return Particles::Zero(rows, n + extra); }
  };
  MlpFlow flow = mlp_flow();
  flow.initial = initial_measure(Careless{3, -1});
  CHECK(message_of<Invalid>([&] { flow.draw_initial(10, 1); }) ==
        "wgf::Flow: P_0's sample must be 3 x 10, got 3 x 9");
  flow.initial = initial_measure(Careless{2, 0});
  CHECK(message_of<Invalid>([&] { flow.sample(10, 1); }) ==
        "wgf::Flow: P_0's sample must be 3 x 10, got 2 x 10");
}

TEST_CASE("affine_form is the stage's map") {
  const DeepFlow flow = deep_flow();
  for (int k = 0; k < 3; ++k) {
    const AffineForm form = flow.affine_form(k);
    // 0 and the unit vectors determine an affine map.
    Particles basis(3, 4);
    basis << Eigen::VectorXd::Zero(3), Eigen::MatrixXd::Identity(3, 3);
    const Particles images = flow.push(basis, k, k + 1);
    CHECK((images.col(0) - form.offset).norm() < 1e-12);
    CHECK((images.rightCols(3).colwise() - images.col(0) - form.matrix).norm() < 1e-12);
  }
  CHECK(message_of<Invalid>([&] { flow.affine_form(3); }) ==
        "wgf::Flow::affine_form: there is no stage 3 in a flow of 3");

  Flow<Affine, EigenBackend<double>> affine(Gaussian::isotropic(3, 1), {}, 0.2, {.threads = 1});
  add_stages(affine, 12);
  const Particles x = numbers(3, 10, 2);
  for (int k = 0; k < 3; ++k) {
    const AffineForm form = affine.affine_form(k);
    CHECK((affine.push(x, k, k + 1) - ((form.matrix * x).colwise() + form.offset)).norm() < 1e-12);
  }
}

TEST_CASE("gaussian(k) is the law of P_k") {
  const DeepFlow flow = deep_flow();
  CHECK(flow.gaussian(0).covariance() == std::get<Gaussian>(flow.initial).covariance());
  // In the sampled moments: each within five standard errors.
  const long n = 100000;
  const auto path = flow.trajectory(flow.draw_initial(n, 3));
  for (int k = 0; k <= 3; ++k) {
    const Gaussian law = flow.gaussian(k),
                   fitted = Gaussian::fit(path[static_cast<std::size_t>(k)]);
    for (int i = 0; i < 3; ++i) {
      CHECK(std::abs(fitted.mean()[i] - law.mean()[i]) < 5 * std::sqrt(law.covariance()(i, i) / n));
      for (int j = 0; j < 3; ++j)
        CHECK(std::abs(fitted.covariance()(i, j) - law.covariance()(i, j)) <
              5 * std::sqrt(2 * law.covariance()(i, i) * law.covariance()(j, j) / n));
    }
  }
  CHECK(flow.gaussian().covariance() == flow.gaussian(3).covariance());
  // Exactly: points with mean m and covariance S go to points with the law's mean and covariance.
  const Gaussian p0 = std::get<Gaussian>(flow.initial);
  Particles sigma(3, 6);
  sigma << std::sqrt(3.0) * p0.factor(), -std::sqrt(3.0) * p0.factor();
  sigma.colwise() += p0.mean();
  const Particles pushed = flow.push(sigma);
  const Eigen::VectorXd mean = pushed.rowwise().mean();
  CHECK((mean - flow.gaussian().mean()).norm() < 1e-11 * (1 + mean.norm()));
  const Eigen::MatrixXd centred = pushed.colwise() - mean,
                        covariance = centred * centred.transpose() / 6;
  CHECK((covariance - flow.gaussian().covariance()).norm() < 1e-11 * covariance.norm());

  DeepFlow boxed = flow;
  boxed.initial = UniformBox::cube(3, 1);
  CHECK(message_of<Invalid>([&] { boxed.gaussian(); }) ==
        "wgf::Flow::gaussian: P_0 is not Gaussian");
  CHECK(message_of<Invalid>([&] { flow.gaussian(4); }) ==
        "wgf::Flow::gaussian: there is no P_4 in a flow of 3");
}
