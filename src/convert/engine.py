"""One engine for all tables: every tensor of the source is used or knowingly ignored, every parameter set or named."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..checkpoint import HEAD, started
from ..errors import UserError
from .changes import CHANGES, Layout
from .table import PARAMETERS, Rule, Source, fill, unwrap

SHOWN = 4  # names an error lists
SHOWN_NAME = 80  # characters of one
MASKS = "mask_head"  # what a detector without masks does not have; the others' weights fill it all the same


@dataclass
class Conversion:
    """values: arrays by our parameters' names. used: the source's full names by ours. ignored: full names by reason.

    dropped: our class layers of another shape, left out for fine-tuning. other_heads: our parameters of heads of which
    the source has another kind, left out likewise. filled: statistics of affine normalisations.
    unset: our parameters outside of the backbone where the source is a backbone alone. zeros: our biases that are 0
    because the source has none. moved: by (their epsilon, ours) the number of variances that make up for it.
    """

    values: dict[str, np.ndarray] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, list[str]] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    other_heads: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    unset: list[str] = field(default_factory=list)
    zeros: list[str] = field(default_factory=list)
    moved: Counter[tuple[float, float]] = field(default_factory=Counter)


def convert(
    source: Source,
    tensors: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    layout: Layout,
    finetune: bool = False,
    norm_eps: float = 1e-5,
    where: str = "the file",
) -> Conversion:
    """Map the source's tensors onto parameters of the given shapes (ours, by name).

    finetune: class layers of another shape are left out, whole layers at a time, and heads of another kind (Mask
    R-CNN's mask head, where PointRend's is configured) or that the source lacks (OCR's, of a plain segmenter).
    norm_eps: of our normalisations; with it a scale and shift without statistics stay what they are.
    where: the file's name for messages. Raises UserError for tensors without a place, two for one place, shapes that
    differ, and parameters that stay unset.
    """
    done, leftover, mismatched = Conversion(), {}, {}
    for name, full in unwrap(list(tensors)).items():
        spelled = source.spell(name)
        reason = source.ignores(spelled)
        if not reason:
            target, reason = _place(source, spelled, shapes, layout)
        if reason:
            done.ignored.setdefault(reason, []).append(full)
        elif not target:
            leftover[full] = spelled
        else:
            parameter, rule = target
            if parameter in done.used:
                raise UserError(f"{where}: {done.used[parameter]} and {full} are both for {parameter}")
            value = CHANGES[rule.change](tensors[full], layout) if rule.change else tensors[full]
            if parameter.endswith(".moving_variance"):
                value = _for_our_eps(source, spelled.rpartition(".")[0], value, norm_eps, done)
            done.used[parameter] = full
            done.values[parameter] = value
            if value.shape != tuple(shapes[parameter]):
                theirs = f"{full[:SHOWN_NAME]} {_shape(tensors[full])}"
                mismatched[parameter] = f"{theirs}, here {parameter} {_shape(shapes[parameter])}"
    if finetune:
        leftover = _leave_out_heads(source, done, leftover, shapes)
        _leave_out_missing_heads(done, shapes)
    if leftover:
        why = _why_no_place(source, leftover.values())
        raise UserError(f"{where}: {_names(leftover)} of {source.name} have no place in the configured model{why}")
    _settle_shapes(done, mismatched, layout.class_layers, finetune, where)
    if source.affine_norms:
        _fill_statistics(done, shapes, norm_eps)
    _fill_biases(source, done, shapes)
    _settle_unset(done, shapes, where)
    return done


def _place(source: Source, name: str, shapes: Mapping, layout: Layout) -> tuple[tuple[str, Rule] | None, str]:
    """(our parameter, its rule) of a tensor; or None with the reason why it is ignored, if it is."""
    module, _, kind = name.rpartition(".")
    found = source.find(module)
    if found is None:
        return None, ""
    rule, match = found
    cell = started(f"{fill(rule.target, match)}.", layout.starts)[:-1]
    for ours in PARAMETERS.get(kind, ()):
        if f"{cell}.{ours}" in shapes:
            return (f"{cell}.{ours}", rule), ""
    part = cell.partition(".")[0]
    if (rule.optional or part == MASKS) and not any(parameter.startswith(f"{part}.") for parameter in shapes):
        return None, f"{part}, which the configured model does not have"
    return None, ""


def _why_no_place(source: Source, names: Iterable[str]) -> str:
    """What the source's table says of all these tensors, if it does."""
    names = list(names)
    for expression, reason in source.no_place:
        if all(re.fullmatch(expression, name) for name in names):
            return f": {reason}"
    return ""


def _leave_out_heads(source: Source, done: Conversion, leftover: Mapping[str, str], shapes: Mapping) -> dict[str, str]:
    """Those of the tensors without a place, {full name: name}, that are of no head of another kind; the others are
    ignored. A head is of another kind where none of its parameters here has a tensor.
    """
    known = {parameter.partition(".")[0] for parameter in done.used}
    heads = _heads(shapes) - known
    rest, found = {}, set()
    for full, name in leftover.items():
        head = _head_of(source, name)
        if head in heads:
            found.add(head)
            done.ignored.setdefault(f"{head} of another kind (finetune)", []).append(full)
        else:
            rest[full] = name
    done.other_heads = [name for name in shapes if name.partition(".")[0] in found]
    return rest


def _leave_out_missing_heads(done: Conversion, shapes: Mapping) -> None:
    """Heads here of which a source that is more than a backbone has nothing."""
    known = {parameter.partition(".")[0] for parameter in done.used}
    if known - {"backbone"}:
        heads = _heads(shapes) - known
        done.other_heads = [name for name in shapes if name in done.other_heads or name.partition(".")[0] in heads]


def _heads(names: Collection[str]) -> set[str]:
    """The heads among the parts of our network that these parameters are of."""
    return {part for part in (name.partition(".")[0] for name in names) if part.endswith(HEAD)}


def _head_of(source: Source, name: str) -> str:
    """The part of our network for which a tensor of the source is; empty where no rule has it."""
    found = source.find(name.rpartition(".")[0])
    return fill(found[0].target, found[1]).partition(".")[0] if found else ""


def _settle_shapes(
    done: Conversion, mismatched: dict[str, str], class_layers: tuple[str, ...], finetune: bool, where: str
) -> None:
    """Leave out class layers for fine-tuning; every other difference is an error."""
    if finetune:
        cells = {parameter.rpartition(".")[0] for parameter in mismatched if parameter.startswith(class_layers)}
        done.dropped = [parameter for parameter in done.values if parameter.rpartition(".")[0] in cells]
        for parameter in done.dropped:
            mismatched.pop(parameter, None)
            del done.values[parameter]
            done.ignored.setdefault("class layers of another shape (finetune)", []).append(done.used.pop(parameter))
    if mismatched:
        hint = ""
        if all(parameter.startswith(class_layers) for parameter in mismatched):
            hint = "; --finetune 1 leaves these class layers out"
        rest = f" and {len(mismatched) - SHOWN} more" if len(mismatched) > SHOWN else ""
        shown = "; ".join(list(mismatched.values())[:SHOWN])
        raise UserError(f"{where} has other shapes than the configured model: {shown}{rest}{hint}")


def _fill_statistics(done: Conversion, shapes: Mapping, eps: float) -> None:
    """A normalisation that came as a scale and a shift alone: mean 0, variance 1 - eps divides by exactly one."""
    for parameter in [name for name in done.values if name.endswith(".gamma")]:
        cell = parameter.removesuffix("gamma")
        for kind, value in (("moving_mean", 0.0), ("moving_variance", 1.0 - eps)):
            name = cell + kind
            if name not in done.values:
                done.values[name] = np.full(shapes[name], value, np.float32)
                done.filled.append(name)


def _for_our_eps(source: Source, module: str, variance: np.ndarray, ours: float, done: Conversion) -> np.ndarray:
    """The variance that gives, with our epsilon added, what the source's gives with its own."""
    theirs = next((eps for expression, eps in source.norm_eps if re.fullmatch(expression, module)), ours)
    if theirs == ours:
        return variance
    done.moved[theirs, ours] += 1
    return (variance.astype(np.float64) + (theirs - ours)).astype(np.float32)


def _fill_biases(source: Source, done: Conversion, shapes: Mapping) -> None:
    """Biases that the source lacks on layers whose weights it has are 0."""
    for name in shapes:
        is_lacking = name not in done.values and name.removesuffix("bias") + "weight" in done.values
        if is_lacking and any(re.fullmatch(expression, name) for expression in source.zero_biases):
            done.values[name] = np.zeros(shapes[name], np.float32)
            done.zeros.append(name)


def _settle_unset(done: Conversion, shapes: Mapping, where: str) -> None:
    unset = [name for name in shapes if name not in {*done.values, *done.dropped, *done.other_heads}]
    in_backbone = [name for name in unset if name.startswith("backbone.")]
    left_out = done.dropped or done.other_heads
    only_backbone = all(name.startswith("backbone.") for name in done.used) and not left_out
    if done.used and only_backbone and not in_backbone:
        done.unset = unset
    elif unset:
        hints = []
        if all(name.startswith(f"{MASKS}.") for name in unset):
            hints.append("; a detector without masks takes them")
        heads = _heads(unset) - {name.partition(".")[0] for name in done.values}
        if all(name.partition(".")[0] in heads for name in unset):
            hints.append(f"; --finetune 1 lets {', '.join(sorted(heads))} start fresh")
        hint = "".join(hints)
        raise UserError(f"{where} does not fill the configured model: {_names(unset)} stay unset{hint}")


def _names(names: Collection[str]) -> str:
    names = [name[:SHOWN_NAME] for name in names]
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} tensors ({', '.join(names[:SHOWN])}{rest})"


def _shape(value: np.ndarray | tuple[int, ...]) -> str:
    return str(list(value.shape if isinstance(value, np.ndarray) else value))[:SHOWN_NAME]


def summary(done: Conversion, total: int) -> list[str]:
    """What was done, a line each."""
    ignored = sum(len(names) for names in done.ignored.values())
    lines = [f"{total} tensors in the source: {len(done.used)} used, {ignored} ignored"]
    for reason, names in done.ignored.items():
        lines.append(f"ignored: {len(names)} tensors: {reason} ({_example(names)})")
    if done.filled:
        lines.append(f"{len(done.filled)} statistics filled: the source's normalisations are a scale and a shift")
    if done.zeros:
        lines.append(f"{len(done.zeros)} biases are 0, which the source does not have: {', '.join(done.zeros)}")
    for (theirs, ours), count in done.moved.items():
        lines.append(
            f"{count} variances changed by {theirs - ours:g}: the source's normalisations add {theirs:g} to them, the "
            f"configuration's {ours:g} (backbone.norm_cfg.eps)"
        )
    if done.dropped:
        lines.append(f"finetune: class layers of another shape are left out: {', '.join(done.dropped)}")
    if done.other_heads:
        heads = ", ".join(sorted({name.partition(".")[0] for name in done.other_heads}))
        lines.append(f"finetune: the source has another kind of {heads}, or none: it starts fresh")
    return lines


def _example(names: list[str]) -> str:
    return re.sub(r"\s", " ", names[0]) + (", ..." if len(names) > 1 else "")
