"""Image headers that promise more pixels than a machine has memory for: refused by the header, with the key to lift."""

import json
import resource
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import load_config
from src.data.formats.coco import read_coco
from src.data.formats.rules import Rules
from src.data.formats.segmentation_list import open_segmentation, read_indices
from src.data.images import MAX_PIXELS, header_size, labelled_bgr, read_bgr, why_unreadable
from src.data.pipeline import unreadable_reason
from src.errors import UserError
from src.inference.visualize import draw_prediction_file

ROOT = Path(__file__).parents[2]
SIDE = 60_000


def png(width: int, height: int, kind: int = 2) -> bytes:
    """A PNG of that size by its header, with next to no pixels. kind: 2 colour, 0 grey."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(100)))]
    parts = [
        struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in [*chunks, (b"IEND", b"")]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg(width: int, height: int) -> bytes:
    content = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    place = content.find(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def bmp(width: int, height: int) -> bytes:
    content = bytearray(cv2.imencode(".bmp", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    content[18:26] = struct.pack("<ii", width, height)
    return bytes(content)


@pytest.fixture()
def little_memory():
    """Fails where more than 200 MB are taken."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 2**10


@pytest.mark.parametrize("make", [png, jpeg, bmp])
@pytest.mark.parametrize("side", [SIDE, 20_000])
def test_an_image_that_is_too_large_is_not_decoded_and_says_why(tmp_path, make, side, little_memory):
    path = tmp_path / "large.img"
    path.write_bytes(make(side, side))
    assert header_size(path.read_bytes()) == (side, side)
    assert read_bgr(path) is None and labelled_bgr(path, 16, 16) is None
    assert why_unreadable(path) == f"{path} has {side} x {side} pixels, and max_image_pixels is {MAX_PIXELS}"


def test_the_limit_can_be_set(tmp_path):
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((10, 20, 3), np.uint8))
    assert read_bgr(tmp_path / "small.png", max_pixels=200).shape == (10, 20, 3)
    assert read_bgr(tmp_path / "small.png", max_pixels=199) is None
    assert read_indices(tmp_path / "small.png", 199) is None
    assert "20 x 10 pixels, and max_image_pixels is 199" in why_unreadable(tmp_path / "small.png", 199)


@pytest.mark.parametrize("broken", ["image", "label"])
def test_a_segmentation_sample_says_which_of_its_files_is_too_large(tmp_path, broken, little_memory):
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((8, 8, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "label.png"), np.zeros((8, 8), np.uint8))
    (tmp_path / f"{broken}.png").write_bytes(png(20_000, 20_000, kind=0))
    (tmp_path / "val.lst").write_text("image.png\tlabel.png\n")
    cfg = load_config(str(ROOT / "configs/hrnet_w18_seg_cityscapes.yaml"))
    dataset = open_segmentation(cfg, str(tmp_path), "val")
    assert (dataset.read_image(0) is None) == (broken == "image") and (dataset.read_label(0) is None) == (
        broken == "label"
    )
    assert f"{broken}.png has 20000 x 20000 pixels, and max_image_pixels is" in dataset.why_unreadable(0)


def test_a_labelled_image_may_have_no_more_pixels_than_the_limit_by_its_label_file_either(tmp_path, little_memory):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jpg").write_bytes(jpeg(SIDE, SIDE))
    labels = {"images": [{"id": 1, "file_name": "a.jpg", "width": 20, "height": 10}], "annotations": [],
              "categories": [{"id": 1, "name": "a"}]}  # fmt: skip
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    record = read_coco(tmp_path, []).record(0)
    assert unreadable_reason(record) == f"{record.path} has 60000 x 60000 pixels, its entry in the label file 20 x 10"
    labels["images"][0] |= {"width": SIDE, "height": SIDE}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(UserError, match="image 1 has 60000 x 60000 pixels, and max_image_pixels is 200000000"):
        read_coco(tmp_path, [])
    assert len(read_coco(tmp_path, [], rules=Rules(max_pixels=SIDE**2))) == 1


def test_pictures_of_images_that_are_too_large_are_not_drawn(tmp_path, little_memory):
    (tmp_path / "a.png").write_bytes(png(SIDE, SIDE))
    (tmp_path / "p.json").write_text(
        json.dumps({str(tmp_path / "a.png"): {"height": 8, "width": 8, "predictions": []}})
    )
    written, problems = draw_prediction_file(tmp_path / "p.json", tmp_path / "out", 0.3)
    assert not written and problems == [why_unreadable(tmp_path / "a.png")]


def test_animated_and_cut_off_label_files_are_labels_or_not_and_never_an_error(tmp_path):
    from PIL import Image

    frames = [Image.fromarray(np.full((8, 8), k, np.uint8)) for k in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_indices(tmp_path / "a.gif").shape == (8, 8)
    frames[0].save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "cut.png").write_bytes(whole[:length])
        found = read_indices(tmp_path / "cut.png")
        assert found is None or found.shape == (8, 8)
