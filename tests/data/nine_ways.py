"""One drawn data set, and everything that writes it: this test's own writers, and `supervision`'s.

Objects lie apart from one another, so that formats in which one may cover another say the same.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import supervision
from PIL import Image

from src.data.synthetic.shapes import background, fill, outline
from tests.data.label_writers import labelme_file, labelme_shape, via_images, via_polygon, via_region, voc_text, write

SIDES = ((280, 200), (240, 200), (200, 240))  # width, height of each image
CLASSES = ("car", "person")  # which Cityscapes has too


@dataclass(frozen=True)
class Drawn:
    """An object. points: (N, 2) its outline; mask: (height, width) its pixels."""

    kind: str
    points: np.ndarray
    mask: np.ndarray

    @property
    def box(self) -> tuple[float, float, float, float]:
        """xyxy of the outline."""
        return (*self.points.min(0).tolist(), *self.points.max(0).tolist())

    @property
    def extent(self) -> tuple[int, int, int, int]:
        """xyxy of the pixels, which differs from the outline's by less than one."""
        columns, rows = (np.flatnonzero(self.mask.any(axis)) for axis in (0, 1))
        return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1

    @property
    def pixels(self) -> np.ndarray:
        """(N, 2) the outline by the outermost pixels of the object, as who clicks on them."""
        outside, inside = np.floor(self.points - 0.5), np.ceil(self.points - 0.5)
        return np.where(self.points < self.points.mean(0), inside, outside)


@dataclass(frozen=True)
class Scene:
    name: str
    width: int
    height: int
    pixels: np.ndarray
    objects: tuple[Drawn, ...]


def drawn_scenes() -> list[Scene]:
    """Three images of two to four objects, no two of which touch."""
    scenes = []
    for number, (width, height) in enumerate(SIDES):
        rng, objects = np.random.RandomState(number), []
        pixels = background(height, width, rng)
        for place, centre in enumerate(
            [(48, 45), (width - 50, 50), (52, height - 48), (width - 47, height - 46)][number:]
        ):
            kind = CLASSES[(number + place) % 2]
            shape, angle = (("circle", 0.0), ("square", math.pi / 4), ("circle", 0.1), ("square", math.pi / 4))[place]
            points = outline(shape, centre, 30.0 + 4 * place, angle)
            mask = fill(points, height, width)
            pixels[mask > 0] = (40, 200, 90) if kind == "car" else (200, 60, 40)
            objects.append(Drawn(kind, points, mask))
        scenes.append(Scene(f"scene_{number}", width, height, pixels, tuple(objects)))
    return scenes


def _pictures(folder: Path, scenes: list[Scene], ending: str = ".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for one in scenes:
        cv2.imwrite(str(folder / f"{one.name}{ending}"), one.pixels)


def _coco(scenes: list[Scene]) -> dict:
    images = [
        {"id": number, "file_name": f"{one.name}.png", "width": one.width, "height": one.height}
        for number, one in enumerate(scenes, start=1)
    ]
    annotations = []
    for number, one in enumerate(scenes, start=1):
        for item in one.objects:
            x1, y1, x2, y2 = item.box
            entry = {"id": len(annotations) + 1, "image_id": number, "category_id": CLASSES.index(item.kind) + 1}
            entry |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": float(item.mask.sum()), "iscrowd": 0}
            annotations.append(entry | {"segmentation": [item.points.ravel().tolist()]})
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(folder: Path, scenes: list[Scene]) -> None:
    _pictures(folder / "data", scenes)
    write(folder / "labels.json", _coco(scenes))


def write_roboflow(folder: Path, scenes: list[Scene]) -> None:
    content = _coco(scenes)
    content["categories"].insert(0, {"id": 0, "name": "things", "supercategory": "none"})
    for one in content["categories"][1:]:
        one["supercategory"] = "things"
    for split in ("train", "valid"):
        _pictures(folder / split, scenes)
        write(folder / split / "_annotations.coco.json", content)


def write_label_studio(folder: Path, scenes: list[Scene]) -> None:
    _pictures(folder / "images", scenes)
    content = _coco(scenes)
    for one in content["images"]:
        one["file_name"] = "images\\" + one["file_name"]
    write(folder / "result.json", content)


def write_labelme(folder: Path, scenes: list[Scene]) -> None:
    _pictures(folder, scenes)
    for one in scenes:
        shapes = [labelme_shape(item.kind, item.points.tolist()) for item in one.objects]
        size = {"imageWidth": one.width, "imageHeight": one.height}
        write(folder / f"{one.name}.json", labelme_file(f"{one.name}.png", *shapes, **size))


def write_via(folder: Path, scenes: list[Scene]) -> None:
    _pictures(folder, scenes)
    regions = {
        one.name: [via_region(item.kind, via_polygon(item.points.tolist())) for item in one.objects] for one in scenes
    }
    write(folder / "via.json", via_images(*((f"{name}.png", found) for name, found in regions.items())))


def write_yolo_boxes(folder: Path, scenes: list[Scene]) -> None:
    _pictures(folder / "images" / "train", scenes)
    for one in scenes:
        lines = []
        for item in one.objects:
            x1, y1, x2, y2 = (side / most for side, most in zip(item.box, (one.width, one.height) * 2))
            numbers = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
            lines.append(" ".join([str(CLASSES.index(item.kind)), *(f"{value:.6f}" for value in numbers)]))
        write(folder / "labels" / "train" / f"{one.name}.txt", "\n".join(lines))
    write(folder / "data.yaml", f"train: images/train\nval: images/train\nnames: {json.dumps(CLASSES)}\n")


def write_voc(folder: Path, scenes: list[Scene]) -> None:
    """Corners of whole pixels, and masks."""
    _pictures(folder / "JPEGImages", scenes)
    (folder / "SegmentationObject").mkdir()
    for one in scenes:
        ids, objects = np.zeros((one.height, one.width), np.uint8), []
        for number, item in enumerate(one.objects, start=1):
            ids[item.mask > 0] = number
            x1, y1, x2, y2 = item.box
            objects.append((item.kind, (math.floor(x1) + 1, math.floor(y1) + 1, math.ceil(x2), math.ceil(y2))))
        Image.fromarray(ids).save(folder / "SegmentationObject" / f"{one.name}.png")
        size = (one.width, one.height)
        write(folder / "Annotations" / f"{one.name}.xml", voc_text(f"{one.name}.png", *objects, size=size))
    for split in ("train", "val"):
        write(folder / "ImageSets" / "Main" / f"{split}.txt", "\n".join(one.name for one in scenes))


def write_cityscapes(folder: Path, scenes: list[Scene]) -> None:
    """Polygons of whole numbers, over roads and under nothing."""
    for split in ("train", "val"):
        _pictures(folder / "leftImg8bit" / split / "drawn", scenes, "_leftImg8bit.png")
        for one in scenes:
            road = {"label": "road", "polygon": [[0, 0], [one.width, 0], [one.width, one.height], [0, one.height]]}
            objects = [{"label": item.kind, "polygon": item.pixels.tolist()} for item in one.objects]
            content = {"imgWidth": one.width, "imgHeight": one.height, "objects": [road, *objects]}
            write(folder / "gtFine" / split / "drawn" / f"{one.name}_gtFine_polygons.json", content)


def write_instance_masks(folder: Path, scenes: list[Scene]) -> None:
    """Numbers of 16 bits, a folder a class."""
    _pictures(folder / "images", scenes)
    for kind in CLASSES:
        (folder / "masks" / kind).mkdir(parents=True)
        for one in scenes:
            ids = np.zeros((one.height, one.width), np.uint16)
            for number, item in enumerate(one.objects, start=1):
                ids[(item.mask > 0) & (item.kind == kind)] = 1000 * number
            Image.fromarray(ids).save(folder / "masks" / kind / f"{one.name}.png")


def _by_supervision(scenes: list[Scene], folder: Path) -> supervision.DetectionDataset:
    found = {}
    for one in scenes:
        found[str(folder / f"{one.name}.png")] = supervision.Detections(
            xyxy=np.array([item.box for item in one.objects]),
            mask=np.array([item.mask > 0 for item in one.objects]),
            class_id=np.array([CLASSES.index(item.kind) for item in one.objects]),
        )
    return supervision.DetectionDataset(list(CLASSES), list(found), found)


def supervision_yolo(folder: Path, scenes: list[Scene]) -> None:
    _pictures(folder / "images" / "train", scenes)
    dataset = _by_supervision(scenes, folder / "images" / "train")
    dataset.as_yolo(
        annotations_directory_path=str(folder / "labels" / "train"), data_yaml_path=str(folder / "data.yaml")
    )
    text = (folder / "data.yaml").read_text()
    write(folder / "data.yaml", text + "train: images/train\nval: images/train\n")


def supervision_voc(folder: Path, scenes: list[Scene]) -> None:
    _pictures(folder, scenes)
    _by_supervision(scenes, folder).as_pascal_voc(annotations_directory_path=str(folder))


def supervision_labelme(folder: Path, scenes: list[Scene]) -> None:
    _pictures(folder, scenes)
    _by_supervision(scenes, folder).as_labelme(annotations_directory_path=str(folder))


@dataclass(frozen=True)
class Way:
    """A writer, the format that its folder is told to be, and whether it has masks."""

    write: Callable[[Path, list[Scene]], None]
    format: str
    has_masks: bool = True


WAYS = {
    "COCO": Way(write_coco, "coco"),
    "Roboflow's COCO": Way(write_roboflow, "coco"),
    "Label Studio's COCO": Way(write_label_studio, "coco"),
    "labelme": Way(write_labelme, "labelme"),
    "labelme by supervision": Way(supervision_labelme, "labelme"),
    "VIA": Way(write_via, "via"),
    "YOLO boxes": Way(write_yolo_boxes, "yolo", has_masks=False),
    "YOLO polygons by supervision": Way(supervision_yolo, "yolo"),
    "VOC": Way(write_voc, "voc"),
    "VOC by supervision": Way(supervision_voc, "voc", has_masks=False),
    "Cityscapes": Way(write_cityscapes, "cityscapes"),
    "instance masks": Way(write_instance_masks, "instance_masks"),
}
