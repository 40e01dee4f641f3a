"""How commands end."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_reader_that_has_enough_of_the_help_sees_no_traceback():
    command = f"{sys.executable} train.py --help | head -n 1"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("Train a model") and not done.stderr
