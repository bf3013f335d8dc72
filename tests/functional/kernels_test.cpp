// SPDX-License-Identifier: BSL-1.0
// Interaction kernels: derivatives against differences, the three forms of a kernel, kernels of
// types of others.
#include <wgf/adapt.hpp>
#include <wgf/functional/kernels.hpp>

#include "../catch.hpp"
#include "../support.hpp"

using namespace wgf;
using namespace wgf::test;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {
// An even kernel that is not radial, in its forms.
struct ByHand {
  double value(const VectorXd& x) const {
    return std::exp(-x[0] * x[0]) * std::cos(x[x.size() - 1]);
  }
  VectorXd gradient(const VectorXd& x) const {
    VectorXd g = VectorXd::Zero(x.size());
    const auto last = x.size() - 1;
    g[0] += -2 * x[0] * value(x);
    g[last] -= std::exp(-x[0] * x[0]) * std::sin(x[last]);
    return g;
  }
};
struct Derived {
  template <class T>
  T value(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    return exp(-x[0] * x[0]) * cos(x[x.size() - 1]);
  }
};
struct WithHessian : ByHand {
  MatrixXd hessian(const VectorXd& x) const { return MatrixXd::Constant(x.size(), x.size(), 7); }
};
struct Theirs {
  double bandwidth;
};

template <class K>
void check_derivatives(const K& kernel, double tolerance = 1e-8) {
  for (const int dim : {1, 2, 3, 5})
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      const VectorXd x = standard_normals(dim, 1, seed + 10);
      const VectorXd gradient = kernel_gradient(kernel, x);
      const MatrixXd hessian = kernel_hessian(kernel, x);
      CHECK(kernel_value(kernel, VectorXd(-x)) == kernel_value(kernel, x));
      const auto value = [&](const VectorXd& at) { return kernel_value(kernel, at); };
      CHECK((gradient - numerical_gradient(value, x)).norm() < tolerance * (1 + gradient.norm()));
      for (int i = 0; i < dim; ++i) {
        const auto derivative = [&](const VectorXd& at) { return kernel_gradient(kernel, at)[i]; };
        CHECK((hessian.row(i).transpose() - numerical_gradient(derivative, x)).norm() <
              tolerance * (1 + hessian.norm()));
      }
    }
}
}  // namespace

template <>
struct wgf::Adapt<Theirs> {
  static auto read(const Theirs& t) { return GaussianKernel{.width = t.bandwidth}; }
};

TEST_CASE("gradients and Hessians of kernels are those of their values") {
  check_derivatives(GaussianKernel{});
  check_derivatives(GaussianKernel{.amplitude = 2, .width = 1.7});
  check_derivatives(QuadraticKernel{});
  check_derivatives(RingKernel{});
  check_derivatives(LogarithmicKernel{.softening = 0.5});
  check_derivatives(ByHand{});
  check_derivatives(Derived{});
}

TEST_CASE("kernels have the values of their formulas") {
  const VectorXd x = (VectorXd(2) << 0.6, -0.8).finished() * 1.5;  // |x| = 1.5
  CHECK(kernel_value(GaussianKernel{}, x) == Approx(-std::exp(-2.25) / std::numbers::pi));
  CHECK(kernel_value(GaussianKernel{.amplitude = 3, .width = 0.5}, x) ==
        Approx(3 * std::exp(-9.0)));
  CHECK(kernel_value(QuadraticKernel{}, x) == Approx(1.125));
  CHECK(kernel_value(RingKernel{}, x) == Approx(1.5 * 1.5 * 1.5 * 1.5 / 4 - 1.125));
  CHECK(kernel_value(LogarithmicKernel{}, x) == Approx(1.125 - std::log(1.5)));
  CHECK(kernel_value(LogarithmicKernel{.softening = 2}, x) == Approx(1.125 - std::log(2.5)));
}

TEST_CASE("a kernel's form is the kernel in other units") {
  const GaussianKernel kernel{.amplitude = -0.7, .width = 1.3};
  const auto form = radial_form(kernel);
  for (const double q : {0.0, 0.3, 4.0}) {
    const double scaled = form.scale * form.scale * q;
    CHECK(form.value_factor * std::exp2(-scaled) == Approx(kernel.value(q)));
    CHECK(form.derivative_factor * std::exp2(-scaled) == Approx(kernel.derivative(q)));
  }
  CHECK(radial_form(RingKernel{}).shape.derivative(3.0) == RingKernel{}.derivative(3.0));
  CHECK(radial_form(RingKernel{}).scale == 1);
}

TEST_CASE("the bound on a Gaussian kernel's derivatives holds and is not far off") {
  // The n-th derivative of exp(-t^2/w^2) along a coordinate is (-1/w)^n H_n(t/w) exp(-t^2/w^2).
  const GaussianKernel kernel{.amplitude = 2, .width = 0.8};
  for (int n = 2; n <= 9; ++n) {
    double largest = 0;
    for (double t = 0; t < 5; t += 1e-3) {
      double before = 1, hermite = 2 * t;
      for (int k = 1; k < n; ++k) before = std::exchange(hermite, 2 * t * hermite - 2 * k * before);
      largest = std::max(largest, 2 * std::abs(hermite) * std::exp(-t * t) / std::pow(0.8, n));
    }
    CHECK(kernel.derivative_bound(n) >= largest);
    CHECK(kernel.derivative_bound(n) < 2.5 * largest);
  }
}

TEST_CASE("a kernel's own Hessian is taken, and types of others are read by a trait") {
  CHECK(kernel_hessian(WithHessian{}, VectorXd::Ones(2)) == MatrixXd::Constant(2, 2, 7));
  const auto kernel = adapted(Theirs{.bandwidth = 2});
  STATIC_REQUIRE(std::is_same_v<decltype(kernel), const GaussianKernel>);
  CHECK(kernel.width == 2);
  CHECK(adapted(RingKernel{}).value(1.0) == -0.25);
  STATIC_REQUIRE_FALSE(InteractionKernel<Theirs>);
  STATIC_REQUIRE(RadialKernel<GaussianKernel>);
  STATIC_REQUIRE(DifferentiatedKernel<ByHand>);
  STATIC_REQUIRE(TemplatedKernel<Derived>);
}

TEST_CASE("kernels refuse parameters that make no sense") {
  using Invalid = std::invalid_argument;
  CHECK(message_of<Invalid>([] { check_kernel(GaussianKernel{.width = 0}); }) ==
        "wgf::GaussianKernel: width must be positive, got 0.000000");
  CHECK(message_of<Invalid>([] { check_kernel(GaussianKernel{.amplitude = std::nan("")}); }) ==
        "wgf::GaussianKernel: amplitude must be finite, got nan");
  CHECK(message_of<Invalid>([] { check_kernel(LogarithmicKernel{.softening = -1}); }) ==
        "wgf::LogarithmicKernel: softening must not be negative, got -1.000000");
  CHECK_NOTHROW(check_kernel(RingKernel{}));
  struct Short {
    double value(const VectorXd&) const { return 0; }
    VectorXd gradient(const VectorXd&) const { return VectorXd::Zero(1); }
  };
  CHECK(message_of<Invalid>([] { kernel_gradient(Short{}, VectorXd::Zero(2)); }) ==
        "a kernel's gradient at a point must have 2 coordinates, got 1");
}
