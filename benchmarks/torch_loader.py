"""PyTorch's DataLoader with torchvision's transforms v2 on COCO images with masks, as a reference for ours.

Decoded by OpenCV as ours are, mirrored by chance, resized so that the longer side fills the input (masks too, by
nearest neighbours), normalised and padded, as torchvision's `references/detection` does it with these transforms; one
bitmap an object, not packed. Batches of images are stacked, targets are lists, as there. Workers send through PyTorch's
shared memory.
"""

import time
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch.utils.data import DataLoader, Dataset

from src.data.formats.index import DetectionIndex, ImageRecord
from tests.models.timm_models import import_timm

import_timm()  # which imports torchvision, also beside another PyTorch than its compiled operators were made for

from torchvision import tv_tensors  # noqa: E402
from torchvision.transforms import v2  # noqa: E402


class Samples(Dataset):
    """(image (3, size, size) float32, target) of an index's images; mean, std: of pixels in 0..255, RGB."""

    def __init__(self, dataset: DetectionIndex, entries: Sequence[int], size: int, mean: Sequence, std: Sequence):
        self.dataset, self.entries, self.size = dataset, list(entries), size
        self.change = v2.Compose([
            v2.RandomHorizontalFlip(0.5),
            v2.Resize(size=None, max_size=size, antialias=False),
            v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=False),
            v2.Normalize(list(mean), list(std)),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        record = self.dataset.record(self.entries[item])
        pixels = cv2.cvtColor(cv2.imread(str(record.path)), cv2.COLOR_BGR2RGB)
        image, target = self.change(tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1)), truth(record))
        height, width = image.shape[-2:]
        padding = [0, 0, self.size - width, self.size - height]
        target["masks"] = v2.functional.pad(target["masks"], padding)
        return v2.functional.pad(image, padding), target


def truth(record: ImageRecord) -> dict[str, torch.Tensor]:
    """Boxes, labels and bitmaps of an image's objects that are no crowds."""
    size, objects = (record.height, record.width), [one for one in record.objects if not one.crowd]
    masks = np.zeros((len(objects), *size), np.uint8)
    for mask, one in zip(masks, objects):
        if isinstance(one.segmentation, list):
            mask[:] = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(one.segmentation, *size)))
    boxes = np.array([one.box for one in objects], np.float32).reshape(-1, 4)
    return {
        "boxes": tv_tensors.BoundingBoxes(torch.from_numpy(boxes), format="XYXY", canvas_size=size),
        "labels": torch.tensor([one.label + 1 for one in objects]),
        "masks": tv_tensors.Mask(torch.from_numpy(masks)),
    }


def collate(samples: Sequence[tuple]) -> tuple[torch.Tensor, list[dict]]:
    images, targets = zip(*samples)
    return torch.stack(images), list(targets)


def rate(samples: Samples, batch: int, workers: int, epochs: int) -> tuple[float, float]:
    """Images per second after the first batch, and the seconds until that one; workers: processes, 0 for none."""
    entries = samples.entries
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker process has it
    cv2.setNumThreads(1)  # a forked process would wait for threads that it does not have
    try:
        samples.entries = entries * epochs  # one iterator for a whole run, as ours
        loader = DataLoader(samples, batch, shuffle=True, num_workers=workers, collate_fn=collate, drop_last=True)
        started, ended, count = time.perf_counter(), 0.0, 0
        first = 0.0
        for images, _ in loader:
            count += len(images)
            ended = time.perf_counter()
            first = first or ended - started
        return (count - batch) / (ended - started - first), first
    finally:
        samples.entries = entries
        torch.set_num_threads(threads)
