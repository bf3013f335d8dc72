// SPDX-License-Identifier: BSL-1.0
#pragma once
// The radial transport of a standard normal to a law with compact support: quantiles of the beta
// law at levels of the chi-squared law. Section numbers are those of the NIST Digital Library of
// Mathematical Functions, dlmf.nist.gov.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace wgf::detail {

/// A probability and its complement, each to full relative accuracy.
struct Level {
  double below, above;
};

/// The value of the continued fraction b_0 + a_1/(b_1 + a_2/(b_2 + …)), by the method of Lentz,
/// modified by Thompson and Barnett.
/// \param term gives (a_k, b_k) for k = 1, 2, ….
template <class Term>
double continued_fraction(double b0, Term term) {
  constexpr double tiny = 1e-300;
  double value = b0 == 0 ? tiny : b0, c = value, d = 0;
  for (int k = 1; k < 100'000; ++k) {
    const auto [a, b] = term(k);
    d = b + a * d, c = b + a / c;
    if (d == 0) d = tiny;
    if (c == 0) c = tiny;
    d = 1 / d;
    value *= c * d;
    if (std::abs(c * d - 1) < std::numeric_limits<double>::epsilon()) break;
  }
  return value;
}

/// P(G ≤ x) for G ~ Gamma(a), a > 0 and x ≥ 0: the series 8.7.1 or the continued fraction 8.9.2.
inline Level gamma_level(double a, double x) {
  if (!(x > 0)) return {0, 1};
  const double factor = std::exp(a * std::log(x) - x - std::lgamma(a));
  if (x < a + 1) {
    double term = 1 / a, sum = term;
    for (double k = a + 1; term > sum * std::numeric_limits<double>::epsilon(); ++k)
      sum += term *= x / k;
    return {factor * sum, 1 - factor * sum};
  }
  const double fraction = continued_fraction(
      x + 1 - a, [&](int k) { return std::pair(k * (a - k), x + 2 * k + 1 - a); });
  return {1 - factor / fraction, factor / fraction};
}

/// The beta law with parameters a, b > 0, of density ∝ y^{a−1} (1 − y)^{b−1} on (0, 1).
class BetaLaw {
 public:
  BetaLaw(double a, double b)
      : a_(a), b_(b), log_beta_(std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b)) {}

  /// P(Y ≤ y) for 0 < y < 1: the continued fraction 8.17.22 where it converges fast.
  Level level(double y) const {
    if (y > (a_ + 1) / (a_ + b_ + 2)) {
      const Level mirrored = mirror().level_by_fraction(1 - y);
      return {mirrored.above, mirrored.below};
    }
    return level_by_fraction(y);
  }
  /// The y with P(Y ≤ y) = level; 1 − y comes with it, to full relative accuracy.
  Level quantile(const Level& at) const {
    if (at.below > at.above) {
      const Level mirrored = mirror().lower_quantile(at.above);
      return {mirrored.above, mirrored.below};
    }
    return lower_quantile(at.below);
  }

 private:
  BetaLaw(double a, double b, double log_beta) : a_(a), b_(b), log_beta_(log_beta) {}
  /// The law of 1 − Y.
  BetaLaw mirror() const { return {b_, a_, log_beta_}; }
  /// log of y · density(y).
  double log_slope(double y) const {
    return a_ * std::log(y) + (b_ - 1) * std::log1p(-y) - log_beta_;
  }
  Level level_by_fraction(double y) const {
    const double fraction = continued_fraction(1, [&](int k) {
      const int m = k / 2;
      const double s = a_ + k;
      return std::pair(k % 2 == 0 ? m * (b_ - m) * y / ((s - 1) * s)
                                  : -(a_ + m) * (a_ + b_ + m) * y / ((s - 1) * s),
                       1.0);
    });
    const double below = std::exp(log_slope(y)) * (1 - y) / (a_ * fraction);
    return {below, 1 - below};
  }
  /// For p ≤ ½: Newton's method for log P(Y ≤ e^s) = log p, which is concave in s if b ≥ 1, with
  /// bisection where it leaves the bracket.
  Level lower_quantile(double p) const {
    if (!(p > 0)) return {0, 1};
    double low = -1e4, high = 0;
    // P(Y ≤ y) ≈ y^a / (a B(a, b)) for small y.
    double s = std::clamp((std::log(p * a_) + log_beta_) / a_, -700.0, -1e-3);
    for (int k = 0; k < 200; ++k) {
      const double y = std::exp(s), below = level(y).below;
      const double error = std::log(below / p);
      (error < 0 ? low : high) = s;
      double next = s - error * below / std::exp(log_slope(y));
      if (!(next > low && next < high)) next = 0.5 * (low + high);
      const double moved = std::abs(next - s);
      s = next;
      if (moved <= 4 * std::numeric_limits<double>::epsilon() * std::max(1.0, std::abs(s))) break;
    }
    return {std::exp(s), -std::expm1(s)};
  }

  double a_, b_, log_beta_;
};

}  // namespace wgf::detail
