// Convolutions on plain tensors by oneDNN 3, for the operators of bin/dnnl_ops_cpu.so. oneDNN chooses the layouts; tensors
// are reordered from and to NCHW around its kernel. Primitives are made at each call: oneDNN keeps those of the last shapes,
// which makes that cheap.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <numeric>
#include <unordered_map>

#include <oneapi/dnnl/dnnl.hpp>
#include <omp.h>

namespace vision {

using dnnl::memory;
using Tag = memory::format_tag;

// Multiplications, some 0.4 ms: a second thread that has to be woken, or waits for a core, takes longer to help.
constexpr double WORK_OF_A_THREAD = 16e6;

inline const dnnl::engine& engine() {
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

  // What is in the layout that the primitive wants.
  void take(int argument, const memory& data) { arguments_.emplace(argument, data); }

  // Executes the primitive; its result goes to `data` in plain layout. `start` holds what it adds to, if it does.
  void write(const dnnl::primitive& primitive, const memory::desc& scratchpad, int argument, void* data,
             const memory::dims& dims, Tag tag, const memory::desc& given, const void* start = nullptr) {
    memory plain({dims, memory::data_type::f32, tag}, engine(), data);
    const bool direct = plain.get_desc() == given;
    memory inner = direct ? plain : allocate(given);
    if (start != nullptr) {
      memory from(plain.get_desc(), engine(), const_cast<void*>(start));
      dnnl::reorder(from, inner).execute(stream_, from, inner);
    }
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

template <typename Body>
int guarded(const char* name, const Body& body) {
  try {
    body();
    return 0;
  } catch (const dnnl::error& error) {
    std::fprintf(stderr, "%s: oneDNN: %s\n", name, error.what());
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}

}  // namespace vision
