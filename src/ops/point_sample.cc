// Bilinear samples of feature maps at points, and their gradient: PyTorch's grid_sample with align_corners False and
// zeros outside. Points are shares of the map's width and height; row n of N reads map n / (N / M) of M.
//
// Maps are turned to channels-last first: a point then reads four contiguous runs instead of 4 * C scattered numbers.

#include <cstdint>
#include <vector>

#include "parallel.h"
#include "point_sample.h"

namespace vision {

// Loops over pieces of one map (threads inside) or over whole maps (threads outside): many maps are small maps.
template <typename Body>
static void for_each(int count, bool threads, const Body& body) {
  if (threads) return parallel_for(count, body);
  for (int i = 0; i < count; ++i) body(i);
}

constexpr int MANY_MAPS = 8;
constexpr int TILE = 32;

// (rows, columns) -> (columns, rows), in tiles that stay in the cache.
static void transpose(const float* from, float* to, int64_t rows, int64_t columns, bool threads) {
  const int tiles = static_cast<int>((columns + TILE - 1) / TILE);
  for_each(tiles, threads, [&](int tile) {
    const int64_t first = static_cast<int64_t>(tile) * TILE, last = std::min(columns, first + TILE);
    for (int64_t r0 = 0; r0 < rows; r0 += TILE) {
      const int64_t r1 = std::min(rows, r0 + TILE);
      for (int64_t c = first; c < last; ++c)
        for (int64_t r = r0; r < r1; ++r) to[c * rows + r] = from[r * columns + c];
    }
  });
}

WIDE_VECTORS static void gather(const float* map, const float* points, int count, const MapShape& shape, float* out) {
  const int channels = shape.channels;
  for (int p = 0; p < count; ++p, out += channels) {
    const Corners c = corners_of(points[2 * p], points[2 * p + 1], shape);
    const float* a = map + c.pixel[0] * channels;
    const float* b = map + c.pixel[1] * channels;
    const float* d = map + c.pixel[2] * channels;
    const float* e = map + c.pixel[3] * channels;
    for (int k = 0; k < channels; ++k)
      out[k] = c.weight[0] * a[k] + c.weight[1] * b[k] + c.weight[2] * d[k] + c.weight[3] * e[k];
  }
}

// Adds the gradients of all points of one map, channels [first, last) only: threads share a map by channels.
WIDE_VECTORS static void scatter(const float* grad, const float* points, int64_t count, const MapShape& shape,
                                 int first, int last, float* map) {
  const int channels = shape.channels;
  for (int64_t p = 0; p < count; ++p, grad += channels) {
    const Corners c = corners_of(points[2 * p], points[2 * p + 1], shape);
    for (int corner = 0; corner < 4; ++corner) {
      const float weight = c.weight[corner];
      if (weight == 0.0f) continue;
      float* target = map + c.pixel[corner] * channels;
      for (int k = first; k < last; ++k) target[k] += weight * grad[k];
    }
  }
}

}  // namespace vision

// Inputs: maps (M, C, H, W), points (N, P, 2), N a multiple of M. Output: (N, P, C). All float32.
extern "C" int PointSampleForward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 3) return 1;
  const float* maps = static_cast<const float*>(params[0]);
  const float* points = static_cast<const float*>(params[1]);
  float* out = static_cast<float*>(params[2]);
  const vision::MapShape shape = vision::shape_of(shapes[0]);
  const int rows = static_cast<int>(shapes[1][0]), count = static_cast<int>(shapes[1][1]);
  const int rows_of_map = rows / shape.maps;
  const int64_t size = shape.channels * shape.pixels();
  const bool many = shape.maps >= vision::MANY_MAPS;
  vision::for_each(shape.maps, many, [&](int m) {
    std::vector<float> last(size);
    vision::transpose(maps + m * size, last.data(), shape.channels, shape.pixels(), !many);
    vision::for_each(rows_of_map, !many, [&](int row) {
      const int64_t n = static_cast<int64_t>(m) * rows_of_map + row;
      vision::gather(last.data(), points + n * count * 2, count, shape, out + n * count * shape.channels);
    });
  });
  return 0;
}

// Inputs: gradient (N, P, C), points (N, P, 2), maps (M, C, H, W) (their shape only). Output: (M, C, H, W).
extern "C" int PointSampleBackward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 4) return 1;
  const float* grad = static_cast<const float*>(params[0]);
  const float* points = static_cast<const float*>(params[1]);
  float* out = static_cast<float*>(params[3]);
  const vision::MapShape shape = vision::shape_of(shapes[2]);
  const int64_t points_of_map = shapes[1][0] / shape.maps * shapes[1][1];
  const int64_t size = shape.channels * shape.pixels();
  const bool many = shape.maps >= vision::MANY_MAPS;
  const int step = many ? shape.channels : 16;
  vision::for_each(shape.maps, many, [&](int m) {
    std::vector<float> last(size, 0.0f);
    vision::for_each((shape.channels + step - 1) / step, !many, [&](int part) {
      const int64_t start = m * points_of_map;
      vision::scatter(grad + start * shape.channels, points + start * 2, points_of_map, shape, part * step,
                      std::min(shape.channels, part * step + step), last.data());
    });
    vision::transpose(last.data(), out + m * size, shape.pixels(), shape.channels, !many);
  });
  return 0;
}
