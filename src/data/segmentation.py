"""Segmented images: training samples, training batches."""

import logging

import numpy as np

from ..config import Config
from ..errors import UserError
from .augmentation import draw_transforms
from .augmentation.colour import ColourJitter
from .augmentation.geometry import CentralCrop, HorizontalFlip, OwnScale, RandomCrop, RandomScale, Stretch
from .augmentation.transform import Chain, OnRgb, Size, draw_in_turn
from .formats.segmentation_list import SegmentationDataset
from .loader import TrainLoader, make_train_loader
from .normalisation import PixelNormalisation
from .sampling import Sampling, origins_of, sampling_of
from .streams import SampleStreams

logger = logging.getLogger(__name__)

COLUMNS = ("image", "label")
SEED = "sample_seed"
GEOMETRY = (HorizontalFlip, Stretch, RandomScale, RandomCrop)
PLAIN = (Stretch, OwnScale, CentralCrop)


class SegmentationSamples:
    """Training samples, see `loader.Samples`: mirrored, scaled, cropped and padded as the HRNet authors do it.

    columns: image, label and, where the network draws at random, sample_seed: a number from a stream of its own, so
    that image and label are the same with and without it.
    """

    def __init__(self, dataset: SegmentationDataset, cfg: Config, columns: tuple[str, ...] = COLUMNS):
        self.columns = columns
        missing = set(dataset.missing)
        self.keys = [k for k, pair in enumerate(dataset.samples) if not missing.intersection(pair)]
        if not self.keys:
            raise UserError(f"{dataset.list_file}: none of its {len(dataset)} samples has both its files")
        self.dataset, self.name, self.cfg = dataset, str(dataset.list_file), cfg
        self.origins = origins_of(dataset.sets, self.keys)
        self.normalisation = PixelNormalisation.from_config(cfg)

    def read(self, entry: int) -> tuple[np.ndarray, np.ndarray] | None:
        image, label = self.dataset.read(self.keys[entry])
        return None if image is None or label is None else (image, label)

    def why_unreadable(self, entry: int) -> str:
        return self.dataset.why_unreadable(self.keys[entry])

    def make(self, item: tuple[np.ndarray, np.ndarray], streams: SampleStreams) -> tuple[np.ndarray, ...]:
        """image (3, H, W) float32 normalised, label (H, W) int32, sample_seed () int32."""
        image, label = item
        transforms = draw_transforms(self._own, self.cfg, label.shape, streams, bgr=True)
        label = transforms.masks(label, outside=self.cfg.ignore_label)
        if transforms.mirrored and self.cfg.flip_swaps_labels:
            label = self.dataset.labels.swapped(label)
        return self._sample(image, label, transforms, streams)

    def plain(self, item: tuple[np.ndarray, np.ndarray], streams: SampleStreams) -> tuple[np.ndarray, ...]:
        """The same without augmentation: at scale 1, and of what is larger than the network's input its centre."""
        image, label = item
        transforms = draw_in_turn(PLAIN, self.cfg, label.shape, np.random.RandomState(0))  # of which none draws
        return self._sample(image, transforms.masks(label, outside=self.cfg.ignore_label), transforms, streams)

    def _sample(
        self, image: np.ndarray, label: np.ndarray, transforms: Chain, streams: SampleStreams
    ) -> tuple[np.ndarray, ...]:
        sample = (self.normalisation.divided(transforms.image(image)[..., ::-1]), label.astype(np.int32))
        if SEED not in self.columns:
            return sample
        return (*sample, np.int32(streams.of(SEED).randint(0, 2**31 - 1)))

    def mix(self, batch: tuple[np.ndarray, ...], rng: np.random.RandomState) -> tuple[np.ndarray, ...]:
        return batch

    def _own(self, size: Size, rng: np.random.RandomState) -> Chain:
        geometry = draw_in_turn(GEOMETRY, self.cfg, size, rng)
        jitter = ColourJitter.draw(self.cfg, geometry.new_size(size), rng)
        return Chain.of((geometry, jitter and OnRgb(jitter)))


def build_segmentation_loader(
    cfg: Config,
    dataset: SegmentationDataset,
    rank: int = 0,
    size: int = 1,
    start_step: int = 0,
    columns: tuple[str, ...] = COLUMNS,
) -> TrainLoader:
    """Training batches from global step `start_step` to the end of the run, for one of `size` ranks.

    columns: see `SegmentationSamples`.
    """
    samples = SegmentationSamples(dataset, cfg, columns)
    sampling, lines = pair_sampling(cfg, samples)
    for line in lines:
        logger.info(line)
    return make_train_loader(cfg, samples, rank, size, start_step, sampling)


def pair_sampling(cfg: Config, samples: SegmentationSamples) -> tuple[Sampling, list[str]]:
    """How often an epoch takes which sample, and what there is to say of it."""
    sets = [number for number, _ in samples.origins]
    return sampling_of(cfg, sets, samples.dataset.set_names or [samples.name], np.ones(len(samples.keys), int))
