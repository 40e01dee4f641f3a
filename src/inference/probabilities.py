"""Logits of classes to probabilities, worked out in double precision."""

import numpy as np


def probabilities(logits: np.ndarray) -> np.ndarray:
    """(..., C) -> the softmax of each row, float64.

    numpy's exponential (with AVX-512) gives another last bit where its result happens to lie right behind or before its
    input in memory. In place it never does: the same logits give the same bits.
    """
    logits = logits.astype(np.float64)
    shares = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    return np.exp(shares, out=shares)
