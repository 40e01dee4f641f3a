"""MINDIR and AIR files: MindSpore's own exporter, the metadata inside."""

from collections.abc import Sequence
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from ..errors import UserError
from ..inference.backends import encode_metadata
from ..inference.mindir_file import name_libraries_only
from .any_path import plain_name


def write_mindir(model: nn.Cell, inputs: dict[str, np.ndarray], metadata: dict, path: Path) -> None:
    """Write `model` for inputs of these names, shapes and types; the weights are inside the one file.

    Compiled operators are named without the folder of their library: whoever reads the file takes their own.
    """
    texts = encode_metadata(metadata | {"inputs": list(inputs)})

    def add_metadata(proto) -> None:
        for name, text in texts.items():
            proto.user_info.add(key=name, value=text)
        name_libraries_only(proto)

    tensors = _tensors(inputs.values())
    with plain_name(path) as name:
        ms.export(model, *tensors, file_name=name, file_format="MINDIR", custom_func=add_metadata)
    if not path.is_file():
        raise UserError(f"{path.name}: the model is too large for one MINDIR file (MindSpore splits it above 1 GB)")
    path.chmod(0o644)  # MindSpore leaves it readable by its owner alone


def write_air(model: nn.Cell, inputs: dict[str, np.ndarray], path: Path) -> None:
    """The same as AIR, which Ascend's compiler takes; the format has no room for metadata."""
    with plain_name(path) as name:
        ms.export(model, *_tensors(inputs.values()), file_name=name, file_format="AIR")


def _tensors(arrays: Sequence[np.ndarray]) -> list[Tensor]:
    return [Tensor(array) for array in arrays]
