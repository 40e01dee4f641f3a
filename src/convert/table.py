"""What a mapping table says: which module of a source project is which cell here, and what changes on the way."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

WRAPPERS = ("module.", "model.", "_orig_mod.", "network.")  # of DataParallel, trainers, torch.compile, exporters
# Kinds of a cell's parameters by the source's name for them; normalisations have their own names here.
PARAMETERS = {
    "weight": ("weight", "gamma"),
    "bias": ("bias", "beta"),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_variance",),
    **{name: (name,) for name in ("gamma", "beta", "moving_mean", "moving_variance")},  # MindSpore's
    "_mean": ("moving_mean",),  # Paddle's
    "_variance": ("moving_variance",),
}
# By its name for a normalisation's variance the framework that a file is of.
FRAMEWORKS = {"running_var": "pytorch", "moving_variance": "mindspore", "_variance": "paddle"}
NO_OUTPUT = "-"
NUMBER = re.compile(r"<(\d)([+-]\d+)?>")


@dataclass(frozen=True)
class Rule:
    """Modules of the source whose whole name matches the regular expression `source` are our cell `target`.

    target: `<1>` stands for the expression's first group, `<2-1>` for the number in the second less one.
    change: a name in `changes.CHANGES` for what happens to the values.
    optional: the configured model may lack this part (a classifier on a backbone); its tensors are ignored then.
    output: the cell whose output is the module's, where it is not `target` (a convolution that normalises as well);
        `NO_OUTPUT` where there is none.
    relu: the module's output may have its ReLU in it, which is a cell of its own here.
    """

    source: str
    target: str
    change: str = ""
    optional: bool = False
    output: str = ""
    relu: bool = False


@dataclass(frozen=True)
class Expects:
    """What the weights were trained with, as far as the project's published ones agree."""

    img_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    img_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    to_rgb: bool = True
    style: str = ""  # of a ResNet; empty where it has none or files differ
    note: str = ""
    resnet_note: str = ""  # shown where the backbone is a ResNet


@dataclass(frozen=True)
class Source:
    """A project's checkpoints.

    marks: every expression matches some tensor's whole name; never: none of them does. They tell sources apart.
    spelling: (expression, replacement) applied to every name first, where names are not `module.parameter`.
    ignored: (expression, reason) of tensors that are left out knowingly.
    no_place: (expression, reason) of tensors for which no model here has a place, said where they are refused.
    affine_norms: normalisations may come without statistics, as a scale and a shift.
    framework: a value of `FRAMEWORKS`; files of another one, as far as they show it, are not of this source.
    zero_biases: expressions of our biases that are 0 where the source has none.
    norm_eps: (expression of a module's name as spelled, what its normalisation adds to the variance), the first that
        fits; a configuration that adds something else gets variances that make up for it.
    definition: keys of `config.definition` whose value differs from what is usual there.
    ready: configurations for this source's weights. segments, detects: its networks are for semantic
        segmentation, or detectors.
    """

    name: str
    title: str
    marks: tuple[str, ...]
    rules: tuple[Rule, ...]
    never: tuple[str, ...] = ()
    spelling: tuple[tuple[str, str], ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    no_place: tuple[tuple[str, str], ...] = ()
    affine_norms: bool = False
    expects: Expects = Expects()
    framework: str = "pytorch"
    zero_biases: tuple[str, ...] = ()
    norm_eps: tuple[tuple[str, float], ...] = ()
    definition: tuple[tuple[str, Any], ...] = ()
    ready: tuple[str, ...] = ()
    segments: bool = False
    detects: bool = False

    def fits(self, names: list[str]) -> bool:
        """Whether these tensor names (without wrappers) are of this source."""
        if framework_of(names) not in ("", self.framework):
            return False
        marked = all(any(re.fullmatch(mark, name) for name in names) for mark in self.marks)
        return marked and not any(re.fullmatch(mark, name) for mark in self.never for name in names)

    def spell(self, name: str) -> str:
        """A tensor's name as `module.parameter`."""
        for expression, replacement in self.spelling:
            name = re.sub(expression, replacement, name)
        return name

    def find(self, module: str) -> tuple[Rule, re.Match] | None:
        """The first rule for a module, with its match."""
        for rule in self.rules:
            match = re.fullmatch(rule.source, module)
            if match:
                return rule, match
        return None

    def ignores(self, name: str) -> str:
        """Why a tensor is left out knowingly; empty if it is not."""
        for expression, reason in (*self.ignored, (r"(.*\.)?num_batches_tracked", "counters of PyTorch's BatchNorm")):
            if re.fullmatch(expression, name):
                return reason
        return ""


def framework_of(names: Iterable[str]) -> str:
    """The framework by whose words a file's statistics are named; empty where it has none, or of several."""
    found = {FRAMEWORKS[kind] for kind in {name.rpartition(".")[2] for name in names} if kind in FRAMEWORKS}
    return found.pop() if len(found) == 1 else ""


def fill(template: str, match: re.Match) -> str:
    """A rule's `target` or `output` for one module."""

    def value(found: re.Match) -> str:
        text = match.group(int(found[1])) or ""
        return str(int(text) + int(found[2])) if found[2] else text

    return NUMBER.sub(value, template)


def unwrap(names: list[str]) -> dict[str, str]:
    """Names without the wrappers' prefixes -> the full ones.

    A prefix goes where some tensor has it, from the tensors that have it (a trainer's `model.` besides its `loss.`).
    """
    plain = {name: name for name in names}
    changed = True
    while changed:
        changed = False
        for prefix in WRAPPERS:
            shorter = {name.removeprefix(prefix): full for name, full in plain.items()}
            if len(shorter) == len(plain) and shorter.keys() != plain.keys():
                plain, changed = shorter, True
    return plain
