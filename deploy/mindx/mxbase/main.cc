// The segmentation of one image on an Ascend 310 by MxBase of the MindX SDK: a picture beside it.
//
// Written for the published headers of MindX SDK (mxVision) 3.0. Not run: see deploy/README.md. AIPP in the OM file takes
// the image as OpenCV decodes it, blue first; the network gives logits of a quarter of its sides.
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <opencv2/opencv.hpp>

#include "MxBase/DeviceManager/DeviceManager.h"
#include "MxBase/ModelInfer/ModelInferenceProcessor.h"
#include "MxBase/Tensor/TensorContext/TensorContext.h"
#include "segmentation.h"

namespace {

using deploy::Failure;

const uint32_t kDevice = 0;
const size_t kChannels = 3;
const size_t kStride = 4;  // pixels of the image for one of the logits

void Check(APP_ERROR code, const std::string &what) {
  if (code != APP_ERR_OK) {
    throw Failure(what + " (error " + std::to_string(code) + ")");
  }
}

bool IsThere(const std::string &path) { return std::ifstream(path).good(); }

// The SDK's devices, for as long as this lives.
class Devices {
 public:
  Devices() { Check(MxBase::DeviceManager::GetInstance()->InitDevices(), "the devices cannot be opened"); }
  ~Devices() { MxBase::DeviceManager::GetInstance()->DestroyDevices(); }
  Devices(const Devices &) = delete;
  Devices &operator=(const Devices &) = delete;
};

// An OM file with one uint8 input and one float32 output of (1, classes, height, width).
class Network {
 public:
  explicit Network(const std::string &path) : path_(path) {
    Check(MxBase::TensorContext::GetInstance()->SetContext(kDevice), "device 0 cannot be used");
    Check(processor_.Init(path, description_), path + " cannot be loaded");
    if (description_.inputTensors.size() != 1 || description_.outputTensors.size() != 1) {
      throw Failure(path + " has not one input and one output");
    }
    for (const int64_t side : description_.outputTensors[0].tensorDims) {
      shape_.push_back(static_cast<uint32_t>(side));
    }
    if (shape_.size() != 4 || shape_[0] != 1 || processor_.GetOutputDataType()[0] != MxBase::TENSOR_DTYPE_FLOAT32) {
      throw Failure(path + " does not give (1, classes, height, width) of float32");
    }
  }
  ~Network() { processor_.DeInit(); }
  Network(const Network &) = delete;
  Network &operator=(const Network &) = delete;

  // Failure where an image of this size is not what the network takes.
  void CheckSize(const std::string &name, size_t height, size_t width) const {
    const bool fits = (height + kStride - 1) / kStride == shape_[2] && (width + kStride - 1) / kStride == shape_[3];
    if (!fits || height * width * kChannels != description_.inputTensors[0].tensorSize) {
      throw Failure(name + " has " + std::to_string(width) + "x" + std::to_string(height) + " pixels, which " + path_ +
                    " does not take: about " + std::to_string(shape_[3] * kStride) + "x" +
                    std::to_string(shape_[2] * kStride));
    }
  }

  // (height * width) classes of an image of (height, width, 3) bytes.
  std::vector<uint8_t> Run(uint8_t *pixels, size_t height, size_t width, deploy::Bilinear bilinear) {
    const size_t size = height * width * kChannels;
    MxBase::MemoryData on_host(pixels, size, MxBase::MemoryData::MEMORY_HOST_MALLOC);
    MxBase::MemoryData on_device(size, MxBase::MemoryData::MEMORY_DEVICE, kDevice);
    Check(MxBase::MemoryHelper::MxbsMallocAndCopy(on_device, on_host), "the image cannot be copied to the device");
    const std::vector<uint32_t> shape = {static_cast<uint32_t>(height * kChannels), static_cast<uint32_t>(width)};
    const std::vector<MxBase::TensorBase> inputs = {
        MxBase::TensorBase(on_device, false, shape, MxBase::TENSOR_DTYPE_UINT8)};
    std::vector<MxBase::TensorBase> outputs = {
        MxBase::TensorBase(shape_, MxBase::TENSOR_DTYPE_FLOAT32, MxBase::MemoryData::MEMORY_DEVICE, kDevice)};
    Check(MxBase::TensorBase::TensorBaseMalloc(outputs[0]), "no memory for the output");
    MxBase::DynamicInfo dynamic = {};
    dynamic.dynamicType = MxBase::DynamicType::STATIC_BATCH;
    Check(processor_.ModelInference(inputs, outputs, dynamic), path_ + " cannot be run");
    Check(outputs[0].ToHost(), "the output cannot be copied from the device");
    const deploy::Logits logits = {static_cast<const float *>(outputs[0].GetBuffer()), shape_[1], shape_[2], shape_[3]};
    if (logits.values == nullptr) {
      throw Failure("the output cannot be read");
    }
    return deploy::LabelMap(logits, height, width, bilinear);
  }

 private:
  std::string path_;
  MxBase::ModelDesc description_;
  MxBase::ModelInferenceProcessor processor_;
  std::vector<uint32_t> shape_;
};

void Segment(const deploy::Arguments &arguments) {
  const std::string result = deploy::ResultPath(arguments.image);
  if (IsThere(result)) {
    throw Failure(result + " is there already: nothing is written over");
  }
  if (!IsThere(arguments.model)) {
    throw Failure(arguments.model + " does not exist; deploy/mindx/convert.sh makes it");
  }
  cv::Mat image = cv::imread(arguments.image, cv::IMREAD_COLOR);
  if (image.empty()) {
    throw Failure(arguments.image + " cannot be read as an image");
  }
  if (!image.isContinuous()) {
    image = image.clone();
  }
  const Devices devices;
  Network network(arguments.model);
  network.CheckSize(arguments.image, image.rows, image.cols);
  std::vector<uint8_t> colours =
      deploy::Colours(network.Run(image.data, image.rows, image.cols, arguments.bilinear));
  if (!cv::imwrite(result, cv::Mat(image.rows, image.cols, CV_8UC3, colours.data()))) {
    throw Failure(result + " cannot be written");
  }
  std::cout << result << std::endl;
}

}  // namespace

int main(int argc, char **argv) {
  try {
    Segment(deploy::ParseArguments(std::vector<std::string>(argv + 1, argv + argc)));
  } catch (const std::exception &error) {
    std::cerr << "error: " << error.what() << std::endl;
    return 2;
  }
  return 0;
}
