"""Does training here go as in PyTorch? Three networks, from the same weights on the same batches, step by step.

    python benchmarks/trained_parity.py [--cases segmenter ...] [--recipes sgd ...] [--steps 200]

Networks (`parity/cases.py`): a narrow HRNet segmenter, a narrow HRNet classifier (timm's) and a Mask R-CNN on ResNet-18
with FPN whose samplers take candidates in order. Recipes, each with weight decay on everything, linear warm-up,
clipping by the global norm and a moving average: SGD with falling steps; AdamW with a cosine, two batches an update.
Both sides start from weights that 50 steps of Adam in PyTorch have made of ours, as a run does from pretrained ones.
Ours train by the project's `TrainStep`, the others by torch.optim. One table: how far the losses are apart at step 20
and in the mean of steps 151 to 200, and the averaged weights as a share of the way they have come; beside each, how far
PyTorch is from itself when every first weight is off by 1e-7 of itself, which is what rounding alone can do.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("GLOG_v", "3")

from src.process.threads import share_cores  # noqa: E402

share_cores()

import mindspore as ms  # noqa: E402

from benchmarks.parity.cases import CASES, RECIPES, STEPS_PER_EPOCH, Case, batches, configuration, draw  # noqa: E402
from benchmarks.parity.training import Batches, Course, gap, same_start, train_ours, train_torch  # noqa: E402
from benchmarks.parity.weights import disturbed  # noqa: E402
from src.config import Config  # noqa: E402

EARLY, LATE = 20, slice(150, 200)
AT_EARLY, AT_LATE = 1e-3, 2e-2  # what the losses may be apart, relative
DISTURBANCE = 1e-7
START_STEPS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=CASES)
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--steps", type=int, default=LATE.stop, help="less than 200 leave the late mean out")
    options = parser.parse_args()
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    print_header()
    within = True
    for name in options.cases:
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder, "data")
            draw(CASES[name], data)
            for recipe in options.recipes:
                cfg = configuration(CASES[name], recipe, data)
                started = time.perf_counter()
                courses = three_courses(CASES[name], cfg, batches(cfg, options.steps))
                within &= print_row(name, recipe, courses, time.perf_counter() - started)
    verdict = "yes" if within else "NO"
    print(f"all losses within {AT_EARLY:g} at step {EARLY} and {AT_LATE:g} in the mean of the last 50: {verdict}")


def three_courses(case: Case, cfg: Config, data: Batches) -> tuple[Course, Course, Course]:
    """Ours, PyTorch's and that of PyTorch with the first weights disturbed."""
    model, twin = same_start(case, cfg, data[:START_STEPS])
    other, marks = disturbed(twin, DISTURBANCE), {EARLY, len(data)}
    ours = train_ours(case, cfg, model, data, STEPS_PER_EPOCH, marks)
    return ours, *(train_torch(case, cfg, module, data, STEPS_PER_EPOCH, marks) for module in (twin, other))


def print_header() -> None:
    print(f"{'':18}{'first':>8}   {'loss at step ' + str(EARLY):32}{'mean of steps 151-200':34}averaged weights apart")
    apart = f"{'ours':>9}{'PyTorch':>9}{'apart':>9}{'chaos':>9}"
    print(f"{'':18}{'loss':>8}{apart}{apart}   {'at step ' + str(EARLY) + ' (chaos)':22}at the end (chaos)")


def print_row(name: str, recipe: str, courses: Sequence[Course], seconds: float) -> bool:
    """Whether the losses are as near as they should be."""
    ours, theirs, other = (course.totals() for course in courses)
    mine, reference, again = courses
    early, late = cells([x[EARLY - 1] for x in (ours, theirs, other)]), ("", float("nan"))
    if len(ours) >= LATE.stop:
        late = cells([x[LATE].mean() for x in (ours, theirs, other)])
    averages = [
        f"{gap(courses[0], courses[1], k):.1e} ({gap(courses[2], courses[1], k):.1e})" for k in (EARLY, len(ours))
    ]
    first = f"{name + ', ' + recipe:18}{theirs[0]:8.4f}"
    print(f"{first}{early[0]}{late[0]}   {averages[0]:22}{averages[1]:22}{seconds:4.0f} s", flush=True)
    return early[1] <= AT_EARLY and not late[1] > AT_LATE


def cells(values: Sequence[float]) -> tuple[str, float]:
    """Ours, PyTorch's, how far they are apart and how far PyTorch is from itself; the third as a number."""
    ours, theirs, other = values
    apart, chaos = abs(ours - theirs) / abs(theirs), abs(other - theirs) / abs(theirs)
    return f"{ours:9.4f}{theirs:9.4f}{apart:9.1e}{chaos:9.1e}", apart


if __name__ == "__main__":
    main()
