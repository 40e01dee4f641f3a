// The samples of one bin of a RoI on a device, shared by RoIAlign's kernels and the mask crop's.
#pragma once

#include "kernels.h"
#include "roi_align.h"

namespace vision {

// Calls visit(low_y, high_y, low_x, high_x, weights...) for every sample of a bin that lies on the map.
template <typename Visit>
__device__ inline void for_samples(const Axis& y, const Axis& x, int ph, int pw, int height, int width, Visit visit) {
  float y_first, y_last, x_first, x_last;
  sample_range(y, ph, height, &y_first, &y_last);
  sample_range(x, pw, width, &x_first, &x_last);
  for (float iy = y_first; iy < y_last; iy += 1.0f) {
    int y_low, y_high;
    float wy_low, wy_high;
    if (!interpolate(sample_position(y, ph, iy), height, &y_low, &y_high, &wy_low, &wy_high)) continue;
    for (float ix = x_first; ix < x_last; ix += 1.0f) {
      int x_low, x_high;
      float wx_low, wx_high;
      if (!interpolate(sample_position(x, pw, ix), width, &x_low, &x_high, &wx_low, &wx_high)) continue;
      visit(y_low, y_high, x_low, x_high, wy_low * wx_low, wy_low * wx_high, wy_high * wx_low, wy_high * wx_high);
    }
  }
}

}  // namespace vision
