// Training targets of the mask head: each RoI's window of its object's bit-packed mask, resampled and thresholded.
//
// The definition is MMDetection's BitmapMasks.crop_and_resize: RoIAlign (aligned, adaptive sampling) on the 0/1 mask,
// then >= 0.5. Sums run in RoIAlign's own order, because window averages of exactly one half are common.

#include <cstdint>
#include <vector>

#include "mask_crop.h"
#include "parallel.h"

namespace vision {

struct Sample {
  int low, high;
  float low_weight, high_weight;
  bool inside;
};

static std::vector<std::vector<Sample>> axis_samples(const Axis& axis, int out_size, int size) {
  std::vector<std::vector<Sample>> bins(out_size);
  for (int bin = 0; bin < out_size; ++bin) {
    float first, last;
    sample_range(axis, bin, size, &first, &last);
    for (float k = first; k < last; k += 1.0f) {
      Sample s;
      s.inside = interpolate(sample_position(axis, bin, k), size, &s.low, &s.high, &s.low_weight, &s.high_weight);
      if (s.inside) bins[bin].push_back(s);
    }
  }
  return bins;
}

static void crop(const uint8_t* mask, int height, int row_bytes, const float* roi, int out_size, float* out) {
  const Axis y_axis = crop_axis(roi[2], roi[4], out_size);
  const Axis x_axis = crop_axis(roi[1], roi[3], out_size);
  const float count = sample_count(y_axis, x_axis);
  const auto ys = axis_samples(y_axis, out_size, height);
  const auto xs = axis_samples(x_axis, out_size, row_bytes * 8);
  for (int ph = 0; ph < out_size; ++ph) {
    for (int pw = 0; pw < out_size; ++pw) {
      float sum = 0.0f;
      for (const Sample& y : ys[ph]) {
        const uint8_t* low = mask + static_cast<int64_t>(y.low) * row_bytes;
        const uint8_t* high = mask + static_cast<int64_t>(y.high) * row_bytes;
        for (const Sample& x : xs[pw]) {
          sum += y.low_weight * x.low_weight * bit(low, x.low) + y.low_weight * x.high_weight * bit(low, x.high) +
                 y.high_weight * x.low_weight * bit(high, x.low) + y.high_weight * x.high_weight * bit(high, x.high);
        }
      }
      *out++ = crop_target(sum, count);
    }
  }
}

}  // namespace vision

// Inputs: masks (B, G, H, W / 8) uint8, rois (N, 5) float32, object of each RoI (N) int32. Output: (N, out, out) float32.
extern "C" int MaskCropForward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 4) return 1;
  const uint8_t* masks = static_cast<const uint8_t*>(params[0]);
  const float* rois = static_cast<const float*>(params[1]);
  const int32_t* objects = static_cast<const int32_t*>(params[2]);
  float* out = static_cast<float*>(params[3]);
  const int batch = static_cast<int>(shapes[0][0]), num_objects = static_cast<int>(shapes[0][1]);
  const int height = static_cast<int>(shapes[0][2]), row_bytes = static_cast<int>(shapes[0][3]);
  const int count = static_cast<int>(shapes[1][0]), out_size = static_cast<int>(shapes[3][1]);
  const int64_t mask_bytes = static_cast<int64_t>(height) * row_bytes;

  vision::parallel_for(count, [&](int n) {
    const float* roi = rois + 5 * n;
    float* target = out + static_cast<int64_t>(n) * out_size * out_size;
    if (!vision::usable(roi, batch) || objects[n] < 0 || objects[n] >= num_objects) {
      std::fill(target, target + out_size * out_size, 0.0f);
      return;
    }
    const int64_t index = static_cast<int64_t>(roi[0]) * num_objects + objects[n];
    vision::crop(masks + index * mask_bytes, height, row_bytes, roi, out_size, target);
  });
  return 0;
}
