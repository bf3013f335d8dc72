// SPDX-License-Identifier: BSL-1.0
// The pool of workers where the system gives fewer threads than were asked for.
#include <wgf/backend/eigen/workers.hpp>

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <set>

#include "../catch.hpp"

namespace {
std::atomic<int> threads_left{1000};
}
// Stands before the system's own, which it calls as long as threads are left; then one fails, and
// later ones succeed again.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*start)(void*), void* argument) {
  if (threads_left-- == 0) return EAGAIN;
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  return create(thread, attributes, start, argument);
}

TEST_CASE("workers that cannot be started are done without") {
  for (const int available : {0, 1, 3}) {
    threads_left = available;
    wgf::eigen::Workers workers(6);
    CHECK(workers.count() == available + 1);
    std::mutex mutex;
    std::set<int> used;
    std::atomic<int> done{0};
    for (int round = 0; round < 50; ++round)
      workers.run(100, [&](int, int worker) {
        ++done;
        const std::lock_guard lock(mutex);
        used.insert(worker);
      });
    CHECK(done == 5000);
    CHECK(*used.rbegin() < workers.count());
  }
}
