// Bilinear resizing of maps in inference on the CPU: the numbers of two matrix products, without the products and the
// transposed maps between them, for which the framework keeps 8 bytes an element for good.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "parallel.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define WITH_FMA __attribute__((target_clones("default", "fma", "avx512f")))
#else
#define WITH_FMA
#endif

namespace vision {

constexpr int64_t OUTPUTS_OF_A_PIECE = 262144;  // some 0.1 ms: a thread that is started for less takes longer to help

enum Coordinates { HALF_PIXEL, ALIGN_CORNERS, ASYMMETRIC };  // `interpolation_matrix` says what they are

// Line i of the result is line low[i] times first[i] plus line high[i] times second[i]: the matrix's row of two numbers.
struct Taps {
  std::vector<int32_t> low, high;
  std::vector<float> first, second;

  Taps(int64_t before, int64_t after, Coordinates coordinates) : low(after), high(after), first(after), second(after) {
    const bool aligned = coordinates == ALIGN_CORNERS;
    const double scale = aligned ? static_cast<double>(before - 1) / std::max<int64_t>(after - 1, 1)
                                 : static_cast<double>(before) / after;
    for (int64_t i = 0; i < after; ++i) {
      const double source = coordinates == HALF_PIXEL ? std::max((i + 0.5) * scale - 0.5, 0.0) : i * scale;
      low[i] = static_cast<int32_t>(std::min<int64_t>(static_cast<int64_t>(source), before - 1));
      high[i] = static_cast<int32_t>(std::min<int64_t>(low[i] + 1, before - 1));
      const double fraction = source - low[i];
      const bool both = high[i] != low[i];
      first[i] = static_cast<float>(both ? 1.0 - fraction : 1.0 - fraction + fraction);
      second[i] = static_cast<float>(both ? fraction : 0.0);
    }
  }
};

// A product adds to 0, term after term, and rounds once a term: the sum of 0 and -0 is 0.
WITH_FMA static void blend_columns(const float* row, const Taps& taps, int64_t count, float* result) {
  const int32_t *low = taps.low.data(), *high = taps.high.data();
  const float *first = taps.first.data(), *second = taps.second.data();
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    result[i] = __builtin_fmaf(row[high[i]], second[i], row[low[i]] * first[i] + 0.0f);
  }
}

WITH_FMA static void blend_rows(const float* low, const float* high, float first, float second, int64_t count,
                                float* result) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) result[i] = __builtin_fmaf(high[i], second, low[i] * first + 0.0f);
}

// One map (h, w) -> (height, width). Widened rows are kept for the next lines: two at a time are needed.
static void resize(const float* x, int64_t w, const Taps& rows, const Taps& columns, std::vector<float>* wide,
                   float* result) {
  const int64_t height = rows.low.size(), width = columns.low.size();
  wide->resize(2 * width);
  int32_t kept[2] = {-1, -1};
  const auto widened = [&](int32_t row) {
    float* const there = wide->data() + row % 2 * width;
    if (kept[row % 2] != row) blend_columns(x + row * w, columns, width, there);
    kept[row % 2] = row;
    return there;
  };
  for (int64_t y = 0; y < height; ++y) {
    const float *low = widened(rows.low[y]), *high = widened(rows.high[y]);
    blend_rows(low, high, rows.first[y], rows.second[y], width, result + y * width);
  }
}

}  // namespace vision

// Inputs: x (B, C, h, w), a tensor of any type from whose shape the output's follows (not read), settings (coordinates:
// 0 half pixels, 1 aligned corners, 2 asymmetric). Output: (B, C, height, width). float32.
extern "C" int ResizeBilinear(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 4) return 1;
  const int64_t *before = shapes[0], *after = shapes[3];
  const auto coordinates = static_cast<vision::Coordinates>(static_cast<const float*>(params[2])[0]);
  const vision::Taps rows(before[2], after[2], coordinates), columns(before[3], after[3], coordinates);
  const int64_t planes = before[0] * before[1], outputs = after[2] * after[3];
  const int64_t pieces = std::clamp<int64_t>(planes * outputs / vision::OUTPUTS_OF_A_PIECE, 1, std::max<int64_t>(planes, 1));
  vision::parallel_for(static_cast<int>(pieces), [&](int piece) {
    std::vector<float> wide;
    for (int64_t plane = planes * piece / pieces; plane < planes * (piece + 1) / pieces; ++plane) {
      const float* x = static_cast<const float*>(params[0]) + plane * before[2] * before[3];
      vision::resize(x, before[3], rows, columns, &wide, static_cast<float*>(params[3]) + plane * outputs);
    }
  });
  return 0;
}
