"""Every key of the configuration set to values of every wrong kind, in a file and on the command line.

A value is taken, and then the learning rates and the samples that it reaches can be worked out, or it is refused in one
short line that names the key; nothing else, and nothing is written.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from src.config import config_type, leaves, load, load_config
from src.config.bounded_yaml import read_value
from src.config.overrides import parse_overrides
from src.config.read import read_file
from src.config.schema import nested_kind
from src.engine.lr_schedule import learning_rates
from src.engine.setup import MOST_UPDATES, _lr_policy
from src.errors import UserError
from src.tasks import TASKS
from tests.end_to_end.commands import ROOT, run

CONFIGS = {
    "detection": "configs/demo/mask_rcnn_hrnet_tiny.yaml", "classification": "configs/demo/hrnet_cls_shapes.yaml",
    "segmentation": "configs/demo/hrnet_seg_lip_shapes.yaml",
}  # fmt: skip
WRONG = {
    "null": "null", "text": "text", "a number as text": "'7'", "a list": "[1, 2]", "an empty list": "[]",
    "a nested list": "[[1], [2]]", "a list of nothing": "[null]", "a mapping": "{a: 1}", "true": "true", "NaN": ".nan",
    "infinity": "-.inf", "zero": "0", "minus one": "-1", "a large number": "1e30", "a very large one": f"0x{'f' * 400}",
    "a date": "2024-01-02", "a long text": "x" * 5000,
}  # fmt: skip
FEW = ("null", "text", "a list", "a mapping", "zero")
KEYS = [leaf.name for leaf in leaves(config_type())]
SECTIONS = sorted({name.rpartition(".")[0] for name in KEYS if "." in name})
STEPS = 3  # an epoch
MADE_BY = {"input_size": "img_width"}  # a key whose value is another's


@pytest.fixture(params=CONFIGS)
def task(request):
    return request.param


@pytest.fixture()
def load_with(task, monkeypatch):
    """load_with(values, *command line): the task's configuration with other values in its file, not read again."""
    path = ROOT / CONFIGS[task]
    values, _, choices = read_file(path)

    def make(changed: dict, *overrides: str):
        def read(source: Path, check=None):
            merged = _merged(values, changed)
            if check:
                check(merged, source)
            return merged, {}, choices

        monkeypatch.setattr(load, "read_file", read)
        return load_config(str(path), overrides)

    return make


def _merged(below: dict, above: dict) -> dict:
    return below | {
        name: _merged(below.get(name) or {}, value) if isinstance(value, _Section) else value
        for name, value in above.items()
    }


class _Section(dict):
    """What stands around a value, as opposed to a mapping that is the value."""


def _nested(dotted: str, value: object) -> dict:
    for name in reversed(dotted.split(".")):
        value = _Section({name: value})
    return value


# The tasks share most of their keys: the default tests try all kinds with one task, a few with the others.
KINDS = [
    pytest.param(task, kind, marks=() if task == "detection" or kind in FEW else pytest.mark.slow)
    for task in CONFIGS
    for kind in WRONG
]


@pytest.mark.parametrize("task,kind", KINDS)
def test_every_key_takes_or_refuses_every_kind_of_value(load_with, task, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value, taken = read_value(WRONG[kind]), 0
    for name in (*SECTIONS, *KEYS):
        for arguments in ((_nested(name, value),), ({}, f"--{name}", WRONG[kind]))[: 1 + (task == "detection")]:
            try:
                load_with(*arguments)
                taken += 1
            except UserError as error:
                message = str(error)
                assert len(message) < 300 and message.isprintable(), message
                names = {name.rpartition(".")[2], *name.split("."), MADE_BY.get(name, name)}
                assert any(one in message for one in names), (name, message)
    assert taken < len(KEYS) and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong", ["--", "-lr", "lr=1", "--=1", "--.", "--lr.", "--.lr", "--lr.lr=1", "--rpn..x=1", "--" + "x" * 10**5]
)
def test_arguments_that_are_none_are_refused(load_with, wrong):
    for arguments in ((wrong,), (wrong, "1")):
        with pytest.raises(UserError) as said:
            load_with({}, *arguments)
        assert len(str(said.value)) < 300


def test_every_number_has_bounds():
    without = [
        leaf.name
        for leaf in leaves(config_type())
        if not nested_kind(leaf.item.type)
        and (leaf.item.type in (int, float) or getattr(leaf.item.type, "__args__", (str,))[0] in (int, float))
        and not leaf.item.metadata["choices"]
        and None in (leaf.item.metadata["low"], leaf.item.metadata["high"])
    ]
    assert not without


@pytest.mark.parametrize("task", ["detection"], indirect=True)
@pytest.mark.parametrize(
    "name,value",
    [("img_width", "1000000"), ("input_size", "1048576"), ("rpn.feat_channels", "1e12"), ("batch_size", "1e12"),
     ("epoch_size", "1e15"), ("num_parallel_workers", "1e9"), ("num_classes", "1e9"), ("seed", "4294967296"),
     ("rpn.anchor_generator.ratios", "[]"), ("rpn.anchor_generator.scales", "[]"), ("roi.featmap_strides", "[]"),
     ("backbone.extra.stage1.num_blocks", "[]"), ("lr", "1e300"), ("img_std", "[1e300, 1, 1]"),
     ("bbox_head.fc_out_channels", "1000000"), ("test_cfg.rcnn.subdivision_steps", "40"), ("input_size", "4"),
     ("train_cfg.rpn.sampler.num", "1e9"), ("bbox_head.num_shared_fcs", "1000000")],
)  # fmt: skip
def test_what_no_machine_has_memory_for_is_refused(load_with, name, value):
    with pytest.raises(UserError, match=name):
        load_with({}, f"--{name}", value)


def test_a_batch_has_as_many_images_as_find_room(load_with):
    for name in ("batch_size", "test_batch_size"):
        with pytest.raises(UserError, match=f"{name} is 4096: as many images of 2048x2048 pixels take 192 GiB"):
            load_with({}, f"--{name}", "4096", "--img_width", "2048", "--img_height", "2048", "--divider", "1")


def test_every_schedule_that_is_taken_gives_learning_rates(load_with):
    """At the bounds of each of its keys."""
    classes = ("OptimizerKeys", "LearningRateKeys", "ScheduleKeys")
    for leaf in leaves(config_type()):
        rules = leaf.item.metadata
        if "." in leaf.name or not _is_of(leaf.name, classes) or rules.get("high") is None:
            continue
        for bound in (rules["low"], rules["high"]):
            try:
                cfg = load_with({}, f"--{leaf.name}", f"[{bound!r}]" if isinstance(leaf.value, list) else repr(bound))
            except UserError:  # at odds with another key
                continue
            updates = math.ceil(cfg.epoch_size * STEPS / cfg.accumulate_step)
            rates = learning_rates(_lr_policy(cfg, STEPS), max(updates, 1), STEPS / cfg.accumulate_step)
            assert updates < MOST_UPDATES and np.isfinite(rates).all() and (rates >= 0).all(), (leaf.name, bound)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root, size = tmp_path_factory.mktemp("fuzz"), ("--images", 8, "--val-images", 8, "--size", 32)
    for layout in ("coco", "imagenet", "lip"):
        run("-m", "src.data.synthetic", layout, root / layout, *size)
    run("-m", "src.data.lip_lst_maker", "--root", root / "lip")
    return {
        "detection": root / "coco" / "train",
        "classification": root / "imagenet" / "train",
        "segmentation": root / "lip",
    }


def test_every_data_key_that_is_taken_makes_a_sample(load_with, folders):
    """At the lower bounds, and at the upper ones that are no sizes."""
    classes = ("AugmentationKeys", "ImageKeys", "EvaluationKeys", "DataKeys")
    for leaf in leaves(config_type()):
        rules = leaf.item.metadata
        if "." in leaf.name or not _is_of(leaf.name, classes) or rules.get("low") is None:
            continue
        for bound in (rules["low"], rules["high"] if rules["high"] < 1000 else rules["low"]):
            text = str([bound] * max(rules["least"], 1)) if isinstance(leaf.value, list) else str(bound)
            try:
                cfg = load_with({}, f"--{leaf.name}", text, "--batch_size", "1")
                cfg = replace(cfg, train_dataset=str(folders[cfg.task]), device_target="CPU")
                batch = TASKS[cfg.task].make_loader(cfg, 0, 1, 0).source[0]
            except UserError as error:
                assert leaf.name in str(error) or MADE_BY.get(leaf.name, "max_image_pixels") in str(error)
                continue
            assert all(np.isfinite(array).all() for array in batch if array.dtype.kind == "f"), (leaf.name, bound)


def _is_of(name: str, classes: tuple[str, ...]) -> bool:
    return any(
        name in vars(kind).get("__annotations__", {}) for kind in config_type().__mro__ if kind.__name__ in classes
    )


def test_overrides_of_any_text_are_pairs_or_refused():
    rng = np.random.RandomState(0)
    for _ in range(2000):
        words = ["".join(rng.choice(list("-=.[]{}a1 \n\0\u00e4"), rng.randint(6))) for _ in range(rng.randint(4))]
        try:
            assert all(len(pair) == 2 for pair in parse_overrides(words))
        except UserError as error:
            assert str(error).isprintable()
