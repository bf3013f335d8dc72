// SPDX-License-Identifier: BSL-1.0
#pragma once
// C = finish(start + A·B) in register tiles. Rows of C are samples (or the inputs of a layer, for
// the gradient of its weights), columns are features: R rows × V registers of C at a time, so that
// the accumulators fill the register file (6 × 4 of 32 registers, 6 × 2 of 16).
#include <algorithm>
#include <cstddef>

#include "simd.hpp"

namespace wgf::eigen::simd {

// g++ 12 warns of infinite loops on paths that are never taken (no rows, no depth).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Waggressive-loop-optimizations"
#endif

/// A = a row-major matrix, or its transpose.
/// \tparam Row the stride of its rows if known at compile time, 0 if it is `row`.
template <class Scalar, int Row = 0>
struct RowMajor {
  const Scalar* data;
  std::ptrdiff_t row = Row;
  WGF_INLINE Scalar operator()(std::ptrdiff_t r, std::ptrdiff_t k) const {
    return data[r * (Row ? Row : row) + k];
  }
};
template <class Scalar, int Row = 0>
struct Transposed {
  const Scalar* data;
  std::ptrdiff_t row = Row;
  WGF_INLINE Scalar operator()(std::ptrdiff_t r, std::ptrdiff_t k) const {
    return data[r + k * (Row ? Row : row)];
  }
};

// ---- initial values of the sums in a product, and what is done with the results. These are named
// types rather than lambdas in the callers, so that all networks use the same few products, each
// compiled once.

template <class Scalar>
struct FromZero {
  WGF_INLINE Vec<Scalar> operator()(std::ptrdiff_t, std::ptrdiff_t) const { return Vec<Scalar>{}; }
};
/// The same row for all rows of C.
template <class Scalar>
struct Bias {
  const Scalar* data;
  WGF_INLINE Vec<Scalar> operator()(std::ptrdiff_t, std::ptrdiff_t c) const {
    return load(data + c);
  }
};
/// The same row for the first rows of C, zero for the others.
template <class Scalar>
struct FirstRows {
  const Scalar* data;
  std::ptrdiff_t count;
  WGF_INLINE Vec<Scalar> operator()(std::ptrdiff_t r, std::ptrdiff_t c) const {
    return r < count ? load(data + c) : Vec<Scalar>{};
  }
};
/// The rows of a matrix.
template <class Scalar, int Row = 0>
struct From {
  const Scalar* data;
  std::ptrdiff_t row = Row;
  WGF_INLINE Vec<Scalar> operator()(std::ptrdiff_t r, std::ptrdiff_t c) const {
    return load(data + r * (Row ? Row : row) + c);
  }
};
/// A bias plus the rows of a matrix.
template <class Scalar>
struct FromSum {
  const Scalar *bias, *data;
  std::ptrdiff_t row;
  WGF_INLINE Vec<Scalar> operator()(std::ptrdiff_t r, std::ptrdiff_t c) const {
    return load(bias + c) + load(data + r * row + c);
  }
};

template <class Scalar, int Row = 0>
struct To {
  Scalar* data;
  std::ptrdiff_t row = Row;
  WGF_INLINE void operator()(std::ptrdiff_t r, std::ptrdiff_t c, Vec<Scalar> v) const {
    store(data + r * (Row ? Row : row) + c, v);
  }
};
/// data = factor·(start + A·B).
template <class Scalar>
struct ToScaled {
  Scalar* data;
  std::ptrdiff_t row;
  Scalar factor;
  WGF_INLINE void operator()(std::ptrdiff_t r, std::ptrdiff_t c, Vec<Scalar> v) const {
    store(data + r * row + c, broadcast(factor) * v);
  }
};
/// data = other + factor·(start + A·B); `other` may be `data` itself.
template <class Scalar>
struct ToScaledPlus {
  Scalar* data;
  std::ptrdiff_t row;
  Scalar factor;
  const Scalar* other;
  WGF_INLINE void operator()(std::ptrdiff_t r, std::ptrdiff_t c, Vec<Scalar> v) const {
    store(data + r * row + c, fma(broadcast(factor), v, load(other + r * row + c)));
  }
};

/// A tile of fewer than eight accumulators would be limited by the latency of each multiply-add: it
/// sums odd and even (…) k separately.
template <int R, int V>
inline constexpr int chains_of_tile = R * V >= 8   ? 1
                                      : R * V >= 4 ? 2
                                                   : 4;

template <int R, int V, class Scalar, class A, class Start, class Finish>
WGF_INLINE void register_tile(std::ptrdiff_t row, std::ptrdiff_t col, std::ptrdiff_t depth, A a,
                              const Scalar* b, std::ptrdiff_t ldb, const Start& start,
                              Finish& finish) {
  constexpr int chains = chains_of_tile<R, V>;
  Vec<Scalar> c[chains][R][V];
  WGF_UNROLL for (int r = 0; r < R; ++r) WGF_UNROLL for (int v = 0; v < V; ++v) {
    c[0][r][v] = start(row + r, col + v * lanes<Scalar>);
    WGF_UNROLL for (int i = 1; i < chains; ++i) c[i][r][v] = Vec<Scalar>{};
  }
  const auto multiply_add = [&](std::ptrdiff_t k, auto& sum) WGF_LAMBDA_INLINE {
    Vec<Scalar> bk[V];
    WGF_UNROLL for (int v = 0; v < V; ++v) bk[v] = load(b + k * ldb + col + v * lanes<Scalar>);
    WGF_UNROLL for (int r = 0; r < R; ++r) {
      const Vec<Scalar> ark = broadcast(a(row + r, k));
      WGF_UNROLL for (int v = 0; v < V; ++v) sum[r][v] = fma(ark, bk[v], sum[r][v]);
    }
  };
  std::ptrdiff_t k = 0;
  for (; k + chains <= depth; k += chains)
    WGF_UNROLL for (int i = 0; i < chains; ++i) multiply_add(k + i, c[i]);
  if constexpr (chains > 1)
    for (; k < depth; ++k) multiply_add(k, c[0]);
  WGF_UNROLL for (int r = 0; r < R; ++r) WGF_UNROLL for (int v = 0; v < V; ++v) {
    WGF_UNROLL for (int i = 1; i < chains; ++i) c[0][r][v] += c[i][r][v];
    finish(row + r, col + v * lanes<Scalar>, c[0][r][v]);
  }
}

/// The number of rows of a register tile that is V registers wide.
template <int V>
inline constexpr int rows_of_tile = V == 1                 ? 12
                                    : register_count == 16 ? 6
                                    : V == 2               ? 12
                                    : V == 3               ? 8
                                                           : 6;

/// The rows [r, rows) in tiles of R rows, and the remaining ones in smaller tiles.
template <int R, int V, class Scalar, class A, class Start, class Finish>
WGF_INLINE void row_blocks(std::ptrdiff_t r, std::ptrdiff_t rows, std::ptrdiff_t col,
                           std::ptrdiff_t depth, A a, const Scalar* b, std::ptrdiff_t ldb,
                           const Start& start, Finish& finish) {
  for (; r + R <= rows; r += R) register_tile<R, V>(r, col, depth, a, b, ldb, start, finish);
  if constexpr (R > 1) {
    constexpr int smaller = R > 4 ? 4 : 1;
    row_blocks<smaller, V>(r, rows, col, depth, a, b, ldb, start, finish);
  }
}

/// C (rows × cols) = finish(start + A·B), with A rows × depth, and B depth × cols with leading
/// dimension ldb. (Tiles of one register handle any number of columns with little loss; a separate
/// instantiation for each number would multiply the code that every call has to compile.)
/// \tparam Cols the number of columns if known at compile time, 0 if it is `cols`; both are
/// multiples of lanes.
/// \param start start(row, column) returns the register from which the sum starts (a bias, zero, or
/// the previous value).
/// \param finish finish(row, column, register) stores a finished register, and applies what follows
/// the product.
/// \returns finish, with what it has accumulated.
template <int Cols, class Scalar, class A, class Start, class Finish>
[[gnu::noinline]] Finish product(int rows, int cols, int depth, A a, const Scalar* b,
                                 std::ptrdiff_t ldb, Start start, Finish finish) {
  constexpr int registers = Cols / lanes<Scalar>, widest = register_count == 32 ? 4 : 2;
  constexpr int V = Cols == 0 ? 1 : registers % widest == 0 ? widest : registers % 2 == 0 ? 2 : 1;
  for (std::ptrdiff_t c = 0; c < (Cols == 0 ? cols : Cols); c += V * lanes<Scalar>)
    row_blocks<rows_of_tile<V>, V>(0, rows, c, depth, a, b, ldb, start, finish);
  return finish;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// t (cols × rows, leading dimension ldt) = aᵀ for a row-major rows × cols matrix with leading
/// dimension lda.
template <class Scalar>
[[gnu::noinline]] void transpose(const Scalar* a, std::ptrdiff_t lda, int rows, int cols, Scalar* t,
                                 std::ptrdiff_t ldt) {
  using Stride = Eigen::OuterStride<>;
  // Column-major: a row-major matrix read in this way is its transpose.
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
  constexpr int block = 8;
  using Block = Eigen::Matrix<Scalar, block, block>;
  for (int r = 0; r < rows; r += block)
    for (int c = 0; c < cols; c += block) {
      const int m = std::min(block, rows - r), n = std::min(block, cols - c);
      const Scalar* from = a + r * lda + c;
      Scalar* to = t + c * ldt + r;
      if (m == block && n == block)
        Eigen::Map<Block, 0, Stride>(to, Stride(ldt)) =
            Block(Eigen::Map<const Block, 0, Stride>(from, Stride(lda))).transpose();
      else
        Eigen::Map<Matrix, 0, Stride>(to, m, n, Stride(ldt)) =
            Eigen::Map<const Matrix, 0, Stride>(from, n, m, Stride(lda)).transpose();
    }
}

}  // namespace wgf::eigen::simd
