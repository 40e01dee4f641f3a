"""Copies of pictures are found, and nothing else: on drawn shapes, on photographs, on pictures that show nothing."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from src.data import near_duplicates
from src.data.near_duplicates import Fingerprint, across, fingerprint, fingerprints, within
from src.data.synthetic.coco import write_coco
from src.data.synthetic.imagenet import write_imagenet
from tests.photographs import write_photographs


def encoded(path: Path, image: np.ndarray, quality: int = 95) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path


def plant(train: list[Path], folder: Path) -> list[tuple[Path, Path]]:
    """Three copies: the file itself, another quality, another size."""
    originals = [train[k] for k in (3, len(train) // 2, len(train) - 2)]
    first, second, third = (folder / f"copy {name}.jpg" for name in ("a", "b", "c"))
    folder.mkdir(parents=True, exist_ok=True)
    first.write_bytes(originals[0].read_bytes())
    image = cv2.imread(str(originals[1]))
    encoded(second, image, 60)
    image = cv2.imread(str(originals[2]))
    height, width = image.shape[:2]
    encoded(third, cv2.resize(image, (width * 2 // 3, height * 2 // 3), interpolation=cv2.INTER_AREA), 85)
    return list(zip(originals, (first, second, third)))


def check_planted(train: list[Path], val: list[Path], folder: Path) -> None:
    """The three that were planted, and no others, within a set or across."""
    pairs = plant(train, folder)
    val = [*val, *(copy for _, copy in pairs)]
    one, two = fingerprints(train), fingerprints(val)
    assert [(train[found.first], val[found.second]) for found in across(one, two)] == pairs
    assert [found.is_same_file for found in across(one, two)] == [True, False, False]
    assert not within(one) and not within(two)
    assert [(found.second, found.first) for found in across(two, one)] == sorted(
        (train.index(first), val.index(second)) for first, second in pairs
    )


def test_three_planted_copies_are_found_among_drawn_shapes_and_nothing_else(tmp_path):
    write_coco(tmp_path / "coco", 120, 40, 128, seed=3)
    train, val = (sorted((tmp_path / "coco" / name / "data").iterdir()) for name in ("train", "validation"))
    check_planted(train, val, tmp_path / "planted")
    write_imagenet(tmp_path / "classes", 96, 32, 64, seed=3)
    train, val = (sorted((tmp_path / "classes" / name).glob("*/*.jpg")) for name in ("train", "val"))
    check_planted(train, val, tmp_path / "planted too")


def test_three_planted_copies_are_found_among_photographs_and_nothing_else(tmp_path):
    photographs = write_photographs(tmp_path / "photographs")
    train, val = (sorted((photographs / name / "data").iterdir()) for name in ("train", "validation"))
    check_planted(train, val, tmp_path / "planted")


def test_pictures_that_show_nothing_are_told_apart_by_their_grey(tmp_path):
    names = [encoded(tmp_path / f"{grey}.png", np.full((64, 64, 3), grey, np.uint8)) for grey in (0, 30, 31, 255)]
    assert [(one.first, one.second, one.difference) for one in within(fingerprints(names))] == [(1, 2, 1.0)]


def test_two_foggy_pictures_are_two_though_their_pixels_are_near(tmp_path):
    """Waves of 4 grey levels: 4 apart at most, which is as much as their own contrast."""
    waves = np.sin(np.linspace(0, 9, 128)) * 4 + 128
    across_, down = np.tile(waves, (128, 1)), np.tile(waves[:, None], (1, 128))
    names = [
        encoded(tmp_path / f"{k}.png", np.repeat(np.rint(one)[..., None], 3, 2).astype(np.uint8))
        for k, one in enumerate((across_, down, across_))
    ]
    assert [(one.first, one.second, one.is_same_file) for one in within(fingerprints(names))] == [(0, 2, True)]


def at_night(width: int, height: int, x: int, y: int, light: int, seed: int) -> np.ndarray:
    """A square light in the dark: contrast 0.4 to 0.6 grey levels, as different as 0.7 to 0.9."""
    noise = np.random.RandomState(seed).normal(3, 2, (height, width, 3))
    image = np.clip(noise, 0, 255).astype(np.uint8)
    image[y : y + light, x : x + light] = 60, 200, 220
    return image


def test_two_pictures_in_the_dark_are_two_and_their_copies_are_found(tmp_path):
    lights = [(1000, 600, 150, 150, 10), (1000, 600, 700, 400, 10), (900, 540, 150, 400, 12), (450, 150, 70, 37, 4)]
    images = [at_night(*one, seed) for seed, one in enumerate(lights)]
    smaller = cv2.resize(images[0], (500, 300), interpolation=cv2.INTER_AREA)
    names = [encoded(tmp_path / f"{k}.jpg", image) for k, image in enumerate(images)]
    found = fingerprints([*names, encoded(tmp_path / "smaller.jpg", smaller, 70)])
    assert [(one.first, one.second) for one in within(found)] == [(0, 4)]


def test_two_dark_pictures_are_one_in_the_same_ratio_of_sides_alone():
    """The same hash and thumbnail, 3 grey levels apart in one cell: contrast 0.19 and 0."""
    lit = np.full((16, 16, 3), 7, np.uint8)
    lit[3, 4] = 10
    alike = [Fingerprint(b"a", (400, 300), np.ones(255, bool), lit)]
    for size, is_found in (((200, 150), True), ((403, 300), True), ((410, 300), False), ((300, 400), False)):
        other = Fingerprint(b"b", size, np.ones(255, bool), np.full((16, 16, 3), 7, np.uint8))
        assert bool(across(alike, [other])) == is_found, size
    bright = np.where(np.arange(256).reshape(16, 16, 1) % 2, lit, 20).astype(np.uint8)  # contrast of a photograph
    assert across([Fingerprint(b"a", (400, 300), np.ones(255, bool), bright)], [
        Fingerprint(b"b", (300, 400), np.ones(255, bool), bright)
    ])  # fmt: skip


def test_the_nearest_of_several_is_named_the_same_file_first(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype(np.uint8)
    image = cv2.resize(image, (256, 256), interpolation=cv2.INTER_CUBIC)
    files = [encoded(tmp_path / f"{k}.jpg", image, quality) for k, quality in enumerate((30, 90, 60))]
    again = tmp_path / "again.jpg"
    again.write_bytes(files[0].read_bytes())
    found = within(fingerprints([*files, again]))
    assert [(one.first, one.second, one.is_same_file) for one in found] == [(0, 1, False), (1, 2, False), (0, 3, True)]


def test_blocks_of_any_size_find_the_same(monkeypatch):
    rng = np.random.RandomState(1)
    pictures = [
        Fingerprint(bytes([k]), (9, 9), rng.rand(255) < 0.5, rng.randint(0, 256, (16, 16, 3)).astype(np.uint8))
        for k in range(30)
    ]
    some = [pictures[k] for k in (4, 9, 9, 20)] + [None]
    whole = across(pictures, some), within(pictures + some)
    assert [(one.first, one.second) for one in whole[0]] == [(4, 0), (9, 1), (9, 2), (20, 3)]
    assert [(one.first, one.second) for one in whole[1]] == [(4, 30), (9, 31), (9, 32), (20, 33)]
    for block in (1, 4, 7):
        monkeypatch.setattr(near_duplicates, "BLOCK", block)
        monkeypatch.setattr(near_duplicates, "ROWS", 2)
        assert (across(pictures, some), within(pictures + some)) == whole


def test_files_that_are_no_image_or_too_large_have_no_fingerprint_and_match_nothing(tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    whole = encoded(tmp_path / "whole.jpg", np.zeros((300, 300, 3), np.uint8)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    assert fingerprints([tmp_path / name for name in ("text.jpg", "gone.jpg", "cut.jpg")]) == [None, None, None]
    assert fingerprint(tmp_path / "whole.jpg", max_pixels=89_999) is None
    assert across([None], [None]) == [] and within([None, None]) == []


def test_a_large_photograph_is_decoded_at_a_fraction_and_turned_as_people_see_it(tmp_path):
    picture = np.random.RandomState(0).randint(0, 256, (20, 30, 3)).astype(np.uint8)
    large = cv2.resize(picture, (1200, 800), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(large).save(tmp_path / "stored.jpg", quality=92)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(large))).save(tmp_path / "turned.jpg", quality=92, exif=exif)
    one, two = fingerprints([tmp_path / "stored.jpg", tmp_path / "turned.jpg"])
    assert one.size == two.size == (1200, 800)
    assert [found.second for found in within([one, two])] == [1]
