"""Memory that the training loader with worker processes takes beyond what was there before it.

    python benchmarks/loader_memory.py [--objects 100 1500] [--size 1024] [--batches 45]

Batch 1, two processes, `num_gts` 2000; the network's part is a pause, so that all queues fill. Memory is the
proportional set size of the process and its workers, shared memory among it; beside it the size of one batch as the
network gets it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

CONFIG = Path(__file__).parents[1] / "configs" / "mask_rcnn_hrnetv2p_w18_1x_coco.yaml"
IMAGES, PAUSE, SIDE = 12, 1.0, 24  # pictures, seconds, pixels of an object


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, nargs="+", default=[100, 1500])
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--batches", type=int, default=45)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.one, arguments.size, arguments.batches)
        return
    for count in arguments.objects:
        with tempfile.TemporaryDirectory() as folder:
            write_images(Path(folder), count, arguments.size)
            sizes = [f"--size={arguments.size}", f"--batches={arguments.batches}"]
            command = [sys.executable, __file__, "--one", folder, *sizes]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(f"{count} objects an image: {done.stdout.strip()}", flush=True)


def write_images(folder: Path, objects: int, size: int) -> None:
    """A COCO folder of noise with small squares for objects."""
    import cv2

    rng = np.random.RandomState(0)
    (folder / "data").mkdir()
    images, annotations = [], []
    for number in range(1, IMAGES + 1):
        cv2.imwrite(str(folder / "data" / f"{number}.jpg"), rng.randint(0, 255, (size, size, 3)).astype(np.uint8))
        images.append({"id": number, "file_name": f"{number}.jpg", "width": size, "height": size})
        for x, y in rng.randint(0, size - SIDE, (objects, 2)).tolist():
            outline = [x, y, x + SIDE, y, x + SIDE, y + SIDE, x, y + SIDE]
            shape = {"bbox": [x, y, SIDE, SIDE], "segmentation": [outline], "area": SIDE**2, "iscrowd": 0}
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": 1} | shape)
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "square"}]}
    (folder / "labels.json").write_text(json.dumps(content))


def measure(folder: Path, size: int, batches: int) -> None:
    """Print what the loader takes over so many batches."""
    import logging

    from src.config import load_config
    from src.data.formats.coco import read_coco
    from src.data.pipeline import build_train_loader

    logging.disable(logging.WARNING)
    keys = ["--num_parallel_workers=2", "--python_multiprocessing=1", "--batch_size=1", "--num_gts=2000"]
    cfg = load_config(str(CONFIG), [*keys, f"--img_width={size}", f"--img_height={size}"])
    loader = build_train_loader(cfg, read_coco(folder, ["square"]))
    import mindspore.dataset  # noqa: F401  # part of what was there before

    before, watch = memory(), Watch()
    started = time.perf_counter()
    for number, batch in enumerate(loader, start=1):
        own = sum(column.nbytes for column in batch)
        time.sleep(PAUSE)
        if number == batches:
            break
    seconds = time.perf_counter() - started
    peak = (watch.stop() - before) / 1e9
    print(f"{peak:.2f} GB at most; a batch has {own / 1e9:.2f} GB; {seconds:.0f} s for {batches} batches")


class Watch:
    """The largest memory of this process and its children, looked at by a thread."""

    def __init__(self):
        self.peak, self.ends = 0, threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def stop(self) -> int:
        self.ends.set()
        self.thread.join()
        return self.peak

    def _look(self) -> None:
        while not self.ends.wait(0.2):
            self.peak = max(self.peak, memory())


def memory() -> int:
    """Bytes that this process and all below it take, each shared page counted once."""
    import os

    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(status.parent.name)] = int(words[1])
    own, found = {os.getpid()}, set()
    while own != found:
        found = set(own)
        own |= {pid for pid, parent in parents.items() if parent in own}
    return sum(proportional_size(pid) for pid in own)


def proportional_size(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
