// SPDX-License-Identifier: BSL-1.0
#pragma once
// The finite-volume scheme of Carrillo, Chertock and Huang (2015) for ∂P/∂t = ∇·(P ∇(c W*P + V)) +
// κ ΔP^m in a box in one or two dimensions, with no flux through its boundary. It provides
// reference solutions of the aggregation–diffusion equation (section 4.4).
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <unsupported/Eigen/FFT>

#include "../checks.hpp"
#include "../particles.hpp"
#include "../random.hpp"

namespace wgf {

/// A uniform grid on a box in one or two dimensions. Fields on it are arrays of size cells(0) ×
/// cells(1) or cells(0) × 1.
struct CellGrid {
  Eigen::VectorXd lower, upper;
  Eigen::VectorXi cells;

  /// [−half_width, half_width]^dim with `cells` cells per side.
  /// \throws std::invalid_argument unless dim is 1 or 2, half_width is positive and there are at
  /// least 2 cells.
  static CellGrid cube(int dim, double half_width, int cells) {
    if (dim != 1 && dim != 2)
      throw std::invalid_argument("wgf::CellGrid: the grid must have one or two dimensions, got " +
                                  std::to_string(dim));
    if (!(half_width > 0) || !std::isfinite(half_width))
      throw std::invalid_argument("wgf::CellGrid: half_width must be positive, got " +
                                  std::to_string(half_width));
    if (cells < 2)
      throw std::invalid_argument("wgf::CellGrid: a side must have at least 2 cells, got " +
                                  std::to_string(cells));
    return {Eigen::VectorXd::Constant(dim, -half_width), Eigen::VectorXd::Constant(dim, half_width),
            Eigen::VectorXi::Constant(dim, cells)};
  }
  int dim() const { return static_cast<int>(cells.size()); }
  Eigen::Index rows() const { return cells(0); }
  Eigen::Index cols() const { return dim() == 2 ? cells(1) : 1; }
  /// The side lengths of a cell.
  Eigen::VectorXd width() const { return (upper - lower).cwiseQuotient(cells.cast<double>()); }
  double cell_volume() const { return width().prod(); }
  /// The centre of cell (i, j). Fractional indices give other points of the cell.
  Eigen::VectorXd point(double i, double j) const {
    Eigen::VectorXd x = lower;
    x(0) += (i + 0.5) * width()(0);
    if (dim() == 2) x(1) += (j + 0.5) * width()(1);
    return x;
  }
  /// The means of f over the cells, by the midpoint rule with `parts` parts per side of a cell.
  /// \throws std::invalid_argument for parts < 1.
  template <class F>
  Eigen::ArrayXXd means(F&& f, int parts = 4) const {
    if (parts < 1)
      throw std::invalid_argument("wgf::CellGrid::means: parts must be positive, got " +
                                  std::to_string(parts));
    Eigen::ArrayXXd field(rows(), cols());
    for (Eigen::Index j = 0; j < cols(); ++j)
      for (Eigen::Index i = 0; i < rows(); ++i)
        field(i, j) = mean(f, static_cast<double>(i), static_cast<double>(j), parts);
    return field;
  }
  /// The mean of f over cell (i, j), by the same rule.
  template <class F>
  double mean(F&& f, double i, double j, int parts) const {
    const int across = dim() == 2 ? parts : 1;
    double sum = 0;
    for (int l = 0; l < across; ++l)
      for (int k = 0; k < parts; ++k)
        sum += f(point(i + (k + 0.5) / parts - 0.5, j + (l + 0.5) / across - 0.5));
    return sum / (parts * across);
  }
};

/// The equation ∂P/∂t = ∇·(P ∇(c W*P + V)) + κ ΔP^m, the gradient flow of
/// ½c E[W(X − Y)] + E[V(X)] + κ/(m−1) ∫ P^m, where the last term is κ E[log P] for m = 1.
struct AggregationDiffusion {
  std::function<double(const Eigen::VectorXd&)> interaction =
      {};               ///< W, even; empty for W = 0. It may be infinite at 0 if it is integrable.
  double strength = 1;  ///< c
  std::function<double(const Eigen::VectorXd&)> potential = {};  ///< V; empty for V = 0
  double diffusion = 0;                                          ///< κ ≥ 0
  double exponent = 1;                                           ///< m ≥ 1
};

/// Cell means of P. The scheme is of second order in time (Heun's method) and in space, except
/// where P is steeper than a kink at the edge of its support: the L¹ error for a Barenblatt profile
/// decreases like h² for m = 2 and like h^{4/3} for m = 3. The means stay nonnegative, and their
/// sum is conserved up to rounding error. A time step takes two convolutions; its length is
/// determined by the largest velocity and diffusivity. The class is a Measure: samples are drawn
/// from the piecewise constant density.
class FiniteVolume {
 public:
  /// \param density cell means at time 0, nonnegative, of any total mass.
  /// \throws std::invalid_argument for an invalid grid, a density that does not match the grid or
  /// has negative or non-finite values, or an invalid equation.
  FiniteVolume(CellGrid grid, AggregationDiffusion equation, Eigen::ArrayXXd density)
      : grid_(std::move(grid)), equation_(std::move(equation)), density_(std::move(density)) {
    check();
    fft_.SetFlag(Eigen::FFT<double>::HalfSpectrum);
    fft_.SetFlag(Eigen::FFT<double>::Unscaled);
    external_ = Eigen::ArrayXXd::Zero(grid_.rows(), grid_.cols());
    if (equation_.potential) external_ = grid_.means(equation_.potential, 1);
    if (!external_.allFinite())
      throw std::invalid_argument(
          "wgf::FiniteVolume: the potential must be finite at the cells' centres");
    if (equation_.interaction) prepare_kernel();
  }

  int dim() const { return grid_.dim(); }
  const CellGrid& grid() const { return grid_; }
  double time() const { return time_; }
  /// The cell means.
  const Eigen::ArrayXXd& density() const { return density_; }

  /// Solves up to time `to`, which must not be before time().
  /// \throws std::invalid_argument for an earlier time; std::runtime_error if the time steps become
  /// too small.
  void advance(double to) {
    if (!(to >= time_) || !std::isfinite(to))
      throw std::invalid_argument("wgf::FiniteVolume::advance: the time must not be before " +
                                  std::to_string(time_) + ", got " + std::to_string(to));
    Eigen::ArrayXXd rate, middle, next;
    while (time_ < to) {
      const double limit = 0.9 / derivative(density_, rate);
      const double left = to - time_;
      // The last two steps share the remaining time equally, so that no step is tiny.
      double dt = left <= limit ? left : std::min(limit, 0.5 * left);
      // dt was chosen for the velocities of the first stage. If those of the second stage require a
      // shorter step, dt is halved.
      for (;; dt /= 2) {
        if (!(dt > 1e-14 * (1 + std::abs(to)) || dt == left))
          throw std::runtime_error(
              "wgf::FiniteVolume::advance: the steps have become too short at time " +
              std::to_string(time_));
        middle = density_ + dt * rate;
        if (!(middle.minCoeff() >= 0)) continue;
        Eigen::ArrayXXd& second = next;
        derivative(middle, second);
        next = 0.5 * (density_ + middle + dt * second);
        if (next.minCoeff() >= 0) break;
      }
      density_.swap(next);
      time_ = dt == left ? to : time_ + dt;
    }
  }

  /// ∫ P.
  double mass() const { return density_.sum() * grid_.cell_volume(); }
  /// ∫ |x|² P, with the mass of each cell at its centre.
  double second_moment() const {
    double sum = 0;
    for (Eigen::Index j = 0; j < density_.cols(); ++j)
      for (Eigen::Index i = 0; i < density_.rows(); ++i)
        sum += density_(i, j) * centre(i, j).squaredNorm();
    return sum * grid_.cell_volume();
  }
  /// ½c E[W(X − Y)] + E[V(X)] + the energy of the diffusion; it does not increase in time.
  double energy() const {
    const double m = equation_.exponent;
    Eigen::ArrayXXd e = density_ * (external_ + 0.5 * equation_.strength * convolution(density_));
    if (equation_.diffusion > 0) {
      if (m > 1) e += equation_.diffusion / (m - 1) * density_.pow(m);
      else
        e +=
            equation_.diffusion * density_ * density_.max(std::numeric_limits<double>::min()).log();
    }
    return e.sum() * grid_.cell_volume();
  }
  /// The mean over the cell that contains x; 0 outside the box.
  double value_at(const Eigen::VectorXd& x) const {
    if (x.size() != dim())
      throw std::invalid_argument("wgf::FiniteVolume::value_at: the point must have " +
                                  std::to_string(dim()) + " coordinates, got " +
                                  std::to_string(x.size()));
    if ((x.array() < grid_.lower.array()).any() || !(x.array() <= grid_.upper.array()).all())
      return 0;
    const Eigen::VectorXd index = (x - grid_.lower).cwiseQuotient(grid_.width());
    const auto clamped = [](double at, Eigen::Index n) {
      return std::min(static_cast<Eigen::Index>(at), n - 1);
    };
    return density_(clamped(index(0), density_.rows()),
                    dim() == 2 ? clamped(index(1), density_.cols()) : 0);
  }
  /// The centre of the cell with the largest mean (the first of several), moved to the vertex of
  /// the parabolas through it and its neighbours.
  Eigen::VectorXd peak() const {
    Eigen::Index i = 0, j = 0;
    density_.maxCoeff(&i, &j);
    const auto shift = [](double left, double here, double right) {
      const double bend = left - 2 * here + right;
      return bend < 0 ? 0.5 * (left - right) / bend : 0.0;
    };
    double di = 0, dj = 0;
    if (i > 0 && i + 1 < density_.rows())
      di = shift(density_(i - 1, j), density_(i, j), density_(i + 1, j));
    if (j > 0 && j + 1 < density_.cols())
      dj = shift(density_(i, j - 1), density_(i, j), density_(i, j + 1));
    return grid_.point(static_cast<double>(i) + di, static_cast<double>(j) + dj);
  }
  /// n independent draws, a function of the seed: a cell with probability proportional to its mass,
  /// then a uniform point in it.
  /// \throws std::invalid_argument for n < 1.
  Particles sample(long n, std::uint64_t seed) const {
    detail::check_sample_count(n, "wgf::FiniteVolume::sample");
    std::vector<double> below(static_cast<std::size_t>(density_.size()));
    double sum = 0;
    for (Eigen::Index k = 0; k < density_.size(); ++k)
      below[static_cast<std::size_t>(k)] = sum += density_.data()[k];
    const Particles u = standard_uniforms(1 + dim(), n, seed, stream);
    Particles x(dim(), n);
    for (Eigen::Index s = 0; s < n; ++s) {
      // u < 1, but the product may be rounded to the sum itself.
      auto found = std::upper_bound(below.begin(), below.end(), u(0, s) * sum);
      if (found == below.end()) found = std::lower_bound(below.begin(), below.end(), sum);
      const auto cell = static_cast<Eigen::Index>(found - below.begin());
      const auto i = static_cast<double>(cell % density_.rows()),
                 j = static_cast<double>(cell / density_.rows());
      x.col(s) = grid_.point(i + u(1, s) - 0.5, dim() == 2 ? j + u(2, s) - 0.5 : 0);
    }
    return x;
  }

 private:
  static constexpr std::uint32_t stream = 0x46564f4c;  // "FVOL"
  using Complex = std::complex<double>;

  void check() const {
    const auto fail = [](const std::string& what) {
      throw std::invalid_argument("wgf::FiniteVolume: " + what);
    };
    const Eigen::Index d = grid_.cells.size();
    if (d != 1 && d != 2)
      fail("the grid must have one or two dimensions, got " + std::to_string(d));
    if (grid_.lower.size() != d || grid_.upper.size() != d)
      fail("the grid's corners must have " + std::to_string(d) + " coordinates");
    if (!(grid_.lower.array() < grid_.upper.array()).all() || !grid_.lower.allFinite() ||
        !grid_.upper.allFinite())
      fail("the grid's lower corner must be below its upper one, and both finite");
    if (grid_.cells.minCoeff() < 2)
      fail("a side must have at least 2 cells, got " + std::to_string(grid_.cells.minCoeff()));
    if (density_.rows() != grid_.rows() || density_.cols() != grid_.cols())
      fail("the density must be " + std::to_string(grid_.rows()) + " x " +
           std::to_string(grid_.cols()) + " like the grid, got " + std::to_string(density_.rows()) +
           " x " + std::to_string(density_.cols()));
    if (!density_.allFinite() || !(density_.minCoeff() >= 0) || !(density_.maxCoeff() > 0))
      fail("the density must be finite, nowhere negative and somewhere positive");
    if (!std::isfinite(equation_.strength)) fail("the interaction's strength must be finite");
    if (!(equation_.diffusion >= 0) || !std::isfinite(equation_.diffusion))
      fail("the diffusion must not be negative, got " + std::to_string(equation_.diffusion));
    if (!(equation_.exponent >= 1) || !std::isfinite(equation_.exponent))
      fail("the exponent must be at least 1, got " + std::to_string(equation_.exponent));
  }
  Eigen::VectorXd centre(Eigen::Index i, Eigen::Index j) const {
    return grid_.point(static_cast<double>(i), static_cast<double>(j));
  }

  // out = ∂P/∂t at p. Returns 1/dt for the longest Euler step that keeps p nonnegative and the
  // diffusion stable.
  double derivative(const Eigen::ArrayXXd& p, Eigen::ArrayXXd& out) const {
    const double m = equation_.exponent;
    Eigen::ArrayXXd xi = external_;  // the velocity is −∇ξ
    if (equation_.interaction) xi += equation_.strength * convolution(p);
    if (m > 1 && equation_.diffusion > 0) xi += equation_.diffusion * m / (m - 1) * p.pow(m - 1);
    const Eigen::VectorXd h = grid_.width();
    out.setZero(p.rows(), p.cols());
    double rate = 2 / h(0) * add_flux(p, xi, h(0), out);
    if (dim() == 2) {
      Eigen::ArrayXXd turned = Eigen::ArrayXXd::Zero(p.cols(), p.rows());
      rate += 2 / h(1) * add_flux(p.transpose(), xi.transpose(), h(1), turned);
      out += turned.transpose();
    }
    return rate + 2 * equation_.diffusion * m * std::pow(p.maxCoeff(), m - 1) *
                      h.array().square().inverse().sum();
  }
  // Adds minus the divergence of the flux along columns to `out`; returns the largest speed. The
  // value of P at a face is taken from the upwind cell, in which P is linear with a limited slope:
  // it is bounded by the means of the neighbouring cells and therefore not negative. Linear
  // diffusion, for which ξ = log P is undefined at 0, has the flux of central differences instead.
  double add_flux(const Eigen::ArrayXXd& p, const Eigen::ArrayXXd& xi, double h,
                  Eigen::ArrayXXd& out) const {
    const Eigen::Index n = p.rows();
    const double linear = equation_.exponent > 1 ? 0 : equation_.diffusion / h;
    double fastest = 0;
    const auto half_slope = [n](const double* q, Eigen::Index i) {
      if (i == 0 || i + 1 == n) return 0.0;
      const double left = q[i] - q[i - 1], right = q[i + 1] - q[i];
      if (left * right <= 0) return 0.0;
      return std::copysign(
          std::min({std::abs(left), 0.25 * std::abs(left + right), std::abs(right)}), left);
    };
    for (Eigen::Index j = 0; j < p.cols(); ++j) {
      const double *q = p.data() + j * n, *x = xi.data() + j * n;
      double* to = out.data() + j * n;
      double here = 0;  // half the derivative in cell i
      for (Eigen::Index i = 0; i + 1 < n; ++i) {
        const double there = half_slope(q, i + 1), u = (x[i] - x[i + 1]) / h;
        const double flux =
            (u > 0 ? u * (q[i] + here) : u * (q[i + 1] - there)) + linear * (q[i] - q[i + 1]);
        to[i] -= flux / h, to[i + 1] += flux / h;
        fastest = std::max(fastest, std::abs(u));
        here = there;
      }
    }
    return fastest;
  }

  // The smallest length ≥ n with a fast FFT: a multiple of 4 without prime factors above 5.
  static Eigen::Index padded(Eigen::Index n) {
    for (n = (n + 3) / 4 * 4;; n += 4) {
      Eigen::Index rest = n;
      for (const Eigen::Index prime : {2, 3, 5})
        while (rest % prime == 0) rest /= prime;
      if (rest == 1) return n;
    }
  }
  // W at the differences of cell centres, or its mean over a cell where it is infinite; then its
  // spectrum on a box of twice the size, so that the convolution does not wrap around.
  void prepare_kernel() {
    const Eigen::Index rows = grid_.rows(), cols = grid_.cols();
    padded_rows_ = padded(2 * rows - 1), padded_cols_ = dim() == 2 ? padded(2 * cols - 1) : 1;
    const CellGrid offsets{-0.5 * grid_.width(), 0.5 * grid_.width(), Eigen::VectorXi::Ones(dim())};
    kernel_.setZero(padded_cols_, padded_rows_ / 2 + 1);
    Eigen::ArrayXXd w = Eigen::ArrayXXd::Zero(padded_rows_, padded_cols_);
    for (Eigen::Index j = 1 - cols; j < cols; ++j)
      for (Eigen::Index i = 1 - rows; i < rows; ++i) {
        const auto x = static_cast<double>(i), y = static_cast<double>(j);
        double value = equation_.interaction(offsets.point(x, y));
        if (!std::isfinite(value)) value = offsets.mean(equation_.interaction, x, y, 64);
        if (!std::isfinite(value))
          throw std::invalid_argument(
              "wgf::FiniteVolume: the interaction must have a finite mean over each cell");
        w((i + padded_rows_) % padded_rows_, (j + padded_cols_) % padded_cols_) = value;
      }
    for (Eigen::Index j = 0; j < padded_cols_; ++j) transform_column(w.col(j).data(), j, kernel_);
    transform_rows(
        kernel_, [](Eigen::Index, Eigen::ArrayXcd&) {}, false);
    kernel_ *= grid_.cell_volume() /
               static_cast<double>(padded_rows_ * padded_cols_);  // the transforms are unscaled
  }
  // Writes the spectrum of a padded real column to row j of `spectrum`.
  void transform_column(const double* column, Eigen::Index j, Eigen::ArrayXXcd& spectrum) const {
    bins_.resize(padded_rows_ / 2 + 1);
    fft_.fwd(bins_.data(), column, padded_rows_);
    spectrum.row(j) = bins_.transpose();
  }
  // Transforms each column of `spectrum` (a frequency of the first coordinate), applies f, and
  // transforms back if asked.
  template <class F>
  void transform_rows(Eigen::ArrayXXcd& spectrum, F&& f, bool back) const {
    line_.resize(padded_cols_);
    for (Eigen::Index b = 0; b < spectrum.cols(); ++b) {
      if (padded_cols_ > 1) fft_.fwd(line_.data(), spectrum.col(b).data(), padded_cols_);
      else line_ = spectrum.col(b);
      f(b, line_);
      if (back && padded_cols_ > 1) fft_.inv(spectrum.col(b).data(), line_.data(), padded_cols_);
      else spectrum.col(b) = line_;
    }
  }
  // W*p at the cell centres, by the FFT of the padded field; 0 without interaction.
  Eigen::ArrayXXd convolution(const Eigen::ArrayXXd& p) const {
    Eigen::ArrayXXd result = Eigen::ArrayXXd::Zero(p.rows(), p.cols());
    if (!equation_.interaction) return result;
    spectrum_.setZero(padded_cols_, padded_rows_ / 2 + 1);
    column_.setZero(padded_rows_);
    for (Eigen::Index j = 0; j < p.cols(); ++j) {
      column_.head(p.rows()) = p.col(j);
      transform_column(column_.data(), j, spectrum_);
    }
    transform_rows(
        spectrum_, [this](Eigen::Index b, Eigen::ArrayXcd& line) { line *= kernel_.col(b); }, true);
    for (Eigen::Index j = 0; j < p.cols(); ++j) {
      bins_ = spectrum_.row(j).transpose();
      fft_.inv(column_.data(), bins_.data(), padded_rows_);
      result.col(j) = column_.head(p.rows());
    }
    return result;
  }

  CellGrid grid_;
  AggregationDiffusion equation_;
  Eigen::ArrayXXd density_, external_;
  double time_ = 0;
  Eigen::Index padded_rows_ = 0, padded_cols_ = 0;
  Eigen::ArrayXXcd kernel_;  // rows: frequencies of the second coordinate, columns: of the first
  mutable Eigen::FFT<double> fft_;
  mutable Eigen::ArrayXXcd spectrum_;  // scratch
  mutable Eigen::ArrayXcd bins_, line_;
  mutable Eigen::ArrayXd column_;
};

}  // namespace wgf
