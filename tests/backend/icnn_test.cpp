// SPDX-License-Identifier: BSL-1.0
// The map IcnnGradient: it is the gradient of its function φ, its pullbacks against differences,
// its Hessian above the bound, the cone.
#include <wgf/backend/eigen/icnn.hpp>
#include <wgf/concepts.hpp>
#include <wgf/training/adam.hpp>

#include <Eigen/Cholesky>

#include "../support.hpp"
#include "network_probe.hpp"

using namespace wgf;
using namespace wgf::test;

static_assert(GradientMapSpecification<IcnnGradient<16, 2>> &&
              !AffineSpecification<IcnnGradient<16, 2>>);
static_assert(!GradientMapSpecification<ResidualMlp<16, 2>> && !GradientMapSpecification<Affine>);
static_assert(Network<eigen::IcnnNetwork<IcnnGradient<16, 2>, float>, eigen::EigenRuntime<float>>);

namespace {

/// Which parameters must not be negative, in the specification's order.
template <int W, int D>
std::vector<bool> cone(const IcnnGradient<W, D>&, int dim) {
  std::vector<bool> c;
  for (int l = 0; l < D; ++l)
    c.insert(c.end(), static_cast<std::size_t>(l ? W * W : 0), true),
        c.insert(c.end(), dim * W, false);
  c.insert(c.end(), D * W, false), c.insert(c.end(), W, true),
      c.insert(c.end(), dim * dim + dim, false);
  return c;
}
/// Random parameters in the cone.
std::vector<double> inside(const std::vector<bool>& cone, double size, std::uint32_t stream) {
  auto values = list(size * numbers(1, static_cast<long>(cone.size()), stream).row(0).transpose());
  for (std::size_t i = 0; i < cone.size(); ++i)
    if (cone[i]) values[i] = std::abs(values[i]);
  return values;
}

/// φ(x), by its formula.
template <int W, int D>
double potential_at(const IcnnGradient<W, D>& spec, const std::vector<double>& parameters,
                    const Eigen::VectorXd& x) {
  using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const int d = static_cast<int>(x.size());
  const double* p = parameters.data();
  Eigen::VectorXd z;
  std::vector<Eigen::VectorXd> from_below;
  std::vector<Rows> below, points;
  for (int l = 0; l < D; ++l) {
    const int n = l ? W : 0;
    below.emplace_back(Eigen::Map<const Rows>(p, n, W)), p += n * W;
    points.emplace_back(Eigen::Map<const Rows>(p, d, W)), p += d * W;
  }
  for (std::size_t l = 0; l < D; ++l, p += W) {
    Eigen::VectorXd h =
        spec.input_scale * points[l].transpose() * x + Eigen::Map<const Eigen::VectorXd>(p, W);
    if (l) h += below[l].transpose() * z;
    z = h.unaryExpr([](double v) { return std::max(v, 0.0) + std::log1p(std::exp(-std::abs(v))); });
  }
  const double linear = z.dot(Eigen::Map<const Eigen::VectorXd>(p, W));
  p += W;
  const Eigen::VectorXd square = x + Eigen::Map<const Rows>(p, d, d) * x,
                        c = Eigen::Map<const Eigen::VectorXd>(p + d * d, d);
  CHECK(p + d * d + d == parameters.data() + parameters.size());
  const double a = spec.strong_convexity;
  return linear / spec.input_scale + 0.5 * a * x.squaredNorm() +
         0.5 * (1 - a) * square.squaredNorm() + c.dot(x);
}

/// The probe whose parameters in the cone are squares: as smooth as the network, at any numbers.
Probe squared(Probe net, const std::vector<bool>& cone) {
  const auto values = std::make_shared<std::vector<double>>(net.parameters());
  const Probe inner = net;
  net.set_parameters = [=](const std::vector<double>& v) {
    *values = v;
    auto set = v;
    for (std::size_t i = 0; i < v.size(); ++i)
      if (cone[i]) set[i] *= v[i];
    inner.set_parameters(set);
  };
  net.accumulate_vjp = [=](const Eigen::MatrixXd& dy) {
    Eigen::VectorXd g = inner.accumulate_vjp(dy);
    for (std::size_t i = 0; i < cone.size(); ++i)
      if (cone[i]) g[static_cast<long>(i)] *= 2 * (*values)[i];
    return g;
  };
  return net;
}
template <Keep keep, class Spec>
void check_pullbacks_of(const Spec& spec, int dim, long batch) {
  check_pullbacks(squared(probe<keep, double>(spec, dim, batch), cone(spec, dim)));
}

/// A network with a batch, trained on random upstream gradients.
template <class Spec, class Scalar = double>
struct Net {
  static constexpr long n = 700;
  eigen::EigenRuntime<Scalar> runtime;
  eigen::IcnnNetwork<Spec, Scalar> net;
  eigen::Optimiser<Adam, Scalar> optimiser;
  eigen::Points<Scalar> x, dy;
  Net(const Spec& spec, int dim, int threads)
      : runtime(EigenBackend<Scalar>{.threads = threads}.start()),
        net(runtime.network(spec, dim, n, 5, Keep::batch)),
        optimiser(runtime.optimiser(Adam{}, net)),
        x(runtime.points(dim, n)),
        dy(runtime.points(dim, n)) {
    set(1);
  }
  void set(std::uint32_t step) {
    runtime.upload(numbers(x.dim(), n, 100 + step), x),
        runtime.upload(numbers(x.dim(), n, 200 + step) / n, dy);
  }
  void pull() {
    runtime.parallel(
        n, [&](eigen::Slice s) { net.forward(s, x(s)), net.accumulate_vjp(s, x(s), dy(s)); });
  }
  void train(std::uint32_t steps, bool averaging = false) {
    for (std::uint32_t k = 1; k <= steps; ++k) {
      set(k), pull();
      optimiser.descend(net, 0.05);
      if (averaging) optimiser.accumulate_average(net);
    }
  }
  Eigen::MatrixXd forward() {
    Eigen::MatrixXd y(x.dim(), n);
    runtime.parallel(n, [&](eigen::Slice s) {
      y.middleCols(s.begin, s.size) = net.forward(s, x(s)).template cast<double>();
    });
    return y;
  }
  std::vector<Eigen::MatrixXd> hessians() {
    std::vector<Eigen::MatrixXd> h(n);
    runtime.parallel(n, [&](eigen::Slice s) {
      const auto columns = net.hessian(s, x(s));
      for (int i = 0; i < s.size; ++i)
        h[static_cast<std::size_t>(s.begin + i)] =
            Eigen::Map<const Eigen::Array<Scalar, Eigen::Dynamic, Eigen::Dynamic>>(
                columns.col(i).data(), x.dim(), x.dim())
                .matrix()
                .template cast<double>();
    });
    return h;
  }
  bool in_cone(const Spec& spec) const {
    const auto values = net.parameters();
    const auto c = cone(spec, x.dim());
    bool good = c.size() == values.size();
    for (std::size_t i = 0; good && i < c.size(); ++i) good = !c[i] || values[i] >= 0;
    return good;
  }
};

/// Symmetric, and no eigenvalue below the bound, up to rounding.
void check_hessians(const std::vector<Eigen::MatrixXd>& hessians, double bound) {
  double asymmetry = 0;
  long below = 0;
  for (const auto& h : hessians) {
    asymmetry =
        std::max(asymmetry, (h - h.transpose()).cwiseAbs().maxCoeff() / h.cwiseAbs().maxCoeff());
    const double margin = bound - 1e-12 * h.cwiseAbs().maxCoeff();
    below += Eigen::LLT<Eigen::MatrixXd>(h - margin * Eigen::MatrixXd::Identity(h.rows(), h.cols()))
                 .info() != Eigen::Success;
  }
  CHECK(asymmetry < 1e-13);
  CHECK(below == 0);
}

template <class Spec>
void check_gradient(const Spec& spec, int dim) {
  const long n = 131;
  const Probe net = probe<Keep::batch, double>(spec, dim, n);
  const auto values = inside(cone(spec, dim), 0.4, 11);
  const Particles x = numbers(dim, n, 12);
  net.set_parameters(values), net.set_x(x);
  CHECK(net.parameters() == values);
  const Eigen::MatrixXd y = net.forward();
  double error = 0;
  for (long i = 0; i < n; ++i)
    error = std::max(
        error,
        (y.col(i) - numerical_gradient(
                        [&](const auto& at) { return potential_at(spec, values, at); }, x.col(i)))
            .cwiseAbs()
            .maxCoeff());
  CHECK(error < 1e-9 * y.cwiseAbs().maxCoeff());
}

}  // namespace

TEST_CASE("IcnnGradient is the gradient of its potential") {
  for (const int dim : {1, 5, 17}) {
    check_gradient(IcnnGradient<16, 1>{.strong_convexity = 0.3}, dim);
    check_gradient(IcnnGradient<16, 3>{.input_scale = 1.5}, dim);
  }
  check_gradient(IcnnGradient<48, 2>{}, 3);
}

TEST_CASE("IcnnGradient: pullbacks with one hidden layer") {
  for (const int dim : {1, 3, 17})
    for (const long batch : {1L, 131L})
      check_pullbacks_of<Keep::batch>(IcnnGradient<16, 1>{.input_scale = 1.7}, dim, batch);
}
TEST_CASE("IcnnGradient: pullbacks with two hidden layers, kept for a tile") {
  for (const int dim : {1, 3, 17})
    for (const long batch : {7L, 700L})
      check_pullbacks_of<Keep::tile>(IcnnGradient<16, 2>{.strong_convexity = 0.4}, dim, batch);
}
TEST_CASE("IcnnGradient: pullbacks with three hidden layers, kept through the batch") {
  for (const int dim : {1, 3, 17})
    check_pullbacks_of<Keep::batch>(IcnnGradient<16, 3>{.input_scale = 0.6}, dim, 700);
}
TEST_CASE("IcnnGradient: pullbacks at a width of one and a half register tiles") {
  check_pullbacks_of<Keep::batch>(IcnnGradient<48, 2>{}, 2, 131);
}

TEST_CASE("IcnnGradient in float") {
  for (const long batch : {7L, 700L})
    check_float<Keep::batch>(IcnnGradient<16, 2>{.input_scale = 1.5}, 17, batch);
}

TEST_CASE("IcnnGradient is the identity at the start, to the last bit") {
  for (const long batch : {1L, 700L})
    for (const double strong_convexity : {0.1, 0.7}) {
      const Particles x = numbers(3, batch, 2);
      const Probe one = probe<Keep::tile, double>(IcnnGradient<16, 1>{strong_convexity}, 3, batch);
      const Probe three =
          probe<Keep::batch, double>(IcnnGradient<16, 3>{strong_convexity, 4}, 3, batch);
      one.set_x(x), three.set_x(x);
      CHECK(one.forward() == x);
      CHECK(three.forward() == x);
      CHECK(three.input_vjp(x) == x);
    }
}

TEST_CASE("IcnnGradient's hidden units differ at the start, and its streams") {
  const IcnnGradient<16, 2> spec;
  const auto runtime = EigenBackend<double>{.seed = 1, .threads = 1}.start();
  const auto start = runtime.network(spec, 3, 100, 7, Keep::tile).parameters();
  CHECK(start == runtime.network(spec, 3, 5, 7, Keep::tile).parameters());
  CHECK(start != runtime.network(spec, 3, 100, 8, Keep::tile).parameters());
  std::vector<double> weights(start.begin(), start.end() - 16 - 9 - 3);
  CHECK(weights.size() == 3 * 16 + (16 + 3) * 16 + 2 * 16);
  std::sort(weights.begin(), weights.end());
  CHECK(std::adjacent_find(weights.begin(), weights.end()) == weights.end());
}

TEST_CASE("IcnnGradient's Hessian is that of its potential") {
  const IcnnGradient<16, 2> spec{.strong_convexity = 0.2, .input_scale = 1.5};
  Net a(spec, 3, 2);
  const auto values = inside(cone(spec, 3), 0.4, 21);
  a.net.set_parameters(values);
  const auto hessians = a.hessians();
  const Eigen::MatrixXd x = a.runtime.download(a.x);
  for (long i = 0; i < a.n; i += 100)
    for (int j = 0; j < 3; ++j) {
      const auto slope = [&](const auto& at) {
        return numerical_gradient(
            [&](const auto& here) { return potential_at(spec, values, here); }, at)(j);
      };
      const auto& h = hessians[static_cast<std::size_t>(i)];
      CHECK((numerical_gradient(slope, x.col(i)) - h.col(j)).cwiseAbs().maxCoeff() <
            1e-7 * h.cwiseAbs().maxCoeff());
    }
}

TEST_CASE(
    "IcnnGradient's Hessian is symmetric and above the bound, at random parameters and after "
    "training") {
  const auto check = [](const auto& spec, int dim) {
    Net a(spec, dim, 2);
    for (const double size : {0.2, 1.0}) {
      a.net.set_parameters(inside(cone(spec, dim), size, 31));
      check_hessians(a.hessians(), spec.strong_convexity);
      a.train(10);
      check_hessians(a.hessians(), spec.strong_convexity);
    }
  };
  check(IcnnGradient<16, 1>{.strong_convexity = 0.5}, 1);
  check(IcnnGradient<16, 2>{.input_scale = 2}, 3);
  check(IcnnGradient<16, 3>{}, 17);
  // The bound is attained: C = −I leaves α alone.
  const IcnnGradient<16, 2> spec{.strong_convexity = 0.3};
  Net a(spec, 2, 1);
  std::vector<double> values(a.net.parameters().size());
  values[values.size() - 6] = values[values.size() - 3] = -1;
  a.net.set_parameters(values);
  for (const auto& h : a.hessians())
    REQUIRE((h - 0.3 * Eigen::MatrixXd::Identity(2, 2)).cwiseAbs().maxCoeff() < 1e-15);
}

TEST_CASE("IcnnGradient stays in the cone") {
  const IcnnGradient<16, 2> spec;
  Net a(spec, 3, 2);
  a.train(20);
  CHECK(a.in_cone(spec));
  const auto values = a.net.parameters(),
             w = std::vector<double>(values.end() - 9 - 3 - 16, values.end() - 9 - 3);
  CHECK(std::count(w.begin(), w.end(), 0.0) > 0);  // where the descent wanted to leave
  CHECK(std::count(w.begin(), w.end(), 0.0) < 16);
  // An average of iterates.
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(static_cast<long>(values.size()));
  for (std::uint32_t k = 0; k < 5; ++k) {
    a.train(1, true);
    sum += test::vector(a.net.parameters());
  }
  a.optimiser.use_average(a.net);
  CHECK(a.in_cone(spec));
  CHECK((test::vector(a.net.parameters()) - sum / 5).norm() < 1e-14 * sum.norm());
  check_hessians(a.hessians(), spec.strong_convexity);
  // Parameters that are set.
  const auto c = cone(spec, 3);
  a.net.set_parameters(std::vector<double>(c.size(), -1.0));
  const auto set = a.net.parameters();
  for (std::size_t i = 0; i < c.size(); ++i) REQUIRE(set[i] == (c[i] ? 0 : -1));
}

TEST_CASE("IcnnGradient's gradient adds up, can be read, is used up by a descent and cleared") {
  const IcnnGradient<16, 2> spec;
  Net a(spec, 3, 2), b(spec, 3, 2);
  const auto values = inside(cone(spec, 3), 0.4, 41);
  a.net.set_parameters(values), b.net.set_parameters(values);
  a.pull();
  const Eigen::VectorXd once = test::vector(a.net.gradient());
  CHECK(test::vector(a.net.gradient()) == once);
  a.pull();
  CHECK((test::vector(a.net.gradient()) - 2 * once).norm() < 1e-13 * once.norm());
  a.net.clear_gradient();
  CHECK(test::vector(a.net.gradient()).isZero(0));
  a.pull(), a.net.clear_gradient(), a.pull(), a.net.gradient();
  b.pull();
  const double rate = 1e-3;
  a.optimiser.descend(a.net, rate), b.optimiser.descend(b.net, rate);
  CHECK(a.net.parameters() == b.net.parameters());
  CHECK(test::vector(a.net.gradient()).isZero(0));
  // Adam's first step is as long as its rate, against the sign of the gradient.
  const auto moved = a.net.parameters();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double g = once[static_cast<long>(i)],
                 expected = values[i] - rate * g / (std::abs(g) + 1e-8);
    REQUIRE(moved[i] == Approx(cone(spec, 3)[i] ? std::max(expected, 0.0) : expected).margin(1e-9));
  }
}

TEST_CASE("IcnnGradient has the same bits on any number of threads") {
  const IcnnGradient<16, 2> spec{.input_scale = 1.5};
  const auto run = [&](int threads) {
    Net<IcnnGradient<16, 2>, float> a(spec, 5, threads);
    a.train(10);
    a.pull();
    return std::tuple{a.net.parameters(), a.net.gradient(), a.forward(), a.hessians()};
  };
  const auto one = run(1);
  CHECK(run(2) == one);
  CHECK(run(3) == one);
}

TEST_CASE("IcnnGradient refuses numbers that make no sense") {
  const auto runtime = EigenBackend<double>{.threads = 1}.start();
  const auto make = [&](IcnnGradient<16, 1> spec) { runtime.network(spec, 1, 1, 0, Keep::tile); };
  CHECK_THROWS_WITH(make({.strong_convexity = 0}),
                    "wgf::IcnnGradient: strong_convexity must be in (0, 1), got 0.000000");
  CHECK_THROWS_WITH(make({.strong_convexity = 1}),
                    "wgf::IcnnGradient: strong_convexity must be in (0, 1), got 1.000000");
  CHECK_THROWS_AS(make({.strong_convexity = std::nan("")}), std::invalid_argument);
  CHECK_THROWS_WITH(make({.input_scale = 0}),
                    "wgf::IcnnGradient: input_scale must be positive, got 0.000000");
  CHECK_NOTHROW(make({.strong_convexity = 0.99, .input_scale = 1e-3}));
  CHECK(describe(IcnnGradient<16, 2>{}) ==
        "IcnnGradient<16, 2>{strong_convexity = 0.1, input_scale = 1}");
}
