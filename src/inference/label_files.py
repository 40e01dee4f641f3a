"""infer.py's predictions as label files: for people to correct in an annotation tool, and for training on them again.

`coco`: labels.json, a data set whose masks are polygons, and results.json, the same detections as COCO results, masks
as they were predicted. `labelme`: a JSON file an image. Nothing that is there already is replaced: it may be the work
of a person.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pycocotools import mask as coco_mask

from ..data.formats.fields import Id
from ..data.formats.index import clipped_box
from ..data.label_writers import json_list, labelme_names, labelme_shape, labelme_text, write_coco_file
from ..data.mask_outlines import mask_outlines
from ..errors import UserError, is_text, listed
from ..files import temporary_folder, write_text, written_whole
from .inputs import relative_to, root_of, said
from .output import Found

logger = logging.getLogger(__name__)

COCO_FILES = ("results.json", "labels.json")  # in the order in which they are written


class _Object(NamedTuple):
    """box: x, y, width, height in pixels; mask: an RLE that is not empty, or None."""

    kind: str
    box: list[float]
    mask: dict | None
    score: float


def with_text_names(kind: str, paths: Sequence[Path], pred_input: str | list[str], output: Path) -> list[Path]:
    """The images that label files can name, which are text in UTF-8; the others are named. UserError if none can be."""
    named = zip(paths, _names(paths, pred_input), label_file_names("labelme", paths, pred_input))
    kept = []
    for path, name, file in named:
        texts = (name,) if kind == "coco" else (file, _seen_from(path, output / file))
        if all(map(is_text, texts)):
            kept.append(path)
    if len(kept) < len(paths):
        others = sorted(set(paths) - set(kept))
        what = f"{len(others)} images have a name that is no text in UTF-8, which label files cannot hold"
        if not kept:
            raise UserError(f"{said(pred_input)}: {what}, and no others are there: infer_format json takes them")
        logger.warning("%s: left out: %s", what, listed([path.name for path in others]))
    return kept


def label_file_names(kind: str, paths: Sequence[Path], pred_input: str | list[str]) -> list[str]:
    """Names of the files of a format, a key of `WRITERS`, for the images `paths`, relative to their folder."""
    return list(COCO_FILES) if kind == "coco" else labelme_names(_names(paths, pred_input))


def label_writer(
    kind: str, paths: Sequence[Path], pred_input: str | list[str], classes: Sequence[str], ids: Sequence[Id] | None
) -> Callable[[Found, Path], None]:
    """write(found, folder) of a format. paths: all images. classes: names in label order. ids: the data set's own of
    them, which are taken where they are numbers.
    """
    numbers = ids if ids and all(isinstance(own, int) for own in ids) else range(1, len(classes) + 1)
    names = dict(zip(map(str, paths), _names(paths, pred_input)))
    return partial(_write, WRITERS[kind], names, dict(zip(classes, numbers)))


def _write(
    write: Callable, names: Mapping[str, str], ids: Mapping[str, Id], found: Found, output: Path
) -> None:
    """names: of each image, relative to `pred_input`. ids: of each class."""
    with _new_files(output) as folder:
        write(found, names, ids, folder, output)
    counts = [(len(entry["predictions"]), len(_objects(entry))) for _, entry in found()]
    left_out = sum(all_of - kept for all_of, kept in counts)
    if left_out:
        logger.info("%d predictions are thinner than a pixel, or lie beside their image: left out", left_out)
    logger.info("%d predictions on %d images written to %s", sum(kept for _, kept in counts), len(counts), output)


def _write_coco(
    found: Found, names: Mapping[str, str], ids: Mapping[str, Id], folder: Path, output: Path
) -> None:
    def images() -> Iterator[dict]:
        for number, (path, entry) in enumerate(found(), start=1):
            yield {"id": number, "file_name": names[path], "width": entry["width"], "height": entry["height"]}

    def results() -> Iterator[dict]:
        for number, (_, entry) in enumerate(found(), start=1):
            for one in _objects(entry):
                mask = {} if one.mask is None else {"segmentation": one.mask}
                yield {"image_id": number, "category_id": ids[one.kind], "bbox": one.box, "score": one.score} | mask

    def annotations() -> Iterator[dict]:
        for own, one in enumerate(results(), start=1):
            mask = one.pop("segmentation", None)
            area = one["bbox"][2] * one["bbox"][3] if mask is None else float(coco_mask.area(mask))
            shape = {} if mask is None else {"segmentation": mask_outlines(mask)}
            yield {"id": own} | one | {"area": area, "iscrowd": 0} | shape

    with written_whole(folder / "results.json") as file:
        for part in json_list(results()):
            file.write(part)
    about = {"info": {"description": "predictions, not looked at by a person"}}
    write_coco_file(folder / "labels.json", about, images(), annotations(), ids)


def _write_labelme(
    found: Found, names: Mapping[str, str], ids: Mapping[str, Id], folder: Path, output: Path
) -> None:
    files = dict(zip(names, labelme_names(list(names.values()))))
    for path, entry in found():
        shapes = [
            shape
            for number, one in enumerate(_objects(entry), start=1)
            for shape in _shapes(one, number, entry["height"], entry["width"])
        ]
        image = _seen_from(path, output / files[path])
        write_text(folder / files[path], labelme_text(image, entry["height"], entry["width"], shapes))


WRITERS = {"coco": _write_coco, "labelme": _write_labelme}


def _shapes(one: _Object, number: int, height: int, width: int) -> Iterator[dict]:
    """labelme's shapes of an object, the image's `number`-th; X-AnyLabeling shows `score`, labelme the description."""
    described = f"score {one.score:.3f}"
    polygons = [] if one.mask is None else mask_outlines(one.mask)
    for polygon in polygons:
        points = [polygon[at : at + 2] for at in range(0, len(polygon), 2)]
        group = number if len(polygons) > 1 else None
        yield labelme_shape(one.kind, "polygon", points, {}, group, described) | {"score": one.score}
    if not polygons:
        x1, y1, x2, y2 = clipped_box(one.box, width, height)
        yield labelme_shape(one.kind, "rectangle", [[x1, y1], [x2, y2]], {}, None, described) | {"score": one.score}


def _objects(entry: dict) -> list[_Object]:
    """An entry's predictions that can be labels, best first."""
    objects = []
    for one in entry["predictions"]:
        box = [one["bbox"][side] for side in ("x_min", "y_min", "width", "height")]
        mask = one.get("mask")
        if clipped_box(box, entry["width"], entry["height"]) is not None:
            mask = mask if mask is not None and coco_mask.area(mask) else None
            objects.append(_Object(one["class"]["name"], box, mask, one["score"]))
    return objects


def _seen_from(image: str | Path, file: Path) -> str:
    """The image's path, relative to the label file's folder."""
    image = os.path.join(os.path.realpath(os.path.dirname(image)), os.path.basename(image))
    return os.path.relpath(image, os.path.realpath(file.parent))


def _names(paths: Sequence[Path], pred_input: str | list[str]) -> list[str]:
    """Relative to the folder that `pred_input` is, or that what it names lies in."""
    root = root_of(pred_input, paths)
    return [relative_to(path, root).as_posix() for path in paths]


@contextmanager
def _new_files(output: Path) -> Iterator[Path]:
    """A folder whose files are in `output` after the block, which is new then, or gets them beside what it holds.

    UserError where it cannot be written, or where a file of the name is there, unless that is the same: left by a
    process that was killed while it wrote them.
    """
    try:
        is_new = not os.path.lexists(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(output if is_new else output / "labels") as folder:
            yield folder
            if is_new:
                os.rename(folder, output)
                return
            files = {path: output / path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()}
            if others := [target for path, target in files.items() if not _may_become(path, target)]:
                raise UserError(f"{others[0]} is there already: labels are not replaced, give a new folder")
            for path, target in files.items():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
    except OSError as error:
        raise UserError(f"pred_output {output}: cannot be written ({error.strerror})") from None


def _may_become(path: Path, target: Path) -> bool:
    return not os.path.lexists(target) or (target.is_file() and target.read_bytes() == path.read_bytes())
