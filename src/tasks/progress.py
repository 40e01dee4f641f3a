"""How far an evaluation of many images has come."""

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tqdm import tqdm

from ..process.log_words import Words


@dataclass(frozen=True)
class Progress:
    """How far an evaluation has come: a bar on a terminal, a line every tenth of the way elsewhere, and the line of a
    batch, where `words` has one.

    total: images; before: how many of them were there already; batch: images in a batch.
    """

    words: Words
    total: int
    before: int
    batch: int

    def over(self, predictions: Iterable) -> Iterator:
        """The predictions."""
        on_terminal, since = sys.stderr.isatty(), time.perf_counter()
        with tqdm(total=self.total, initial=self.before, disable=not on_terminal, unit="img") as bar:
            for done, item in enumerate(predictions, start=self.before + 1):
                yield item
                bar.update()
                if not on_terminal and done * 10 // self.total > (done - 1) * 10 // self.total:
                    self.words.say("progress", done=done, total=self.total)
                number = done - self.before
                if number % self.batch == 0 or done == self.total:
                    number, now = -(-number // self.batch), time.perf_counter()
                    self.words.say("batch", from_0=number - 1, from_1=number, seconds=now - since)
                    since = now
