// Convolutions of inference by oneDNN 3: with bias, with the sum with another map and with the ReLU after it in one
// operator, and with weights that are kept in oneDNN's layout; the larger ones of 3x3 pixels by minimal filtering.

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "onednn.h"
#include "winograd.h"

namespace vision {

// Memory in whole pages of its own, which the system has back at once: among freed weights of other sizes an allocator
// finds no room for those in the next layout, and keeps both.
class Pages {
 public:
  explicit Pages(const memory::desc& desc)
      : size_(desc.get_size()), start_(mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (start_ == MAP_FAILED) throw std::bad_alloc();
    data_ = memory(desc, engine(), start_);
  }
  ~Pages() { munmap(start_, size_); }
  Pages(const Pages&) = delete;

  const memory& data() const { return data_; }

 private:
  size_t size_;
  void* start_;
  memory data_;
};

// Weights and biases of the layers that are alive, by their numbers. Each is kept once, in the layout of the last call, and
// beside that, where a shape asks for it, transformed.
class Layers {
 public:
  struct Layer {
    memory::dims dims;  // oihw, or goihw
    std::shared_ptr<const Pages> weight;  // a call that runs has it too
    std::shared_ptr<const Pages> transformed;  // `weight` as `Winograd` takes it; null until it is asked for
    memory bias;
  };

  void keep(int64_t number, const memory::dims& dims, Tag tag, int64_t channels, const float* weight,
            const float* bias) {
    const memory::desc plain(dims, memory::data_type::f32, tag), row({channels}, memory::data_type::f32, Tag::x);
    Layer layer{dims, std::make_shared<Pages>(plain), nullptr, memory(row, engine())};
    std::copy_n(weight, plain.get_size() / sizeof(float), static_cast<float*>(layer.weight->data().get_data_handle()));
    std::copy_n(bias, channels, static_cast<float*>(layer.bias.get_data_handle()));
    const std::lock_guard<std::mutex> lock(mutex_);
    layers_[number] = std::move(layer);
  }

  // std::out_of_range for a number that nobody has.
  memory::dims dims_of(int64_t number) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return layers_.at(number).dims;
  }

  // Weight in the layout that a primitive wants, and bias. Another layout takes the place of the one before.
  std::pair<std::shared_ptr<const Pages>, memory> find(int64_t number, const memory::desc& wanted) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Layer& layer = layers_.at(number);
    if (layer.weight->data().get_desc() != wanted) layer.weight = packed(layer.weight->data(), wanted);
    return {layer.weight, layer.bias};
  }

  // The weights (out, in, 3, 3), transformed, in the layout that `Winograd` wants, and bias.
  std::pair<std::shared_ptr<const Pages>, memory> find_transformed(int64_t number, const memory::desc& wanted) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Layer& layer = layers_.at(number);
    if (layer.transformed == nullptr) {
      const int64_t outputs = layer.dims[0], inputs = layer.dims[1];
      const auto plain = packed(layer.weight->data(), {layer.dims, memory::data_type::f32, Tag::oihw});
      const Pages numbers({{winograd::POINTS, inputs, outputs}, memory::data_type::f32, Tag::abc});
      winograd::transform_weights(static_cast<const float*>(plain->data().get_data_handle()), outputs, inputs,
                                  static_cast<float*>(numbers.data().get_data_handle()));
      layer.transformed = packed(numbers.data(), wanted);
    }
    return {layer.transformed, layer.bias};
  }

  void release(int64_t number) {
    const std::lock_guard<std::mutex> lock(mutex_);
    layers_.erase(number);
  }

  int count() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return static_cast<int>(layers_.size());
  }

  static Layers& all() {
    static Layers* const layers = new Layers;  // as long as the process: what ends later than others may still use it
    return *layers;
  }

 private:
  static std::shared_ptr<const Pages> packed(memory from, const memory::desc& wanted) {
    auto result = std::make_shared<const Pages>(wanted);
    memory to = result->data();
    dnnl::stream stream(engine());
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
    return result;
  }

  std::mutex mutex_;
  std::map<int64_t, Layer> layers_;
};

// One call of a layer: input (B, I, H, W), and the output (B, O, h, w); `added` (B, O, h, w) comes to the convolution before
// the ReLU, null for none.
struct Call {
  int64_t layer;
  const Convolution& conv;
  void* input;
  void* added;
  bool relu;
  void* output;
};

static memory::desc numbers(const memory::dims& dims, Tag layout) { return {dims, memory::data_type::f32, layout}; }

static void by_filtering(const Call& call) {
  const Winograd filtering(call.conv);
  const auto [weight, bias] = Layers::all().find_transformed(call.layer, filtering.weights_desc());
  filtering.run(call.input, weight->data(), bias, call.added, call.relu, call.output);
}

// Whether a convolution is a matrix product an image, of the maps as they are: to reorder them takes longer than the product.
static bool is_product(const Convolution& conv) {
  constexpr int64_t LEAST_PIXELS = 128;  // products with fewer columns are slow
  const auto &weight = conv.weight, &x = conv.input, &y = conv.output;
  const bool is_pixelwise = weight[2] == 1 && weight[3] == 1 && conv.stride == memory::dims{1, 1};
  return !conv.grouped && is_pixelwise && x[2] == y[2] && x[3] == y[3] && y[2] * y[3] >= LEAST_PIXELS;
}

static void by_product(const Call& call) {
  const auto &x = call.conv.input, &y = call.conv.output;
  const memory::desc output = numbers({y[0], y[1], y[2] * y[3]}, Tag::abc), column = numbers({1, y[1], 1}, Tag::abc);
  dnnl::post_ops after;
  after.append_binary(dnnl::algorithm::binary_add, column);
  if (call.added != nullptr) after.append_binary(dnnl::algorithm::binary_add, output);
  if (call.relu) after.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(after);
  Run run(attributes);
  const dnnl::matmul::primitive_desc desc(engine(), numbers({1, y[1], x[1]}, Tag::abc),
                                          numbers({x[0], x[1], y[2] * y[3]}, Tag::abc), output, attributes);
  const auto [weight, bias] = Layers::all().find(call.layer, numbers(call.conv.weight, Tag::oihw));
  run.take(DNNL_ARG_SRC, memory(desc.src_desc(), engine(), weight->data().get_data_handle()));
  run.take(DNNL_ARG_WEIGHTS, memory(desc.weights_desc(), engine(), call.input));
  run.take(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, memory(column, engine(), bias.get_data_handle()));
  if (call.added != nullptr) {
    run.take(DNNL_ARG_ATTR_MULTIPLE_POST_OP(1) | DNNL_ARG_SRC_1, memory(output, engine(), call.added));
  }
  run.write(dnnl::matmul(desc), desc.scratchpad_desc(), DNNL_ARG_DST, call.output, output.get_dims(), Tag::abc, output);
}

static void directly(const Call& call) {
  const Convolution& conv = call.conv;
  dnnl::post_ops after;
  if (call.added != nullptr) after.append_sum(1.0f);
  if (call.relu) after.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(after);
  Run run(attributes);
  const dnnl::convolution_forward::primitive_desc desc(
      engine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, conv.any(conv.input),
      conv.any(conv.weight), numbers({conv.output[1]}, Tag::x), conv.any(conv.output), conv.stride, conv.dilation,
      conv.before, conv.after, attributes);
  const auto [weight, bias] = Layers::all().find(call.layer, desc.weights_desc());
  run.read(DNNL_ARG_SRC, call.input, conv.input, Tag::nchw, desc.src_desc());
  run.take(DNNL_ARG_WEIGHTS, weight->data());
  run.take(DNNL_ARG_BIAS, bias);
  run.write(dnnl::convolution_forward(desc), desc.scratchpad_desc(), DNNL_ARG_DST, call.output, conv.output, Tag::nchw,
            desc.dst_desc(), call.added);
}

// params: input, layer (1) int64, settings (Convolution's, then whether ReLU follows). By which algorithm depends on
// shapes alone.
static void convolve(void** params, int64_t** shapes, const int64_t* output_shape, void* added, void* output) {
  const float* settings = static_cast<const float*>(params[2]);
  const int64_t number = *static_cast<const int64_t*>(params[1]);
  const memory::dims dims = Layers::all().dims_of(number);
  const memory::dims plain = dims.size() == 4 ? dims : memory::dims{dims[0] * dims[1], dims[2], dims[3], dims[4]};
  const Convolution conv(shapes[0], plain.data(), output_shape, settings);
  const Threads threads(conv.work());
  const Call call{number, conv, params[0], added, settings[9] != 0.0f, output};
  if (Winograd::suits(conv)) {
    by_filtering(call);
  } else if (is_product(conv)) {
    by_product(call);
  } else {
    directly(call);
  }
}

}  // namespace vision

// Inputs: input, layer, settings. Output: the convolution. See `convolve`; float32 but for the layer's number.
extern "C" int ConvInference(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 4) return 1;
  return vision::guarded("ConvInference", [&] { vision::convolve(params, shapes, shapes[3], nullptr, params[3]); });
}

// Inputs: input, layer, settings, added.
extern "C" int ConvSumInference(int nparam, void** params, int*, int64_t** shapes, const char**, void*, void*) {
  if (nparam != 5) return 1;
  return vision::guarded("ConvSumInference",
                         [&] { vision::convolve(params, shapes, shapes[4], params[3], params[4]); });
}

// From now on this number is a layer with these weights (out, in, y, x) and biases (out), which are copied.
extern "C" int KeepLayer(int64_t number, int64_t groups, const int64_t* shape, const float* weight, const float* bias) {
  return vision::guarded("KeepLayer", [&] {
    const bool grouped = groups > 1;
    vision::memory::dims dims(shape, shape + 4);
    if (grouped) dims = {groups, shape[0] / groups, shape[1], shape[2], shape[3]};
    vision::Layers::all().keep(number, dims, grouped ? vision::Tag::goihw : vision::Tag::oihw, shape[0], weight, bias);
  });
}

// The layer of this number is gone.
extern "C" void ReleaseLayer(int64_t number) { vision::Layers::all().release(number); }

// How many layers there are.
extern "C" int CountLayers() { return vision::Layers::all().count(); }
