// Which version of the operators' inputs and outputs a compiled library has: src/ops/library.py compares it with its own,
// so that a library built before a change is refused and does not read its inputs wrongly.

extern "C" int OperatorsVersion() { return 6; }
