// SPDX-License-Identifier: BSL-1.0
// The LibTorch runtime: random numbers, sums over pairs, files, devices that are not there.
#include <wgf/flow/file.hpp>

#include <filesystem>

#include "../support.hpp"
#include "both.hpp"

using namespace wgf;
using namespace wgf::test;

namespace {
/// What f(runtime, slice, points) makes of dim × n points.
template <class Backend, class F>
Particles made_by(const Backend& backend, int dim, long n, F f) {
  const auto runtime = backend.start();
  const auto x = runtime.points(dim, n);
  runtime.parallel(n, [&](auto s) { f(runtime, s, x(s)); });
  return runtime.download(x);
}
}  // namespace

TEMPLATE_TEST_CASE("on a CPU random numbers are Eigen's, number for number", "", float, double) {
  const auto same = [](auto f) {
    const Particles a = made_by(on_eigen<TestType>(), 3, 500, f),
                    b = made_by(on_torch<TestType>(), 3, 500, f);
    CHECK(a == b);
    CHECK(a.row(0).maxCoeff() > a.row(0).minCoeff());
  };
  same([](const auto& r, auto s, auto&& x) { r.normals(s, x, 4, 9); });
  same([](const auto& r, auto s, auto&& x) { r.uniforms(s, x, 4, 9); });
  same([](const auto& r, auto s, auto&& x) { r.lattice(s, x, 500, 4, 9); });
  const Particles others = standard_normals(3, 900, 1);
  const auto drawn = [&](auto draw) {
    same([&](const auto& r, auto s, auto&& x) {
      const auto from = r.points(3, others.cols());
      r.upload(others, from);
      r.sort_along_curve(from);
      draw(r, from, s, x);
    });
  };
  drawn([](const auto& r, const auto& from, auto s, auto&& x) { r.draw_from(from, s, x, 4, 9); });
  drawn([](const auto& r, const auto& from, auto s, auto&& x) {
    r.draw_strata(from, s, x, 500, 4, 9);
  });
}

TEST_CASE("sums over pairs by tensors are those of the host") {
  // What a GPU computes: by blocks of pairs, here with several blocks.
  const Particles x = standard_normals(2, 3000, 1), y = standard_normals(2, 1500, 2);
  const auto runtime = on_torch<double>().start();
  auto a = runtime.points(2, 3000), b = runtime.points(2, 1500), out = runtime.points(2, 3000);
  runtime.upload(x, a), runtime.upload(y, b);
  const GaussianKernel kernel{.amplitude = 2, .width = 1.5};
  long blocks = 0;
  libtorch::each_block_of_pairs(
      a.all(), b.all(),
      [&](long first, long count, const at::Tensor& difference, const at::Tensor& q) {
        out.window(first, count).all() =
            2 * (kernel.derivative(q).unsqueeze(2) * difference).mean(1);
        ++blocks;
      });
  CHECK(blocks > 1);
  const Particles by_tensors = runtime.download(out);
  runtime.pair_gradients(kernel, a, b, out);
  CHECK(difference(by_tensors, runtime.download(out)) < 1e-12);
}

TEST_CASE("an affine map writes over its points, through whatever window they are seen") {
  const auto runtime = on_torch<double>().start();
  const auto x = runtime.points(2, 5);
  const Particles at = standard_normals(2, 5, 1);
  const Eigen::Matrix2d a{{1, 2}, {3, 4}};
  const Eigen::Vector2d b(5, 6);
  runtime.upload(at, x);
  set_affine(runtime.constant(a), runtime.constant(b), x.window(0, 5).all(), x.window(0, 5).all());
  CHECK(difference(runtime.download(x), Particles((a * at).colwise() + b)) < 1e-14);
}

TEST_CASE("a flow saved by one backend is loaded by the other, parameter for parameter") {
  const auto path = std::filesystem::temp_directory_path() / "wgf_libtorch_flow.wgf";
  const JkoSolver solver{kl(Gaussian::isotropic(2, 1.0)), ResidualMlp<16, 2>{}, Backward{},
                         on_torch<float>()};
  const RunOptions options{.steps = 1, .training = {.iterations = 5}, .population = {.size = 500}};
  const auto torch = solver.run(Gaussian::isotropic(2, 2.0), options);
  save(torch, path);
  const auto eigen = load<Flow<ResidualMlp<16, 2>, EigenBackend<float>>>(path);
  CHECK(eigen.stages[0].parameters == torch.stages[0].parameters);
  CHECK(difference(eigen.sample(100), torch.sample(100)) < 1e-5);
  save(eigen, path);
  const auto back = load<decltype(torch)>(path);
  CHECK(back.stages[0].parameters == torch.stages[0].parameters);
  CHECK(back.sample(100) == torch.sample(100));
  CHECK(solver.run(back, options).size() == 2);  // and goes on
  std::filesystem::remove(path);
}

TEST_CASE("the same seed gives the same flow, and each solver has numbers of its own") {
  const JkoSolver solver{entropy(Mlp<16, 2>{.dropout = 0.3}), Affine{}, Backward{},
                         on_torch<float>()};
  const RunOptions options{.steps = 1, .training = {.iterations = 5}, .population = {.size = 500}};
  const auto once = solver.run(UniformBox::cube(2, 1.0), options);
  at::Tensor elsewhere = at::empty({10});
  elsewhere.normal_();  // LibTorch's own generator has no part in it
  const auto again = solver.run(UniformBox::cube(2, 1.0), options);
  CHECK(once.stages[0].parameters == again.stages[0].parameters);
}

TEST_CASE("what LibTorch throws is told in its sentence, without its stack") {
  struct Failing {
    int dim() const { return 2; }
    double log_density(const Eigen::VectorXd&) const { return 0; }
    Eigen::VectorXd gradient(const Eigen::VectorXd&) const {
      (void)at::empty({2}).view({3});
      return Eigen::VectorXd::Zero(2);
    }
  };
  using Solver = decltype(JkoSolver{kl(Failing{}), Affine{}, Backward{}, on_torch<float>()});
  const Solver solver{kl(Failing{}), Affine{}, Backward{}, on_torch<float>()};
  const std::string why = message_of<FlowError<Solver::Flow>>(
      [&] { solver.run(Gaussian::isotropic(2, 1.0), RunOptions{.steps = 1}); });
  CHECK(why.find("is invalid for input of size 2") != std::string::npos);
  CHECK(why.find('\n') == std::string::npos);
}

TEST_CASE("devices that cannot be had are refused in one sentence") {
  const auto start = [](const char* device) {
    (void)LibTorchBackend<float>{.device = device}.start();
  };
  const auto asked = [&](const char* device) {
    return message_of<std::invalid_argument>([&] { start(device); });
  };
  CHECK(
      asked("gpu") ==
      "wgf::LibTorchBackend: the device must be \"cpu\" or \"cuda\" (\"cuda:1\", …), got \"gpu\"");
  CHECK(asked("mkldnn") ==
        "wgf::LibTorchBackend: the device must be \"cpu\" or \"cuda\" (\"cuda:1\", …), got "
        "\"mkldnn\"");
  if (!at::globalContext().hasCUDA())
    CHECK(message_of<std::runtime_error>([&] {
            start("cuda");
          }).rfind("wgf::LibTorchBackend: device \"cuda\" was asked for, but ", 0) == 0);
  CHECK(message_of<std::invalid_argument>([] {
          (void)LibTorchBackend<float>{.threads = -1}.start();
        }) == "wgf::LibTorchBackend: threads must be positive, or 0 for all cores, got -1");
}
