"""All keys together: `Config`, and what joins it from outside."""

import functools
from dataclasses import fields

from .classification_keys import TimmAugmentKeys
from .combination_keys import CombinationKeys
from .data_keys import AugmentationKeys, DataKeys, DataPlaceKeys, ImageKeys
from .inference_keys import InferenceKeys
from .model_keys import ModelKeys
from .run_keys import (
    CommandKeys,
    ConvertKeys,
    DeviceKeys,
    EvaluationKeys,
    LearningRateKeys,
    OptimizerKeys,
    RunKeys,
    ScheduleKeys,
)
from .sampling_keys import SamplingKeys
from .schema import keys, leaves
from .transform_keys import TransformKeys

# Further top-level keys: classes made by `schema.keys`, of a task, a hook, a label format, an augmentation.
EXTRA_KEYS: list[type] = []


@keys()
class Config(
    AugmentationKeys, SamplingKeys, EvaluationKeys, ImageKeys, DataKeys, DataPlaceKeys, ConvertKeys, CommandKeys,
    DeviceKeys, RunKeys, ScheduleKeys, LearningRateKeys, OptimizerKeys, ModelKeys,
    TimmAugmentKeys, CombinationKeys, TransformKeys, InferenceKeys,
):  # fmt: skip
    """All keys. A loaded configuration is an instance whose values have been checked.

    It is frozen: who needs another one uses `dataclasses.replace`, which forgets what is no key.
    """

    typed = frozenset()  # dotted names of the keys that the command line has named; no key itself
    weight_words = frozenset()  # by which an original's file names weights; no key
    origin = ()  # paths of the file that it was read from and of those that this one is based on; no key either


def config_type() -> type[Config]:
    """`Config`, or what has the keys of the classes in EXTRA_KEYS too: what a file and a command line are read by."""
    return _with_extra_keys(tuple(EXTRA_KEYS)) if EXTRA_KEYS else Config


@functools.cache
def _with_extra_keys(kinds: tuple[type, ...]) -> type[Config]:
    taken = {item.name: Config for item in fields(Config)}
    for kind in kinds:
        for item in fields(kind):
            if item.name in taken:
                raise ValueError(f"{kind.__name__}.{item.name}: {taken[item.name].__name__} has this key already")
            taken[item.name] = kind
    joined = keys()(type("Config", (*reversed(kinds), Config), {}))
    list(leaves(joined))  # raises for a key without its facts
    return joined
