// Whether every number of many tensors is finite, in one pass on the CPU.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "parallel.h"

namespace vision {

constexpr int64_t kPiece = 1 << 18;  // numbers a thread looks at before it asks for more

struct Piece {
  const void* values;
  int64_t count;
  bool is_half;
};

// Not finite: all bits of the exponent are set.
template <typename Bits>
WIDE_VECTORS static bool is_finite(const Bits* values, int64_t count, Bits exponent) {
  Bits found = 0;
  for (int64_t i = 0; i < count; ++i) found |= static_cast<Bits>((values[i] & exponent) == exponent);
  return found == 0;
}

static bool is_finite(const Piece& piece) {
  if (piece.is_half) return is_finite(static_cast<const uint16_t*>(piece.values), piece.count, uint16_t{0x7c00});
  return is_finite(static_cast<const uint32_t*>(piece.values), piece.count, uint32_t{0x7f800000});
}

}  // namespace vision

// Inputs: any number of tensors, float32 or float16. Output: one bool, (1).
extern "C" int AllFiniteForward(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes, void*,
                                void*) {
  using vision::Piece;
  std::vector<Piece> pieces;
  for (int k = 0; k + 1 < nparam; ++k) {
    const bool is_half = std::strcmp(dtypes[k], "float16") == 0;
    if (!is_half && std::strcmp(dtypes[k], "float32") != 0) return 2;
    int64_t count = 1;
    for (int axis = 0; axis < ndims[k]; ++axis) count *= shapes[k][axis];
    const char* values = static_cast<const char*>(params[k]);
    for (int64_t first = 0; first < count; first += vision::kPiece) {
      pieces.push_back({values + first * (is_half ? 2 : 4), std::min(vision::kPiece, count - first), is_half});
    }
  }
  std::atomic<bool> finite{true};
  vision::parallel_for(static_cast<int>(pieces.size()), [&](int piece) {
    if (finite && !vision::is_finite(pieces[piece])) finite = false;
  });
  *static_cast<bool*>(params[nparam - 1]) = finite;
  return 0;
}
