// Greedy non-maximum suppression within groups on the CPU (mmcv's batched_nms), with early exit.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "nms.h"
#include "parallel.h"

namespace vision {

// One image: `order` are its boxes in the order in which they may be kept.
static void suppress(const float* boxes, const int32_t* groups, const std::vector<int>& order, float largest,
                     const Rule& rule, int slots, int32_t* index, int32_t* keep) {
  std::vector<std::vector<Box>> kept_of_group;
  int found = 0;
  for (size_t rank = 0; rank < order.size() && found < slots; ++rank) {
    const int i = order[rank];
    const Box box = box_by_rule(boxes + 4 * i, groups[i], largest, rule);
    const size_t group = static_cast<size_t>(std::max(groups[i], 0));
    if (kept_of_group.size() <= group) kept_of_group.resize(group + 1);
    auto& rivals = kept_of_group[group];
    const bool suppressed = std::any_of(rivals.begin(), rivals.end(),
                                        [&](const Box& rival) { return suppresses(rival, box, rule); });
    if (suppressed) continue;
    rivals.push_back(box);
    index[found] = i;
    keep[found] = 1;
    ++found;
  }
}

}  // namespace vision

// Inputs: boxes (B, N, 4) float32, scores (B, N) float32, groups (N) int32, valid (B, N) int32, settings [IoU
// threshold, optionally the rule's number: 0 moved, 1 exact, 2 inclusive]. Outputs: index (B, M) int32 of the kept boxes, best first (unused slots 0), keep (B, M) int32. Without B
// everywhere: one image, as files that 0.1 exported call it.
// By the first rule boxes of different groups are moved apart by group * (largest valid coordinate + 1) in float32, as the original does.
extern "C" int NmsForward(int nparam, void** params, int* ndims, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 7) return 1;
  const int batch = ndims[0] == 3 ? static_cast<int>(shapes[0][0]) : 1;
  const int count = static_cast<int>(shapes[0][ndims[0] - 2]), slots = static_cast<int>(shapes[5][ndims[5] - 1]);
  const int32_t* groups = static_cast<const int32_t*>(params[2]);
  const float* settings = static_cast<const float*>(params[4]);
  const vision::Rule rule = vision::read_rule(settings, ndims[4] == 1 && shapes[4][0] > 1);
  vision::parallel_for(batch, [&](int image) {
    const int64_t at = static_cast<int64_t>(image) * count;
    const float* boxes = static_cast<const float*>(params[0]) + 4 * at;
    const float* scores = static_cast<const float*>(params[1]) + at;
    const int32_t* valid = static_cast<const int32_t*>(params[3]) + at;
    int32_t* index = static_cast<int32_t*>(params[5]) + static_cast<int64_t>(image) * slots;
    int32_t* keep = static_cast<int32_t*>(params[6]) + static_cast<int64_t>(image) * slots;
    std::fill(index, index + slots, 0);
    std::fill(keep, keep + slots, 0);
    std::vector<int> order;
    float largest = -std::numeric_limits<float>::infinity();
    for (int i = 0; i < count; ++i) {
      const bool comparable = scores[i] == scores[i];  // a NaN score cannot be ranked
      if (!valid[i] || !comparable) continue;
      order.push_back(i);
      for (int k = 0; k < 4; ++k) largest = std::max(largest, boxes[4 * i + k]);
    }
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return scores[a] > scores[b]; });
    vision::suppress(boxes, groups, order, largest, rule, slots, index, keep);
  });
  return 0;
}
