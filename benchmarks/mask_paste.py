"""Mask pasting of 100 detections: ours against torch's grid_sample on each box's region and pycocotools' encode.

Each runs in a process of its own, so that the peak memory is its own. Usage: python benchmarks/mask_paste.py
"""

import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import Figure, run, versioned  # noqa: E402

MASKS = 100
IMAGES = ((800, 1333), (3000, 4000))  # height, width
REPEATS = 3


def make_case(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks (100, 28, 28) of random blobs and boxes (100, 4) of COCO-like sizes: a few large, most small."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (MASKS, 7, 7)).repeat(4, 1).repeat(4, 2) * 3 + 1
    masks = (1 / (1 + np.exp(-logits))).astype(np.float32)
    sides = np.exp(rng.uniform(np.log(0.02), np.log(0.8), (MASKS, 2))) * (width, height)
    low = rng.uniform(0, 1, (MASKS, 2)) * ((width, height) - sides)
    return masks, np.concatenate([low, low + sides], 1).astype(np.float32)


def paste_ours(masks: np.ndarray, boxes: np.ndarray, height: int, width: int) -> list[dict]:
    from src.inference.paste import paste_masks

    return paste_masks(masks, boxes, height, width)


def paste_torch(masks: np.ndarray, boxes: np.ndarray, height: int, width: int) -> list[dict]:
    """The reference: per mask, so that its memory is one image's at a time."""
    import torch
    import torch.nn.functional as F
    from pycocotools import mask as coco_mask

    codes = []
    for mask, box in zip(torch.from_numpy(masks), torch.from_numpy(boxes)):
        x1, y1, x2, y2 = box
        left, top = max(int(x1.floor()) - 1, 0), max(int(y1.floor()) - 1, 0)
        right, bottom = min(int(x2.ceil()) + 1, width), min(int(y2.ceil()) + 1, height)
        grid_x = (torch.arange(left, right) + 0.5 - x1) / (x2 - x1) * 2 - 1
        grid_y = (torch.arange(top, bottom) + 0.5 - y1) / (y2 - y1) * 2 - 1
        grid = torch.stack(torch.meshgrid(grid_x, grid_y, indexing="xy"), -1)[None]
        image = torch.zeros(height, width, dtype=torch.bool)
        image[top:bottom, left:right] = F.grid_sample(mask[None, None], grid, align_corners=False)[0, 0] >= 0.5
        codes.append(coco_mask.encode(np.asfortranarray(image.numpy().view(np.uint8))))
    return codes


def measure(name: str, height: int, width: int, results: multiprocessing.Queue) -> None:
    """Best seconds of some runs, growth of the peak memory in MiB, and the codes."""
    paste = {"ours": paste_ours, "torch": paste_torch}[name]
    masks, boxes = make_case(height, width)
    paste(masks[:1], np.asarray([[0, 0, 9, 9]], np.float32), 10, 10)  # imports and first-use costs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        codes = paste(masks, boxes, height, width)
        seconds.append(time.perf_counter() - started)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    counts = [code["counts"] if isinstance(code["counts"], str) else code["counts"].decode() for code in codes]
    results.put((min(seconds), grown, counts))


def figures() -> Iterator[Figure]:
    """Each process' share of time and memory; codes that differ by a rounding are counted in the name."""
    context = multiprocessing.get_context("spawn")
    for height, width in IMAGES:
        found = {}
        for name in ("ours", "torch"):
            results = context.Queue()
            process = context.Process(target=measure, args=(name, height, width, results))
            process.start()
            found[name] = results.get()
            process.join()
        (ours, our_memory, our_codes), (torch, torch_memory, torch_codes) = found["ours"], found["torch"]
        same = sum(a == b for a, b in zip(our_codes, torch_codes))
        what = f"{MASKS} masks pasted on {width}x{height} ({same} codes identical)"
        reference = f"{versioned('torch', 'PyTorch')} grid_sample, pycocotools"
        yield Figure(what, ours * 1e3, torch * 1e3, "ms", reference)
        yield Figure(f"{what}, memory above the start", our_memory, torch_memory, "MiB", reference)


if __name__ == "__main__":
    run(figures, __doc__)
