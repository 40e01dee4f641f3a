// The CPU operators as a program, for processors that this machine has not got: run_operators CASES RESULTS.

#include <map>

#include "operator_cases.h"

#define OPERATOR(name) extern "C" int name(int, void**, int*, int64_t**, const char**, void*, void*);
#include "operator_names.h"
#undef OPERATOR

int main(int count, char** words) {
  if (count != 3) cases::leave("run_operators CASES RESULTS");
  const std::map<std::string, cases::Operator> operators = {
#define OPERATOR(name) {#name, name},
#include "operator_names.h"
#undef OPERATOR
  };
  auto all = cases::read(words[1]);
  std::vector<int32_t> statuses;
  for (auto& one : all) {
    const auto found = operators.find(one.function);
    if (found == operators.end()) cases::leave(("no operator " + one.function).c_str());
    statuses.push_back(cases::run(&one, found->second));
  }
  cases::write(words[2], all, statuses);
}
