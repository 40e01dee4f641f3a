"""Cases of the compiled operators: made here, written for a program that runs them, or run by a library in here.

`operator_cases.h` is the other end of the file: programs that run operators for another processor, or kernels without a
GPU, read it. Each case has few numbers: programs under an emulator are slow.
"""

import ctypes
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAGIC = b"OPCASE01"
UNWRITTEN = 0x5A  # every byte of an output before the operator runs
LEVELS = 5  # feature maps that RoIAlign takes
ODD = np.float32([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e9, 0.0, -0.0, 1e-40])


@dataclass(frozen=True)
class Case:
    """outputs: shape and type of each."""

    function: str
    inputs: tuple[np.ndarray, ...]
    outputs: tuple[tuple[tuple[int, ...], type], ...]

    def empty(self) -> list[np.ndarray]:
        """The outputs before the operator runs."""
        return [_unwritten(math.prod(shape) * np.dtype(kind).itemsize).view(kind).reshape(shape)
                for shape, kind in self.outputs]  # fmt: skip


Result = tuple[int, list[np.ndarray]]  # status, outputs


def write(path: Path, cases: list[Case]) -> None:
    """The file of cases; the counts say what is inputs and what outputs."""
    with open(path, "wb") as file:
        file.write(MAGIC + struct.pack("<I", len(cases)))
        for case in cases:
            file.write(
                _text(case.function) + struct.pack("<2I", len(case.inputs), len(case.inputs) + len(case.outputs))
            )
            for array in case.inputs:
                file.write(_head(array.dtype, array.shape) + np.ascontiguousarray(array).tobytes())
            for shape, kind in case.outputs:
                file.write(_head(np.dtype(kind), shape))


def read_results(path: Path, cases: list[Case]) -> list[Result]:
    """What the program wrote. AssertionError where the file is longer or shorter."""
    data, results = path.read_bytes(), []
    for case in cases:
        status, outputs = struct.unpack_from("<i", data)[0], []
        data = data[4:]
        for shape, kind in case.outputs:
            size = math.prod(shape) * np.dtype(kind).itemsize
            outputs.append(np.frombuffer(data[:size], kind).reshape(shape))
            data = data[size:]
        results.append((status, outputs))
    assert not data
    return results


def run(library: Path, cases: list[Case]) -> list[Result]:
    """By a compiled library, in this process."""
    loaded = ctypes.CDLL(str(library))
    return [_call(getattr(loaded, case.function), case) for case in cases]


def _call(function: Callable, case: Case) -> Result:
    inputs, outputs = [np.ascontiguousarray(array) for array in case.inputs], case.empty()
    arrays = [*inputs, *outputs]
    shapes = [np.array(array.shape, np.int64) for array in arrays]
    count = len(arrays)
    status = function(
        count,
        (ctypes.c_void_p * count)(*(array.ctypes.data for array in arrays)),
        (ctypes.c_int * count)(*(array.ndim for array in arrays)),
        (ctypes.c_void_p * count)(*(shape.ctypes.data for shape in shapes)),
        (ctypes.c_char_p * count)(*(_name(array.dtype).encode() for array in arrays)),
        None,
        None,
    )
    return status, outputs


def _name(kind: np.dtype) -> str:
    """MindSpore's name of a type."""
    return "bool" if kind == np.bool_ else kind.name


def _text(words: str) -> bytes:
    return struct.pack("<I", len(words)) + words.encode()


def _head(kind: np.dtype, shape: tuple[int, ...]) -> bytes:
    size = math.prod(shape) * kind.itemsize
    return _text(_name(kind)) + struct.pack(f"<I{len(shape)}qQ", len(shape), *shape, size)


def _unwritten(size: int) -> np.ndarray:
    return np.full(size, UNWRITTEN, np.uint8)


# ------------------------------------------------------------------------------------------------------ random cases


def boxes(rng: np.random.Generator, count: int, side: float, odd: bool) -> np.ndarray:
    """(count, 4) corners in a square of this side and a little over its edges, some of them equal. odd: every fifth one
    has a number that is not finite, huge, or nothing.
    """
    centre, size = rng.uniform(0, side, (count, 2)), rng.exponential(side / 4, (count, 2))
    found = np.concatenate((centre - size / 2, centre + size / 2), 1).astype(np.float32)
    found[rng.random(count) < 0.3] = np.round(found[:1])
    if odd:
        rows = np.flatnonzero(rng.random(count) < 0.2)
        found[rows, rng.integers(0, 4, len(rows))] = rng.choice(ODD, len(rows))
    return found


def _rois(rng: np.random.Generator, count: int, images: int, side: float, odd: bool) -> np.ndarray:
    image = rng.integers(-1, images + 1, (count, 1)).astype(np.float32)  # -1 and `images`: none
    if odd and count:
        image[rng.integers(count)] = rng.choice(ODD)
    return np.concatenate((image, boxes(rng, count, side, odd)), 1)


def _pyramid(rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray], list[int], int]:
    """Settings of RoIAlign, feature maps with their placeholders, the size of the output."""
    levels, images, channels, out = (
        rng.integers(1, LEVELS + 1),
        rng.integers(1, 3),
        rng.integers(1, 6),
        rng.integers(1, 8),
    )
    height, width = rng.integers(1, 40, 2)
    strides = [4 * 2**k for k in range(levels)]
    maps = [rng.normal(size=(images, channels, max(1, height >> k), max(1, width >> k))).astype(np.float32)
            for k in range(levels)]  # fmt: skip
    maps += [np.zeros((1, 1, 1, 1), np.float32)] * (LEVELS - levels)
    settings = np.float32([out, rng.integers(0, 4), rng.integers(0, 4), 56, levels, *strides])
    return settings, maps, out, 4 * int(max(height, width))


def roi_align(rng: np.random.Generator, odd: bool) -> Case:
    settings, maps, out, side = _pyramid(rng)
    rois = _rois(rng, int(rng.integers(0, 20)), len(maps[0]), side, odd)
    shape = len(rois), maps[0].shape[1], out, out
    return Case("RoiAlignForward", (rois, settings, *maps), ((shape, np.float32),))


def roi_align_backward(rng: np.random.Generator, odd: bool) -> Case:
    forward = roi_align(rng, odd)
    grad = rng.normal(size=forward.outputs[0][0]).astype(np.float32)
    maps = forward.inputs[2:]
    return Case("RoiAlignBackward", (grad, *forward.inputs), tuple((one.shape, np.float32) for one in maps))


def mask_crop(rng: np.random.Generator, odd: bool) -> Case:
    images, objects, height, row_bytes, out = rng.integers(1, (3, 4, 60, 8, 15))
    masks = rng.integers(0, 256, (images, objects, height, row_bytes), np.uint8)
    masks[rng.random(masks.shape[:2]) < 0.5] = 255
    rois = _rois(rng, int(rng.integers(0, 12)), images, max(height, row_bytes * 8), odd)
    which = rng.integers(-1, objects + 1, len(rois)).astype(np.int32)
    return Case("MaskCropForward", (masks, rois, which), (((len(rois), int(out), int(out)), np.float32),))


def point_sample(rng: np.random.Generator, odd: bool) -> Case:
    maps, times, channels, height, width = (int(n) for n in rng.integers(1, (12, 3, 20, 40, 40)))
    points = rng.uniform(-0.2, 1.2, (maps * times, int(rng.integers(0, 30)), 2)).astype(np.float32)
    if odd:
        points[rng.random(points.shape) < 0.2] = rng.choice(ODD)
    features = rng.normal(size=(maps, channels, height, width)).astype(np.float32)
    shape = (*points.shape[:2], channels)
    return Case("PointSampleForward", (features, points), ((shape, np.float32),))


def point_sample_backward(rng: np.random.Generator, odd: bool) -> Case:
    forward = point_sample(rng, odd)
    features, points = forward.inputs
    grad = rng.normal(size=forward.outputs[0][0]).astype(np.float32)
    return Case("PointSampleBackward", (grad, points, features), ((features.shape, np.float32),))


def _scored(rng: np.random.Generator, odd: bool) -> tuple[np.ndarray, ...]:
    images, count = int(rng.integers(1, 4)), int(rng.integers(0, 80))
    some = np.stack([boxes(rng, count, 100, odd) for _ in range(images)])
    scores = np.round(rng.random((images, count)), 2).astype(np.float32)  # ties
    if odd:
        scores[rng.random(scores.shape) < 0.1] = np.nan
    groups = rng.integers(0, 4, count).astype(np.int32)
    valid = (rng.random((images, count)) < 0.9).astype(np.int32)
    return some, scores, groups, valid


def nms(rng: np.random.Generator, odd: bool) -> Case:
    scored, slots = _scored(rng, odd), int(rng.integers(1, 60))
    settings = np.float32([rng.choice([0.3, 0.5, 0.7]), rng.integers(0, 3)])
    shape = len(scored[0]), slots
    return Case("NmsForward", (*scored, settings), ((shape, np.int32), (shape, np.int32)))


def soft_nms(rng: np.random.Generator, odd: bool) -> Case:
    scored, slots = _scored(rng, odd), int(rng.integers(1, 60))
    settings = np.float32([0.3, 0.5, 0.001, rng.integers(0, 2), rng.integers(0, 2)])
    shape = len(scored[0]), slots
    return Case("SoftNmsForward", (*scored, settings), ((shape, np.int32), (shape, np.int32), (shape, np.float32)))


def iou_assign(rng: np.random.Generator, odd: bool) -> Case:
    images, count, objects = (int(n) for n in rng.integers((1, 0, 0), (4, 1500, 6)))
    some = np.stack([boxes(rng, count, 100, odd) for _ in range(images)])
    truth = np.stack([boxes(rng, objects, 100, odd) for _ in range(images)])
    of_box, of_object = rng.random((images, count)) < 0.9, rng.random((images, objects)) < 0.8
    crowd = rng.random((images, objects)) < 0.2
    settings = np.float32(
        [0.5, rng.choice([0.3, 0.5]), rng.choice([0.0, 0.3]), rng.integers(0, 2), rng.choice([-1, 0.5])]
    )
    shape = images, count
    return Case("IoUAssignForward", (some, of_box, truth, of_object & ~crowd, crowd, settings),
                ((shape, np.int32), (shape, np.float32)))  # fmt: skip


def sample(rng: np.random.Generator, odd: bool) -> Case:
    images, count = int(rng.integers(1, 4)), int(rng.integers(1, 300))
    assigned = rng.integers(-1, 3, (images, count)).astype(np.int32)
    num = int(rng.integers(1, 100))
    seeds = rng.integers(0, 2**31 - 1, images).astype(np.int32)
    settings = np.float32([num, num // 2, rng.choice([-1, 3]), rng.integers(0, 2), rng.integers(0, 3)])
    shape = images, min(num, count)
    return Case("SampleForward", (assigned, seeds, settings), ((shape, np.int32), (shape, np.bool_), (shape, np.bool_)))


def all_finite(rng: np.random.Generator, odd: bool) -> Case:
    tensors = []
    for _ in range(int(rng.integers(1, 4))):
        kind = np.float16 if rng.random() < 0.5 else np.float32
        tensors.append(rng.normal(size=tuple(rng.integers(0, 9, 2))).astype(kind))
    if odd and tensors[0].size:
        tensors[0].flat[rng.integers(tensors[0].size)] = rng.choice([np.nan, np.inf, 6e4])
    return Case("AllFiniteForward", tuple(tensors), (((1,), np.bool_),))


def resize_bilinear(rng: np.random.Generator, odd: bool) -> Case:
    images, channels, *sides, height, width = (int(n) for n in rng.integers(1, (3, 6, 40, 40, 60, 60)))
    x = rng.normal(size=(images, channels, *sides)).astype(np.float32)
    if odd:
        x[rng.random(x.shape) < 0.1] = rng.choice(ODD)
    like, settings = np.zeros((height, width), np.int8), np.float32([rng.integers(0, 3)])
    return Case("ResizeBilinear", (x, like, settings), (((images, channels, height, width), np.float32),))


KINDS: dict[str, Callable[[np.random.Generator, bool], Case]] = {
    "AllFiniteForward": all_finite,
    "IoUAssignForward": iou_assign,
    "MaskCropForward": mask_crop,
    "NmsForward": nms,
    "PointSampleBackward": point_sample_backward,
    "PointSampleForward": point_sample,
    "ResizeBilinear": resize_bilinear,
    "RoiAlignBackward": roi_align_backward,
    "RoiAlignForward": roi_align,
    "SampleForward": sample,
    "SoftNmsForward": soft_nms,
}


def random_cases(functions: list[str], count: int, seed: int) -> list[Case]:
    """`count` of each function, every second one with odd numbers; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    return [KINDS[function](rng, k % 2 == 1) for function in functions for k in range(count)]
