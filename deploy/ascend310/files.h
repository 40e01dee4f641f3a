// Everything of the Ascend 310 program that needs no Ascend: arguments, the list of inputs, files, timing.
//
// The folders are those of deploy/preprocess.py and postprocess.py; src/inference/binary_files.py describes them.
#ifndef DEPLOY_ASCEND310_FILES_H_
#define DEPLOY_ASCEND310_FILES_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace deploy {

// What went wrong, in one line for the user.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Arguments {
  std::filesystem::path mindir_path;
  std::filesystem::path preprocess_path;
  std::filesystem::path result_path;
  uint32_t device_id = 0;
};

extern const char kUsage[];

// `--name value` or `--name=value`, in any order. Failure: unknown, repeated or missing ones, a device that is no
// number, a model that is no file.
Arguments ParseArguments(const std::vector<std::string> &words);

struct Input {
  std::string name;
  std::filesystem::path file;
};

// The lines `NAME<tab>FILE` of FOLDER/inputs.txt, FILE relative to FOLDER.
// Failure, with the number of the line: another form, a name that is a path or comes twice; an empty list.
std::vector<Input> ReadInputList(const std::filesystem::path &folder);

// The `size` bytes of a file. Failure: it cannot be read, or holds another number of bytes.
std::vector<char> ReadBinary(const std::filesystem::path &file, size_t size);

// A new or empty folder that gets all of its files at once, by `Commit`, or none.
class ResultFolder {
 public:
  // Failure: the folder holds something, or nothing can be written beside it.
  explicit ResultFolder(const std::filesystem::path &folder);
  ~ResultFolder();
  ResultFolder(const ResultFolder &) = delete;
  ResultFolder &operator=(const ResultFolder &) = delete;

  // Failure: the file cannot be written.
  void Write(const std::string &name, const std::vector<char> &content);
  void Commit();

 private:
  std::filesystem::path folder_;
  std::filesystem::path unfinished_;
};

struct Timing {
  size_t count = 0;
  double seconds = 0;  // spent in the network alone
};

// The network: the bytes of one input -> the bytes of its output.
using Network = std::function<std::vector<char>(const std::vector<char> &)>;

struct Model {
  size_t input_size;  // bytes of one input
  Network network;
};

// Run the model that `open` gives on every input of the list and write NAME_0.bin for each. The list and the result
// folder are checked before the model is opened, which takes long, and all files before the first one is run.
// Failure: see above.
Timing RunInputs(const Arguments &arguments, const std::function<Model()> &open);

// `text` without line breaks, for messages of other programs.
std::string OneLine(std::string text);

}  // namespace deploy

#endif  // DEPLOY_ASCEND310_FILES_H_
