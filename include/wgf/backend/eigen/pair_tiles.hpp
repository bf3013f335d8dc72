// SPDX-License-Identifier: BSL-1.0
#pragma once
// Sums over all pairs of an interaction kernel, one block of points at a time: E_Y W(x − Y) and E_Y
// ∇W(x − Y). Vector registers run over the points x, so that they are filled in two dimensions as
// well.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "../../functional/kernels.hpp"
#include "register_array.hpp"
#include "tiles.hpp"

namespace wgf::eigen {

/// Sums over pairs of an interaction kernel, with scratch memory for every worker. (Functions of
/// pairs are flattened, so that a user's kernel is inlined too.) The sums of a radial kernel are
/// computed in registers, in Scalar, exact up to the rounding of each pair and of partial sums over
/// 128 samples; those of another kernel point by point in double precision. Every point has its own
/// sum, so the bits do not depend on the number of threads. They depend on the division into tiles
/// only if the points are samples too: around a point's own sample, partial sums begin and end with
/// its group.
template <InteractionKernel Kernel, class Scalar>
class PairSum {
  using V = simd::Vec<Scalar>;
  using Array = RegisterArray<Scalar>;
  static constexpr bool radial = RadialKernel<Kernel>;
  static constexpr int lanes = simd::lanes<Scalar>;
  // group: points whose partial sums are in registers.
  static constexpr int group_registers = 2, group = group_registers * lanes;
  static constexpr int chunk = 128;           // samples in a partial sum
  static constexpr int block = scratch_rows;  // points paired with a chunk while it is cached

 public:
  /// Indicates that the samples are distinct from the points x.
  static constexpr long apart = std::numeric_limits<long>::min() / 2;

  /// \throws std::invalid_argument if the kernel's parameters are invalid.
  PairSum(const Kernel& kernel, int dim, int workers)
      : kernel_(kernel), form_(form_of(kernel)), dim_(dim) {
    check_kernel(kernel);
    if (radial) scratch_ = Buffer<Scalar>(static_cast<std::size_t>(workers) * scratch_size());
  }

  /// g(s) += weight · mean_j ∇W(x_i − y_j) for the points x = x(s) of a tile.
  /// \param first apart, or the index of the sample that is x_0, in which case x_1 is the next
  /// sample, and so on: the pair of a point with itself is then left out, and the mean is over the
  /// other samples, of which there must be at least one.
  template <class X, class G>
  void add_gradient(Slice s, const X& x, const PointsView<Scalar>& y, G&& g, double weight,
                    long first = apart) {
    const double share = weight / static_cast<double>(partners(y.count(), first));
    if constexpr (radial) {
      const Scratch at = scratch(s.worker);
      sum_block<true>(at, x, y.count(), first, [&](long j, int n) { return pack(at, y, j, n); });
      add_to(at, g, share * gradient_factor());
    } else {
      Eigen::VectorXd total(dim_);
      for (Eigen::Index i = 0; i < x.cols(); ++i) {
        total.setZero();
        for (long j = 0; j < y.count(); ++j)
          if (j != first + i) total += kernel_gradient(kernel_, difference(x, i, y, j));
        g.col(i) += (share * total).array().template cast<Scalar>();
      }
    }
  }
  /// Σ_i mean_j W(x_i − y_j) over the points of a tile.
  template <class X>
  double value(Slice s, const X& x, const PointsView<Scalar>& y, long first = apart) {
    double total = 0;
    each_value(s.worker, x, y, first, [&](Eigen::Index, double v) { total += v; });
    return total;
  }
  /// Calls f(i, mean_j W(x_i − y_j)) for at most 128 points x.
  template <class X, class F>
  void each_value(int worker, const X& x, const PointsView<Scalar>& y, long first, F&& f) {
    const double share = 1 / static_cast<double>(partners(y.count(), first));
    if constexpr (radial) {
      const Scratch at = scratch(worker);
      sum_block<false>(at, x, y.count(), first, [&](long j, int n) { return pack(at, y, j, n); });
      for (Eigen::Index i = 0; i < x.cols(); ++i)
        f(i, share * form_.value_factor *
                 (static_cast<double>(at.sum[i]) + static_cast<double>(at.lost[i])));
    } else {
      for (Eigen::Index i = 0; i < x.cols(); ++i) {
        double total = 0;
        for (long j = 0; j < y.count(); ++j)
          if (j != first + i) total += kernel_value(kernel_, difference(x, i, y, j));
        f(i, share * total);
      }
    }
  }

  /// out_i = mean_j ∇W(x_i − y_j) for any number of points; the samples are packed once.
  void gradients(ThreadTeam& team, const PointsView<Scalar>& x, const PointsView<Scalar>& y,
                 const PointsView<Scalar>& out, long first = apart) {
    Buffer<Scalar> packed;
    if constexpr (radial) {
      packed = Buffer<Scalar>(static_cast<std::size_t>(dim_) * y.count());
      for (long j = 0; j < y.count(); ++j) pack_point(y, j, packed.data() + j * dim_);
    }
    blocks(team, x.count(), [&](Slice s) {
      out(s).setZero();
      if constexpr (radial) {
        const Scratch at = scratch(s.worker);
        sum_block<true>(at, x(s), y.count(), first + s.begin,
                        [&](long j, int) { return packed.data() + j * dim_; });
        add_to(at, out(s), gradient_factor() / static_cast<double>(partners(y.count(), first)));
      } else {
        add_gradient(s, x(s), y, out(s), 1.0, first + s.begin);
      }
    });
  }
  /// out_i = mean_j W(x_i − y_j).
  void values(ThreadTeam& team, const PointsView<Scalar>& x, const PointsView<Scalar>& y,
              Eigen::Ref<Eigen::VectorXd> out, long first = apart) {
    blocks(team, x.count(), [&](Slice s) {
      each_value(s.worker, x(s), y, first + s.begin,
                 [&](Eigen::Index i, double v) { out[s.begin + i] = v; });
    });
  }
  /// out_i = mean over j ≠ i of ∇W(x_i − x_j), visiting every pair once: W is even, so that the
  /// pair's contributions to x_i and x_j are opposite. Blocks of points are paired like the teams
  /// of a round-robin tournament: the pairs of a round have no block in common, and the rounds have
  /// a fixed order.
  void self_gradients(ThreadTeam& team, const PointsView<Scalar>& x,
                      const PointsView<Scalar>& out) {
    const long groups = x.count() / group;
    if constexpr (radial)
      if (dim_ <= 3 && groups >= 8) {
        if (dim_ == 1) tournament<1>(team, x, out, groups);
        if (dim_ == 2) tournament<2>(team, x, out, groups);
        if (dim_ == 3) tournament<3>(team, x, out, groups);
        return;
      }
    gradients(team, x, x, out, 0);
  }

 private:
  struct Scratch {
    // Points and their sums, one coordinate after another; samples of a chunk.
    Scalar *x, *sum, *lost, *samples, *partial;
  };
  std::size_t scratch_size() const { return static_cast<std::size_t>(5) * dim_ * block; }
  Scratch scratch(int worker) const {
    Scalar* const p = scratch_.data() + static_cast<std::size_t>(worker) * scratch_size();
    const std::ptrdiff_t part = static_cast<std::ptrdiff_t>(dim_) * block;
    return {p, p + part, p + 2 * part, p + 3 * part, p + 4 * part};
  }
  static long partners(long samples, long first) { return first < 0 ? samples : samples - 1; }
  double gradient_factor() const { return 2 * form_.derivative_factor / form_.scale; }

  template <class X>
  Eigen::VectorXd difference(const X& x, Eigen::Index i, const PointsView<Scalar>& y,
                             long j) const {
    return x.col(i).matrix().template cast<double>() -
           Eigen::Map<const Eigen::Matrix<Scalar, Eigen::Dynamic, 1>>(y.row(j), dim_)
               .template cast<double>();
  }
  void pack_point(const PointsView<Scalar>& y, long j, Scalar* to) const {
    for (int c = 0; c < dim_; ++c) to[c] = static_cast<Scalar>(form_.scale) * y.row(j)[c];
  }
  const Scalar* pack(const Scratch& at, const PointsView<Scalar>& y, long j, int n) const {
    for (int k = 0; k < n; ++k) pack_point(y, j + k, at.samples + k * dim_);
    return at.samples;
  }
  /// f on slices of at most one block of the n points, in a number of tasks within the workers'
  /// limit.
  template <class F>
  static void blocks(ThreadTeam& team, long n, F&& f) {
    const long per_task = (n / (30'000L * block) + 1) * block;
    team.workers.run(static_cast<int>((n + per_task - 1) / per_task), [&](int task, int worker) {
      const long end = std::min(n, (task + 1) * per_task);
      for (long i = task * per_task; i < end; i += block)
        f(Slice{i, static_cast<int>(std::min<long>(block, end - i)), 0, worker});
    });
  }

  /// The sums over all samples at no more than one block of points x: chunk_at(j, n) returns
  /// samples j to j + n, scaled and packed.
  template <bool gradient, class X, class ChunkAt>
  void sum_block(const Scratch& at, const X& x, long samples, long first,
                 const ChunkAt& chunk_at) const {
    const int n = static_cast<int>(x.cols());
    const int filled = (n + group - 1) / group * group;
    for (int c = 0; c < dim_; ++c) {
      Scalar* const row = at.x + c * block;
      for (int i = 0; i < n; ++i) row[i] = static_cast<Scalar>(form_.scale) * x(c, i);
      std::fill(row + n, row + filled, row[n - 1]);
      std::fill_n(at.sum + c * block, filled, Scalar(0));
      std::fill_n(at.lost + c * block, filled, Scalar(0));
    }
    for (long j = 0; j < samples; j += chunk) {
      const int m = static_cast<int>(std::min<long>(chunk, samples - j));
      const Scalar* const y = chunk_at(j, m);
      for (int i = 0; i < filled; i += group) {
        // The index of the sample that is the group's first point.
        const int self = static_cast<int>(std::clamp<long>(first + i - j, -group, chunk));
        if (!gradient || dim_ > 3) {
          add_chunk<gradient>(at, i, y, 0, m, self);
        } else {
          const int begin = std::clamp(self, 0, m), end = std::clamp(self + group, 0, m);
          add_chunk_apart(at, i, y, 0, begin);
          add_chunk<gradient>(at, i, y, begin, end, self);
          add_chunk_apart(at, i, y, end, m);
        }
      }
    }
  }
  void add_chunk_apart(const Scratch& at, int i, const Scalar* y, int begin, int end) const {
    if (begin == end) return;
    if (dim_ == 1) add_chunk_of_dim<1>(at, i, y, begin, end);
    if (dim_ == 2) add_chunk_of_dim<2>(at, i, y, begin, end);
    if (dim_ == 3) add_chunk_of_dim<3>(at, i, y, begin, end);
  }
  /// The gradients due to samples that are none of the group's points, entirely in registers.
  template <int D>
  __attribute__((flatten)) void add_chunk_of_dim(const Scratch& at, int i, const Scalar* y,
                                                 int begin, int end) const {
    const auto shape = form_.shape;
    V x[D][group_registers], part[D][group_registers] = {};
    WGF_UNROLL for (int c = 0; c < D; ++c) WGF_UNROLL for (int v = 0; v < group_registers; ++v)
        x[c][v] = simd::load(at.x + c * block + i + v * lanes);
    for (const Scalar *p = y + begin * D, *last = y + end * D; p != last; p += D) {
      WGF_UNROLL for (int v = 0; v < group_registers; ++v) {
        V d[D], q{};
        WGF_UNROLL for (int c = 0; c < D; ++c) d[c] = x[c][v] - simd::broadcast(p[c]),
                                               q = c == 0 ? d[0] * d[0] : simd::fma(d[c], d[c], q);
        const Array derivative = shape.derivative(Array(q));
        WGF_UNROLL for (int c = 0; c < D; ++c) part[c][v] =
            simd::fma(derivative.v, d[c], part[c][v]);
      }
    }
    WGF_UNROLL for (int c = 0; c < D; ++c) WGF_UNROLL for (int v = 0; v < group_registers; ++v)
        add_to_sum(at.sum, at.lost, c * block + i + v * lanes, part[c][v]);
  }
  static WGF_INLINE void add_to_sum(Scalar* sums, Scalar* losts, std::ptrdiff_t at, V part) {
    V sum = simd::load(sums + at), lost = simd::load(losts + at);
    add_exactly(part, sum, lost);
    simd::store(sums + at, sum), simd::store(losts + at, lost);
  }

  /// Gradients or values in any dimension: four samples at a time, to reduce the loads and stores
  /// of coordinates and partial sums.
  /// \param self the index of the sample that is the group's first point; the pair of a point with
  /// itself is left out.
  template <bool gradient>
  __attribute__((flatten)) void add_chunk(const Scratch& at, int i, const Scalar* y, int begin,
                                          int end, int self) const {
    if (begin == end) return;
    constexpr int together = 4;
    const int sums = gradient ? dim_ : 1;
    std::fill_n(at.partial, sums * group, Scalar(0));
    int j = begin;
    for (; j + together <= end; j += together) add_samples<gradient, together>(at, i, y, j, self);
    for (; j < end; ++j) add_samples<gradient, 1>(at, i, y, j, self);
    for (int c = 0; c < sums; ++c)
      for (int v = 0; v < group_registers; ++v)
        add_to_sum(at.sum, at.lost, c * block + i + v * lanes,
                   simd::load(at.partial + c * group + v * lanes));
  }
  template <bool gradient, int S>
  WGF_INLINE void add_samples(const Scratch& at, int i, const Scalar* y, int j, int self) const {
    const auto shape = form_.shape;
    V w[S][group_registers] = {};
    const auto each = [&](int c, auto&& f) WGF_LAMBDA_INLINE {
      WGF_UNROLL for (int v = 0; v < group_registers; ++v) {
        const V x = simd::load(at.x + c * block + i + v * lanes);
        WGF_UNROLL for (int s = 0; s < S; ++s) f(s, v, x - simd::broadcast(y[(j + s) * dim_ + c]));
      }
    };
    for (int c = 0; c < dim_; ++c)
      each(c, [&](int s, int v, V d) WGF_LAMBDA_INLINE { w[s][v] = simd::fma(d, d, w[s][v]); });
    WGF_UNROLL for (int s = 0; s < S; ++s) WGF_UNROLL for (int v = 0; v < group_registers; ++v) {
      const Array q(w[s][v]);
      if constexpr (gradient) w[s][v] = Array(shape.derivative(q)).v;
      else w[s][v] = Array(shape.value(q)).v;
      // Skips the lane of the sample itself.
      w[s][v] = simd::lane_numbers<Scalar>() == j + s - self - v * lanes ? V{} : w[s][v];
    }
    if constexpr (gradient) {
      for (int c = 0; c < dim_; ++c) {
        V part[group_registers];
        WGF_UNROLL for (int v = 0; v < group_registers; ++v) part[v] =
            simd::load(at.partial + c * group + v * lanes);
        each(c, [&](int s, int v, V d)
                    WGF_LAMBDA_INLINE { part[v] = simd::fma(w[s][v], d, part[v]); });
        WGF_UNROLL for (int v = 0; v < group_registers; ++v)
            simd::store(at.partial + c * group + v * lanes, part[v]);
      }
    } else {
      WGF_UNROLL for (int v = 0; v < group_registers; ++v) {
        V part = simd::load(at.partial + v * lanes);
        WGF_UNROLL for (int s = 0; s < S; ++s) part += w[s][v];
        simd::store(at.partial + v * lanes, part);
      }
    }
  }
  template <class G>
  void add_to(const Scratch& at, G&& g, double factor) const {
    for (Eigen::Index i = 0; i < g.cols(); ++i)
      for (int c = 0; c < dim_; ++c) {
        const std::ptrdiff_t k = c * block + i;
        g(c, i) += static_cast<Scalar>(
            factor * (static_cast<double>(at.sum[k]) + static_cast<double>(at.lost[k])));
      }
  }

  // ---- every pair once

  /// Points, stored one coordinate after another, and the sums at these points.
  struct Paired {
    Buffer<Scalar> x, sum, lost;
    std::ptrdiff_t stride;
  };
  /// Pairs the registers at i with the one at j, or with the register at i itself (then each pair
  /// is visited twice and only the sum of x_i is updated): lanes are rotated until all pairs have
  /// been visited.
  template <int D, int R, bool self>
  WGF_INLINE void meet(const V (&x)[D][R], V (&part)[D][R], const Paired& cloud,
                       std::ptrdiff_t j) const {
    const auto shape = form_.shape;
    V y[D], given[D] = {};
    WGF_UNROLL for (int c = 0; c < D; ++c) y[c] = simd::load(cloud.x.data() + c * cloud.stride + j);
    for (int r = self ? 1 : 0; r < lanes; ++r) {
      if constexpr (self) {
        WGF_UNROLL for (int c = 0; c < D; ++c) y[c] = simd::rotate(y[c]);
      }
      WGF_UNROLL for (int v = 0; v < R; ++v) {
        V d[D], q{};
        WGF_UNROLL for (int c = 0; c < D; ++c) d[c] = x[c][v] - y[c],
                                               q = c == 0 ? d[0] * d[0] : simd::fma(d[c], d[c], q);
        const Array derivative = shape.derivative(Array(q));
        WGF_UNROLL for (int c = 0; c < D; ++c) {
          part[c][v] = simd::fma(derivative.v, d[c], part[c][v]);
          if constexpr (!self) given[c] -= derivative.v * d[c];
        }
      }
      if constexpr (!self) {
        WGF_UNROLL for (int c = 0; c < D; ++c) y[c] = simd::rotate(y[c]),
                                               given[c] = simd::rotate(given[c]);
      }
    }
    if constexpr (!self) {
      WGF_UNROLL for (int c = 0; c < D; ++c)
          add_to_sum(cloud.sum.data(), cloud.lost.data(), c * cloud.stride + j, given[c]);
    }
  }
  /// Pairs R registers at i with those of [begin, end).
  template <int D, int R, bool self = false>
  __attribute__((flatten)) void meet_all(const Paired& cloud, std::ptrdiff_t i,
                                         std::ptrdiff_t begin, std::ptrdiff_t end) const {
    V x[D][R];
    WGF_UNROLL for (int c = 0; c < D; ++c) WGF_UNROLL for (int v = 0; v < R; ++v) x[c][v] =
        simd::load(cloud.x.data() + c * cloud.stride + i + v * lanes);
    for (std::ptrdiff_t j = begin; j < end; j += chunk) {
      V part[D][R] = {};
      for (std::ptrdiff_t k = j; k < std::min<std::ptrdiff_t>(end, j + chunk); k += lanes)
        meet<D, R, self>(x, part, cloud, k);
      WGF_UNROLL for (int c = 0; c < D; ++c) WGF_UNROLL for (int v = 0; v < R; ++v) add_to_sum(
          cloud.sum.data(), cloud.lost.data(), c * cloud.stride + i + v * lanes, part[c][v]);
    }
  }
  template <int D>
  void tournament(ThreadTeam& team, const PointsView<Scalar>& x, const PointsView<Scalar>& out,
                  long groups) {
    const long n = x.count(), whole = groups * group;
    const auto memory = [&] { return Buffer<Scalar>(static_cast<std::size_t>(D) * whole); };
    const Paired cloud{memory(), memory(), memory(), whole};
    blocks(team, whole, [&](Slice s) {
      const auto points = x(s);
      for (int c = 0; c < D; ++c)
        for (int i = 0; i < s.size; ++i)
          cloud.x.data()[c * whole + s.begin + i] = static_cast<Scalar>(form_.scale) * points(c, i);
    });
    const int teams = static_cast<int>(std::clamp<long>(groups / 4, 1, 16)) * 2;
    const auto begin = [&](int t) { return groups * t / teams * group; };
    team.workers.run(teams, [&](int t, int) {
      for (long i = begin(t); i < begin(t + 1); i += group) {
        for (int v = 0; v < group_registers; ++v) {
          const long own = i + v * lanes;
          meet_all<D, 1, true>(cloud, own, own, own + lanes);
          meet_all<D, 1>(cloud, own, own + lanes, i + group);
        }
        meet_all<D, group_registers>(cloud, i, i + group, begin(t + 1));
      }
    });
    for (int round = 0; round < teams - 1; ++round)
      team.workers.run(
          teams / 2, [&](int table, int) {  // the last team stays fixed, the others move on by one
            const int others = teams - 1, a = (round + table) % others,
                      b = table == 0 ? others : (round + others - table) % others;
            for (long i = begin(a); i < begin(a + 1); i += group)
              meet_all<D, group_registers>(cloud, i, begin(b), begin(b + 1));
          });
    // The points that remain beyond whole groups: fewer than a group.
    const double share = gradient_factor() / static_cast<double>(n - 1);
    const PointsView<Scalar> rest = x.window(whole, n - whole);
    blocks(team, n, [&](Slice s) {
      const Scratch at = scratch(s.worker);
      const int paired = static_cast<int>(std::clamp<long>(whole - s.begin, 0, s.size));
      out(s).setZero();
      if (paired > 0) {
        const Slice first{s.begin, paired, 0, s.worker};
        sum_block<true>(at, x(first), rest.count(), apart,
                        [&](long j, int m) { return pack(at, rest, j, m); });
        for (int c = 0; c < D; ++c)
          for (int i = 0; i < paired; i += lanes) {
            const std::ptrdiff_t from = c * whole + s.begin + i;
            add_to_sum(at.sum, at.lost, c * block + i,
                       simd::load(cloud.sum.data() + from) + simd::load(cloud.lost.data() + from));
          }
        add_to(at, out(first), share);
      }
      if (paired < s.size) {
        const Slice last{s.begin + paired, s.size - paired, 0, s.worker};
        sum_block<true>(at, x(last), n, last.begin,
                        [&](long j, int m) { return pack(at, x, j, m); });
        add_to(at, out(last), share);
      }
    });
  }

  struct NoForm {
    double scale = 1, value_factor = 1, derivative_factor = 1;
  };
  static auto form_of(const Kernel& kernel) {
    if constexpr (radial) return radial_form(kernel);
    else return NoForm{};
  }
  Kernel kernel_;
  decltype(form_of(std::declval<const Kernel&>())) form_;
  int dim_;
  Buffer<Scalar> scratch_;
};

}  // namespace wgf::eigen
