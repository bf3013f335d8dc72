// SPDX-License-Identifier: BSL-1.0
#pragma once
// A pool of threads for parallel regions of some microseconds: they spin briefly, then sleep.
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace wgf::eigen {

/// `count` workers, of which the calling thread is number 0. run(f) calls f(worker) on every worker and returns when all are done; the first
/// exception that a worker throws is thrown again by run.
class Workers {
 public:
  explicit Workers(int count) : count_(count) {
    for (int w = 1; w < count; ++w) threads_.emplace_back([this, w] { serve(w); });
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers() {
    stop_ = true;
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    for (auto& t : threads_) t.join();
  }

  int count() const { return count_; }

  template <class F>
  void run(F&& f) {
    if (count_ == 1) {
      f(0);
      return;
    }
    job_ = &f;
    call_ = [](void* p, int w) { (*static_cast<std::remove_reference_t<F>*>(p))(w); };
    busy_.store(count_ - 1, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    work(0);
    for (int spin = 0; busy_.load(std::memory_order_acquire); ++spin)  // a pure spin collapses where others need the core
      if (spin < spins) relax();
      else std::this_thread::yield();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  static constexpr int spins = 2000;
  static void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  void work(int w) {
    try {
      call_(job_, w);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }
  void serve(int w) {
    for (unsigned seen = 0;;) {
      for (int spin = 0; round_.load(std::memory_order_acquire) == seen; ++spin)
        if (spin < spins) relax();
        else round_.wait(seen, std::memory_order_acquire);
      ++seen;
      if (stop_) return;
      work(w);
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }
  int count_;
  std::atomic<unsigned> round_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> stop_{false};
  void* job_ = nullptr;
  void (*call_)(void*, int) = nullptr;
  std::mutex mutex_;
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};

}  // namespace wgf::eigen
