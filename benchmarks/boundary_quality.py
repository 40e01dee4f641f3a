"""Are PointRend's boundaries better? Both mask heads, same backbone and schedule, on shapes of fine boundaries.

    python benchmarks/boundary_quality.py [--work FOLDER] [--steps N]

Trains the demo's Mask R-CNN and the demo's PointRend on 256x256 images of gears and bursts and prints for both the
mean boundary IoU of the objects that were found (Cheng et al., arXiv:2103.16562, at 1% of the image's diagonal), mask
AP at IoU 0.75 and mask AP. Expected: PointRend is better in each.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.data.synthetic.coco import write_fine_coco  # noqa: E402

ROOT = Path(__file__).parents[1]
CONFIGS = {"fcn": "configs/demo/mask_rcnn_hrnet_shapes.yaml", "pointrend": "configs/demo/pointrend_hrnet_shapes.yaml"}
TRAIN_IMAGES, VAL_IMAGES, SIZE, BATCH = 320, 80, 256, 4
DIAGONAL_SHARE = 0.01
KEYS = {
    "img_width": SIZE, "img_height": SIZE, "num_gts": 4, "batch_size": BATCH, "test_batch_size": BATCH,
    "coco_classes": "[background, gear, burst]", "num_classes": 3, "epoch_size": 10, "eval_every": 10,
    "train_cfg.rcnn.sampler.num": 32, "test_cfg.rcnn.max_per_img": 8,
}  # fmt: skip


def train_and_predict(config: str, data: Path, work: Path, steps: int) -> Path:
    """Train from scratch, predict the validation images; the COCO results file."""
    keys = [word for name, value in KEYS.items() for word in (f"--{name}", str(value))]
    common = ["--config_path", config, *keys, "--val_dataset", str(data / "validation")]
    run = ["--train_dataset", str(data / "train"), "--train_outputs", str(work), "--max_steps", str(steps)]
    subprocess.run([sys.executable, "train.py", *common, *run], cwd=ROOT, check=True)
    checkpoint = sorted(work.glob("*/best_ckpt/*.ckpt"))[-1]
    predictions = work / "predictions.json"
    paths = ["--checkpoint_path", str(checkpoint), "--prediction_path", str(predictions)]
    subprocess.run([sys.executable, "eval.py", *common, *paths], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return predictions


def boundary_iou(mask: np.ndarray, other: np.ndarray) -> float:
    """IoU of the two masks' pixels that lie within `DIAGONAL_SHARE` of the diagonal from their own outlines."""
    width = max(1, round(DIAGONAL_SHARE * np.hypot(*mask.shape)))
    rims = []
    for item in (mask, other):
        padded = cv2.copyMakeBorder(item, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
        rims.append((item - inner).astype(bool))
    union = (rims[0] | rims[1]).sum()
    return float((rims[0] & rims[1]).sum() / union) if union else 0.0


def measure(truth: COCO, predictions: Path) -> dict[str, float]:
    """Boundary IoU over the objects that some detection of their class overlaps by half; AP75 and AP of the masks."""
    found = truth.loadRes(json.loads(predictions.read_text()))
    values = []
    for item in truth.loadAnns(truth.getAnnIds(iscrowd=False)):
        mask = truth.annToMask(item)
        own = found.loadAnns(found.getAnnIds(imgIds=item["image_id"], catIds=item["category_id"]))
        own = sorted((d for d in own if d["score"] >= 0.5), key=lambda d: -d["score"])
        masks = [coco_mask.decode(d["segmentation"]) for d in own]
        overlaps = [(m & mask).sum() / (m | mask).sum() for m in masks]
        if overlaps and max(overlaps) >= 0.5:
            values.append(boundary_iou(mask, masks[int(np.argmax(overlaps))]))
    evaluator = COCOeval(truth, found, "segm")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    objects = len(truth.getAnnIds(iscrowd=False))
    return {
        "boundary_iou": float(np.mean(values)) if values else 0.0,
        "found": len(values) / objects,
        "segm_AP75": float(evaluator.stats[2]),
        "segm_mAP": float(evaluator.stats[0]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("outputs/boundary_quality"))
    parser.add_argument("--steps", type=int, default=0, help="stop each training early (default: 800 steps)")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    if work.exists():
        sys.exit(f"error: {work} is there already; give another --work")
    data = work / "data"
    write_fine_coco(data, TRAIN_IMAGES, VAL_IMAGES, SIZE, seed=1)
    truth = COCO(str(data / "validation" / "labels.json"))
    results = {
        name: measure(truth, train_and_predict(config, data, work / name, arguments.steps))
        for name, config in CONFIGS.items()
    }
    for name, values in results.items():
        print(name + "  " + "  ".join(f"{key} {value:.4f}" for key, value in values.items()))
    gain = results["pointrend"]["boundary_iou"] / max(results["fcn"]["boundary_iou"], 1e-9)
    print(f"boundary_iou_ratio: {gain:.3f}")


if __name__ == "__main__":
    main()
