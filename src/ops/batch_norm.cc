// Batch normalisation in training on the CPU, with the sum and the ReLU that follow it, and its gradient: one pass over
// memory where the framework takes one for each. oneDNN 3.2 has no such operator for NCHW with the sum, and without it one
// that is slower and keeps a byte an element. What the ReLU lets through is kept as one bit an element.
//
// A channel is one thread's, so the bits of a result do not depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <omp.h>

#include "parallel.h"

namespace vision {

constexpr int64_t BLOCK = 4096;  // elements that are added up in single precision
constexpr int64_t WORD = 32;     // elements whose bits fill a word of the mask
constexpr double ELEMENTS_OF_A_THREAD = 262144;  // some 0.1 ms: a second thread that must be woken takes longer to help

// A map (B, C, H, W) and which words of the mask (B, C, ceil(H * W / 32)) belong to it.
struct Map {
  int64_t batch, channels, size;  // size: H * W

  explicit Map(const int64_t* shape) : batch(shape[0]), channels(shape[1]), size(shape[2] * shape[3]) {}

  double count() const { return static_cast<double>(batch * size); }
  int64_t words() const { return (size + WORD - 1) / WORD; }
  int64_t plane(int64_t image, int64_t channel) const { return image * channels + channel; }
};

template <typename Body>
static void for_each_channel(const Map& map, const Body& body) {
  const double wanted = 1 + map.count() * map.channels / ELEMENTS_OF_A_THREAD;
  const int threads = static_cast<int>(std::min<double>(omp_get_max_threads(), wanted));
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t channel = 0; channel < map.channels; ++channel) body(channel);
}

WIDE_VECTORS static double sum(const float* x, int64_t size) {
  double total = 0;
  for (int64_t start = 0; start < size; start += BLOCK) {
    float part = 0;
    const int64_t end = std::min(size, start + BLOCK);
#pragma omp simd reduction(+ : part)
    for (int64_t i = start; i < end; ++i) part += x[i];
    total += part;
  }
  return total;
}

WIDE_VECTORS static double sum_of_squares(const float* x, int64_t size, float mean) {
  double total = 0;
  for (int64_t start = 0; start < size; start += BLOCK) {
    float part = 0;
    const int64_t end = std::min(size, start + BLOCK);
#pragma omp simd reduction(+ : part)
    for (int64_t i = start; i < end; ++i) part += (x[i] - mean) * (x[i] - mean);
    total += part;
  }
  return total;
}

// y = (x - mean) * scale + shift (+ added).
WIDE_VECTORS static void normalise(const float* x, const float* added, int64_t size, float mean, float scale, float shift,
                                   float* y) {
  if (added == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) y[i] = (x[i] - mean) * scale + shift;
  } else {
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) y[i] = (x[i] - mean) * scale + shift + added[i];
  }
}

// The bits of those of WORD numbers that a ReLU lets through. Not a number passes, as in PyTorch.
__attribute__((always_inline)) static inline uint32_t bits_of(const float* values) {
  uint32_t bits = 0;
#pragma omp simd reduction(| : bits)
  for (uint32_t i = 0; i < WORD; ++i) bits |= values[i] <= 0 ? 0u : 1u << i;
  return bits;
}

// The same with a ReLU after it; bit i of `mask` tells that element i has passed.
template <bool has_sum>
__attribute__((always_inline)) static inline void normalise_relu(const float* x, const float* added, int64_t size, float mean, float scale, float shift,
                                  float* y, uint32_t* mask) {
  const int64_t whole = size - size % WORD;
  for (int64_t start = 0; start < whole; start += WORD) {
    float values[WORD];
#pragma omp simd
    for (int64_t i = 0; i < WORD; ++i) {
      values[i] = (x[start + i] - mean) * scale + shift + (has_sum ? added[start + i] : 0.0f);
    }
    mask[start / WORD] = bits_of(values);
#pragma omp simd
    for (int64_t i = 0; i < WORD; ++i) y[start + i] = values[i] <= 0 ? 0.0f : values[i];
  }
  if (whole == size) return;
  float values[WORD] = {};
  for (int64_t i = whole; i < size; ++i) {
    values[i - whole] = (x[i] - mean) * scale + shift + (has_sum ? added[i] : 0.0f);
    y[i] = values[i - whole] <= 0 ? 0.0f : values[i - whole];
  }
  mask[whole / WORD] = bits_of(values);
}

WIDE_VECTORS static void normalise_relu(const float* x, const float* added, int64_t size, float mean, float scale,
                                        float shift, float* y, uint32_t* mask) {
  if (added == nullptr) {
    normalise_relu<false>(x, added, size, mean, scale, shift, y, mask);
  } else {
    normalise_relu<true>(x, added, size, mean, scale, shift, y, mask);
  }
}

// passed = gradient where the mask has a bit, else 0.
WIDE_VECTORS static void pass(const float* gradient, const uint32_t* mask, int64_t size, float* passed) {
  for (int64_t start = 0; start < size; start += WORD) {
    const uint32_t bits = mask[start / WORD];
    const int64_t count = std::min(WORD, size - start);
    if (count == WORD) {
#pragma omp simd
      for (uint32_t i = 0; i < WORD; ++i) passed[start + i] = bits >> i & 1u ? gradient[start + i] : 0.0f;
    } else {
      for (int64_t i = 0; i < count; ++i) passed[start + i] = bits >> i & 1u ? gradient[start + i] : 0.0f;
    }
  }
}

// Adds sum(g) and sum(g * (x - mean)).
WIDE_VECTORS static void add_sums(const float* g, const float* x, int64_t size, float mean, double* total, double* product) {
  for (int64_t start = 0; start < size; start += BLOCK) {
    float part = 0, cross = 0;
    const int64_t end = std::min(size, start + BLOCK);
#pragma omp simd reduction(+ : part, cross)
    for (int64_t i = start; i < end; ++i) {
      part += g[i];
      cross += g[i] * (x[i] - mean);
    }
    *total += part;
    *product += cross;
  }
}

// result = (g - offset - (x - mean) * slope) * scale; result may be g.
WIDE_VECTORS static void to_input(const float* g, const float* x, int64_t size, float mean, float offset, float slope,
                                  float scale, float* result) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) result[i] = (g[i] - offset - (x[i] - mean) * slope) * scale;
}

}  // namespace vision

// Inputs: x (B, C, H, W), gamma, beta, running mean, running variance (C), settings (epsilon, share of the new value in
// the running statistics, 1 for a ReLU), and where there is a sum another map like x. Outputs: y = [ReLU](normalised x
// [+ map]), mean (C), 1 / standard deviation (C), the ReLU's mask (B, C, words) int32; (B, C, 0) without one. The running
// statistics are changed in place, the variance as the unbiased one. All others float32.
extern "C" int BatchNormForward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 10 && nparam != 11) return 1;
  const vision::Map map(shapes[0]);
  const int outputs = nparam - 4;
  const auto in = [&](int k) { return static_cast<const float*>(params[k]); };
  const auto out = [&](int k) { return static_cast<float*>(params[k]); };
  const float epsilon = in(5)[0], share = in(5)[1];
  const bool has_relu = in(5)[2] != 0;
  const float* added = nparam == 11 ? in(6) : nullptr;
  uint32_t* mask = static_cast<uint32_t*>(params[outputs + 3]);
  vision::for_each_channel(map, [&](int64_t c) {
    double total = 0, square = 0;
    for (int64_t b = 0; b < map.batch; ++b) total += vision::sum(in(0) + map.plane(b, c) * map.size, map.size);
    const double mean = total / map.count();
    const float centre = static_cast<float>(mean);
    for (int64_t b = 0; b < map.batch; ++b) {
      square += vision::sum_of_squares(in(0) + map.plane(b, c) * map.size, map.size, centre);
    }
    const double rounding = mean - centre;  // the squares are about the rounded mean
    const double variance = std::max(square / map.count() - rounding * rounding, 0.0);
    const double inverse = 1.0 / std::sqrt(variance + epsilon);
    const float scale = static_cast<float>(in(1)[c] * inverse);
    for (int64_t b = 0; b < map.batch; ++b) {
      const int64_t plane = map.plane(b, c), start = plane * map.size;
      const float* sum_with = added == nullptr ? nullptr : added + start;
      float* y = out(outputs) + start;
      if (has_relu) {
        vision::normalise_relu(in(0) + start, sum_with, map.size, centre, scale, in(2)[c], y, mask + plane * map.words());
      } else {
        vision::normalise(in(0) + start, sum_with, map.size, centre, scale, in(2)[c], y);
      }
    }
    out(outputs + 1)[c] = centre;
    out(outputs + 2)[c] = static_cast<float>(inverse);
    const double unbiased = variance * (map.count() / std::max(map.count() - 1, 1.0));
    out(3)[c] += static_cast<float>((mean - in(3)[c]) * share);
    out(4)[c] += static_cast<float>((unbiased - in(4)[c]) * share);
  });
  return 0;
}

// Inputs: gradient to y and x (B, C, H, W), gamma, mean, 1 / standard deviation (C), mask; settings (1 for a ReLU, 1 for a
// sum). Outputs: gradients to x, gamma, beta, and where there was a sum to the added map.
extern "C" int BatchNormBackward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 10 && nparam != 11) return 1;
  const vision::Map map(shapes[0]);
  const auto in = [&](int k) { return static_cast<const float*>(params[k]); };
  const auto out = [&](int k) { return static_cast<float*>(params[k]); };
  const bool has_relu = in(6)[0] != 0;
  const uint32_t* mask = static_cast<const uint32_t*>(params[5]);
  vision::for_each_channel(map, [&](int64_t c) {
    const float mean = in(3)[c], inverse = in(4)[c];
    double total = 0, product = 0;
    for (int64_t b = 0; b < map.batch; ++b) {
      const int64_t plane = map.plane(b, c), start = plane * map.size;
      const float* gradient = in(0) + start;
      float* passed = nparam == 11 ? out(10) + start : out(7) + start;  // the sum's gradient is the one that has passed
      if (has_relu) {
        vision::pass(gradient, mask + plane * map.words(), map.size, passed);
      } else if (nparam == 11) {
        std::copy_n(gradient, map.size, passed);
      }
      vision::add_sums(has_relu ? passed : gradient, in(1) + start, map.size, mean, &total, &product);
    }
    const float offset = static_cast<float>(total / map.count());
    const float slope = static_cast<float>(product / map.count() * inverse * inverse);
    for (int64_t b = 0; b < map.batch; ++b) {
      const int64_t start = map.plane(b, c) * map.size;
      const float* passed = nparam == 11 ? out(10) + start : has_relu ? out(7) + start : in(0) + start;
      vision::to_input(passed, in(1) + start, map.size, mean, offset, slope, in(2)[c] * inverse, out(7) + start);
    }
    out(8)[c] = static_cast<float>(product * inverse);
    out(9)[c] = static_cast<float>(total);
  });
  return 0;
}
