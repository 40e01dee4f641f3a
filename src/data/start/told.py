"""Which task a folder of data is for, and where its training and validation sets are."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ...config import default_config
from ...errors import UserError, plain
from ...reading import is_file, is_folder, no_file
from ..formats import FORMATS, format_name, instance_masks
from ..formats.class_table import is_table
from ..formats.image_folder import ImageFolder
from ..formats.label_folders import files_below
from ..formats.mask_folders import MASK_SUFFIXES, OFFICIAL, find_place
from ..formats.segmentation_list import TREES

SPLITS = {"train": ("train", "training"), "val": ("validation", "val", "valid", "test")}  # folders within the data's
LISTS = {"train": "train.lst", "val": "val.lst"}
TASKS = ("detection", "segmentation", "classification")


@dataclass(frozen=True)
class Told:
    """task: its name; kind: the label format, or the value of `dataset`; why: by what it was told; train, val: places,
    val empty where there is no validation set.
    """

    task: str
    kind: str
    why: str
    train: str
    val: str = ""


def tell(source: str, task: str = "") -> Told:
    """What the folder (or a table of classified images, or YOLO's data.yaml) holds; task: that it must be for.

    UserError for a place that is none, labels that are not known, and labels of two tasks.
    """
    folder = Path(os.path.abspath(source))
    if not is_folder(folder) and not is_file(folder):
        raise UserError(f"--data {source} {no_file(folder)}")
    try:
        os.fsencode(folder).decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"--data {source}: its name is no text in UTF-8, which a YAML file must hold") from None
    problems: dict[str, str] = {}
    found = {}
    for name, look in (("detection", _detection), ("segmentation", _segmentation), ("classification", _classified)):
        if task and name != task:
            continue
        if name == "classification" and found:
            break  # folders of label files look like classes
        try:
            found[name] = look(folder)
        except UserError as error:
            problems[name] = str(error)
    if not found:
        raise UserError(next(iter(problems.values())) if task else _unknown(folder, problems))
    if len(found) > 1:
        return _decided(folder, found)
    return next(iter(found.values()))


def _detection(folder: Path) -> Told:
    if is_table(folder) or (is_file(folder) and folder.suffix.lower() not in (".yaml", ".yml")):
        raise UserError(f"{folder} is no folder of labels")
    problem = None
    for train, val in _places(folder):
        cfg = replace(default_config(), train_dataset=str(train), val_dataset=str(val or train))
        try:
            kind = format_name(cfg, "train")
            if FORMATS[kind].found is not None and not is_file(train) and not FORMATS[kind].found(train, "train"):
                raise UserError(f"{train} holds no labels of format {kind}")
        except UserError as error:
            problem = problem or error
            continue
        return Told("detection", kind, f"{kind}: {FORMATS[kind].marks}", str(train), str(val or train))
    raise problem


def _segmentation(folder: Path) -> Told:
    if not is_folder(folder):
        raise UserError(f"{folder} is no folder")
    dataset = next((name for name, tree in TREES.items() if is_folder(folder / tree)), "custom")
    if is_file(folder / LISTS["train"]):
        val = str(folder) if is_file(folder / LISTS["val"]) else ""
        return Told("segmentation", dataset, LISTS["train"], str(folder), val)
    if dataset != "custom":
        maker = f"python -m src.data.{dataset}_lst_maker --root {folder}"
        raise UserError(f"{folder} holds {dataset} without {LISTS['train']}; make it by: {maker}")
    for name in (*OFFICIAL, "ade20k", "custom"):
        place = find_place(folder, "train", name)
        if place is None or (name in OFFICIAL and place.names is None):
            continue
        if name == "ade20k" and place.masks.parent.name != "annotations":
            continue
        other = find_place(folder, "val", name)
        has_own = other is not None and not other.is_whole and not place.is_whole
        why = f"{place.images.relative_to(folder)} and {place.masks.relative_to(folder)}"
        return Told("segmentation", name, why, str(folder), str(folder) if has_own else "")
    raise UserError(f"{folder} has no {LISTS['train']}, and no folders of images and masks")


def _classified(folder: Path) -> Told:
    if is_table(folder):
        return Told("classification", "table", "a table of images and classes", str(folder))
    for train, val in _places(folder):
        if train == folder and any(is_folder(folder / name) for name in SPLITS["train"]) and val is None:
            continue  # its folders are splits, not classes
        found = ImageFolder(train)
        return Told("classification", "folders", f"{len(found.classes)} folders of images", str(train), str(val or ""))
    raise UserError(f"{folder} has no class folders (expected <class>/*.jpg)")


def _places(folder: Path) -> Iterator[tuple[Path, Path | None]]:
    """The folder for both splits, or its own folders of each."""
    own = {}
    for split, names in SPLITS.items():
        own[split] = next((folder / one for one in names if is_folder(folder / one)), None)
    yield folder, None
    if own["train"] is not None:
        yield own["train"], own["val"]


def _decided(folder: Path, found: dict[str, Told]) -> Told:
    """Of labels that fit objects and classes of pixels alike. UserError where nothing tells which they are."""
    detection, segmentation = found["detection"], found["segmentation"]
    if segmentation.why == LISTS["train"]:  # somebody has made it for this
        return segmentation
    if detection.kind == "instance_masks" and _are_instances(folder):
        return detection
    both = f"{detection.why} (detection) and {segmentation.why} (segmentation)"
    raise UserError(f"--data {folder} holds {both}: --task says which is meant")


def _are_instances(folder: Path) -> bool:
    """Whether masks lie in a folder a class, or have tables beside them: ids of objects, which name their classes."""
    masks = folder / instance_masks.MASKS
    if not is_folder(masks):
        return True  # x_masks.png beside x.jpg
    files = list(files_below(masks, MASK_SUFFIXES))
    splits = {name for names in SPLITS.values() for name in names}
    if files and all(path.relative_to(masks).parts[0] not in splits and path.parent != masks for path in files):
        return True
    names = {path.stem for path in files_below(folder, (".json", ".csv"))}
    return any(path.stem in names for path in files)


def _unknown(folder: Path, problems: dict[str, str]) -> str:
    shown = "; ".join(f"{name}: {plain(text, 160)}" for name, text in problems.items())
    return f"--data {folder} holds no labels that are known: {shown}"
