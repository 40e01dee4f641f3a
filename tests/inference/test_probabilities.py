"""The last bit of a score does not depend on where numbers happen to lie in memory."""

import re
from pathlib import Path

import numpy as np
import pytest

from src.inference.probabilities import probabilities

SOURCE = Path(__file__).parents[2] / "src"
# numpy's loops of these have, with AVX-512, another last bit where the result lies right beside the operand: of float64
# all of them, of float32 all but exp and log.
UNSTEADY = r"\bnp\.(exp|exp2|expm1|log|log2|log10|log1p|power|cbrt|tan|arctan|arctan2)\("
STEADY = {  # in place, or of float32
    "np.exp(shares, out=shares)", "np.exp(logits[:, :height, :width] - shift)",
}  # fmt: skip


def test_they_are_the_softmax():
    """Of (0, log 3): 1/4 and 3/4, of any shift."""
    rows = np.log(np.float64([[1, 3], [2, 6], [5, 5]])) + np.float64([[0], [1000], [-1000]])
    found = probabilities(rows)
    assert found == pytest.approx(np.array([[0.25, 0.75], [0.25, 0.75], [0.5, 0.5]]), abs=1e-12)
    assert found.dtype == np.float64 and probabilities(rows[0].astype(np.float32)).shape == (2,)


def test_the_same_logits_have_the_same_bits_wherever_they_lie():
    """jemalloc, which the scripts preload, puts arrays of one size side by side."""
    rng = np.random.RandomState(0)
    logits, kept, found = rng.randn(8, 8).astype(np.float32), [], set()
    for _ in range(3000):
        kept.append(np.empty(rng.randint(1, 1500), np.uint8))
        if len(kept) > 50:
            kept.pop(rng.randint(50))
        found.add(probabilities(logits).tobytes())
    assert len(found) == 1


def test_the_exponential_is_worked_out_in_place(monkeypatch):
    seen, exp = [], np.exp
    monkeypatch.setattr(np, "exp", lambda values, out=None: seen.append(out is values) or exp(values, out=out))
    logits = np.float64([[1, 2]])
    probabilities(logits)
    assert seen == [True] and logits.tolist() == [[1, 2]]


def test_no_other_file_takes_the_chance():
    lines = [line.strip() for path in SOURCE.rglob("*.py") for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if re.search(UNSTEADY, line) and not any(one in line for one in STEADY)] == []
