"""A detector on images of another size than it was built for: another graph, the same weights."""

import numpy as np
import pytest
from mindspore import Tensor

from src.errors import UserError
from tests.models.detection.mmdet_case import DATA_FILES, LossesAndGradients, build, load_train_inputs
from tests.reference.recipe import IMAGE_SHAPES, make_images

SIZES = {"turned": (160, 128), "larger": (192, 128)}  # (h, w); built for 128 x 160, level sizes are others if larger
KINDS = {
    "mask_rcnn": [],
    "portable": ["--portable", "1"],
    "cascade_rcnn": ["--detector", "cascade_rcnn"],
}


def inputs(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Two images, one of them smaller than the input."""
    rng = np.random.RandomState(7)
    image = 2 * np.kron(rng.randn(2, 3, height // 32, width // 32), np.ones((32, 32)))
    image[1, :, :, width - 40 :] = 0
    return Tensor(image.astype(np.float32)), Tensor(np.int32([[height, width], [height, width - 40]]))


def test_built_for_portraits_a_network_detects_in_landscapes_what_mmdetection_does(pynative_mode):
    """The recorded numbers are of 128 x 160; the network's own size is that turned, as that of `resize: short_long`."""
    reference = np.load(DATA_FILES / "mmdet_mask_rcnn_hrnet.npz")
    model = build(["--img_width", "128", "--img_height", "160"])
    model.set_train(False)
    outputs = model(Tensor(make_images()), Tensor(np.int32(IMAGE_SHAPES)))
    boxes, scores, labels, valid = (x.asnumpy() for x in outputs[:4])
    for image, count in enumerate(reference["detection_count"]):
        assert valid[image].sum() == count > 10
        distance = np.abs(boxes[image, :count, None] - reference["detection_boxes"][image, None, :count]).max(-1)
        distance += 1e3 * (labels[image, :count, None] != reference["detection_labels"][image, None, :count])
        match = distance.argmin(1)
        assert len(set(match)) == count and distance.min(1).max() < 0.01
        np.testing.assert_allclose(scores[image, :count], reference["detection_scores"][image, match], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("mask_rcnn", "larger"), ("mask_rcnn", "turned"), ("portable", "larger"), ("cascade_rcnn", "larger"),
    ],
)  # fmt: skip
def test_detections_are_those_of_a_network_that_was_built_for_the_size(graph_mode, kind, size):
    height, width = SIZES[size]
    ours, own = build(KINDS[kind]), build([*KINDS[kind], "--img_width", str(width), "--img_height", str(height)])
    for model in (ours, own):
        model.set_train(False)
    usual = [x.asnumpy() for x in ours(*inputs(128, 160))]
    found, wanted = ([x.asnumpy() for x in model(*inputs(height, width))] for model in (ours, own))
    assert wanted[3].sum() > 20
    for one, other in zip(found, wanted):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(usual, ours(*inputs(128, 160))):
        np.testing.assert_array_equal(one, other.asnumpy())


@pytest.mark.slow
def test_losses_and_gradients_are_those_of_a_network_that_was_built_for_the_size(graph_mode):
    image, shape, boxes, labels, valid, masks, seed = (x.asnumpy() for x in load_train_inputs())
    full = np.unpackbits(masks, axis=-1).swapaxes(-1, -2)
    turned = (
        image.swapaxes(-1, -2), shape[:, ::-1], boxes[..., [1, 0, 3, 2]], labels, valid,
        np.packbits(np.ascontiguousarray(full), axis=-1), seed,
    )  # fmt: skip
    turned = [Tensor(np.ascontiguousarray(x)) for x in turned]
    both = []
    for keys in ([], ["--img_width", "128", "--img_height", "160"]):
        model = build(keys)
        model.set_train(True)
        losses, gradients = LossesAndGradients(model)(*turned)
        both.append([*losses, *gradients])
    assert all(float(loss) > 0 for loss in both[0][:5])
    for one, other in zip(*both):
        np.testing.assert_allclose(one.asnumpy(), other.asnumpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("keys", "size"),
    [
        (["--img_width", "32"], "32x128"),
        (["--resize", "short_long", "--eval_width", "160", "--eval_height", "32"], "160x32"),
    ],
)
def test_an_input_too_small_for_the_coarsest_level_is_refused_before_anything_is_compiled(keys, size):
    with pytest.raises(UserError, match=f"an input of {size} is too small for 5 pyramid levels.* at least 64$"):
        build(keys)
