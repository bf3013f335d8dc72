// SPDX-License-Identifier: BSL-1.0
// The work of the CUDA sums over pairs, thread by thread on the host, against plain sums in double
// precision.
#include <wgf/backend/cuda/pair_tile.hpp>
#include <wgf/random.hpp>

#include <vector>

#include "../catch.hpp"
#include "../support.hpp"

using namespace wgf;
using namespace wgf::test;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {
/// W(x) = |x|^exponent / exponent.
struct PowerKernel {
  double exponent = 1.5;
  template <class Q>
  WGF_HOST_DEVICE auto value(const Q& q) const {
    using std::pow;
    return (1 / exponent) * pow(q, exponent / 2);
  }
  template <class Q>
  WGF_HOST_DEVICE auto derivative(const Q& q) const {
    using std::pow;
    return 0.5 * pow(q, exponent / 2 - 1);
  }
  template <class Q>
  WGF_HOST_DEVICE auto curvature(const Q& q) const {
    using std::pow;
    return (exponent / 4 - 0.5) * pow(q, exponent / 2 - 2);
  }
};
/// A kernel whose text is for one type of number: −exp(−|x|²).
struct OfFloats {
  float value(float q) const { return -std::exp(-q); }
  float derivative(float q) const { return std::exp(-q); }
  float curvature(float q) const { return -std::exp(-q); }
};

/// Memory of a cloud as the device has it: rows, some numbers of another kind between them.
template <class Scalar>
struct Rows {
  std::vector<Scalar> memory;
  MatrixXd numbers;  // exactly what the memory holds, a column a point
  long stride;
  Rows(int dim, long n, std::uint64_t seed, double shift = 0, int between = 3)
      : stride(dim + between) {
    const MatrixXd normals = standard_normals(dim, n, seed).array() + shift;
    numbers = normals.cast<Scalar>().template cast<double>();
    memory.assign(static_cast<std::size_t>(n * stride), std::numeric_limits<Scalar>::quiet_NaN());
    for (long i = 0; i < n; ++i)
      for (int c = 0; c < dim; ++c)
        memory[static_cast<std::size_t>(i * stride + c)] = static_cast<Scalar>(numbers(c, i));
  }
  long count() const { return numbers.cols(); }
};

/// What the CUDA kernels do, one thread after the other.
template <bool gradients, class Work, class K, class Scalar>
MatrixXd on_host(const K& kernel, const Rows<Scalar>& x, const Rows<Scalar>& y,
                 bool compensated = true, long first = cuda::apart) {
  const int dim = static_cast<int>(x.numbers.rows());
  const long n = x.count(), m = y.count();
  const auto form = radial_form(kernel);
  cuda::Pairs<Work> p{dim,     gradients, compensated, n,      m, first, cuda::cut_of(n, m, dim),
                      nullptr, nullptr,   nullptr,     nullptr};
  const auto memory = [](long size) {
    return std::vector<Work>(static_cast<std::size_t>(size),
                             std::numeric_limits<Work>::quiet_NaN());
  };
  auto px = memory(p.size_of_x()), sum = memory(p.size_of_sum()), lost = sum;
  struct alignas(64) Block {
    Work numbers[16];
  };  // samples are read whole
  std::vector<Block> py(static_cast<std::size_t>(p.size_of_y() / 16));
  p.x = px.data(), p.y = py.data()->numbers, p.sum = sum.data(), p.lost = lost.data();

  for (long i = 0; i < p.cut.stride; ++i)
    cuda::pack_point(p, form.scale, x.memory.data(), x.stride, i);
  for (long j = 0; j < p.packed_samples(); ++j)
    cuda::pack_sample(p, form.scale, y.memory.data(), y.stride, j);
  const auto each_thread = [&](auto&& f) {
    for (long block = 0; block < p.cut.blocks; ++block)
      for (long split = 0; split < p.cut.splits; ++split)
        for (int thread = 0; thread < cuda::threads; ++thread) f(block, thread, split);
  };
  const auto in_dim = [&]<int D>(std::integral_constant<int, D>) {
    each_thread([&](long block, int thread, long split) {
      cuda::sum_of_thread<gradients, D>(p, form.shape, block, thread, split, [&](long j, int) {
        return reinterpret_cast<const cuda::Sample<D, Work>*>(p.y) + j;
      });
    });
  };
  switch (dim) {
    case 1:
      in_dim(std::integral_constant<int, 1>{});
      break;
    case 2:
      in_dim(std::integral_constant<int, 2>{});
      break;
    case 3:
      in_dim(std::integral_constant<int, 3>{});
      break;
    case 4:
      in_dim(std::integral_constant<int, 4>{});
      break;
    default:
      each_thread([&](long block, int thread, long split) {
        cuda::sum_of_thread_in_any_dim<gradients>(p, form.shape, block, thread, split);
      });
  }
  const double factor = (gradients ? 2 * form.derivative_factor / form.scale : form.value_factor) /
                        static_cast<double>(m - (first >= 0));
  std::vector<Scalar> out(static_cast<std::size_t>(n * p.sums()));
  for (long i = 0; i < n; ++i) cuda::finish_point(p, factor, out.data(), p.sums(), i);
  MatrixXd result(p.sums(), n);
  for (long i = 0; i < n; ++i)
    for (int c = 0; c < p.sums(); ++c)
      result(c, i) = static_cast<double>(out[static_cast<std::size_t>(i * p.sums() + c)]);
  return result;
}
template <bool gradients, class K>
MatrixXd plain(const K& kernel, const MatrixXd& x, const MatrixXd& y, long first = cuda::apart) {
  MatrixXd out = MatrixXd::Zero(gradients ? x.rows() : 1, x.cols());
  for (Index i = 0; i < x.cols(); ++i)
    for (Index j = 0; j < y.cols(); ++j) {
      if (j == first + i) continue;
      if constexpr (gradients) out.col(i) += kernel_gradient(kernel, x.col(i) - y.col(j));
      else out(0, i) += kernel_value(kernel, x.col(i) - y.col(j));
    }
  return out / static_cast<double>(y.cols() - (first >= 0));
}
/// Largest difference, over the largest number (at least 1).
double error(const MatrixXd& got, const MatrixXd& expected) {
  return (got - expected).cwiseAbs().maxCoeff() / std::max(1.0, expected.cwiseAbs().maxCoeff());
}
// The rounding of a pair, of 128 sums in a row (worst for values, which do not cancel) and of the
// result.
template <class Scalar>
constexpr double tolerance = std::is_same_v<Scalar, float> ? 2e-6 : 2e-14;

template <class Scalar, class K>
void check_kernel_in(int dim, const K& kernel, long n, long m) {
  INFO("dimension " << dim << ", " << n << " points, " << m << " samples");
  const Rows<Scalar> x(dim, n, 1), y(dim, m, 2);
  const MatrixXd gradients = plain<true>(kernel, x.numbers, y.numbers),
                 values = plain<false>(kernel, x.numbers, y.numbers);
  for (const bool compensated : {false, true}) {
    CHECK(error(on_host<true, Scalar>(kernel, x, y, compensated), gradients) < tolerance<Scalar>);
    CHECK(error(on_host<false, Scalar>(kernel, x, y, compensated), values) < tolerance<Scalar>);
  }
  // In double but for the result.
  const double rounding = std::is_same_v<Scalar, float> ? 6e-8 : 1e-14;
  CHECK(error(on_host<true, double>(kernel, x, y), gradients) < rounding);
  CHECK(error(on_host<false, double>(kernel, x, y), values) < rounding);
}
}  // namespace

TEMPLATE_TEST_CASE("a CUDA thread's means over pairs are the plain ones", "", float, double) {
  for (const int dim : {1, 2, 3, 4, 5, 7})
    for (const auto& [n, m] : {std::pair{2L, 1L}, {33L, 130L}, {517L, 257L}, {129L, 1000L}}) {
      check_kernel_in<TestType>(dim, GaussianKernel{.amplitude = -0.5, .width = 0.8}, n, m);
      check_kernel_in<TestType>(dim, PowerKernel{}, n, m);
    }
  for (const int dim : {2, 5}) {
    check_kernel_in<TestType>(dim, QuadraticKernel{}, 140, 90);
    check_kernel_in<TestType>(dim, RingKernel{}, 140, 90);
    check_kernel_in<TestType>(dim, LogarithmicKernel{.softening = 0.3}, 140, 90);
  }
}

TEST_CASE("a kernel written for one type of number runs in a CUDA thread") {
  check_kernel_in<float>(2, OfFloats{}, 140, 300);
}

TEMPLATE_TEST_CASE("a CUDA thread leaves out a point's own term", "", float, double) {
  for (const int dim : {1, 2, 3, 4, 5})
    for (const long first : {0L, 200L}) {
      // The points are samples first, first + 1, …; without its own terms even the singular kernel
      // is finite.
      const Rows<TestType> y(dim, 1100, 4);
      Rows<TestType> x(dim, 700, 4);
      x.numbers = y.numbers.middleCols(first, 700);
      for (long i = 0; i < 700; ++i)
        for (int c = 0; c < dim; ++c)
          x.memory[static_cast<std::size_t>(i * x.stride + c)] =
              static_cast<TestType>(x.numbers(c, i));
      const GaussianKernel smooth{};
      CHECK(error(on_host<true, TestType>(smooth, x, y, true, first),
                  plain<true>(smooth, x.numbers, y.numbers, first)) < tolerance<TestType>);
      CHECK(error(on_host<false, TestType>(smooth, x, y, true, first),
                  plain<false>(smooth, x.numbers, y.numbers, first)) < tolerance<TestType>);
      const LogarithmicKernel singular{};
      CHECK(error(on_host<true, TestType>(singular, x, y, true, first),
                  plain<true>(singular, x.numbers, y.numbers, first)) <
            10 * tolerance<TestType>);  // close pairs: few, large terms
    }
}

TEST_CASE("compensated sums of a CUDA thread lose nothing in float, plain ones little") {
  // All samples on one side: terms of one size, which a single float would add with errors of 1e-4.
  for (const int dim : {2, 5}) {
    const Rows<float> x(dim, 40, 1), y(dim, 100'000, 2, 20);
    const MatrixXd expected = plain<true>(QuadraticKernel{}, x.numbers, y.numbers);
    CHECK(error(on_host<true, float>(QuadraticKernel{}, x, y, true), expected) < 3e-7);
    CHECK(error(on_host<true, float>(QuadraticKernel{}, x, y, false), expected) < 2e-5);
  }
}

TEST_CASE("what is not finite is not hidden by a CUDA thread") {
  for (const int dim : {2, 5}) {
    Rows<float> x(dim, 50, 1);
    const Rows<float> y(dim, 60, 2);
    x.memory[static_cast<std::size_t>(7 * x.stride + 1)] = std::numeric_limits<float>::quiet_NaN();
    const MatrixXd got = on_host<true, float>(GaussianKernel{}, x, y);
    CHECK(std::isnan(got(0, 7)));
    CHECK(got.col(6).allFinite());
    CHECK(got.col(8).allFinite());
  }
}

TEST_CASE("the cut of CUDA sums meets every pair, fills a GPU and takes little memory") {
  for (const int dim : {1, 2, 4, 5, 50})
    for (const long n : {1L, 511L, 512L, 513L, 20'000L, 1'000'000L})
      for (const long m : {1L, 127L, 128L, 129L, 10'000L, 1'000'000L}) {
        INFO("dimension " << dim << ", " << n << " points, " << m << " samples");
        const auto cut = cuda::cut_of(n, m, dim);
        CHECK(cut.stride >= n);
        CHECK(cut.stride == cut.blocks * cuda::points_of_block(dim));
        CHECK(cut.per_split % cuda::tile == 0);
        CHECK(cut.splits * cut.per_split >= m);
        CHECK((cut.splits - 1) * cut.per_split < m);  // none without samples
        CHECK((cut.splits == 1 || cut.blocks * cut.splits <= 4096));
        const long most = cut.blocks * (m / (2 * cuda::tile));  // two tiles a split
        CHECK(cut.blocks * cut.splits >= std::min(most, 2048L));
      }
}

TEST_CASE("CUDA sums over pairs refuse sizes that do not fit") {
  const auto message = [](long n, long m, int dim, const cuda::PairOptions& options = {}) {
    return message_of<std::invalid_argument>(
        [&] { cuda::check_sizes("pair_gradients", n, m, dim, dim, options); });
  };
  CHECK(message(0, 1, 1) == "(nothing was thrown)");
  CHECK(message(5, 9, 3, {.first = 4, .x_stride = 3, .y_stride = 7}) == "(nothing was thrown)");
  CHECK(message(5, 9, 0) == "wgf::cuda::pair_gradients: dim must be at least 1, got 0");
  CHECK(message(-1, 9, 2) == "wgf::cuda::pair_gradients: there must be 0 to 2^36 points, got -1");
  CHECK(message(5, 0, 2) == "wgf::cuda::pair_gradients: there must be at least 1 sample, got 0");
  CHECK(message(1, 1, 2, {.first = 0}) ==
        "wgf::cuda::pair_gradients: there must be at least 2 samples, got 1");
  CHECK(message(5, 9, 2, {.first = 5}) ==
        "wgf::cuda::pair_gradients: the points must be samples themselves: first must be 0 to 4, "
        "got 5");
  CHECK(message(5, 9, 2, {.y_stride = 1}) ==
        "wgf::cuda::pair_gradients: y_stride must be 0 or at least 2, got 1");
}
