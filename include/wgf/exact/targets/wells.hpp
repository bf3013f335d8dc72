// SPDX-License-Identifier: BSL-1.0
#pragma once
// Products of double wells exp(−(x² − δ)² + tilt·x) on the line and of standard normals: 2^m modes,
// with log Z, the masses of the wells and samples by quadrature on the line.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../../checks.hpp"
#include "../../particles.hpp"
#include "../../random.hpp"

namespace wgf {

namespace detail {

/// The law with density ∝ exp(−(x² − δ)² + tilt·x) on the line, with two wells that the saddle
/// separates.
class DoubleWellLaw {
 public:
  /// δ > 0 and a tilt so small that there are two wells, |tilt| < 8 (δ/3)^{3/2}.
  DoubleWellLaw(double delta, double tilt) : delta_(delta), tilt_(tilt) {
    left_ = stationary(-std::sqrt(delta)), saddle_ = stationary(0);
    right_ = stationary(std::sqrt(delta));
    const double left = table(left_).mass.back(), right = table(right_).mass.back();
    const double height = log_density(right_) - log_density(left_);  // of the peaks
    right_share_ = tilt == 0 ? 0.5 : 1 / (1 + left / right * std::exp(-height));
    log_integral_ = log_density(right_) + std::log(right) - std::log(right_share_);
  }

  double log_density(double x) const {
    const double depth = x * x - delta_;
    return tilt_ * x - depth * depth;
  }
  double derivative(double x) const { return tilt_ - 4 * x * (x * x - delta_); }
  /// The modes, and the minimum between them.
  double left() const { return left_; }
  double right() const { return right_; }
  double saddle() const { return saddle_; }
  /// log ∫ exp(log_density).
  double log_integral() const { return log_integral_; }
  /// The mass on the right of the saddle.
  double right_share() const { return right_share_; }

  /// Half of the law, on one side of the saddle: the masses up to the nodes and the density at
  /// them, relative to the peak; where the density is below e^−50 times the peak it is left out.
  struct Table {
    double first = 0, width = 0;  ///< the first node and the distance of nodes
    std::vector<double> mass, density;

    /// The point that has the fraction u ∈ (0, 1) of the half's mass on its left. In a cell the
    /// mass is interpolated by the cubic that has the density as its derivative at the nodes.
    double quantile(double u) const {
      const double wanted = std::min(u, 1 - 0x1p-40) * mass.back();  // inside, despite rounding
      const auto above = std::upper_bound(mass.begin() + 1, mass.end() - 1, wanted);
      const auto cell = static_cast<std::size_t>(above - mass.begin()) - 1;
      const double total = mass[cell + 1] - mass[cell], rest = wanted - mass[cell];
      const double a = width * density[cell], b = width * density[cell + 1];
      double low = 0, high = 1, t = std::clamp(rest / total, 0.0, 1.0);
      for (int i = 0; i < 60; ++i) {
        const double s = 1 - t;
        const double error = t * t * (3 - 2 * t) * total + t * s * (s * a - t * b) - rest;
        const double slope = 6 * t * s * total + s * (1 - 3 * t) * a + t * (3 * t - 2) * b;
        (error > 0 ? high : low) = t;
        double next = t - error / slope;
        if (!(next > low && next < high)) next = 0.5 * (low + high);
        const bool converged = std::abs(next - t) <= 1e-12;
        t = next;
        if (converged) break;
      }
      return first + width * (static_cast<double>(cell) + t);
    }
  };
  /// The half that contains `mode`, one of left() and right().
  Table table(double mode) const {
    constexpr std::size_t cells = 2048;
    constexpr double depth = 50;
    const double peak = log_density(mode);
    const auto relative = [&](double x) { return std::exp(log_density(x) - peak); };
    // Where the density has fallen by e^−50 between `inside` and `outside`, by bisection.
    const auto edge = [&](double inside, double outside) {
      for (int i = 0; i < 100; ++i) {
        const double middle = 0.5 * (inside + outside);
        (log_density(middle) > peak - depth ? inside : outside) = middle;
      }
      return outside;
    };
    const double sign = mode > saddle_ ? 1 : -1;
    double far = mode + sign;
    while (log_density(far) > peak - depth) far += sign;
    const double inner = edge(mode, saddle_), outer = edge(mode, far);
    const double low = std::min(inner, outer), high = std::max(inner, outer);

    Table result{low, (high - low) / cells, {0.0}, {relative(low)}};
    result.mass.reserve(cells + 1), result.density.reserve(cells + 1);
    const double offset = 0.5 * std::sqrt(0.6);  // Gauss's rule with three nodes in each cell
    for (std::size_t i = 0; i < cells; ++i) {
      const auto at = [&](double t) { return low + result.width * (static_cast<double>(i) + t); };
      const double ends = relative(at(0.5 - offset)) + relative(at(0.5 + offset));
      result.mass.push_back(result.mass.back() +
                            result.width * (5 * ends + 8 * relative(at(0.5))) / 18);
      result.density.push_back(relative(at(1)));
    }
    return result;
  }

 private:
  // The zero of the derivative near x, by Newton's method.
  double stationary(double x) const {
    for (int i = 0; i < 100; ++i) {
      const double step = derivative(x) / (4 * (delta_ - 3 * x * x));
      x -= step;
      if (std::abs(step) <= 1e-16 * std::abs(x)) break;
    }
    return x;
  }

  double delta_, tilt_, left_ = 0, saddle_ = 0, right_ = 0, right_share_ = 0, log_integral_ = 0;
};

/// m independent double wells among d coordinates, the others standard normal. Modes are numbered
/// by the bits of their index: bit i is set if well i is the right one.
class Wells {
 public:
  Wells(double delta, double tilt, int wells, const char* who)
      : law_(delta, tilt), wells_(wells), who_(who) {}

  const DoubleWellLaw& law() const { return law_; }
  /// Overwrites the coordinates row(0), row(1), … of all particles with samples of the wells.
  template <class Row>
  void sample(Particles& x, std::uint64_t seed, std::uint32_t stream, Row&& row) const {
    const DoubleWellLaw::Table left = law_.table(law_.left()), right = law_.table(law_.right());
    const Particles u = standard_uniforms(wells_, x.cols(), seed, stream);
    const double left_share = 1 - law_.right_share();
    for (Eigen::Index j = 0; j < x.cols(); ++j)
      for (int i = 0; i < wells_; ++i)
        x(row(i), j) = u(i, j) < left_share
                           ? left.quantile(u(i, j) / left_share)
                           : right.quantile((u(i, j) - left_share) / law_.right_share());
  }
  template <class Row>
  Eigen::MatrixXd modes(int dim, Row&& row) const {
    Eigen::MatrixXd x = Eigen::MatrixXd::Zero(dim, count("modes"));
    for (Eigen::Index k = 0; k < x.cols(); ++k)
      for (int i = 0; i < wells_; ++i) x(row(i), k) = (k >> i) & 1 ? law_.right() : law_.left();
    return x;
  }
  std::vector<double> weights() const {
    std::vector<double> w{1.0};
    w.reserve(static_cast<std::size_t>(count("weights")));
    const double right = law_.right_share();
    for (int i = 0; i < wells_; ++i) {  // bit i is higher than those before
      const std::size_t size = w.size();
      for (std::size_t k = 0; k < size; ++k) w.push_back(w[k] * right), w[k] *= 1 - right;
    }
    return w;
  }
  template <class Row>
  long mode_of(const Eigen::VectorXd& x, Row&& row) const {
    long mode = 0;
    for (int i = 0; i < wells_; ++i)
      if (x[row(i)] > law_.saddle()) mode |= 1L << i;
    return mode;
  }

 private:
  Eigen::Index count(const char* what) const {
    if (wells_ > 20)
      throw std::invalid_argument(std::string(who_) + "::" + what + ": 2^" +
                                  std::to_string(wells_) +
                                  " modes are too many for a list; it has at most 2^20");
    return Eigen::Index{1} << wells_;
  }

  DoubleWellLaw law_;
  int wells_;
  const char* who_;
};

}  // namespace detail

/// Many-well of the FAB literature: copies of exp(−x⁴ + 6x² + ½x − ½y²) in the plane, ordered x, y,
/// x, y, …. Not normalised: log Z is 164.69568 for 16 copies (d = 32), 329.39135 for 32.
class ManyWell {
 public:
  /// \param copies half of the dimension, from 1 to 62.
  /// \throws std::invalid_argument for other values.
  explicit ManyWell(int copies = 16)
      : copies_(copies), wells_(delta, tilt, copies, "wgf::ManyWell") {
    if (copies < 1 || copies > 62)
      throw std::invalid_argument("wgf::ManyWell: the number of copies must be from 1 to 62, got " +
                                  std::to_string(copies));
  }

  int dim() const { return 2 * copies_; }
  /// log Z, by quadrature: copies · (log ∫ exp(−x⁴ + 6x² + ½x) dx + ½ log 2π).
  double log_evidence() const {
    return copies_ *
           (wells_.law().log_integral() + delta * delta + 0.5 * std::log(2 * std::numbers::pi));
  }
  /// The mass of the right well in each copy, 0.8443.
  double right_share() const { return wells_.law().right_share(); }
  double log_density(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), dim(), "wgf::ManyWell::log_density");
    double sum = copies_ * delta * delta;
    for (int i = 0; i < copies_; ++i)
      sum += wells_.law().log_density(x[2 * i]) - 0.5 * x[2 * i + 1] * x[2 * i + 1];
    return sum;
  }
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), dim(), "wgf::ManyWell::gradient");
    Eigen::VectorXd g(dim());
    for (int i = 0; i < copies_; ++i)
      g[2 * i] = wells_.law().derivative(x[2 * i]), g[2 * i + 1] = -x[2 * i + 1];
    return g;
  }
  /// n independent draws by inverse distribution functions, a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles sample(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::ManyWell::sample");
    Particles x = standard_normals(dim(), n, seed, stream);
    wells_.sample(x, seed, stream + 1, row);
    return x;
  }
  /// d × 2^copies. In column k, copy i is in its right well if bit i of k is set.
  /// \throws std::invalid_argument for more than 20 copies.
  Eigen::MatrixXd modes() const { return wells_.modes(dim(), row); }
  /// The masses of the modes, 2^copies numbers with sum 1.
  /// \throws std::invalid_argument for more than 20 copies.
  std::vector<double> weights() const { return wells_.weights(); }
  /// The index of the mode whose wells contain x.
  long mode_of(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), dim(), "wgf::ManyWell::mode_of");
    return wells_.mode_of(x, row);
  }

 private:
  static constexpr std::uint32_t stream = 0x4d414e59;  // "MANY"
  static constexpr double delta = 3, tilt = 0.5;  // −x⁴ + 6x² + ½x = 9 − (x² − 3)² + ½x
  static constexpr auto row = [](int i) { return 2 * i; };

  int copies_;
  detail::Wells wells_;
};

/// Double wells in the first m of d coordinates, standard normals in the others: log q(x) =
/// −Σ_{i≤m} (x_i² − δ)² − ½ Σ_{i>m} x_i². The defaults are MW-54 of the sampling benchmarks; not
/// normalised, its log Z is −0.541056.
class DoubleWell {
 public:
  /// \param dim d.
  /// \param wells m, at most d and 62.
  /// \param delta δ > 0: the wells are at ±δ^½, and the barrier between them is δ² high.
  /// \throws std::invalid_argument for other values.
  explicit DoubleWell(int dim = 5, int wells = 5, double delta = 4)
      : dim_(dim),
        count_(wells),
        delta_(checked(dim, wells, delta)),
        wells_(delta, 0, wells, "wgf::DoubleWell") {}

  int dim() const { return dim_; }
  /// m.
  int wells() const { return count_; }
  double delta() const { return delta_; }
  /// log Z, by quadrature on the line.
  double log_evidence() const {
    return count_ * wells_.law().log_integral() +
           0.5 * (dim_ - count_) * std::log(2 * std::numbers::pi);
  }
  /// The mass of the right well in each coordinate: ½, by symmetry.
  double right_share() const { return wells_.law().right_share(); }
  double log_density(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), dim_, "wgf::DoubleWell::log_density");
    double sum = 0;
    for (int i = 0; i < count_; ++i) sum += wells_.law().log_density(x[i]);
    for (int i = count_; i < dim_; ++i) sum -= 0.5 * x[i] * x[i];
    return sum;
  }
  Eigen::VectorXd gradient(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), dim_, "wgf::DoubleWell::gradient");
    Eigen::VectorXd g(dim_);
    for (int i = 0; i < count_; ++i) g[i] = wells_.law().derivative(x[i]);
    for (int i = count_; i < dim_; ++i) g[i] = -x[i];
    return g;
  }
  /// n independent draws by inverse distribution functions, a function of the seed.
  /// \throws std::invalid_argument for n < 1.
  Particles sample(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::DoubleWell::sample");
    Particles x = standard_normals(dim_, n, seed, stream);
    wells_.sample(x, seed, stream + 1, row);
    return x;
  }
  /// d × 2^m, of equal weight. In column k, coordinate i is positive if bit i of k is set.
  /// \throws std::invalid_argument for more than 20 wells.
  Eigen::MatrixXd modes() const { return wells_.modes(dim_, row); }
  /// 2^−m for each mode.
  /// \throws std::invalid_argument for more than 20 wells.
  std::vector<double> weights() const { return wells_.weights(); }
  /// The index of the mode whose wells contain x.
  long mode_of(const Eigen::VectorXd& x) const {
    detail::check_point_size(x.size(), dim_, "wgf::DoubleWell::mode_of");
    return wells_.mode_of(x, row);
  }

 private:
  static constexpr std::uint32_t stream = 0x44424c57;  // "DBLW"
  static constexpr auto row = [](int i) { return i; };
  static double checked(int dim, int wells, double delta) {
    detail::check_at_least(dim, 1, "wgf::DoubleWell", "the dimension");
    if (wells < 1 || wells > std::min(dim, 62))
      throw std::invalid_argument("wgf::DoubleWell: the number of wells must be from 1 to " +
                                  std::to_string(std::min(dim, 62)) + ", got " +
                                  std::to_string(wells));
    if (!(delta > 0) || !std::isfinite(delta * delta))
      throw std::invalid_argument("wgf::DoubleWell: delta must be positive, got " +
                                  std::to_string(delta));
    return delta;
  }

  int dim_, count_;
  double delta_;
  detail::Wells wells_;
};

}  // namespace wgf
