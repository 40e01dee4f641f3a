// Segmentation outside of Python, step 2 of 3: a MINDIR file over binary inputs on an Ascend 310.
//
// Written for MindSpore Lite 2.7.1, its package for Ascend ("cloud-side inference"). Not run: see deploy/README.md.
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "files.h"
#include "include/api/context.h"
#include "include/api/model.h"
#include "include/api/status.h"
#include "include/api/types.h"

namespace {

using deploy::Failure;

void Check(const mindspore::Status &status, const std::string &what) {
  if (status != mindspore::kSuccess) {
    throw Failure(what + ": " + deploy::OneLine(status.ToString()));
  }
}

// MINDIR files of export.py have one float32 input and one float32 output.
void CheckPort(const std::vector<mindspore::MSTensor> &tensors, const std::string &model, const std::string &what) {
  if (tensors.size() != 1) {
    throw Failure(model + " has " + std::to_string(tensors.size()) + " " + what + "s, not 1");
  }
  if (tensors[0].DataType() != mindspore::DataType::kNumberTypeFloat32) {
    throw Failure(model + ": its " + what + " is not float32");
  }
}

// An exported network on one Ascend device.
class AscendModel {
 public:
  AscendModel(const std::string &path, uint32_t device_id) : path_(path) {
    auto device = std::make_shared<mindspore::AscendDeviceInfo>();
    device->SetDeviceID(device_id);
    auto context = std::make_shared<mindspore::Context>();
    context->MutableDeviceInfo().push_back(device);
    Check(model_.Build(path, mindspore::kMindIR, context), path + " cannot be built for Ascend device " +
                                                               std::to_string(device_id));
    inputs_ = model_.GetInputs();
    CheckPort(inputs_, path_, "input");
  }

  size_t InputSize() const { return inputs_[0].DataSize(); }

  std::vector<char> Run(const std::vector<char> &pixels) {
    void *memory = inputs_[0].MutableData();
    if (memory == nullptr) {
      throw Failure(path_ + ": no memory for its input");
    }
    std::memcpy(memory, pixels.data(), pixels.size());
    std::vector<mindspore::MSTensor> outputs;
    Check(model_.Predict(inputs_, &outputs), path_ + " cannot be run");
    CheckPort(outputs, path_, "output");
    const std::shared_ptr<const void> values = outputs[0].Data();
    if (values == nullptr) {
      throw Failure(path_ + ": its output cannot be read");
    }
    const char *first = static_cast<const char *>(values.get());
    return std::vector<char>(first, first + outputs[0].DataSize());
  }

 private:
  std::string path_;
  mindspore::Model model_;
  std::vector<mindspore::MSTensor> inputs_;
};

}  // namespace

int main(int argc, char **argv) {
  try {
    const deploy::Arguments arguments = deploy::ParseArguments(std::vector<std::string>(argv + 1, argv + argc));
    const deploy::Timing timing = deploy::RunInputs(arguments, [&arguments] {
      const auto model = std::make_shared<AscendModel>(arguments.mindir_path.string(), arguments.device_id);
      return deploy::Model{model->InputSize(), [model](const std::vector<char> &pixels) { return model->Run(pixels); }};
    });
    std::printf("%zu results in %s, %.4f s each\n", timing.count, arguments.result_path.c_str(),
                timing.seconds / static_cast<double>(timing.count));
  } catch (const std::exception &error) {
    std::cerr << "error: " << error.what() << std::endl;
    return 2;
  }
  return 0;
}
