"""All mapping tables by the name that `--source` takes, and which of them a file is of."""

import re

from ..errors import UserError
from .safe_pickle import one_line
from .sources import detectron2, hrnet, mindspore, mindspore_detection, mmdet, mmseg, ocr, paddle, resnet, spinenet
from .table import Source, framework_of, unwrap

SOURCES = {
    source.name: source
    for source in (
        hrnet.CLASSIFICATION,
        hrnet.SEGMENTATION,
        resnet.RESNET,
        mmdet.MMDET,
        mmdet.MMDET_1X,
        spinenet.SPINENET,
        detectron2.DETECTRON2,
        detectron2.DETECTRON2_CASCADE,
        detectron2.CAFFE2,
        *mindspore.SOURCES,
        *mindspore_detection.SOURCES,
        *mmseg.SOURCES,
        *ocr.SOURCES,
        *paddle.SOURCES,
    )
}


SHOWN = 60  # characters of a tensor's name


def choose_source(names: list[str], wanted: str, path: str) -> Source:
    """The source named `wanted`, or where it is empty the one whose marks the tensor names show.

    Raises UserError for an unknown name, and where no source or several fit.
    """
    known = ", ".join(SOURCES)
    if wanted:
        if wanted not in SOURCES:
            raise UserError(f"source '{wanted}' is not known; choose one of: {known}")
        return SOURCES[wanted]
    plain = list(unwrap(names))
    fitting = [source for source in SOURCES.values() if source.fits(plain)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UserError(f"{path} may be of {' or '.join(s.name for s in fitting)}; say which with --source NAME")
    if names and all(any(re.fullmatch(expression, name) for expression, _ in mindspore.STATE) for name in names):
        raise UserError(f"{path} holds the state of an optimizer alone, no weights")
    if framework_of(plain) == "mindspore" and any(name.startswith("backbone.") for name in plain):
        raise UserError(f"{path} has the names of this project's checkpoints: it needs no conversion")
    shown = ", ".join(one_line(name[:SHOWN]) for name in plain[:3])
    raise UserError(f"{path}: no known source has tensors like {shown}; known with --source NAME are: {known}")
