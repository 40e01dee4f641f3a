"""Small data sets in the formats that are folders of files: what the tests read, and change."""

import base64
import io
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 20, 12
SQUARE = [[2, 2], [8, 2], [8, 8], [2, 8]]


def picture(path: Path, width: int = WIDTH, height: int = HEIGHT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.RandomState(len(path.name)).randint(0, 256, (height, width, 3)).astype(np.uint8)
    cv2.imwrite(str(path), noise)
    return path


def png_text(bits: np.ndarray) -> str:
    """A bitmap as labelme has it."""
    file = io.BytesIO()
    Image.fromarray(bits.astype(bool)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def labelme_shape(label: object, points: list, form: str = "polygon", group: object = None, **more) -> dict:
    return {"label": label, "points": points, "group_id": group, "shape_type": form, "flags": {}} | more


def labelme_file(name: str, *shapes: dict, **changes) -> dict:
    size = {"imageWidth": WIDTH, "imageHeight": HEIGHT}
    return (
        {"version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": name, "imageData": None} | size | changes
    )


def via_region(kind: object, shape: dict, attribute: str = "type") -> dict:
    return {"shape_attributes": shape, "region_attributes": {} if kind is None else {attribute: kind}}


def via_polygon(points: list, name: str = "polygon") -> dict:
    x, y = zip(*points)
    return {"name": name, "all_points_x": list(x), "all_points_y": list(y)}


def via_images(*entries: tuple[str, list[dict]]) -> dict:
    return {
        f"{name}100": {"filename": name, "size": 100, "regions": regions, "file_attributes": {}}
        for name, regions in entries
    }


def voc_text(name: str, *objects: tuple, size: tuple = (WIDTH, HEIGHT), head: str = "") -> str:
    """objects: (name, (xmin, ymin, xmax, ymax)) or (name, corners, difficult)."""
    written = "".join(
        f"<object><name>{kind}</name><difficult>{int(bool(hard))}</difficult><bndbox>"
        + "".join(f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), corners))
        + "</bndbox><part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
        for kind, corners, *hard in objects
    )
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"{head}<annotation><folder>f</folder><filename>{name}</filename>{sides}{written}</annotation>"


def write(path: Path, content: object) -> Path:
    """A text as it stands, everything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path
