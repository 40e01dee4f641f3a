// Bilinear samples of feature maps at points on CUDA devices, and their gradient, as MindSpore ahead-of-time operators.
// Maps (and their gradient) are float32 or float16, all else float32. One thread computes several channels of a point,
// which share its corners and lie side by side in the output.

#include "kernels.h"
#include "point_sample.h"

namespace vision {

constexpr int kPointChannels = 8;   // a thread's
constexpr int kOrderedChannels = 16;

struct Points {
  const float* shares;    // (rows, count, 2)
  int64_t count;          // points of all rows of one map
  int64_t total;          // points of all maps
};

// Which point and which channels [first, first + live) a thread has; points run fastest.
struct Part {
  int64_t point, map;
  int first, live;
};

__device__ inline Part part_of(int64_t i, const Points& points, const MapShape& shape) {
  Part part;
  part.point = i % points.total;
  part.map = part.point / points.count;
  part.first = static_cast<int>(i / points.total) * kPointChannels;
  const int left = shape.channels - part.first;
  part.live = left < kPointChannels ? left : kPointChannels;
  return part;
}

template <typename T>
__global__ void sample_kernel(int64_t parts, const T* maps, Points points, MapShape shape, float* out) {
  const int64_t size = shape.pixels();
  for (int64_t i = thread_index(); i < parts; i += thread_count()) {
    const Part part = part_of(i, points, shape);
    const Corners c = corners_of(points.shares[2 * part.point], points.shares[2 * part.point + 1], shape);
    const T* plane = maps + (part.map * shape.channels + part.first) * size;
    float values[kPointChannels] = {};
    for_channels<kPointChannels>(part.live, [&](int k) {
      const T* own = plane + k * size;
      values[k] = c.weight[0] * as_float(own[c.pixel[0]]) + c.weight[1] * as_float(own[c.pixel[1]]) +
                  c.weight[2] * as_float(own[c.pixel[2]]) + c.weight[3] * as_float(own[c.pixel[3]]);
    });
    float* target = out + part.point * shape.channels + part.first;
    if (shape.channels % kPointChannels == 0) {  // sixteen bytes at a time, which are aligned then
      for (int k = 0; k < kPointChannels; k += 4) {
        *reinterpret_cast<float4*>(target + k) = make_float4(values[k], values[k + 1], values[k + 2], values[k + 3]);
      }
    } else {
      for_channels<kPointChannels>(part.live, [&](int k) { target[k] = values[k]; });
    }
  }
}

__global__ void scatter_kernel(int64_t parts, const float* grad, Points points, MapShape shape, float* maps) {
  const int64_t size = shape.pixels();
  for (int64_t i = thread_index(); i < parts; i += thread_count()) {
    const Part part = part_of(i, points, shape);
    const Corners c = corners_of(points.shares[2 * part.point], points.shares[2 * part.point + 1], shape);
    float* plane = maps + (part.map * shape.channels + part.first) * size;
    const float* source = grad + part.point * shape.channels + part.first;
    for (int k = 0; k < part.live; ++k, plane += size) {
      const float value = source[k];
      for (int corner = 0; corner < 4; ++corner) {
        if (c.weight[corner] != 0.0f) atomicAdd(plane + c.pixel[corner], c.weight[corner] * value);
      }
    }
  }
}

// One thread a cell and several channels; it takes the points in their order, so that the sum is the same every time.
template <typename T>
__global__ void ordered_kernel(int64_t parts, const float* grad, Points points, MapShape shape, T* maps) {
  const int64_t size = shape.pixels();
  const int chunks = (shape.channels + kOrderedChannels - 1) / kOrderedChannels;
  for (int64_t i = thread_index(); i < parts; i += thread_count()) {
    const int64_t pixel = i % size, map = i / size / chunks;
    const int first = static_cast<int>(i / size % chunks) * kOrderedChannels;
    const int left = shape.channels - first, live = left < kOrderedChannels ? left : kOrderedChannels;
    float sums[kOrderedChannels] = {};
    for (int64_t p = map * points.count; p < (map + 1) * points.count; ++p) {
      const Corners c = corners_of(points.shares[2 * p], points.shares[2 * p + 1], shape);
      for (int corner = 0; corner < 4; ++corner) {
        const float weight = c.weight[corner];
        if (c.pixel[corner] != pixel || weight == 0.0f) continue;
        for_channels<kOrderedChannels>(
            live, [&](int k) { sums[k] += weight * grad[p * shape.channels + first + k]; });
      }
    }
    T* plane = maps + (map * shape.channels + first) * size + pixel;
    for_channels<kOrderedChannels>(live, [&](int k) { plane[k * size] = of_float<T>(sums[k]); });
  }
}

static Points points_of(const void* shares, const int64_t* shape, int maps) {
  return {static_cast<const float*>(shares), maps ? shape[0] / maps * shape[1] : 0, shape[0] * shape[1]};
}

static int64_t parts_of(const Points& points, const MapShape& shape) {
  return points.total * ((shape.channels + kPointChannels - 1) / kPointChannels);
}

template <typename T>
static int sample(void** params, int64_t** shapes, cudaStream_t stream) {
  const MapShape shape = shape_of(shapes[0]);
  const Points points = points_of(params[1], shapes[1], shape.maps);
  const int64_t parts = parts_of(points, shape);
  if (parts == 0) return 0;
  LAUNCH(sample_kernel<T>, blocks_for(parts), kThreads, stream)
  (parts, static_cast<const T*>(params[0]), points, shape, static_cast<float*>(params[2]));
  return launch_status();
}

template <typename T>
static int scatter(void** params, int64_t** shapes, cudaStream_t stream) {
  const MapShape shape = shape_of(shapes[2]);
  const Points points = points_of(params[1], shapes[1], shape.maps);
  const int64_t parts = parts_of(points, shape), total = size_of(shapes[2], 4);
  T* out = static_cast<T*>(params[3]);
  if (total == 0) return 0;
  constexpr bool kDirect = sizeof(T) == sizeof(float);  // else sums are in float32 first
  Workspace<float> sums(kDirect ? 0 : total, stream);
  if (!sums.ok()) return 1;
  float* target = kDirect ? reinterpret_cast<float*>(out) : sums.data();
  if (cudaMemsetAsync(target, 0, total * sizeof(float), stream) != cudaSuccess) return 1;
  if (parts > 0) {
    LAUNCH(scatter_kernel, blocks_for(parts), kThreads, stream)
    (parts, static_cast<const float*>(params[0]), points, shape, target);
  }
  if (!kDirect) LAUNCH(convert_kernel<T>, blocks_for(total), kThreads, stream)(total, target, out);
  return launch_status();
}

template <typename T>
static int scatter_in_order(void** params, int64_t** shapes, cudaStream_t stream) {
  const MapShape shape = shape_of(shapes[2]);
  const int chunks = (shape.channels + kOrderedChannels - 1) / kOrderedChannels;
  const int64_t parts = shape.maps * shape.pixels() * chunks;
  if (parts == 0) return 0;
  LAUNCH(ordered_kernel<T>, blocks_for(parts), kThreads, stream)
  (parts, static_cast<const float*>(params[0]), points_of(params[1], shapes[1], shape.maps), shape,
   static_cast<T*>(params[3]));
  return launch_status();
}

}  // namespace vision

// Inputs: maps (M, C, H, W) float32 or float16, points (N, P, 2), N a multiple of M. Output: (N, P, C) float32.
extern "C" int PointSampleForward(int nparam, void** params, int*, int64_t** shapes, const char** dtypes, void* stream,
                                  void*) {
  if (nparam != 3) return 1;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  return vision::is_half(dtypes[0]) ? vision::sample<__half>(params, shapes, cuda_stream)
                                    : vision::sample<float>(params, shapes, cuda_stream);
}

// Inputs: gradient (N, P, C) float32, points (N, P, 2), maps (M, C, H, W) (their shape only). Output: (M, C, H, W) of
// the maps' type.
extern "C" int PointSampleBackward(int nparam, void** params, int*, int64_t** shapes, const char** dtypes, void* stream,
                                   void*) {
  if (nparam != 4) return 1;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  return vision::is_half(dtypes[3]) ? vision::scatter<__half>(params, shapes, cuda_stream)
                                    : vision::scatter<float>(params, shapes, cuda_stream);
}

// The same with sums in a fixed order (`deterministic`), slower.
extern "C" int PointSampleBackwardOrdered(int nparam, void** params, int*, int64_t** shapes, const char** dtypes,
                                          void* stream, void*) {
  if (nparam != 4) return 1;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  return vision::is_half(dtypes[3]) ? vision::scatter_in_order<__half>(params, shapes, cuda_stream)
                                    : vision::scatter_in_order<float>(params, shapes, cuda_stream);
}
