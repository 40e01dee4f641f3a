"""Weights and images of the MMDetection comparison, recomputed by name: nothing large has to be stored.

`make_mmdet_fixture.py` fills MMDetection's model with `make_parameter`; our tests fill ours with the same call.
"""

import re
import zlib

import numpy as np

WEIGHT_SEED = 23
IMAGE_SEED = 54
BATCH_SHAPE = (2, 3, 128, 160)
IMAGE_SHAPES = ((128, 150), (90, 124))  # (height, width) before padding; padded to 128x160 and 96x128 on their own
ORIGINAL_SHAPES = ((201, 240), (75, 104))
SCALE_FACTORS = ((150 / 240, 128 / 201), (124 / 104, 90 / 75))  # (x, y)

# Factors on the weights (not the biases), by the start of the name: they keep scores and boxes varied, not saturated.
GAINS = (
    ("backbone.", 0.6),
    ("neck.reduction_conv.", 2.0),
    ("rpn_head.rpn_cls.", 0.4),
    ("rpn_head.rpn_reg.", 0.1),
    ("roi_head.bbox_head.fc_cls.", 1.0),
    ("roi_head.bbox_head.fc_reg.", 0.5),
)


def make_parameter(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 value of one tensor of MMDetection's state_dict.

    Matrices and kernels: normal * sqrt(2 / prod(shape[1:])) * gain (a transposed convolution has shape (in, out, k, k)
    and is treated alike); norm weight 1 + 0.1 normal; running_var 1 + 0.1 |normal|; bias and running_mean 0.1 normal.
    """
    values = np.random.RandomState((zlib.crc32(name.encode()) + WEIGHT_SEED) % 2**31).standard_normal(shape)
    kind = name.rpartition(".")[2]
    plain = re.sub(r"_head\.\d+\.", "_head.", name)  # every stage of a cascade has the gains of the only one
    gain = next((factor for prefix, factor in GAINS if plain.startswith(prefix)), 1.0)
    if len(shape) > 1:
        values = values * np.sqrt(2.0 / np.prod(shape[1:])) * gain
    elif kind == "weight":
        values = 1 + 0.1 * values
    elif kind == "running_var":
        values = 1 + 0.1 * np.abs(values)
    else:
        values = 0.1 * values
    return values.astype(np.float32)


def make_images() -> np.ndarray:
    """(2, 3, 128, 160) float32 batch: 32-pixel blocks of random colour plus noise, 0 outside each image's own shape."""
    rng = np.random.RandomState(IMAGE_SEED)
    count, channels, height, width = BATCH_SHAPE
    blocks = rng.randn(count, channels, height // 32, width // 32)
    images = 2 * np.kron(blocks, np.ones((32, 32))) + rng.randn(*BATCH_SHAPE)
    for image, (own_height, own_width) in zip(images, IMAGE_SHAPES):
        image[:, own_height:] = 0
        image[:, :, own_width:] = 0
    return images.astype(np.float32)
