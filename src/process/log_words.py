"""The lines that scripts look for in a log, by family and style: today's, and those of the five MindSpore originals.

`log_style: original` prints the originals' own words, digit for digit, without this project's date in front. What is in
neither table is the same in both styles. A line that a style does not have is empty, and nothing is printed for it.
"""

import logging
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)

PLAIN = {"plain": True}  # of a log record: its text is the whole line
FOOT = "=" * 41

DETECTION = {  # by name of a line: as it is today
    "images": "total images num: {images}{here}",
    "batch": "",
    "progress": "{done}/{total} images",
    "each": "{each:.3f} s per image (and {first:.1f} s for the first batch with its compilation); unreadable images: "
    "{unreadable}",
}
STEP = "{seconds} epoch: {epoch} step: {step} total_loss: {loss:.5f}"
ORIGINAL_DETECTION = {
    "data": "Start create dataset!",
    "opened": "total images num:  {steps}\nCreate dataset done!",
    "epoch": "epoch time: {milliseconds:5.3f} ms, per step time: {per_step:5.3f} ms",
    "evaluation": "Start Eval!",
    "images": f"\n{'=' * 40}\n\ntotal images num:  {{batches}}\nProcessing, please wait a moment.",
    "progress": "",
    "each": "",
}
SEGMENTATION = {
    "image": "",
    "samples": "Number of samples: {count:4d}, total time: {seconds:4.2f}s, average time: {each:4.2f}s",
    "head": "============= {device} Inference =============",
    "miou": "miou: {miou}",
    "iou": "iou array: \n {iou}",
    "foot": FOOT,
}
EPOCH = (
    "epoch: [{epoch:3d}/{epochs:3d}], epoch time: {milliseconds:5.3f}, steps: {steps:5d}, "
    "per step time: {per_step:5.3f}, avg loss: {loss:5.3f}, "
)

# Family: (today's lines, the original's where they are others).
FAMILIES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "": ({}, {}),
    "classification": (
        {},
        {
            "start": "Generating {model}...",
            "epoch": EPOCH + "lr:[{lr:5.3f}]",
            "evaluated": "==== epoch: {epoch:3d}, device id: {device_id:2d}, top1-acc: {Top_1_Acc:1.4f}, "
            "top5-acc: {Top_5_Acc:1.4f}",
        },
    ),
    "segmentation": (
        SEGMENTATION,
        {
            "image": "=====> Image:  {number}",
            "epoch": EPOCH + "lr:[{lr:8.6f}]",
            "evaluated": "=== epoch: {epoch:4d}, device id: {device_id:2d}, best miou: {best:6.4f}, miou: {mIoU:6.4f}",
            "head": "============= 910 Inference =============",
        },
    ),
    "310": (
        SEGMENTATION | {
            "written": "{count} inputs of {images} images written to {folder}",
            "total": "Total number of images: {count:4d}",
            "head": "============= 310 Inference Result =============",
        },
        {
            "written": "Export bin files finished!",
            "total": "Total number of images:  {count}",
            "head": "=========== 310 Inference Result ===========",
            "foot": "=" * 44,
        },
    ),
    "sdk": (
        SEGMENTATION | {
            "total": "Total number of images: {images:4d}, {count} run, {each:.4f} s each",
            "head": "============= SDK Inference Result =============",
        },
        {
            "total": "",
            "head": "========= SDK Inference Result =========\nThe total time of inference is {seconds} s",
            "miou": "mIoU: {miou}",
            "iou": "IoU array: \n {iou}",
            "foot": "=" * 40,
        },
    ),
    "pointrend": (
        DETECTION,
        ORIGINAL_DETECTION | {
            "start": "Start training for pointrend!",
            "step": STEP,
            "batch": "Iter {from_0} cost time {seconds}",
            "weights": "load_path: {path}",
            "loading": "Loading pretrained pointrend checkpoint",
        },
    ),
    "mask_rcnn": (
        DETECTION,
        ORIGINAL_DETECTION | {
            "start": "Start train for maskrcnn!",
            "step_in_file": STEP,
            "batch": "Iter {from_1} cost time {seconds}",
            "evaluated_all": "ckpt_path= {path}",
        },
    ),
    "mindrecord": (
        {},
        {"create": "Create Mindrecord.", "created": "Create Mindrecord Done, at {folder}"},
    ),
    "conversion": ({}, {"converted": "Transform successfully!"}),
}  # fmt: skip


class Words:
    """The lines of one family in one style. facts: what its formats may name besides what the caller gives."""

    def __init__(self, family: str, style: str, **facts: Any):
        today, original = FAMILIES[family]
        self.facts = facts
        self.formats: Mapping[str, str] = today | original if style == "original" else today

    def has(self, name: str) -> bool:
        """Whether the style has a line of this name."""
        return bool(self.formats.get(name))

    def line(self, name: str, **facts: Any) -> str:
        """The line of this name; empty where the style has none."""
        return self.formats.get(name, "").format(**self.facts, **facts)

    def say(self, name: str, **facts: Any) -> None:
        """Print it, as results are."""
        if line := self.line(name, **facts):
            print(line, flush=True)

    def log(self, name: str, **facts: Any) -> None:
        """Log it, as what a run does is, without a date in front."""
        for line in self.line(name, **facts).splitlines():
            logger.info(line, extra=PLAIN)
