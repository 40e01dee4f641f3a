"""Everything that a graph is made from changes its hash; what the graph takes as input does not."""

import dataclasses
import enum
import functools
from pathlib import Path
from types import SimpleNamespace

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from src.config import graph_keys, load_config
from src.engine.setup import make_train_step
from src.process.graph_hash import PACKAGE, code_hash, graph_hash
from src.tasks import TASKS

CONFIGS = Path(__file__).parents[2] / "configs" / "demo"
IMAGE = Tensor(np.zeros((1, 3, 8, 8), np.float32))


class Kind(enum.Enum):
    A = "a"
    B = "b"


@dataclasses.dataclass
class Settings:
    threshold: float = 0.5
    sides: tuple = (1, 2)


class Inner(nn.Cell):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.rate = 0.5


def scaled(factor):
    def scale(x, power=2):
        return factor * x**power

    return scale


class Net(nn.Cell):
    def __init__(self):
        super().__init__()
        self.inner = Inner()
        self.count, self.name_of, self.flag, self.nothing, self.kind = 3, "a", True, None, Kind.A
        self.nested = (1, [2.0, {"deep": (3, "x")}])
        self.settings = Settings()
        self.plain = SimpleNamespace(value=1, others={1, 2})
        self.anchors = Tensor(np.arange(6, dtype=np.float32))
        self.table = np.arange(4)
        self.function = scaled(2)
        self.half = functools.partial(scaled(2), power=3)
        self.bound = self.inner.construct
        self.weight = Parameter(Tensor(np.zeros(3, np.float32)), name="weight")
        self.itself = SimpleNamespace(net=self)


def set_item(container, place, value):
    container[place] = value


CHANGES = {
    "a number": lambda net: setattr(net, "count", 4),
    "a number's type": lambda net: setattr(net, "count", 3.0),
    "a text": lambda net: setattr(net, "name_of", "b"),
    "a bool": lambda net: setattr(net, "flag", False),
    "None": lambda net: setattr(net, "nothing", 0),
    "a choice": lambda net: setattr(net, "kind", Kind.B),
    "a number deep in a tuple": lambda net: setattr(net, "nested", (1, [2.0, {"deep": (4, "x")}])),
    "a dictionary's key": lambda net: setattr(net, "nested", (1, [2.0, {"deeper": (3, "x")}])),
    "a tuple made a list": lambda net: setattr(net, "nested", [1, [2.0, {"deep": (3, "x")}]]),
    "a number of a child": lambda net: setattr(net.inner, "rate", 0.25),
    "a field of a dataclass": lambda net: setattr(net.settings, "threshold", 0.25),
    "a tuple of a dataclass": lambda net: setattr(net.settings, "sides", (1, 3)),
    "a plain object's number": lambda net: setattr(net.plain, "value", 2),
    "a plain object's set": lambda net: setattr(net.plain, "others", {1, 3}),
    "one element of a tensor": lambda net: setattr(net, "anchors", Tensor(np.float32([0, 1, 2, 3, 4, 6]))),
    "a tensor's shape": lambda net: setattr(net, "anchors", net.anchors.reshape(2, 3)),
    "one element of an array": lambda net: set_item(net.table, 3, 9),
    "an array's type": lambda net: setattr(net, "table", net.table.astype(np.int32)),
    "what a function has around it": lambda net: setattr(net, "function", scaled(3)),
    "an argument that is bound": lambda net: setattr(net, "half", functools.partial(scaled(2), power=4)),
    "a primitive's attribute": lambda net: net.inner.conv.conv2d.add_prim_attr("stride", (1, 1, 2, 2)),
    "a layer's number": lambda net: setattr(net.inner.norm, "momentum", 0.5),
    "an attribute more": lambda net: setattr(net, "more", 1),
    "training": lambda net: net.set_train(True),
    "training of one layer": lambda net: net.inner.norm.set_train(True),
    "a flag": lambda net: net.add_flags(new=True),
    "a parameter's name": lambda net: setattr(net.weight, "name", "other"),
    "whether a parameter learns": lambda net: setattr(net.weight, "requires_grad", False),
    "a parameter's shape": lambda net: setattr(net, "weight", Parameter(Tensor([0.0]), name="weight")),
    "a child of another class": lambda net: setattr(net.inner, "norm", nn.Identity()),
}  # fmt: skip


def hash_of(net, *arguments, **facts) -> str:
    return graph_hash(net, arguments or (IMAGE,), {}, facts)


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_baked_into_a_graph_changes_its_hash(what):
    net = Net()
    CHANGES[what](net)
    assert hash_of(net) != hash_of(Net())


def test_equal_networks_have_equal_hashes_whatever_their_weights():
    first, second = Net(), Net()
    second.weight.set_data(Tensor(np.ones(3, np.float32)))
    second.inner.norm.moving_mean.set_data(Tensor(np.ones(4, np.float32)))
    second.nested = (1, [2.0, {"deep": (int("3"), "x")}])  # equal, but not the same object
    assert hash_of(first) == hash_of(second)


def test_first_values_given_to_a_layer_are_weights_too():
    nets = [nn.Conv2d(2, 2, 1, weight_init=Tensor(np.full((2, 2, 1, 1), k, np.float32))) for k in (1, 2)]
    assert hash_of(nets[0]) == hash_of(nets[1])


def test_a_graph_that_was_compiled_leaves_nothing_that_counts(graph_mode):
    layer = nn.SequentialCell(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = hash_of(layer)
    layer(IMAGE)
    assert hash_of(layer) == before


def test_shapes_and_types_of_what_it_is_called_with_count_and_values_do_not():
    net, ones = Net(), np.ones((1, 3, 8, 8), np.float32)
    assert hash_of(net, IMAGE) == hash_of(net, Tensor(ones))
    assert hash_of(net, IMAGE) != hash_of(net, Tensor(ones[..., :4]))
    assert hash_of(net, IMAGE) != hash_of(net, Tensor(ones.astype(np.int32)))
    assert hash_of(net, IMAGE) != hash_of(net, IMAGE, IMAGE)
    assert hash_of(net, IMAGE, 1) != hash_of(net, IMAGE, 2)


def test_every_fact_counts():
    assert hash_of(Net(), ranks=(0, 1)) != hash_of(Net(), ranks=(1, 2))


def test_an_edited_or_renamed_source_file_changes_the_code(tmp_path):
    (tmp_path / "a.py").write_text("x = 1")
    hashes = [code_hash(tmp_path, "*.py")]
    (tmp_path / "a.py").write_text("x = 2")
    hashes.append(code_hash(tmp_path, "*.py"))
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    hashes.append(code_hash(tmp_path, "*.py"))
    assert len(set(hashes)) == 3 and code_hash(PACKAGE, "*.py") == code_hash(PACKAGE, "*.py")


# ------------------------------------------------------------------------------------------------ the real networks

QUICK = "mask_rcnn_hrnet_tiny"
FAMILIES = {
    "mask_rcnn_hrnet_tiny": {
        "loss weight": "--rpn.loss_cls.loss_weight=2",
        "anchor": "--rpn.anchor_generator.scales=[9]",
        "training threshold": "--train_cfg.rpn.assigner.pos_iou_thr=0.8",
        "sampling": "--train_cfg.rcnn.sampler.num=32",
        "score threshold": "--test_cfg.rcnn.score_thr=0.1",
        "suppression": "--test_cfg.rpn.iou_threshold=0.6",
        "clipping": "--grad_clip=7",
        "loss scale": "--loss_scale=2",
        "decay": "--weight_decay=0.01",
        "framework operators": "--portable=1",
    },
    "pointrend_hrnet_shapes": {
        "loss weight": "--point_head.loss_point.loss_weight=2",
        "anchor": "--rpn.anchor_generator.ratios=[0.5,1.5,2]",
        "points": "--train_cfg.rcnn.num_points=100",
        "oversampling": "--train_cfg.rcnn.oversample_ratio=2",
        "score threshold": "--test_cfg.rcnn.score_thr=0.1",
        "subdivision": "--test_cfg.rcnn.subdivision_steps=3",
    },
    "hrnet_seg_lip_shapes": {
        "class weights": "--class_weights=[" + ",".join(["2"] + ["1"] * 19) + "]",
        "hard pixels": "--ohem=1",
        "ignored label": "--ignore_label=254",
        "statistics": "--backbone.norm_eval=1",
    },
    "hrnet_cls_shapes": {
        "smoothing": "--label_smoothing=0.1",
        "moving average": "--ema_decay=0.9",
        "accumulation": "--accumulate_step=2",
        "loss scale": "--loss_scale=3",
    },
}


def build(name: str, *keys: str):
    cfg = load_config(str(CONFIGS / f"{name}.yaml"), [part for key in keys for part in key.split("=", 1)])
    model = TASKS[cfg.task].build_model(cfg)
    return make_train_step(cfg, model, 10)[0], graph_keys(cfg)


@functools.cache
def unchanged(name: str) -> tuple[str, dict]:
    step, keys = build(name)
    return graph_hash(step, (), {}, {}), keys


def cases(name: str) -> list:
    marks = () if name == QUICK else pytest.mark.slow
    return [pytest.param(name, what, marks=marks) for what in FAMILIES[name]]


@pytest.mark.parametrize("name,what", [case for name in FAMILIES for case in cases(name)])
def test_a_changed_key_is_seen_by_the_walk_over_the_network_and_in_the_configuration(graph_mode, name, what):
    step, keys = build(name, FAMILIES[name][what])
    assert graph_hash(step, (), {}, {}) != unchanged(name)[0]
    assert keys != unchanged(name)[1]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_network_built_again_has_the_same_hash(graph_mode, name):
    assert graph_hash(build(name)[0], (), {}, {}) == unchanged(name)[0]


def changed(value):
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, tuple | list):
        return type(value)([*value[:-1], changed(value[-1])])
    return Tensor(value.asnumpy().copy() + np.ones((), value.asnumpy().dtype))


def is_data(value) -> bool:
    if isinstance(value, tuple | list):
        return type(value) in (tuple, list) and bool(value) and is_data(value[-1])
    is_constant = isinstance(value, Tensor) and not isinstance(value, Parameter) and value.dtype != ms.bool_
    return is_constant or isinstance(value, bool | int | float | str)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_datum_on_every_class_of_cell_counts(graph_mode, name):
    seen = set()
    for _, cell in build(name)[0].cells_and_names():
        for attribute, value in list(vars(cell).items()):
            which = (type(cell), attribute)
            own = type(cell).__module__.startswith("src.") and attribute not in vars(nn.Cell())
            if not own or which in seen or attribute.startswith("_cell") or not is_data(value):
                continue
            seen.add(which)
            before = graph_hash(cell, (), {}, {})
            vars(cell)[attribute] = changed(value)
            assert graph_hash(cell, (), {}, {}) != before, which
            vars(cell)[attribute] = value
            assert graph_hash(cell, (), {}, {}) == before, which
    assert len(seen) > 10
