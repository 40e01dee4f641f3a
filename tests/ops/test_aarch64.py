"""The CPU operators on the other processor that MindSpore's hosts have (most machines with an Ascend): compiled for it
as they are, they give the numbers of this one's, bit for bit, on cases of every operator, under qemu.
"""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from src.ops.build import CPU, HERE, LIBRARIES
from tests.ops import operator_cases

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64-static"
EACH = 60  # cases of an operator
missing = [name for name in (COMPILER, EMULATOR) if not shutil.which(name)]
needs_aarch64 = pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}; .ci/packages installs them")


def listed() -> list[str]:
    return re.findall(r"^OPERATOR\((\w+)\)$", (Path(__file__).parent / "operator_names.h").read_text(), re.MULTILINE)


def test_every_operator_of_the_library_has_cases():
    of_library = [
        name
        for source in LIBRARIES[CPU].sources
        for name in re.findall(r'^extern "C" int (\w+)\(int nparam', (HERE / source).read_text(), re.MULTILINE)
    ]
    assert sorted(of_library) == listed() == sorted(operator_cases.KINDS)


def test_cases_run_in_this_process():
    cases = operator_cases.random_cases(["AllFiniteForward"], 8, 1)
    for case, (status, (found,)) in zip(cases, operator_cases.run(HERE / "bin" / CPU, cases), strict=True):
        assert status == 0 and found[0] == all(np.isfinite(array).all() for array in case.inputs)


def same(case: operator_cases.Case, here: operator_cases.Result, there: operator_cases.Result) -> bool:
    """Bit for bit, but for the sign of what is not a number, and for soft NMS's exp, which is each C library's own."""
    close = 1e-6 if case.function == "SoftNmsForward" and case.inputs[-1][3] > 0 else 0.0
    pairs = zip(here[1], there[1], strict=True)
    return here[0] == there[0] == 0 and all(
        np.allclose(a, b, rtol=0, atol=close, equal_nan=a.dtype == np.float32) for a, b in pairs
    )


@pytest.mark.slow
@needs_aarch64
def test_operators_compiled_for_aarch64_give_the_same_bits(tmp_path):
    program = tmp_path / "run_operators"
    sources = [HERE / source for source in LIBRARIES[CPU].sources]
    flags = ["-std=c++17", "-O3", "-static", *LIBRARIES[CPU].flags, "-I", Path(__file__).parent]
    command = [COMPILER, *flags, Path(__file__).parent / "run_operators.cc", *sources, "-o", program]
    subprocess.run(list(map(str, command)), check=True, timeout=300)
    cases = operator_cases.random_cases(listed(), EACH, 25)
    operator_cases.write(tmp_path / "cases", cases)
    subprocess.run(
        [EMULATOR, str(program), str(tmp_path / "cases"), str(tmp_path / "results")], check=True, timeout=300
    )
    theirs = operator_cases.read_results(tmp_path / "results", cases)
    ours = operator_cases.run(HERE / "bin" / CPU, cases)
    all_of_them = zip(cases, ours, theirs, strict=True)
    wrong = [f"{case.function}, case {k}" for k, (case, a, b) in enumerate(all_of_them) if not same(case, a, b)]
    assert len(cases) == EACH * len(operator_cases.KINDS) and not wrong
