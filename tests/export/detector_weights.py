"""Detectors with random weights that nevertheless find things: what an export is compared on."""

from collections.abc import Sequence
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from src.checkpoint import save_weights
from src.config import load_config
from src.data.network_input import ImageSettings, prepare_image
from src.tasks import build_model

ROIS = 16


def save_lively_detector(
    config: str, overrides: Sequence[str], images: Sequence[np.ndarray], path: str | Path, seed: int = 1
) -> None:
    """Write a checkpoint of a freshly drawn detector whose outputs on `images` are spread as those of a trained one.

    images: (h, w, 3) uint8 BGR. The backbone's running statistics are those of the images (without them a deep one's
    activations grow out of bounds), and the last layers are scaled so that logits and deltas have a given spread.
    """
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.PYNATIVE_MODE)
    ms.set_seed(seed)
    cfg = load_config(config, [*overrides, "--backbone.norm_eval", "0", "--backbone.norm_cfg.momentum", "1"])
    model = build_model(cfg)
    settings = ImageSettings.from_config(cfg)
    batch = Tensor(np.stack([prepare_image(image, settings)[0] for image in images]))
    model.backbone.set_train(True)
    model.backbone(batch)
    model.set_train(False)
    pyramid = model.neck(model.backbone(batch))
    scale(model.rpn_head.rpn_cls, lambda: model.rpn_head(pyramid)[0], 2.0)
    scale(model.rpn_head.rpn_reg, lambda: model.rpn_head(pyramid)[1], 0.3)
    valid = Tensor(np.ones(ROIS, bool))
    features = windows(pyramid[1], model.bbox_roi.out_size, seed)
    for head in heads(model.bbox_head):
        scale(head.fc_cls, lambda: head(features, valid)[0], 2.0)  # noqa: B023  called at once
        scale(head.fc_reg, lambda: head(features, valid)[1], 1.0)  # noqa: B023
    for head in heads(model.mask_head):
        _enliven_masks(head, pyramid, valid, seed)
    save_weights(model, Path(path))
    ms.set_context(mode=mode)


def heads(found) -> list:
    """The one head, those of a cascade's stages, or none."""
    return [] if found is None else list(found) if isinstance(found, nn.CellList) else [found]


def _enliven_masks(head: nn.Cell, pyramid: tuple[Tensor, ...], valid: Tensor, seed: int) -> None:
    if head.kind == "points":
        cells = windows(pyramid[0], head.grid_size, seed)
        scale(head.coarse_head.prediction, lambda: head.coarse_head(cells), 2.0)
        points = Tensor(np.random.RandomState(seed).rand(ROIS, 50, 2).astype(np.float32))
        fine, coarse = head.sample(cells, points), head.sample(head.coarse_head(cells), points)
        scale(head.point_head.predictor, lambda: head.point_head(fine, coarse), 2.0, mean=3.0)
    else:
        cells = windows(pyramid[0], head.roi.out_size, seed)
        scale(head.conv_logits, lambda: head.logits(cells, valid), 2.0, mean=3.0)


def scale(layer, run, spread: float, mean: float = 0.0) -> None:
    """Scale the layer's weights so that what `run()` gives has this standard deviation; `mean` is its bias then.

    A mask whose logits have a mean fills most of its box, as objects do; without one it is noise, all boundary.
    """
    factor = spread / max(float(run().asnumpy().std()), 1e-6)
    layer.weight.set_data(Tensor(layer.weight.asnumpy() * np.float32(factor)))
    layer.bias.set_data(Tensor(np.full(layer.bias.shape, mean, np.float32)))


def windows(feature: Tensor, side: int, seed: int) -> Tensor:
    """(B, C, h, w) -> (ROIS, C, side, side) anywhere in the map, repeated at its borders."""
    rng, maps = np.random.RandomState(seed), feature.asnumpy()
    maps = np.pad(maps, ((0, 0), (0, 0), (0, side), (0, side)), mode="wrap")
    cut = []
    for _ in range(ROIS):
        image, y, x = rng.randint(len(maps)), rng.randint(maps.shape[2] - side), rng.randint(maps.shape[3] - side)
        cut.append(maps[image, :, y : y + side, x : x + side])
    return Tensor(np.stack(cut))
