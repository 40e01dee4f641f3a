"""Saved predictions scored as eval.py scores them, beside pycocotools' own evaluation of the same files.

    python benchmarks/scoring.py [--images 5000] [--reference 0]

`report_speed`'s made-up predictions: by default 5,000 images with 36,000 objects of 80 classes and 100 detections each,
COCO's validation set; once as boxes, once with masks. Each side is a process of its own that reads the files and gives
the 12 numbers of each kind. Prints seconds by the clock and of the processor and the peak of memory of both, the ratio,
and whether every number is the same. faster-coco-eval takes part where it is installed. The first line is what a single
image takes: the start.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from benchmarks.figures import Figure, add_figures_option, show, versioned  # noqa: E402

STATISTICS = 12


def ours(data: Path, found: Path) -> list[float]:
    from src.commands.evaluate import evaluate
    from src.config import default_config

    keys = {"val_dataset": data, "val_data_type": "coco", "prediction_path": found}
    return list(evaluate(default_config([f"--{name}={value}" for name, value in keys.items()])).values())


def pycocotools(data: Path, found: Path) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return by_kinds(COCO, COCOeval, data, found)


def faster(data: Path, found: Path) -> list[float]:
    from faster_coco_eval import COCO, COCOeval_faster

    return by_kinds(COCO, COCOeval_faster, data, found)


def by_kinds(files, evaluation, data: Path, found: Path) -> list[float]:
    truth, results, numbers = files(str(data / "labels.json")), json.loads(found.read_text()), []
    for kind, shape, other in (("bbox", "bbox", "segmentation"), ("segm", "segmentation", "bbox")):
        if shape in results[0]:
            own = [{key: value for key, value in one.items() if key != other} for one in results]
            one = evaluation(truth, truth.loadRes(own), kind)
            one.evaluate()
            one.accumulate()
            one.summarize()
            numbers += list(map(float, one.stats[:STATISTICS]))
    return numbers


SIDES = {"eval.py": ours, "pycocotools": pycocotools, "faster-coco-eval": faster}


def measured(side: str, data: Path, found: Path) -> tuple[list[float], float, float]:
    """The numbers of a side, its seconds of the processor, and its peak of memory in GB; prints these."""
    with tempfile.TemporaryFile("w+") as answer:
        started = time.perf_counter()
        child = subprocess.Popen([sys.executable, __file__, "--side", side, str(data), str(found)], stdout=answer)
        _, status, usage = os.wait4(child.pid, 0)
        seconds, child.returncode = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{side} ended with status {child.returncode}")
        answer.seek(0)
        numbers = json.load(answer)
    processor, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20
    print(f"  {side:<16} {seconds:7.1f} s, {processor:7.1f} s of the processor, {memory:5.2f} GB at most", flush=True)
    return numbers, processor, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--reference", type=int, choices=(0, 1), default=1)
    add_figures_option(parser)
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        side, data, found = arguments.side
        with contextlib.redirect_stdout(sys.stderr if os.isatty(2) else open(os.devnull, "w")):
            numbers = SIDES[side](Path(data), Path(found))
        print(json.dumps(numbers))
        return
    others = ["pycocotools"] * arguments.reference
    others += ["faster-coco-eval"] * (arguments.reference and importlib.util.find_spec("faster_coco_eval") is not None)
    show(figures(arguments.images, others), arguments.figures)


def figures(count: int, others: Sequence[str]) -> Iterator[Figure]:
    from report_speed import make_up

    for images in (1, count):
        with tempfile.TemporaryDirectory() as place:
            data, masked = make_up(Path(place), images)
            boxes = data / "boxes.json"
            results = json.loads(masked.read_text())
            boxes.write_text(json.dumps([{k: v for k, v in one.items() if k != "segmentation"} for one in results]))
            del results
            for name, found in (("boxes", boxes), ("boxes and masks", masked)) if images > 1 else (("start", boxes),):
                print(f"{name}:")
                numbers, processor, memory = measured("eval.py", data, found)
                for other in others if images > 1 else ():
                    theirs, seconds, most = measured(other, data, found)
                    same = sum(one == own for one, own in zip(theirs, numbers, strict=True))
                    what = f"{images} images scored, {name} ({same} of {len(numbers)} numbers the same)"
                    yield Figure(f"{what}, time", processor, seconds, "s", versioned(other))
                    yield Figure(f"{what}, memory", memory, most, "GB", versioned(other))


if __name__ == "__main__":
    main()
