// SPDX-License-Identifier: BSL-1.0
#include <wgf/exact/porous_medium.hpp>

#include <cmath>
#include <vector>

#include "catch.hpp"
#include "convergence.hpp"
#include "support.hpp"

using Eigen::VectorXd;
using wgf::Barenblatt;
using wgf::PorousMedium;
using wgf::test::message_of;
using wgf::test::numerical_gradient;
using Invalid = std::invalid_argument;

TEST_CASE("PorousMedium: the JKO iterates have the known radii") {
  // One dimension: a = 0.001 from t = 0.002; three: a = 0.0005 from t = 0.001. Computed
  // independently, to five digits.
  struct Known {
    int dim;
    double exponent, step_size, time;
    std::vector<double> radii;
  };
  const std::vector<Known> known = {
      {1,
       2,
       1e-3,
       2e-3,
       {.26207, .29626, .32471, .34930, .37108, .39073, .40869, .42528, .44073, .45520, .46885}},
      {1,
       3,
       1e-3,
       2e-3,
       {.31405, .34393, .36827, .38894, .40698, .42304, .43755, .45082, .46307, .47445, .48510}},
      {3,
       2,
       5e-4,
       1e-3,
       {.41245, .44335, .46819, .48906, .50711, .52306, .53737, .55038, .56232, .57336, .58365}},
      {3,
       3,
       5e-4,
       1e-3,
       {.50057, .52345, .54150, .55642, .56916, .58028, .59016, .59906, .60716, .61460, .62148}}};
  for (const Known& k : known) {
    const PorousMedium flow(k.dim, k.exponent);
    const Barenblatt start = Barenblatt::at(k.dim, k.exponent, k.time);
    for (std::size_t step = 0; step < k.radii.size(); ++step)
      CHECK(flow.jko(start, static_cast<int>(step), k.step_size).radius() ==
            Approx(k.radii[step]).margin(6e-6));
  }
}

TEST_CASE("PorousMedium::jko_iterate satisfies the equation of the optimal map") {
  // (T(x) − x)/a + ∇[m/(m−1) P'^{m−1} + ½λ|·|²](T(x)) = 0 for every x, and T the gradient of a
  // convex function.
  for (const int dim : {1, 2, 5})
    for (const double m : {1.4, 2.0, 3.0})
      for (const double lambda : {0.0, 0.8})
        for (const double a : {1e-3, 0.3, 50.0}) {
          const PorousMedium flow(dim, m, lambda);
          const Barenblatt p =
              Barenblatt::with_radius(VectorXd(VectorXd::Constant(dim, 0.5)), m, 0.9);
          const Barenblatt next = flow.jko_iterate(p, a);
          CHECK(next.radius() / p.radius() == Approx(flow.dilation(p, a)));
          const VectorXd x = p.centre() + VectorXd::LinSpaced(dim, 0.1, 0.5) / std::sqrt(dim);
          const VectorXd y = next.centre() + flow.dilation(p, a) * (x - p.centre());
          const auto derivative = [&](const VectorXd& z) {
            return m / (m - 1) * std::pow(next.density(z), m - 1) + 0.5 * lambda * z.squaredNorm();
          };
          const VectorXd pull = (y - x) / a;
          CHECK((pull + numerical_gradient(derivative, y)).norm() < 1e-8 * (1 + pull.norm()));
        }
}

TEST_CASE("PorousMedium::at is the PDE's solution") {
  for (const int dim : {1, 3}) {
    const Barenblatt start = Barenblatt::at(dim, 2.5, 0.4);
    CHECK(PorousMedium(dim, 2.5).at(start, 0.9).radius() ==
          Approx(Barenblatt::at(dim, 2.5, 1.3).radius()).epsilon(1e-12));
    // With confinement: its generator moves the moments, dE|X|²/dt = 2n ∫P^m − 2λE|X|², and c' =
    // −λc.
    const PorousMedium flow(dim, 2.5, 0.7);
    const Barenblatt p = Barenblatt::with_radius(VectorXd(VectorXd::Constant(dim, 0.2)), 2.5, 1.1);
    const auto moment = [&](const VectorXd& t) {
      const Barenblatt q = flow.at(p, t(0));
      return q.rms_radius() * q.rms_radius() + q.centre().squaredNorm();
    };
    const VectorXd t = VectorXd::Constant(1, 0.3);
    const double rate = 2 * dim * 1.5 * flow.at(p, 0.3).energy() - 2 * 0.7 * moment(t);
    CHECK(numerical_gradient(moment, t)(0) == Approx(rate).epsilon(1e-8));
    CHECK(flow.at(p, 0.3).centre()(0) == Approx(0.2 * std::exp(-0.21)));
    CHECK(flow.at(flow.at(p, 0.2), 0.5).radius() ==
          Approx(flow.at(p, 0.7).radius()).epsilon(1e-12));
  }
}

TEST_CASE("PorousMedium: the JKO iterates tend to the flow, to first order in the step") {
  const PorousMedium flow(2, 3, 0.5);
  const Barenblatt start = Barenblatt::at(2, 3, 0.05);
  const auto error = [&](int steps) {
    return flow.jko(start, steps, 1.0 / steps).radius() - flow.at(start, 1).radius();
  };
  wgf::test::check_order(1, {256, 1024}, 5, error);
  CHECK(std::abs(error(4096)) < 1e-3);
}

TEST_CASE("PorousMedium::steady_state moves neither with the flow nor with the steps") {
  const PorousMedium flow(3, 2, 1.5);
  const Barenblatt still = flow.steady_state();
  CHECK(flow.at(still, 2).radius() == Approx(still.radius()).epsilon(1e-12));
  CHECK(flow.jko_iterate(still, 0.7).radius() == Approx(still.radius()).epsilon(1e-12));
  CHECK(flow.jko(Barenblatt::with_radius(3, 2, 5), 200, 1).radius() ==
        Approx(still.radius()).epsilon(1e-12));
  // m/(m−1) P^{m−1} + ½λ|x|² is the same at all points.
  const auto level = [&](double r) {
    return 2 * still.density(VectorXd(Eigen::Vector3d(r, 0, 0))) + 0.75 * r * r;
  };
  CHECK(level(0.9 * still.radius()) == Approx(level(0)).epsilon(1e-12));
}

TEST_CASE("PorousMedium refuses what makes no sense") {
  CHECK(message_of<Invalid>([] { PorousMedium(2, 2, -1); }) ==
        "wgf::PorousMedium: the confinement must not be negative, got -1.000000");
  CHECK_THROWS_AS(PorousMedium(0, 2), Invalid);
  CHECK_THROWS_AS(PorousMedium(2, 1), Invalid);
  const PorousMedium flow(2, 2);
  const Barenblatt p = Barenblatt::with_radius(2, 2, 1);
  CHECK(message_of<Invalid>([&] { flow.jko(p, 1, 0); }) ==
        "wgf::PorousMedium: step_size must be positive, got 0.000000");
  CHECK(message_of<Invalid>([&] { flow.jko(p, -1, 1); }) ==
        "wgf::PorousMedium::jko: steps must not be negative, got -1");
  CHECK(message_of<Invalid>([&] { flow.at(p, -1); }) ==
        "wgf::PorousMedium::at: the time must not be negative, got -1.000000");
  CHECK(message_of<Invalid>([&] { flow.at(Barenblatt::with_radius(3, 2, 1), 1); }) ==
        "wgf::PorousMedium::at: the profile must have dimension 2 and exponent 2.000000, got 3 and "
        "2.000000");
  CHECK(message_of<std::logic_error>([&] { flow.steady_state(); }) ==
        "wgf::PorousMedium::steady_state: there is none without confinement");
}
