"""What is odd about a data set, and what a network would make of it: lines for `check`."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import plain
from ..models.detection.anchors import level_anchors
from .decoding import USUAL_RULES, ImageRules
from .formats.image_folder import ImageFolder
from .formats.index import DetectionIndex, ImageRecord
from .formats.segmentation_list import SegmentationDataset
from .imagenet import read_rgb
from .images import MAX_PIXELS
from .pipeline import read_image, unreadable_reason

MAX_FILES_READ = 500  # images opened to look for unreadable ones
LONGEST = 300  # characters of a name in a line


def annotated_images(
    dataset: DetectionIndex, empty: str, num_gts: int | None = None, rules: ImageRules = USUAL_RULES
) -> Iterator[str]:
    """Counts, class balance, and whatever is odd.

    empty: what becomes of images without objects; num_gts: most objects that are taken of a training image;
    rules: how image files are read.
    """
    records = [dataset.record(i) for i in range(len(dataset))]
    objects = [item for record in records for item in record.objects]
    crowds = dataset.report.crowds
    masks = sum(item.segmentation is not None for item in objects)
    counted = f"{len(objects)} objects, {crowds} of them crowds, {masks} with a mask"
    yield f"{dataset.annotation_file}: {len(records)} images, {counted}"
    yield f"category ids {_shorten(dataset.category_ids)}"
    counts = Counter(dataset.classes[item.label] for item in objects if not item.crowd)
    ranked = counts.most_common()
    if ranked:
        (first, most), (last, least) = ranked[0], ranked[-1]
        yield f"most frequent {plain(first)} ({most}), least frequent {plain(last)} ({least})"
    never = [name for name in dataset.classes if not counts[name]]
    if never:
        yield f"WARNING: {len(never)} classes never occur: {_shorten(never)}"
    yield from dataset.report.lines()
    if dataset.report.empty_images:
        yield f"{len(dataset.report.empty_images)} images show no object: {empty}"
    if num_gts is not None and (above := dataset.images_above(num_gts)):
        yield f"WARNING: {above} images have more than num_gts = {num_gts} objects; the rest is left out"
    step = max(1, len(records) // MAX_FILES_READ)
    looked_at = records[::step]
    unread = [record for record in looked_at if read_image(record, rules) is None]
    bad = [f"{record.path.name}: {unreadable_reason(record)}" for record in unread]
    yield f"{len(looked_at)} image files opened, {len(bad)} unreadable{': ' + _shorten(bad) if bad else ''}"


def image_folder(
    dataset: ImageFolder, max_pixels: int = MAX_PIXELS, rules: ImageRules = USUAL_RULES
) -> Iterator[str]:
    """Counts, class balance, unreadable files."""
    counts = Counter(dataset.classes[label] for _, label in dataset.images)
    ranked = counts.most_common()
    yield f"{dataset.folder}: {len(dataset)} images in {len(dataset.classes)} classes: {_shorten(dataset.classes)}"
    (first, most), (last, least) = ranked[0], ranked[-1]
    yield f"most images: {plain(first)} ({most}), least: {plain(last)} ({least})"
    yield from (f"WARNING: {note}" for note in dataset.notes)
    looked_at = dataset.images[:: max(1, len(dataset) // MAX_FILES_READ)]
    bad = [path for path, _ in looked_at if read_rgb(path, max_pixels=max_pixels, rules=rules) is None]
    yield f"{len(looked_at)} image files opened, {len(bad)} unreadable{': ' + _shorten(bad) if bad else ''}"


def label_files(dataset: SegmentationDataset, ignore_label: int) -> Iterator[str]:
    """Counts, class balance by pixels, image sizes, unreadable files."""
    names = dataset.labels.names
    yield f"{dataset.list_file}: {len(dataset)} samples, {len(dataset.missing)} files missing"
    looked_at = range(0, len(dataset), max(1, len(dataset) // MAX_FILES_READ))
    pixels, sizes, bad = np.zeros(256, np.int64), Counter(), []
    for index in looked_at:
        image, label = dataset.read(index)
        if image is None or label is None:
            bad.append(dataset.why_unreadable(index))
            continue
        pixels += np.bincount(label.ravel(), minlength=256)
        sizes[label.shape[::-1]] += 1
    yield f"{len(looked_at)} samples read, {len(bad)} unusable{': ' + _shorten(bad) if bad else ''}"
    if sizes:
        (width, height), _ = sizes.most_common(1)[0]
        yield f"{len(sizes)} sizes of images, most often {width}x{height}"
    share = pixels / max(int(pixels.sum()), 1)
    order = np.argsort(-share[: len(names)], kind="stable")
    yield f"most pixels: {names[order[0]]} ({share[order[0]]:.1%}), least: {names[order[-1]]} ({share[order[-1]]:.2%})"
    yield f"ignored pixels: {share[ignore_label]:.1%}"
    never = [name for name, count in zip(names, pixels) if not count]
    if never:
        yield f"WARNING: {len(never)} classes have no pixel: {_shorten(never)}"


def anchor_overlaps(dataset: DetectionIndex, image_size: tuple[int, int], generator, threshold: float) -> Iterator[str]:
    """How many objects some anchor overlaps well in images of (height, width) `image_size`.

    generator: scales, ratios and strides of the anchors; threshold: the IoU from which on an anchor is positive.
    """
    best, side = anchor_fit([dataset.record(i) for i in range(len(dataset))], image_size, generator)
    if not len(best):
        return
    yield f"{(best >= threshold).mean():.0%} of the objects can reach IoU {threshold} with an anchor (upper bound)"
    small = np.quantile(side, 0.05)
    yield f"object sides in the network's input: median {np.median(side):.0f} px, 5% below {small:.0f} px"
    if small < min(generator.strides):
        yield "WARNING: 5% of the objects are smaller than one cell of the finest level; consider larger images"


def anchor_fit(
    records: Sequence[ImageRecord], image_size: tuple[int, int], generator
) -> tuple[np.ndarray, np.ndarray]:
    """Of every object, in images of (height, width) `image_size`: the IoU with an anchor that has its centre (an upper
    bound of what one can reach), and its side, the root of its box's area in pixels.
    """
    sides, shapes = [], level_anchors((1, 1), 1, generator.scales, generator.ratios)
    for record in records:
        scale = min(image_size[1] / record.width, image_size[0] / record.height)
        sides += [((b[2] - b[0]) * scale, (b[3] - b[1]) * scale) for b in (item.box for item in record.objects)]
    if not sides:
        return np.empty(0), np.empty(0)
    box = np.array(sides)[:, None]
    base = np.concatenate([stride * (shapes[:, 2:] - shapes[:, :2]) for stride in generator.strides])[None]
    overlap = np.minimum(box, base).prod(2)
    return (overlap / (box.prod(2) + base.prod(2) - overlap)).max(1), np.sqrt(np.array(sides).prod(1))


def _shorten(items: list, shown: int = 8) -> str:
    return ", ".join(plain(item, LONGEST) for item in items[:shown]) + (", ..." if len(items) > shown else "")
