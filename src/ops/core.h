// What the cores of the operators share between the CPU and the CUDA build.
#pragma once

#ifdef __CUDACC__
#define CORE_FN __host__ __device__ inline
#else
#define CORE_FN inline
#endif

namespace vision {

// std::min and std::max, which device code has not: the first one where the two cannot be compared.
CORE_FN float lesser(float a, float b) { return b < a ? b : a; }
CORE_FN float greater(float a, float b) { return a < b ? b : a; }

}  // namespace vision
