// Max-IoU assignment on CUDA devices, as a MindSpore ahead-of-time operator: one thread a box, which goes through the
// objects, so that the IoU matrix is never stored. Compiled without contraction (-fmad=false): IoUs are the CPU's bits.

#include "iou_assign.h"
#include "kernels.h"

namespace vision {

struct Truth {
  const float* boxes;  // (B, G, 4)
  const bool* valid;   // (B, G)
  const bool* crowd;   // (B, G)
  int count;           // G
};

// Numbers that are not below zero, over -1.0f, are in the order of their bits. Reads first: most have nothing to raise.
__device__ inline void raise(float* target, float value) {
  if (!(value > *static_cast<volatile float*>(target))) return;
  atomicMax(reinterpret_cast<int*>(target), __float_as_int(value + 0.0f));  // + 0: no -0, whose bits come before -1's
}

__global__ void start_kernel(int64_t total, float* best_of_object) {
  for (int64_t i = thread_index(); i < total; i += thread_count()) best_of_object[i] = -1.0f;
}

// Best object of every box, and every object's best IoU.
__global__ void best_kernel(int64_t total, int count, const float* boxes, const bool* box_valid, Truth truth,
                            const float* settings, int32_t* object, float* best, float* best_of_object) {
  const AssignSettings s = read_assign_settings(settings);
  for (int64_t i = thread_index(); i < total; i += thread_count()) {
    const int64_t first = i / count * truth.count;  // of the image's objects
    const float x1 = boxes[4 * i], y1 = boxes[4 * i + 1], x2 = boxes[4 * i + 2], y2 = boxes[4 * i + 3];
    const float area = area_of(x1, y1, x2, y2);
    bool takes_part = box_valid[i];
    for (int g = 0; takes_part && s.ignore_iof > 0.0f && g < truth.count; ++g) {
      if (!truth.crowd[first + g]) continue;
      takes_part = !(assign_overlap(truth.boxes + 4 * (first + g), 0.0f, x1, y1, x2, y2, area, true) > s.ignore_iof);
    }
    float largest = takes_part ? 0.0f : -1.0f;
    int32_t which = 0;
    for (int g = 0; takes_part && g < truth.count; ++g) {
      if (!truth.valid[first + g]) continue;
      const float* corners = truth.boxes + 4 * (first + g);
      const float object_area = area_of(corners[0], corners[1], corners[2], corners[3]);
      const float iou = assign_overlap(corners, object_area, x1, y1, x2, y2, area, false);
      raise(best_of_object + first + g, iou);
      if (iou > largest) {
        largest = iou;
        which = g;
      }
    }
    best[i] = largest;
    object[i] = which;
  }
}

// `assigned` holds each box's best object, and gets what the box is.
__global__ void assign_kernel(int64_t total, int count, const float* boxes, Truth truth, const float* settings,
                              const float* best, const float* best_of_object, int32_t* assigned) {
  const AssignSettings s = read_assign_settings(settings);
  for (int64_t i = thread_index(); i < total; i += thread_count()) {
    int32_t result = assign_by_best(best[i], assigned[i], s);
    if (s.low_quality && best[i] >= 0.0f) {
      const int64_t first = i / count * truth.count;
      const float x1 = boxes[4 * i], y1 = boxes[4 * i + 1], x2 = boxes[4 * i + 2], y2 = boxes[4 * i + 3];
      const float area = area_of(x1, y1, x2, y2);
      for (int g = truth.count - 1; g >= 0; --g) {  // the last one wins
        const float needed = best_of_object[first + g];
        if (!truth.valid[first + g] || needed < s.min_pos_iou || needed > best[i]) continue;
        const float* corners = truth.boxes + 4 * (first + g);
        const float object_area = area_of(corners[0], corners[1], corners[2], corners[3]);
        if (assign_overlap(corners, object_area, x1, y1, x2, y2, area, false) != needed) continue;
        result = g + 1;
        break;
      }
    }
    assigned[i] = result;
  }
}

}  // namespace vision

// As in iou_assign.cc.
extern "C" int IoUAssignForward(int nparam, void** params, int*, int64_t** shapes, const char**, void* stream, void*) {
  using namespace vision;
  if (nparam != 8) return 1;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  const float* boxes = static_cast<const float*>(params[0]);
  const float* settings = static_cast<const float*>(params[5]);
  int32_t* assigned = static_cast<int32_t*>(params[6]);
  float* best = static_cast<float*>(params[7]);
  const int count = static_cast<int>(shapes[0][1]);
  const Truth truth{static_cast<const float*>(params[2]), static_cast<const bool*>(params[3]),
                    static_cast<const bool*>(params[4]), static_cast<int>(shapes[2][1])};
  const int64_t total = shapes[0][0] * count, objects = shapes[0][0] * truth.count;
  if (total == 0) return 0;
  Workspace<float> best_of_object(objects, cuda_stream);
  if (!best_of_object.ok()) return 1;
  LAUNCH(start_kernel, blocks_for(objects), kThreads, cuda_stream)(objects, best_of_object.data());
  LAUNCH(best_kernel, blocks_for(total), kThreads, cuda_stream)
  (total, count, boxes, static_cast<const bool*>(params[1]), truth, settings, assigned, best, best_of_object.data());
  LAUNCH(assign_kernel, blocks_for(total), kThreads, cuda_stream)
  (total, count, boxes, truth, settings, best, best_of_object.data(), assigned);
  return launch_status();
}
