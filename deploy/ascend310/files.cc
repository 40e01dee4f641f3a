#include "files.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <map>
#include <set>
#include <system_error>

namespace deploy {
namespace {

namespace fs = std::filesystem;

const char kListName[] = "inputs.txt";
const char kResultEnding[] = "_0.bin";

// The values of `--name value` and `--name=value` by their names.
std::map<std::string, std::string> ParseOptions(const std::vector<std::string> &words) {
  const std::set<std::string> known = {"--mindir_path", "--preprocess_path", "--result_path", "--device_id"};
  std::map<std::string, std::string> options;
  for (size_t k = 0; k < words.size(); ++k) {
    const size_t equals = words[k].find('=');
    const std::string name = words[k].substr(0, equals);
    if (known.count(name) == 0) {
      throw Failure("unknown argument " + words[k] + "; " + kUsage);
    }
    if (equals == std::string::npos && k + 1 == words.size()) {
      throw Failure(name + " has no value; " + kUsage);
    }
    const std::string value = equals == std::string::npos ? words[++k] : words[k].substr(equals + 1);
    if (!options.emplace(name, value).second) {
      throw Failure(name + " is given twice");
    }
  }
  return options;
}

uint32_t ParseDevice(const std::string &text) {
  uint32_t device = 0;
  const char *end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, device);
  if (text.empty() || error != std::errc() || stop != end) {
    throw Failure("--device_id must be a number from 0 on, not '" + text + "'");
  }
  return device;
}

// Absolute, without links, and without the slash at its end.
fs::path Resolved(const fs::path &path) {
  std::error_code error;
  const fs::path found = fs::weakly_canonical(fs::absolute(path, error), error);
  if (error) {
    throw Failure(path.string() + ": " + error.message());
  }
  return found.has_filename() ? found : found.parent_path();
}

void CheckSize(const fs::path &file, size_t size) {
  std::error_code error;
  const uintmax_t found = fs::file_size(file, error);
  if (error) {
    throw Failure(file.string() + ": cannot be read (" + error.message() + ")");
  }
  if (found != size) {
    throw Failure(file.string() + " holds " + std::to_string(found) + " bytes, but the model takes " +
                  std::to_string(size));
  }
}

Input ParseLine(const std::string &line, const fs::path &folder, const std::string &where) {
  const size_t tab = line.find('\t');
  if (tab == std::string::npos || tab == 0 || tab + 1 == line.size() || line.find('\t', tab + 1) != std::string::npos) {
    throw Failure(where + ": expected a name, a tab and a file");
  }
  const std::string name = line.substr(0, tab);
  if (name.find('/') != std::string::npos) {
    throw Failure(where + ": " + name + " is a path, not a name");
  }
  const fs::path file = line.substr(tab + 1);
  if (file.is_absolute() || std::find(file.begin(), file.end(), "..") != file.end()) {
    throw Failure(where + ": " + file.string() + " lies outside of " + folder.string());
  }
  return {name, folder / file};
}

}  // namespace

const char kUsage[] =
    "usage: ascend310_infer --mindir_path FILE --preprocess_path DIR --result_path DIR [--device_id N]";

Arguments ParseArguments(const std::vector<std::string> &words) {
  std::map<std::string, std::string> options = ParseOptions(words);
  for (const char *name : {"--mindir_path", "--preprocess_path", "--result_path"}) {
    if (options[name].empty()) {
      throw Failure(std::string(name) + " is missing; " + kUsage);
    }
  }
  Arguments arguments;
  arguments.mindir_path = options["--mindir_path"];
  arguments.preprocess_path = options["--preprocess_path"];
  arguments.result_path = options["--result_path"];
  if (const auto device = options.find("--device_id"); device != options.end()) {
    arguments.device_id = ParseDevice(device->second);
  }
  if (!fs::is_regular_file(arguments.mindir_path)) {
    throw Failure(arguments.mindir_path.string() + " is no file");
  }
  return arguments;
}

std::vector<Input> ReadInputList(const fs::path &folder) {
  const fs::path list = folder / kListName;
  std::ifstream stream(list);
  if (!stream) {
    throw Failure(list.string() + ": cannot be read; deploy/preprocess.py writes it");
  }
  std::vector<Input> inputs;
  std::set<std::string> names;
  std::string line;
  for (size_t number = 1; std::getline(stream, line); ++number) {
    const std::string where = list.string() + ", line " + std::to_string(number);
    inputs.push_back(ParseLine(line, folder, where));
    if (!names.insert(inputs.back().name).second) {
      throw Failure(where + ": " + inputs.back().name + " comes twice");
    }
  }
  if (stream.bad()) {
    throw Failure(list.string() + ": cannot be read");
  }
  if (inputs.empty()) {
    throw Failure(list.string() + " names no inputs");
  }
  return inputs;
}

std::vector<char> ReadBinary(const fs::path &file, size_t size) {
  CheckSize(file, size);
  std::vector<char> content(size);
  std::ifstream stream(file, std::ios::binary);
  if (!stream.read(content.data(), static_cast<std::streamsize>(size))) {
    throw Failure(file.string() + ": cannot be read");
  }
  return content;
}

ResultFolder::ResultFolder(const fs::path &folder) : folder_(Resolved(folder)) {
  std::error_code error;
  if (fs::exists(folder_) && !(fs::is_directory(folder_) && fs::is_empty(folder_, error))) {
    throw Failure(folder.string() + " is there already and not an empty folder: nothing is written over");
  }
  // The empty folder is replaced at the end. A mount point cannot be, which is better known now than then.
  if (fs::exists(folder_) && !(fs::remove(folder_, error) && fs::create_directory(folder_, error))) {
    throw Failure(folder.string() + " cannot be replaced (" + error.message() + "): name a new folder");
  }
  const fs::path beside = folder_.parent_path();
  const fs::path unfinished =
      beside / ("." + folder_.filename().string() + "." + std::to_string(getpid()) + ".unfinished");
  fs::create_directories(beside, error);
  if (error || !fs::create_directory(unfinished, error)) {
    throw Failure(folder.string() + " cannot be made: " +
                  (error ? error.message() : unfinished.string() + " is there"));
  }
  unfinished_ = unfinished;
}

ResultFolder::~ResultFolder() {
  if (!unfinished_.empty()) {
    std::error_code error;
    fs::remove_all(unfinished_, error);
  }
}

void ResultFolder::Write(const std::string &name, const std::vector<char> &content) {
  const fs::path file = unfinished_ / name;
  std::ofstream stream(file, std::ios::binary);
  stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  stream.close();
  if (!stream) {
    throw Failure((folder_ / name).string() + ": cannot be written");
  }
}

void ResultFolder::Commit() {
  std::error_code error;
  fs::rename(unfinished_, folder_, error);  // in the place of an empty folder too, and never of another one
  if (error) {
    throw Failure(folder_.string() + ": cannot be written (" + error.message() + ")");
  }
  unfinished_.clear();
}

Timing RunInputs(const Arguments &arguments, const std::function<Model()> &open) {
  const std::vector<Input> inputs = ReadInputList(arguments.preprocess_path);
  ResultFolder results(arguments.result_path);
  const Model model = open();
  for (const Input &input : inputs) {
    CheckSize(input.file, model.input_size);
  }
  Timing timing;
  for (const Input &input : inputs) {
    const std::vector<char> content = ReadBinary(input.file, model.input_size);
    const auto started = std::chrono::steady_clock::now();
    const std::vector<char> output = model.network(content);
    timing.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    ++timing.count;
    results.Write(input.name + kResultEnding, output);
  }
  results.Commit();
  return timing;
}

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::replace(text.begin(), text.end(), '\r', ' ');
  return text;
}

}  // namespace deploy
