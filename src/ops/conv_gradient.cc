// Convolutions by oneDNN 3: their gradients, and the forward pass where only some rows of a batch are used. MindSpore
// 2.8's own oneDNN 2.2 is given plain layouts, unfolds the image (im2col) and keeps that scratchpad for every layer.
//
// A library of its own (bin/dnnl_ops_cpu.so): what is portable needs no oneDNN.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "onednn.h"

namespace vision {

constexpr size_t ROW_STEP = 16;  // numbers of rows are multiples of this: oneDNN makes a kernel for each number

// Those rows of a batch that count, for a convolution of them alone. Heads with a fixed number of RoI slots leave most of
// them unused, where the gradient is zero: such rows add nothing to the weight's gradient and get none themselves.
class Rows {
 public:
  // The used ones among `count` rows, and as many unused ones as fill up a step.
  template <typename Used>
  Rows(int64_t count, const Used& used) : count_(count) {
    std::vector<int64_t> unused;
    for (int64_t row = 0; row < count; ++row) (used(row) ? chosen_ : unused).push_back(row);
    for (size_t k = 0; k < unused.size() && chosen_.size() % ROW_STEP != 0; ++k) chosen_.push_back(unused[k]);
  }

  static Rows with_gradient(const float* gradient, const memory::dims& dims) {
    const int64_t size = dims[1] * dims[2] * dims[3];
    return Rows(dims[0], [&](int64_t row) {
      const float* first = gradient + row * size;
      return std::any_of(first, first + size, [](float value) { return value != 0.0f; });
    });
  }

  bool all() const { return static_cast<int64_t>(chosen_.size()) == count_; }
  bool none() const { return chosen_.empty(); }
  int64_t size() const { return static_cast<int64_t>(chosen_.size()); }

  // The chosen rows of a tensor with `dims[1:]` numbers a row: its own memory where all are chosen, else in `copy`.
  const float* gather(const void* data, const memory::dims& dims, std::vector<float>* copy) const {
    const float* plain = static_cast<const float*>(data);
    if (all()) return plain;
    const int64_t size = dims[1] * dims[2] * dims[3];
    copy->resize(chosen_.size() * size);
    for (size_t k = 0; k < chosen_.size(); ++k) {
      std::copy_n(plain + chosen_[k] * size, size, copy->data() + k * size);
    }
    return copy->data();
  }

  // The other way: the chosen rows to their places, zeros to the others.
  void scatter(const std::vector<float>& from, float* data, const memory::dims& dims) const {
    const int64_t size = dims[1] * dims[2] * dims[3];
    std::fill_n(data, count_ * size, 0.0f);
    for (size_t k = 0; k < chosen_.size(); ++k) {
      std::copy_n(from.data() + k * size, size, data + chosen_[k] * size);
    }
  }

 private:
  int64_t count_;
  std::vector<int64_t> chosen_;
};

}  // namespace vision

// Version of the oneDNN that this library has found in the process: 100 * major + minor.
extern "C" int OneDnnVersion() {
  const dnnl_version_t* version = dnnl_version();
  return 100 * version->major + version->minor;
}

// Inputs: input (B, I, H, W), weight (O, I / groups, y, x), used (B) bool, settings. Output: the convolution (B, O, h, w);
// rows that are not used are zeros or convolved too. All others float32.
extern "C" int ConvUsedRows(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 5) return 1;
  return vision::guarded("ConvUsedRows", [&] {
    vision::Convolution conv(shapes[0], shapes[1], shapes[4], static_cast<const float*>(params[3]));
    const bool* used = static_cast<const bool*>(params[2]);
    const vision::Rows rows(conv.input[0], [&](int64_t row) { return used[row]; });
    float* output = static_cast<float*>(params[4]);
    const vision::memory::dims input = conv.input, whole = conv.output;
    conv.input[0] = conv.output[0] = rows.size();
    std::vector<float> x, y(rows.all() || rows.none() ? 0 : conv.output_size());
    if (!rows.none()) {
      const vision::Threads threads(conv.work());
      dnnl::primitive_attr attributes;
      vision::Run run(attributes);
      const auto desc = conv.forward(attributes);
      run.read(DNNL_ARG_SRC, rows.gather(params[0], input, &x), conv.input, vision::Tag::nchw, desc.src_desc());
      run.read(DNNL_ARG_WEIGHTS, params[1], conv.weight, conv.weight_tag(), desc.weights_desc());
      run.write(dnnl::convolution_forward(desc), desc.scratchpad_desc(), DNNL_ARG_DST, rows.all() ? output : y.data(),
                conv.output, vision::Tag::nchw, desc.dst_desc());
    }
    if (!rows.all()) rows.scatter(y, output, whole);
  });
}

// Inputs: gradient (B, O, h, w), weight (O, I / groups, y, x), input (B, I, H, W) (its shape only), settings.
// Output: gradient to the input. All float32.
extern "C" int ConvBackwardData(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 5) return 1;
  return vision::guarded("ConvBackwardData", [&] {
    vision::Convolution conv(shapes[2], shapes[1], shapes[0], static_cast<const float*>(params[3]));
    const auto rows = vision::Rows::with_gradient(static_cast<const float*>(params[0]), conv.output);
    float* result = static_cast<float*>(params[4]);
    const vision::memory::dims input = conv.input, output = conv.output;
    conv.input[0] = conv.output[0] = rows.size();
    std::vector<float> gradient, inner(rows.all() || rows.none() ? 0 : conv.input_size());
    if (!rows.none()) {
      const vision::Threads threads(conv.work());
      dnnl::primitive_attr attributes;
      vision::Run run(attributes);
      const dnnl::convolution_backward_data::primitive_desc desc(
          vision::engine(), dnnl::algorithm::convolution_direct, conv.any(conv.input), conv.any(conv.weight),
          conv.any(conv.output), conv.stride, conv.dilation, conv.before, conv.after, conv.forward(), attributes);
      run.read(DNNL_ARG_DIFF_DST, rows.gather(params[0], output, &gradient), conv.output, vision::Tag::nchw,
               desc.diff_dst_desc());
      run.read(DNNL_ARG_WEIGHTS, params[1], conv.weight, conv.weight_tag(), desc.weights_desc());
      run.write(dnnl::convolution_backward_data(desc), desc.scratchpad_desc(), DNNL_ARG_DIFF_SRC,
                rows.all() ? result : inner.data(), conv.input, vision::Tag::nchw, desc.diff_src_desc());
    }
    if (!rows.all()) rows.scatter(inner, result, input);
  });
}

// Inputs: gradient (B, O, h, w), input (B, I, H, W), weight (O, I / groups, y, x) (its shape only), settings.
// Output: gradient to the weight. All float32.
extern "C" int ConvBackwardWeights(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 5) return 1;
  return vision::guarded("ConvBackwardWeights", [&] {
    vision::Convolution conv(shapes[1], shapes[2], shapes[0], static_cast<const float*>(params[3]));
    const auto rows = vision::Rows::with_gradient(static_cast<const float*>(params[0]), conv.output);
    if (rows.none()) {
      std::fill_n(static_cast<float*>(params[4]), conv.weight_size(), 0.0f);
      return;
    }
    const vision::memory::dims input = conv.input, output = conv.output;
    conv.input[0] = conv.output[0] = rows.size();
    std::vector<float> gradient, x;
    const vision::Threads threads(conv.work());
    dnnl::primitive_attr attributes;
    vision::Run run(attributes);
    const dnnl::convolution_backward_weights::primitive_desc desc(
        vision::engine(), dnnl::algorithm::convolution_direct, conv.any(conv.input), conv.any(conv.weight),
        conv.any(conv.output), conv.stride, conv.dilation, conv.before, conv.after, conv.forward(), attributes);
    run.read(DNNL_ARG_DIFF_DST, rows.gather(params[0], output, &gradient), conv.output, vision::Tag::nchw,
             desc.diff_dst_desc());
    run.read(DNNL_ARG_SRC, rows.gather(params[1], input, &x), conv.input, vision::Tag::nchw, desc.src_desc());
    run.write(dnnl::convolution_backward_weights(desc), desc.scratchpad_desc(), DNNL_ARG_DIFF_WEIGHTS, params[4],
              conv.weight, conv.weight_tag(), desc.diff_weights_desc());
  });
}
