// Choice of the boxes that the losses look at, on the CPU (MMDetection's RandomSampler with fixed shapes).
//
// Random numbers are those of models/randomness.py, hashed for the candidates alone; the first of equal ones wins.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "parallel.h"

namespace vision {

constexpr int64_t kPrime = 2147483647;

struct SampleSettings {
  int num, max_positive;
  float neg_pos_ub;
  bool in_order;
  int64_t stream;
};

// MindSpore's FloorMod on the CPU: it goes through double, which rounds what lies above 2**53.
static int64_t floor_mod(int64_t value) {
  const double exact = static_cast<double>(value), divisor = static_cast<double>(kPrime);
  return static_cast<int64_t>(exact - std::floor(exact / divisor) * divisor);
}

static float hashed_uniform(int64_t seed, int64_t i) {
  int64_t x = floor_mod(i * 2654435 + seed * 40503 + 12345);
  x = floor_mod(x * x + seed);
  x = floor_mod(x * 48271);
  x = floor_mod(x * x + 7919);
  x = floor_mod(x * 16807);
  return static_cast<float>(x) / static_cast<float>(kPrime);
}

using Candidate = std::pair<float, int32_t>;  // (key, index)

// Puts the `wanted` candidates that come first in front, in order.
static void rank(std::vector<Candidate>* candidates, size_t wanted) {
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  };
  const auto middle = candidates->begin() + std::min(wanted, candidates->size());
  std::partial_sort(candidates->begin(), middle, candidates->end(), before);
}

static void sample_image(const int32_t* assigned, int64_t seed, int count, int slots, const SampleSettings& s,
                         int32_t* index, bool* is_positive, bool* is_sampled) {
  std::vector<Candidate> positive, negative;
  for (int i = 0; i < count; ++i) {
    if (assigned[i] < 0) continue;
    const float key = s.in_order ? static_cast<float>(count - i) : 1.0f - hashed_uniform(seed, i);
    (assigned[i] > 0 ? positive : negative).emplace_back(key, i);
  }
  const int num_positive = std::min({static_cast<int>(positive.size()), s.max_positive, count});
  int room = s.num - num_positive;
  if (s.neg_pos_ub >= 0) {
    room = std::min(room, static_cast<int>(static_cast<float>(std::max(num_positive, 1)) * s.neg_pos_ub));
  }
  const int num_negative = std::min({static_cast<int>(negative.size()), slots, room});
  rank(&positive, num_positive);
  rank(&negative, num_negative);
  for (int slot = 0; slot < slots; ++slot) {
    is_positive[slot] = slot < num_positive;
    is_sampled[slot] = slot < num_positive + num_negative;
    index[slot] = 0;
    if (is_positive[slot]) {
      index[slot] = positive[slot].second;
    } else if (is_sampled[slot]) {
      index[slot] = negative[slot - num_positive].second;
    }
  }
}

}  // namespace vision

// Inputs: assigned (B, N) int32 (-1 left out, 0 background, k object), seed (B) int32, settings [num, max_positive,
// neg_pos_ub, in_order, stream]. Outputs: index (B, S) int32, is_positive and is_sampled (B, S) bool.
extern "C" int SampleForward(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  using namespace vision;
  if (nparam != 6) return 1;
  const int32_t* assigned = static_cast<const int32_t*>(params[0]);
  const int32_t* seed = static_cast<const int32_t*>(params[1]);
  const float* v = static_cast<const float*>(params[2]);
  const SampleSettings s{static_cast<int>(v[0]), static_cast<int>(v[1]), v[2], v[3] != 0.0f, static_cast<int64_t>(v[4])};
  const int batch = static_cast<int>(shapes[0][0]), count = static_cast<int>(shapes[0][1]);
  const int slots = static_cast<int>(shapes[3][1]);
  parallel_for(batch, [&](int image) {
    const int64_t at = static_cast<int64_t>(image) * slots;
    sample_image(assigned + static_cast<int64_t>(image) * count, int64_t{seed[image]} + 1 + 7919 * s.stream, count, slots, s,
                 static_cast<int32_t*>(params[3]) + at, static_cast<bool*>(params[4]) + at,
                 static_cast<bool*>(params[5]) + at);
  });
  return 0;
}
