// SPDX-License-Identifier: BSL-1.0
// Sums over pairs on a GPU against plain sums in double precision on the host. Exits with 77 where
// there is no GPU.
#define EIGEN_NO_CUDA
#include <wgf/backend/cuda/pair_sum.cuh>

#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

namespace {

int failures = 0, checks = 0;
void expect(bool right, const std::string& what) {
  ++checks;
  if (right) return;
  ++failures;
  std::printf("wrong: %s\n", what.c_str());
}
void cuda_check(cudaError_t error) { wgf::cuda::detail::check(error, "test"); }

/// W(x) = |x|^3 / 3, a kernel of a program's own.
struct Cubic {
  template <class Q>
  WGF_HOST_DEVICE auto value(const Q& q) const {
    using std::sqrt;
    return (1.0 / 3) * q * sqrt(q);
  }
  template <class Q>
  WGF_HOST_DEVICE auto derivative(const Q& q) const {
    using std::sqrt;
    return 0.5 * sqrt(q);
  }
  template <class Q>
  WGF_HOST_DEVICE auto curvature(const Q& q) const {
    using std::sqrt;
    return 0.25 / sqrt(q);
  }
};

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& host) : size_(host.size()) {
    cuda_check(cudaMalloc(&data_, size_ * sizeof(T)));
    cuda_check(cudaMemcpy(data_, host.data(), size_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }
  T* data() const { return static_cast<T*>(data_); }
  std::vector<T> host() const {
    std::vector<T> out(size_);
    cuda_check(cudaMemcpy(out.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost));
    return out;
  }

 private:
  void* data_ = nullptr;
  std::size_t size_;
};

template <class T>
std::vector<T> normals(long count, unsigned seed) {
  std::mt19937 team(seed);
  std::normal_distribution<double> normal;
  std::vector<T> out(static_cast<std::size_t>(count));
  for (T& v : out) v = static_cast<T>(normal(team));
  return out;
}

template <bool gradients, class K, class T>
std::vector<double> plain(const K& kernel, const std::vector<T>& x, long n, long x_stride,
                          const std::vector<T>& y, long m, long y_stride, int dim, long first) {
  const int results = gradients ? dim : 1;
  std::vector<double> out(static_cast<std::size_t>(n * results)), d(static_cast<std::size_t>(dim));
  for (long i = 0; i < n; ++i)
    for (long j = 0; j < m; ++j) {
      if (j == first + i) continue;
      double q = 0;
      for (int c = 0; c < dim; ++c) {
        d[c] = static_cast<double>(x[i * x_stride + c]) - static_cast<double>(y[j * y_stride + c]);
        q += d[c] * d[c];
      }
      const double share = 1.0 / static_cast<double>(m - (first >= 0));
      if constexpr (gradients) {
        const double w = 2 * share * kernel.derivative(q);
        for (int c = 0; c < dim; ++c) out[i * results + c] += w * d[c];
      } else {
        out[i] += share * kernel.value(q);
      }
    }
  return out;
}

template <class T>
double tolerance(wgf::cuda::Accumulation accumulation) {
  if (accumulation == wgf::cuda::Accumulation::in_double)
    return std::is_same_v<T, float> ? 1e-7 : 1e-13;
  return std::is_same_v<T, float> ? 2e-6 : 1e-13;
}

/// A kernel in one case: against the host, strides and streams included, and the same bits again.
template <bool gradients, class T, class K>
void check_case(const char* name, const K& kernel, int dim, long n, long m,
                wgf::cuda::Accumulation accumulation, bool own, int between) {
  const long x_stride = dim + between, y_stride = dim + 2 * between, results = gradients ? dim : 1,
             out_stride = results + between;
  const long first = own ? (m - n) / 2 : wgf::cuda::apart;
  const auto y = normals<T>(m * y_stride, 2);
  auto x = normals<T>(n * x_stride, 1);
  if (own)
    for (long i = 0; i < n; ++i)
      for (int c = 0; c < dim; ++c) x[i * x_stride + c] = y[(first + i) * y_stride + c];
  const DeviceArray<T> dx(x), dy(y),
      out(std::vector<T>(static_cast<std::size_t>(n * out_stride), T(-7)));
  cudaStream_t stream;
  cuda_check(cudaStreamCreate(&stream));
  const auto call = [&] {
    const wgf::cuda::PairOptions options{accumulation, stream,   first,
                                         x_stride,     y_stride, out_stride};
    if constexpr (gradients)
      wgf::cuda::pair_gradients(kernel, dx.data(), n, dy.data(), m, dim, out.data(), options);
    else wgf::cuda::pair_values(kernel, dx.data(), n, dy.data(), m, dim, out.data(), options);
    cuda_check(cudaStreamSynchronize(stream));
    return out.host();
  };
  const auto got = call(), again = call();
  cuda_check(cudaStreamDestroy(stream));
  const auto expected = plain<gradients>(kernel, x, n, x_stride, y, m, y_stride, dim, first);
  double error = 0, largest = 1;
  bool kept = true, finite = true;
  for (long i = 0; i < n; ++i) {
    for (long c = 0; c < results; ++c) {
      const double value = static_cast<double>(got[i * out_stride + c]);
      finite = finite && std::isfinite(value);
      error = std::max(error, std::abs(value - expected[i * results + c]));
      largest = std::max(largest, std::abs(expected[i * results + c]));
    }
    for (long c = results; c < out_stride; ++c) kept = kept && got[i * out_stride + c] == T(-7);
  }
  const std::string which = std::string(name) + (gradients ? " gradients" : " values") + " of " +
                            (sizeof(T) == 4 ? "float" : "double") + ", dimension " +
                            std::to_string(dim) + ", " + std::to_string(n) + " points, " +
                            std::to_string(m) + " samples, accumulation " +
                            std::to_string(static_cast<int>(accumulation)) + (own ? ", own" : "");
  expect(finite && error <= tolerance<T>(accumulation) * largest,
         which + ": error " + std::to_string(error / largest * 1e6) + "e-6");
  expect(kept, which + ": what lies between the results was written");
  expect(std::memcmp(got.data(), again.data(), got.size() * sizeof(T)) == 0,
         which + ": other bits in a second call");
}
template <class T, class K>
void check_kernel(const char* name, const K& kernel, int dim, long n, long m, bool own = false) {
  for (const auto accumulation :
       {wgf::cuda::Accumulation::plain, wgf::cuda::Accumulation::compensated,
        wgf::cuda::Accumulation::in_double}) {
    check_case<true, T>(name, kernel, dim, n, m, accumulation, own, 0);
    check_case<false, T>(name, kernel, dim, n, m, accumulation, own, 3);
  }
}
template <class T>
void check_kernels() {
  for (const int dim : {1, 2, 3, 4, 5, 9}) {
    for (const auto& [n, m] :
         {std::pair{1L, 1L}, {33L, 130L}, {513L, 257L}, {129L, 3001L}, {2000L, 1000L}}) {
      check_kernel<T>("Gaussian", wgf::GaussianKernel{.amplitude = -0.5, .width = 0.8}, dim, n, m);
      check_kernel<T>("cubic", Cubic{}, dim, n, m);
    }
    check_kernel<T>("quadratic", wgf::QuadraticKernel{}, dim, 300, 200);
    check_kernel<T>("ring", wgf::RingKernel{}, dim, 300, 200);
    check_kernel<T>("logarithmic", wgf::LogarithmicKernel{.softening = 0.3}, dim, 300, 200);
    check_kernel<T>("Gaussian", wgf::GaussianKernel{}, dim, 700, 1101, true);
    check_kernel<T>("logarithmic", wgf::LogarithmicKernel{.softening = 0.3}, dim, 700, 700, true);
  }
}

/// Thousands of blocks and splits, results over the points; some of them against the host.
void check_large() {
  const long n = 200'000, m = 20'000, checked = 64;
  const auto x = normals<float>(2 * n, 1), y = normals<float>(2 * m, 2);
  const DeviceArray<float> dx(x), dy(y);
  wgf::cuda::pair_gradients(wgf::GaussianKernel{}, dx.data(), n, dy.data(), m, 2, dx.data());
  const auto got = dx.host();
  double error = 0;
  for (long k = 0; k < checked; ++k) {
    const long i = k * (n / checked);
    const std::vector<float> point{x[2 * i], x[2 * i + 1]};
    const auto expected =
        plain<true>(wgf::GaussianKernel{}, point, 1, 2, y, m, 2, 2, wgf::cuda::apart);
    for (int c = 0; c < 2; ++c)
      error = std::max(error, std::abs(static_cast<double>(got[2 * i + c]) - expected[c]));
  }
  expect(error < 5e-7, "200000 points written over: error " + std::to_string(error * 1e6) + "e-6");
}

template <class E>
std::string message_of(void (*f)()) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "(nothing was thrown)";
}
void check_errors() {
  const auto no_samples = [] {
    wgf::cuda::pair_values<wgf::RingKernel, float>({}, nullptr, 1, nullptr, 0, 2, nullptr);
  };
  const auto bad_kernel = [] {
    wgf::cuda::pair_values<wgf::GaussianKernel, float>({.width = -1}, nullptr, 1, nullptr, 1, 2,
                                                       nullptr);
  };
  const auto too_much = [] {
    wgf::cuda::pair_values<wgf::RingKernel, float>({}, nullptr, 1L << 36, nullptr, 1, 2, nullptr);
  };
  const auto nothing = [] {
    wgf::cuda::pair_values<wgf::RingKernel, float>({}, nullptr, 0, nullptr, 1, 2, nullptr);
  };
  expect(message_of<std::invalid_argument>(no_samples) ==
             "wgf::cuda::pair_values: there must be at least 1 sample, got 0",
         "no samples");
  expect(message_of<std::invalid_argument>(bad_kernel) ==
             "wgf::GaussianKernel: width must be positive, got -1.000000",
         "a bad kernel");
  expect(message_of<std::runtime_error>(too_much) == "wgf::cuda::pair_values: out of memory",
         "more than the memory holds");
  expect(message_of<std::exception>(nothing) == "(nothing was thrown)", "no points");
  expect(cudaGetLastError() == cudaSuccess, "an error said before is not met again");
}

}  // namespace

int main() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("skipped: there is no GPU\n");
    return 77;
  }
  check_kernels<float>();
  check_kernels<double>();
  check_large();
  check_errors();
  std::printf("%d of %d checks failed\n", failures, checks);
  return failures == 0 ? 0 : 1;
}
