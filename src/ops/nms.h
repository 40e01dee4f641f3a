// What the operators of non-maximum suppression share: a box and the overlap of two.
#pragma once

#include <algorithm>

namespace vision {

struct Box {
  float x1, y1, x2, y2, area;
};

inline float overlap(const Box& a, const Box& b) {
  const float width = std::max(0.0f, std::min(a.x2, b.x2) - std::max(a.x1, b.x1));
  const float height = std::max(0.0f, std::min(a.y2, b.y2) - std::max(a.y1, b.y1));
  const float intersection = width * height;
  return intersection / (a.area + b.area - intersection);
}

}  // namespace vision
