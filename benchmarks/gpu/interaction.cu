// SPDX-License-Identifier: BSL-1.0
// Time of E_Y ∇W(x − Y) on a GPU for the Gaussian kernel of section 4.4 in two dimensions, 1e6
// points against 1e4 samples, as JSON on standard output. Exits with 77 where there is no GPU.
#define EIGEN_NO_CUDA
#include <wgf/backend/cuda/pair_sum.cuh>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

// Only what is measured, instead of the whole of pair_sum.cu.
template void wgf::cuda::pair_gradients(const wgf::GaussianKernel&, const float*, long,
                                        const float*, long, int, float*,
                                        const wgf::cuda::PairOptions&);

namespace {

void check(cudaError_t error) { wgf::cuda::detail::check(error, "benchmark"); }

/// Uniform points of the square [−3, 3]², on the device.
float* upload(const std::vector<float>& host) {
  void* device = nullptr;
  check(cudaMalloc(&device, host.size() * sizeof(float)));
  check(cudaMemcpy(device, host.data(), host.size() * sizeof(float), cudaMemcpyHostToDevice));
  return static_cast<float*>(device);
}
std::vector<float> square(long n, unsigned seed) {
  std::mt19937 team(seed);
  std::uniform_real_distribution<float> uniform(-3, 3);
  std::vector<float> out(static_cast<std::size_t>(2 * n));
  for (float& v : out) v = uniform(team);
  return out;
}

/// Median milliseconds of a call, after three to warm up.
double milliseconds(const float* x, long n, const float* y, long m, float* out,
                    wgf::cuda::Accumulation accumulation) {
  constexpr int warm = 3, measured = 21;
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin)), check(cudaEventCreate(&end));
  std::vector<float> times;
  for (int k = 0; k < warm + measured; ++k) {
    check(cudaEventRecord(begin));
    wgf::cuda::pair_gradients(wgf::GaussianKernel{}, x, n, y, m, 2, out,
                              {.accumulation = accumulation});
    check(cudaEventRecord(end));
    check(cudaEventSynchronize(end));
    float time = 0;
    check(cudaEventElapsedTime(&time, begin, end));
    if (k >= warm) times.push_back(time);
  }
  check(cudaEventDestroy(begin)), check(cudaEventDestroy(end));
  std::nth_element(times.begin(), times.begin() + measured / 2, times.end());
  return static_cast<double>(times[measured / 2]);
}

/// Largest error at some of the points, over the largest gradient there, against sums in double on
/// the host.
double error(const std::vector<float>& x, const std::vector<float>& y,
             const std::vector<float>& got) {
  const wgf::GaussianKernel kernel{};
  const std::size_t n = x.size() / 2, m = y.size() / 2, checked = std::min<std::size_t>(500, n);
  double worst = 0, largest = 0;
  for (std::size_t k = 0; k < checked; ++k) {
    const std::size_t i = k * (n / checked);
    double sum[2] = {};
    for (std::size_t j = 0; j < m; ++j) {
      const double d[2] = {static_cast<double>(x[2 * i]) - static_cast<double>(y[2 * j]),
                           static_cast<double>(x[2 * i + 1]) - static_cast<double>(y[2 * j + 1])};
      const double w = 2 * kernel.derivative(d[0] * d[0] + d[1] * d[1]) / static_cast<double>(m);
      for (int c = 0; c < 2; ++c) sum[c] += w * d[c];
    }
    for (int c = 0; c < 2; ++c) {
      worst = std::max(worst, std::abs(static_cast<double>(got[2 * i + c]) - sum[c]));
      largest = std::max(largest, std::abs(sum[c]));
    }
  }
  return worst / largest;
}

}  // namespace

int main() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::fprintf(stderr, "there is no GPU\n");
    return 77;
  }
  cudaDeviceProp device;
  check(cudaGetDeviceProperties(&device, 0));
  // A pool that is left to itself gives its memory back whenever the program waits for the GPU, and
  // the next call waits for new.
  cudaMemPool_t pool;
  std::uint64_t keep = UINT64_MAX;
  check(cudaDeviceGetDefaultMemPool(&pool, 0)),
      check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep));
  using wgf::cuda::Accumulation;
  const long n = 1'000'000, m = 10'000, few = 10'000;
  const auto x = square(n, 1), y = square(m, 2);
  const float* const dx = upload(x);
  const float* const dy = upload(y);
  float* const out = upload(std::vector<float>(x.size()));
  const double in_double = milliseconds(dx, n, dy, m, out, Accumulation::in_double);
  const double plain = milliseconds(dx, n, dy, m, out, Accumulation::plain);
  const double small = milliseconds(dx, few, dy, m, out, Accumulation::compensated);
  const double compensated = milliseconds(dx, n, dy, m, out, Accumulation::compensated);
  std::vector<float> got(x.size());
  check(cudaMemcpy(got.data(), out, got.size() * sizeof(float), cudaMemcpyDeviceToHost));
  std::printf(
      "{\"interaction_1e6_1e4_ms\": %.4g, \"interaction_error\": %.3g, "
      "\"interaction_1e6_1e4_plain_ms\": %.4g, "
      "\"interaction_1e6_1e4_in_double_ms\": %.4g, \"interaction_1e4_1e4_ms\": %.4g, \"device\": "
      "\"%s\"}\n",
      compensated, error(x, y, got), plain, in_double, small, device.name);
  return 0;
}
