"""Classified images: training samples and evaluation batches."""

import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..config import Config
from . import image_augment as A
from .augmentation import draw_transforms
from .augmentation.colour import ColourJitter
from .augmentation.geometry import HorizontalFlip, RandomResizedCrop
from .augmentation.randaugment import RandAugment
from .augmentation.timm_randaugment import TimmRandAugment
from .augmentation.transform import Chain, Size, draw_in_turn
from .decoding import USUAL_RULES, ImageRules
from .formats.image_folder import ImageFolder
from .images import MAX_PIXELS, read_bgr, why_unreadable
from .loader import TrainLoader, make_train_loader
from .normalisation import PixelNormalisation
from .pictures import ImageSource, read_any
from .read_ahead import read_ahead
from .sampling import Sampling, origins_of, sampling_of
from .streams import SampleStreams
from .timm_mixing import TimmMixing

logger = logging.getLogger(__name__)

COLUMNS = ("image", "label", "other_label", "share")
GEOMETRY, COLOURS = (RandomResizedCrop, HorizontalFlip), (ColourJitter, RandAugment)


@dataclass(frozen=True)
class Preparation:
    """How images become the network's input: its size (h, w), and the short side before the crop in evaluation."""

    size: tuple[int, int]
    eval_resize: int
    normalisation: PixelNormalisation
    max_pixels: int = MAX_PIXELS
    reading: ImageRules = USUAL_RULES

    @classmethod
    def from_config(cls, cfg: Config) -> "Preparation":
        size, normalisation = (cfg.img_height, cfg.img_width), PixelNormalisation.from_config(cfg)
        return cls(size, cfg.eval_resize, normalisation, cfg.max_image_pixels, ImageRules.from_config(cfg))

    def for_evaluation(self, rgb: np.ndarray) -> np.ndarray:
        """Short side to `eval_resize`, central crop, normalised: (3, H, W) float32."""
        return self.normalisation.divided(A.resize_and_centre_crop(rgb, self.eval_resize, self.size))


class FolderSamples:
    """Training samples of an image folder, see `loader.Samples`."""

    columns = COLUMNS

    def __init__(self, dataset: ImageFolder, cfg: Config):
        self.dataset, self.keys, self.name = dataset, list(range(len(dataset))), str(dataset.folder)
        self.origins = origins_of(getattr(dataset, "sets", ()), self.keys)
        self.cfg, self.normalisation = cfg, PixelNormalisation.from_config(cfg)
        self.reading = ImageRules.from_config(cfg)
        self.mixup, self.cutmix, self.timm_mixing = cfg.mixup, cfg.cutmix, TimmMixing.from_config(cfg)

    def read(self, entry: int) -> tuple[np.ndarray, int] | None:
        path, label = self.dataset.images[entry]
        image = read_rgb(path, self.reading.upright, self.cfg.max_image_pixels, self.reading)
        return None if image is None else (image, label)

    def why_unreadable(self, entry: int) -> str:
        return why_unreadable(self.dataset.images[entry][0], self.cfg.max_image_pixels)

    def make(self, item: tuple[np.ndarray, int], streams: SampleStreams) -> tuple[np.ndarray, ...]:
        """image (3, H, W) float32 normalised, its class twice, the first one's share 1: `mix` changes the last two."""
        image, label = item
        own = partial(self._own, streams=streams)
        transforms = draw_transforms(own, self.cfg, image.shape[:2], streams, bgr=False)
        pixels = self.normalisation.divided(transforms.image(image))
        return pixels, np.int32(label), np.int32(label), np.float32(1)

    def plain(self, item: tuple[np.ndarray, int], streams: SampleStreams) -> tuple[np.ndarray, ...]:
        """The same without augmentation: the image as it is evaluated."""
        image, label = item
        pixels = Preparation.from_config(self.cfg).for_evaluation(image)
        return pixels, np.int32(label), np.int32(label), np.float32(1)

    def mix(self, batch: tuple[np.ndarray, ...], rng: np.random.RandomState) -> tuple[np.ndarray, ...]:
        image, label, _, _ = batch
        if self.timm_mixing is not None:
            image, other, share = self.timm_mixing.mix(image, label, rng)
            return image, label, other, share
        if not (self.mixup or self.cutmix):
            return batch
        use_cutmix = self.cutmix and (not self.mixup or rng.rand() < 0.5)
        mixed = A.cutmix(image, label, self.cutmix, rng) if use_cutmix else A.mixup(image, label, self.mixup, rng)
        return mixed[0], label, mixed[1], mixed[2]

    def _own(self, size: Size, rng: np.random.RandomState, streams: SampleStreams) -> Chain:
        """timm's RandAugment has a stream of its own and acts, as there, before colours are jittered."""
        geometry = draw_in_turn(GEOMETRY, self.cfg, size, rng)
        size = geometry.new_size(size)
        timm = TimmRandAugment.draw(self.cfg, size, streams.of("auto_augment"))
        return Chain.of((*geometry.steps, timm, *draw_in_turn(COLOURS, self.cfg, size, rng).steps))


def build_folder_loader(
    cfg: Config, dataset: ImageFolder, rank: int = 0, size: int = 1, start_step: int = 0
) -> TrainLoader:
    """Training batches from global step `start_step` to the end of the run, for one of `size` ranks."""
    sampling, lines = folder_sampling(cfg, dataset)
    for line in lines:
        logger.info(line)
    return make_train_loader(cfg, FolderSamples(dataset, cfg), rank, size, start_step, sampling)


def folder_sampling(cfg: Config, dataset: ImageFolder) -> tuple[Sampling, list[str]]:
    """How often an epoch takes which image, and what there is to say of it."""
    names, labels = dataset.set_names or [dataset.folder], [label for _, label in dataset.images]
    return sampling_of(cfg, dataset.sets, names, np.ones(len(dataset), int), labels, dataset.classes)


def evaluation_batches(
    items: Iterable[tuple[ImageSource, int]], preparation: Preparation, batch_size: int, workers: int
) -> Iterator[tuple[np.ndarray, list[tuple[ImageSource, int]], list[bool]]]:
    """Every (path or picture in memory, label) once, in order.

    Gives image (batch_size, 3, H, W) float32, the real items, which were readable. The last batch is filled up with
    zeros, as are unreadable images.
    """

    def load(item: tuple[ImageSource, int]) -> tuple[tuple[ImageSource, int], np.ndarray | None]:
        bgr = read_any(item[0], preparation.max_pixels, preparation.reading)
        return item, None if bgr is None else preparation.for_evaluation(bgr[..., ::-1])

    images = read_ahead(load, items, max(workers, 1), ahead=batch_size)
    while read := list(itertools.islice(images, batch_size)):
        group, loaded = map(list, zip(*read))
        image = np.zeros((batch_size, 3, *preparation.size), np.float32)
        for slot, pixels in enumerate(loaded):
            if pixels is not None:
                image[slot] = pixels
        yield image, group, [pixels is not None for pixels in loaded]


def read_rgb(
    path: str, upright: bool = False, max_pixels: int = MAX_PIXELS, rules: ImageRules = USUAL_RULES
) -> np.ndarray | None:
    """(h, w, 3) uint8 RGB, or None where the file is no whole image."""
    image = read_bgr(path, upright, max_pixels, rules)
    return None if image is None else image[..., ::-1]
