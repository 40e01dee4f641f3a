// Cases of the compiled operators out of a file that tests/ops/operator_cases.py writes, and what they gave into another
// one. Little-endian machines of 64 bits.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace cases {

struct Tensor {
  std::string dtype;  // MindSpore's name of it
  std::vector<int64_t> shape;
  std::vector<char> data;
};

// tensors: inputs, then outputs, as an operator takes them.
struct Case {
  std::string function;
  uint32_t inputs = 0;
  std::vector<Tensor> tensors;
};

// What ahead-of-time custom operators of MindSpore look like.
using Operator = int (*)(int, void**, int*, int64_t**, const char**, void*, void*);

[[noreturn]] inline void leave(const char* why) {
  std::fprintf(stderr, "error: %s\n", why);
  std::exit(2);
}

struct File {
  std::FILE* file;
  File(const char* path, const char* mode) : file(std::fopen(path, mode)) {
    if (!file) leave("a file cannot be opened");
  }
  ~File() { std::fclose(file); }
  void read(void* to, size_t bytes) {
    if (bytes && std::fread(to, 1, bytes, file) != bytes) leave("the cases are cut off");
  }
  void write(const void* from, size_t bytes) {
    if (bytes && std::fwrite(from, 1, bytes, file) != bytes) leave("the results cannot be written");
  }
  template <typename Number>
  Number number() {
    Number value;
    read(&value, sizeof(value));
    return value;
  }
  std::string text() {
    std::string value(number<uint32_t>(), '\0');
    read(&value[0], value.size());
    return value;
  }
};

constexpr char kMagic[] = "OPCASE01";
constexpr char kUnwritten = 0x5a;  // what outputs hold before the operator runs

inline std::vector<Case> read(const char* path) {
  File file(path, "rb");
  char magic[8];
  file.read(magic, 8);
  if (std::memcmp(magic, kMagic, 8) != 0) leave("no file of cases");
  std::vector<Case> all(file.number<uint32_t>());
  for (Case& one : all) {
    one.function = file.text();
    one.inputs = file.number<uint32_t>();
    one.tensors.resize(file.number<uint32_t>());
    for (size_t k = 0; k < one.tensors.size(); ++k) {
      Tensor& tensor = one.tensors[k];
      tensor.dtype = file.text();
      tensor.shape.resize(file.number<uint32_t>());
      file.read(tensor.shape.data(), tensor.shape.size() * sizeof(int64_t));
      tensor.data.assign(file.number<uint64_t>(), kUnwritten);
      if (k < one.inputs) file.read(tensor.data.data(), tensor.data.size());
    }
  }
  return all;
}

// Its exit status.
inline int run(Case* one, Operator function) {
  std::vector<void*> params;
  std::vector<int> ndims;
  std::vector<int64_t*> shapes;
  std::vector<const char*> dtypes;
  for (Tensor& tensor : one->tensors) {
    params.push_back(tensor.data.data());
    ndims.push_back(static_cast<int>(tensor.shape.size()));
    shapes.push_back(tensor.shape.data());
    dtypes.push_back(tensor.dtype.c_str());
  }
  return function(static_cast<int>(params.size()), params.data(), ndims.data(), shapes.data(), dtypes.data(), nullptr,
                  nullptr);
}

// A case after the other: status int32, then each output's bytes.
inline void write(const char* path, const std::vector<Case>& all, const std::vector<int32_t>& statuses) {
  File file(path, "wb");
  for (size_t i = 0; i < all.size(); ++i) {
    file.write(&statuses[i], sizeof(int32_t));
    for (size_t k = all[i].inputs; k < all[i].tensors.size(); ++k) {
      file.write(all[i].tensors[k].data.data(), all[i].tensors[k].data.size());
    }
  }
}

}  // namespace cases
