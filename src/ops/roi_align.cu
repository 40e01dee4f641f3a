// RoIAlign over all pyramid levels and the mask-target crop on CUDA devices, as MindSpore ahead-of-time operators.
// One thread an output number; the sampling arithmetic is the CPU's (roi_align.h).

#include <cuda_runtime.h>

#include <cstdint>

#include "roi_align.h"

namespace vision {

constexpr int kThreads = 256;

struct Levels {
  const float* features[kMaxLevels];
  float* gradients[kMaxLevels];
  int heights[kMaxLevels];
  int widths[kMaxLevels];
};

// Where one output number of RoIAlign reads.
struct Window {
  int level, channel;
  int64_t plane;  // offset of the (image, channel) plane
  Axis y, x;
  int ph, pw;
};

__device__ inline bool locate(int64_t index, const float* rois, const Settings& s, const Levels& levels, int batch,
                              int channels, Window* w) {
  w->pw = index % s.out_size;
  w->ph = (index / s.out_size) % s.out_size;
  w->channel = (index / (s.out_size * s.out_size)) % channels;
  const float* roi = rois + 5 * (index / (static_cast<int64_t>(s.out_size) * s.out_size * channels));
  if (!usable(roi, batch)) return false;
  w->level = level_of(roi, s);
  const int64_t size = static_cast<int64_t>(levels.heights[w->level]) * levels.widths[w->level];
  w->plane = (static_cast<int64_t>(roi[0]) * channels + w->channel) * size;
  const float scale = 1.0f / s.strides[w->level];
  w->y = make_axis(roi[2], roi[4], scale, s.out_size, s.sampling_ratio, s.aligned);
  w->x = make_axis(roi[1], roi[3], scale, s.out_size, s.sampling_ratio, s.aligned);
  return true;
}

// Calls visit(low_y, high_y, low_x, high_x, weights[4]) for every sample of a bin that lies on the map.
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

__global__ void forward_kernel(int64_t total, const float* rois, const float* settings, Levels levels, int batch,
                               int channels, float* out) {
  const Settings s = read_settings(settings);
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < total;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    Window w;
    if (!locate(i, rois, s, levels, batch, channels, &w)) {
      out[i] = 0.0f;
      continue;
    }
    const int width = levels.widths[w.level];
    const float* plane = levels.features[w.level] + w.plane;
    float sum = 0.0f;
    for_samples(w.y, w.x, w.ph, w.pw, levels.heights[w.level], width,
                [&](int y0, int y1, int x0, int x1, float w00, float w01, float w10, float w11) {
                  sum += w00 * plane[y0 * width + x0] + w01 * plane[y0 * width + x1] + w10 * plane[y1 * width + x0] +
                         w11 * plane[y1 * width + x1];
                });
    out[i] = sum / sample_count(w.y, w.x);
  }
}

__global__ void backward_kernel(int64_t total, const float* grad, const float* rois, const float* settings,
                                Levels levels, int batch, int channels) {
  const Settings s = read_settings(settings);
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < total;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    Window w;
    if (!locate(i, rois, s, levels, batch, channels, &w)) continue;
    const int width = levels.widths[w.level];
    float* plane = levels.gradients[w.level] + w.plane;
    const float g = grad[i] / sample_count(w.y, w.x);
    for_samples(w.y, w.x, w.ph, w.pw, levels.heights[w.level], width,
                [&](int y0, int y1, int x0, int x1, float w00, float w01, float w10, float w11) {
                  atomicAdd(plane + y0 * width + x0, w00 * g);
                  atomicAdd(plane + y0 * width + x1, w01 * g);
                  atomicAdd(plane + y1 * width + x0, w10 * g);
                  atomicAdd(plane + y1 * width + x1, w11 * g);
                });
  }
}

__global__ void mask_crop_kernel(int64_t total, const uint8_t* masks, const float* rois, const int32_t* objects,
                                 int batch, int num_objects, int height, int row_bytes, int out_size, float* out) {
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < total;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int pw = i % out_size, ph = (i / out_size) % out_size;
    const int64_t n = i / (static_cast<int64_t>(out_size) * out_size);
    const float* roi = rois + 5 * n;
    out[i] = 0.0f;
    if (!usable(roi, batch) || objects[n] < 0 || objects[n] >= num_objects) continue;
    const uint8_t* mask = masks + (static_cast<int64_t>(roi[0]) * num_objects + objects[n]) * height * row_bytes;
    const Axis y = make_axis(roi[2], roi[4], 1.0f, out_size, 0, true);
    const Axis x = make_axis(roi[1], roi[3], 1.0f, out_size, 0, true);
    const auto bit = [&](int row, int column) {
      return static_cast<float>((mask[static_cast<int64_t>(row) * row_bytes + (column >> 3)] >> (7 - (column & 7))) & 1);
    };
    float sum = 0.0f;
    for_samples(y, x, ph, pw, height, row_bytes * 8,
                [&](int y0, int y1, int x0, int x1, float w00, float w01, float w10, float w11) {
                  sum += w00 * bit(y0, x0) + w01 * bit(y0, x1) + w10 * bit(y1, x0) + w11 * bit(y1, x1);
                });
    out[i] = sum / sample_count(y, x) >= 0.5f ? 1.0f : 0.0f;
  }
}

static int blocks_for(int64_t total) {
  const int64_t blocks = (total + kThreads - 1) / kThreads;
  return static_cast<int>(blocks < 65535 ? blocks : 65535);
}

static int launch_status() { return cudaGetLastError() == cudaSuccess ? 0 : 1; }

}  // namespace vision

using vision::kThreads;

extern "C" int RoiAlignForward(int nparam, void** params, int*, int64_t** shapes, const char**, void* stream, void*) {
  if (nparam != vision::kMaxLevels + 3) return 1;
  vision::Levels levels = {};
  for (int level = 0; level < vision::kMaxLevels; ++level) {
    levels.features[level] = static_cast<const float*>(params[2 + level]);
    levels.heights[level] = static_cast<int>(shapes[2 + level][2]);
    levels.widths[level] = static_cast<int>(shapes[2 + level][3]);
  }
  const int batch = static_cast<int>(shapes[2][0]), channels = static_cast<int>(shapes[2][1]);
  const int64_t* out_shape = shapes[nparam - 1];
  const int64_t total = out_shape[0] * out_shape[1] * out_shape[2] * out_shape[3];
  vision::forward_kernel<<<vision::blocks_for(total), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      total, static_cast<const float*>(params[0]), static_cast<const float*>(params[1]), levels, batch, channels,
      static_cast<float*>(params[nparam - 1]));
  return vision::launch_status();
}

extern "C" int RoiAlignBackward(int nparam, void** params, int*, int64_t** shapes, const char**, void* stream, void*) {
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  if (nparam != 2 * vision::kMaxLevels + 3) return 1;
  const int batch = static_cast<int>(shapes[3][0]), channels = static_cast<int>(shapes[3][1]);
  vision::Levels levels = {};
  for (int level = 0; level < vision::kMaxLevels; ++level) {
    levels.gradients[level] = static_cast<float*>(params[3 + vision::kMaxLevels + level]);
    levels.heights[level] = static_cast<int>(shapes[3 + level][2]);
    levels.widths[level] = static_cast<int>(shapes[3 + level][3]);
    const int64_t* shape = shapes[3 + level];
    const int64_t size = shape[0] * shape[1] * shape[2] * shape[3];
    if (cudaMemsetAsync(levels.gradients[level], 0, size * sizeof(float), cuda_stream) != cudaSuccess) return 1;
  }
  const int64_t total = shapes[0][0] * shapes[0][1] * shapes[0][2] * shapes[0][3];
  vision::backward_kernel<<<vision::blocks_for(total), kThreads, 0, cuda_stream>>>(
      total, static_cast<const float*>(params[0]), static_cast<const float*>(params[1]),
      static_cast<const float*>(params[2]), levels, batch, channels);
  return vision::launch_status();
}

extern "C" int MaskCropForward(int nparam, void** params, int*, int64_t** shapes, const char**, void* stream, void*) {
  if (nparam != 4) return 1;
  const int64_t out_size = shapes[3][1], total = shapes[3][0] * out_size * out_size;
  vision::mask_crop_kernel<<<vision::blocks_for(total), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      total, static_cast<const uint8_t*>(params[0]), static_cast<const float*>(params[1]),
      static_cast<const int32_t*>(params[2]), static_cast<int>(shapes[0][0]), static_cast<int>(shapes[0][1]),
      static_cast<int>(shapes[0][2]), static_cast<int>(shapes[0][3]), static_cast<int>(out_size),
      static_cast<float*>(params[3]));
  return vision::launch_status();
}
