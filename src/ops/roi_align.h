// Numeric core of RoIAlign (average pooling), shared by the CPU and the CUDA build.
//
// Definition: Mask R-CNN's RoIAlign as in mmcv. Aligned mode shifts by half a pixel and keeps fractional sizes; legacy
// mode makes every side at least one cell. sampling_ratio 0 takes ceil(side / out_size) samples a bin and axis.
#pragma once

#include <math.h>

#include "core.h"

namespace vision {

constexpr int kMaxLevels = 5;  // the operators take this many feature maps; unused ones are placeholders

// Order of the numbers in the `settings` input tensor.
struct Settings {
  int out_size;
  int sampling_ratio;
  bool aligned;
  bool inclusive;  // the level follows from sides that count their last pixel
  float finest_scale;
  int num_levels;
  float strides[kMaxLevels];
};

CORE_FN Settings read_settings(const float* values) {
  Settings s;
  s.out_size = static_cast<int>(values[0]);
  s.sampling_ratio = static_cast<int>(values[1]);
  const int flags = static_cast<int>(values[2]);  // 1: aligned; 2: inclusive
  s.aligned = (flags & 1) != 0;
  s.inclusive = (flags & 2) != 0;
  s.finest_scale = values[3];
  s.num_levels = static_cast<int>(values[4]);
  for (int i = 0; i < s.num_levels && i < kMaxLevels; ++i) s.strides[i] = values[5 + i];
  return s;
}

// One axis of a RoI on one feature map: where its samples lie.
struct Axis {
  float start;  // in cells of the feature map
  float bin;    // cells a bin
  float step;   // cells between two samples
  float grid;   // samples a bin; a float, so that an absurdly large RoI cannot overflow
};

CORE_FN bool finite(float v) { return v - v == 0.0f; }

// Whether a row of rois is to be computed at all: it names an image and has finite corners.
CORE_FN bool usable(const float* roi, int batch) {
  const bool named = roi[0] >= 0.0f && roi[0] < static_cast<float>(batch);
  return named && finite(roi[1]) && finite(roi[2]) && finite(roi[3]) && finite(roi[4]);
}

// floor(log2(sqrt(area) / finest_scale + 1e-6)), clamped to the levels that exist.
CORE_FN int level_of(const float* roi, const Settings& s) {
  const float extra = s.inclusive ? 1.0f : 0.0f;
  const float area = (roi[3] - roi[1] + extra) * (roi[4] - roi[2] + extra);
  const float scale = sqrtf(area > 0.0f ? area : 0.0f);
  const float level = floorf(log2f(scale / s.finest_scale + 1e-6f));
  if (!(level > 0.0f)) return 0;
  return level < static_cast<float>(s.num_levels - 1) ? static_cast<int>(level) : s.num_levels - 1;
}

CORE_FN Axis make_axis(float low, float high, float scale, int out_size, int sampling_ratio, bool aligned) {
  const float offset = aligned ? 0.5f : 0.0f;
  Axis axis;
  axis.start = low * scale - offset;
  float size = (high * scale - offset) - axis.start;
  if (!aligned && size < 1.0f) size = 1.0f;
  axis.bin = size / static_cast<float>(out_size);
  axis.grid = sampling_ratio > 0 ? static_cast<float>(sampling_ratio) : ceilf(size / static_cast<float>(out_size));
  if (!(axis.grid > 0.0f)) axis.grid = 0.0f;
  axis.step = axis.grid > 0.0f ? axis.bin / axis.grid : 0.0f;
  return axis;
}

// Position of sample k of bin b.
CORE_FN float sample_position(const Axis& axis, int bin, float k) {
  return axis.start + static_cast<float>(bin) * axis.bin + (k + 0.5f) * axis.bin / axis.grid;
}

constexpr float kCountable = 16777216.0f;  // from here on, 2^24, adding 1 to a float may leave it as it is

// First sample of a bin that can touch a map of `size` cells, and one past the last. Of a RoI that has more samples
// than can be counted the rest is left out.
CORE_FN void sample_range(const Axis& axis, int bin, int size, float* first, float* last) {
  *first = 0.0f;
  *last = axis.step == axis.step ? lesser(axis.grid, kCountable) : 0.0f;
  if (!(axis.step > 0.0f)) return;
  const float base = axis.start + static_cast<float>(bin) * axis.bin;
  const float lowest = floorf((-1.0f - base) / axis.step - 1.5f);
  const float highest = ceilf((static_cast<float>(size) - base) / axis.step + 1.5f);
  if (lowest > *first) *first = lowest;
  if (highest < *last) *last = highest;
}

// Two neighbouring cells and their weights for a sample; false if it lies more than a cell outside of the map.
CORE_FN bool interpolate(float position, int size, int* low, int* high, float* low_weight, float* high_weight) {
  if (!(position >= -1.0f) || position > static_cast<float>(size)) return false;
  if (position <= 0.0f) position = 0.0f;
  *low = static_cast<int>(position);
  if (*low >= size - 1) {
    *low = *high = size - 1;
    position = static_cast<float>(*low);
  } else {
    *high = *low + 1;
  }
  *high_weight = position - static_cast<float>(*low);
  *low_weight = 1.0f - *high_weight;
  return true;
}

// What one bin is divided by.
CORE_FN float sample_count(const Axis& y, const Axis& x) {
  const float count = y.grid * x.grid;
  return count > 1.0f ? count : 1.0f;
}

}  // namespace vision
