// What the program makes of a network's output: needs neither the SDK nor OpenCV.
#ifndef DEPLOY_MINDX_MXBASE_SEGMENTATION_H_
#define DEPLOY_MINDX_MXBASE_SEGMENTATION_H_

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace deploy {

// What went wrong, in one line for the user.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Where output pixel y of `out` reads in `in` pixels: (y + 0.5) * in / out - 0.5, or y * in / out (`seg_head.bilinear`).
enum class Bilinear { kHalfPixel, kAsymmetric };

struct Logits {
  const float *values;  // (channels, height, width)
  size_t channels;
  size_t height;
  size_t width;
};

struct Arguments {
  std::string image;
  std::string model = "../model/hrnetw48seg.om";
  Bilinear bilinear = Bilinear::kHalfPixel;
};

extern const char kUsage[];

// IMAGE [MODEL.om] [half_pixel | asymmetric]. Failure: another number, another word.
Arguments ParseArguments(const std::vector<std::string> &words);

// (height * width) classes: the logits, enlarged bilinearly, and the largest of each pixel.
std::vector<uint8_t> LabelMap(const Logits &logits, size_t height, size_t width, Bilinear bilinear);

// (N * 3) bytes: blue, green, red of Cityscapes' colours. Failure: a class that has none.
std::vector<uint8_t> Colours(const std::vector<uint8_t> &classes);

// NAME_infer.png beside NAME.ending.
std::string ResultPath(const std::string &image);

}  // namespace deploy

#endif  // DEPLOY_MINDX_MXBASE_SEGMENTATION_H_
