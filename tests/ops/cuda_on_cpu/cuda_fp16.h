// CUDA's half precision on the host, see cuda_runtime.h.
#pragma once

#include <cstdint>
#include <cstring>

struct __half {
  uint16_t bits;
};

inline float __half2float(__half value) {
  _Float16 number;
  std::memcpy(&number, &value, sizeof(number));
  return static_cast<float>(number);
}

// To the nearest, ties to even.
inline __half __float2half_rn(float value) {
  const _Float16 number = static_cast<_Float16>(value);
  __half half;
  std::memcpy(&half, &number, sizeof(half));
  return half;
}
