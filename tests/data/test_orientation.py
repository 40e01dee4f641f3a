"""resize short_long: the published scale of portrait images, and batches of one orientation."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import config_hash, load_config
from src.data.formats.coco import read_coco
from src.data.network_input import (
    ImageSettings,
    evaluated_size,
    fitted_size,
    prepare_image,
    scale_factors,
    short_long_rule,
)
from src.data.pipeline import DetectionSamples, EvalImage, build_eval_loader, eval_batches, group_size
from src.data.streams import SampleStreams
from tests.config.refused import refusal
from tests.data.tiny import CLASSES

CONFIGS = Path(__file__).parents[2] / "configs"
R50 = str(CONFIGS / "mask_rcnn_r50_fpn_1x_coco.yaml")
HRNET = str(CONFIGS / "mask_rcnn_hrnetv2p_w18_1x_coco.yaml")


def mmcv_size(width: int, height: int, scale: tuple[int, int]) -> tuple[int, int]:
    """mmcv 2.1 `rescale_size` of a pair of limits, which `Resize(scale=(1333, 800), keep_ratio=True)` uses."""
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return int(width * float(factor) + 0.5), int(height * float(factor) + 0.5)


def detectron2_size(width: int, height: int, short: int, long: int) -> tuple[int, int]:
    """Detectron2's `ResizeShortestEdge.get_output_shape`."""
    factor = short / min(height, width)
    new_height, new_width = (short, factor * width) if height < width else (factor * height, short)
    if max(new_height, new_width) > long:
        factor = long / max(new_height, new_width)
        new_height, new_width = new_height * factor, new_width * factor
    return int(new_width + 0.5), int(new_height + 0.5)


SIZES = {  # (w, h): what MMDetection 3.3 makes of it under 1333 x 800
    (640, 480): (1067, 800), (480, 640): (800, 1067), (2048, 1024): (1333, 667), (1024, 2048): (667, 1333),
    (500, 500): (800, 800), (427, 640): (800, 1199), (640, 427): (1199, 800), (375, 500): (800, 1067),
    (300, 1000): (400, 1333), (1000, 37): (1333, 49), (1, 900): (1, 1333), (333, 555): (800, 1333),
    (4000, 6000): (800, 1200), (801, 800): (801, 800), (800, 801): (800, 801), (3000, 3001): (800, 800),
}  # fmt: skip


@pytest.mark.parametrize(("size", "wanted"), SIZES.items())
def test_sizes_are_mmdetections_and_detectron2s(size, wanted):
    settings = ImageSettings.from_config(load_config(R50))
    assert fitted_size(*size, settings) == wanted == mmcv_size(*size, (1333, 800)) == detectron2_size(*size, 800, 1333)
    assert fitted_size(*size, ImageSettings.from_config(load_config(HRNET))) == wanted
    factors = np.float32([wanted[0] / size[0], wanted[1] / size[1]])
    np.testing.assert_array_equal(scale_factors(*size, settings), factors)


def test_many_sizes_are_mmdetections():
    settings = ImageSettings.from_config(load_config(R50))
    rng = np.random.RandomState(0)
    sizes = [(int(w), int(h)) for w, h in rng.randint(1, 3000, (3000, 2))]
    assert [fitted_size(*size, settings) for size in sizes] == [mmcv_size(*size, (1333, 800)) for size in sizes]
    # Detectron2 rounds exact halves after two products: a pixel less here and there, as of this one
    assert mmcv_size(105, 310, (1333, 800)) == (452, 1333) and detectron2_size(105, 310, 800, 1333) == (451, 1333)


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (50, 50), (90, 91)])
def test_an_image_stands_in_the_input_of_its_orientation(size):
    width, height = size
    keys = ["--img_width=96", "--img_height=64", "--divider=32", "--resize_limits=[90, 60]"]
    settings = ImageSettings.from_config(load_config(R50, keys))
    pixels = np.random.RandomState(3).randint(0, 256, (height, width, 3)).astype(np.uint8)
    image, shape, scale = prepare_image(pixels, settings)
    assert image.shape == ((3, 96, 64) if height > width else (3, 64, 96))
    new_width, new_height = mmcv_size(width, height, (60, 90))
    assert shape.tolist() == [new_height, new_width] and scale.tolist() == [
        np.float32(new_width / width), np.float32(new_height / height)
    ]  # fmt: skip
    resized = cv2.resize(pixels, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    own = np.zeros_like(image)
    settings.normalisation.multiplied(resized, own)
    np.testing.assert_array_equal(image, own)


def test_the_input_is_never_left_and_an_exported_file_has_one_orientation():
    small = ImageSettings.from_config(load_config(R50, ["--img_width", "96", "--img_height", "64"]))
    assert small.bounds == (96, 64) and fitted_size(480, 640, small) == (64, 85)
    cfg = load_config(R50, ["--backend", "onnx"])
    exported = ImageSettings.from_config(cfg)
    assert prepare_image(np.zeros((640, 480, 3), np.uint8), exported)[0].shape == (3, 800, 1344)
    assert fitted_size(480, 640, exported) == (600, 800) and fitted_size(2048, 1024, exported) == (1333, 667)
    assert short_long_rule(exported) == (
        "short side at most 800 and long side 1333, portrait images fitted into 1333x800: the exported file has one "
        "orientation"
    )
    high = ImageSettings.from_config(load_config(R50, ["--backend=onnx", "--img_width=800", "--img_height=1344"]))
    assert "landscape images fitted into 800x1333" in short_long_rule(high) and high.is_portrait
    assert fitted_size(480, 640, high) == (800, 1067)
    assert short_long_rule(ImageSettings.from_config(load_config(R50))).endswith("1333, portrait images turned")


def test_training_fits_as_ever_and_fit_knows_no_limits():
    plain = [load_config(path, ["--resize=fit", "--resize_limits=[]", "--eval_width=0", "--eval_height=0"])
             for path in (R50, HRNET)]  # fmt: skip
    for path, before in zip((R50, HRNET), plain):
        cfg = load_config(path)
        settings = ImageSettings.for_training(cfg)
        assert settings == ImageSettings.for_training(before) == ImageSettings.from_config(before)
        assert not settings.turns and settings.bounds is None
    assert [config_hash(cfg) for cfg in plain] == ["5e3de7110036", "11e0cc218409"]
    limited = load_config(R50, ["--resize=fit"])
    assert fitted_size(480, 640, ImageSettings.from_config(limited)) == (600, 800)
    stretched = ImageSettings.from_config(load_config(R50, ["--keep_ratio", "0"]))
    assert fitted_size(480, 640, stretched) == (1344, 800) and not stretched.turns


def test_typed_sizes_are_those_of_evaluation_too():
    assert evaluated_size(load_config(HRNET)) == (800, 1344)
    assert evaluated_size(load_config(HRNET, ["--img_width", "512", "--img_height", "512"])) == (512, 512)
    assert evaluated_size(load_config(HRNET, ["--input_size", "256"])) == (256, 256)
    typed = ["--img_width", "512", "--eval_width", "640", "--eval_height", "320"]
    assert evaluated_size(load_config(HRNET, typed)) == (320, 640)


def test_what_does_not_fit_is_refused():
    assert "resize_limits is [800]" in refusal(R50, "--resize_limits", "[800]")
    assert "eval_width is 1333; it must be a multiple of 32" in refusal(R50, "--eval_width", "1333")
    assert "box_style continuous" in refusal(
        R50, "--box_style", "legacy", "--roi.roi_layer.aligned", "0", "--mask_roi.roi_layer.aligned", "0"
    )
    twice = ("--resize", "fit_twice", "--train_resize", "short_long")
    assert "train_resize short_long does not go with resize fit_twice" in refusal(R50, *twice)
    sizes = ("--eval_width", "12800", "--eval_height", "12800", "--test_batch_size", "64")
    assert "test_batch_size is 64: as many images of 12800x12800" in refusal(HRNET, *sizes)


MIXED = [(60, 40), (40, 60), (60, 40), (40, 60), (40, 60), (50, 50), (60, 40), (40, 60), (60, 40)]


def batches(coco_folder, make_config, batch_size: int, **keys):
    dataset = read_coco(coco_folder(MIXED, []), CLASSES)
    cfg = make_config(img_width=96, img_height=64, divider=32, test_batch_size=batch_size, **keys)
    return dataset, list(build_eval_loader(cfg, dataset))


def test_a_batch_holds_one_orientation_and_its_images_know_their_places(coco_folder, make_config):
    dataset, found = batches(coco_folder, make_config, 2, resize="short_long")
    assert [batch.image.shape[2:] for batch in found] == [(64, 96), (96, 64), (64, 96), (96, 64), (64, 96)]
    assert [batch.image_ids[: batch.count] for batch in found] == [[1, 3], [2, 4], [6, 7], [5, 8], [9]]
    assert [batch.places for batch in found] == [[0, 2], [1, 3], [5, 6], [4, 7], [8]]
    assert found[-1].readable == [True, False] and found[-1].image_ids == [9, -1]
    settings = ImageSettings.from_config(make_config(img_width=96, img_height=64, resize="short_long"))
    for batch in found:
        for slot in range(batch.count):
            pixels = cv2.imread(str(dataset.record(batch.places[slot]).path))
            image, shape, scale = prepare_image(pixels, settings)
            np.testing.assert_array_equal(batch.image[slot], image)
            assert (batch.image_shape[slot] == shape).all() and (batch.scale_factor[slot] == scale).all()


def test_of_one_image_a_batch_and_of_fit_the_order_is_that_of_the_data(coco_folder, make_config):
    _, found = batches(coco_folder, make_config, 1, resize="short_long")
    assert [batch.image_ids for batch in found] == [[k] for k in range(1, 10)]
    _, found = batches(coco_folder, make_config, 2)
    assert [batch.image_ids for batch in found] == [[1, 2], [3, 4], [5, 6], [7, 8], [9, -1]]
    assert all(batch.places is None and batch.image.shape == (2, 3, 64, 96) for batch in found)


def test_a_stretch_of_images_has_batches_of_its_own(make_config):
    settings = ImageSettings.from_config(make_config(img_width=96, img_height=64, resize="short_long"))
    sizes = [(40, 60)] * 15 + [(60, 40)] + [(40, 60)] * 20  # one portrait in the first sixteen
    images = [EvalImage(k, size, None) for k, size in enumerate(sizes)]
    assert group_size(2, True) == 16 and group_size(2, False) == 2 and group_size(1, True) == 1
    places = [batch.places for batch in eval_batches(images, 2, settings, -1)]
    assert sorted(place for group in places for place in group) == list(range(36))
    first = [group for group in places if min(group) < 16]
    assert all(max(group) < 16 for group in first) and [15] in first and [14] in first
    again = [batch.places for batch in eval_batches(images[16:], 2, settings, -1)]
    assert [[place + 16 for place in group] for group in again] == places[len(first) :]


def test_training_samples_do_not_change(coco_folder, make_config):
    one = {"category_id": 4, "bbox": [4, 4, 20, 20], "area": 400, "iscrowd": 0}
    dataset = read_coco(coco_folder(MIXED, [one | {"image_id": k} for k in range(1, 10)]), CLASSES)
    made = []
    for keys in ({}, {"resize": "short_long", "resize_limits": [90, 60], "eval_width": 128, "eval_height": 64}):
        samples = DetectionSamples(dataset, list(range(9)), make_config(img_width=96, img_height=64, **keys))
        made.append([samples.make(samples.read(k), SampleStreams(3, 1, k)) for k in range(9)])
    for one, other in zip(*made):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_of_its_own_an_image_has_the_padding_that_mmdetection_gives_it(coco_folder, make_config):
    settings = ImageSettings.from_config(load_config(R50, ["--eval_padding", "own"]))
    wanted = {(480, 640): (1088, 800), (640, 480): (800, 1088), (1024, 2048): (1344, 672), (500, 500): (800, 800)}
    for (width, height), padded in wanted.items():
        plain = prepare_image(np.full((height, width, 3), 9, np.uint8), ImageSettings.from_config(load_config(R50)))
        image, *facts = prepare_image(np.full((height, width, 3), 9, np.uint8), settings)
        assert image.shape[1:] == padded and [one.tolist() for one in facts] == [one.tolist() for one in plain[1:]]
        np.testing.assert_array_equal(image[:, : facts[0][0], : facts[0][1]], plain[0][:, : facts[0][0], : facts[0][1]])
    assert short_long_rule(settings).endswith("portrait images turned, padded to multiples of 32")
    _, found = batches(coco_folder, make_config, 1, resize="short_long", eval_padding="own", resize_limits=[60, 40])
    assert [batch.image.shape for batch in found[:2]] == [(1, 3, 64, 64), (1, 3, 64, 64)]
    exported = ImageSettings.from_config(load_config(R50, ["--eval_padding", "own", "--backend", "onnx"]))
    assert exported.own == 0
    assert "test_batch_size is 2, not 1" in refusal(R50, "--eval_padding=own", "--test_batch_size=2")


@pytest.mark.parametrize(("config", "side"), [(R50, 32), (HRNET, 64)])
def test_a_thin_image_is_padded_to_what_the_coarsest_level_needs(config, side):
    thin = np.full((10, 1000, 3), 9, np.uint8)
    image, shape, _ = prepare_image(thin, ImageSettings.from_config(load_config(config, ["--eval_padding=own"])))
    assert image.shape[1:] == (side, 1344) and shape.tolist() == [13, 1333]
    scaled = ImageSettings.from_config(load_config(config)).scaled(0.04, 32)
    assert (scaled.width, scaled.height, scaled.bounds) == (64, side, (53, 32))


@pytest.mark.parametrize("size", [(2048, 1024), (480, 640)])
def test_the_page_for_onnx_files_fits_images_as_the_file_says(size):
    from deploy.onnx_detect import prepare

    cfg = load_config(R50, ["--backend", "onnx"])
    settings = ImageSettings.from_config(cfg)
    facts = {"width": 1344, "height": 800, "keep_ratio": True, "to_rgb": True, "mean": cfg.img_mean, "std": cfg.img_std}
    pixels = np.random.RandomState(0).randint(0, 256, (*size[::-1], 3)).astype(np.uint8)
    image, shape, factors = prepare(pixels, facts | {"fitted_into": list(settings.bounds)})
    wanted = prepare_image(pixels, settings)
    np.testing.assert_allclose(image[0], wanted[0], atol=1e-5)
    assert (shape[0] == wanted[1]).all() and (factors[:2] == wanted[2]).all()
