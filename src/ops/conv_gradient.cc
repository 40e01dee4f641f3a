// Convolutions by oneDNN 3: their gradients, and the forward pass where only some rows of a batch are used. MindSpore
// 2.8's own oneDNN 2.2 is given plain layouts, unfolds the image (im2col) and keeps that scratchpad for every layer.
//
// oneDNN chooses the layouts; tensors are reordered from and to NCHW around its kernel. Primitives are made at each call:
// oneDNN keeps those of the last shapes, which makes that cheap. A library of its own (bin/dnnl_ops_cpu.so): what does not
// train needs no oneDNN.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <numeric>
#include <unordered_map>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>
#include <omp.h>

namespace vision {

using dnnl::memory;
using Tag = memory::format_tag;

// Multiplications, some 0.4 ms: a second thread that has to be woken, or waits for a core, takes longer to help.
constexpr double WORK_OF_A_THREAD = 16e6;

static const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

// Shapes and settings of one convolution. settings: groups, stride, dilation (y and x each), padding (top, bottom, left,
// right); a padding of -1 is MindSpore's pad_mode "same".
struct Convolution {
  memory::dims input, weight, output, stride, dilation, before, after;
  bool grouped;

  Convolution(const int64_t* x, const int64_t* w, const int64_t* y, const float* settings)
      : input(x, x + 4), weight(w, w + 4), output(y, y + 4) {
    const int64_t groups = static_cast<int64_t>(settings[0]);
    for (int axis = 0; axis < 2; ++axis) {
      const int64_t step = static_cast<int64_t>(settings[1 + axis]), spread = static_cast<int64_t>(settings[3 + axis]);
      int64_t first = static_cast<int64_t>(settings[5 + 2 * axis]), last = static_cast<int64_t>(settings[6 + 2 * axis]);
      if (first < 0) {
        const int64_t covered = (output[2 + axis] - 1) * step + (weight[2 + axis] - 1) * spread + 1;
        const int64_t missing = std::max<int64_t>(0, covered - input[2 + axis]);
        first = missing / 2;
        last = missing - first;
      }
      stride.push_back(step);
      dilation.push_back(spread - 1);  // oneDNN counts the gaps
      before.push_back(first);
      after.push_back(last);
    }
    grouped = groups > 1;
    if (grouped) weight = {groups, weight[0] / groups, weight[1], weight[2], weight[3]};
  }

  // Multiplications of either gradient.
  double work() const {
    return static_cast<double>(output[0]) * output[1] * output[2] * output[3] * input[1] * weight[weight.size() - 2] *
           weight.back() / (grouped ? weight[0] : 1);
  }

  Tag weight_tag() const { return grouped ? Tag::goihw : Tag::oihw; }

  // The forward pass, to which both gradients refer.
  dnnl::convolution_forward::primitive_desc forward(const dnnl::primitive_attr& attributes = {}) const {
    return {engine(),    dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, any(input), any(weight),
            any(output), stride, dilation, before, after, attributes};
  }

  size_t input_size() const { return size_of(input); }
  size_t output_size() const { return size_of(output); }
  size_t weight_size() const { return size_of(weight); }

  static size_t size_of(const memory::dims& dims) {
    return std::accumulate(dims.begin(), dims.end(), size_t{1}, std::multiplies<>());
  }

  static memory::desc any(const memory::dims& dims) { return {dims, memory::data_type::f32, Tag::any}; }
};

// As many threads as the work is worth, while this object lives. Their number depends on shapes alone: so do the bits.
class Threads {
 public:
  explicit Threads(double work) : before_(omp_get_max_threads()) {
    omp_set_num_threads(static_cast<int>(std::min<double>(before_, 1 + work / WORK_OF_A_THREAD)));
  }
  ~Threads() { omp_set_num_threads(before_); }
  Threads(const Threads&) = delete;

 private:
  int before_;
};

// One run of a primitive on plain tensors, with everything in between freed afterwards.
class Run {
 public:
  explicit Run(dnnl::primitive_attr& attributes) : stream_(engine()) {
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  }

  // `data` of plain layout, in the layout that the primitive wants.
  void read(int argument, const void* data, const memory::dims& dims, Tag tag, const memory::desc& wanted) {
    memory plain({dims, memory::data_type::f32, tag}, engine(), const_cast<void*>(data));
    if (plain.get_desc() == wanted) {
      arguments_.emplace(argument, plain);
      return;
    }
    memory inner = allocate(wanted);
    dnnl::reorder(plain, inner).execute(stream_, plain, inner);
    arguments_.emplace(argument, inner);
  }

  // Executes the primitive; its result goes to `data` in plain layout.
  void write(const dnnl::primitive& primitive, const memory::desc& scratchpad, int argument, void* data,
             const memory::dims& dims, Tag tag, const memory::desc& given) {
    memory plain({dims, memory::data_type::f32, tag}, engine(), data);
    const bool direct = plain.get_desc() == given;
    memory inner = direct ? plain : allocate(given);
    arguments_.emplace(argument, inner);
    arguments_.emplace(DNNL_ARG_SCRATCHPAD, allocate(scratchpad));
    primitive.execute(stream_, arguments_);
    if (!direct) dnnl::reorder(inner, plain).execute(stream_, inner, plain);
    stream_.wait();
  }

 private:
  memory allocate(const memory::desc& desc) { return memory(desc, engine()); }

  dnnl::stream stream_;
  std::unordered_map<int, memory> arguments_;
};

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

template <typename Body>
static int guarded(const char* name, const Body& body) {
  try {
    body();
    return 0;
  } catch (const dnnl::error& error) {
    std::fprintf(stderr, "%s: oneDNN: %s\n", name, error.what());
    return 1;
  }
}

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
