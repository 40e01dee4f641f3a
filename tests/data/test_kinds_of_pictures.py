"""Pictures as people have them: turned by EXIF, of more than 8 bits, with palettes and alpha, in inks."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from mindspore import Tensor
from PIL import Image, ImageOps

from src.config import load_config
from src.data import tiff
from src.data.decoding import ImageRules, decode, look_at
from src.data.formats.image_folder import open_image_folder
from src.data.formats.index import DetectionIndex, ImageRecord
from src.data.formats.segmentation_list import open_segmentation
from src.data.imagenet import FolderSamples, Preparation, evaluation_batches
from src.data.images import IMAGE_SUFFIXES, differs_in_size, labelled_bgr, read_bgr, read_for_label, why_unreadable
from src.data.network_input import ImageSettings, prepare_image
from src.data.pipeline import DetectionSamples, build_eval_loader
from src.errors import UserError
from src.inference.classify import classify_files
from src.inference.predictor import Predictor
from tests.data.conftest import DEMO_CONFIG

CUSTOM = ["--dataset", "custom", "--class_names", "[a, b]", "--num_classes", "2", "--class_weights", "[]"]
SEGMENTATION_CONFIG = DEMO_CONFIG.with_name("hrnet_seg_cityscapes_shapes.yaml")
CLASSIFICATION_CONFIG = DEMO_CONFIG.with_name("hrnet_cls_shapes.yaml")
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tif": "TIFF", "bmp": "BMP", "gif": "GIF"}
STORED, UPRIGHT = ImageRules(exif="stored"), ImageRules()


def drawn(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Smooth, and different in every corner, so that JPEG keeps it and no turn looks like another."""
    y, x = np.mgrid[:height, :width] / (max(height, width) - 1)
    return np.uint8(np.stack([255 * x, 255 * y, 255 * (x * (1 - y)), 128 + 127 * x], 2)[..., :channels])


def content_of(picture: Image.Image, kind: str, **options) -> bytes:
    """The file of a picture, as good as the format can."""
    content = io.BytesIO()
    picture.save(content, FORMATS[kind], **({"quality": 100} if kind == "jpg" else {"lossless": True}), **options)
    return content.getvalue()


def turned_file(height: int, width: int, kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[tiff.ORIENTATION] = orientation
    return content_of(Image.fromarray(drawn(height, width)), kind, exif=exif)


def rgb(image: np.ndarray) -> np.ndarray:
    return image[..., ::-1].astype(int)


def by_pillow(picture: Image.Image, below=(255, 255, 255)) -> np.ndarray:
    """What Pillow makes of a picture, laid over a colour where it has alpha."""
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        top = picture.convert("RGBA")
        picture = Image.new("RGBA", picture.size, (*below, 255))
        picture.alpha_composite(top)
    return np.asarray(picture.convert("RGB")).astype(int)


# ----------------------------------------------------------------------------------------------------------- EXIF turns


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
def test_an_exif_turn_is_followed_for_people_as_pillow_does_and_otherwise_pixels_are_as_stored(
    tmp_path, kind, orientation
):
    path = tmp_path / f"a.{kind}"
    path.write_bytes(turned_file(20, 28, kind, orientation))
    picture = Image.open(path)
    if kind == "tif":  # Pillow turns these where it loads them, in some versions
        picture = Image.fromarray(drawn(20, 28))
        picture.getexif()[tiff.ORIENTATION] = orientation
    wanted = np.asarray(ImageOps.exif_transpose(picture).convert("RGB")).astype(int)
    assert np.abs(rgb(read_bgr(path, upright=True)) - wanted).max() <= 2
    assert np.abs(rgb(read_bgr(path)) - drawn(20, 28)).max() <= 16


@pytest.mark.parametrize(
    ("size", "orientation", "entry", "rules", "is_turned"),
    [
        ((20, 28), 6, (28, 20), UPRIGHT, True),  # upright size equals the entry's
        ((20, 28), 6, (28, 20), STORED, True),
        ((20, 28), 8, (20, 28), UPRIGHT, False),  # stored size equals it
        ((20, 28), 3, (20, 28), UPRIGHT, True),  # both: a half turn
        ((20, 28), 3, (20, 28), STORED, False),
        ((24, 24), 6, (24, 24), UPRIGHT, True),  # both: a square
        ((24, 24), 5, (24, 24), STORED, False),
        ((20, 28), 2, (20, 28), UPRIGHT, True),  # both: mirrored
        ((20, 28), 6, (21, 28), UPRIGHT, None),  # neither
        ((20, 28), 1, (28, 20), UPRIGHT, None),
    ],
)
def test_a_photograph_is_turned_as_its_labels_are(tmp_path, caplog, size, orientation, entry, rules, is_turned):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(turned_file(*size, "jpg", orientation))
    image = labelled_bgr(tmp_path / "a.jpg", *entry, rules)
    assert labelled_bgr(tmp_path / "b.jpg", *entry, rules) is None or image is not None
    if is_turned is None:
        assert image is None and differs_in_size(tmp_path / "a.jpg", *entry) == size
        return
    np.testing.assert_array_equal(image, read_bgr(tmp_path / "a.jpg", upright=is_turned))
    np.testing.assert_array_equal(image, read_for_label(tmp_path / "a.jpg", entry, rules=rules))
    assert differs_in_size(tmp_path / "a.jpg", *entry) is None
    fits_both = size[0] == size[1] or orientation < 5
    assert caplog.text.count("labels that fit both ways") == fits_both
    assert ("`exif: stored` takes them as stored" in caplog.text) == (fits_both and is_turned)


def test_an_exif_block_that_is_broken_anywhere_turns_nothing_and_breaks_nothing(tmp_path):
    whole = turned_file(20, 28, "jpg", 6)
    start, end = whole.find(b"Exif\0\0") + 6, whole.find(b"\xff\xdb")
    sizes = set()
    for place in range(start, end):
        for value in (0, 255):
            header = look_at(whole[:place] + bytes([value]) + whole[place + 1 :])
            sizes.add(header.upright_size)
    assert sizes == {(20, 28), (28, 20)}


# ------------------------------------------------------------------------------------------- more than 8 bits a channel


def tiff_file(values: np.ndarray, **tags: int) -> bytes:
    """A TIFF of one strip as it is, whatever its numbers are."""
    height, width, channels = (*values.shape, 1)[:3]
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    photometric = tags.get("photometric", 2 if channels > 2 else 1)
    entries = {256: [width], 257: [height], 258: [8 * values.dtype.itemsize] * channels, 259: [1], 262: [photometric],
               273: [8], 274: [tags.get("orientation", 1)], 277: [channels], 278: [height], 279: [len(data)],
               284: [1], 339: [kind] * channels}  # fmt: skip
    entries |= {338: [2]} if channels in (2, 4) else {}
    directory, far, place = b"", b"", 8 + len(data) + 2 + 12 * len(entries) + 4
    for tag, numbers in sorted(entries.items()):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        here = packed if len(packed) <= 4 else struct.pack("<I", place + len(far))
        far += b"" if len(packed) <= 4 else packed
        directory += struct.pack("<HHI", tag, 4, len(numbers)) + here
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    return head + data + struct.pack("<H", len(entries)) + directory + bytes(4) + far


def png_file(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel."""
    height, width, channels = (*values.shape, 1)[:3]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """The reference: `low` becomes 0, `high` 255; (h, w, 3)."""
    values = np.interp(values.astype(float), [low, high], [0, 255])
    return np.repeat(values[..., None], 3, 2) if values.ndim == 2 else values


DEEP = {
    "16-bit grey PNG": (png_file, "u2", None),
    "16-bit colour PNG": (png_file, "u2", 3),
    "16-bit grey TIFF": (tiff_file, "u2", None),
    "16-bit colour TIFF": (tiff_file, "u2", 3),
    "signed 16-bit TIFF": (tiff_file, "i2", None),
    "32-bit TIFF": (tiff_file, "u4", None),
    "signed 32-bit TIFF": (tiff_file, "i4", None),
    "float TIFF": (tiff_file, "f4", None),
    "float colour TIFF": (tiff_file, "f4", 3),
    "double TIFF": (tiff_file, "f8", None),
}


@pytest.mark.parametrize("window", [None, (500.0, 2500.0)])
@pytest.mark.parametrize("kind", DEEP)
def test_more_than_8_bits_are_scaled_by_the_window_or_by_the_files_own_range(tmp_path, caplog, kind, window):
    make, dtype, channels = DEEP[kind]
    shape = (10, 14) if channels is None else (10, 14, channels)
    values = (np.random.default_rng(0).random(shape) * 4000 + 90).astype(dtype)  # of 12 bits
    for name in ("a.img", "b.img"):
        (tmp_path / name).write_bytes(make(values))
    image = read_bgr(tmp_path / "a.img", rules=ImageRules(window=window))
    wanted = scaled(values, *(window or (values.min(), values.max())))
    assert np.abs(rgb(image) - wanted).max() <= 0.51
    read_bgr(tmp_path / "b.img", rules=ImageRules(window=window))
    assert caplog.text.count("has more than 8 bits a channel") == (window is None)


def test_the_window_leaves_images_of_8_bits_alone(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), drawn(10, 14))
    np.testing.assert_array_equal(read_bgr(tmp_path / "a.png", rules=ImageRules(window=(0, 9))), drawn(10, 14))


def test_odd_numbers_in_a_float_tiff_are_black_or_white_and_a_flat_one_is_black(tmp_path):
    values = np.float32([[np.nan, -np.inf, 0, 1, np.inf, 0.5]])
    (tmp_path / "a.tif").write_bytes(tiff_file(values))
    assert read_bgr(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 0, 0, 255, 255, 128]
    (tmp_path / "b.tif").write_bytes(tiff_file(np.full((4, 5), 7, "u2")))
    assert read_bgr(tmp_path / "b.tif").shape == (4, 5, 3) and not read_bgr(tmp_path / "b.tif").any()
    (tmp_path / "c.tif").write_bytes(tiff_file(np.full((4, 5), np.nan, "f4")))
    assert not read_bgr(tmp_path / "c.tif").any()


def test_16_bits_with_alpha_inverted_and_turned_are_read_right(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (4, 6, 4)).astype("u2")
    values[..., 3] = 65535
    values[0, 0, 3] = 0
    for name, make in (("a.png", png_file), ("a.tif", tiff_file)):
        (tmp_path / name).write_bytes(make(values))
        image = read_bgr(tmp_path / name, rules=ImageRules(window=(0, 4095), alpha_colour=(10, 20, 30)))
        assert image[0, 0].tolist() == [30, 20, 10]
        assert np.abs(rgb(image) - scaled(values[..., :3], 0, 4095))[1:].max() <= 0.51
    grey = values[..., 0]
    (tmp_path / "b.tif").write_bytes(tiff_file(grey, photometric=0, orientation=6))
    image = read_bgr(tmp_path / "b.tif", upright=True, rules=ImageRules(window=(0, 4095)))
    assert np.abs(rgb(image) - np.rot90(255 - scaled(grey, 0, 4095), -1)).max() <= 0.51


def test_a_tiff_that_opencv_reads_wrongly_is_read_by_tifffile_or_named_with_it(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (4, 6, 2)).astype("u2")
    (tmp_path / "a.tif").write_bytes(tiff_file(values))
    image = read_bgr(tmp_path / "a.tif", rules=ImageRules(window=(0, 4095)))
    has_tifffile = image is not None
    assert has_tifffile or why_unreadable(tmp_path / "a.tif").endswith("needs tifffile: pip install tifffile")


# ------------------------------------------------------------------------------------------------------ kinds of colour


def pictures() -> dict[str, tuple[Image.Image, tuple[str, ...], dict]]:
    """By name: a picture, formats that keep it, options of the writer."""
    colour, alpha = Image.fromarray(drawn(20, 28)), Image.fromarray(drawn(20, 28, 4), "RGBA")
    palette = colour.quantize(32)
    return {
        "colour": (colour, ("png", "bmp", "webp", "tif"), {}),
        "grey": (colour.convert("L"), ("jpg", "png", "bmp", "tif"), {}),
        "one bit": (colour.convert("1"), ("png", "bmp", "tif"), {}),
        "palette": (palette, ("png", "bmp", "tif", "gif"), {}),
        "palette with transparency": (palette, ("png", "gif"), {"transparency": 5}),
        "palette with alphas": (palette, ("png",), {"transparency": bytes(range(0, 256, 8))}),
        "grey with a transparent value": (colour.convert("L"), ("png",), {"transparency": 77}),
        "alpha": (alpha, ("png", "webp", "tif"), {}),
        "grey with alpha": (alpha.convert("LA"), ("png", "tif"), {}),
        "inks": (colour.convert("CMYK"), ("jpg", "tif"), {}),
        "packed": (colour, ("tif",), {"compression": "tiff_lzw"}),
        "zipped": (colour, ("tif",), {"compression": "tiff_adobe_deflate"}),
        "brightness and colour": (colour.convert("YCbCr"), ("tif",), {"compression": "jpeg"}),
    }


KINDS = [(name, kind) for name, (_, kinds, _) in pictures().items() for kind in kinds]


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_every_kind_of_colour_is_read_as_pillow_converts_it_and_alpha_lies_over_white_or_the_colour(
    tmp_path, name, kind
):
    picture, _, options = pictures()[name]
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content_of(picture, kind, **options))
    for colour in ((255, 255, 255), (10, 200, 30)):
        image = read_bgr(path, rules=ImageRules(alpha_colour=colour))
        assert np.abs(rgb(image) - by_pillow(Image.open(path), colour)).max() <= (1 if kind == "jpg" else 0)
        assert image.flags.c_contiguous and image.dtype == np.uint8


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_what_opencv_reads_alone_is_bit_for_bit_what_it_reads(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    for picture in (Image.fromarray(drawn(37, 51)), Image.fromarray(drawn(37, 51)).convert("L")):
        path.write_bytes(content_of(picture, kind))
        np.testing.assert_array_equal(read_bgr(path), cv2.imread(str(path)))


@pytest.mark.parametrize("name", ["alpha", "inks", "palette with transparency", "16-bit grey TIFF", "zipped"])
def test_a_file_of_any_kind_that_is_cut_off_is_none_or_has_its_size(tmp_path, name):
    if name in DEEP:
        whole = tiff_file(np.zeros((20, 28), "u2"))
    else:
        picture, kinds, options = pictures()[name]
        whole = content_of(picture, kinds[-1] if name != "inks" else "jpg", **options)
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        (tmp_path / "cut").write_bytes(whole[:length])
        image = read_bgr(tmp_path / "cut")
        assert image is None or image.shape == (20, 28, 3)


def test_a_header_that_promises_too_much_is_refused_for_tiff_too(tmp_path):
    content = bytearray(tiff_file(np.zeros((20, 28), "u2")))
    tags = tiff.read_tags(bytes(content), (tiff.WIDTH, tiff.HEIGHT))
    for _, place, form in tags.values():
        struct.pack_into(form, content, place, 60_000)
    (tmp_path / "a.tif").write_bytes(content)
    assert read_bgr(tmp_path / "a.tif") is None
    assert "60000 x 60000 pixels, and max_image_pixels is" in why_unreadable(tmp_path / "a.tif")


# ----------------------------------------------------------------------------------------------------------------- keys


def test_the_keys_reach_the_rules_and_a_window_that_is_none_is_refused():
    given = ["--exif", "stored", "--image_window", "[0, 4095]", "--alpha_colour", "[1, 2, 3]"]
    assert ImageRules.from_config(load_config(DEMO_CONFIG, given)) == ImageRules("stored", (0, 4095), (1, 2, 3))
    assert ImageRules.from_config(load_config(DEMO_CONFIG)) == ImageRules()
    for window in ("[5]", "[5, 5]", "[9, 5]"):
        with pytest.raises(UserError, match="image_window is .*; it must be \\[LOW, HIGH\\]"):
            load_config(DEMO_CONFIG, ["--image_window", window])


def test_every_suffix_of_the_list_is_one_that_is_read(tmp_path):
    for suffix in IMAGE_SUFFIXES:
        cv2.imwrite(str(tmp_path / f"a{suffix}"), drawn(8, 9))
        assert read_bgr(tmp_path / f"a{suffix}").shape == (8, 9, 3)


# ------------------------------------------------------------------------------------------------------------ all tasks


def test_segmented_images_are_turned_as_their_labels_are_and_left_out_where_no_turn_gives_their_size(tmp_path):
    sizes = {"upright": (28, 20), "stored": (20, 28), "neither": (28, 21)}
    for name, size in sizes.items():
        (tmp_path / f"{name}.jpg").write_bytes(turned_file(20, 28, "jpg", 6))
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros(size, np.uint8))
    (tmp_path / "val.lst").write_text("".join(f"{name}.jpg\t{name}.png\n" for name in sizes))
    cfg = load_config(SEGMENTATION_CONFIG, CUSTOM)
    dataset = open_segmentation(cfg, str(tmp_path), "val")
    for index, (name, size) in enumerate(sizes.items()):
        image, label = dataset.read(index)
        assert (label is None) == (name == "neither")
        wanted = read_bgr(tmp_path / f"{name}.jpg", upright=name == "upright")
        np.testing.assert_array_equal(image, wanted)
        np.testing.assert_array_equal(dataset.read_image(index), wanted)
        assert label is None or image.shape[:2] == size


@pytest.mark.parametrize("exif", ["auto", "stored"])
def test_classified_images_are_trained_evaluated_and_inferred_the_same_way_round(tmp_path, exif):
    (tmp_path / "a" / "one").mkdir(parents=True)
    (tmp_path / "a" / "two").mkdir()
    for name in ("one", "two"):
        (tmp_path / "a" / name / "x.jpg").write_bytes(turned_file(40, 40, "jpg", 3))
    size = ["--img_width", "32", "--img_height", "32", "--eval_resize", "40", "--num_classes", "2"]
    cfg = load_config(CLASSIFICATION_CONFIG, [*size, "--exif", exif])
    dataset = open_image_folder(cfg, str(tmp_path / "a"))
    wanted = read_bgr(dataset.images[0][0], upright=exif == "auto")[..., ::-1]
    np.testing.assert_array_equal(FolderSamples(dataset, cfg).read(0)[0], wanted)
    seen = [image for image, _, _ in evaluation_batches(dataset.images, Preparation.from_config(cfg), 2, 1)]
    logits = Tensor(np.zeros((cfg.test_batch_size, 2), np.float32))
    list(classify_files(cfg, lambda image: seen.append(image.asnumpy()) or logits, [dataset.images[0][0]]))
    for image in seen:
        np.testing.assert_array_equal(image[0], Preparation.from_config(cfg).for_evaluation(wanted))


def test_a_detector_gets_files_and_labelled_images_by_the_same_rules(tmp_path):
    (tmp_path / "a.png").write_bytes(png_file(np.random.default_rng(0).integers(0, 4096, (20, 28)).astype("u2")))
    cfg = load_config(DEMO_CONFIG, ["--image_window", "[0, 9000]"])
    image = read_bgr(tmp_path / "a.png", rules=ImageRules(window=(0, 9000)))
    settings = ImageSettings.from_config(cfg)
    wanted = prepare_image(image, settings)[0]
    np.testing.assert_array_equal(Predictor(None, cfg)._read(tmp_path / "a.png").prepared[0], wanted)
    index = DetectionIndex(tmp_path / "x", ["a"], [ImageRecord(tmp_path / "a.png", 1, 28, 20, ())])
    np.testing.assert_array_equal(next(iter(build_eval_loader(cfg, index))).image[0], wanted)
    np.testing.assert_array_equal(DetectionSamples(index, [0], cfg).read(0)[1], image)


def test_a_jpeg_is_decoded_at_a_fraction_of_its_size_and_other_kinds_stay_as_large(tmp_path):
    image = cv2.resize(np.random.RandomState(0).randint(0, 256, (5, 7, 3)).astype(np.uint8), (112, 80))
    for suffix, size in ((".jpg", (20, 28)), (".png", (80, 112))):
        content = cv2.imencode(suffix, image)[1].tobytes()
        found = decode(content, look_at(content), upright=False, reduced=4)
        assert found.shape == (*size, 3)
        near = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(found - near).mean() < 6
        whole = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(decode(content, look_at(content), upright=False), whole)
