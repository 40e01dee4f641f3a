// What the CUDA kernels share: how they are launched, half precision, memory for the time of a call.
//
// tests/ops/cuda_on_cpu has a cuda_runtime.h of its own, by which g++ compiles the kernels for the tests.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

// LAUNCH(kernel, blocks, threads, stream)(arguments); with barriers: of a kernel that calls __syncthreads.
#ifndef LAUNCH
#define LAUNCH(kernel, blocks, threads, stream) kernel<<<blocks, threads, 0, stream>>>
#define LAUNCH_WITH_BARRIERS(kernel, blocks, threads, stream) kernel<<<blocks, threads, 0, stream>>>
#endif

namespace vision {

constexpr int kThreads = 256;

// A grid for loops over [thread_index(), total) in steps of thread_count().
inline unsigned blocks_for(int64_t total) {
  const int64_t blocks = (total + kThreads - 1) / kThreads;
  return static_cast<unsigned>(blocks < 1 ? 1 : (blocks < 65535 ? blocks : 65535));
}

__device__ inline int64_t thread_index() { return blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; }
__device__ inline int64_t thread_count() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

__device__ inline float as_float(float value) { return value; }
__device__ inline float as_float(__half value) { return __half2float(value); }

template <typename T>
__device__ inline T of_float(float value);
template <>
__device__ inline float of_float<float>(float value) {
  return value;
}
template <>
__device__ inline __half of_float<__half>(float value) {
  return __float2half_rn(value);
}

// Calls body(k) for k in [0, live), at most N: all of them without a branch between, so that loads go out together.
template <int N, typename Body>
__device__ inline void for_channels(int live, Body body) {
  if (live == N) {
#pragma unroll
    for (int k = 0; k < N; ++k) body(k);
  } else {
#pragma unroll
    for (int k = 0; k < N; ++k) {
      if (k < live) body(k);
    }
  }
}

inline bool is_half(const char* dtype) { return dtype && std::strcmp(dtype, "float16") == 0; }

inline int64_t size_of(const int64_t* shape, int dimensions) {
  int64_t size = 1;
  for (int k = 0; k < dimensions; ++k) size *= shape[k];
  return size;
}

inline int launch_status() { return cudaGetLastError() == cudaSuccess ? 0 : 1; }

// Device memory that is given back, in the stream's order, when this object goes. Check ok() before use.
template <typename T>
class Workspace {
 public:
  Workspace(int64_t count, cudaStream_t stream, bool zero = false) : stream_(stream) {
    const size_t bytes = static_cast<size_t>(count < 1 ? 1 : count) * sizeof(T);
    void* memory = nullptr;
    ok_ = cudaMallocAsync(&memory, bytes, stream) == cudaSuccess;
    data_ = static_cast<T*>(memory);
    if (ok_ && zero) ok_ = cudaMemsetAsync(data_, 0, bytes, stream) == cudaSuccess;
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() {
    if (data_) cudaFreeAsync(data_, stream_);
  }
  bool ok() const { return ok_; }
  T* data() const { return data_; }

 private:
  cudaStream_t stream_;
  T* data_ = nullptr;
  bool ok_ = false;
};

// float32 sums -> what a tensor holds.
template <typename T>
__global__ void convert_kernel(int64_t total, const float* from, T* to) {
  for (int64_t i = thread_index(); i < total; i += thread_count()) to[i] = of_float<T>(from[i]);
}

}  // namespace vision
