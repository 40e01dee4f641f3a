// RoIAlign over all pyramid levels on CUDA devices, forward and backward, as MindSpore ahead-of-time operators: one
// launch for all levels. The sampling arithmetic is the CPU's (roi_align.h). Features are float32 or float16, sums
// float32.
//
// One thread computes one bin of several channels, which share its samples' places and weights; bins run fastest, so
// that neighbours read neighbouring cells. Compiled without contraction (-fmad=false): how many samples a bin has is
// decided by a rounded number, as on the CPU.

#include "kernels.h"
#include "roi_align_samples.h"

namespace vision {

constexpr int kBinChannels = 8;      // a thread's
constexpr int kOrderedChannels = 16;

template <typename T>
struct Levels {
  T* maps[kMaxLevels];
  int heights[kMaxLevels];
  int widths[kMaxLevels];
  int batch, channels;

  __device__ int64_t pixels(int level) const { return static_cast<int64_t>(heights[level]) * widths[level]; }
};

// What one thread computes, and where it lies.
struct Window {
  int level, ph, pw;
  int first, live;   // channels [first, first + live)
  int64_t roi, image;
  Axis y, x;
};

// An image's RoI on its level; false if the row is not computed.
template <typename T>
__device__ inline bool place(const float* roi, const Settings& s, const Levels<T>& levels, Window* w) {
  if (!usable(roi, levels.batch)) return false;
  w->image = static_cast<int64_t>(roi[0]);
  w->level = level_of(roi, s);
  const float scale = 1.0f / s.strides[w->level];
  w->y = make_axis(roi[2], roi[4], scale, s.out_size, s.sampling_ratio, s.aligned);
  w->x = make_axis(roi[1], roi[3], scale, s.out_size, s.sampling_ratio, s.aligned);
  return true;
}

template <typename T>
__device__ inline bool locate(int64_t i, int out_size, const float* rois, const Settings& s, const Levels<T>& levels,
                              Window* w) {
  const int bins = out_size * out_size, chunks = (levels.channels + kBinChannels - 1) / kBinChannels;
  const int bin = static_cast<int>(i % bins);
  w->ph = bin / out_size;
  w->pw = bin % out_size;
  w->first = static_cast<int>(i / bins % chunks) * kBinChannels;
  w->live = levels.channels - w->first < kBinChannels ? levels.channels - w->first : kBinChannels;
  w->roi = i / bins / chunks;
  return place(rois + 5 * w->roi, s, levels, w);
}

template <typename T>
__global__ void forward_kernel(int64_t parts, int out_size, const float* rois, const float* settings,
                               Levels<const T> levels, T* out) {
  const Settings s = read_settings(settings);
  const int bins = out_size * out_size;
  for (int64_t i = thread_index(); i < parts; i += thread_count()) {
    Window w;
    float sums[kBinChannels] = {};
    float divisor = 1.0f;
    if (locate(i, out_size, rois, s, levels, &w)) {
      divisor = sample_count(w.y, w.x);
      const int width = levels.widths[w.level];
      const int64_t size = levels.pixels(w.level);
      const T* planes = levels.maps[w.level] + (w.image * levels.channels + w.first) * size;
      for_samples(w.y, w.x, w.ph, w.pw, levels.heights[w.level], width,
                  [&](int y0, int y1, int x0, int x1, float w00, float w01, float w10, float w11) {
                    const int a = y0 * width + x0, b = y0 * width + x1, c = y1 * width + x0, d = y1 * width + x1;
                    for_channels<kBinChannels>(w.live, [&](int k) {
                      const T* plane = planes + k * size;
                      sums[k] += w00 * as_float(plane[a]) + w01 * as_float(plane[b]) + w10 * as_float(plane[c]) +
                                 w11 * as_float(plane[d]);
                    });
                  });
    }
    T* target = out + ((w.roi * levels.channels + w.first) * out_size + w.ph) * out_size + w.pw;
    for_channels<kBinChannels>(w.live, [&](int k) { target[k * bins] = of_float<T>(sums[k] / divisor); });
  }
}

template <typename T>
__global__ void backward_kernel(int64_t parts, int out_size, const T* grad, const float* rois, const float* settings,
                                Levels<float> levels) {
  const Settings s = read_settings(settings);
  const int bins = out_size * out_size;
  for (int64_t i = thread_index(); i < parts; i += thread_count()) {
    Window w;
    if (!locate(i, out_size, rois, s, levels, &w)) continue;
    const T* source = grad + ((w.roi * levels.channels + w.first) * out_size + w.ph) * out_size + w.pw;
    const float divisor = sample_count(w.y, w.x);
    float values[kBinChannels] = {};
    for_channels<kBinChannels>(w.live, [&](int k) { values[k] = as_float(source[k * bins]) / divisor; });
    const int width = levels.widths[w.level];
    const int64_t size = levels.pixels(w.level);
    float* planes = levels.maps[w.level] + (w.image * levels.channels + w.first) * size;
    for_samples(w.y, w.x, w.ph, w.pw, levels.heights[w.level], width,
                [&](int y0, int y1, int x0, int x1, float w00, float w01, float w10, float w11) {
                  const int a = y0 * width + x0, b = y0 * width + x1, c = y1 * width + x0, d = y1 * width + x1;
                  for_channels<kBinChannels>(w.live, [&](int k) {
                    float* plane = planes + k * size;
                    atomicAdd(plane + a, w00 * values[k]);
                    atomicAdd(plane + b, w01 * values[k]);
                    atomicAdd(plane + c, w10 * values[k]);
                    atomicAdd(plane + d, w11 * values[k]);
                  });
                });
  }
}

// What the samples of one bin along one axis put on one cell.
__device__ inline float weight_on(const Axis& axis, int bin, int size, int cell) {
  const float a = axis.start + static_cast<float>(bin) * axis.bin, b = a + axis.bin;
  if (cell < lesser(a, b) - 2.0f || cell > greater(a, b) + 2.0f) return 0.0f;  // 1, and 1 for rounding
  float first, last, weight = 0.0f;
  sample_range(axis, bin, size, &first, &last);
  for (float k = first; k < last; k += 1.0f) {
    int low, high;
    float low_weight, high_weight;
    if (!interpolate(sample_position(axis, bin, k), size, &low, &high, &low_weight, &high_weight)) continue;
    if (low == cell) weight += low_weight;
    if (high == cell) weight += high_weight;
  }
  return weight;
}

__device__ inline bool reaches(const Axis& axis, int out_size, int cell) {
  const float end = axis.start + static_cast<float>(out_size) * axis.bin;
  return cell >= lesser(axis.start, end) - 2.0f && cell <= greater(axis.start, end) + 2.0f;
}

// Which cell, and which channels of it, a thread has.
struct Cell {
  int level, y, x, first, live;
  int64_t image;
};

template <typename T>
__device__ inline Cell cell_of(int64_t i, const Levels<T>& levels) {
  const int chunks = (levels.channels + kOrderedChannels - 1) / kOrderedChannels;
  Cell cell{};
  for (; cell.level < kMaxLevels - 1; ++cell.level) {
    const int64_t own = levels.pixels(cell.level) * levels.batch * chunks;
    if (i < own) break;
    i -= own;
  }
  const int64_t pixel = i % levels.pixels(cell.level), rest = i / levels.pixels(cell.level);
  cell.y = static_cast<int>(pixel / levels.widths[cell.level]);
  cell.x = static_cast<int>(pixel % levels.widths[cell.level]);
  cell.first = static_cast<int>(rest % chunks) * kOrderedChannels;
  cell.live = levels.channels - cell.first < kOrderedChannels ? levels.channels - cell.first : kOrderedChannels;
  cell.image = rest / chunks;
  return cell;
}

// One thread a cell and several channels; it takes RoIs and bins in their order, so the sum is the same every time.
template <typename T>
__global__ void ordered_kernel(int64_t parts, int count, int out_size, const T* grad, const float* rois,
                               const float* settings, Levels<T> levels) {
  const Settings s = read_settings(settings);
  const int bins = out_size * out_size;
  for (int64_t i = thread_index(); i < parts; i += thread_count()) {
    const Cell cell = cell_of(i, levels);
    const int height = levels.heights[cell.level], width = levels.widths[cell.level];
    float sums[kOrderedChannels] = {};
    for (int64_t n = 0; n < count; ++n) {
      Window w;
      if (!place(rois + 5 * n, s, levels, &w) || w.image != cell.image || w.level != cell.level) continue;
      if (!reaches(w.y, out_size, cell.y) || !reaches(w.x, out_size, cell.x)) continue;
      const float divisor = sample_count(w.y, w.x);
      const T* source = grad + (n * levels.channels + cell.first) * bins;
      for (int ph = 0; ph < out_size; ++ph) {
        const float of_row = weight_on(w.y, ph, height, cell.y);
        if (of_row == 0.0f) continue;
        for (int pw = 0; pw < out_size; ++pw) {
          const float weight = of_row * weight_on(w.x, pw, width, cell.x);
          if (weight == 0.0f) continue;
          for_channels<kOrderedChannels>(cell.live, [&](int k) {
            sums[k] += weight * (as_float(source[k * bins + ph * out_size + pw]) / divisor);
          });
        }
      }
    }
    const int64_t size = levels.pixels(cell.level);
    T* target = levels.maps[cell.level] + (cell.image * levels.channels + cell.first) * size +
                static_cast<int64_t>(cell.y) * width + cell.x;
    for_channels<kOrderedChannels>(cell.live, [&](int k) { target[k * size] = of_float<T>(sums[k]); });
  }
}

template <typename T>
static Levels<T> levels_of(void** maps, int64_t** shapes) {
  Levels<T> levels = {};
  levels.batch = static_cast<int>(shapes[0][0]);
  levels.channels = static_cast<int>(shapes[0][1]);
  for (int level = 0; level < kMaxLevels; ++level) {
    levels.maps[level] = static_cast<T*>(maps[level]);
    levels.heights[level] = static_cast<int>(shapes[level][2]);
    levels.widths[level] = static_cast<int>(shapes[level][3]);
  }
  return levels;
}

static int64_t parts_of(const int64_t* shape) {
  return shape[0] * ((shape[1] + kBinChannels - 1) / kBinChannels) * shape[2] * shape[3];
}

template <typename T>
static int forward(void** params, int64_t** shapes, cudaStream_t stream) {
  const int64_t* out_shape = shapes[kMaxLevels + 2];
  const int64_t parts = parts_of(out_shape);
  if (parts == 0) return 0;
  LAUNCH(forward_kernel<T>, blocks_for(parts), kThreads, stream)
  (parts, static_cast<int>(out_shape[2]), static_cast<const float*>(params[0]), static_cast<const float*>(params[1]),
   levels_of<const T>(params + 2, shapes + 2), static_cast<T*>(params[kMaxLevels + 2]));
  return launch_status();
}

// Zeros in float32 for every level, one after the other: the outputs themselves where they are float32.
template <typename T>
static int backward(void** params, int64_t** shapes, cudaStream_t stream) {
  constexpr bool kDirect = sizeof(T) == sizeof(float);
  int64_t sizes[kMaxLevels], total = 0;
  for (int level = 0; level < kMaxLevels; ++level) total += sizes[level] = size_of(shapes[3 + level], 4);
  Workspace<float> sums(kDirect ? 0 : total, stream);
  if (!sums.ok()) return 1;
  void** outputs = params + 3 + kMaxLevels;
  Levels<float> levels = levels_of<float>(outputs, shapes + 3);
  float* next = sums.data();
  for (int level = 0; level < kMaxLevels; ++level) {
    if (!kDirect) levels.maps[level] = next;
    next += sizes[level];
    const size_t bytes = static_cast<size_t>(sizes[level]) * sizeof(float);
    if (cudaMemsetAsync(levels.maps[level], 0, bytes, stream) != cudaSuccess) return 1;
  }
  const int64_t parts = parts_of(shapes[0]);
  if (parts > 0) {
    LAUNCH(backward_kernel<T>, blocks_for(parts), kThreads, stream)
    (parts, static_cast<int>(shapes[0][2]), static_cast<const T*>(params[0]), static_cast<const float*>(params[1]),
     static_cast<const float*>(params[2]), levels);
  }
  for (int level = 0; !kDirect && level < kMaxLevels; ++level) {
    LAUNCH(convert_kernel<T>, blocks_for(sizes[level]), kThreads, stream)
    (sizes[level], levels.maps[level], static_cast<T*>(outputs[level]));
  }
  return launch_status();
}

// A placeholder has one number, and no cells for the kernel.
template <typename T>
static int backward_in_order(void** params, int64_t** shapes, cudaStream_t stream) {
  Levels<T> levels = levels_of<T>(params + 3 + kMaxLevels, shapes + 3);
  const int chunks = (levels.channels + kOrderedChannels - 1) / kOrderedChannels;
  int64_t parts = 0;
  for (int level = 0; level < kMaxLevels; ++level) {
    const int64_t* shape = shapes[3 + level];
    if (shape[0] != levels.batch || shape[1] != levels.channels) {
      const size_t bytes = static_cast<size_t>(size_of(shape, 4)) * sizeof(T);
      if (cudaMemsetAsync(levels.maps[level], 0, bytes, stream) != cudaSuccess) return 1;
      levels.heights[level] = levels.widths[level] = 0;
    }
    parts += static_cast<int64_t>(levels.heights[level]) * levels.widths[level] * levels.batch * chunks;
  }
  if (parts == 0) return launch_status();
  LAUNCH(ordered_kernel<T>, blocks_for(parts), kThreads, stream)
  (parts, static_cast<int>(shapes[0][0]), static_cast<int>(shapes[0][2]), static_cast<const T*>(params[0]),
   static_cast<const float*>(params[1]), static_cast<const float*>(params[2]), levels);
  return launch_status();
}

}  // namespace vision

// Inputs: rois (N, 5) and settings in float32, kMaxLevels feature maps in float32 or float16. Output: (N, C, out, out)
// of their type.
extern "C" int RoiAlignForward(int nparam, void** params, int*, int64_t** shapes, const char** dtypes, void* stream,
                               void*) {
  if (nparam != vision::kMaxLevels + 3) return 1;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  return vision::is_half(dtypes[2]) ? vision::forward<__half>(params, shapes, cuda_stream)
                                    : vision::forward<float>(params, shapes, cuda_stream);
}

// Inputs: gradient of the output (N, C, out, out), rois, settings, kMaxLevels feature maps (for their shapes). Outputs:
// one gradient a feature map, zeros for placeholders, all of the gradient's type.
extern "C" int RoiAlignBackward(int nparam, void** params, int*, int64_t** shapes, const char** dtypes, void* stream,
                                void*) {
  if (nparam != 2 * vision::kMaxLevels + 3) return 1;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  return vision::is_half(dtypes[0]) ? vision::backward<__half>(params, shapes, cuda_stream)
                                    : vision::backward<float>(params, shapes, cuda_stream);
}

// The same with sums in a fixed order (`deterministic`), slower.
extern "C" int RoiAlignBackwardOrdered(int nparam, void** params, int*, int64_t** shapes, const char** dtypes,
                                       void* stream, void*) {
  if (nparam != 2 * vision::kMaxLevels + 3) return 1;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  return vision::is_half(dtypes[0]) ? vision::backward_in_order<__half>(params, shapes, cuda_stream)
                                    : vision::backward_in_order<float>(params, shapes, cuda_stream);
}
