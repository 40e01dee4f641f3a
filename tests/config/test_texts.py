"""A key that takes one text, or several in a list: in files, on the command line, saved."""

from pathlib import Path

import pytest

from src.config import load_config, save_config
from src.config.schema import Texts, key, keys
from src.errors import UserError


@keys(matters="never", on_resume="same")
class PlaceKeys:
    places: Texts = key("", "folders")
    kinds: Texts = key("any", "kinds of folders", choices=("any", "own"))


@pytest.fixture(autouse=True)
def extra(monkeypatch):
    monkeypatch.setattr("src.config.config.EXTRA_KEYS", [PlaceKeys])


@pytest.mark.parametrize(
    ("yaml", "typed", "expected"),
    [
        ("a", "a", "a"), ("[a, b]", "[a, b]", ["a", "b"]), ("[a]", "[a]", "a"), ("[]", "[]", ""), ("", "", ""),
        ("'a,b'", "a,b", "a,b"), ("['a,b', c d]", "['a,b', c d]", ["a,b", "c d"]), ("null", "null", None),
        ("'[a, b'", "[a, b", "[a, b"), ("'[a] x'", "[a] x", "[a] x"), ("'2017'", "2017", "2017"),
        ('["b, [1]", a]', ' ["b, [1]", a] ', ["b, [1]", "a"]), ("[null]", "[null]", ""),
    ],
)  # fmt: skip
def test_one_text_stays_one_and_brackets_make_a_list(write, tmp_path, yaml, typed, expected):
    """A text with commas is one path; `null` in a file is no text, on the command line it is this word."""
    in_file, by_line = load_config(write(f"places: {yaml}\n")), load_config(write(), ["--places", typed])
    assert in_file.places == ("" if expected is None else expected)
    assert by_line.places == ("null" if expected is None else expected)
    for cfg in (in_file, by_line):
        save_config(cfg, str(tmp_path / "saved.yaml"))
        assert load_config(str(tmp_path / "saved.yaml")) == cfg


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("places", "[a, 1]", r"places\[1\] must be a text, not 1"),
        ("places", "[a, '']", r"places\[1\] is empty; of several each must be named"),
        ("places", "[[a], b]", r"places\[0\] must be a text, not \['a'\]"),
        ("places", f"[a, {'x' * 300}]", "places is 'x.*holds a name of 300 bytes"),
        ("kinds", "[any, other]", "kinds is 'other'; it may be 'any', 'own'"),
        ("kinds", "[]", "kinds is ''; it may be 'any', 'own'"),
    ],
)  # fmt: skip
def test_a_list_of_what_are_no_such_texts_is_refused(write, name, text, wrong):
    with pytest.raises(UserError, match=wrong):
        load_config(write(f"{name}: {text}\n"))
    with pytest.raises(UserError, match=wrong):
        load_config(write(), [f"--{name}", text])


def test_another_kind_of_value_is_refused_in_words(write):
    for text in ("3", "{a: b}", "true"):
        with pytest.raises(UserError, match="places must be a text or a list of texts, not "):
            load_config(write(f"places: {text}\n"))


def test_a_class_may_have_a_longer_name_than_a_file():
    """A label file's own classes become a run's configuration, which is read again."""
    long = "x" * 300
    path = str(Path(__file__).parents[2] / "configs" / "mask_rcnn_r50_fpn_1x_coco.yaml")
    cfg = load_config(path, [f"--coco_classes=['background', '{long}']", "--num_classes=2"])
    assert cfg.coco_classes == ["background", long]
    with pytest.raises(UserError, match="train_dataset is 'xxx.* holds a name of 300 bytes"):
        load_config(path, [f"--train_dataset={long}"])
    with pytest.raises(UserError, match="holds a name of 300 bytes"):
        load_config(path, [f"--train_dataset=[a, {long}]"])
