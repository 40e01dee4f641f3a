import cv2
import numpy as np

from src.data.images import read_bgr


def write_turned_jpeg(path):
    """A 20 x 10 (w x h) picture, left half white, with an EXIF entry that asks for a quarter turn clockwise."""
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, :10] = 255
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"  # orientation, short, one value: 6
    body = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:])


def test_orientation_is_followed_for_people_and_ignored_for_annotated_data(tmp_path):
    write_turned_jpeg(tmp_path / "turned.jpg")
    assert read_bgr(tmp_path / "turned.jpg").shape == (10, 20, 3)
    upright = read_bgr(tmp_path / "turned.jpg", upright=True)
    assert upright.shape == (20, 10, 3) and upright[0].min() > 200 and upright[-1].max() < 50


def test_missing_empty_foreign_and_cut_off_files_give_none(tmp_path):
    write_turned_jpeg(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    for name, data in (("empty.jpg", b""), ("text.jpg", b"hello"), ("cut.jpg", content[:-20])):
        (tmp_path / name).write_bytes(data)
        assert read_bgr(tmp_path / name) is None
    assert read_bgr(tmp_path / "missing.jpg") is None
