// SPDX-License-Identifier: BSL-1.0
#pragma once
// Memory and the division of a batch: aligned buffers, views of padded points, slices, and the team
// of threads that runs a function on every slice.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include <Eigen/Core>

#include "../../network/network.hpp"
#include "../../random.hpp"
#include "simd.hpp"
#include "workers.hpp"

namespace wgf::eigen {

/// A zeroed array aligned to a cache line, with one register of slack after its end.
template <class Scalar>
class Buffer {
 public:
  Buffer() = default;
  [[gnu::noinline]] explicit Buffer(std::size_t n) : size_(n) {
    if (n > most) throw std::bad_alloc();  // otherwise the number of bytes could overflow
    const std::size_t bytes = (n * sizeof(Scalar) + 2 * line - 1) / line * line;
    data_.reset(static_cast<Scalar*>(std::aligned_alloc(line, bytes)));
    if (!data_) throw std::bad_alloc();
    std::fill_n(data_.get(), bytes / sizeof(Scalar), Scalar(0));
  }
  Scalar* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t line = 64,
                               most = (std::numeric_limits<std::ptrdiff_t>::max() - 2 * line) /
                                      sizeof(Scalar);
  struct Free {
    void operator()(Scalar* p) const { std::free(p); }
  };
  std::unique_ptr<Scalar[], Free> data_;
  std::size_t size_ = 0;
};

/// A tile of the batch: points [begin, begin + size). Gradients are summed per `chunk`; scratch
/// memory belongs to `worker`.
struct Slice {
  long begin;
  int size, chunk, worker;
};

inline constexpr int max_chunks = 32;
/// The largest number of points in a tile (21 register tiles of six), and the number of scratch
/// rows that a worker has for it. Every worker's scratch starts on a cache line, because Eigen
/// processes an unaligned head separately and the bits must not depend on the worker.
inline constexpr int tile_rows = 126, scratch_rows = 128;

/// Where a network stores its results on a slice: in the worker's scratch, or in memory for the
/// whole batch.
struct Rows {
  Keep keep;
  long count;
  Rows(Keep keep_until, int workers, long batch)
      : keep(keep_until),
        count(keep_until == Keep::tile ? static_cast<long>(scratch_rows) * workers : batch) {}
  /// The first row of the slice.
  long operator()(Slice s) const {
    return keep == Keep::tile ? static_cast<long>(s.worker) * scratch_rows : s.begin;
  }
};

/// Numbers, one per point of a tile, and coordinates of a tile's points (d × size).
template <class Scalar>
using Values = Eigen::Map<Eigen::Array<Scalar, Eigen::Dynamic, 1>>;
template <class Scalar>
using Columns =
    Eigen::Map<Eigen::Array<Scalar, Eigen::Dynamic, Eigen::Dynamic>, 0, Eigen::OuterStride<>>;

/// Points in memory owned elsewhere, each padded to whole registers; window(slice) is the d × size
/// array of a tile.
template <class Scalar>
class PointsView {
 public:
  PointsView() = default;
  PointsView(Scalar* data, int dim, long count)
      : data_(data), dim_(dim), padded_(simd::padded<Scalar>(dim)), count_(count) {}
  Columns<Scalar> operator()(Slice s) const {
    return {row(s.begin), dim_, s.size, Eigen::OuterStride<>(padded_)};
  }
  Columns<Scalar> all() const { return {data_, dim_, count_, Eigen::OuterStride<>(padded_)}; }
  PointsView window(long begin, long count) const { return {row(begin), dim_, count}; }
  Scalar* row(long i) const { return data_ + i * padded_; }
  int dim() const { return dim_; }
  int padded() const { return padded_; }
  long count() const { return count_; }

 private:
  Scalar* data_ = nullptr;
  int dim_ = 0, padded_ = 0;
  long count_ = 0;
};

/// Points that own their memory.
template <class Scalar>
class Points : public PointsView<Scalar> {
 public:
  Points() = default;
  Points(int dim, long count)
      : Points(Buffer<Scalar>(numbers(simd::padded<Scalar>(dim), count)), dim, count) {}

 private:
  static std::size_t numbers(long padded, long count) {
    long n = 0;
    if (__builtin_mul_overflow(padded, count, &n) || n < 0) throw std::bad_alloc();
    return static_cast<std::size_t>(n);
  }
  Points(Buffer<Scalar> memory, int dim, long count)
      : PointsView<Scalar>(memory.data(), dim, count), memory_(std::move(memory)) {}
  Buffer<Scalar> memory_;
};

/// A matrix or a vector as the products need it: transposed and padded to whole registers.
template <class Scalar>
struct Constant {
  Eigen::Array<Scalar, Eigen::Dynamic, Eigen::Dynamic> transposed;
};

/// Sum over the batch in the order of the chunks, so that the bits do not depend on the number of
/// threads.
class BatchSum {
 public:
  template <class Value>
  void add(Slice s, Value v) {
    part_[s.chunk] += static_cast<double>(v);
  }
  double value() const {
    double total = 0;
    for (const double p : part_) total += p;
    return total;
  }
  bool finite() const { return std::isfinite(value()); }
  /// log(sum/n).
  double log_mean(long n) const { return std::log(value() / static_cast<double>(n)); }

 private:
  double part_[max_chunks] = {};
};

/// A team of threads and the rule that divides a batch: chunks depend on the batch alone and
/// contain consecutive points; a worker processes whole chunks, tile by tile.
class ThreadTeam {
 public:
  explicit ThreadTeam(int threads, std::uint64_t seed) : workers(threads), random{seed} {}

  Workers workers;
  Random random;

  /// A chunk has at least about one tile's worth of points: a batch of less than two chunks is too
  /// small to be divided.
  static int chunks_of(long n) {
    return static_cast<int>(std::clamp<long>(n / 120, 1, max_chunks));
  }

  template <class F>
  void parallel(long n, F&& f) {
    if (n <= 0) return;
    const int chunks = chunks_of(n);
    const long share = round_to_tile((n + chunks - 1) / chunks);
    const long tiles = (share + tile_rows - 1) / tile_rows;
    // Equal tiles, without a remainder of a few rows.
    const long rows = round_to_tile((share + tiles - 1) / tiles);
    const auto chunk = [&](int k, int worker) {
      const long end = std::min(n, (k + 1) * share);
      for (long i = k * share; i < end; i += rows)
        f(Slice{i, static_cast<int>(std::min(rows, end - i)), k, worker});
    };
    workers.run(chunks, chunk);
  }
  /// Work on `n` parameter values: f(begin, end) on pieces of whole registers, on a single worker
  /// if there is too little to divide.
  template <class F>
  void share(std::size_t n, std::size_t work, std::size_t unit, F&& f) {
    const int pieces = work < 16'384 ? 1 : workers.count();
    workers.run(pieces, [&](int k, int) {
      const auto at = [&](int i) {
        return n / unit * static_cast<std::size_t>(i) / static_cast<std::size_t>(pieces) * unit;
      };
      f(at(k), k + 1 == pieces ? n : at(k + 1));
    });
  }

 private:
  static long round_to_tile(long n) { return (n + 5) / 6 * 6; }
};

}  // namespace wgf::eigen
