"""The ready configurations: those of the repository's `configs/`, which travel in a wheel.

They are named without a path: `mask_rcnn_hrnetv2p_w18_1x_coco`, `demo/hrnet_cls_shapes` or `hrnet_cls_shapes`.
"""

import difflib
from collections.abc import Iterator
from pathlib import Path

from ..errors import plain

FOLDER = "configs"
PARTS = "_base_"  # folder of what they stand on, which are no configurations by themselves
ENDING = ".yaml"
LONGEST_NAME = 200  # characters


def configs_of(package: Path) -> Path:
    """In the package in a wheel, beside it in the repository."""
    inside = package / FOLDER
    return inside if inside.is_dir() else package.parent / FOLDER


PACKAGE = Path(__file__).parents[1]
CONFIGS = configs_of(PACKAGE)
IS_INSTALLED = CONFIGS.parent == PACKAGE


def located(path: Path) -> Path:
    """The file itself, or, where there is none, the ready configuration of this name; else as it is."""
    try:
        if path.exists() and not path.is_dir():
            return path
    except (OSError, ValueError):  # a name that no file can have
        return path
    return named(str(path)) or path


def hint(path: Path) -> str:
    """The ready configuration whose name is nearest, as the end of a message; empty where none is near."""
    name = path.name.removesuffix(ENDING)
    if len(name) > LONGEST_NAME:
        return ""
    near = difflib.get_close_matches(name, [one.stem for one in ready()], 1)
    return f"; did you mean {plain(near[0])}?" if near else ""


def ready() -> Iterator[Path]:
    """All of them, those of `configs/` itself first."""
    yield from sorted(CONFIGS.glob(f"*{ENDING}"))
    yield from (path for path in sorted(CONFIGS.glob(f"*/*{ENDING}")) if path.parent.name != PARTS)


def named(name: str) -> Path | None:
    """The ready configuration, or part of one (`_base_/augment_lsj`), of this name, if there is one."""
    if len(name) > LONGEST_NAME or name.startswith(("/", ".")):
        return None
    short = name.removeprefix(f"{FOLDER}/").removesuffix(ENDING)
    for path in (*ready(), *sorted((CONFIGS / PARTS).glob(f"*{ENDING}"))):
        if short == name_of(path) or (short == path.stem and path.parent.name != PARTS):
            return path
    return None


def name_of(path: Path) -> str:
    """By which one of them is named from anywhere."""
    return path.relative_to(CONFIGS).as_posix().removesuffix(ENDING)
