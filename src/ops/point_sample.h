// Numeric core of bilinear samples at points: which four cells a point reads, with which weights (PyTorch's grid_sample
// with align_corners False and zeros outside).
#pragma once

#include <math.h>
#include <stdint.h>

#include "core.h"

namespace vision {

struct MapShape {
  int maps, channels, height, width;
  CORE_FN int64_t pixels() const { return static_cast<int64_t>(height) * width; }
};

struct Corners {
  int64_t pixel[4];
  float weight[4];  // 0 where the corner lies outside
};

CORE_FN Corners corners_of(float u, float v, const MapShape& shape) {
  Corners c;
  const float x = u * shape.width - 0.5f, y = v * shape.height - 0.5f;
  const float x0 = floorf(x), y0 = floorf(y);
  const float fx = x - x0, fy = y - y0;
  for (int k = 0; k < 4; ++k) {
    const float cx = x0 + (k & 1), cy = y0 + (k >> 1);
    const bool inside = cx >= 0 && cx <= shape.width - 1 && cy >= 0 && cy <= shape.height - 1;  // false for NaN
    c.pixel[k] = inside ? static_cast<int64_t>(cy) * shape.width + static_cast<int64_t>(cx) : 0;
    c.weight[k] = inside ? ((k & 1) ? fx : 1 - fx) * ((k >> 1) ? fy : 1 - fy) : 0.0f;
  }
  return c;
}

inline MapShape shape_of(const int64_t* s) {
  return {static_cast<int>(s[0]), static_cast<int>(s[1]), static_cast<int>(s[2]), static_cast<int>(s[3])};
}

}  // namespace vision
