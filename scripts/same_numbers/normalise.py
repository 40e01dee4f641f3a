"""Texts of commands without what differs between any two runs: times, memory, places."""

import re
from pathlib import Path

NUMBER = r"-?\d[\d,]*(?:\.\d+)?"
PATTERNS = [
    (re.compile(r"\[\d{4}-\d\d-\d\dT[\d:.]+\]"), "[TIME]"),
    (re.compile(rf"(time: ){NUMBER}"), r"\1TIME"),  # of an epoch, a step, an evaluation
    (re.compile(rf"{NUMBER} (?=(ms|s|seconds|hours)\b)"), "TIME "),
    (re.compile(rf"(t=){NUMBER}s"), r"\1TIME"),  # pycocotools
    (re.compile(rf"{NUMBER} (?=GiB)"), "MEMORY "),
    (re.compile(r"\b(commit: ).*"), r"\1COMMIT"),
]


def normalise(text: str, places: dict[str, Path]) -> str:
    """`text` with each place under its name and without times; lines that a progress bar has overwritten are left out.

    places: {name: path}; the longest path is replaced first.
    """
    for name, path in sorted(places.items(), key=lambda place: -len(str(place[1]))):
        text = text.replace(str(path), f"<{name}>")
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return "\n".join(line.rsplit("\r", 1)[-1].rstrip() for line in text.splitlines())
