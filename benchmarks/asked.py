"""A process that works when it is asked and sleeps otherwise, so that the sides of a benchmark can take their turn."""

import json
import subprocess
from collections.abc import Sequence


class Asked:
    """words: its command. It answers each line on its standard input with a line of JSON; other lines are skipped."""

    def __init__(self, words: Sequence[str]):
        self.child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, word: str) -> dict[str, float]:
        """Its answer. SystemExit where it has ended."""
        self.child.stdin.write(f"{word}\n")
        self.child.stdin.flush()
        while line := self.child.stdout.readline():
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"error: a network's process has ended with status {self.child.wait()}")

    def end(self) -> None:
        self.child.stdin.close()
        self.child.wait()
