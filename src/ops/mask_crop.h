// Numeric core of the mask head's training targets: MMDetection's BitmapMasks.crop_and_resize, which is RoIAlign
// (aligned, adaptive sampling) on the 0/1 mask, then >= 0.5.
#pragma once

#include <stdint.h>

#include "roi_align.h"

namespace vision {

// Pixel of a mask whose rows are packed eight pixels a byte, most significant bit first.
CORE_FN float bit(const uint8_t* row, int x) { return static_cast<float>((row[x >> 3] >> (7 - (x & 7))) & 1); }

// low, high: of the RoI along one side, in pixels of the mask.
CORE_FN Axis crop_axis(float low, float high, int out_size) { return make_axis(low, high, 1.0f, out_size, 0, true); }

CORE_FN float crop_target(float sum, float count) { return sum / count >= 0.5f ? 1.0f : 0.0f; }

}  // namespace vision
