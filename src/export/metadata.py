"""What a program needs besides the network to use an exported file."""

from typing import Any

from ..checkpoint import checkpoint_hash
from ..commands.infer import known_category_ids
from ..config import Config, config_hash
from ..data.label_sets import label_set
from ..data.normalisation import PixelNormalisation
from ..inference.classify import known_class_names


def describe(cfg: Config, image_size: tuple[int, int]) -> dict[str, Any]:
    """Metadata of an exported file: how to make its input and what its outputs mean.

    image = (pixels - mean) / std, channels in RGB order where `to_rgb`, else BGR.
    """
    height, width = image_size
    values: dict[str, Any] = {
        "task": cfg.task,
        "num_classes": cfg.num_classes,
        "height": height,
        "width": width,
        **PixelNormalisation.from_config(cfg).to_dict(),
        "config": config_hash(cfg),
        "checkpoint": checkpoint_hash(cfg.checkpoint_path),
    }
    if cfg.task == "detection":
        rcnn = cfg.test_cfg.rcnn
        return values | {
            "class_names": cfg.coco_classes[1:],
            "category_ids": known_category_ids(cfg),
            "keep_ratio": bool(cfg.keep_ratio),
            "mask_threshold": rcnn.mask_thr_binary,
            "score_threshold": rcnn.score_thr,
            "max_detections": rcnn.max_per_img,
        }
    if cfg.task == "segmentation":
        labels = label_set(cfg)
        keep_ratio = bool(cfg.keep_ratio)
        return values | {
            "class_names": list(labels.names), "palette": labels.palette.tolist(), "keep_ratio": keep_ratio
        }  # fmt: skip
    return values | {"short_side": cfg.eval_resize, "class_names": known_class_names(cfg)}
