"""Checkpoints: written whole or not at all, loaded with every difference named.

A training checkpoint holds the model's parameters under their own names and everything else a step needs (optimizer,
pending gradients, counters) under `state/...`, but for what follows from the configuration (the learning rates); what
hooks of the training keep lies under `state/hooks/...`. A weights-only checkpoint lacks all that. Either kind holds
what its outputs mean (`state/facts`).
"""

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn
from mindspore import dtype as mstype

from .checkpoint_entries import parse_checkpoint
from .config.known_checkpoints import known_checkpoint
from .errors import UserError
from .file_facts import FACTS_ENTRY
from .files import CHECKPOINT_FORMAT, require_readable
from .reading import is_file, no_file

logger = logging.getLogger(__name__)

STATE_PREFIX = "state/"
HOOK_PREFIX = STATE_PREFIX + "hooks/"
FORMAT_ENTRY = STATE_PREFIX + "format"  # a number that says in which format the file is
NOT_KEPT = {"learning_rate"}  # parameters of a step that follow from the configuration
SGD_OF_BEFORE = STATE_PREFIX + "accum.", STATE_PREFIX + "moments."  # MindSpore's SGD had the one, Momentum the other
NOT_SAID = {  # what a checkpoint of before, or of a run of one rank, does not hold
    STATE_PREFIX + "window": np.int32(-1),
    STATE_PREFIX + "stop_wish": np.float32(0),
    STATE_PREFIX + "stop_votes": np.float32(0),
}
SHOWN = 4  # names an error lists
HEAD = ("_head", "last_layer")  # what the names of heads end with
FOREIGN_SUFFIXES = {".pth", ".pt", ".pkl", ".safetensors", ".bin", ".h5", ".pdparams"}
OF_ANOTHER = (
    "is of another framework: python convert_from_pt.py --pt_path FILE --ckpt_path NEW.ckpt makes one of it"
)
CONVERT = "python convert_weights.py --config_path C.yaml --pt_path {} --ckpt_path NEW.ckpt"

Facts = Mapping[str, Any]


def save_weights(model: nn.Cell, path: Path, without: Collection[str] = (), facts: Facts | None = None) -> None:
    """The model's parameters and statistics alone, leaving out those named in `without`, and its facts."""
    entries = {parameter.name: parameter for parameter in model.get_parameters() if parameter.name not in without}
    _write(entries, path, facts)


def save_arrays(values: Mapping[str, np.ndarray], path: Path, facts: Facts | None = None) -> None:
    """The same of arrays by the names of a model's parameters."""
    _write({name: Tensor(value) for name, value in values.items()}, path, facts)


def save_training_state(
    step: nn.Cell,
    model: nn.Cell,
    path: Path,
    hook_states: Mapping[str, np.ndarray] | None = None,
    facts: Facts | None = None,
) -> None:
    """Everything that `load_training_state` needs to go on as if nothing had happened."""
    hooks = {HOOK_PREFIX + name: Tensor(value) for name, value in (hook_states or {}).items()}
    _write(_state_entries(step, model) | hooks, path, facts)


def load_training_state(step: nn.Cell, model: nn.Cell, path: Path) -> dict[str, np.ndarray]:
    """Restore a state written by `save_training_state`; the hooks' states are returned.

    UserError if a parameter is missing or of another shape.
    """
    values = {name.replace(*SGD_OF_BEFORE): value for name, value in read_checkpoint(path).items()}
    parameters = _state_entries(step, model)
    values = {name: value for name, value in NOT_SAID.items() if name in parameters} | values
    missing = [name for name in parameters if name not in values]
    if missing:
        raise UserError(f"{path} is no training state of this run: {_names(missing)} missing; resume is not possible")
    _check_shapes(parameters, values, path)
    for name, parameter in parameters.items():
        parameter.set_data(Tensor(values[name], parameter.dtype))
    return {name.removeprefix(HOOK_PREFIX): v for name, v in values.items() if name.startswith(HOOK_PREFIX)}


def load_model_weights(model: nn.Cell, path: str | Path, finetune: bool = False) -> list[str]:
    """Load a model's weights from either kind of checkpoint.

    finetune: the model's `class_layers` of another shape (another number of classes), or that the file lacks, keep
    their fresh values, as does a head of which the file has another kind or none; their names are returned and logged.
    A head that only the file has is left out, which is said. A part that the model lacks starts the one that the
    model's `starts_from` names. Everything else must match: UserError names missing, unexpected and differing
    parameters.
    """
    values = read_checkpoint(path)
    _refuse_known(values, path)
    values = {name: value for name, value in values.items() if not name.startswith(STATE_PREFIX)}
    parameters = {parameter.name: parameter for parameter in model.get_parameters()}
    skipped = []
    if finetune:
        values = {started(name, getattr(model, "starts_from", ())): value for name, value in values.items()}
        for name in [name for name in parameters if name.startswith(model.class_layers)]:
            if name not in values or values[name].shape != tuple(parameters[name].shape):
                skipped.append(name)
                values.pop(name, None)
        if skipped:
            logger.info("finetune: class layers of another shape, or missing, start fresh: %s", ", ".join(skipped))
        for head in _heads_of_another_kind(parameters, values):
            logger.info("finetune: %s is of another kind in the file, or missing: it starts fresh", head[:-1])
            skipped += [name for name in parameters if name.startswith(head) and name not in skipped]
            values = {name: value for name, value in values.items() if not name.startswith(head)}
        for head in [head for head in _heads(values) if head not in _heads(parameters)]:
            logger.info("finetune: %s is in the file alone: it is left out", head[:-1])
            values = {name: value for name, value in values.items() if not name.startswith(head)}
    missing = [name for name in parameters if name not in values and name not in skipped]
    unexpected = [name for name in values if name not in parameters]
    if missing or unexpected:
        parts = [
            f"{_names(names)} {what}" for names, what in ((missing, "missing"), (unexpected, "unexpected")) if names
        ]
        raise UserError(f"{path} does not fit the configured model: {'; '.join(parts)}")
    _check_shapes({name: parameters[name] for name in values}, values, path)
    for name, value in values.items():
        parameters[name].set_data(Tensor(value, parameters[name].dtype))
    return skipped


def started(name: str, starts: Collection[tuple[str, str]]) -> str:
    """A parameter's name by the (beginning, its replacement) that fits it: (("last_layer.", "aux_head."),)."""
    return next((ours + name.removeprefix(theirs) for theirs, ours in starts if name.startswith(theirs)), name)


def holds_backbone_alone(model: nn.Cell, path: str | Path) -> bool:
    """Whether a checkpoint has all of the model's `backbone`, under its own names or the model's, and nothing of what
    the model has behind it: that of a backbone, or of a network for something else.
    """
    found = {name.removeprefix("backbone.") for name in read_checkpoint(path) if not name.startswith(STATE_PREFIX)}
    names = [parameter.name for parameter in model.get_parameters()]
    trunk = {name.removeprefix("backbone.") for name in names if name.startswith("backbone.")}
    return trunk <= found and not any(name in found for name in names if not name.startswith("backbone."))


def load_backbone_weights(backbone: nn.Cell, path: str | Path) -> None:
    """Load a backbone from a checkpoint of a backbone, or of any model that has it as `backbone`.

    Parameters that the backbone does not have (a classification head) are ignored and said; missing ones are an error.
    """
    values = read_checkpoint(path)
    _refuse_known(values, path, is_backbone=True)
    values = {name: value for name, value in values.items() if not name.startswith(STATE_PREFIX)}
    values = {name.removeprefix("backbone."): value for name, value in values.items()}
    parameters = {parameter.name.removeprefix("backbone."): parameter for parameter in backbone.get_parameters()}
    missing = [name for name in parameters if name not in values]
    if missing:
        raise UserError(f"{path} does not fit the configured backbone: {_names(missing)} missing")
    ignored = [name for name in values if name not in parameters]
    if ignored:
        logger.info("%s: %s not part of the backbone, ignored", path, _names(ignored))
    _check_shapes(parameters, values, path)
    for name, parameter in parameters.items():
        parameter.set_data(Tensor(values[name], parameter.dtype))


def read_checkpoint(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint by name. UserError for a missing, empty, cut-off, damaged or too new file."""
    values = _read_entries(path)
    values.pop(FACTS_ENTRY, None)
    return values


def checkpoint_facts(path: str | Path) -> dict[str, Any]:
    """What the network's outputs mean and where it comes from, as `Task.facts` gave it: task, class_names, config.

    Empty where a checkpoint of before 0.2 says nothing. UserError as `read_checkpoint`.
    """
    entry = _read_entries(path).get(FACTS_ENTRY)
    if entry is None:
        return {}
    try:
        return dict(json.loads(entry.tobytes()))
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"checkpoint {path}: its entry {FACTS_ENTRY} cannot be read") from None


def is_own(names: Collection[str]) -> bool:
    """Whether a checkpoint with these entries was written by this project, since it marks its files."""
    return any(name.startswith(STATE_PREFIX) for name in names)


def read_mindspore(path: Path) -> dict[str, np.ndarray]:
    """Every array of a MindSpore checkpoint by name, whoever wrote it, under whatever name the file has.

    UserError for one that is cut off or damaged.
    """
    try:
        return parse_checkpoint(path)
    except OSError as error:
        raise UserError(f"checkpoint {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        why = f"it is cut off, damaged or no checkpoint ({error})"
        raise UserError(f"checkpoint {path} cannot be read, {why}") from None


def _heads(names: Iterable[str]) -> list[str]:
    """Beginnings of the names ('mask_head.') of heads."""
    found = dict.fromkeys(name.partition(".")[0] for name in names)
    return [f"{head}." for head in found if head.endswith(HEAD)]


def _heads_of_another_kind(parameters: Collection[str], values: Collection[str]) -> list[str]:
    """Beginnings of the names of heads none of whose parameters is in the file."""
    common = _heads(name for name in parameters if name in values)
    return [head for head in _heads(parameters) if head not in common]


def _refuse_known(values: Collection[str], path: str | Path, is_backbone: bool = False) -> None:
    """UserError for a checkpoint of one of the MindSpore originals, whose weights mean something else here.

    A backbone may come from one that is this project's own (`Known.is_trunk`), which is said.
    """
    known = None if is_own(values) else known_checkpoint(values)
    if known is None:
        return
    convert = CONVERT.format(path)
    if not (is_backbone and known.is_trunk):
        raise UserError(f"{path} is a checkpoint of {known.title}, which must be converted first: {convert}")
    logger.info("%s is a checkpoint of %s: its trunk is taken as it is; for all of it: %s", path, known.title, convert)


def _read_entries(path: str | Path) -> dict[str, np.ndarray]:
    path = _existing(path)
    if path.suffix != ".ckpt":
        raise UserError(f"checkpoint {path} {why_no_checkpoint(path.suffix)}")
    if _is_of_pytorch(path):
        raise UserError(f"checkpoint {path} {OF_ANOTHER}")
    values = read_mindspore(path)
    written = values.pop(FORMAT_ENTRY, None)
    if written is not None and (written.size != 1 or written.dtype.kind not in "iu"):
        raise UserError(f"checkpoint {path} cannot be read, its entry {FORMAT_ENTRY} is no number")
    require_readable(None if written is None else written.item(), CHECKPOINT_FORMAT, f"checkpoint {path}")
    return values


def _is_of_pytorch(path: Path) -> bool:
    """By its content: PyTorch Lightning too calls its archives .ckpt."""
    try:
        with open(path, "rb") as file:
            head = file.read(2)
    except OSError as error:
        raise UserError(f"checkpoint {path} cannot be read: {error.strerror}") from None
    return head[:2] == b"PK" or head[:1] == b"\x80"


def why_no_checkpoint(suffix: str) -> str:
    """Of a file whose name ends in neither .ckpt nor what exported files end in."""
    if suffix.lower() in FOREIGN_SUFFIXES:
        return OF_ANOTHER
    return f"ends in '{suffix}': MindSpore's checkpoints end in .ckpt; rename it if it is one"


def checkpoint_hash(path: str | Path) -> str:
    """12 hexadecimal digits of the file's sha256. UserError if it is no file, or cannot be read."""
    try:
        return hashlib.sha256(_existing(path).read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise UserError(f"checkpoint {path} cannot be read: {error.strerror}") from None


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not is_file(path):
        raise UserError(f"checkpoint {path} {no_file(path)}")
    return path


def _state_entries(step: nn.Cell, model: nn.Cell) -> dict[str, ms.Parameter]:
    """The parameters that a training checkpoint holds, by their names in it."""
    own = {parameter.name for parameter in model.get_parameters()}
    kept = [parameter for parameter in step.get_parameters() if parameter.name not in NOT_KEPT - own]
    return {p.name if p.name in own else STATE_PREFIX + p.name: p for p in kept}


def _write(entries: Mapping[str, Tensor], path: Path, facts: Facts | None = None) -> None:
    """Write under a temporary name in the same folder, sync, then rename: a kill leaves the old state or the new."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.ckpt")
    before = temporary.with_suffix(".tmp")  # the framework's own temporary name for it
    try:
        with _quiet_mindspore():
            items = [{"name": name, "data": value} for name, value in entries.items()]
            items.append({"name": FORMAT_ENTRY, "data": Tensor(CHECKPOINT_FORMAT, mstype.int32)})
            if facts:
                text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
                items.append({"name": FACTS_ENTRY, "data": Tensor(text)})
            ms.save_checkpoint(items, str(temporary), crc_check=True)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        for leftover in (temporary, before):
            with contextlib.suppress(OSError):
                leftover.unlink()
        if not isinstance(error, OSError | RuntimeError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else _first_line(error)
        raise UserError(f"checkpoint {path} cannot be written: {reason}") from None


def _check_shapes(parameters: dict[str, ms.Parameter], values: dict[str, np.ndarray], path: str | Path) -> None:
    different = [name for name, p in parameters.items() if tuple(p.shape) != values[name].shape]
    if different:
        shown = [
            f"{name} {list(values[name].shape)} against {list(parameters[name].shape)}" for name in different[:SHOWN]
        ]
        rest = f" and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
        raise UserError(f"{path} has other shapes than the configured model: {', '.join(shown)}{rest}")


def _names(names: list[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} parameters ({', '.join(names[:SHOWN])}{rest})"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def _quiet_mindspore():
    """MindSpore logs its own many-line report before it raises; ours is the one line."""
    handler_logger = logging.getLogger(f"ME.mindspore.log.{os.getpid()}")
    level = handler_logger.level
    handler_logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        handler_logger.setLevel(level)
