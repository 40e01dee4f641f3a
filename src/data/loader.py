"""Training batches of any task: which sample stands where in a run, read by `mindspore.dataset` workers."""

import contextlib
import copy
import gc
import logging
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol

import cv2
import numpy as np

from ..config import Config
from ..errors import UserError
from . import sparse
from .batch_memory import side_by_side, stacked
from .readable import ReadableEntries, kinds_of
from .sampling import Sampling
from .streams import SampleStreams
from .whole_batches import kind_lines, left_out_line, whole_batches

logger = logging.getLogger(__name__)

PREFETCH = 2  # batches in each of the framework's queues: its 16 take gigabytes where images are large
STEPS = 32  # of the length of a squeezed column
WAITING = 10**8  # bytes of images that wait for a worker process: what it makes while the framework sleeps, see below


class Samples(Protocol):
    """What a data set gives a training run.

    columns: names of a sample's arrays. sparse: of the uint8 ones among them that are mostly zeros, each with the
    column whose zeros say which of its rows hold nothing. keys: a number for each entry that stays its own in every
    run, from which its randomness comes. origins: where there are several data sets, number of its set and its number
    within that, from which it comes then. name: the data set in messages.
    entries: what reads them, where `make` reads others of them too; so that both report an unreadable file once.
    pixel_columns: where samples can be sent as uint8 pixels, the columns that `from_pixels` makes as `make` has them,
    to the bit, of those columns of a batch of the samples `in_pixels()`.
    kinds: a number for each entry, where samples of another kind have other shapes: a batch holds one kind.
    kind_names: of each kind, for a log.
    """

    columns: tuple[str, ...]
    keys: list[int]
    name: str
    sparse: Mapping[str, str] = MappingProxyType({})
    origins: Sequence[tuple[int, int]] = ()
    entries: ReadableEntries | None = None
    pixel_columns: Sequence[str] = ()
    kinds: Sequence[int] | None = None
    kind_names: Sequence[str] = ()

    def read(self, entry: int) -> Any:
        """The entry's file, decoded; None where it cannot be read."""

    def why_unreadable(self, entry: int) -> str:
        """One line with the file's path, for a log."""

    def make(self, item: Any, streams: SampleStreams) -> tuple[np.ndarray, ...]:
        """One training sample from what `read` gave; all randomness from `streams`."""

    def mix(self, batch: tuple[np.ndarray, ...], rng: np.random.RandomState) -> tuple[np.ndarray, ...]:
        """The batch as the network gets it, columns in order (mixup and the like happen here); sparse ones may
        come squeezed.
        """


class TrainSource:
    """Random-access training batches of a whole run for `mindspore.dataset.GeneratorDataset`; item k is step k's batch.

    Every sample is a pure function of (seed, epoch, key, repeat): a run that starts at a later step sees what an
    uninterrupted run sees there. Each global batch is a slice of the epoch's permutation, cut into one part a rank.
    sampling: how often an epoch takes which entry; without it each once.
    """

    def __init__(
        self,
        samples: Samples,
        seed: int,
        batch_size: int,
        rank: int,
        size: int,
        steps_per_epoch: int,
        first_step: int,
        num_steps: int,
        sampling: Sampling | None = None,
    ):
        self.samples = samples
        self.seed, self.batch_size, self.rank, self.size = seed % 2**32, batch_size, rank, size
        self.steps_per_epoch, self.first_step, self.num_steps = steps_per_epoch, first_step, num_steps
        self.sampling = sampling or Sampling.plain(len(samples.keys))
        self._order: tuple[int, np.ndarray] = (-1, np.empty((0, 2), int))
        self._read = (getattr(samples, "entries", None) or ReadableEntries(samples)).read

    def __len__(self) -> int:
        return self.num_steps

    def __getitem__(self, item: int) -> tuple[np.ndarray, ...]:
        """One batch in the order of the samples' columns."""
        return self.batch(int(item), {})

    def batch(self, item: int, squeezed: Mapping[str, str]) -> tuple[np.ndarray, ...]:
        """The same; `squeezed`: which of the samples' sparse columns are squeezed, see `Samples.sparse`."""
        epoch, step_of_epoch = divmod(self.first_step + item, self.steps_per_epoch)
        start = (step_of_epoch * self.size + self.rank) * self.batch_size
        taken = self._permutation(epoch)[start : start + self.batch_size]
        with side_by_side(len(taken)):
            columns = dict(zip(self.samples.columns, zip(*(self._sample(epoch, *map(int, one)) for one in taken))))
            batch = tuple(
                _squeezed(arrays, columns[squeezed[name]]) if name in squeezed else stacked(arrays)
                for name, arrays in columns.items()
            )
        return self.samples.mix(batch, np.random.RandomState([self.seed, epoch, step_of_epoch, self.rank]))

    def _sample(self, epoch: int, entry: int, repeat: int) -> tuple[np.ndarray, ...]:
        return self.samples.make(self._read(entry), streams_of(self.samples, self.seed, epoch, entry, repeat))

    def _permutation(self, epoch: int) -> np.ndarray:
        """(samples of the epoch, 2): entry and number of its repeat, in order."""
        known_epoch, order = self._order  # read once: worker threads may be in two epochs at the same time
        if known_epoch != epoch:
            order = self.sampling.order(self.seed, epoch)
            if (kinds := kinds_of(self.samples)) is not None:
                order = whole_batches(order, kinds, self.batch_size * self.size)
            self._order = (epoch, order)
        return order


@dataclass
class _Sent:
    """What a worker sends: the batches of `source`, those of their columns that are mostly zeros squeezed."""

    source: TrainSource
    squeezed: Mapping[str, str]
    in_pixels: bool = False

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, item: int) -> tuple[np.ndarray, ...]:
        return self.source.batch(int(item), self.squeezed)


@dataclass
class TrainLoader:
    """Batches of the remaining steps of a run: iterating yields tuples of tensors in the order of `columns`."""

    source: TrainSource
    num_workers: int
    use_processes: bool
    waiting: int = PREFETCH  # batches, for each worker process

    @property
    def columns(self) -> tuple[str, ...]:
        return self.source.samples.columns

    @property
    def steps_per_epoch(self) -> int:
        return self.source.steps_per_epoch

    def __len__(self) -> int:
        return self.source.num_steps

    def from_step(self, step: int) -> "TrainLoader":
        """The batches from global step `step` to the end of the run."""
        source = copy.copy(self.source)
        source.first_step = step
        source.num_steps = max(self.source.first_step + self.source.num_steps - step, 0)
        return replace(self, source=source)

    def __iter__(self) -> Iterator[tuple]:
        import mindspore.dataset as ds
        from mindspore import Tensor

        if not len(self.source):  # a finished run that is resumed; the framework refuses an empty source
            return
        forks = self.use_processes and self.num_workers > 1
        if forks:  # a worker that inherits an abandoned iterator and collects it aborts, and the job with it
            gc.collect()
        with _user_errors_of_workers():
            sent = sent_by_processes(self.source) if forks else sent_by_workers(self.source)
            squeezed = [k for k, name in enumerate(self.columns) if name in sent.squeezed]
            with _queues_of(PREFETCH, ds.config), warnings.catch_warnings():  # whoever trains keeps their own
                warnings.simplefilter("ignore")
                batches = ds.GeneratorDataset(
                    sent,
                    list(self.columns),
                    shuffle=False,
                    num_parallel_workers=self.num_workers,
                    python_multiprocessing=forks,
                )
                if sent.in_pixels:  # in a thread of the framework, a few batches ahead
                    samples = self.source.samples
                    batches = batches.map(samples.from_pixels, list(samples.pixel_columns), num_parallel_workers=1)
                iterator = batches.create_tuple_iterator(num_epochs=1)
            for batch in self._batches(iterator, ds.config, forks):
                for k in squeezed:
                    batch[k] = Tensor.from_numpy(sparse.restore(batch[k].asnumpy()))
                yield tuple(batch)

    def _batches(self, iterator: Iterator[list], config: Any, forks: bool) -> Iterator[list]:
        """Worker processes start, with their queues, at the first batch. When there was none the framework sleeps for a
        tenth of a second before it looks again; what they make in the meantime has to wait.
        """
        with _queues_of(self.waiting, config), _one_thread_for_opencv() if forks else contextlib.nullcontext():
            batch = next(iterator, None)
        while batch is not None:
            yield batch
            batch = next(iterator, None)


def streams_of(samples: Samples, seed: int, epoch: int, entry: int, repeat: int = 0) -> SampleStreams:
    """The randomness of an entry's sample."""
    origins = getattr(samples, "origins", ())
    data_set, key = origins[entry] if origins else (0, samples.keys[entry])
    return SampleStreams(seed, epoch, key, data_set, repeat)


def make_train_loader(
    cfg: Config,
    samples: Samples,
    rank: int = 0,
    size: int = 1,
    start_step: int = 0,
    sampling: Sampling | None = None,
) -> TrainLoader:
    """Batches from global step `start_step` to the end of the run, for one of `size` ranks.

    sampling: how often an epoch takes which entry; without it each once.
    Raises UserError if one global batch is larger than the data set.
    """
    sampling = sampling or Sampling.plain(len(samples.keys))
    count, global_batch = len(sampling), cfg.batch_size * size
    what = "images" if sampling.is_plain else "samples"
    if global_batch > count:
        raise UserError(
            f"batch_size {cfg.batch_size} x {size} device(s) is larger than the {count} training {what} of "
            f"{samples.name}"
        )
    kinds = kinds_of(samples)
    steps_per_epoch = count // global_batch
    if kinds is not None:
        order = sampling.order(0, 0)  # as many of each kind in every epoch, see `check_transforms`
        steps_per_epoch = _steps_of_kinds(samples, order, kinds, global_batch, what)
    elif left_out := count % global_batch:
        logger.info(left_out_line(left_out, count, what))
    remaining = max(cfg.epoch_size * steps_per_epoch - start_step, 0)
    source = TrainSource(
        samples, cfg.seed, cfg.batch_size, rank, size, steps_per_epoch, start_step, remaining, sampling
    )
    workers = min(cfg.num_parallel_workers, os.cpu_count() or 1)  # the framework refuses more workers than cores
    if workers < cfg.num_parallel_workers:
        logger.info("num_parallel_workers %d is cut to the %d cores of this machine", cfg.num_parallel_workers, workers)
    pixel = 6 if getattr(samples, "pixel_columns", ()) else 12  # bytes: uint8 and as much for masks, or float32
    waiting = max(WAITING // (cfg.batch_size * cfg.img_height * cfg.img_width * pixel), PREFETCH)
    return TrainLoader(source, workers, cfg.python_multiprocessing, waiting)


def _steps_of_kinds(samples: Samples, order: np.ndarray, kinds: Sequence[int], size: int, what: str) -> int:
    """Steps of an epoch of these samples, each step of one kind; says what fills no batch."""
    own = [kinds[entry] for entry in order[:, 0]]
    if max(Counter(own).values()) < size:
        raise UserError(f"no kind of image fills a batch of {size} images in {samples.name}: lower batch_size")
    for line in kind_lines(own, size, what, samples.kind_names):
        logger.info(line)
    return len(whole_batches(order, kinds, size)) // size


def sent_by_workers(source: TrainSource) -> _Sent:
    """The batches of a source as its workers send them, by number."""
    return _Sent(source, getattr(source.samples, "sparse", {}))


def sent_by_processes(source: TrainSource) -> _Sent:
    """The same as worker processes send them: images as pixels, a quarter of the bytes, where the samples have a way.

    Each byte is copied three times before it is in a tensor here, twice by the process that trains.
    """
    sent = sent_by_workers(source)
    if not getattr(source.samples, "pixel_columns", ()):
        return sent
    own = copy.copy(source)
    own.samples = source.samples.in_pixels()
    return replace(sent, source=own, in_pixels=True)


def _squeezed(arrays: tuple, told_by: tuple) -> np.ndarray:
    """A sparse column of several samples; told_by: of each the column whose zeros say which rows hold nothing.

    Its length goes in steps: the framework takes new memory for whatever is longer than all that it has sent.
    """
    rows = [np.flatnonzero(told[: len(array)]) for array, told in zip(arrays, told_by)]
    return sparse.squeeze_rows(arrays, rows, step=sum(array.nbytes for array in arrays) // STEPS)


@contextlib.contextmanager
def _one_thread_for_opencv() -> Iterator[None]:
    """While active OpenCV has no threads of its own, and a process that is forked has none either.

    It would inherit them as numbers alone and wait for them for ever; and as many workers as there are cores would have
    as many threads each.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


@contextlib.contextmanager
def _queues_of(length: int, config: Any) -> Iterator[None]:
    """While active, data sets are started with queues of at most so many batches."""
    size = config.get_prefetch_size()
    config.set_prefetch_size(min(size, length))
    try:
        yield
    finally:
        config.set_prefetch_size(size)


@contextlib.contextmanager
def _user_errors_of_workers() -> Iterator[None]:
    """A UserError that a worker raised arrives inside the framework's long RuntimeError: raise it as itself."""
    try:
        yield
    except RuntimeError as error:
        found = re.findall(r"^(?:\w+\.)*UserError: (.+)$", str(error), re.MULTILINE)  # a worker's traceback ends so
        if not found:
            raise
        raise UserError(re.split(r"\bUserError: ", found[-1])[-1]) from None  # a process packs its traceback into one
