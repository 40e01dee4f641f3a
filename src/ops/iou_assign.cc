// Max-IoU assignment on the CPU (MMDetection's MaxIoUAssigner) without ever storing the IoU matrix.
//
// Boxes go through in blocks, objects outside: the inner loop runs over plain arrays and vectorises.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "iou_assign.h"
#include "parallel.h"

namespace vision {

constexpr int kBlock = 1024;

// One block of boxes as separate arrays.
struct Block {
  float x1[kBlock], y1[kBlock], x2[kBlock], y2[kBlock], area[kBlock];
  float iou[kBlock], best[kBlock];
  int32_t object[kBlock];
};

struct Objects {
  const float* boxes;  // (G, 4)
  const bool* valid;
  const bool* crowd;
  int count;
};

WIDE_VECTORS void load_block(const float* boxes, int count, Block* b) {
  for (int i = 0; i < count; ++i) {
    b->x1[i] = boxes[4 * i];
    b->y1[i] = boxes[4 * i + 1];
    b->x2[i] = boxes[4 * i + 2];
    b->y2[i] = boxes[4 * i + 3];
    b->area[i] = area_of(b->x1[i], b->y1[i], b->x2[i], b->y2[i]);
  }
}

// IoU of one object with every box of a block; with over_box the intersection over the box's own area.
WIDE_VECTORS void block_overlap(const float* object, int count, bool over_box, Block* b) {
  const float corners[4] = {object[0], object[1], object[2], object[3]};
  const float area = area_of(corners[0], corners[1], corners[2], corners[3]);
  for (int i = 0; i < count; ++i) {
    b->iou[i] = assign_overlap(corners, area, b->x1[i], b->y1[i], b->x2[i], b->y2[i], b->area[i], over_box);
  }
}

WIDE_VECTORS void keep_best(int object, int count, Block* b) {
  for (int i = 0; i < count; ++i) {
    const bool better = b->iou[i] > b->best[i] && b->best[i] >= 0.0f;
    b->object[i] = better ? object : b->object[i];
    b->best[i] = better ? b->iou[i] : b->best[i];
  }
}

// Best object of every box of a block, and each object's best IoU within the block.
static void assign_block(const float* boxes, const bool* box_valid, const Objects& objects, const AssignSettings& s,
                         int count, Block* b, float* best, int32_t* object, float* best_of_object) {
  load_block(boxes, count, b);
  for (int i = 0; i < count; ++i) {
    b->best[i] = box_valid[i] ? 0.0f : -1.0f;
    b->object[i] = 0;
  }
  for (int g = 0; s.ignore_iof > 0.0f && g < objects.count; ++g) {
    if (!objects.crowd[g]) continue;
    block_overlap(objects.boxes + 4 * g, count, true, b);
    for (int i = 0; i < count; ++i) {
      if (b->iou[i] > s.ignore_iof) b->best[i] = -1.0f;
    }
  }
  for (int g = 0; g < objects.count; ++g) {
    best_of_object[g] = -1.0f;
    if (!objects.valid[g]) continue;
    block_overlap(objects.boxes + 4 * g, count, false, b);
    float largest = -1.0f;
    for (int i = 0; i < count; ++i) {
      if (b->best[i] >= 0.0f) largest = std::max(largest, b->iou[i]);
    }
    best_of_object[g] = largest;
    keep_best(g, count, b);
  }
  std::copy(b->best, b->best + count, best);
  std::copy(b->object, b->object + count, object);
}

// Every box that has exactly an object's best IoU goes to that object; of several objects the last one wins.
static void force_block(const float* boxes, const Objects& objects, const AssignSettings& s, const float* best_of_object,
                        int count, Block* b, const float* best, int32_t* assigned) {
  float least = 2.0f;
  for (int g = 0; g < objects.count; ++g) {
    if (objects.valid[g] && best_of_object[g] >= s.min_pos_iou) least = std::min(least, best_of_object[g]);
  }
  if (*std::max_element(best, best + count) < least) return;  // no box of this block can be anybody's best
  load_block(boxes, count, b);
  for (int g = 0; g < objects.count; ++g) {
    if (!objects.valid[g] || best_of_object[g] < s.min_pos_iou) continue;
    block_overlap(objects.boxes + 4 * g, count, false, b);
    for (int i = 0; i < count; ++i) {
      if (best[i] >= 0.0f && b->iou[i] == best_of_object[g]) assigned[i] = g + 1;
    }
  }
}

}  // namespace vision

// Inputs: boxes (B, N, 4) float32, box_valid (B, N) bool, gt_boxes (B, G, 4) float32, gt_valid and gt_crowd (B, G)
// bool, settings [pos_iou, neg_iou, min_pos_iou, low_quality, ignore_iof]. Outputs: assigned (B, N) int32 (-1 left out,
// 0 background, k object k - 1), best IoU (B, N) float32 (-1 for boxes that are not valid).
extern "C" int IoUAssignForward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  using namespace vision;
  if (nparam != 8) return 1;
  const float* boxes = static_cast<const float*>(params[0]);
  const bool* box_valid = static_cast<const bool*>(params[1]);
  const AssignSettings s = read_assign_settings(static_cast<const float*>(params[5]));
  int32_t* assigned = static_cast<int32_t*>(params[6]);
  float* best = static_cast<float*>(params[7]);
  const int batch = static_cast<int>(shapes[0][0]), count = static_cast<int>(shapes[0][1]);
  const int num_objects = static_cast<int>(shapes[2][1]);
  const int blocks = (count + kBlock - 1) / kBlock;
  std::vector<int32_t> object(static_cast<size_t>(batch) * count);
  std::vector<float> best_of_object(static_cast<size_t>(batch) * blocks * num_objects);

  const auto objects_of = [&](int image) {
    const int64_t offset = static_cast<int64_t>(image) * num_objects;
    return Objects{static_cast<const float*>(params[2]) + 4 * offset, static_cast<const bool*>(params[3]) + offset,
                   static_cast<const bool*>(params[4]) + offset, num_objects};
  };
  parallel_for(batch * blocks, [&](int piece) {
    const int image = piece / blocks, first = piece % blocks * kBlock, size = std::min(kBlock, count - first);
    const int64_t at = static_cast<int64_t>(image) * count + first;
    Block block;
    assign_block(boxes + 4 * at, box_valid + at, objects_of(image), s, size, &block, best + at, object.data() + at,
                 best_of_object.data() + static_cast<int64_t>(piece) * num_objects);
  });
  for (int image = 0; image < batch; ++image) {  // best over all blocks, kept in the first block's place
    float* total = best_of_object.data() + static_cast<int64_t>(image) * blocks * num_objects;
    for (int piece = 1; piece < blocks; ++piece) {
      for (int g = 0; g < num_objects; ++g) total[g] = std::max(total[g], total[piece * num_objects + g]);
    }
  }
  parallel_for(batch * blocks, [&](int piece) {
    const int image = piece / blocks, first = piece % blocks * kBlock, size = std::min(kBlock, count - first);
    const int64_t at = static_cast<int64_t>(image) * count + first;
    for (int64_t i = at; i < at + size; ++i) {
      assigned[i] = assign_by_best(best[i], object[i], s);
    }
    if (!s.low_quality) return;
    Block block;
    force_block(boxes + 4 * at, objects_of(image), s,
                best_of_object.data() + static_cast<int64_t>(image) * blocks * num_objects, size, &block, best + at,
                assigned + at);
  });
  return 0;
}
