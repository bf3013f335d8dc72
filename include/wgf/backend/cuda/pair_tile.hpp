// SPDX-License-Identifier: BSL-1.0
#pragma once
// The work of one thread in a sum over pairs, from the packing of points to a finished mean, as
// functions for host and device: the CUDA kernels of pair_sum.cuh call them, and so do tests on
// machines without a GPU.
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "../../functional/kernels.hpp"
#include "pair_sum.hpp"

#if defined(__CUDA_ARCH__)
#define WGF_CUDA_UNROLL _Pragma("unroll")
#define WGF_CUDA_UNROLL_BY_4 _Pragma("unroll 4")
#else
#define WGF_CUDA_UNROLL
#define WGF_CUDA_UNROLL_BY_4
#endif

namespace wgf::cuda {

/// A number for evaluating the formula of a radial kernel: the double constants of the formula are
/// converted to Scalar, whereas built-in arithmetic would convert every float to double. On the
/// device, 2^x in float is a hardware instruction and a quotient is a/b to 2 units in the last
/// place; both are accurate to 3e-7.
template <class Scalar>
struct Number {
  Scalar v;

  template <class T>
    requires std::is_arithmetic_v<T>
  WGF_HOST_DEVICE Number(T x) : v(static_cast<Scalar>(x)) {}
  friend WGF_HOST_DEVICE Number operator-(Number a) { return -a.v; }
  friend WGF_HOST_DEVICE Number operator+(Number a, Number b) { return a.v + b.v; }
  friend WGF_HOST_DEVICE Number operator-(Number a, Number b) { return a.v - b.v; }
  friend WGF_HOST_DEVICE Number operator*(Number a, Number b) { return a.v * b.v; }
  friend WGF_HOST_DEVICE Number operator/(Number a, Number b) {
#if defined(__CUDA_ARCH__)
    if constexpr (std::is_same_v<Scalar, float>) return __fdividef(a.v, b.v);
#endif
    return a.v / b.v;
  }
  friend WGF_HOST_DEVICE Number exp2(Number a) {
#if defined(__CUDA_ARCH__)
    // exp2f takes two more instructions, for results below 2^−126, which are 0 here.
    if constexpr (std::is_same_v<Scalar, float>) {
      float power;
      asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(a.v));
      return power;
    }
#endif
    using std::exp2;
    return exp2(a.v);
  }
  friend WGF_HOST_DEVICE Number exp(Number a) {
    using std::exp;
    return exp(a.v);
  }
  friend WGF_HOST_DEVICE Number log(Number a) {
    using std::log;
    return log(a.v);
  }
  friend WGF_HOST_DEVICE Number sqrt(Number a) {
    using std::sqrt;
    return sqrt(a.v);
  }
  friend WGF_HOST_DEVICE Number pow(Number a, double exponent) {
    using std::pow;
    return pow(a.v, static_cast<Scalar>(exponent));
  }
  friend WGF_HOST_DEVICE Number ones_like(Number) { return 1; }
};

// ---- the division into blocks

inline constexpr int max_fixed_dim = 4;  ///< dimensions up to this one are known at compile time
inline constexpr int threads = 128;      ///< per block
inline constexpr int tile = 128;         ///< samples that a block holds in shared memory
/// Largest number of points or samples: the blocks of a grid are counted in 31 bits.
inline constexpr long max_count = 1L << 36;
/// Samples that a thread processes at a time in more than 4 dimensions.
inline constexpr int together = 16;
/// Points per thread, and per block.
WGF_HOST_DEVICE constexpr int points_of_thread(int dim) { return dim <= max_fixed_dim ? 4 : 1; }
WGF_HOST_DEVICE constexpr int points_of_block(int dim) { return threads * points_of_thread(dim); }

/// Blocks of points, and splits of the samples among blocks when the points alone would not fill a
/// GPU. They depend on the sizes and not on the GPU, and therefore so does the order of summation.
struct Cut {
  long blocks, stride;     // stride: points, including those that fill the last block
  long splits, per_split;  // per_split: samples, in whole tiles
};
inline Cut cut_of(long n, long m, int dim) {
  // Number of blocks wanted: the 132 multiprocessors of an H100 hold a thousand at a time.
  constexpr long wanted = 4096;
  const int of_block = points_of_block(dim);
  const long blocks = (n + of_block - 1) / of_block, tiles = (m + tile - 1) / tile;
  const long most = std::max(1L, wanted / std::max(1L, blocks));
  const long tiles_of_split = std::max(std::min(2L, tiles), (tiles + most - 1) / most);
  return {blocks, blocks * of_block, (tiles + tiles_of_split - 1) / tiles_of_split,
          tiles_of_split * tile};
}

/// \throws std::invalid_argument for inconsistent sizes.
inline void check_sizes(const char* caller, long n, long m, int dim, int results,
                        const PairOptions& options) {
  const auto refuse = [&](const std::string& what, long got) {
    throw std::invalid_argument(std::string("wgf::cuda::") + caller + ": " + what + ", got " +
                                std::to_string(got));
  };
  const bool own = options.first != apart;
  if (dim < 1) refuse("dim must be at least 1", dim);
  if (n < 0 || n > max_count) refuse("there must be 0 to 2^36 points", n);
  if (m < (own ? 2 : 1))
    refuse(own ? "there must be at least 2 samples" : "there must be at least 1 sample", m);
  if (m > max_count) refuse("there must be at most 2^36 samples", m);
  if (own && (options.first < 0 || options.first > m - n))
    refuse("the points must be samples themselves: first must be 0 to " + std::to_string(m - n),
           options.first);
  const auto check_stride = [&](const char* name, long stride, int least) {
    if (stride != 0 && stride < least)
      refuse(std::string(name) + " must be 0 or at least " + std::to_string(least), stride);
  };
  check_stride("x_stride", options.x_stride, dim);
  check_stride("y_stride", options.y_stride, dim);
  check_stride("out_stride", options.out_stride, results);
}

/// The data that the threads share. Coordinates are in the units of the kernel's scaled form.
/// Points and sums are stored one coordinate after another, with `stride` numbers each; there is
/// such an array of sums for every split.
template <class Work>
struct Pairs {
  int dim;
  bool gradients;  // otherwise values: one sum per point
  bool compensated;
  long points, samples, first;
  Cut cut;
  Work *x, *y, *sum, *lost;

  WGF_HOST_DEVICE int sums() const { return gradients ? dim : 1; }
  WGF_HOST_DEVICE long packed_samples() const {
    return (samples + together - 1) / together * together;
  }
  /// The size of x, of y, and of sum and lost each.
  long size_of_x() const { return cut.stride * dim; }
  long size_of_y() const { return packed_samples() * dim; }
  long size_of_sum() const { return cut.splits * cut.stride * sums(); }
};

/// A sample of D numbers. Its alignment, like that of the next type, minimises the number of loads.
template <int D, class Work>
struct alignas(D == 3 ? sizeof(Work) : D * sizeof(Work)) Sample {
  Work c[D];
};

/// One coordinate of a group of samples.
template <class Work>
struct alignas(16) GroupRow {
  Work of[together];
};

// ---- packing

/// Point i, including the padding: the last point fills the last block.
template <class Work, class Scalar>
WGF_HOST_DEVICE void pack_point(const Pairs<Work>& p, double scale, const Scalar* x, long x_stride,
                                long i) {
  const Scalar* const row = x + (i < p.points ? i : p.points - 1) * x_stride;
  for (int c = 0; c < p.dim; ++c)
    p.x[c * p.cut.stride + i] = static_cast<Work>(scale) * static_cast<Work>(row[c]);
}
/// Sample j: stored by rows in up to 4 dimensions, otherwise in groups of `together`, one
/// coordinate after another; the last sample fills the last group.
template <class Work, class Scalar>
WGF_HOST_DEVICE void pack_sample(const Pairs<Work>& p, double scale, const Scalar* y, long y_stride,
                                 long j) {
  const long group = p.dim <= max_fixed_dim ? 1 : together;
  Work* const to = p.y + j / group * group * p.dim + j % group;
  const Scalar* const row = y + (j < p.samples ? j : p.samples - 1) * y_stride;
  for (int c = 0; c < p.dim; ++c)
    to[c * group] = static_cast<Work>(scale) * static_cast<Work>(row[c]);
}

// ---- summing

/// w(q) or w'(q) of a kernel whose formula is written for any number type, or for Work alone.
template <bool gradients, class Work, class Shape>
WGF_HOST_DEVICE Work weight_of(const Shape& shape, Work q) {
  if constexpr (requires { shape.derivative(Number<Work>(q)); }) {
    if constexpr (gradients) return Number<Work>(shape.derivative(Number<Work>(q))).v;
    else return Number<Work>(shape.value(Number<Work>(q))).v;
  } else {
    if constexpr (gradients) return static_cast<Work>(shape.derivative(q));
    else return static_cast<Work>(shape.value(q));
  }
}
/// Adds to a sum and, if compensated, to its accumulated rounding error. (Compilers must not
/// reassociate: nvcc never does, g++ and clang only with -ffast-math.)
template <class Work>
WGF_HOST_DEVICE void add_partial(bool compensated, Work part, Work& sum, Work& lost) {
  const Work total = sum + part;
  if (compensated) {
    const Work added = total - sum;
    lost += (sum - (total - added)) + (part - added);
  }
  sum = total;
}

/// Adds the contributions of a tile's samples to the sums of a thread's points.
/// \param own index in the tile of the sample that is the thread's first point; its next points are
/// `threads` apart. Used only if `leave_out`.
template <bool gradients, bool leave_out, int D, int P, class Work, class Shape>
WGF_HOST_DEVICE void meet_tile(const Shape& shape, const Work (&x)[D][P], const Sample<D, Work>* y,
                               int count, int own, Work (&part)[gradients ? D : 1][P]) {
  WGF_CUDA_UNROLL_BY_4 for (int j = 0; j < count; ++j) {
    const Sample<D, Work> sample = y[j];
    WGF_CUDA_UNROLL for (int k = 0; k < P; ++k) {
      Work d[D], q = 0;
      WGF_CUDA_UNROLL for (int c = 0; c < D; ++c) {
        d[c] = x[c][k] - sample.c[c];
        q = c == 0 ? d[0] * d[0] : q + d[c] * d[c];
      }
      Work w = weight_of<gradients>(shape, q);
      if constexpr (leave_out) w = j == own + k * threads ? Work(0) : w;
      if constexpr (gradients) {
        WGF_CUDA_UNROLL for (int c = 0; c < D; ++c) part[c][k] += w * d[c];
      } else {
        part[0][k] += w;
      }
    }
  }
}
/// All of a thread's work in D ≤ 4 dimensions: its points, `threads` apart, with the samples of a
/// split.
/// \param tile_at tile_at(j, count) returns samples j to j + count; all threads of the block call
/// it together
template <bool gradients, int D, class Work, class Shape, class TileAt>
WGF_HOST_DEVICE void sum_of_thread(const Pairs<Work>& p, const Shape& shape, long block, int thread,
                                   long split, TileAt&& tile_at) {
  constexpr int P = points_of_thread(D), sums = gradients ? D : 1;
  const long begin = block * points_of_block(D), stride = p.cut.stride;
  Work x[D][P], sum[sums][P] = {}, lost[sums][P] = {};
  WGF_CUDA_UNROLL for (int c = 0; c < D; ++c) WGF_CUDA_UNROLL for (int k = 0; k < P; ++k) x[c][k] =
      p.x[c * stride + begin + thread + k * threads];
  const long end =
      (split + 1) * p.cut.per_split < p.samples ? (split + 1) * p.cut.per_split : p.samples;
  for (long j = split * p.cut.per_split; j < end; j += tile) {
    const int count = end - j < tile ? static_cast<int>(end - j) : tile;
    const Sample<D, Work>* const y = tile_at(j, count);
    const long own = p.first + begin - j;  // index in the tile of the block's first point
    Work part[sums][P] = {};
    if (own > -points_of_block(D) && own < count)
      meet_tile<gradients, true>(shape, x, y, count, static_cast<int>(own) + thread, part);
    else meet_tile<gradients, false>(shape, x, y, count, 0, part);
    WGF_CUDA_UNROLL for (int c = 0; c < sums; ++c) WGF_CUDA_UNROLL for (int k = 0; k < P; ++k)
        add_partial(p.compensated, part[c][k], sum[c][k], lost[c][k]);
  }
  WGF_CUDA_UNROLL for (int c = 0; c < sums; ++c) WGF_CUDA_UNROLL for (int k = 0; k < P; ++k) {
    const long at = (split * sums + c) * stride + begin + thread + k * threads;
    p.sum[at] = sum[c][k], p.lost[at] = lost[c][k];
  }
}
/// The same in any dimension, one point per thread: coordinates and sums stay in memory, and each
/// is loaded and stored once for 16 samples.
template <bool gradients, class Work, class Shape>
WGF_HOST_DEVICE void sum_of_thread_in_any_dim(const Pairs<Work>& p, const Shape& shape, long block,
                                              int thread, long split) {
  const long i = block * threads + thread, stride = p.cut.stride;
  const Work* const x = p.x + i;
  Work* const sum = p.sum + split * p.sums() * stride + i;
  Work* const lost = p.lost + split * p.sums() * stride + i;
  for (int c = 0; c < p.sums(); ++c) sum[c * stride] = lost[c * stride] = 0;
  const long end =
      (split + 1) * p.cut.per_split < p.samples ? (split + 1) * p.cut.per_split : p.samples;
  for (long j = split * p.cut.per_split; j < end; j += together) {
    const auto* const y = reinterpret_cast<const GroupRow<Work>*>(p.y + j * p.dim);
    Work w[together] = {};
    for (int c = 0; c < p.dim; ++c) {
      const Work coordinate = x[c * stride];
      const GroupRow<Work> row = y[c];
      WGF_CUDA_UNROLL for (int s = 0; s < together; ++s) {
        const Work d = coordinate - row.of[s];
        w[s] += d * d;
      }
    }
    WGF_CUDA_UNROLL for (int s = 0; s < together; ++s) w[s] =
        j + s < end && j + s != p.first + i ? weight_of<gradients>(shape, w[s]) : Work(0);
    const auto add = [&](int c, Work part) {
      add_partial(p.compensated, part, sum[c * stride], lost[c * stride]);
    };
    if constexpr (gradients) {
      for (int c = 0; c < p.dim; ++c) {
        const Work coordinate = x[c * stride];
        const GroupRow<Work> row = y[c];
        Work part = 0;
        WGF_CUDA_UNROLL for (int s = 0; s < together; ++s) part += w[s] * (coordinate - row.of[s]);
        add(c, part);
      }
    } else {
      Work part = 0;
      WGF_CUDA_UNROLL for (int s = 0; s < together; ++s) part += w[s];
      add(0, part);
    }
  }
}

// ---- finishing

/// out_i = factor · Σ over the splits, in order and in double precision.
template <class Work, class Scalar>
WGF_HOST_DEVICE void finish_point(const Pairs<Work>& p, double factor, Scalar* out, long out_stride,
                                  long i) {
  for (int c = 0; c < p.sums(); ++c) {
    double total = 0;
    for (long split = 0; split < p.cut.splits; ++split) {
      const long at = (split * p.sums() + c) * p.cut.stride + i;
      total += static_cast<double>(p.sum[at]) + static_cast<double>(p.lost[at]);
    }
    out[i * out_stride + c] = static_cast<Scalar>(factor * total);
  }
}

}  // namespace wgf::cuda
