// The CUDA kernels as a program without a GPU: run_kernels CASES RESULTS. Kernels that are not linked are not there.

#include <map>

#include "../operator_cases.h"

#define KERNELS(KERNEL)                                                                                           \
  KERNEL(IoUAssignForward) KERNEL(MaskCropForward) KERNEL(NmsForward) KERNEL(PointSampleBackward)                 \
  KERNEL(PointSampleBackwardOrdered) KERNEL(PointSampleForward) KERNEL(RoiAlignBackward)                          \
  KERNEL(RoiAlignBackwardOrdered) KERNEL(RoiAlignForward)

#define DECLARE(name) \
  extern "C" __attribute__((weak)) int name(int, void**, int*, int64_t**, const char**, void*, void*);
#define LIST(name) {#name, static_cast<cases::Operator>(name)},

KERNELS(DECLARE)

int main(int count, char** words) {
  if (count != 3) cases::leave("run_kernels CASES RESULTS");
  const std::map<std::string, cases::Operator> kernels = {KERNELS(LIST)};
  auto all = cases::read(words[1]);
  std::vector<int32_t> statuses;
  for (auto& one : all) {
    const auto found = kernels.find(one.function);
    if (found == kernels.end() || !found->second) cases::leave(("no kernel " + one.function).c_str());
    statuses.push_back(cases::run(&one, found->second));
  }
  cases::write(words[2], all, statuses);
}
