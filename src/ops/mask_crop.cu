// The mask-target crop on CUDA devices, as a MindSpore ahead-of-time operator: one thread an output number.

#include "kernels.h"
#include "mask_crop.h"
#include "roi_align_samples.h"

namespace vision {

struct Masks {
  const uint8_t* bits;
  int batch, objects, height, row_bytes;
};

__global__ void mask_crop_kernel(int64_t total, Masks masks, const float* rois, const int32_t* objects, int out_size,
                                 float* out) {
  for (int64_t i = thread_index(); i < total; i += thread_count()) {
    const int pw = static_cast<int>(i % out_size), ph = static_cast<int>(i / out_size % out_size);
    const int64_t n = i / (static_cast<int64_t>(out_size) * out_size);
    const float* roi = rois + 5 * n;
    out[i] = 0.0f;
    if (!usable(roi, masks.batch) || objects[n] < 0 || objects[n] >= masks.objects) continue;
    const int64_t index = static_cast<int64_t>(roi[0]) * masks.objects + objects[n];
    const uint8_t* mask = masks.bits + index * masks.height * masks.row_bytes;
    const Axis y = crop_axis(roi[2], roi[4], out_size), x = crop_axis(roi[1], roi[3], out_size);
    float sum = 0.0f;
    for_samples(y, x, ph, pw, masks.height, masks.row_bytes * 8,
                [&](int y0, int y1, int x0, int x1, float w00, float w01, float w10, float w11) {
                  const uint8_t* low = mask + static_cast<int64_t>(y0) * masks.row_bytes;
                  const uint8_t* high = mask + static_cast<int64_t>(y1) * masks.row_bytes;
                  sum += w00 * bit(low, x0) + w01 * bit(low, x1) + w10 * bit(high, x0) + w11 * bit(high, x1);
                });
    out[i] = crop_target(sum, sample_count(y, x));
  }
}

}  // namespace vision

// As in mask_crop.cc.
extern "C" int MaskCropForward(int nparam, void** params, int*, int64_t** shapes, const char**, void* stream, void*) {
  using namespace vision;
  if (nparam != 4) return 1;
  const int out_size = static_cast<int>(shapes[3][1]);
  const int64_t total = size_of(shapes[3], 3);
  if (total == 0) return 0;
  const Masks masks{static_cast<const uint8_t*>(params[0]), static_cast<int>(shapes[0][0]),
                    static_cast<int>(shapes[0][1]), static_cast<int>(shapes[0][2]), static_cast<int>(shapes[0][3])};
  LAUNCH(mask_crop_kernel, blocks_for(total), kThreads, static_cast<cudaStream_t>(stream))
  (total, masks, static_cast<const float*>(params[1]), static_cast<const int32_t*>(params[2]), out_size,
   static_cast<float*>(params[3]));
  return launch_status();
}
