"""Which member of its family a backbone is (HRNet-W18 or W32, ResNet-50 or 101, SpineNet-49 or 96), by the shapes of
its convolutions: of a source's file and of the configured model, before anything is mapped or written.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from ..models.backbones.residual import Bottleneck
from ..models.backbones.resnet import DEPTHS
from ..models.backbones.spinenet import ARCHITECTURES, BLOCKS, LEVEL_WIDTHS
from .table import PARAMETERS, Source, fill, unwrap

Shapes = Mapping[str, tuple[int, ...]]
WEIGHTS = ("weight", "gamma")  # what a convolution's kind may become here


@dataclass(frozen=True)
class Variant:
    """name: as its project calls it. facts: what its widths and its depth are, by which two are compared.

    key: what the configuration has to say for this one, as far as one key does.
    """

    name: str
    facts: tuple
    key: str = ""


def check_variant(source: Source, tensors: Mapping[str, np.ndarray], shapes: Shapes, where: str) -> None:
    """UserError, one line that names both, where the source's backbone is another one than the configured model's.

    shapes: of the model's parameters by name. Where either shows no whole backbone that is known here nothing is said.
    """
    theirs, ours = variant_of(our_names(source, tensors)), variant_of(shapes)
    if theirs is None or ours is None or theirs.facts == ours.facts:
        return
    what, configured = theirs.name, ours.name
    if what == configured:
        what += f" ({_differing(theirs.facts, ours.facts)})"
        configured += f" ({_differing(ours.facts, theirs.facts)})"
    hint = f"; {theirs.key} takes them" if theirs.key and theirs.facts[0][0] == ours.facts[0][0] else ""
    raise UserError(f"{where}: these are weights of {what}, the configuration's backbone is {configured}{hint}")


def our_names(source: Source, tensors: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """Shapes of the source's convolutions under the names that they have here, whether the model has them or not."""
    found = {}
    for name, full in unwrap(list(tensors)).items():
        spelled = source.spell(name)
        module, _, kind = spelled.rpartition(".")
        if tensors[full].ndim != 4 or PARAMETERS.get(kind) != WEIGHTS or source.ignores(spelled):
            continue
        if rule := source.find(module):
            found[f"{fill(rule[0].target, rule[1])}.weight"] = tuple(tensors[full].shape)
    return found


def variant_of(shapes: Shapes) -> Variant | None:
    """The backbone whose parameters these are; None where it is none of the known ones, or not whole."""
    return next((variant for read in READERS if (variant := read(shapes))), None)


def _hrnet(shapes: Shapes) -> Variant | None:
    stages = []
    for stage in (2, 3, 4):
        found = _layers(shapes, rf"backbone\.stage{stage}\.(\d+)\.branches\.(\d+)\.(\d+)\.conv1\.weight")
        sides = _sides(found)
        if not sides:
            return None
        modules, branches, blocks = sides
        stages.append((modules, blocks, tuple(found[0, branch, 0][0] for branch in range(branches))))
    (first,) = _sides(_layers(shapes, r"backbone\.layer1\.(\d+)\.conv1\.weight")) or (0,)
    modules, blocks = tuple(stage[0] for stage in stages), {first, *(stage[1] for stage in stages)}
    width = stages[-1][2][0]
    if modules == (1, 4, 3) and blocks == {4}:
        name = f"HRNet-W{width}"
    elif modules == (1, 3, 2) and blocks == {2}:
        name = f"HRNet-W{width}-Small-v2"
    elif modules == (1, 1, 1) and first == 1 and blocks == {1, 2} and width == 16:
        name = "HRNet-W18-Small-v1"
    else:
        name = f"an HRNet of width {width}"
    kinds = [(f"modules, blocks and widths of stage {number}", stage) for number, stage in enumerate(stages, 2)]
    return Variant(name, (("blocks of stage 1", first), *kinds))


def _resnet(shapes: Shapes) -> Variant | None:
    blocks = []
    for stage in (1, 2, 3, 4):
        sides = _sides(_layers(shapes, rf"backbone\.layer{stage}\.(\d+)\.conv1\.weight"))
        if not sides:
            return None
        blocks += sides
    is_bottleneck = any(re.fullmatch(r"backbone\.layer4\.\d+\.conv3\.weight", name) for name in shapes)
    width = shapes["backbone.layer1.0.conv1.weight"][0]
    kind = "bottlenecks" if is_bottleneck else "basic blocks"
    facts = ((f"{kind} of the stages", tuple(blocks)), ("width", width))
    if is_bottleneck and blocks == [3, 8, 36, 3]:
        return Variant("ResNet-152", facts)
    for depth, (block, counts) in DEPTHS.items():
        if list(counts) == blocks and (block is Bottleneck) == is_bottleneck:
            return Variant(f"ResNet-{depth}", facts, f"--backbone.depth {depth}")
    return Variant(f"a ResNet of {tuple(blocks)} {kind}", facts)


def _spinenet(shapes: Shapes) -> Variant | None:
    found = _layers(shapes, r"backbone\.scale_permuted_blocks\.(\d+)\.(\d+)\.conv1\.weight")
    endpoint = shapes.get("backbone.endpoint_convs.0.conv.weight", (0,))[0]
    sides = _sides(found)
    if not endpoint or not sides or sides[0] != len(BLOCKS):
        return None
    repeats, widths = sides[1], tuple(found[k, 0][0] for k in range(len(BLOCKS)))
    facts = (("channels of outputs", endpoint), ("repeats", repeats), ("widths", widths))
    for arch, scaling in ARCHITECTURES.items():
        usual = tuple(int(LEVEL_WIDTHS[spec.level] * scaling.width) for spec in BLOCKS)
        if (endpoint, repeats, widths) == (scaling.endpoint_channels, scaling.repeats, usual):
            return Variant(f"SpineNet-{arch}", facts, f"--backbone.arch {arch}")
    return Variant("a SpineNet", facts)


READERS: tuple[Callable[[Shapes], Variant | None], ...] = (_hrnet, _spinenet, _resnet)


def _layers(shapes: Shapes, expression: str) -> dict[tuple[int, ...], tuple[int, ...]]:
    """Shapes by the numbers that the expression finds in the names."""
    matches = ((re.fullmatch(expression, name), shape) for name, shape in shapes.items())
    return {tuple(map(int, match.groups())): shape for match, shape in matches if match}


def _sides(found: Mapping[tuple[int, ...], tuple[int, ...]]) -> list[int]:
    """How many there are along each number; empty unless every place is taken."""
    sides = [1 + max(numbers) for numbers in zip(*found)]
    return sides if len(found) == math.prod(sides) and found else []


def _differing(facts: tuple, others: tuple) -> str:
    return ", ".join(f"{what} {value}" for what, value in facts if (what, value) not in others)
