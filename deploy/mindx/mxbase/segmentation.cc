#include "segmentation.h"

#include <algorithm>

namespace deploy {
namespace {

// Cityscapes' 19 classes: red, green, blue.
const uint8_t kPalette[][3] = {
    {128, 64, 128}, {244, 35, 232}, {70, 70, 70},   {102, 102, 156}, {190, 153, 153}, {153, 153, 153}, {250, 170, 30},
    {220, 220, 0},  {107, 142, 35}, {152, 251, 152}, {70, 130, 180}, {220, 20, 60},   {255, 0, 0},     {0, 0, 142},
    {0, 0, 70},     {0, 60, 100},   {0, 80, 100},   {0, 0, 230},     {119, 11, 32},
};
const size_t kClasses = sizeof(kPalette) / sizeof(kPalette[0]);

// Between which two pixels an output pixel lies, and the share of the second.
struct Place {
  size_t low;
  size_t high;
  float share;
};

std::vector<Place> Places(size_t in, size_t out, Bilinear bilinear) {
  std::vector<Place> places(out);
  const float offset = bilinear == Bilinear::kHalfPixel ? 0.5f : 0.0f;
  for (size_t k = 0; k < out; ++k) {
    const float source = std::max((k + offset) * (static_cast<float>(in) / out) - offset, 0.0f);
    const size_t low = std::min(static_cast<size_t>(source), in - 1);
    places[k] = {low, std::min(low + 1, in - 1), source - low};
  }
  return places;
}

float Between(float low, float high, float share) { return low + (high - low) * share; }

}  // namespace

const char kUsage[] = "usage: hrnetw48seg IMAGE [MODEL.om] [half_pixel | asymmetric]";

Arguments ParseArguments(const std::vector<std::string> &words) {
  if (words.empty() || words.size() > 3 || words[0].empty()) {
    throw Failure(kUsage);
  }
  Arguments arguments;
  arguments.image = words[0];
  if (words.size() > 1) {
    arguments.model = words[1];
  }
  if (words.size() > 2 && words[2] != "half_pixel" && words[2] != "asymmetric") {
    throw Failure("enlarging is half_pixel or asymmetric, not '" + words[2] + "'");
  }
  if (words.size() > 2 && words[2] == "asymmetric") {
    arguments.bilinear = Bilinear::kAsymmetric;
  }
  return arguments;
}

std::vector<uint8_t> LabelMap(const Logits &logits, size_t height, size_t width, Bilinear bilinear) {
  const std::vector<Place> rows = Places(logits.height, height, bilinear);
  const std::vector<Place> columns = Places(logits.width, width, bilinear);
  std::vector<uint8_t> classes(height * width);
  std::vector<float> row(logits.width), best(width);
  for (size_t y = 0; y < height; ++y) {
    uint8_t *line = classes.data() + y * width;
    for (size_t c = 0; c < logits.channels; ++c) {
      const float *plane = logits.values + c * logits.height * logits.width;
      const float *low = plane + rows[y].low * logits.width;
      const float *high = plane + rows[y].high * logits.width;
      for (size_t x = 0; x < logits.width; ++x) {
        row[x] = Between(low[x], high[x], rows[y].share);
      }
      for (size_t x = 0; x < width; ++x) {
        const float value = Between(row[columns[x].low], row[columns[x].high], columns[x].share);
        if (c == 0 || value > best[x]) {
          best[x] = value;
          line[x] = static_cast<uint8_t>(c);
        }
      }
    }
  }
  return classes;
}

std::vector<uint8_t> Colours(const std::vector<uint8_t> &classes) {
  std::vector<uint8_t> pixels;
  pixels.reserve(classes.size() * 3);
  for (const uint8_t one : classes) {
    if (one >= kClasses) {
      throw Failure("class " + std::to_string(one) + " is none of Cityscapes' " + std::to_string(kClasses));
    }
    pixels.insert(pixels.end(), {kPalette[one][2], kPalette[one][1], kPalette[one][0]});
  }
  return pixels;
}

std::string ResultPath(const std::string &image) {
  const size_t name = image.find_last_of('/') + 1;  // npos + 1 is 0
  const size_t dot = image.find_last_of('.');
  const bool has_ending = dot != std::string::npos && dot > name;
  return (has_ending ? image.substr(0, dot) : image) + "_infer.png";
}

}  // namespace deploy
