// Numeric core of non-maximum suppression: a box, the overlap of two, and which of them a better one suppresses.
#pragma once

#include <stdint.h>

#include "core.h"

namespace vision {

struct Box {
  float x1, y1, x2, y2, area;
};

CORE_FN float overlap(const Box& a, const Box& b) {
  const float width = greater(0.0f, lesser(a.x2, b.x2) - greater(a.x1, b.x1));
  const float height = greater(0.0f, lesser(a.y2, b.y2) - greater(a.y1, b.y1));
  const float intersection = width * height;
  return intersection / (a.area + b.area - intersection);
}

// Which boxes a better one suppresses.
struct Rule {
  float threshold;
  bool moved;      // groups are moved apart, which rounds coordinates
  bool inclusive;  // areas count the last pixels, (w + 1) * (h + 1), and the threshold itself is enough
};

// settings: IoU threshold, with has_number the rule's number: 0 moved, 1 exact, 2 inclusive.
CORE_FN Rule read_rule(const float* settings, bool has_number) {
  const int number = has_number ? static_cast<int>(settings[1]) : 0;
  return Rule{settings[0], number == 0, number == 2};
}

// A box of a group as the rule compares it; largest: the largest coordinate of all boxes that take part.
CORE_FN Box box_by_rule(const float* corners, int32_t group, float largest, const Rule& rule) {
  const float extra = rule.inclusive ? 1.0f : 0.0f;
  const float shift = rule.moved ? static_cast<float>(group) * (largest + 1.0f) : 0.0f;
  Box box{corners[0] + shift, corners[1] + shift, corners[2] + shift, corners[3] + shift, 0.0f};
  box.area = (box.x2 - box.x1 + extra) * (box.y2 - box.y1 + extra);
  return box;
}

// Both of one group.
CORE_FN bool suppresses(const Box& better, const Box& box, const Rule& rule) {
  const float shared = overlap(better, box);
  return rule.inclusive ? shared >= rule.threshold : shared > rule.threshold;
}

}  // namespace vision
