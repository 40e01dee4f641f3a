"""infer.py for segmentation: an index PNG, a colour PNG and a blended overlay of every image."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..config import Config
from ..data.decoding import ImageRules
from ..data.images import log_if_too_large, write_picture
from ..data.label_sets import label_set
from ..data.pictures import ImageSource, read_any
from ..errors import UserError
from .bars import bar
from .draw_inferred import draw_targets
from .inputs import relative_to, root_of
from .output import origin_of
from .overlay import blend as blend
from .segment import Segmenter, make_segmenter
from .unfinished import unfinished
from .visualize import unique_stems

KINDS = ("index", "color", "overlay")


def segment_files(
    cfg: Config, model, paths: Sequence[Path], out: Path
) -> tuple[dict[Path, list[Path]], list[Path]]:
    """Write NAME_index.png, NAME_color.png and NAME_overlay.png into `out` for every image.

    Index pictures hold class numbers (0, 1, ...), one channel. Where `pred_input` is a tree they stand in folders of
    the same names. With `draw` there are overlays in that folder too, and these alone without `pred_output`. Returns
    the files of each image, and the images that cannot be read. A run that was stopped goes on after the images whose
    pictures are there; which these are stands in `OUT.part`. UserError if a file cannot be written.
    """
    labels = label_set(cfg)
    drawn = [[target] for target in draw_targets(cfg, paths)] or [[] for _ in paths]
    alone = bool(cfg.draw and not cfg.pred_output)
    own = [[] for _ in paths] if alone else picture_paths(paths, out, tree_of(cfg, paths))
    pictures = [one + more for one, more in zip(own, drawn)]

    def draw(image: np.ndarray, label: np.ndarray) -> list[np.ndarray]:
        colour = labels.palette[label][..., ::-1]
        overlay = blend(image, colour)
        return [overlay] if alone else [label, colour, overlay, *[overlay] * bool(cfg.draw)]

    facts = {"palette": labels.palette.tolist()}
    return write_segmented(cfg, make_segmenter(cfg, model, labels), paths, pictures, draw, out, facts)


def label_pictures(
    cfg: Config, model, paths: Sequence[Path], pictures: Sequence[Path], out: Path, part: Path | None = None
) -> tuple[dict[Path, list[Path]], list[Path]]:
    """Write `pictures`, somewhere in `out`, of the images `paths`: one channel, the data set's own label ids.

    part: what NAME.part is called after, where that is not `out`. Returned as by `segment_files`.
    """
    labels = label_set(cfg)
    ids = labels.raw_ids()
    segmenter = make_segmenter(cfg, model, labels)
    each = [[picture] for picture in pictures]
    facts = {"ids": ids.tolist()}
    return write_segmented(cfg, segmenter, paths, each, lambda _, label: [ids[label]], out, facts, part)


def write_segmented(
    cfg: Config,
    segmenter,
    paths: Sequence[Path],
    pictures: Sequence[Sequence[Path]],
    draw: Callable[[np.ndarray, np.ndarray], Sequence[np.ndarray]],
    out: Path,
    facts: dict,
    part: Path | None = None,
) -> tuple[dict[Path, list[Path]], list[Path]]:
    """Write the `pictures` of every image, which `draw(image, label map)` gives; see `segment_files`.

    facts: what decides about the pictures beside the weights, the keys that matter to scores and the images.
    """
    for folder in dict.fromkeys([out, *(target.parent for targets in pictures for target in targets)]):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"pred_output {folder} cannot be made a folder: {error.strerror}") from None
    facts = facts | {"folder": os.path.abspath(out)}
    with unfinished(part or out, origin_of(cfg, paths) | facts, len(paths)) as part:
        are_there = [was_read for _, was_read in part.entries()]
        missing = (k for k, was_read in enumerate(are_there) if was_read and not all(map(Path.is_file, pictures[k])))
        part.keep(next(missing, len(are_there)))
        are_there = are_there[: part.done]
        found = label_maps(cfg, segmenter, paths[part.done :])
        with bar(len(paths), done=part.done) as progress:
            for targets, (path, image, label) in zip(pictures[part.done :], found):
                if image is not None:
                    for target, picture in zip(targets, draw(image, label)):
                        write_picture(target, picture)
                are_there.append(image is not None)
                part.append(str(path), image is not None)
                progress.update()
        part.remove()
    written = {path: list(targets) for path, targets, was_read in zip(paths, pictures, are_there) if was_read}
    return written, [path for path, was_read in zip(paths, are_there) if not was_read]


def label_maps(
    cfg: Config, segmenter: Segmenter, images: Iterable[ImageSource]
) -> Iterator[tuple[ImageSource, np.ndarray | None, np.ndarray | None]]:
    """(file or picture in memory, its pixels (h, w, 3) uint8 BGR, label map (h, w) uint8), one at a time.

    Both are None where an image cannot be read.
    """
    rules = ImageRules.from_config(cfg)
    for source in images:
        image = read_any(source, cfg.max_image_pixels, rules)
        if image is None:
            log_if_too_large(source, cfg.max_image_pixels)
            yield source, None, None
        else:
            yield source, image, segmenter.scores(image).label_map(image.shape[:2])


def tree_of(cfg: Config, paths: Sequence[Path]) -> Path | None:
    """The folder whose tree the pictures of `paths` are to have; None where they all go into one folder."""
    return root_of(cfg.pred_input, paths) if cfg.recursive else None


def picture_paths(paths: Sequence[Path], out: Path, tree: Path | None = None) -> list[list[Path]]:
    """The pictures of every image; those of images in folders of a tree in folders of the same names."""
    folders = [out if tree is None else out / relative_to(path, tree).parent for path in paths]
    together: dict[Path, list[int]] = {}
    for index, folder in enumerate(folders):
        together.setdefault(folder, []).append(index)
    stems = {}
    for indices in together.values():
        stems |= dict(zip(indices, unique_stems([paths[index] for index in indices], room=len("_overlay.png"))))
    return [[folder / f"{stems[index]}_{kind}.png" for kind in KINDS] for index, folder in enumerate(folders)]
