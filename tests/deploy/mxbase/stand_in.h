// Stand-in for the classes of MxBase and OpenCV that deploy/mindx/mxbase uses, by the signatures of the published headers.
//
// "Device" memory is the host's. A model file holds "HEIGHT WIDTH CLASSES"; the network looks at the image as AIPP gives
// it (hrnetw48seg_aipp.cfg): class k likes one channel's values near a level of its own. Images are PPM files.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

using APP_ERROR = int;
const APP_ERROR APP_ERR_OK = 0;
const APP_ERROR APP_ERR_STAND_IN = 1001;

inline void Say(const std::string &what) { std::cout << what << std::endl; }

namespace MxBase {

struct MemoryData {
  enum MemoryType { MEMORY_HOST, MEMORY_DEVICE, MEMORY_DVPP, MEMORY_HOST_MALLOC, MEMORY_HOST_NEW };
  MemoryData(size_t size, MemoryType type = MEMORY_HOST, size_t device = 0) : size(size), deviceId(device), type(type) {}
  MemoryData(void *data, size_t size, MemoryType type = MEMORY_HOST, size_t device = 0)
      : ptrData(data), size(size), deviceId(device), type(type) {}
  void *ptrData = nullptr;
  size_t size;
  size_t deviceId;
  MemoryType type;
};

class MemoryHelper {
 public:
  static APP_ERROR MxbsMallocAndCopy(MemoryData &dest, const MemoryData &src) {
    if (dest.size != src.size || dest.type != MemoryData::MEMORY_DEVICE) return APP_ERR_STAND_IN;
    dest.ptrData = malloc(dest.size);
    memcpy(dest.ptrData, src.ptrData, src.size);
    return APP_ERR_OK;
  }
};

enum TensorDataType { TENSOR_DTYPE_UNDEFINED = -1, TENSOR_DTYPE_FLOAT32 = 0, TENSOR_DTYPE_FLOAT16 = 1, TENSOR_DTYPE_UINT8 = 4 };

class TensorBase {
 public:
  TensorBase() = default;
  TensorBase(const MemoryData &memory, const bool &borrowed, const std::vector<uint32_t> &shape, const TensorDataType &type)
      : shape_(shape), type_(type), on_host_(memory.type != MemoryData::MEMORY_DEVICE) {
    buffer_ = borrowed ? std::shared_ptr<void>(memory.ptrData, [](void *) {}) : std::shared_ptr<void>(memory.ptrData, free);
  }
  TensorBase(const std::vector<uint32_t> &shape, const TensorDataType &type, const MemoryData::MemoryType &memory,
             const int32_t &)
      : shape_(shape), type_(type), on_host_(memory != MemoryData::MEMORY_DEVICE) {}
  static APP_ERROR TensorBaseMalloc(TensorBase &tensor) {
    tensor.buffer_ = std::shared_ptr<void>(malloc(tensor.Elements() * sizeof(float)), free);
    return APP_ERR_OK;
  }
  std::vector<uint32_t> GetShape() const { return shape_; }
  TensorDataType GetDataType() const { return type_; }
  void *GetBuffer() const { return buffer_.get(); }
  APP_ERROR ToHost() {
    on_host_ = true;
    return APP_ERR_OK;
  }
  size_t Elements() const {
    size_t count = 1;
    for (const uint32_t side : shape_) count *= side;
    return count;
  }

 private:
  std::vector<uint32_t> shape_;
  TensorDataType type_ = TENSOR_DTYPE_UINT8;
  bool on_host_ = true;
  std::shared_ptr<void> buffer_;
};

struct TensorDesc {
  size_t tensorSize;
  std::string tensorName;
  std::vector<int64_t> tensorDims;
};

struct ImageSize {
  size_t height;
  size_t width;
};

enum DynamicType { STATIC_BATCH = 0, DYNAMIC_BATCH = 1, DYNAMIC_HW = 2, DYNAMIC_DIMS = 3, DYNAMIC_SHAPE = 4 };

struct DynamicInfo {
  DynamicType dynamicType = DYNAMIC_BATCH;
  size_t batchSize;
  ImageSize imageSize = {};
  std::vector<std::vector<uint32_t>> shape = {};
};

struct ModelDesc {
  std::vector<TensorDesc> inputTensors;
  std::vector<TensorDesc> outputTensors;
  std::vector<size_t> batchSizes;
  bool dynamicBatch;
};

class ModelInferenceProcessor {
 public:
  APP_ERROR Init(std::string path, ModelDesc &description) {
    int64_t height = 0, width = 0, classes = 0;
    if (!(std::ifstream(path) >> height >> width >> classes)) return APP_ERR_STAND_IN;
    height_ = height, width_ = width;
    description.inputTensors = {{static_cast<size_t>(height * width * 3), "image", {1, height, width, 3}}};
    description.outputTensors = {{0, "logits", {1, classes, (height + 3) / 4, (width + 3) / 4}}};
    return APP_ERR_OK;
  }
  APP_ERROR DeInit(void) {
    Say("model closed");
    return APP_ERR_OK;
  }
  std::vector<TensorDataType> GetOutputDataType() const { return {TENSOR_DTYPE_FLOAT32}; }
  APP_ERROR ModelInference(const std::vector<TensorBase> &inputs, std::vector<TensorBase> &outputs, DynamicInfo dynamic) {
    if (dynamic.dynamicType != STATIC_BATCH || inputs[0].GetDataType() != TENSOR_DTYPE_UINT8) return APP_ERR_STAND_IN;
    const float means[] = {123.675f, 116.28f, 103.53f}, reciprocals[] = {0.01712475f, 0.017507f, 0.01742919f};
    const uint8_t *pixels = static_cast<const uint8_t *>(inputs[0].GetBuffer());
    float *values = static_cast<float *>(outputs[0].GetBuffer());
    const std::vector<uint32_t> shape = outputs[0].GetShape();
    for (uint32_t k = 0; k < shape[1]; ++k) {
      for (uint32_t y = 0; y < shape[2]; ++y) {
        for (uint32_t x = 0; x < shape[3]; ++x) {
          const uint8_t value = pixels[(4 * y * width_ + 4 * x) * 3 + 2 - k % 3];  // rbuv_swap_switch
          const float normalised = (value - means[k % 3]) * reciprocals[k % 3];
          *values++ = -std::fabs(normalised - (static_cast<int>(k) - 9) / 6.0f);
        }
      }
    }
    return APP_ERR_OK;
  }

 private:
  size_t height_ = 0, width_ = 0;
};

class DeviceManager {
 public:
  static DeviceManager *GetInstance() {
    static DeviceManager manager;
    return &manager;
  }
  APP_ERROR InitDevices(std::string = "") { return getenv("NO_DEVICE") ? APP_ERR_STAND_IN : APP_ERR_OK; }
  APP_ERROR DestroyDevices() {
    Say("devices closed");
    return APP_ERR_OK;
  }
};

class TensorContext {
 public:
  static std::shared_ptr<TensorContext> GetInstance() { return std::make_shared<TensorContext>(); }
  APP_ERROR SetContext(uint32_t) { return APP_ERR_OK; }
};

}  // namespace MxBase

namespace cv {

enum { IMREAD_COLOR = 1 };
const int CV_8UC3 = 16;

class Mat {
 public:
  Mat() = default;
  Mat(int rows, int cols, int, void *pixels = nullptr) : rows(rows), cols(cols) {
    if (!pixels) own_.resize(static_cast<size_t>(rows) * cols * 3);
    data = pixels ? static_cast<uint8_t *>(pixels) : own_.data();
  }
  bool empty() const { return data == nullptr; }
  bool isContinuous() const { return true; }
  Mat clone() const { return *this; }
  int rows = 0, cols = 0;
  uint8_t *data = nullptr;

 private:
  std::vector<uint8_t> own_;
};

inline void Swap(const uint8_t *from, uint8_t *to, size_t pixels) {
  for (size_t k = 0; k < pixels; ++k) {
    for (int c = 0; c < 3; ++c) to[3 * k + c] = from[3 * k + 2 - c];
  }
}

inline Mat imread(const std::string &path, int) {
  std::ifstream file(path, std::ios::binary);
  std::string kind;
  int width = 0, height = 0, most = 0;
  if (!(file >> kind >> width >> height >> most) || kind != "P6") return Mat();
  file.get();
  std::vector<uint8_t> rgb(static_cast<size_t>(width) * height * 3);
  file.read(reinterpret_cast<char *>(rgb.data()), rgb.size());
  auto pixels = new uint8_t[rgb.size()];  // as long as the program
  Swap(rgb.data(), pixels, rgb.size() / 3);
  return Mat(height, width, CV_8UC3, pixels);
}

inline bool imwrite(const std::string &path, const Mat &image) {
  std::vector<uint8_t> rgb(static_cast<size_t>(image.rows) * image.cols * 3);
  Swap(image.data, rgb.data(), rgb.size() / 3);
  std::ofstream file(path, std::ios::binary);
  file << "P6\n" << image.cols << " " << image.rows << "\n255\n";
  file.write(reinterpret_cast<const char *>(rgb.data()), rgb.size());
  return file.good();
}

}  // namespace cv

using cv::CV_8UC3;
