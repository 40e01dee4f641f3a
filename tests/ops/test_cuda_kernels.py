"""The CUDA kernels without a GPU: src/ops/*.cu, unchanged, compiled by g++ with address and undefined-behaviour
sanitizers (tests/ops/cuda_on_cpu says what CUDA's words mean there), held to the CPU operators.
"""

import ctypes
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from src.ops import build, library
from src.ops.build import CPU, GPU, HERE, LIBRARIES
from src.ops.functions import GPU_FUNCTIONS
from tests.conftest import DATA_FILES
from tests.ops import operator_cases
from tests.ops.operator_cases import Case, Result

HARNESS = Path(__file__).parent / "cuda_on_cpu"
MEMORY = ("-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all")
THREADS = ("-fsanitize=thread",)  # which of a block's threads do not wait for each other
FLAGS = ("-std=c++17", "-O1", "-ffp-contract=off", "-pthread", "-Wall", "-Wextra", "-Wno-unknown-pragmas")
EACH = 68  # random cases of each of KINDS
ORDERED = "Ordered"  # at the end of a kernel's name: sums in a fixed order
FLOATS = ("PointSampleForward", "PointSampleBackward", "PointSampleBackwardOrdered", "RoiAlignForward",
          "RoiAlignBackward", "RoiAlignBackwardOrdered")  # fmt: skip
KINDS = [(name, half) for name in FLOATS for half in (False, True)]
KINDS += [(name, False) for name in ("IoUAssignForward", "MaskCropForward", "NmsForward")]
LEAST = 1000  # cases

slow = pytest.mark.slow


# Without MindSpore's allocator in front, which the sanitizer's must be.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


def compiled(sources: list[Path], folder: Path, sanitize: tuple[str, ...] = MEMORY) -> list[Path]:
    """Object files; all at once."""
    jobs, objects = [], [folder / f"{source.stem}.o" for source in sources]
    for source, target in zip(sources, objects, strict=True):
        command = ["g++", *FLAGS, *sanitize, "-I", HERE, "-I", HARNESS, "-x", "c++", "-c", source, "-o", target]
        jobs.append(subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env=ENVIRONMENT))
    said = [job.communicate(timeout=300)[1] for job in jobs]
    assert not any(said) and not any(job.returncode for job in jobs), said
    return objects


def linked(objects: list[Path], folder: Path, sanitize: tuple[str, ...] = MEMORY) -> Path:
    """The program of cuda_on_cpu/run_kernels.cc."""
    command = ["g++", *FLAGS, *sanitize, *map(str, objects), "-o", str(folder / "run_kernels")]
    subprocess.run(command, check=True, timeout=300, env=ENVIRONMENT)
    return folder / "run_kernels"


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    kernels = [HERE / source for source in LIBRARIES[GPU].sources if source.endswith(".cu")]
    return compiled([HARNESS / "run_kernels.cc", *kernels], tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="module")
def program(objects):
    return linked(objects, objects[0].parent)


def run(program: Path, cases: list[Case], folder: Path) -> list[Result]:
    """What the kernels give. AssertionError with the sanitizers' words where they found something."""
    operator_cases.write(folder / "cases", cases)
    command = [program, folder / "cases", folder / "results"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=ENVIRONMENT)
    assert done.returncode == 0 and not done.stderr, done.stderr[:4000]
    return operator_cases.read_results(folder / "results", cases)


# --------------------------------------------------------------------------------------------------------------- cases


def in_half(case: Case) -> Case:
    """The same with maps in float16, and their gradient; RoIAlign's output and its gradient are float16 as well."""
    inputs, outputs = list(case.inputs), case.outputs
    is_backward, of_rois = "Backward" in case.function, case.function.startswith("Roi")
    maps = [len(inputs) - 1] if not of_rois and is_backward else [0]
    if of_rois:
        maps = [k for k in range(len(inputs)) if inputs[k].ndim == 4]
    for k in maps:
        inputs[k] = inputs[k].astype(np.float16)
    if is_backward or of_rois:
        outputs = tuple((shape, np.float16) for shape, _ in outputs)
    return Case(case.function, tuple(inputs), outputs)


def by_cpu(case: Case) -> Case:
    """What the CPU operator takes in its place."""
    inputs = tuple(array.astype(np.float32) if array.dtype == np.float16 else array for array in case.inputs)
    outputs = tuple((shape, np.float32 if kind == np.float16 else kind) for shape, kind in case.outputs)
    return Case(case.function.removesuffix(ORDERED), inputs, outputs)


def with_channels(rng: np.random.Generator, case: Case) -> Case:
    """A case of RoIAlign with up to 35 channels: a thread of a kernel has 8 of them, or 16."""
    channels, is_backward = int(rng.choice([1, 7, 8, 9, 16, 17, 35])), "Backward" in case.function
    start = 3 if is_backward else 2  # of the maps
    levels = int(case.inputs[start - 1][4])

    def drawn(shape: tuple[int, ...]) -> np.ndarray:
        return rng.normal(size=(shape[0], channels, *shape[2:])).astype(np.float32)

    head = (drawn(case.inputs[0].shape), *case.inputs[1:start]) if is_backward else case.inputs[:start]
    maps = [drawn(array.shape) if k < levels else array for k, array in enumerate(case.inputs[start:])]
    shapes = [array.shape for array in maps] if is_backward else [drawn(case.outputs[0][0]).shape]
    return Case(case.function, (*head, *maps), tuple((shape, np.float32) for shape in shapes))


def random_cases() -> list[Case]:
    """EACH of every kind, the same at every call; every second one has numbers that are huge or not finite."""
    rng, cases = np.random.default_rng(25), []
    for name, half in KINDS:
        for k in range(EACH):
            case = operator_cases.KINDS[name.removesuffix(ORDERED)](rng, k % 2 == 1)
            if name.startswith("Roi"):
                case = with_channels(rng, case)
            case = replace(case, function=name)
            cases.append(in_half(case) if half else case)
    return cases


def many_boxes(seed: int, count: int, slots: int, side: float) -> Case:
    """Two images for NMS. Kernels take 64 boxes a word, 4,096 a chunk; the worst tenth are the best ones again,
    the best of them last.
    """
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, side, (2, count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 45, (2, count, 2))], 2).astype(np.float32)
    scores = -np.sort(-rng.integers(0, 900, (2, count)), 1).astype(np.float32)
    groups, same = rng.integers(-1, 3, count).astype(np.int32), count // 10
    boxes[:, -same:], groups[-same:] = boxes[:, :same][:, ::-1], groups[:same][::-1]
    shuffled = rng.permutation(count)
    valid, settings = (rng.random((2, count)) < [[0.99], [0.5]]).astype(np.int32), np.float32([0.5, seed % 3])
    inputs = boxes[:, shuffled], scores[:, shuffled], groups[shuffled], valid, settings
    return Case("NmsForward", inputs, (((2, slots), np.int32),) * 2)


def of_mmcv() -> list[Case]:
    """The cases of RoIAlign's, NMS's and the mask crop's own tests."""
    one, several = dict(np.load(DATA_FILES / "roi_align.npz")), dict(np.load(DATA_FILES / "roi_extractor.npz"))
    nothing, cases = np.zeros((1, 1, 1, 1), np.float32), []
    for key in sorted(name.removesuffix("_out") for name in one if name.endswith("_out") and "grad" not in name):
        size, ratio, aligned = (int("".join(filter(str.isdigit, word))) for word in key.split("_"))
        settings = np.float32([size, ratio, aligned, 56, 1, 8])
        cases.append((one["rois"], settings, (one["feature"], *[nothing] * 4), one[f"{key}_grad_out"]))
    maps = tuple(several[f"feat{k}"] for k in range(4))
    settings = np.float32([7, 0, 1, 56, 4, 4, 8, 16, 32])
    cases.append((several["rois"], settings, (*maps, nothing), several["out"]))
    found = []
    for rois, settings, features, grad in cases:
        inputs = rois.astype(np.float32), settings, *features
        kinds = tuple((array.shape, np.float32) for array in features)
        found.append(Case("RoiAlignForward", inputs, ((grad.shape, np.float32),)))
        for name in ("RoiAlignBackward", "RoiAlignBackwardOrdered"):
            found.append(Case(name, (grad.astype(np.float32), *inputs), kinds))
    return [*found, *(in_half(case) for case in found), class_wise_nms(), mask_targets()]


def class_wise_nms() -> Case:
    reference = dict(np.load(DATA_FILES / "multiclass_nms.npz"))
    scores = reference["scores"][:, :-1].astype(np.float32)
    boxes = np.repeat(reference["boxes"], scores.shape[1], axis=0).astype(np.float32)[None]
    groups, scores = np.tile(np.arange(scores.shape[1], dtype=np.int32), len(scores)), scores.reshape(1, -1)
    inputs = boxes, scores, groups, (scores > 0.05).astype(np.int32), np.float32([0.5])
    return Case("NmsForward", inputs, (((1, 100), np.int32),) * 2)


def mask_targets() -> Case:
    reference = dict(np.load(DATA_FILES / "mask_targets.npz"))
    shape, rois = reference["masks_shape"], reference["boxes"]
    masks = np.packbits(np.unpackbits(reference["masks"], axis=-1)[..., : shape[-1]].reshape(shape), axis=-1)[None]
    rois = np.concatenate([np.zeros((len(rois), 1)), rois], 1).astype(np.float32)
    return Case(
        "MaskCropForward", (masks, rois, reference["inds"].astype(np.int32)), (((len(rois), 28, 28), np.float32),)
    )


def by_hand() -> list[Case]:
    """Edges: nothing to do, one cell, a RoI of more samples than floats can count, boxes at the threshold."""
    nothing, cell = np.zeros((1, 1, 1, 1), np.float32), np.ones((1, 3, 1, 1), np.float32)
    settings = np.float32([7, 0, 1, 56, 1, 8])
    wild = [[0, -1e9, 0, 100, 100], [0, -3e38, -3e38, 3e38, 3e38], [0, 0, 0, 1e9, 9], [-1, 0, 0, 8, 8], [0, 8, 8, 0, 0]]
    maps, cases = (cell, *[nothing] * 4), []
    for rois in (np.float32(wild), np.zeros((0, 5), np.float32)):
        cases.append(Case("RoiAlignForward", (rois, settings, *maps), (((len(rois), 3, 7, 7), np.float32),)))
        for name in ("RoiAlignBackward", "RoiAlignBackwardOrdered"):
            grad = np.ones((len(rois), 3, 7, 7), np.float32)
            cases.append(Case(name, (grad, rois, settings, *maps), tuple((one.shape, np.float32) for one in maps)))
    boxes = np.float32([[[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 10], [0, 0, 10, 5]]])
    scores, valid = np.float32([[0.5, 0.4, 0.5, -np.inf]]), np.ones((1, 4), np.int32)
    for threshold in (0.5, float(np.nextafter(np.float32(0.5), np.float32(0)))):
        for rule, groups in ((rule, groups) for rule in ([], [0], [1], [2]) for groups in ([0, 0, 1, 1], [0] * 4)):
            inputs = boxes, scores, np.int32(groups), valid, np.float32([threshold, *rule])
            cases.append(Case("NmsForward", inputs, (((1, 3), np.int32),) * 2))
            alone = boxes[0], scores[0], np.int32(groups), valid[0], inputs[-1]  # as files that 0.1 exported call it
            cases.append(Case("NmsForward", alone, (((3,), np.int32),) * 2))
    return cases


# ------------------------------------------------------------------------------------------------------------ the tests


def close(case: Case, ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Choices are the CPU's to the bit; sums are in another order; float16 is rounded once."""
    if not case.function.startswith(("Roi", "Point")):
        return np.array_equal(ours, theirs)
    relative, absolute = (2e-5, 2e-5) if ours.dtype == np.float32 else (6e-4, 2e-5)
    return np.allclose(ours.astype(np.float32), theirs, rtol=relative, atol=absolute, equal_nan=True)


def wrong(cases: list[Case], results: list[Result]) -> list[str]:
    """Which of them are not the CPU operators' numbers."""
    expected = operator_cases.run(HERE / "bin" / CPU, [by_cpu(case) for case in cases])
    found = []
    for k, (case, ours, theirs) in enumerate(zip(cases, results, expected, strict=True)):
        pairs = list(zip(ours[1], theirs[1], strict=True))
        if ours[0] or theirs[0] or not all(close(case, a, b) for a, b in pairs):
            apart = max((np.nanmax(np.abs(a.astype(np.float64) - b), initial=0) for a, b in pairs), default=0)
            found.append(f"case {k}, {case.function} {case.inputs[-1].dtype}: {apart:.3g} apart")
    return found


@slow
def test_kernels_give_the_cpu_operators_numbers_on_a_thousand_random_cases(program, tmp_path):
    cases = random_cases()
    assert len(cases) >= LEAST
    assert wrong(cases, run(program, cases, tmp_path)) == []


@slow
def test_kernels_give_the_cpu_operators_numbers_on_the_operators_own_cases(program, tmp_path):
    cases = [*by_hand(), *of_mmcv(), *(many_boxes(seed, 40 + 30 * seed, 90, 200) for seed in range(3, 12))]
    cases += [many_boxes(2, 4200, 9, 300), many_boxes(1, 4400, 4400, 900)]
    assert wrong(cases, run(program, cases, tmp_path)) == []
    keep = operator_cases.run(HERE / "bin" / CPU, cases[-1:])[0][1][1]
    assert 1000 < keep[0].sum() < len(keep[0])  # both chunks are gone through


MISTAKES = {  # file, text of it, what stands in its place, what is said
    "a neighbour that is passed over": ("nms.cu", "+ k > i && other", "+ k > i + 1 && other", "NmsForward"),
    "a bin further": (
        "mask_crop.cu",
        "for_samples(y, x, ph, pw, ",
        "for_samples(y, x, ph, pw + 1, ",
        "MaskCropForward",
    ),
    "a number behind the output": ("mask_crop.cu", "out[i] = crop", "out[i + 1] = crop", "heap-buffer-overflow"),
}


def with_mistake(name: str, old: str, new: str, folder: Path) -> Path:
    """The file of kernels with another text in the place of `old`."""
    text = (HERE / name).read_text()
    assert text.count(old) == 1
    (folder / name).write_text(text.replace(old, new))
    return folder / name


@slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_deliberate_mistake_in_a_kernel_is_found(objects, tmp_path, mistake):
    *change, said = MISTAKES[mistake]
    (broken,) = compiled([with_mistake(*change, tmp_path)], tmp_path)
    program = linked([broken, *(one for one in objects if one.name != broken.name)], tmp_path)
    cases = [mask_targets(), class_wise_nms(), *by_hand()]
    with pytest.raises(AssertionError, match=said):
        assert wrong(cases, run(program, cases, tmp_path)) == []


@slow
def test_threads_of_a_block_wait_for_each_other_and_a_barrier_less_is_found(tmp_path):
    """The one kernel with barriers, under the thread sanitizer."""
    barrier, folder = "    __syncthreads();\n    if (thread == 0) {\n", tmp_path / "broken"
    folder.mkdir()
    driver, kernel = compiled([HARNESS / "run_kernels.cc", HERE / "nms.cu"], tmp_path, THREADS)
    broken = compiled([with_mistake("nms.cu", barrier, barrier.partition("\n")[2], folder)], folder, THREADS)
    cases = [many_boxes(3, 130, 90, 200), many_boxes(4, 200, 20, 200)]
    assert wrong(cases, run(linked([driver, kernel], tmp_path, THREADS), cases, tmp_path)) == []
    with pytest.raises(AssertionError, match="data race"):
        run(linked([driver, *broken], folder, THREADS), cases, folder)


@slow
@pytest.mark.skipif(not shutil.which("nvcc"), reason="nvcc is not installed")
def test_nvcc_builds_the_library_and_it_has_every_kernel(tmp_path, monkeypatch):
    """For one architecture; it can be loaded where there is no GPU."""
    monkeypatch.setattr(build, "_gpu_codes", lambda nvcc: ["-gencode", "arch=compute_80,code=sm_80"])
    build.build(GPU, tmp_path / GPU)
    assert library.is_current(tmp_path / GPU)
    loaded = ctypes.CDLL(str(tmp_path / GPU))
    assert all(hasattr(loaded, name) for name in GPU_FUNCTIONS)
