"""Time and memory that opening large label sets takes, each in a process of its own, against what they may take.

    python -m benchmarks.label_reading [--images 118000] [--objects 860000] [--points 24] [--work FOLDER]

The sets are made first, as large as COCO's training set: its label file, and the same objects in a text file (YOLO) or
a JSON file (labelme) for each image. The images are a few small files under many names. All of it is in the system's
cache of files, as after a copy; the readers' cached index lies in a folder of its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from src.process.command import entry_point

CLASSES = 80
WIDTH, HEIGHT = 640, 480
LIMITS = {"coco": (40, 4.0), "first": (120, None), "again": (30, None)}  # seconds, GB
MOST_NAMES = 20_000  # of one image file: file systems allow some ten thousand
CACHES = "XDG_CACHE_HOME"  # where the readers' cached index lies


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label_reading", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=118_000)
    parser.add_argument("--objects", type=int, default=860_000)
    parser.add_argument("--points", type=int, default=24, help="of a polygon (%(default)s)")
    parser.add_argument("--work", type=Path, help="folder for the sets, kept (default: a temporary one)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        open_one(arguments.work, arguments.one)
        return
    with tempfile.TemporaryDirectory() as made:
        work = arguments.work or Path(made)
        make_sets(work, arguments.images, arguments.objects, arguments.points)
        report(work, "coco", "coco")
        for kind in ("yolo", "labelme"):
            if is_read(kind):
                report(work, kind, "first")
                report(work, kind, "again")


def is_read(kind: str) -> bool:
    from src.config.choices import DATA_TYPES

    return kind in DATA_TYPES


def report(work: Path, kind: str, which: str) -> None:
    """Open a set in a process of its own and print what it took."""
    environment = os.environ | {CACHES: str(work / "caches" / kind), "GLOG_v": "3"}
    line = [sys.executable, "-m", "benchmarks.label_reading", "--one", kind, "--work", str(work)]
    done = subprocess.run(line, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    seconds, gigabytes, images, objects = map(float, done.stdout.split()[-4:])
    most, most_memory = LIMITS[which]
    is_fine = seconds <= most and (most_memory is None or gigabytes <= most_memory)
    limits = f"{most} s" + (f" and {most_memory} GB" if most_memory else "")
    print(
        f"{kind}{' (again)' if which == 'again' else ''}: {int(images):,} images, {int(objects):,} objects in "
        f"{seconds:.1f} s, {gigabytes:.2f} GB; at most {limits}: {'yes' if is_fine else 'NO'}",
        flush=True,
    )


def open_one(work: Path, kind: str) -> None:
    """Print seconds, peak GB, images and objects."""
    from src.config import default_config
    from src.data.formats import open_detection

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cfg = default_config(["--train_dataset", str(work / kind), "--train_data_type", kind])
    started = time.perf_counter()
    dataset = open_detection(cfg, "train")
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"modules alone take {before / 2**20:.2f} GB", file=sys.stderr)
    print(seconds, peak * 1024 / 1e9, len(dataset), dataset.report.objects)


def make_sets(work: Path, images: int, objects: int, points: int) -> None:
    """The sets that are not there yet."""
    names = [f"class {number}" for number in range(CLASSES)]
    pictures = work / "coco" / "data"
    if not pictures.is_dir():
        _make_pictures(pictures, images)
    counts = np.random.RandomState(0).multinomial(objects, [1 / images] * images)
    if not (work / "coco" / "labels.json").is_file():
        _make_coco(work / "coco" / "labels.json", counts, points, names)
    if not (work / "yolo").is_dir():
        _make_yolo(work / "yolo", pictures, counts, points, names)
    if is_read("labelme") and not (work / "labelme").is_dir():
        _make_labelme(work / "labelme", pictures, counts, points, names)


def _make_pictures(folder: Path, images: int) -> None:
    import cv2

    folder.mkdir(parents=True)
    for number in range(1, images + 1):
        path = folder / f"{number:06d}.jpg"
        if number % MOST_NAMES == 1:
            cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 127, np.uint8))
            first = path
        else:
            os.link(first, path)


def drawn(number: int, count: int, points: int) -> Iterator[tuple[int, list[float]]]:
    """Class and polygon x, y, ... of the objects of an image: round ones, with COCO's two decimals."""
    rng = np.random.RandomState(number)
    turns = np.linspace(0, 2 * np.pi, points, endpoint=False)
    centres, radii = rng.uniform(0.2, 0.8, (count, 2)), rng.uniform(0.05, 0.2, (count, points))
    x = (centres[:, :1] + radii * np.cos(turns)) * WIDTH
    y = (centres[:, 1:] + radii * np.sin(turns)) * HEIGHT
    polygons = np.round(np.stack([x, y], -1).reshape(count, 2 * points), 2)
    yield from zip(rng.randint(0, CLASSES, count).tolist(), polygons.tolist())


def _make_coco(path: Path, counts: np.ndarray, points: int, names: list[str]) -> None:
    own = 0
    with open(path, "w") as file:
        file.write('{"images": [')
        for number in range(1, len(counts) + 1):
            entry = {"license": 3, "file_name": f"{number:06d}.jpg", "coco_url": f"http://images/{number:06d}.jpg"}
            entry |= {"height": HEIGHT, "width": WIDTH, "date_captured": "2013-11-14 11:18:45", "id": number}
            file.write(f"{', ' if number > 1 else ''}{json.dumps(entry)}")
        file.write('], "annotations": [')
        for number, count in enumerate(counts, start=1):
            for kind, polygon in drawn(number, count, points):
                x, y = np.array(polygon[::2]), np.array(polygon[1::2])
                box = [x.min(), y.min(), round(float(np.ptp(x)), 2), round(float(np.ptp(y)), 2)]
                area = abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
                entry = {"segmentation": [polygon], "area": area, "iscrowd": 0, "image_id": number, "bbox": box}
                file.write(f"{', ' if own else ''}{json.dumps(entry | {'category_id': kind + 1, 'id': own + 1})}")
                own += 1
        categories = [{"supercategory": "thing", "id": number, "name": name} for number, name in enumerate(names, 1)]
        file.write(f'], "categories": {json.dumps(categories)}}}')


def _make_yolo(root: Path, pictures: Path, counts: np.ndarray, points: int, names: list[str]) -> None:
    (root / "labels").mkdir(parents=True)
    (root / "images").symlink_to(pictures.resolve())
    (root / "data.yaml").write_text(f"train: images\nnames: {json.dumps(names)}\n")
    for number, count in enumerate(counts, start=1):
        lines = []
        for kind, polygon in drawn(number, count, points):
            shares = " ".join(f"{value / side:.6f}" for value, side in zip(polygon, (WIDTH, HEIGHT) * points))
            lines.append(f"{kind} {shares}\n")
        (root / "labels" / f"{number:06d}.txt").write_text("".join(lines))


def _make_labelme(root: Path, pictures: Path, counts: np.ndarray, points: int, names: list[str]) -> None:
    root.mkdir(parents=True)
    for number, count in enumerate(counts, start=1):
        name = f"{number:06d}.jpg"
        os.link(pictures / name, root / name)
        shapes = [
            {"label": names[kind], "points": np.reshape(polygon, (-1, 2)).tolist(), "group_id": None, "flags": {}}
            | {"shape_type": "polygon"}
            for kind, polygon in drawn(number, count, points)
        ]
        content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": name, "imageData": None}
        content |= {"imageHeight": HEIGHT, "imageWidth": WIDTH}
        (root / f"{number:06d}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main()
