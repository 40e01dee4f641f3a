"""The converted model against saved activations of the source, layer by layer.

The file (`numpy.savez`) holds `input` (B, 3, H, W), what the source's network was given, and under each module's name
(as in PyTorch's `named_modules()`) its output in the order of the calls; further calls of the same module are
`name@1`, `name@2`, ...; `name:in` is the first input of a module. `output` is the whole network's output where it is
one tensor. The network up to the RPN runs from `input`; layers of the RoI heads run from their own `name:in`, because
which regions reach them is a matter of thresholds. Modules without a partner here are counted.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn

from ..errors import UserError
from ..models.detection.roi_conv import RoIConv
from ..reading import is_file, no_file
from .table import WRAPPERS, Source, fill

TOLERANCE = 1e-4  # largest difference, relative to the largest number in the layer's output
UNPACKED, ALLOWANCE = 32, 2**26  # bytes that the archive may hold: times its own, and so many more
ROI_HEADS = ("bbox_head.", "mask_head.")


@dataclass(frozen=True)
class Partner:
    """A recorded output, the cell it is compared with, and which of its calls (from 0)."""

    key: str
    module: str
    cell: str
    call: int
    relu: bool


def verify(source: Source, model: nn.Cell, path: str, without: tuple[str, ...] = ()) -> list[str]:
    """Compare and return lines that say what agreed.

    model: converted, in evaluation mode, in PyNative mode. without: beginnings of cells that were not converted.
    Raises UserError, one line, for a file of another form and for the first layer that differs, by how much.
    """
    recorded = _read(path)
    cells = {name: cell for name, cell in model.cells_and_names() if name and any(True for _ in cell.get_parameters())}
    partners, unpaired = [], []
    for key in recorded:
        if key in ("input", "output") or key.endswith(":in"):
            continue
        partner = _partner(source, key, cells)
        if partner is None or partner.cell.startswith(without):
            unpaired.append(key)
        else:
            partners.append(partner)
    if not partners:
        raise UserError(f"{path} names no module of {source.name} that the configured model has")
    ours = _run(model, recorded, [p for p in partners if not p.cell.startswith(ROI_HEADS)], path, bool(without))
    worst, compared, skipped = ("", 0.0), 0, 0
    for partner in partners:
        if partner.cell.startswith(ROI_HEADS):
            value = _run_cell(cells[partner.cell], recorded.get(f"{partner.module}:in"), partner.call)
        else:
            value = ours.get((partner.cell, partner.call))
        if value is None:
            skipped += 1
            continue
        difference = _compare(partner.key, value, recorded[partner.key], partner.relu, path)
        compared += 1
        worst = max(worst, (partner.key, difference), key=lambda pair: pair[1])
    if "output" in recorded and "output" in ours:
        worst = max(worst, ("output", _compare("output", ours["output"], recorded["output"], False, path)), key=_second)
        compared += 1
    if not compared:
        raise UserError(f"{path}: none of its {len(partners)} layers could be run; layers of heads need NAME:in")
    return [
        f"verified: {compared} layers agree with {path}, largest relative difference {worst[1]:.1e} ({worst[0]})",
        f"not compared: {len(unpaired)} recorded outputs without a layer of their own here, {skipped} without an input",
    ]


def _second(pair: tuple) -> float:
    return pair[1]


def _read(path: str) -> dict[str, np.ndarray]:
    if not is_file(path):
        raise UserError(f"{path} {no_file(path)}")
    try:
        _check_unpacked(Path(path))
        with np.load(path, allow_pickle=False) as archive:
            recorded = {name: archive[name] for name in archive.files}
    except UserError:
        raise
    except Exception as error:  # NumPy and zipfile raise many kinds, all of which mean that the file is no good
        raise UserError(f"{path} cannot be read as .npz: {(str(error).splitlines() or [''])[0][:200]}") from None
    image = recorded.get("input")
    if image is None or image.ndim != 4 or image.shape[1] != 3:
        shape = "is missing" if image is None else f"has shape {list(image.shape)}"
        raise UserError(f"{path}: input {shape}; it must be (B, 3, H, W), what the source's network was given")
    return recorded


def _check_unpacked(path: Path) -> None:
    """UserError for an archive that unpacks to far more than it is; np.load may meet other errors of its own."""
    with zipfile.ZipFile(path) as archive:
        total = sum(entry.file_size for entry in archive.infolist())
    size = path.stat().st_size
    if total > UNPACKED * size + ALLOWANCE:
        raise UserError(f"{path} would unpack to {total:,} bytes, the file has {size:,}")


def _partner(source: Source, key: str, cells: Mapping[str, nn.Cell]) -> Partner | None:
    name, _, call = key.partition("@")
    plain = name
    while plain.startswith(WRAPPERS):
        plain = plain.partition(".")[2]
    found = source.find(plain)
    if found is None or not (call or "0").isdigit():
        return None
    rule, match = found
    cell = fill(rule.output or rule.target, match)
    return Partner(key, name, cell, int(call or 0), rule.relu) if cell in cells else None


def _run(
    model: nn.Cell, recorded: Mapping, partners: list[Partner], path: str, only_backbone: bool
) -> dict[tuple[str, int] | str, np.ndarray]:
    """Outputs by (cell, call) of one run from `input`, and the whole network's as 'output' if it is one tensor."""
    wanted = {partner.cell for partner in partners}
    outputs: dict[tuple[str, int] | str, np.ndarray] = {}
    calls: dict[str, int] = {}

    def keep(name: str):
        def hook(cell, inputs, output):
            call = calls.get(name, 0)
            calls[name] = call + 1
            if isinstance(output, Tensor):
                outputs[name, call] = output.asnumpy()

        return hook

    handles = [cell.register_forward_hook(keep(n)) for n, cell in model.cells_and_names() if n in wanted]
    try:
        image = Tensor(recorded["input"].astype(np.float32))
        if only_backbone or hasattr(model, "rpn_head"):
            features = model.backbone(image)
            if not only_backbone:
                model.rpn_head(model.neck(features))
        else:
            output = model(image)
            if isinstance(output, Tensor):
                outputs["output"] = output.asnumpy()
    except (ValueError, RuntimeError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        shape = list(recorded["input"].shape)
        raise UserError(f"{path}: the configured model does not take its input of shape {shape} ({reason})") from None
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def _run_cell(cell: nn.Cell, given: np.ndarray | None, call: int) -> np.ndarray | None:
    """A layer of the RoI heads on its recorded input; PyTorch's convolutions of width one are linear layers here."""
    if given is None or call:
        return None
    given = given.astype(np.float32)
    points_last = isinstance(cell, nn.Dense) and given.ndim == 3
    x = Tensor(np.ascontiguousarray(given.swapaxes(1, 2) if points_last else given))
    output = cell(x, Tensor(np.ones(len(given), bool))) if isinstance(cell, RoIConv) else cell(x)
    if not isinstance(output, Tensor):
        return None
    return output.asnumpy().swapaxes(1, 2) if points_last else output.asnumpy()


def _compare(key: str, ours: np.ndarray, theirs: np.ndarray, relu: bool, path: str) -> float:
    """The largest difference relative to the largest number; UserError if it is too large."""
    if relu and theirs.min(initial=0.0) >= 0:
        ours = np.maximum(ours, 0)
    if ours.shape != theirs.shape:
        raise UserError(f"{path}: the first layer that differs is {key}: {list(theirs.shape)}, here {list(ours.shape)}")
    difference = float(np.abs(ours - theirs).max(initial=0.0)) / max(float(np.abs(theirs).max(initial=0.0)), 1e-12)
    if not difference <= TOLERANCE:
        raise UserError(
            f"{path}: the first layer that differs is {key}, by {difference:.1e} of its largest number "
            f"({TOLERANCE:.0e} is allowed); nothing is written"
        )
    return difference
