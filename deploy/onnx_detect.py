"""Run a detector that export.py wrote as ONNX, with masks or without, on one image: prints what it finds, draws it.

    python onnx_detect.py MODEL.onnx IMAGE [OVERLAY.png] [LEAST_SCORE]

Needs onnxruntime, numpy and opencv-python, nothing of the project that trained the model.
"""

import json
import math
import os
import sys
from typing import NoReturn

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "200000000")  # read when OpenCV is imported; its own limit is 3 GB
import cv2
import numpy as np
import onnxruntime

LIMIT = "OPENCV_IO_MAX_IMAGE_PIXELS"
FACTS = ("width", "height", "keep_ratio", "to_rgb", "mean", "std", "class_names")
OUTPUTS = ("boxes", "scores", "labels")  # and of a detector with masks these


def prepare(image: np.ndarray, facts: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(h, w, 3) BGR -> image (1, 3, H, W), its size before padding (1, 2), scale factors (4,) of boxes."""
    height, width = image.shape[:2]
    bounds = facts.get("fitted_into") or (facts["width"], facts["height"])
    sides = np.float64([bounds[0] / width, bounds[1] / height])
    scale = np.repeat(sides.min(), 2) if facts["keep_ratio"] else sides
    new_width, new_height = np.maximum((scale * [width, height] + 0.5).astype(int), 1)
    pixels = cv2.resize(image, (int(new_width), int(new_height)), interpolation=cv2.INTER_LINEAR)
    pixels = pixels[..., ::-1] if facts["to_rgb"] else pixels
    padded = np.zeros((facts["height"], facts["width"], 3), np.float32)
    padded[:new_height, :new_width] = (pixels - np.float32(facts["mean"])) / np.float32(facts["std"])
    factors = np.float32([new_width / width, new_height / height] * 2)
    return np.ascontiguousarray(padded.transpose(2, 0, 1)[None]), np.int32([[new_height, new_width]]), factors


def paste(mask: np.ndarray, box: np.ndarray, height: int, width: int, threshold: float) -> np.ndarray:
    """(M, M) probabilities inside the box -> (height, width) bool: bilinear at the pixels' centres, zero outside."""
    weights = []
    for pixels, low, high in ((height, box[1], box[3]), (width, box[0], box[2])):
        position = (np.arange(pixels) + 0.5 - low) / max(high - low, 1e-6) * len(mask) - 0.5
        weights.append(np.maximum(1 - np.abs(position[:, None] - np.arange(len(mask))), 0).astype(np.float32))
    return weights[0] @ mask @ weights[1].T >= threshold


def open_detector(path: str) -> tuple[onnxruntime.InferenceSession, dict]:
    """The network, and what export.py wrote of it beside it."""
    require_file(path)
    try:
        session = onnxruntime.InferenceSession(path)
        facts = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    except Exception as error:  # onnxruntime's own exceptions have no common base
        leave(f"{path} is no ONNX file of export.py ({str(error).splitlines()[0][:100]})")
    outputs = {output.name for output in session.get_outputs()}
    missing = [name for name in FACTS if name not in facts] + [name for name in OUTPUTS if name not in outputs]
    missing += ["mask_threshold"] * ("masks" in outputs and "mask_threshold" not in facts)
    if missing:
        leave(f"{path} is no detector that export.py wrote: it does not say its {', '.join(missing)}")
    if session.get_inputs()[0].shape[0] != 1:
        leave(f"{path} takes {session.get_inputs()[0].shape[0]} images at once; this takes files of --export_batch 1")
    return session, facts


def read_image(path: str) -> np.ndarray:
    """(h, w, 3) BGR."""
    require_file(path)
    try:
        image = cv2.imread(path)
    except cv2.error:
        leave(f"{path} has more pixels than the environment variable {LIMIT} allows ({os.environ[LIMIT]})")
    if image is None:
        leave(f"{path} is no image")
    return image


def read_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        leave(f"LEAST_SCORE must be a number, not {text[:40]!r}")
    return value


def require_file(path: str) -> None:
    if not os.path.isfile(path):  # a folder, a pipe, a name that no file can have
        leave(f"{path[:200]} is no file")


def leave(reason: str) -> NoReturn:
    """End with one line, for input that is wrong."""
    print("error:", "".join(one if one.isprintable() else "?" for one in reason), file=sys.stderr)
    sys.exit(2)


def is_written(path: str, image: np.ndarray) -> bool:
    try:
        return cv2.imwrite(path, image)
    except cv2.error:  # a suffix that it does not know
        return False


def main(model_path: str, image_path: str, overlay_path: str = "", least_score: str = "0.3") -> None:
    least = read_number(least_score)
    session, facts = open_detector(model_path)
    image = read_image(image_path)
    if any(os.path.exists(overlay_path) and os.path.samefile(overlay_path, one) for one in (model_path, image_path)):
        leave(f"{overlay_path} is an input: give the overlay another name")
    pixels, shape, factors = prepare(image, facts)
    names = [*OUTPUTS, *(output.name for output in session.get_outputs() if output.name == "masks")]
    for box, score, label, *masks in zip(*session.run(names, {"image": pixels, "image_shape": shape})):
        if score < least:
            continue
        box, colour = box / factors, np.random.RandomState(label).randint(64, 256, 3)
        print(f"{facts['class_names'][label]} {score:.4f} box {np.round(box, 2).tolist()}", end="")
        for mask in masks:
            inside = paste(mask, box, *image.shape[:2], facts["mask_threshold"])
            print(f" pixels {inside.sum()}", end="")
            image[inside] = (0.5 * image[inside] + 0.5 * colour).astype(np.uint8)
        print()
        cv2.rectangle(image, np.intp(box[:2]).tolist(), np.intp(box[2:]).tolist(), colour.tolist(), 2)
    if overlay_path and not is_written(overlay_path, image):
        leave(f"{overlay_path} cannot be written: no such folder, or no kind of image that OpenCV writes")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
    elif not 3 <= len(sys.argv) <= 5:
        leave("write onnx_detect.py MODEL.onnx IMAGE [OVERLAY.png] [LEAST_SCORE]; see --help")
    else:
        main(*sys.argv[1:])
