// Resizing of maps in training on the CPU, forward and backward: nearest by a whole factor, and bilinear as PyTorch's
// `interpolate`. A plane (one channel of one image) is one thread's, so bits do not depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <omp.h>

#include "parallel.h"

namespace vision {

constexpr double OUTPUTS_OF_A_THREAD = 262144;  // some 0.1 ms: a second thread that must be woken takes longer to help

// Maps (planes, height, width) before and after.
struct Sizes {
  int64_t planes, small_h, small_w, large_h, large_w;

  Sizes(const int64_t* before, const int64_t* after)
      : planes(before[0] * before[1]), small_h(before[2]), small_w(before[3]), large_h(after[2]), large_w(after[3]) {}

  int64_t before() const { return small_h * small_w; }
  int64_t after() const { return large_h * large_w; }
};

template <typename Body>
static void for_each_plane(const Sizes& sizes, const Body& body) {
  const double wanted = 1 + static_cast<double>(sizes.planes) * sizes.after() / OUTPUTS_OF_A_THREAD;
  const int threads = static_cast<int>(std::min<double>(omp_get_max_threads(), wanted));
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t plane = 0; plane < sizes.planes; ++plane) body(plane);
}

// Row y of the result is row low[y] times 1 - fraction[y] plus row low[y] + step[y] times fraction[y].
struct Line {
  std::vector<int32_t> low, high;
  std::vector<float> fraction;

  Line(int64_t before, int64_t after, bool align_corners) : low(after), high(after), fraction(after) {
    const double scale = align_corners ? static_cast<double>(before - 1) / std::max<int64_t>(after - 1, 1)
                                       : static_cast<double>(before) / after;
    for (int64_t i = 0; i < after; ++i) {
      const double source = align_corners ? i * scale : std::max((i + 0.5) * scale - 0.5, 0.0);
      low[i] = static_cast<int32_t>(std::min<int64_t>(static_cast<int64_t>(source), before - 1));
      high[i] = static_cast<int32_t>(std::min<int64_t>(low[i] + 1, before - 1));
      fraction[i] = static_cast<float>(source - low[i]);
    }
  }
};

struct Grid {
  Line rows, columns;

  // align_corners: the operator's settings, 1 for yes.
  Grid(const Sizes& sizes, const void* align_corners)
      : rows(sizes.small_h, sizes.large_h, static_cast<const float*>(align_corners)[0] != 0),
        columns(sizes.small_w, sizes.large_w, static_cast<const float*>(align_corners)[0] != 0) {}
};

WIDE_VECTORS static void blend(const float* first, const float* second, float fraction, int64_t count, float* result) {
  const float rest = 1.0f - fraction;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) result[i] = first[i] * rest + second[i] * fraction;
}

WIDE_VECTORS static void gather(const float* row, const Line& line, int64_t count, float* result) {
  const int32_t *low = line.low.data(), *high = line.high.data();
  const float* fraction = line.fraction.data();
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) result[i] = row[low[i]] * (1.0f - fraction[i]) + row[high[i]] * fraction[i];
}

WIDE_VECTORS static void add_scaled(const float* row, float weight, int64_t count, float* total) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) total[i] += row[i] * weight;
}

static void scatter(const float* row, const Line& line, int64_t count, float* total) {
  for (int64_t i = 0; i < count; ++i) {
    total[line.low[i]] += row[i] * (1.0f - line.fraction[i]);
    total[line.high[i]] += row[i] * line.fraction[i];
  }
}

WIDE_VECTORS static void add_rows(const float* rows, int64_t factor, int64_t width, float* total) {
  std::copy_n(rows, width, total);
  for (int64_t k = 1; k < factor; ++k) {
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) total[i] += rows[k * width + i];
  }
}

template <int64_t factor>
WIDE_VECTORS static void add_columns(const float* row, int64_t count, float* result) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    float total = row[i * factor];
    for (int64_t k = 1; k < factor; ++k) total += row[i * factor + k];
    result[i] = total;
  }
}

static void add_columns(const float* row, int64_t count, int64_t factor, float* result) {
  if (factor == 2) return add_columns<2>(row, count, result);
  if (factor == 4) return add_columns<4>(row, count, result);
  for (int64_t i = 0; i < count; ++i) {
    result[i] = row[i * factor];
    for (int64_t k = 1; k < factor; ++k) result[i] += row[i * factor + k];
  }
}

}  // namespace vision

// Inputs: x (B, C, h, w). Output: (B, C, h * factor, w * factor), each pixel repeated. float32.
extern "C" int UpsampleNearestForward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 2) return 1;
  const vision::Sizes sizes(shapes[0], shapes[1]);
  const int64_t factor = sizes.large_w / sizes.small_w;
  vision::for_each_plane(sizes, [&](int64_t plane) {
    const float* x = static_cast<const float*>(params[0]) + plane * sizes.before();
    float* y = static_cast<float*>(params[1]) + plane * sizes.after();
    for (int64_t row = 0; row < sizes.small_h; ++row) {
      float* first = y + row * factor * sizes.large_w;
      for (int64_t i = 0; i < sizes.small_w; ++i) std::fill_n(first + i * factor, factor, x[row * sizes.small_w + i]);
      for (int64_t k = 1; k < factor; ++k) std::copy_n(first, sizes.large_w, first + k * sizes.large_w);
    }
  });
  return 0;
}

// Inputs: gradient (B, C, h * factor, w * factor). Output: its sums over the repeated pixels (B, C, h, w). float32.
extern "C" int UpsampleNearestBackward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 2) return 1;
  const vision::Sizes sizes(shapes[1], shapes[0]);
  const int64_t factor = sizes.large_w / sizes.small_w;
  vision::for_each_plane(sizes, [&](int64_t plane) {
    const float* gradient = static_cast<const float*>(params[0]) + plane * sizes.after();
    float* result = static_cast<float*>(params[1]) + plane * sizes.before();
    std::vector<float> row(sizes.large_w);
    for (int64_t y = 0; y < sizes.small_h; ++y) {
      vision::add_rows(gradient + y * factor * sizes.large_w, factor, sizes.large_w, row.data());
      vision::add_columns(row.data(), sizes.small_w, factor, result + y * sizes.small_w);
    }
  });
  return 0;
}

// Inputs: x (B, C, h, w), a tensor of any type whose last sides are height and width (its shape only), settings (1 for
// align_corners). Output: (B, C, height, width). float32.
extern "C" int ResizeBilinearForward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 4) return 1;
  const vision::Sizes sizes(shapes[0], shapes[3]);
  const vision::Grid grid(sizes, params[2]);
  vision::for_each_plane(sizes, [&](int64_t plane) {
    const float* x = static_cast<const float*>(params[0]) + plane * sizes.before();
    float* result = static_cast<float*>(params[3]) + plane * sizes.after();
    std::vector<float> row(sizes.small_w);
    for (int64_t y = 0; y < sizes.large_h; ++y) {
      const float *low = x + grid.rows.low[y] * sizes.small_w, *high = x + grid.rows.high[y] * sizes.small_w;
      vision::blend(low, high, grid.rows.fraction[y], sizes.small_w, row.data());
      vision::gather(row.data(), grid.columns, sizes.large_w, result + y * sizes.large_w);
    }
  });
  return 0;
}

// Inputs: gradient (B, C, height, width), x (B, C, h, w) (its shape only), settings (1 for align_corners).
// Output: gradient to x. float32.
extern "C" int ResizeBilinearBackward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 4) return 1;
  const vision::Sizes sizes(shapes[3], shapes[0]);
  const vision::Grid grid(sizes, params[2]);
  vision::for_each_plane(sizes, [&](int64_t plane) {
    const float* gradient = static_cast<const float*>(params[0]) + plane * sizes.after();
    float* result = static_cast<float*>(params[3]) + plane * sizes.before();
    std::fill_n(result, sizes.before(), 0.0f);
    std::vector<float> row(sizes.small_w);
    for (int64_t y = 0; y < sizes.large_h; ++y) {
      std::fill(row.begin(), row.end(), 0.0f);
      vision::scatter(gradient + y * sizes.large_w, grid.columns, sizes.large_w, row.data());
      vision::add_scaled(row.data(), 1.0f - grid.rows.fraction[y], sizes.small_w, result + grid.rows.low[y] * sizes.small_w);
      vision::add_scaled(row.data(), grid.rows.fraction[y], sizes.small_w, result + grid.rows.high[y] * sizes.small_w);
    }
  });
  return 0;
}
