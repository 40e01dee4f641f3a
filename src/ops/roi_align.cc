// RoIAlign over all pyramid levels on the CPU, forward and backward, as MindSpore ahead-of-time custom operators.
//
// Bilinear averaging is separable: each bin's rows and columns get one summed weight each, so a cell is read once a bin
// however many samples fall on it. Forward, vectors run along columns and then along bins where a map is wide enough
// and its numbers are finite; otherwise inner loops run along contiguous columns, with the same sums in the same order.
// The backward pass hands out channels, so that no two threads write to one place and the sum has a fixed order.

#include <cstdint>
#include <cstring>
#include <vector>

#include "parallel.h"
#include "roi_align.h"

namespace vision {

// Weights of one bin along one axis: cells [first, first + count).
struct BinWeights {
  int first = 0;
  int count = 0;
  int offset = 0;  // into the vector of weights
};

struct AxisWeights {
  std::vector<BinWeights> bins;
  std::vector<float> weights;
};

struct RoiPlan {
  int level = -1;  // -1: the row is not computed, its output is zero
  int batch = 0;
  float divisor = 1.0f;
  AxisWeights rows, columns;
};

static void plan_axis(const Axis& axis, int out_size, int size, AxisWeights* plan) {
  plan->bins.resize(out_size);
  std::vector<float> dense(size, 0.0f);
  for (int bin = 0; bin < out_size; ++bin) {
    float first, last;
    sample_range(axis, bin, size, &first, &last);
    int lowest = size, highest = -1;
    for (float k = first; k < last; k += 1.0f) {
      int low, high;
      float low_weight, high_weight;
      if (!interpolate(sample_position(axis, bin, k), size, &low, &high, &low_weight, &high_weight)) continue;
      dense[low] += low_weight;
      dense[high] += high_weight;
      lowest = std::min(lowest, low);
      highest = std::max(highest, high);
    }
    BinWeights& out = plan->bins[bin];
    out.offset = static_cast<int>(plan->weights.size());
    if (highest < lowest) continue;
    out.first = lowest;
    out.count = highest - lowest + 1;
    plan->weights.insert(plan->weights.end(), dense.begin() + lowest, dense.begin() + highest + 1);
    std::fill(dense.begin() + lowest, dense.begin() + highest + 1, 0.0f);
  }
}

static RoiPlan plan_roi(const float* roi, const Settings& s, int batch, const int64_t* const* feature_shapes) {
  RoiPlan plan;
  if (!usable(roi, batch)) return plan;
  plan.level = level_of(roi, s);
  plan.batch = static_cast<int>(roi[0]);
  const int height = static_cast<int>(feature_shapes[plan.level][2]);
  const int width = static_cast<int>(feature_shapes[plan.level][3]);
  const float scale = 1.0f / s.strides[plan.level];
  const Axis y = make_axis(roi[2], roi[4], scale, s.out_size, s.sampling_ratio, s.aligned);
  const Axis x = make_axis(roi[1], roi[3], scale, s.out_size, s.sampling_ratio, s.aligned);
  plan.divisor = sample_count(y, x);
  plan_axis(y, s.out_size, height, &plan.rows);
  plan_axis(x, s.out_size, width, &plan.columns);
  return plan;
}

struct Span {
  int first, count;
};

// Columns that any bin touches.
static Span column_span(const AxisWeights& columns) {
  int low = 1 << 30, high = 0;
  for (const auto& bin : columns.bins) {
    if (bin.count == 0) continue;
    low = std::min(low, bin.first);
    high = std::max(high, bin.first + bin.count);
  }
  return high > 0 ? Span{low, high - low} : Span{0, 0};
}

// All channels of one RoI. `feature` is the image's (channels, height, width) block, `buffer` one row of the span.
WIDE_VECTORS void forward_roi(const RoiPlan& plan, Span span, const float* feature, int channels, int height, int width,
                              int out_size, float* buffer, float* out) {
  const float scale = 1.0f / plan.divisor;
  for (int c = 0; c < channels; ++c, feature += static_cast<int64_t>(height) * width) {
    for (int ph = 0; ph < out_size; ++ph) {
      const BinWeights& rows = plan.rows.bins[ph];
      const float* row_weights = plan.rows.weights.data() + rows.offset;
      for (int k = 0; k < span.count; ++k) buffer[k] = 0.0f;
      for (int r = 0; r < rows.count; ++r) {
        const float weight = row_weights[r];
        const float* source = feature + static_cast<int64_t>(rows.first + r) * width + span.first;
#pragma omp simd
        for (int k = 0; k < span.count; ++k) buffer[k] += weight * source[k];
      }
      for (int pw = 0; pw < out_size; ++pw) {
        const BinWeights& columns = plan.columns.bins[pw];
        const float* weights = plan.columns.weights.data() + columns.offset;
        const float* values = buffer + (columns.first - span.first);
        float sum = 0.0f;
        for (int k = 0; k < columns.count; ++k) sum += weights[k] * values[k];
        *out++ = sum * scale;
      }
    }
  }
}

// Eight neighbours of a row, wherever they lie.
typedef float Lanes __attribute__((vector_size(32)));
constexpr int kLanes = 8;

#define INLINE static inline __attribute__((always_inline))

// By address: how a vector is passed depends on the instructions that a function may use.
INLINE void load_lanes(const float* from, Lanes* lanes) { std::memcpy(lanes, from, sizeof *lanes); }
INLINE void store_lanes(const Lanes& lanes, float* to) { std::memcpy(to, &lanes, sizeof lanes); }

// The span in whole vectors within a row of `width` >= kLanes cells; none where it does not fit.
static Span whole_vectors(Span span, int width) {
  const int count = (span.count + kLanes - 1) / kLanes * kLanes;
  if (span.count == 0 || count > width) return Span{0, 0};
  return Span{std::min(span.first, width - count), count};
}

// Weights of the columns of `span` in every bin, (span.count, lanes), zero where a bin does not touch one.
static void dense_columns(const AxisWeights& columns, Span span, int lanes, std::vector<float>* dense) {
  dense->assign(static_cast<size_t>(span.count) * lanes, 0.0f);
  for (size_t bin = 0; bin < columns.bins.size(); ++bin) {
    const BinWeights& own = columns.bins[bin];
    for (int k = 0; k < own.count; ++k) {
      (*dense)[static_cast<size_t>(own.first + k - span.first) * lanes + bin] = columns.weights[own.offset + k];
    }
  }
}

// kRows rows of bins from their rows of summed cells: each lane is a bin. Lanes of no bin are written too where there
// is room before `end`, and are overwritten by what follows. `odd` becomes NaN where a sum is not finite.
template <int kRows, int kVectors>
INLINE void bins_of_rows(const float* cells, int count, const float* dense, float scale, int out_size, float* out,
                         const float* end, Lanes* odd) {
  Lanes sums[kRows][kVectors] = {};
  for (int k = 0; k < count; ++k) {
    for (int v = 0; v < kVectors; ++v) {
      Lanes weights;
      load_lanes(dense + (k * kVectors + v) * kLanes, &weights);
      for (int r = 0; r < kRows; ++r) sums[r][v] += cells[r * count + k] * weights;
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      const Lanes bins = sums[r][v] * scale;
      *odd += bins - bins;
      float* target = out + r * out_size + v * kLanes;
      if (end - target >= kLanes) {
        store_lanes(bins, target);
      } else {
        std::memcpy(target, &bins, std::min(kLanes, out_size - v * kLanes) * sizeof(float));
      }
    }
  }
}

// forward_roi with whole vectors, every bin beside the others: the same sums in the same order, and zeros besides.
// `cells` holds out_size rows of the span. False where a sum is not finite: zero times infinity is no zero.
template <int kVectors>
INLINE bool forward_vectors(const RoiPlan& plan, Span span, const float* dense, const float* feature, int channels,
                            int height, int width, int out_size, float* cells, float* out) {
  constexpr int kRows = 7, kCacheLine = 16;
  constexpr int kAhead = 2;  // channels that are fetched before their turn: the processor does not foresee them
  const int64_t plane = static_cast<int64_t>(height) * width;
  const float scale = 1.0f / plan.divisor;
  const float* end = out + static_cast<int64_t>(channels) * out_size * out_size;
  Lanes odd = {};
  for (int c = 0; c < channels; ++c, feature += plane) {
    for (int ph = 0; ph < out_size; ++ph) {
      const BinWeights& rows = plan.rows.bins[ph];
      const float* weights = plan.rows.weights.data() + rows.offset;
      const float* source = feature + static_cast<int64_t>(rows.first) * width + span.first;
      for (int r = 0; c + kAhead < channels && r < rows.count; ++r) {
        const float* ahead = source + kAhead * plane + static_cast<int64_t>(r) * width;
        for (int k = 0; k < span.count; k += kCacheLine) __builtin_prefetch(ahead + k);
        __builtin_prefetch(ahead + span.count - 1);
      }
      for (int k = 0; k < span.count; k += kLanes) {
        Lanes sum = {};
        for (int r = 0; r < rows.count; ++r) {
          Lanes row;
          load_lanes(source + static_cast<int64_t>(r) * width + k, &row);
          sum += weights[r] * row;
        }
        store_lanes(sum, cells + ph * span.count + k);
      }
    }
    int ph = 0;
    for (; ph + kRows <= out_size; ph += kRows, out += kRows * out_size) {
      bins_of_rows<kRows, kVectors>(cells + ph * span.count, span.count, dense, scale, out_size, out, end,
                                    &odd);
    }
    for (; ph < out_size; ++ph, out += out_size) {
      bins_of_rows<1, kVectors>(cells + ph * span.count, span.count, dense, scale, out_size, out, end, &odd);
    }
  }
  for (int k = 0; k < kLanes; ++k) {
    if (!(odd[k] == 0.0f)) return false;
  }
  return true;
}

WIDE_VECTORS bool forward_8_bins(const RoiPlan& plan, Span span, const float* dense, const float* feature, int channels,
                                 int height, int width, int out_size, float* cells, float* out) {
  return forward_vectors<1>(plan, span, dense, feature, channels, height, width, out_size, cells, out);
}

WIDE_VECTORS bool forward_16_bins(const RoiPlan& plan, Span span, const float* dense, const float* feature,
                                  int channels, int height, int width, int out_size, float* cells, float* out) {
  return forward_vectors<2>(plan, span, dense, feature, channels, height, width, out_size, cells, out);
}

// All channels of one RoI the fast way, if there is one.
static bool forward_fast(const RoiPlan& plan, Span touched, const float* feature, int channels, int height, int width,
                         int out_size, float* out) {
  const Span span = whole_vectors(touched, width);
  if (span.count == 0 || out_size > 2 * kLanes) return false;
  const int vectors = out_size > kLanes ? 2 : 1;
  std::vector<float> dense, cells(static_cast<size_t>(out_size) * span.count);
  dense_columns(plan.columns, span, vectors * kLanes, &dense);
  const auto forward = vectors == 2 ? forward_16_bins : forward_8_bins;
  return forward(plan, span, dense.data(), feature, channels, height, width, out_size, cells.data(), out);
}

// Adds one RoI's gradient to one channel's (height, width) plane; `grad` holds out_size x out_size numbers.
WIDE_VECTORS void backward_plane(const RoiPlan& plan, Span span, const float* grad, int width, int out_size,
                                 float* buffer, float* plane) {
  const float scale = 1.0f / plan.divisor;
  for (int ph = 0; ph < out_size; ++ph) {
    for (int k = 0; k < span.count; ++k) buffer[k] = 0.0f;
    for (int pw = 0; pw < out_size; ++pw) {
      const float value = grad[ph * out_size + pw] * scale;
      const BinWeights& columns = plan.columns.bins[pw];
      const float* weights = plan.columns.weights.data() + columns.offset;
      float* target = buffer + (columns.first - span.first);
      for (int k = 0; k < columns.count; ++k) target[k] += weights[k] * value;
    }
    const BinWeights& rows = plan.rows.bins[ph];
    const float* row_weights = plan.rows.weights.data() + rows.offset;
    for (int r = 0; r < rows.count; ++r) {
      const float weight = row_weights[r];
      float* target = plane + static_cast<int64_t>(rows.first + r) * width + span.first;
#pragma omp simd
      for (int k = 0; k < span.count; ++k) target[k] += weight * buffer[k];
    }
  }
}

static int widest(const int64_t* const* feature_shapes, int levels) {
  int64_t width = 1;
  for (int level = 0; level < levels; ++level) width = std::max(width, feature_shapes[level][3]);
  return static_cast<int>(width);
}

}  // namespace vision

using vision::RoiPlan;
using vision::Settings;
using vision::Span;

// Inputs: rois (N, 5), settings, kMaxLevels feature maps. Output: (N, C, out, out). All float32.
extern "C" int RoiAlignForward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  const float* rois = static_cast<const float*>(params[0]);
  const Settings s = vision::read_settings(static_cast<const float*>(params[1]));
  if (nparam != vision::kMaxLevels + 3) return 1;
  const int64_t* const* feature_shapes = shapes + 2;
  const int count = static_cast<int>(shapes[0][0]);
  const int batch = static_cast<int>(feature_shapes[0][0]);
  const int channels = static_cast<int>(feature_shapes[0][1]);
  float* out = static_cast<float*>(params[nparam - 1]);
  const int64_t roi_size = static_cast<int64_t>(channels) * s.out_size * s.out_size;
  const int buffer_size = vision::widest(feature_shapes, s.num_levels);

  vision::parallel_for(count, [&](int n) {
    const RoiPlan plan = vision::plan_roi(rois + 5 * n, s, batch, feature_shapes);
    if (plan.level < 0) {
      std::memset(out + n * roi_size, 0, roi_size * sizeof(float));
      return;
    }
    const int height = static_cast<int>(feature_shapes[plan.level][2]);
    const int width = static_cast<int>(feature_shapes[plan.level][3]);
    const float* feature = static_cast<const float*>(params[2 + plan.level]) +
                           static_cast<int64_t>(plan.batch) * channels * height * width;
    const Span span = vision::column_span(plan.columns);
    if (vision::forward_fast(plan, span, feature, channels, height, width, s.out_size, out + n * roi_size)) return;
    std::vector<float> buffer(buffer_size);
    vision::forward_roi(plan, span, feature, channels, height, width, s.out_size, buffer.data(), out + n * roi_size);
  });
  return 0;
}

// Inputs: gradient of the output (N, C, out, out), rois, settings, kMaxLevels feature maps (for their shapes).
// Outputs: one gradient a feature map, zeros for placeholders.
extern "C" int RoiAlignBackward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  const float* grad = static_cast<const float*>(params[0]);
  const float* rois = static_cast<const float*>(params[1]);
  const Settings s = vision::read_settings(static_cast<const float*>(params[2]));
  const int levels = s.num_levels;
  if (nparam != 2 * vision::kMaxLevels + 3) return 1;
  const int64_t* const* feature_shapes = shapes + 3;
  const int count = static_cast<int>(shapes[1][0]);
  const int batch = static_cast<int>(feature_shapes[0][0]);
  const int channels = static_cast<int>(feature_shapes[0][1]);
  const int bins = s.out_size * s.out_size;
  for (int level = levels; level < vision::kMaxLevels; ++level) {
    const int64_t* shape = feature_shapes[level];
    std::memset(params[3 + vision::kMaxLevels + level], 0, shape[0] * shape[1] * shape[2] * shape[3] * sizeof(float));
  }

  std::vector<RoiPlan> plans(count);
  std::vector<Span> spans(count);
  vision::parallel_for(count, [&](int n) {
    plans[n] = vision::plan_roi(rois + 5 * n, s, batch, feature_shapes);
    if (plans[n].level >= 0) spans[n] = vision::column_span(plans[n].columns);
  });
  const int buffer_size = vision::widest(feature_shapes, levels);
  vision::parallel_for(batch * channels, [&](int piece) {
    const int image = piece / channels, channel = piece % channels;
    float* planes[vision::kMaxLevels];
    for (int level = 0; level < levels; ++level) {
      const int64_t size = feature_shapes[level][2] * feature_shapes[level][3];
      planes[level] = static_cast<float*>(params[3 + vision::kMaxLevels + level]) + piece * size;
      std::memset(planes[level], 0, size * sizeof(float));
    }
    std::vector<float> buffer(buffer_size);
    for (int n = 0; n < count; ++n) {
      const RoiPlan& plan = plans[n];
      if (plan.level < 0 || plan.batch != image) continue;
      const float* roi_grad = grad + (static_cast<int64_t>(n) * channels + channel) * bins;
      vision::backward_plane(plan, spans[n], roi_grad, static_cast<int>(feature_shapes[plan.level][3]), s.out_size,
                             buffer.data(), planes[plan.level]);
    }
  });
  return 0;
}
