// Parallelism on the CPU: a loop over plain threads (MindSpore's own pool is out of a custom operator's reach), and
// functions compiled for several vector widths.
#pragma once

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

// One library for every x86-64 machine: the loader picks the widest version that the processor has.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE_VECTORS __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define WIDE_VECTORS
#endif

namespace vision {

// Calls body(i) for i in [0, count), on as many threads as there are cores; pieces are handed out one at a time.
template <typename Body>
void parallel_for(int count, const Body& body) {
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const int threads = std::min({cores, count, 32});
  if (threads <= 1) {
    for (int i = 0; i < count; ++i) body(i);
    return;
  }
  std::atomic<int> next{0};
  const auto work = [&] {
    for (int i = next++; i < count; i = next++) body(i);
  };
  std::vector<std::thread> pool;
  for (int t = 1; t < threads; ++t) pool.emplace_back(work);
  work();
  for (auto& thread : pool) thread.join();
}

}  // namespace vision
