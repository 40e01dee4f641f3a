// Numeric core of max-IoU assignment (MMDetection's MaxIoUAssigner). IoU is computed by the same operations in the same
// order every time, so that "has exactly the object's best IoU" is exact.
#pragma once

#include <stdint.h>

#include "core.h"

namespace vision {

constexpr float kEps = 1e-6f;

struct AssignSettings {
  float pos_iou, neg_iou, min_pos_iou;
  bool low_quality;
  float ignore_iof;
};

CORE_FN AssignSettings read_assign_settings(const float* values) {
  return AssignSettings{values[0], values[1], values[2], values[3] != 0.0f, values[4]};
}

CORE_FN float area_of(float x1, float y1, float x2, float y2) { return (x2 - x1) * (y2 - y1); }

// Of an object with a box; with over_box the intersection over the box's own area.
CORE_FN float assign_overlap(const float* object, float object_area, float x1, float y1, float x2, float y2, float area,
                             bool over_box) {
  const float width = greater(lesser(object[2], x2) - greater(object[0], x1), 0.0f);
  const float height = greater(lesser(object[3], y2) - greater(object[1], y1), 0.0f);
  const float intersection = width * height;
  const float divisor = over_box ? area : object_area + area - intersection;
  return intersection / greater(divisor, kEps);
}

// What a box is by its best IoU alone (-1: not valid): -1 left out, 0 background, k object k - 1.
CORE_FN int32_t assign_by_best(float best, int32_t object, const AssignSettings& s) {
  return best >= s.pos_iou ? object + 1 : (best >= 0.0f && best < s.neg_iou ? 0 : -1);
}

}  // namespace vision
