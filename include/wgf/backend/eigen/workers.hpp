// SPDX-License-Identifier: BSL-1.0
#pragma once
// A thread pool for parallel regions of a few microseconds: the threads spin briefly, then sleep.
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace wgf::eigen {

/// `count` workers, including the calling thread as number 0. run(tasks, f) calls f(task, worker)
/// once for every task and returns when all are done; it rethrows the first exception of a task.
/// The caller takes tasks from the front and the others from the back, so that on idle cores each
/// worker repeatedly gets the same tasks and thus the same memory; a worker whose core is busy
/// elsewhere does not delay the others.
class Workers {
 public:
  explicit Workers(int count) : count_(count) {
    try {
      for (int w = 1; w < count; ++w) threads_.emplace_back([this, w] { serve(w); });
    } catch (const std::system_error&) {  // no more threads are available: fewer do the same work
      count_ = static_cast<int>(threads_.size()) + 1;
    }
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers() {
    stop_.store(true, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    for (auto& t : threads_) t.join();
  }

  int count() const { return count_; }

  /// \param tasks must be less than 65536.
  template <class F>
  void run(int tasks, F&& f) {
    run(tasks, const_cast<void*>(static_cast<const void*>(&f)), [](void* p, int task, int worker) {
      (*static_cast<std::remove_reference_t<F>*>(p))(task, worker);
    });
  }

 private:
  using Call = void (*)(void*, int, int);
  static constexpr int spins = 2000;

  [[gnu::noinline]] void run(int tasks, void* job, Call call) {
    if (count_ == 1 || tasks == 1) {
      for (int t = 0; t < tasks; ++t) call(job, t, 0);
      return;
    }
    job_.store(job, std::memory_order_relaxed);
    call_.store(call, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    const std::uint32_t round = round_.load(std::memory_order_relaxed) + 1;
    ticket_.store(pack(round, 0, static_cast<unsigned>(tasks)), std::memory_order_release);
    round_.store(round, std::memory_order_release);
    round_.notify_all();
    work(0);
    // Spins, then yields: pure spinning performs very badly if others need the core.
    for (int spin = 0; done_.load(std::memory_order_acquire) != tasks; ++spin)
      if (spin < spins) relax();
      else std::this_thread::yield();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  static void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  /// The tasks [front, back) of a round have not been taken yet.
  static constexpr std::uint64_t pack(std::uint32_t round, unsigned front, unsigned back) {
    return static_cast<std::uint64_t>(round) << 32 | front << 16 | back;
  }
  /// Takes tasks until none is left. The job is read before a task is taken: if the ticket has not
  /// changed by then, the round had not ended, and so the job is that of this round.
  void work(int worker) {
    for (std::uint64_t ticket = ticket_.load(std::memory_order_acquire);;) {
      const auto front = static_cast<unsigned>(ticket >> 16 & 0xffff),
                 back = static_cast<unsigned>(ticket & 0xffff);
      if (front >= back) return;
      void* const job = job_.load(std::memory_order_relaxed);
      const Call call = call_.load(std::memory_order_relaxed);
      const auto round = static_cast<std::uint32_t>(ticket >> 32);
      const std::uint64_t rest =
          worker == 0 ? pack(round, front + 1, back) : pack(round, front, back - 1);
      if (!ticket_.compare_exchange_weak(ticket, rest, std::memory_order_acq_rel,
                                         std::memory_order_acquire))
        continue;
      try {
        call(job, static_cast<int>(worker == 0 ? front : back - 1), worker);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
      }
      done_.fetch_add(1, std::memory_order_release);
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }
  void serve(int worker) {
    for (std::uint32_t seen = 0;;) {
      for (int spin = 0; round_.load(std::memory_order_acquire) == seen; ++spin)
        if (spin < spins) relax();
        else round_.wait(seen, std::memory_order_acquire);
      seen = round_.load(std::memory_order_acquire);
      if (stop_.load(std::memory_order_relaxed)) return;
      work(worker);
    }
  }
  int count_;
  std::atomic<std::uint64_t> ticket_{0};
  std::atomic<std::uint32_t> round_{0};
  std::atomic<int> done_{0};
  std::atomic<bool> stop_{false};
  std::atomic<void*> job_{nullptr};
  std::atomic<Call> call_{nullptr};
  std::mutex mutex_;
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};

}  // namespace wgf::eigen
