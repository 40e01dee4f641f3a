"""What a program needs besides the network to use an exported file."""

from typing import Any

from ..checkpoint import checkpoint_hash
from ..config import Config, config_hash
from ..config.portable import portable_values
from ..data.normalisation import PixelNormalisation
from ..file_facts import CONFIGURATION
from ..files import EXPORT_FORMAT


def describe(cfg: Config, image_size: tuple[int, int]) -> dict[str, Any]:
    """Metadata of every exported file: how to make its input, and where it comes from; the task adds what it gives.

    image = (pixels - mean) / std, channels in RGB order where `to_rgb`, else BGR. The configuration is what
    evaluation and inference with the file take where none is typed.
    """
    height, width = image_size
    return {
        "format": EXPORT_FORMAT,
        "task": cfg.task,
        "num_classes": cfg.num_classes,
        "batch": cfg.export_batch,
        "height": height,
        "width": width,
        **PixelNormalisation.from_config(cfg).to_dict(),
        "config": config_hash(cfg),
        CONFIGURATION: portable_values(cfg),
        "checkpoint": checkpoint_hash(cfg.checkpoint_path),
    }
