// The log-softmax of logits at each pixel's label, forward and backward, in training on the CPU. Each pixel is one
// thread's, and sums over its classes have a fixed order, so bits do not depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include <omp.h>

#include "parallel.h"

namespace vision {

constexpr int64_t BLOCK = 256;                        // pixels at a time: their classes stay in the cache
constexpr double EXPONENTIALS_OF_A_THREAD = 100000;  // some 0.1 ms: a thread that is woken for less takes longer to help

struct Pixels {
  int64_t images, classes, pixels;

  explicit Pixels(const int64_t* shape) : images(shape[0]), classes(shape[1]), pixels(shape[2] * shape[3]) {}

  // body(image, first pixel, how many, a buffer of classes x BLOCK numbers)
  template <typename Body>
  void for_each_block(const Body& body) const {
    const int64_t blocks = (pixels + BLOCK - 1) / BLOCK;
    const double wanted = 1 + static_cast<double>(images) * classes * pixels / EXPONENTIALS_OF_A_THREAD;
    const int threads = static_cast<int>(std::min<double>(omp_get_max_threads(), wanted));
#pragma omp parallel num_threads(threads)
    {
      std::vector<float> buffer(classes * BLOCK);
#pragma omp for schedule(static)
      for (int64_t k = 0; k < images * blocks; ++k) {
        const int64_t first = k % blocks * BLOCK;
        body(k / blocks, first, std::min(BLOCK, pixels - first), buffer.data());
      }
    }
  }
};

// e^x of x <= 0 within 2 units of the last digit (Cephes' polynomial); not a number stays so.
static inline float exponential(float x) {
  const float bounded = x < -87.0f ? -87.0f : x;
  const float n = std::nearbyint(bounded * 1.44269504088896341f);
  const float r = bounded - n * 0.693359375f - n * -2.12194440e-4f;
  float y = 1.9875691500e-4f;
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * r * r + r + 1.0f;
  const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof(power));
  return x < -87.0f ? 0.0f : y * power;
}

// logits: of the first class, `stride` numbers a class. The exponentials of what lies below each pixel's largest logit go
// to `powers`, BLOCK numbers a class; the largest ones and the sums to `most` and `total`.
WIDE_VECTORS static void softmax_parts(const float* logits, int64_t stride, int64_t classes, int64_t count, float* powers,
                                       float* most, float* total) {
  std::copy_n(logits, count, most);
  for (int64_t c = 1; c < classes; ++c) {
    const float* row = logits + c * stride;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) most[i] = row[i] > most[i] ? row[i] : most[i];
  }
  std::fill_n(total, count, 0.0f);
  for (int64_t c = 0; c < classes; ++c) {
    const float* row = logits + c * stride;
    float* power = powers + c * BLOCK;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      power[i] = exponential(row[i] - most[i]);
      total[i] += power[i];
    }
  }
}

WIDE_VECTORS static void scaled(const float* power, const float* factor, int64_t count, float* result) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) result[i] = -power[i] * factor[i];
}

}  // namespace vision

// Inputs: logits (B, C, H, W), labels (B, H, W) int32. Output: (B, H, W); where the label is none of the C classes, the
// logarithm of the most likely one's share. float32.
extern "C" int LabelLogProbabilityForward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 3) return 1;
  const vision::Pixels of(shapes[0]);
  of.for_each_block([&](int64_t image, int64_t first, int64_t count, float* powers) {
    const float* logits = static_cast<const float*>(params[0]) + image * of.classes * of.pixels + first;
    const int32_t* labels = static_cast<const int32_t*>(params[1]) + image * of.pixels + first;
    float* result = static_cast<float*>(params[2]) + image * of.pixels + first;
    float most[vision::BLOCK], total[vision::BLOCK];
    vision::softmax_parts(logits, of.pixels, of.classes, count, powers, most, total);
    for (int64_t i = 0; i < count; ++i) {
      const bool is_class = labels[i] >= 0 && labels[i] < of.classes;
      result[i] = (is_class ? logits[labels[i] * of.pixels + i] - most[i] : 0.0f) - std::log(total[i]);
    }
  });
  return 0;
}

// Inputs: gradient (B, H, W), logits (B, C, H, W), labels (B, H, W) int32. Output: gradient to the logits. float32.
extern "C" int LabelLogProbabilityBackward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 4) return 1;
  const vision::Pixels of(shapes[1]);
  of.for_each_block([&](int64_t image, int64_t first, int64_t count, float* powers) {
    const float* gradient = static_cast<const float*>(params[0]) + image * of.pixels + first;
    const float* logits = static_cast<const float*>(params[1]) + image * of.classes * of.pixels + first;
    const int32_t* labels = static_cast<const int32_t*>(params[2]) + image * of.pixels + first;
    float* result = static_cast<float*>(params[3]) + image * of.classes * of.pixels + first;
    float most[vision::BLOCK], total[vision::BLOCK];
    vision::softmax_parts(logits, of.pixels, of.classes, count, powers, most, total);
    for (int64_t i = 0; i < count; ++i) total[i] = gradient[i] / total[i];
    for (int64_t c = 0; c < of.classes; ++c) {
      vision::scaled(powers + c * vision::BLOCK, total, count, result + c * of.pixels);
    }
    for (int64_t i = 0; i < count; ++i) {
      if (labels[i] >= 0 && labels[i] < of.classes) result[labels[i] * of.pixels + i] += gradient[i];
    }
  });
  return 0;
}
