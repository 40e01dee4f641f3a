// A parallel loop on plain threads: MindSpore's own pool is not reachable from a custom operator.
#pragma once

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

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
