"""From the bytes of an image file to 8-bit BGR pixels, whatever kind of image they are.

What most files are, 8 bits of grey or colour in JPEG, PNG, BMP or WebP, goes through OpenCV alone. The other kinds:

* palettes with transparency, alpha: laid over `alpha_colour`; CMYK, other formats: Pillow's conversion;
* more than 8 bits a channel, floating point: `window`, or the file's own range, becomes 0 to 255.
"""

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from ..config import Config
from . import tiff

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit raises and warns in the midst of things; whoever decodes has one
warnings.filterwarnings("ignore", module=r"PIL\.")  # what it says of broken files is said by who reads them
cv2.setLogLevel(1)  # fatal errors: it warns of every tag of a TIFF that it does not know

# Formats that Pillow is asked for: it knows some that run programs.
HEADERS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "TIFF", "GIF", "PPM", "JPEG2000", "SUN")
PLAIN_FORMATS = ("JPEG", "MPO", "PNG", "BMP", "DIB", "WEBP")
PLAIN_MODES = ("1", "L", "P", "RGB", "YCbCr")
REDUCED = {
    1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8,
}  # fmt: skip
NO_RANGE = (0.0, 1.0)  # of a picture without a finite number
ROWS = 2**22  # numbers of a picture that are scaled at once
# How a stored picture gets upright, by EXIF's number: turned or mirrored first, mirrored next.
TRANSPOSED = (5, 6, 7, 8)
FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # OpenCV's: 1 left and right, 0 top and bottom, -1 both


@dataclass(frozen=True)
class ImageRules:
    """See the keys `exif`, `image_window` and `alpha_colour` (RGB)."""

    exif: str = "auto"
    window: tuple[float, float] | None = None
    alpha_colour: tuple[int, int, int] = (255, 255, 255)

    @classmethod
    def from_config(cls, cfg: Config) -> "ImageRules":
        return cls(cfg.exif, tuple(cfg.image_window) or None, tuple(cfg.alpha_colour))

    @property
    def upright(self) -> bool:
        """Whether images without labels are turned as their EXIF entries say."""
        return self.exif == "auto"


USUAL_RULES = ImageRules()


@dataclass(frozen=True)
class Header:
    """What an image file says of itself. size: (h, w) as stored; orientation: EXIF's number of the turn, 1 for none;
    kind: 'plain' (for OpenCV), 'other' (for Pillow), 'deep' (more than 8 bits a channel) or 'unknown'; has_alpha: of
    'other' ones; is_inverted: of 'deep' ones, 0 is white; needs_tifffile: of 'deep' ones that OpenCV reads wrongly.
    """

    size: tuple[int, int]
    orientation: int = 1
    kind: str = "plain"
    has_alpha: bool = False
    is_inverted: bool = False
    needs_tifffile: bool = False
    is_jpeg: bool = False

    @property
    def upright_size(self) -> tuple[int, int]:
        return self.size[::-1] if self.orientation in TRANSPOSED else self.size


def look_at(content: bytes) -> Header | None:
    """The header of an image file, nothing decoded; None where it is no image."""
    tags = tiff.read_tags(content, TIFF_TAGS)
    if (deep := _deep_tiff(tags)) is not None:
        return deep
    # Pillow's readers raise many kinds of errors.
    with contextlib.suppress(Exception), Image.open(io.BytesIO(tiff.as_stored(content, tags)), formats=HEADERS) as one:
        has_alpha = _has_alpha(one)
        has_depth = is_deep(one) or (one.format == "PNG" and content[24:25] == b"\x10")
        is_plain = one.format in PLAIN_FORMATS and one.mode in PLAIN_MODES and not has_alpha
        kind = "deep" if has_depth else "plain" if is_plain else "other"
        orientation = tiff.orientation_of(tags) if tags else _exif_orientation(one.info.get("exif"))
        return Header(one.size[::-1], orientation, kind, has_alpha, is_jpeg=content.startswith(b"\xff\xd8"))
    return None


def decode(
    content: bytes, header: Header, upright: bool, rules: ImageRules = USUAL_RULES, reduced: int = 1
) -> np.ndarray | None:
    """(h, w, 3) uint8 BGR; None where the file is cut off, or of a kind that nobody here reads.

    upright: turned as the file says. `is_own_range` tells of which files the range is their own. reduced: 2, 4 or 8
    gives a plain JPEG with sides so many times smaller, in a fraction of the time; other files stay as large as they
    are.
    """
    # OpenCV fills the missing part of a cut-off JPEG with grey.
    # A whole one has an end marker after its last scan header.
    if header.is_jpeg and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        return None
    if header.kind == "plain":
        kind = REDUCED[reduced] if header.is_jpeg else cv2.IMREAD_COLOR
        image = _by_opencv(content, kind | cv2.IMREAD_IGNORE_ORIENTATION)
    elif header.kind == "other":
        image = _by_pillow(content, header, rules)
    else:
        image = _deep(content, header, rules)
    return turned(image, header.orientation) if upright and image is not None else image


def of_pillow(picture: Image.Image, rules: ImageRules = USUAL_RULES) -> np.ndarray:
    """(h, w, 3) uint8 BGR of an image of Pillow as `decode` makes it of its file, upright as the rules say.

    What Pillow raises of a file that is closed, cut off or damaged.
    """
    picture.load()  # which turns a TIFF by itself
    if is_deep(picture):
        image = _eight_bits(np.asarray(picture)[..., None], False, rules)
    else:
        image = _converted(picture, _has_alpha(picture), rules)
    return turned(image, _exif_orientation(picture.info.get("exif"))) if rules.upright else image


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """A stored picture, upright by EXIF's number; contiguous."""
    if orientation in TRANSPOSED:
        image = cv2.transpose(image)
    return cv2.flip(image, FLIPS[orientation]) if orientation in FLIPS else image


def is_own_range(header: Header, rules: ImageRules) -> bool:
    """Whether `decode` takes the file's own range, for want of another."""
    return header.kind == "deep" and rules.window is None


def problem_of(header: Header) -> str:
    """What is wrong with an image that `decode` did not give, as far as its header tells."""
    if header.kind == "unknown":
        return "has more than 8 bits a channel, and colours that are neither grey nor RGB"
    if header.needs_tifffile and importlib.util.find_spec("tifffile") is None:
        return "is a TIFF of a kind that needs tifffile: pip install tifffile"
    return "is no image, or cut off"


# ------------------------------------------------------------------------------------------------------------ kinds

TIFF_TAGS = (
    tiff.WIDTH, tiff.HEIGHT, tiff.BITS, tiff.PHOTOMETRIC, tiff.ORIENTATION, tiff.SAMPLES, tiff.PLANES
)  # fmt: skip
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2  # values of PHOTOMETRIC
SEPARATE = 2  # value of PLANES: one colour after the other


def _deep_tiff(tags: tiff.Tags) -> Header | None:
    """The header of a TIFF with more than 8 bits a channel: Pillow knows few of those."""
    values = {tag: found[0] for tag, found in tags.items()}
    if not values.keys() >= {tiff.WIDTH, tiff.HEIGHT, tiff.BITS} or max(values[tiff.BITS]) <= 8:
        return None
    photometric, samples, planes = (values.get(tag, (1,))[0] for tag in (tiff.PHOTOMETRIC, tiff.SAMPLES, tiff.PLANES))
    is_odd = samples == 2 or (samples > 1 and planes == SEPARATE) or max(values[tiff.BITS]) not in (16, 32, 64)
    return Header(
        (values[tiff.HEIGHT][0], values[tiff.WIDTH][0]),
        tiff.orientation_of(tags),
        "deep" if photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB) else "unknown",
        is_inverted=photometric == WHITE_IS_ZERO,
        needs_tifffile=is_odd,
    )


def _exif_orientation(exif: object) -> int:
    if not isinstance(exif, bytes):
        return 1
    return tiff.orientation_of(tiff.read_tags(exif.removeprefix(b"Exif\0\0"), (tiff.ORIENTATION,)))


def _by_opencv(content: bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:  # it has limits of its own
        return None


def _by_pillow(content: bytes, header: Header, rules: ImageRules) -> np.ndarray | None:
    """By Pillow's conversion to RGB; the first of several pictures."""
    content = tiff.as_stored(content, tiff.read_tags(content, (tiff.ORIENTATION,)))
    with contextlib.suppress(Exception), Image.open(io.BytesIO(content), formats=HEADERS) as picture:
        return _converted(picture, header.has_alpha, rules)
    return None


def _converted(picture: Image.Image, has_alpha: bool, rules: ImageRules) -> np.ndarray:
    if has_alpha:
        below = Image.new("RGBA", picture.size, (*rules.alpha_colour, 255))
        below.alpha_composite(picture.convert("RGBA"))
        picture = below
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[..., ::-1])


def _has_alpha(picture: Image.Image) -> bool:
    return picture.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in picture.info


def is_deep(picture: Image.Image) -> bool:
    """Whether an image of Pillow has more than 8 bits a channel."""
    return picture.mode[:1] in "IF"


# ------------------------------------------------------------------------------------------- more than 8 bits a channel


def _deep(content: bytes, header: Header, rules: ImageRules) -> np.ndarray | None:
    stored = stored_numbers(content, header)
    return None if stored is None else _eight_bits(stored, header.is_inverted, rules)


def _eight_bits(stored: np.ndarray, is_inverted: bool, rules: ImageRules) -> np.ndarray:
    """(h, w, 3) uint8 BGR of what `stored_numbers` gives."""
    alpha = stored[..., 3:] if stored.shape[2] == 4 else stored[..., 1:] if stored.shape[2] == 2 else None
    colours = colours_of(stored)
    image = _scaled(colours, rules.window or finite_range(colours) or NO_RANGE)
    image = 255 - image if is_inverted else image
    image = image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)
    if alpha is not None:
        top = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "ui" else 1
        share = _scaled(alpha, (0, top)).astype(np.float32) / 255
        below = np.float32(rules.alpha_colour[::-1])
        image = (image * share + below * (1 - share) + 0.5).astype(np.uint8)
    return image


def stored_numbers(content: bytes, header: Header) -> np.ndarray | None:
    """(h, w, channels) as stored, 1 to 4 channels, colours BGR. OpenCV reads most files; tifffile, where it is
    installed, more.
    """
    if header.kind != "deep":
        return None
    content = tiff.as_stored(content, tiff.read_tags(content, (tiff.ORIENTATION,)))
    readers = (_numbers_by_opencv, _numbers_by_pillow, _numbers_by_tifffile)
    for read in readers[header.needs_tifffile :]:
        found = read(content)
        if found is not None and found.ndim in (2, 3) and found.shape[:2] == header.size and found.dtype.kind in "uif":
            found = found[..., None] if found.ndim == 2 else found
            if 1 <= found.shape[2] <= 4:
                return found
    return None


def _numbers_by_opencv(content: bytes) -> np.ndarray | None:
    return _by_opencv(content, cv2.IMREAD_UNCHANGED)


def _numbers_by_pillow(content: bytes) -> np.ndarray | None:
    with contextlib.suppress(Exception), Image.open(io.BytesIO(content), formats=HEADERS) as picture:
        return np.asarray(picture) if picture.mode[:1] in "IF" else None
    return None


def _numbers_by_tifffile(content: bytes) -> np.ndarray | None:
    if content[:4] not in tiff.MARKS:
        return None
    with contextlib.suppress(Exception):  # not installed; codecs that are not; broken files
        from tifffile import TiffFile

        with TiffFile(io.BytesIO(content)) as file:
            found = file.pages[0].asarray()
            if file.pages[0].planarconfig == 2 and found.ndim == 3:
                found = np.moveaxis(found, 0, 2)
            return found[..., [2, 1, 0, *range(3, found.shape[2])]] if found.ndim == 3 and found.shape[2] > 2 else found
    return None


def colours_of(stored: np.ndarray) -> np.ndarray:
    """(h, w, 1 or 3) of what `stored_numbers` gives: without alpha."""
    return stored[..., :3] if stored.shape[2] > 2 else stored[..., :1]


def finite_range(numbers: np.ndarray) -> tuple[float, float] | None:
    """The least and the largest finite number; None where there is none."""
    if numbers.dtype.kind != "f":
        return float(numbers.min()), float(numbers.max())
    found = []
    for part in _parts(numbers):
        finite = numbers[part][np.isfinite(numbers[part])]
        found += [float(finite.min()), float(finite.max())] if finite.size else []
    return (min(found), max(found)) if found else None


def _scaled(numbers: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """uint8: `window` becomes 0 to 255, to the nearest; what lies beside it is 0 or 255, what is no number 0."""
    low, high = window
    out = np.empty(numbers.shape, np.uint8)
    factor = 255 / (high - low) if high > low else 0.0
    for part in _parts(numbers):
        values = np.nan_to_num(numbers[part].astype(np.float64), nan=low, posinf=high, neginf=low)
        out[part] = np.clip((values - low) * factor + 0.5, 0, 255.5)
    return out


def _parts(numbers: np.ndarray) -> Iterator[slice]:
    """Rows that are worked on together: a large picture's numbers are not all copied at once."""
    step = max(1, ROWS // max(1, numbers[0].size))
    return (slice(start, start + step) for start in range(0, len(numbers), step))
