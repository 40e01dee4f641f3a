// Soft-NMS within groups on the CPU (Bodla et al., 2017; mmcv's softnms): better boxes lower the scores of those that they
// overlap, and suppress none by themselves.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "nms.h"
#include "parallel.h"

namespace vision {

struct Decay {
  float threshold;  // linear: from this IoU on
  float sigma;      // gaussian: its width
  float min_score;  // a box below it is dropped
  bool gaussian;
};

struct Candidate {
  Box box;
  float score;
  int index;
};

// The candidates of one group that are left, and which of them is the best.
struct Group {
  std::vector<Candidate> left;
  size_t best = 0;

  void find_best() {
    best = 0;
    for (size_t k = 1; k < left.size(); ++k)
      if (goes_before(left[k], left[best])) best = k;
  }

  static bool goes_before(const Candidate& a, const Candidate& b) {
    return a.score > b.score || (a.score == b.score && a.index < b.index);
  }
};

// What a picked box leaves of the score of another one. Boxes without area overlap nothing.
static float weight(const Box& picked, const Box& other, const Decay& decay) {
  const float iou = overlap(picked, other);
  if (!(iou > 0.0f)) return 1.0f;
  if (decay.gaussian) return std::exp(-(iou * iou) / decay.sigma);
  return iou >= decay.threshold ? 1.0f - iou : 1.0f;
}

// Takes the best candidate out of its group, and lowers the scores of those that it overlaps.
static Candidate take_best(Group* group, const Decay& decay) {
  const Candidate picked = group->left[group->best];
  group->left[group->best] = group->left.back();
  group->left.pop_back();
  for (auto& other : group->left) other.score *= weight(picked.box, other.box, decay);
  group->find_best();
  return picked;
}

// One image: `groups` are its candidates.
static void soften(std::vector<Group>* groups, const Decay& decay, int slots, int32_t* index, int32_t* keep,
                   float* scores) {
  for (auto& group : *groups) group.find_best();
  for (int found = 0; found < slots; ++found) {
    Group* best = nullptr;
    for (auto& group : *groups) {
      if (group.left.empty()) continue;
      if (!best || Group::goes_before(group.left[group.best], best->left[best->best])) best = &group;
    }
    // Scores are looked at after a decay alone, as in the original: the first box stays whatever it has.
    if (!best || (found > 0 && best->left[best->best].score < decay.min_score)) break;
    const Candidate picked = take_best(best, decay);
    index[found] = picked.index;
    keep[found] = 1;
    scores[found] = picked.score;
  }
}

}  // namespace vision

// Inputs: boxes (B, N, 4) float32, scores (B, N) float32, groups (N) int32, valid (B, N) int32, settings [IoU threshold,
// sigma, least score, 1 for gaussian, 1 where groups are moved apart as NmsForward's first rule does]. Outputs: index
// (B, M) int32 of the kept boxes, best first (unused slots 0), keep (B, M) int32, their lowered scores (B, M) float32.
extern "C" int SoftNmsForward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 8) return 1;
  const int batch = static_cast<int>(shapes[0][0]), count = static_cast<int>(shapes[0][1]);
  const int slots = static_cast<int>(shapes[5][1]);
  const int32_t* groups = static_cast<const int32_t*>(params[2]);
  const float* settings = static_cast<const float*>(params[4]);
  const vision::Decay decay{settings[0], settings[1], settings[2], settings[3] > 0.0f};
  const bool moved = settings[4] > 0.0f;
  vision::parallel_for(batch, [&](int image) {
    const int64_t at = static_cast<int64_t>(image) * count, out = static_cast<int64_t>(image) * slots;
    const float* boxes = static_cast<const float*>(params[0]) + 4 * at;
    const float* scores = static_cast<const float*>(params[1]) + at;
    const int32_t* valid = static_cast<const int32_t*>(params[3]) + at;
    int32_t* index = static_cast<int32_t*>(params[5]) + out;
    int32_t* keep = static_cast<int32_t*>(params[6]) + out;
    float* kept_scores = static_cast<float*>(params[7]) + out;
    std::fill(index, index + slots, 0);
    std::fill(keep, keep + slots, 0);
    std::fill(kept_scores, kept_scores + slots, 0.0f);
    std::vector<int> order;
    float largest = -std::numeric_limits<float>::infinity();
    for (int i = 0; i < count; ++i) {
      const bool comparable = scores[i] == scores[i];  // a NaN score cannot be ranked
      if (!valid[i] || !comparable) continue;
      order.push_back(i);
      for (int k = 0; k < 4; ++k) largest = std::max(largest, boxes[4 * i + k]);
    }
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return groups[a] < groups[b]; });
    std::vector<vision::Group> parts;
    int32_t last = 0;
    for (const int i : order) {
      if (parts.empty() || groups[i] != last) parts.emplace_back();
      last = groups[i];
      const float shift = moved ? static_cast<float>(groups[i]) * (largest + 1.0f) : 0.0f;
      const float* b = boxes + 4 * i;
      vision::Box box{b[0] + shift, b[1] + shift, b[2] + shift, b[3] + shift, 0.0f};
      box.area = (box.x2 - box.x1) * (box.y2 - box.y1);
      parts.back().left.push_back({box, scores[i], i});
    }
    vision::soften(&parts, decay, slots, index, keep, kept_scores);
  });
  return 0;
}
