"""Configuration files and options of the MindSpore originals, in their own words: what becomes of each key here.

A table for each original stands in a file beside this one; `translate` goes by them. `python -m src.config.originals
FILE` prints the account.
"""

from .table import Original
from .translate import (
    Told,
    Translation,
    named_weights,
    names,
    original_of,
    translate_file,
    translate_some,
    translate_typed,
)
from .zoo import ALIASES, WITHOUT_EFFECT

__all__ = [
    "ALIASES", "WITHOUT_EFFECT", "Original", "Told", "Translation", "named_weights", "names", "original_of",
    "translate_file", "translate_some", "translate_typed",
]  # fmt: skip
