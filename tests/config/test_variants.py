"""The backbone's keys follow from its type: whose key counts, whose is refused, whose is dropped."""

import pytest
import yaml

from src.config import config_hash, load_config, parse_cli, to_dict
from src.config.backbone_keys import BACKBONE_KEYS, Backbone, HRNetBackbone, ResNetBackbone, SpineNetBackbone
from src.config.schema import key, keys
from src.errors import UserError

# The section of a run folder's config.yaml from the time when every backbone had the keys of all of them.
STAGE = {"num_modules": 1, "num_branches": 1, "block": "BASIC", "num_blocks": [4], "num_channels": [64]}
WRITTEN_BEFORE = {
    "type": "resnet", "arch": "49", "depth": 34, "base_channels": 64, "style": "caffe",
    "scaling": {"endpoint_channels": 0, "width": 0.0, "alpha": 0.0, "repeats": 0},
    "extra": {f"stage{number}": STAGE for number in range(1, 5)},
    "norm_cfg": {"type": "BN", "momentum": 0.1, "eps": 1e-05, "requires_grad": True},
    "norm_eval": True, "frozen_stages": 1, "pretrained": "",
}  # fmt: skip


@pytest.fixture()
def write(tmp_path):
    """Writes a file with this `backbone` and `_base_`; returns its path."""

    def make(backbone: dict, name: str = "config.yaml", base: str = "") -> str:
        values = {"coco_classes": ["background", "circle"], "num_classes": 2, "backbone": backbone}
        (tmp_path / name).write_text(yaml.safe_dump(values | ({"_base_": base} if base else {})), encoding="utf-8")
        return str(tmp_path / name)

    return make


@pytest.fixture()
def plain(monkeypatch):
    """A backbone from outside."""

    @keys(matters="weights", on_resume="same")
    class PlainBackbone(Backbone):
        width: int = key(8, "channels of the first map", low=1)
        base_channels: int = key(16, "a name that ResNet has too", low=1)

    monkeypatch.setitem(BACKBONE_KEYS, "plain", PlainBackbone)
    return PlainBackbone


def refusal(path: str, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_config(path, overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    "kind,own,foreign",
    [
        (HRNetBackbone, {"type": "hrnet"}, {"depth": 18}),
        (ResNetBackbone, {"type": "resnet", "depth": 18, "style": "caffe"}, {"extra": {}}),
        (SpineNetBackbone, {"type": "spinenet", "arch": "96", "scaling": {"width": 0.5}}, {"style": "caffe"}),
    ],
)
def test_each_type_has_its_own_keys_and_those_of_another_beside_it_are_refused(write, kind, own, foreign):
    backbone = load_config(write(own)).backbone
    assert type(backbone) is kind and not any(hasattr(backbone, name) for name in foreign)
    assert {name: to_dict(backbone)[name] for name in own if name != "scaling"}.items() <= own.items()
    message = refusal(write(own | foreign))
    assert "config.yaml: backbone." in message and message.endswith(f", not of {own['type']}")


def test_the_message_names_the_key_the_type_and_whose_it_is(write):
    path = write({"type": "hrnet", "depth": 18})
    assert refusal(path) == f"{path}: backbone.depth is a key of backbone.type resnet, not of hrnet"


def test_in_a_base_it_is_refused_too_where_it_stands_beside_the_type(write):
    write({"type": "spinenet", "extra": {}}, "base.yaml")
    assert "base.yaml: backbone.extra" in refusal(write({"type": "hrnet"}, base="base.yaml"))


def test_what_a_base_left_for_another_type_is_dropped(write):
    write({"type": "resnet", "depth": 34, "norm_eval": True}, "base.yaml")
    backbone = load_config(write({"type": "spinenet", "arch": "49S"}, base="base.yaml")).backbone
    assert backbone == SpineNetBackbone(type="spinenet", arch="49S", norm_eval=True)


def test_a_mixed_in_file_without_a_type_may_hold_keys_of_one_backbone(write):
    write({"style": "caffe", "frozen_stages": 2}, "caffe.yaml")
    write({"type": "resnet"}, "resnet.yaml")
    assert load_config(write({}, base="resnet.yaml")).backbone.style == "pytorch"
    for name, kind in (("hrnet", HRNetBackbone), ("resnet", ResNetBackbone)):
        backbone = load_config(write({"type": name}, base="caffe.yaml")).backbone
        assert type(backbone) is kind and backbone.frozen_stages == 2


@pytest.mark.parametrize("name,kind", [("hrnet", HRNetBackbone), ("resnet", ResNetBackbone)])
def test_a_run_folder_of_before_has_the_keys_of_all_and_loads_silently(write, said, name, kind):
    backbone = load_config(write(WRITTEN_BEFORE | {"type": name})).backbone
    own = {one: value for one, value in (WRITTEN_BEFORE | {"type": name}).items() if one in kind.__dataclass_fields__}
    assert type(backbone) is kind and to_dict(backbone) == to_dict(kind()) | own and not said()


def test_the_type_of_the_command_line_drops_what_the_file_has_for_another(write):
    path = write({"type": "hrnet", "extra": {"stage2": {"num_modules": 3}}, "frozen_stages": 1})
    backbone = load_config(path, ["--backbone.depth", "18", "--backbone.type", "resnet"]).backbone
    assert backbone == ResNetBackbone(type="resnet", depth=18, frozen_stages=1)


def test_on_the_command_line_a_key_of_another_type_is_refused(write):
    path = write({"type": "hrnet"})
    said = "command line: backbone.depth is a key of backbone.type resnet, not of hrnet"
    assert refusal(path, "--backbone.depth", "18") == said
    assert "backbone.extra is a key of" in refusal(
        path, "--backbone.type=resnet", "--backbone.extra.stage1.block=BASIC"
    )
    assert "backbone.arch is a key of" in refusal(path, "--backbone", "{type: resnet, arch: 49S}")
    assert load_config(path, ["--backbone", "{type: resnet, depth: 18}"]).backbone.depth == 18


def test_a_key_that_no_backbone_has_is_unknown_wherever_it_stands(write):
    write({"type": "resnet", "dept": 34}, "base.yaml")
    for message in (refusal(write({"type": "hrnet"}, base="base.yaml")), refusal(write({}), "--backbone.dept", "3")):
        assert "unknown key backbone.dept; did you mean backbone.depth?" in message


def test_an_unknown_type_is_an_error_that_names_the_known_ones(write):
    said = f"backbone.type: 'vgg' is not known; choose one of {', '.join(sorted(BACKBONE_KEYS))}"
    assert refusal(path := write({"type": "vgg"})) == f"{path}: {said}"
    assert refusal(write({}), "--backbone.type", "vgg") == f"command line: {said}"
    assert "backbone must be a mapping" in refusal(write(5), "--backbone.type", "resnet")
    assert "backbone.type must be a text, not 5" in refusal(write({"type": 5}))


def test_a_wrong_value_of_a_backbones_own_key_is_refused(write):
    message = refusal(write({"type": "resnet"}), "--backbone.style", "keras")
    assert message == "command line: backbone.style is 'keras'; it may be 'pytorch', 'caffe'"


def test_a_backbone_from_outside_is_one_class_and_one_line(write, plain, capsys):
    path = write({"type": "plain", "width": 12, "norm_eval": True})
    cfg = load_config(path, ["--backbone.base_channels", "4"])
    assert cfg.backbone == plain(type="plain", width=12, base_channels=4, norm_eval=True)
    assert config_hash(cfg) != config_hash(load_config(path, ["--backbone.width", "13"]))
    with pytest.raises(SystemExit):
        parse_cli("d", ["--help"])
    assert "--backbone.width [8]  channels of the first map" in capsys.readouterr().out
    assert "backbone.type plain, not of hrnet" in refusal(write({"type": "hrnet", "width": 12}))
    assert "of backbone.type resnet or plain, not of spinenet" in refusal(
        write({"type": "spinenet", "base_channels": 4})
    )
    assert "choose one of hrnet, plain, resnet, spinenet" in refusal(write({"type": "vgg"}))
