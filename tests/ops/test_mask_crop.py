import numpy as np
import pytest
from mindspore import Tensor

from src.ops.mask_crop import MaskCrop


def load(data_files):
    reference = dict(np.load(data_files / "mask_targets.npz"))
    unpacked = {}
    for key, value in reference.items():
        shape = reference.get(f"{key}_shape")
        if shape is not None:
            unpacked[key] = np.unpackbits(value, axis=-1)[..., : shape[-1]].reshape(shape)
    return {**reference, **unpacked}


@pytest.mark.parametrize("portable", [False, True])
def test_targets_equal_mmdetection(data_files, graph_mode, portable):
    reference = load(data_files)
    masks, targets = reference["masks"], reference["targets"]
    padding = -masks.shape[-1] % 8
    assert padding == 0 or not reference["boxes"][:, 2].max() > masks.shape[-1] - 1
    packed = np.packbits(masks, axis=-1)[None]
    rois = np.concatenate([np.zeros((len(targets), 1)), reference["boxes"]], 1).astype(np.float32)
    out = MaskCrop(28, portable=portable)(Tensor(packed), Tensor(rois), Tensor(reference["inds"].astype(np.int32)))
    different = (out.asnumpy() != targets).mean()
    assert different <= (1e-4 if portable else 0.0)


def test_rows_without_an_image_are_zero_and_images_keep_their_own_masks(graph_mode):
    masks = np.zeros((2, 1, 16, 16), np.uint8)
    masks[1, 0, :8] = 1
    rois = np.float32([[0, 0, 0, 16, 16], [1, 0, 0, 16, 16], [-1, 0, 0, 16, 16]])
    out = MaskCrop(4)(Tensor(np.packbits(masks, axis=-1)), Tensor(rois), Tensor(np.int32([0, 0, 0]))).asnumpy()
    expected = np.zeros((3, 4, 4))
    expected[1, :2] = 1
    np.testing.assert_array_equal(out, expected)
