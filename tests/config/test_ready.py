"""Ready configurations are named without a path, where there is no such file."""

from pathlib import Path

import pytest

from src.config import load_config
from src.config import ready as room
from src.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "name,file",
    [
        ("mask_rcnn_hrnetv2p_w18_1x_coco", "mask_rcnn_hrnetv2p_w18_1x_coco.yaml"),
        ("mask_rcnn_hrnetv2p_w18_1x_coco.yaml", "mask_rcnn_hrnetv2p_w18_1x_coco.yaml"),
        ("configs/demo/hrnet_cls_shapes.yaml", "demo/hrnet_cls_shapes.yaml"),
        ("demo/hrnet_cls_shapes", "demo/hrnet_cls_shapes.yaml"),
        ("hrnet_cls_shapes", "demo/hrnet_cls_shapes.yaml"),
    ],
)
def test_a_name_is_the_file_of_the_repository_from_any_folder(name, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = load_config(name)
    assert cfg == load_config(str(ROOT / "configs" / file)) and Path(cfg.origin[0]) == ROOT / "configs" / file
    (tmp_path / name).mkdir(parents=True)  # a folder is no configuration
    assert load_config(name) == cfg


def test_a_file_in_the_working_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hrnet_w18_cls").write_text("lr: 0.125\n")
    assert load_config("hrnet_w18_cls").lr == 0.125


def test_a_base_may_be_named_too_and_a_file_beside_comes_first(tmp_path, monkeypatch):
    own = tmp_path / "own.yaml"
    own.write_text("_base_: [hrnet_w18_cls, _base_/augment_timm]\nlr: 0.125\n")
    cfg = load_config(str(own))
    assert cfg.task == "classification" and cfg.lr == 0.125 and cfg.auto_augment.startswith("rand-")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hrnet_w18_cls").write_text("batch_size: 77\n")
    own.write_text("_base_: hrnet_w18_cls\n")
    assert load_config("own.yaml").batch_size == 77
    own.write_text("_base_: augment_timm\n")  # parts are named with their folder
    with pytest.raises(UserError, match="own.yaml: its _base_ augment_timm does not exist"):
        load_config(str(own))


@pytest.mark.parametrize(
    "name,said",
    [
        ("mask_rcnn_hrnetv2p_w18_1x_coc", "does not exist; did you mean mask_rcnn_hrnetv2p_w18_1x_coco?"),
        ("configs/hrnet_w18_cl.yaml", "does not exist; did you mean hrnet_w18_cls?"),
        ("zzz", "zzz does not exist"),
        ("../configs/hrnet_w18_cls", "does not exist; did you mean hrnet_w18_cls?"),
        ("/hrnet_w18_cls", "does not exist; did you mean hrnet_w18_cls?"),
        ("h" * 250, "does not exist"),
    ],
)
def test_what_is_not_there_names_the_nearest(name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        load_config(name)
    assert str(error.value).endswith(said) and str(error.value).startswith("configuration file ")


def test_all_of_them_can_be_named():
    names = [room.name_of(path) for path in room.ready()]
    assert len(names) > 50 and not [name for name in names if "_base_" in name]
    assert all(room.named(name) == room.CONFIGS / f"{name}.yaml" for name in names)
    assert len({path.stem for path in room.ready()}) == len(names)  # no two of one name


def test_in_a_wheel_they_are_in_the_package(tmp_path):
    assert room.configs_of(ROOT / "src") == ROOT / "configs" and not room.IS_INSTALLED
    (tmp_path / "ms_vision_zoo" / "configs").mkdir(parents=True)
    assert room.configs_of(tmp_path / "ms_vision_zoo") == tmp_path / "ms_vision_zoo" / "configs"
