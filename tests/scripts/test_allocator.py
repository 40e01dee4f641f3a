import os
import subprocess
import sys
from pathlib import Path

import mindspore
import pytest

ROOT = Path(__file__).parents[2]
BUNDLED = Path(mindspore.__file__).parent / "lib" / "libjemalloc.so.2"


def preloaded(**environment: str) -> subprocess.CompletedProcess:
    """What a script's commands get as LD_PRELOAD."""
    variables = {name: value for name, value in os.environ.items() if name not in ("ALLOCATOR", "LD_PRELOAD")}
    script = f"set -euo pipefail; source {ROOT}/scripts/_common.sh; use_jemalloc; printenv LD_PRELOAD || true"
    environment = variables | {"PYTHON": sys.executable} | environment
    return subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60)


def test_the_scripts_take_the_allocator_that_mindspore_brings_and_say_so_once():
    done = preloaded()
    assert Path(done.stdout.strip()).samefile(BUNDLED) and BUNDLED.is_file()
    assert done.stderr.splitlines() == ["memory by MindSpore's jemalloc; ALLOCATOR=system leaves it out"]


@pytest.mark.parametrize("own", [{"ALLOCATOR": "system"}, {"PYTHON": "/nowhere/bin/python"}])
def test_the_machines_own_allocator_is_taken_when_asked_for_and_where_there_is_no_other(own):
    done = preloaded(**own)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_library_that_the_user_preloads_stays_alone():
    done = preloaded(LD_PRELOAD="libm.so.6")
    assert (done.stdout, done.stderr) == ("libm.so.6\n", "")


def test_an_unknown_allocator_is_one_line():
    done = preloaded(ALLOCATOR="tcmalloc")
    assert done.returncode != 0 and done.stderr == "error: ALLOCATOR must be jemalloc or system, not 'tcmalloc'\n"
