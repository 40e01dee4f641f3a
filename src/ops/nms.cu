// Greedy non-maximum suppression within groups on CUDA devices, as a MindSpore ahead-of-time operator; the host waits
// for nothing. Boxes are ranked by score, and go by chunks in that order: each box is compared with those kept from the
// chunks before, then with its own chunk's, of which the results are bits; one block sweeps over them and keeps.
// Compiled without contraction (-fmad=false): the CPU operator's choice.

#include "kernels.h"
#include "nms.h"

namespace vision {

constexpr int kWord = 64;                     // boxes whose bits make a number, and threads of a block
constexpr int kChunk = 4096;                  // boxes
constexpr int kWords = kChunk / kWord;
constexpr int kPart = 1024;                   // rivals that a thread ranks a box against

struct Ranked {
  Box box;
  int32_t group;
  int32_t index;  // of the input
};

// Of one image, on the device.
struct State {
  int32_t usable;    // boxes that take part
  int32_t found;     // kept so far
  uint32_t largest;  // of their coordinates, as `ordered`
};

struct Inputs {
  const float* boxes;    // (B, N, 4)
  const float* scores;   // (B, N)
  const int32_t* groups;  // (N,)
  const int32_t* valid;  // (B, N)
  const float* settings;
  bool has_number;  // of the rule, in the settings
  int count;        // N
  int slots;
};

// Memory between the kernels, of all images.
struct Memory {
  State* states;    // (B,)
  int32_t* ranks;   // (B, N)
  Ranked* ranked;   // (B, N)
  uint8_t* gone;    // (B, kChunk): suppressed by a box of an earlier chunk
  uint64_t* bits;   // (B, kChunk, kWords): whom a box suppresses
};

// Floats as numbers of the same order; 0 is below all of them.
__device__ inline uint32_t ordered(float value) {
  const uint32_t bits = static_cast<uint32_t>(__float_as_int(value));
  return (bits & 0x80000000u) ? ~bits : bits | 0x80000000u;
}

__device__ inline float of_ordered(uint32_t number) {
  const uint32_t lowest = 0x007fffffu;  // minus infinity
  if (number < lowest) number = lowest;
  return __int_as_float(static_cast<int>((number & 0x80000000u) ? number & 0x7fffffffu : ~number));
}

__device__ inline bool takes_part(const Inputs& in, int64_t at) {
  return in.valid[at] != 0 && in.scores[at] == in.scores[at];  // a NaN score cannot be ranked
}

// Grid: boxes, parts of their rivals, images. Counts those that come before a box: better ones, and of equal ones the
// earlier.
__global__ void rank_kernel(Inputs in, Memory memory) {
  const int i = static_cast<int>(thread_index()), first = static_cast<int>(blockIdx.y) * kPart;
  const int64_t start = static_cast<int64_t>(blockIdx.z) * in.count;
  if (i >= in.count || !takes_part(in, start + i)) return;
  const float own = in.scores[start + i];
  const int last = first + kPart < in.count ? first + kPart : in.count;
  int before = 0;
  for (int k = first; k < last; ++k) {
    const float other = in.scores[start + k];
    if ((other > own || (other == own && k < i)) && in.valid[start + k] != 0) ++before;
  }
  if (before > 0) atomicAdd(memory.ranks + start + i, before);
  if (first > 0) return;
  State* state = memory.states + blockIdx.z;
  atomicAdd(&state->usable, 1);
  for (int k = 0; k < 4; ++k) {
    const float value = in.boxes[4 * (start + i) + k];
    if (value == value && ordered(value) > *static_cast<volatile uint32_t*>(&state->largest)) {
      atomicMax(&state->largest, ordered(value));
    }
  }
}

// Grid: boxes, images.
__global__ void place_kernel(Inputs in, Memory memory) {
  const int i = static_cast<int>(thread_index());
  const int64_t start = static_cast<int64_t>(blockIdx.y) * in.count;
  if (i >= in.count || !takes_part(in, start + i)) return;
  const Rule rule = read_rule(in.settings, in.has_number);
  Ranked* place = memory.ranked + start + memory.ranks[start + i];
  const float largest = of_ordered(memory.states[blockIdx.y].largest);
  place->box = box_by_rule(in.boxes + 4 * (start + i), in.groups[i], largest, rule);
  place->group = in.groups[i] > 0 ? in.groups[i] : 0;
  place->index = i;
}

// Whether an image has boxes from this rank on, and slots.
__device__ inline bool goes_on(const State& state, int start, int slots) {
  return start < state.usable && state.found < slots;
}

// Grid: boxes of the chunk, images. kept: places (ranks) of those that are kept, (B, slots).
__global__ void earlier_kernel(Inputs in, Memory memory, const int32_t* kept, int start) {
  const State state = memory.states[blockIdx.y];
  const int i = static_cast<int>(thread_index());
  if (!goes_on(state, start, in.slots) || i >= kChunk || start + i >= state.usable) return;
  const Rule rule = read_rule(in.settings, in.has_number);
  const Ranked* ranked = memory.ranked + static_cast<int64_t>(blockIdx.y) * in.count;
  const Ranked own = ranked[start + i];
  uint8_t gone = 0;
  for (int k = 0; k < state.found && !gone; ++k) {
    const Ranked& rival = ranked[kept[static_cast<int64_t>(blockIdx.y) * in.slots + k]];
    gone = rival.group == own.group && suppresses(rival.box, own.box, rule);
  }
  memory.gone[static_cast<int64_t>(blockIdx.y) * kChunk + i] = gone;
}

// Grid: words, words of boxes of the chunk, images.
__global__ void bits_kernel(Inputs in, Memory memory, int start) {
  const State state = memory.states[blockIdx.z];
  const int word = static_cast<int>(blockIdx.x), i = static_cast<int>(blockIdx.y * kWord + threadIdx.x);
  if (!goes_on(state, start, in.slots) || word * kWord + kWord <= i || start + i >= state.usable) return;
  const Rule rule = read_rule(in.settings, in.has_number);
  const Ranked* ranked = memory.ranked + static_cast<int64_t>(blockIdx.z) * in.count + start;
  const Ranked own = ranked[i];
  const int left = state.usable - start - word * kWord, count = left < kWord ? left : kWord;
  uint64_t bits = 0;
  for (int k = 0; k < count; ++k) {
    const Ranked& other = ranked[word * kWord + k];
    if (word * kWord + k > i && other.group == own.group && suppresses(own.box, other.box, rule)) bits |= 1ULL << k;
  }
  memory.bits[(static_cast<int64_t>(blockIdx.z) * kChunk + i) * kWords + word] = bits;
}

// One block an image, of kWord threads; a thread has a word of the chunk too (there are as many).
__global__ void sweep_kernel(Inputs in, Memory memory, int32_t* kept, int32_t* index, int32_t* keep, int start) {
  static_assert(kWords == kWord, "a thread a word");
  __shared__ uint64_t removed[kWords], diagonal[kWord], chosen;
  __shared__ int found;
  State* state = memory.states + blockIdx.x;
  if (!goes_on(*state, start, in.slots)) return;  // all threads
  const int thread = static_cast<int>(threadIdx.x);
  const int count = state->usable - start < kChunk ? state->usable - start : kChunk;
  const int words = (count + kWord - 1) / kWord;
  const int64_t image = blockIdx.x;
  const Ranked* ranked = memory.ranked + image * in.count + start;
  const uint64_t* bits = memory.bits + image * kChunk * kWords;
  uint64_t gone = 0;
  for (int k = 0; k < kWord; ++k) {
    const int i = thread * kWord + k;
    if (i >= count || memory.gone[image * kChunk + i]) gone |= 1ULL << k;
  }
  removed[thread] = gone;
  if (thread == 0) found = state->found;
  for (int word = 0; word < words; ++word) {
    const int row = word * kWord + thread;
    diagonal[thread] = row < count ? bits[static_cast<int64_t>(row) * kWords + word] : 0;
    __syncthreads();
    if (thread == 0) {
      uint64_t alive = ~removed[word];
      chosen = 0;
      while (alive && found < in.slots) {
        const int k = __ffsll(static_cast<long long>(alive)) - 1;
        kept[image * in.slots + found] = start + word * kWord + k;
        index[image * in.slots + found] = ranked[word * kWord + k].index;
        keep[image * in.slots + found] = 1;
        ++found;
        chosen |= 1ULL << k;
        alive &= ~(diagonal[k] | 1ULL << k);
      }
    }
    __syncthreads();
    if (found >= in.slots) break;  // all threads
    if (thread > word && thread < words) {
      uint64_t more = 0;
      for (uint64_t left = chosen; left; left &= left - 1) {
        const int k = __ffsll(static_cast<long long>(left)) - 1;
        more |= bits[(static_cast<int64_t>(word) * kWord + k) * kWords + thread];
      }
      removed[thread] |= more;
    }
  }
  if (thread == 0) state->found = found;
}

}  // namespace vision

// As in nms.cc.
extern "C" int NmsForward(int nparam, void** params, int* ndims, int64_t** shapes, const char**, void* stream, void*) {
  using namespace vision;
  if (nparam != 7) return 1;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  const int batch = ndims[0] == 3 ? static_cast<int>(shapes[0][0]) : 1;
  const int count = static_cast<int>(shapes[0][ndims[0] - 2]), slots = static_cast<int>(shapes[5][ndims[5] - 1]);
  int32_t* index = static_cast<int32_t*>(params[5]);
  int32_t* keep = static_cast<int32_t*>(params[6]);
  const size_t bytes = static_cast<size_t>(batch) * slots * sizeof(int32_t);
  if (bytes == 0) return 0;
  if (cudaMemsetAsync(index, 0, bytes, cuda_stream) != cudaSuccess) return 1;
  if (cudaMemsetAsync(keep, 0, bytes, cuda_stream) != cudaSuccess) return 1;
  if (count == 0) return 0;
  const Inputs in{static_cast<const float*>(params[0]), static_cast<const float*>(params[1]),
                  static_cast<const int32_t*>(params[2]), static_cast<const int32_t*>(params[3]),
                  static_cast<const float*>(params[4]), ndims[4] == 1 && shapes[4][0] > 1, count, slots};
  const int64_t all = static_cast<int64_t>(batch) * count, chunk = static_cast<int64_t>(batch) * kChunk;
  Workspace<State> states(batch, cuda_stream, true);
  Workspace<int32_t> ranks(all, cuda_stream, true), kept(static_cast<int64_t>(batch) * slots, cuda_stream);
  Workspace<Ranked> ranked(all, cuda_stream);
  Workspace<uint8_t> gone(chunk, cuda_stream);
  Workspace<uint64_t> bits(chunk * kWords, cuda_stream);
  if (!states.ok() || !ranks.ok() || !kept.ok() || !ranked.ok() || !gone.ok() || !bits.ok()) return 1;
  const Memory memory{states.data(), ranks.data(), ranked.data(), gone.data(), bits.data()};
  const unsigned images = static_cast<unsigned>(batch);
  const unsigned boxes = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  const unsigned parts = static_cast<unsigned>((count + kPart - 1) / kPart);
  LAUNCH(rank_kernel, dim3(boxes, parts, images), kThreads, cuda_stream)(in, memory);
  LAUNCH(place_kernel, dim3(boxes, images), kThreads, cuda_stream)(in, memory);
  for (int start = 0; start < count; start += kChunk) {
    const int size = count - start < kChunk ? count - start : kChunk;
    const unsigned words = static_cast<unsigned>((size + kWord - 1) / kWord);
    LAUNCH(earlier_kernel, dim3((size + kThreads - 1) / kThreads, images), kThreads, cuda_stream)
    (in, memory, kept.data(), start);
    LAUNCH(bits_kernel, dim3(words, words, images), kWord, cuda_stream)(in, memory, start);
    LAUNCH_WITH_BARRIERS(sweep_kernel, images, kWord, cuda_stream)(in, memory, kept.data(), index, keep, start);
  }
  return launch_status();
}
