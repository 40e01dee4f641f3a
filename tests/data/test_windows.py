"""Windows of images have the pixels of the image as it is read whole, whatever kind of file it is."""

import contextlib
import importlib.util
import io
import itertools
import random
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from src.data import tiff, windows
from src.data.decoding import ImageRules
from src.data.formats.index import ImageRecord
from src.data.images import differs_in_size, labelled_bgr, read_bgr
from src.data.pictures import Picture
from src.data.tiff_segments import NoSegments, TiffSegments
from src.data.windows import TiffWindows, Unreadable, open_labelled, open_windows

HEIGHT, WIDTH = 83, 117
RULES = ImageRules()


@pytest.fixture(autouse=True)
def all_tiffs_are_large(monkeypatch):
    monkeypatch.setattr(windows, "WHOLE", 0)


def pixels(channels: int = 3, dtype=np.uint8) -> np.ndarray:
    rng, top = np.random.RandomState(1), np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1000
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([x / WIDTH, y / HEIGHT, (x + y) / (HEIGHT + WIDTH), 1 - x / WIDTH], 2)
    return ((0.8 * smooth + 0.2 * rng.rand(HEIGHT, WIDTH, 4)) * top).astype(dtype)[..., :channels]


def saved(picture, **options) -> bytes:
    content = io.BytesIO()
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(content, "TIFF", **options)
    return content.getvalue()


def by_opencv(image, *options) -> bytes:
    return cv2.imencode(".tif", image, options)[1].tobytes()


STRIPS = {"tiffinfo": {278: 10}}  # rows of a strip
COLOUR = Image.fromarray(pixels())
KINDS = {
    "plain": lambda: saved(COLOUR, **STRIPS),
    "one strip": lambda: saved(COLOUR, tiffinfo={278: HEIGHT}),
    "lzw": lambda: saved(COLOUR, compression="tiff_lzw", **STRIPS),
    "lzw, predictor": lambda: saved(COLOUR, compression="tiff_lzw", tiffinfo={278: 10, 317: 2}),
    "deflate": lambda: saved(COLOUR, compression="tiff_adobe_deflate", **STRIPS),
    "packbits": lambda: saved(COLOUR, compression="packbits", **STRIPS),
    "jpeg": lambda: saved(COLOUR, compression="jpeg", quality=90, tiffinfo={278: 16}),
    "jpeg, YCbCr": lambda: saved(COLOUR.convert("YCbCr"), compression="jpeg", tiffinfo={278: 16}),
    "grey": lambda: saved(pixels(1)[..., 0], **STRIPS),
    "palette": lambda: saved(COLOUR.quantize(50), **STRIPS),
    "one bit": lambda: saved(COLOUR.convert("1"), **STRIPS),
    "fax": lambda: saved(COLOUR.convert("1"), compression="group4", **STRIPS),
    "alpha": lambda: saved(pixels(4), **STRIPS),
    "grey with alpha": lambda: saved(COLOUR.convert("LA"), **STRIPS),
    "inks": lambda: saved(COLOUR.convert("CMYK"), **STRIPS),
    "16 bits": lambda: by_opencv(pixels(1, np.uint16), 278, 7),
    "16 bits, colour": lambda: by_opencv(pixels(3, np.uint16), 278, 7),
    "16 bits, alpha": lambda: by_opencv(pixels(4, np.uint16), 278, 7),
    "16 bits, Pillow": lambda: saved(pixels(1, np.uint16)[..., 0], **STRIPS),
    "floating point": lambda: by_opencv(pixels(1, np.float32), 278, 7),
    "floating point, colour": lambda: by_opencv(pixels(3, np.float32), 278, 7, 259, 1),
    "not finite": lambda: by_opencv(np.where(pixels(1, np.float32) > 900, np.inf, pixels(1, np.float32)), 278, 7),
    "of one value": lambda: by_opencv(np.full((HEIGHT, WIDTH), 7, np.uint16), 278, 7),
}  # fmt: skip


def built(planes, order="<", big=False, tile=None, rows=10, photometric=2, extra=(), compress=None) -> bytes:
    """A TIFF by hand. planes: (h, w, n) each, chunky if there is one; tile: (h, w), or strips of `rows`."""
    height, width = planes[0].shape[:2]
    step = tile or (rows, width)
    codes = []
    for plane in planes:
        for top in range(0, height, step[0]):
            for left in range(0, width, step[1]):
                part = plane[top : top + step[0], left : left + step[1]]
                if tile:
                    missing = step[0] - part.shape[0], step[1] - part.shape[1]
                    part = np.pad(part, [(0, missing[0]), (0, missing[1]), (0, 0)], constant_values=251)
                code = part.astype(part.dtype.newbyteorder(order)).tobytes()
                codes.append(compress(code) if compress else code)
    samples, bits = sum(plane.shape[2] for plane in planes), 8 * planes[0].dtype.itemsize
    own = {258: (3, [bits] * samples), 259: (3, [8 if compress else 1]), 262: (3, [photometric])}
    own |= {277: (3, [samples]), 284: (3, [2 if len(planes) > 1 else 1])} | dict(extra)
    return written(codes, height, width, order, big, tile, rows, own)


def written(codes, height, width, order="<", big=False, tile=None, rows=10, own=None) -> bytes:
    """A TIFF of coded segments; own: further entries of the directory, tag -> (kind, values); deflated RGB without."""
    long, kind, head, room = ("Q", 16, 16, 8) if big else ("I", 4, 8, 4)
    entries = {256: (3, [width]), 257: (3, [height])}
    entries |= {322: (3, [tile[1]]), 323: (3, [tile[0]])} if tile else {278: (3, [rows])}
    names = (324, 325) if tile else (273, 279)
    entries |= {names[0]: (kind, [0] * len(codes)), names[1]: (kind, [len(code) for code in codes])}
    entries |= own or {258: (3, [8, 8, 8]), 259: (3, [8]), 262: (3, [2]), 277: (3, [3]), 284: (3, [1])}
    table = head + (8 if big else 2) + len(entries) * (20 if big else 12) + room
    forms = {3: "H", 4: "I", 16: "Q"}
    size = sum(n for k, v in entries.values() if (n := len(v) * struct.calcsize(forms[k])) > room)
    ends = list(itertools.accumulate(map(len, codes), initial=table + size))
    entries[names[0]] = (kind, ends[:-1])
    lines, beyond = [], b""
    for tag, (of, values) in sorted(entries.items()):
        value = struct.pack(f"{order}{len(values)}{forms[of]}", *values)
        if len(value) > room:
            value, beyond = struct.pack(order + long, table + len(beyond)), beyond + value
        lines.append(struct.pack(f"{order}HH{long}", tag, of, len(values)) + value.ljust(room, b"\0"))
    mark = b"II" if order == "<" else b"MM"
    start = mark + (struct.pack(f"{order}HHHQ", 43, 8, 0, 16) if big else struct.pack(f"{order}HI", 42, 8))
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    return start + count + b"".join(lines) + bytes(room) + beyond + b"".join(codes)


SEPARATE = [pixels()[..., k : k + 1] for k in range(3)]
KINDS |= {
    "tiles": lambda: built([pixels()], tile=(32, 48)),
    "tiles, deflate": lambda: built([pixels()], tile=(32, 48), compress=zlib.compress),
    "tiles, largest number last": lambda: built([pixels()], order=">", tile=(32, 48)),
    "BigTIFF": lambda: built([pixels()], big=True, compress=zlib.compress),
    "BigTIFF, tiles": lambda: built([pixels()], big=True, tile=(32, 48)),
    "one colour after the other": lambda: built(SEPARATE, compress=zlib.compress),
    "one colour after the other, tiles": lambda: built(SEPARATE, tile=(32, 48)),
    "16 bits, tiles": lambda: built([pixels(1, np.uint16)], tile=(32, 48), photometric=1),
    "16 bits, largest number last": lambda: built([pixels(1, np.uint16)], order=">", photometric=1),
    "16 bits, white is 0": lambda: built([pixels(1, np.uint16)], photometric=0),
    "16 bits, grey with alpha": lambda: built([pixels(2, np.uint16)], photometric=1, extra={338: (3, [2])}.items()),
}  # fmt: skip


def write(tmp_path, content: bytes):
    path = tmp_path / "a image #1.tif"
    path.write_bytes(content)
    return path


def some_windows(size, seed=0):
    rng = random.Random(seed)
    yield 0, 0, *size
    for _ in range(12):
        height, width = rng.randint(1, min(40, size[0])), rng.randint(1, min(50, size[1]))
        yield rng.randint(0, size[0] - height), rng.randint(0, size[1] - width), height, width


def assert_same(found, whole):
    assert found.size == whole.shape[:2]
    for top, left, height, width in some_windows(found.size):
        part = found.window(top, left, height, width)
        assert part.dtype == np.uint8 and part.flags.c_contiguous
        np.testing.assert_array_equal(part, whole[top : top + height, left : left + width])
    found.close()


@pytest.mark.parametrize("rules", [RULES, ImageRules(window=(100, 600), alpha_colour=(9, 200, 77))], ids=["", "rules"])
@pytest.mark.parametrize("kind", KINDS)
def test_windows_of_a_tiff_have_the_pixels_of_the_whole(tmp_path, kind, rules):
    path = write(tmp_path, KINDS[kind]())
    whole = read_bgr(path, rules.upright, rules=rules)
    if whole is None:  # grey with alpha of 16 bits, where tifffile is not installed
        assert importlib.util.find_spec("tifffile") is None and "grey with alpha" in kind
        with pytest.raises(Unreadable, match="needs tifffile"):
            found = open_windows(path, rules=rules)
            found.window(0, 0, 1, 1)
        return
    found = open_windows(path, rules=rules)
    assert isinstance(found, TiffWindows)
    assert_same(found, whole)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("rules", [RULES, ImageRules(exif="stored")], ids=["upright", "stored"])
def test_windows_of_a_turned_tiff_are_turned(tmp_path, orientation, rules):
    path = write(tmp_path, built([pixels()], extra={tiff.ORIENTATION: (3, [orientation])}.items()))
    found = open_windows(path, rules=rules)
    assert isinstance(found, TiffWindows)
    assert_same(found, read_bgr(path, rules.upright, rules=rules))
    for size in ((HEIGHT, WIDTH), (WIDTH, HEIGHT)):
        whole = labelled_bgr(path, *size, rules)
        labelled = open_labelled(ImageRecord(path, 1, size[1], size[0], ()), rules=rules)
        assert (whole is None) == (labelled is None)
        if whole is not None:
            assert isinstance(labelled, TiffWindows)
            assert_same(labelled, whole)


def test_labels_of_another_size_have_no_windows(tmp_path):
    path = write(tmp_path, KINDS["lzw"]())
    assert open_labelled(ImageRecord(path, 1, WIDTH, HEIGHT + 1, ())) is None
    assert open_labelled(ImageRecord(tmp_path / "none.tif", 1, WIDTH, HEIGHT, ())) is None


def test_long_strips_of_plain_numbers_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("src.data.tiff_segments.PIECE", 4 * WIDTH)
    for planes in ([pixels()], SEPARATE):
        for rows in (HEIGHT, 30):
            path = write(tmp_path, built(planes, rows=rows))
            found = open_windows(path, max_pixels=4 * WIDTH)
            assert {one.height for one in TiffSegments(path, 10**6).segments(0, 0, HEIGHT, WIDTH)} >= {4, 3}
            assert_same(found, read_bgr(path))
    path = write(tmp_path, saved(COLOUR.convert("1"), tiffinfo={278: HEIGHT}))
    assert_same(open_windows(path), read_bgr(path))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_other_files_and_pictures_in_memory_are_read_whole(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), pixels())
    assert_same(open_windows(path), read_bgr(path))
    assert_same(open_windows(Picture("p", pixels())), pixels())
    assert_same(open_labelled(ImageRecord(path, 1, WIDTH, HEIGHT, ())), read_bgr(path))


def test_each_segment_is_decoded_once_by_windows_that_come_line_by_line(tmp_path, monkeypatch):
    path = write(tmp_path, KINDS["lzw"]())
    found, asked = open_windows(path), []
    own = found._segments.content
    monkeypatch.setattr(found._segments, "content", lambda one: asked.append(one.top) or own(one))
    for top in (0, 20, 40, HEIGHT - 30):
        for left in (0, 30, 60, WIDTH - 50):
            found.window(top, left, 30, 50)
    assert sorted(asked) == list(range(0, HEIGHT, 10))
    monkeypatch.setattr(windows, "KEPT", 5 * 10 * WIDTH * 3)
    found = open_windows(path)
    for top in range(0, HEIGHT - 10, 5):
        found.window(top, 0, 10, WIDTH)
    assert len(found._kept) == 5 and found._kept_bytes <= windows.KEPT


def refused(path, **options) -> str:
    with pytest.raises(Unreadable) as caught, contextlib.closing(open_windows(path, **options)) as found:
        for window in some_windows(found.size):
            found.window(*window)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value).removeprefix(f"{path} ")


def test_what_is_too_large_says_what_can_be_done(tmp_path):
    plain, tiles = write(tmp_path, KINDS["lzw"]()), tmp_path / "b.tif"
    assert open_windows(plain, max_pixels=10 * WIDTH).size == (HEIGHT, WIDTH)
    assert refused(plain, max_pixels=10 * WIDTH - 1) == (
        "has 117 x 83 pixels, and max_image_pixels is 1169; it cannot be read by windows: it has strips of 1170 "
        "pixels, each of which is decoded as a whole"
    )
    tiles.write_bytes(built([pixels()], tile=(32, 48)))
    assert "has tiles of 1536 pixels" in refused(tiles, max_pixels=1535)
    cv2.imwrite(str(tmp_path / "a.png"), pixels())
    assert refused(tmp_path / "a.png", max_pixels=1000) == (
        "has 117 x 83 pixels, and max_image_pixels is 1000; of this size TIFF alone can be read by windows"
    )
    assert refused(tmp_path / "none.tif") == "is missing"


def test_a_damaged_part_is_named_and_others_are_read(tmp_path):
    content = bytearray(built([pixels()], compress=zlib.compress))
    with contextlib.closing(TiffSegments(write(tmp_path, bytes(content)), 10**6)) as found:
        (place, count), = next(found.segments(30, 0, 1, 1)).codes
    content[place : place + count] = bytes(count)
    path = write(tmp_path, bytes(content))
    found = open_windows(path)
    found.window(0, 0, 30, WIDTH), found.window(40, 0, 43, WIDTH)
    with pytest.raises(Unreadable, match="is damaged in rows 30 to 39"):
        found.window(25, 0, 10, 10)


@pytest.mark.parametrize("kind", ["lzw", "tiles", "BigTIFF", "16 bits", "one colour after the other"])
def test_a_file_that_is_cut_off_anywhere_is_refused_before_it_is_begun(tmp_path, kind):
    whole = KINDS[kind]()
    for length in [*range(0, 40), *range(40, len(whole), len(whole) // 40), len(whole) - 1]:
        path = write(tmp_path, whole[:length])
        if read_bgr(path) is None:
            with pytest.raises(NoSegments):
                TiffSegments(path, 10**6)
            refused(path)


@pytest.mark.parametrize("seed", range(6))
def test_numbers_that_are_wrong_anywhere_in_the_directory_give_pixels_or_one_line(tmp_path, seed):
    rng = random.Random(seed)
    kind = ["lzw", "tiles", "BigTIFF, tiles", "16 bits", "palette", "jpeg"][seed]
    whole = KINDS[kind]()
    start = len(whole) - 1000 if kind in ("lzw", "16 bits", "palette", "jpeg") else 0
    for _ in range(40):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(max(start, 4), min(start + 1000, len(whole)))
            content[at] = rng.choice([0, 1, 255, rng.randrange(256)])
        path = write(tmp_path, bytes(content))
        try:
            with contextlib.closing(open_windows(path, max_pixels=10**6)) as found:
                height, width = (min(side, 200) for side in found.size)
                assert found.window(0, 0, height, width).shape == (height, width, 3)
        except Unreadable as error:
            assert "\n" not in str(error)


def evil(**changes) -> bytes:
    """A TIFF of 4 x 4 pixels whose directory promises more."""
    entries = {int(tag): value for tag, value in changes.items()}
    return built([np.zeros((4, 4, 3), np.uint8)], rows=4, extra=entries.items())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"256": (4, [2**32 - 1]), "257": (4, [2**32 - 1])}, "at most 4294967295 can be"),
        ({"256": (4, [0])}, "pixels"),
        ({"256": (4, [60_000]), "257": (4, [60_000])}, "does not say where all its pixels are"),
        ({"278": (3, [1])}, "does not say where all its pixels are"),
        ({"257": (3, [1]), "279": (4, [10**6])}, "cut off"),
        ({"277": (3, [60_000])}, "numbers a pixel"),
        ({"258": (3, [65_535])}, "numbers a pixel"),
        ({"259": (3, [6])}, "JPEG compression"),
        ({"322": (3, [0]), "323": (3, [0])}, "tiles without pixels"),
    ],
)
def test_promises_that_the_file_cannot_hold_are_refused(tmp_path, changes, reason):
    path = write(tmp_path, evil(**changes))
    with pytest.raises(NoSegments) as caught:
        TiffSegments(path, 10**6)
    assert reason in str(caught.value)
    with contextlib.suppress(Unreadable):  # some are read whole
        open_windows(path, max_pixels=10**6).close()


def test_a_strip_that_is_shorter_than_its_rows_is_damaged_and_one_with_far_too_much_code_is_refused(tmp_path):
    found = open_windows(write(tmp_path, evil(**{"257": (4, [60_000]), "278": (4, [60_000])})))
    with pytest.raises(Unreadable, match="is damaged in rows"):
        found.window(0, 0, 60_000, 4)
    path = write(tmp_path, built([np.zeros((4, 4, 3), np.uint8)], rows=4, compress=lambda code: bytes(2**17)))
    with pytest.raises(NoSegments, match="far too much"):
        TiffSegments(path, 10**6)


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "folder.tif").mkdir()
    assert refused(tmp_path / "folder.tif") == "is a folder"
    (tmp_path / "text.tif").write_text("II*\0 and no more")
    assert refused(tmp_path / "text.tif") == "is no image, or cut off"


def test_the_size_of_a_long_tiff_is_told_without_reading_it(tmp_path, monkeypatch):
    monkeypatch.setattr("src.data.images.LONG_TIFF", 100)
    path = write(tmp_path, built([pixels()], extra={tiff.ORIENTATION: (3, [6])}.items()))
    monkeypatch.setattr("src.data.images.read_content", lambda path: pytest.fail("it was read"))
    assert differs_in_size(path, HEIGHT, WIDTH) is None and differs_in_size(path, WIDTH, HEIGHT) is None
    monkeypatch.undo()
    assert differs_in_size(path, HEIGHT, WIDTH + 1) == (HEIGHT, WIDTH)
