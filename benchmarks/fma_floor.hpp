// SPDX-License-Identifier: BSL-1.0
#pragma once
// The machine's limit: how many floating-point operations a second its fused multiply-adds reach
// with everything in registers.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <wgf/backend/eigen/simd.hpp>

namespace floor_of_machine {

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Independent chains of a·b + c, as many as hide the latency; returns operations.
inline double multiply_add(long rounds) {
  namespace simd = wgf::eigen::simd;
  using V = simd::Vec<float>;
  constexpr int chains = simd::register_count == 32 ? 24 : 12;
  V c[chains];
  for (int i = 0; i < chains; ++i) c[i] = simd::broadcast(float(i));
  V a = simd::broadcast(0.999f), b = simd::broadcast(1e-3f);
  for (long r = 0; r < rounds; ++r) {
    asm volatile("" : "+x"(a), "+x"(b));  // not to be computed beforehand
    WGF_UNROLL for (int i = 0; i < 12; ++i) c[i] = simd::fma(a, c[i], b);
    if constexpr (chains > 12)
      WGF_UNROLL for (int i = 12; i < chains; ++i) c[i] = simd::fma(a, c[i], b);
  }
  V total = c[0];
  for (int i = 1; i < chains; ++i) total += c[i];
  volatile float sink = simd::sum(total);
  (void)sink;
  return 2.0 * chains * simd::lanes<float> * static_cast<double>(rounds);
}

/// Best of several runs of about 3 ms on `threads` threads at once, in operations a second.
inline double flops(int threads, int runs = 30) {
  double best = 0;
  for (int r = 0; r < runs; ++r) {
    std::atomic<int> waiting{threads};
    std::vector<double> begin(threads), end(threads), done(threads);
    const auto work = [&](int t) {
      --waiting;
      while (waiting > 0) {
      }
      begin[t] = now();
      done[t] = multiply_add(250'000);
      end[t] = now();
    };
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(work, t);
    work(0);
    for (auto& t : others) t.join();
    double sum = 0;
    for (const double d : done) sum += d;
    best = std::max(best, sum / (*std::max_element(end.begin(), end.end()) -
                                 *std::min_element(begin.begin(), begin.end())));
  }
  return best;
}

}  // namespace floor_of_machine
