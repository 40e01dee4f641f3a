// What CUDA's words mean on the host: src/ops/*.cu, unchanged, compiled by g++. Blocks run one after the other; a
// block's threads do so too, or are host threads where the kernel has barriers (LAUNCH_WITH_BARRIERS). Device memory is
// the host's, in pieces of the exact size, so that the address sanitizer sees what lies outside of them, and filled
// with rubbish before the kernels get it. A launch has ended when it returns; streams are nothing.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static  // of the one block that runs

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct alignas(16) float4 {
  float x, y, z, w;
};

inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

inline thread_local dim3 gridDim, blockDim, blockIdx, threadIdx;

namespace cuda_on_cpu {

// All threads of a block wait here for each other.
class Barrier {
 public:
  explicit Barrier(unsigned count) : count_(count) {}
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    const unsigned round = round_;
    if (++waiting_ == count_) {
      next();
      return;
    }
    all_.wait(lock, [&] { return round != round_; });
  }
  // A thread that has ended counts no more.
  void leave() {
    std::lock_guard<std::mutex> lock(mutex_);
    --count_;
    if (count_ > 0 && waiting_ == count_) next();
  }

 private:
  void next() {
    waiting_ = 0;
    ++round_;
    all_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable all_;
  unsigned count_, waiting_ = 0, round_ = 0;
};

inline thread_local Barrier* barrier = nullptr;

[[noreturn]] inline void leave(const char* why) {
  std::fprintf(stderr, "error: %s\n", why);
  std::abort();
}

template <typename Body>
void for_each(dim3 size, const Body& body) {
  for (unsigned z = 0; z < size.z; ++z)
    for (unsigned y = 0; y < size.y; ++y)
      for (unsigned x = 0; x < size.x; ++x) body(dim3(x, y, z));
}

// Limits of devices of compute capability 6.0 and later.
inline void check(dim3 grid, dim3 block) {
  if (!grid.x || !grid.y || !grid.z || !block.x || !block.y || !block.z) leave("a launch of nothing is an error");
  if (grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535) leave("too many blocks");
  if (static_cast<uint64_t>(block.x) * block.y * block.z > 1024 || block.z > 64) leave("too many threads in a block");
}

// launch(kernel, ...)(arguments): what <<<>>> does.
template <typename... Parameters>
auto launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, bool barriers) {
  check(grid, block);
  return [=](Parameters... arguments) {
    if (!barriers) {
      gridDim = grid;
      blockDim = block;
      for_each(grid, [&](dim3 of_grid) {
        blockIdx = of_grid;
        for_each(block, [&](dim3 of_block) {
          threadIdx = of_block;
          kernel(arguments...);
        });
      });
      return;
    }
    for_each(grid, [&](dim3 of_grid) {
      Barrier all(block.x * block.y * block.z);
      std::vector<std::thread> threads;
      for_each(block, [&](dim3 of_block) {
        threads.emplace_back([&, of_grid, of_block] {
          gridDim = grid;
          blockDim = block;
          blockIdx = of_grid;
          threadIdx = of_block;
          barrier = &all;
          kernel(arguments...);
          all.leave();
        });
      });
      for (auto& thread : threads) thread.join();
    });
  };
}

}  // namespace cuda_on_cpu

#define LAUNCH(kernel, blocks, threads, stream) ((void)(stream), cuda_on_cpu::launch(kernel, blocks, threads, false))
#define LAUNCH_WITH_BARRIERS(kernel, blocks, threads, stream) \
  ((void)(stream), cuda_on_cpu::launch(kernel, blocks, threads, true))

inline void __syncthreads() {
  if (!cuda_on_cpu::barrier) cuda_on_cpu::leave("a kernel with barriers is launched by LAUNCH_WITH_BARRIERS");
  cuda_on_cpu::barrier->wait();
}

// Of threads that run at once too. They give the value of before.
template <typename Number, typename Change>
Number atomic_change(Number* target, const Change& change) {
  Number before, after;
  __atomic_load(target, &before, __ATOMIC_RELAXED);
  do {
    after = change(before);
  } while (!__atomic_compare_exchange(target, &before, &after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return before;
}

template <typename Number>
Number atomicAdd(Number* target, Number value) {
  return atomic_change(target, [=](Number before) { return before + value; });
}

template <typename Number>
Number atomicMax(Number* target, Number value) {
  return atomic_change(target, [=](Number before) { return before < value ? value : before; });
}

inline int __ffsll(long long bits) { return __builtin_ffsll(bits); }

inline int __float_as_int(float value) {
  int bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float __int_as_float(int bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess = 0, cudaErrorMemoryAllocation = 2 };

inline cudaError_t cudaGetLastError() { return cudaSuccess; }

inline cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t) {
  *memory = std::malloc(bytes);
  if (!*memory) return cudaErrorMemoryAllocation;
  std::memset(*memory, 0x5a, bytes);
  return cudaSuccess;
}

inline cudaError_t cudaFreeAsync(void* memory, cudaStream_t) {
  std::free(memory);
  return cudaSuccess;
}

inline cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t) {
  if (bytes) std::memset(memory, value, bytes);
  return cudaSuccess;
}
