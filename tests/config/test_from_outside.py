"""What is added from outside the package: a task, a detector, a data format, keys, each by one line."""

import dataclasses

import pytest
import yaml

from src.config import (
    EXTRA_KEYS,
    Config,
    config_hash,
    config_type,
    differences,
    load_config,
    parse_cli,
    save_config,
    to_dict,
)
from src.config.checks import TASK_CHECKS
from src.config.choices import DATA_TYPES, DETECTORS
from src.config.schema import key, keys, section
from src.errors import UserError

SHAPES = {"coco_classes": ["background", "circle"], "num_classes": 2}


@pytest.fixture()
def write(tmp_path):
    def make(**values) -> str:
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(SHAPES | values), encoding="utf-8")
        return str(tmp_path / "config.yaml")

    return make


@keys(matters="scores", on_resume="same")
class CountingHead:
    widths: list[int] = key([8, 8], "widths of the counting head", low=1)


@keys(matters="training", on_resume="same")
class CountingKeys:
    count_weight: float = key(1.0, "factor of the counting loss", low=0)
    count_log: str = key("", "file for the counts", matters="never", on_resume="free")
    count_head: CountingHead = section(CountingHead)


def help_lines(capsys) -> str:
    with pytest.raises(SystemExit):
        parse_cli("d", ["--help"])
    return capsys.readouterr().out


def test_a_task_is_a_check_in_a_dictionary(write, monkeypatch, capsys):
    def check(cfg):
        if cfg.num_classes > 2:
            raise UserError(f"num_classes is {cfg.num_classes}; counting knows one kind of object")

    monkeypatch.setitem(TASK_CHECKS, "counting", check)
    assert load_config(write(task="counting", coco_classes=[])).task == "counting"
    with pytest.raises(UserError, match="counting knows one kind of object"):
        load_config(write(task="counting", num_classes=3))
    assert f"({' | '.join(TASK_CHECKS)})" in help_lines(capsys) and list(TASK_CHECKS)[-1] == "counting"
    monkeypatch.undo()
    with pytest.raises(UserError, match=f"task is 'counting'; it may be {', '.join(map(repr, TASK_CHECKS))}$"):
        load_config(write(task="counting"))


def test_a_detector_and_a_data_format_are_a_line_each(write, added, capsys):
    values = {"detector": "cascade", "train_data_type": "drawn", "val_data_type": "drawn"}
    with pytest.raises(UserError, match=f"detector is 'cascade'; it may be {', '.join(map(repr, DETECTORS))}$"):
        load_config(write(**values))
    added(DETECTORS, "cascade")
    added(DATA_TYPES, "drawn")
    cfg = load_config(write(**values))
    assert (cfg.detector, cfg.train_data_type, cfg.val_data_type) == ("cascade", "drawn", "drawn")
    text = help_lines(capsys)
    assert f"({' | '.join(DETECTORS)})" in text and text.count(f"({' | '.join(DATA_TYPES)})") == 2


def test_the_shipped_files_do_not_narrow_what_is_added(added, data_files):
    added(DATA_TYPES, "drawn")
    configs = data_files.parents[1] / "configs"
    assert load_config(str(configs / "default_config.yaml"), ["--val_data_type", "drawn"]).val_data_type == "drawn"


def test_keys_from_outside_are_read_checked_listed_saved_and_compared(write, added, tmp_path, capsys):
    plain = load_config(write())
    added(EXTRA_KEYS, CountingKeys)
    assert config_hash(load_config(write())) == config_hash(plain)
    arguments = ["--count_log", "c.csv", "--count_head.widths", "[4, 4]"]
    cfg = load_config(write(count_weight=0.5), arguments)
    assert (cfg.count_weight, cfg.count_head.widths) == (0.5, [4, 4]) and isinstance(cfg, Config)
    assert to_dict(cfg)["count_head"] == {"widths": [4, 4]}
    save_config(cfg, str(tmp_path / "saved.yaml"))
    assert load_config(str(tmp_path / "saved.yaml")) == cfg

    found = {one.name: (one.then, one.now, one.on_resume) for one in differences(load_config(write()), cfg)}
    assert found == {
        "count_weight": (1.0, 0.5, "same"),
        "count_log": ("", "c.csv", "free"),
        "count_head.widths": ([8, 8], [4, 4], "same"),
    }
    assert config_hash(cfg) != config_hash(plain)
    assert config_hash(dataclasses.replace(cfg, count_log="")) == config_hash(cfg)

    text = help_lines(capsys)
    assert "--count_weight [1.0]  factor of the counting loss" in text and "--count_head.widths [[8, 8]]" in text
    assert text.index("--count_weight") > text.index("--expand_ratio")
    with pytest.raises(UserError, match="command line: unknown key count_wait; did you mean count_weight"):
        load_config(write(), ["--count_wait", "1"])
    with pytest.raises(UserError, match="count_weight is -1.0; it must be at least 0"):
        load_config(write(count_weight=-1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        cfg.count_weight = 1


def test_without_them_the_keys_are_unknown_and_the_type_is_config_itself(write, monkeypatch):
    monkeypatch.setattr("src.config.config.EXTRA_KEYS", [])
    assert config_type() is Config
    with pytest.raises(UserError, match="unknown key count_weight"):
        load_config(write(count_weight=1))


def test_two_classes_of_keys_may_join_but_none_may_take_a_name_that_is_there(added):
    @keys(matters="never", on_resume="free")
    class MoreKeys:
        stop_file: str = key("", "stop where this file is")

    @keys(matters="training", on_resume="same")
    class TakenKeys:
        lr: float = key(1.0, "another rate")

    added(EXTRA_KEYS, CountingKeys)
    added(EXTRA_KEYS, MoreKeys)
    joined = config_type()
    names = [item.name for item in dataclasses.fields(joined)]
    assert names[-4:] == ["count_weight", "count_log", "count_head", "stop_file"] and config_type() is joined
    added(EXTRA_KEYS, TakenKeys)
    with pytest.raises(ValueError, match="TakenKeys.lr: Config has this key already"):
        config_type()


def test_a_key_from_outside_without_its_facts_is_an_error_at_once(added):
    @keys(matters="training")
    class ForgetfulKeys:
        stamina: int = key(3, "evaluations without a better one")

    added(EXTRA_KEYS, ForgetfulKeys)
    with pytest.raises(ValueError, match="stamina: on_resume must be said"):
        config_type()
