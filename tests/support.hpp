// SPDX-License-Identifier: BSL-1.0
#pragma once
// What several tests need.
#include <exception>
#include <string>
#include <utility>

#include <Eigen/Core>

namespace wgf::test {

/// The message of the exception of type E that f() throws; otherwise a text that no test expects.
template <class E, class F>
std::string message_of(F&& f) {
  try {
    std::forward<F>(f)();
  } catch (const E& e) {
    return e.what();
  } catch (const std::exception& e) {
    return std::string("(an exception of another type) ") + e.what();
  }
  return "(nothing was thrown)";
}

/// ∇f(x) by central differences of fourth order, their error about 1e-11 for a function of size and
/// scale 1.
template <class F>
Eigen::VectorXd numerical_gradient(F&& f, Eigen::VectorXd x, double h = 1e-3) {
  Eigen::VectorXd g(x.size());
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    const double centre = x(i);
    const auto at = [&](double shift) {
      x(i) = centre + shift;
      return f(std::as_const(x));
    };
    g(i) = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
    x(i) = centre;
  }
  return g;
}

}  // namespace wgf::test
