// Convolutions of 3x3 pixels, step 1, by minimal filtering F(4x4, 3x3) (Winograd; Lavin and Gray 2016, Fast Algorithms for
// Convolutional Neural Networks): 36 multiplications for 16 pixels instead of 144. Tiles of 6x6 pixels become 36 numbers a
// channel, whose products with the weights' 36 are 36 matrix products, by oneDNN; what a tile gives depends on nothing but
// its own pixels. The rounding errors are about ten times those of a direct convolution.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "onednn.h"
#include "parallel.h"

namespace vision {

namespace winograd {

constexpr int64_t STEP = 4, SIDE = 6, POINTS = SIDE * SIDE;  // pixels that a tile gives and takes, an axis
constexpr int64_t LANES = 16;  // channels at a time
constexpr int64_t BLOCK = 32;  // tiles of one matrix product: their numbers stay in a core's cache

using Lanes = float __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define ALWAYS_INLINE inline __attribute__((always_inline))  // so that they are compiled for the caller's vectors

// Six pixels of a line, `step` apart -> six numbers, in place.
ALWAYS_INLINE void transform_line(Lanes* d, int64_t step) {
  const Lanes d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
  d[0] = 4 * d0 - 5 * d2 + d4;
  d[step] = d4 + d3 - 4 * (d1 + d2);
  d[2 * step] = d4 - d3 + 4 * (d1 - d2);
  d[3 * step] = d4 - d2 + 2 * (d3 - d1);
  d[4 * step] = d4 - d2 + 2 * (d1 - d3);
  d[5 * step] = 4 * d1 - 5 * d3 + d5;
}

// Six numbers, `step` apart -> four pixels, the first of the six.
ALWAYS_INLINE void give_line(Lanes* m, int64_t step) {
  const Lanes sum = m[step] + m[2 * step], difference = m[step] - m[2 * step];
  const Lanes far_sum = m[3 * step] + m[4 * step], far_difference = m[3 * step] - m[4 * step];
  m[0] = m[0] + sum + far_sum;
  m[step] = difference + 2 * far_difference;
  m[2 * step] = sum + 4 * far_sum;
  m[3 * step] = difference + 8 * far_difference + m[5 * step];
}

// A tile's pixels (36 rows of channels) -> its numbers, `step` apart.
WIDE_VECTORS static void transform_tile(const float* const* pixels, int64_t channels, float* numbers, int64_t step) {
  for (int64_t c = 0; c < channels; c += LANES) {
    Lanes d[POINTS];
    for (int64_t i = 0; i < POINTS; ++i) d[i] = *reinterpret_cast<const Lanes*>(pixels[i] + c);
    for (int64_t x = 0; x < SIDE; ++x) transform_line(d + x, SIDE);
    for (int64_t y = 0; y < SIDE; ++y) transform_line(d + y * SIDE, 1);
    for (int64_t i = 0; i < POINTS; ++i) *reinterpret_cast<Lanes*>(numbers + i * step + c) = d[i];
  }
}

// A tile's products, `step` apart -> its 16 pixels, with bias, what is there already where `adds`, and ReLU where `relu`.
WIDE_VECTORS static void give_tile(const float* products, int64_t step, int64_t channels, const float* bias, bool adds,
                                   bool relu, float* const* pixels) {
  for (int64_t c = 0; c < channels; c += LANES) {
    Lanes m[POINTS];
    for (int64_t i = 0; i < POINTS; ++i) m[i] = *reinterpret_cast<const Lanes*>(products + i * step + c);
    for (int64_t x = 0; x < SIDE; ++x) give_line(m + x, SIDE);
    const Lanes shift = *reinterpret_cast<const Lanes*>(bias + c), zero = {};
    for (int64_t y = 0; y < STEP; ++y) {
      give_line(m + y * SIDE, 1);
      for (int64_t x = 0; x < STEP; ++x) {
        Lanes* const pixel = reinterpret_cast<Lanes*>(pixels[y * STEP + x] + c);
        Lanes value = m[y * SIDE + x] + shift;
        if (adds) value += *pixel;
        *pixel = relu ? (value < zero ? zero : value) : value;  // what is no number stays none
      }
    }
  }
}

// Weights (O, I, 3, 3) -> (36, I, O).
inline void transform_weights(const float* weights, int64_t outputs, int64_t inputs, float* numbers) {
  constexpr double G[SIDE][3] = {{1 / 4.0, 0, 0},           {-1 / 6.0, -1 / 6.0, -1 / 6.0}, {-1 / 6.0, 1 / 6.0, -1 / 6.0},
                                 {1 / 24.0, 1 / 12.0, 1 / 6.0}, {1 / 24.0, -1 / 12.0, 1 / 6.0}, {0, 0, 1}};
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t i = 0; i < inputs; ++i) {
      const float* const w = weights + (o * inputs + i) * 9;
      for (int64_t point = 0; point < POINTS; ++point) {
        const double *const vertical = G[point / SIDE], *const horizontal = G[point % SIDE];
        double sum = 0;
        for (int64_t k = 0; k < 9; ++k) sum += vertical[k / 3] * w[k] * horizontal[k % 3];
        numbers[(point * inputs + i) * outputs + o] = static_cast<float>(sum);
      }
    }
  }
}

}  // namespace winograd

// One convolution by minimal filtering, of a shape that `suits`.
class Winograd {
 public:
  // Whether it pays: the transformed weights, four times as many, serve for enough tiles, which are not mostly empty.
  static bool suits(const Convolution& conv) {
    constexpr int64_t LEAST_TILES = 256, MOST_WEIGHTS = 131072;  // of one point: 512 KB, all of them stay in a cache
    const auto is_one = [](const memory::dims& steps) { return steps[0] == 1 && steps[1] == 1; };
    const auto& weight = conv.weight;
    if (conv.grouped || weight[2] != 3 || weight[3] != 3 || !is_one(conv.stride)) return false;
    if (conv.dilation[0] != 0 || conv.dilation[1] != 0) return false;
    if (weight[0] % winograd::LANES != 0 || weight[1] % winograd::LANES != 0) return false;
    const int64_t tiles = count(conv.output), pixels = conv.output[0] * conv.output[2] * conv.output[3];
    return tiles >= LEAST_TILES && weight[0] * weight[1] <= MOST_WEIGHTS && 8 * tiles <= pixels;
  }

  explicit Winograd(const Convolution& conv) : conv_(conv) {
    using namespace winograd;
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const memory::desc numbers({POINTS, BLOCK, inputs()}, memory::data_type::f32, Tag::abc);
    const memory::desc products({POINTS, BLOCK, outputs()}, memory::data_type::f32, Tag::abc);
    const Threads one(0);  // each thread has its own products
    desc_ = dnnl::matmul::primitive_desc(
        engine(), numbers, {{POINTS, inputs(), outputs()}, memory::data_type::f32, Tag::any}, products, attributes);
    product_ = dnnl::matmul(desc_);
  }

  // Of the transformed weights (36, I, O).
  memory::desc weights_desc() const { return desc_.weights_desc(); }

  // x (B, I, H, W), added and y (B, O, h, w); added: null for none.
  void run(const void* x, const memory& weights, const memory& bias, const void* added, bool relu, void* y) const {
    dnnl::stream stream(engine());
    const memory pixels = layout(conv_.input), given = layout(conv_.output);
    move(stream, plain(conv_.input, x), pixels);
    if (added != nullptr) move(stream, plain(conv_.output, added), given);
    const int64_t blocks = (count(conv_.output) + winograd::BLOCK - 1) / winograd::BLOCK;
    std::vector<Place> places;
    for (int64_t t = 0; t < std::min<int64_t>(omp_get_max_threads(), blocks); ++t) places.emplace_back(desc_);
    const auto* const from = static_cast<const float*>(pixels.get_data_handle());
    const auto* const shift = static_cast<const float*>(bias.get_data_handle());
    auto* const to = static_cast<float*>(given.get_data_handle());
    std::atomic<dnnl_status_t> status{dnnl_success};
#pragma omp parallel for schedule(static) num_threads(places.size())
    for (int64_t block = 0; block < blocks; ++block) {
      Place& place = places[omp_get_thread_num()];
      take(block, from, &place);
      try {
        product_.execute(place.stream, {{DNNL_ARG_SRC, place.numbers},
                                        {DNNL_ARG_WEIGHTS, weights},
                                        {DNNL_ARG_DST, place.products},
                                        {DNNL_ARG_SCRATCHPAD, place.scratchpad}});
        place.stream.wait();
      } catch (const dnnl::error& error) {
        status = error.status;
      }
      give(block, shift, added != nullptr, relu, &place, to);
    }
    if (status != dnnl_success) throw dnnl::error(status, "the products of a convolution failed");
    move(stream, given, plain(conv_.output, y));
  }

 private:
  // What one thread needs.
  struct Place {
    dnnl::stream stream{engine()};
    memory numbers, products, scratchpad;
    std::vector<float> nothing, nowhere;  // a pixel outside of the input, and of the output

    explicit Place(const dnnl::matmul::primitive_desc& desc)
        : numbers(desc.src_desc(), engine()),
          products(desc.dst_desc(), engine()),
          scratchpad(desc.scratchpad_desc(), engine()),
          nothing(desc.src_desc().get_dims()[2]),
          nowhere(desc.dst_desc().get_dims()[2]) {}
  };

  int64_t inputs() const { return conv_.input[1]; }
  int64_t outputs() const { return conv_.output[1]; }

  static int64_t lines(int64_t pixels) { return (pixels + winograd::STEP - 1) / winograd::STEP; }
  static int64_t count(const memory::dims& output) { return output[0] * lines(output[2]) * lines(output[3]); }

  static memory layout(const memory::dims& dims) { return {{dims, memory::data_type::f32, Tag::nhwc}, engine()}; }
  static memory plain(const memory::dims& dims, const void* data) {
    return {{dims, memory::data_type::f32, Tag::nchw}, engine(), const_cast<void*>(data)};
  }
  static void move(dnnl::stream& stream, memory from, memory to) {
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
  }

  // Calls body(tile's number in the block, image, first line, first column of its output).
  template <typename Body>
  void each_tile(int64_t block, const Body& body) const {
    const int64_t across = lines(conv_.output[3]), of_image = lines(conv_.output[2]) * across;
    const int64_t first = block * winograd::BLOCK, end = std::min(first + winograd::BLOCK, count(conv_.output));
    for (int64_t tile = first; tile < end; ++tile) {
      const int64_t place = tile % of_image;
      body(tile - first, tile / of_image, place / across * winograd::STEP, place % across * winograd::STEP);
    }
  }

  // Numbers of a block's tiles; the rows that no tile fills in the last one stay what they are: no other row has them.
  void take(int64_t block, const float* pixels, Place* place) const {
    using namespace winograd;
    auto* const numbers = static_cast<float*>(place->numbers.get_data_handle());
    const int64_t height = conv_.input[2], width = conv_.input[3];
    each_tile(block, [&](int64_t row, int64_t image, int64_t top, int64_t left) {
      const float* tile[POINTS];
      for (int64_t i = 0; i < POINTS; ++i) {
        const int64_t y = top + i / SIDE - conv_.before[0], x = left + i % SIDE - conv_.before[1];
        const bool inside = y >= 0 && y < height && x >= 0 && x < width;
        tile[i] = inside ? pixels + ((image * height + y) * width + x) * inputs() : place->nothing.data();
      }
      transform_tile(tile, inputs(), numbers + row * inputs(), BLOCK * inputs());
    });
  }

  void give(int64_t block, const float* bias, bool adds, bool relu, Place* place, float* pixels) const {
    using namespace winograd;
    const auto* const products = static_cast<const float*>(place->products.get_data_handle());
    const int64_t height = conv_.output[2], width = conv_.output[3];
    each_tile(block, [&](int64_t row, int64_t image, int64_t top, int64_t left) {
      float* tile[STEP * STEP];
      for (int64_t i = 0; i < STEP * STEP; ++i) {
        const int64_t y = top + i / STEP, x = left + i % STEP;
        const bool inside = y < height && x < width;
        tile[i] = inside ? pixels + ((image * height + y) * width + x) * outputs() : place->nowhere.data();
      }
      give_tile(products + row * outputs(), BLOCK * outputs(), outputs(), bias, adds, relu, tile);
    });
  }

  Convolution conv_;
  dnnl::matmul::primitive_desc desc_;
  dnnl::matmul product_;
};

}  // namespace vision
