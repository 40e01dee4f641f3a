"""Thresholds a class: written, read back, and refused in one line where they are not those of the model's classes."""

import pytest

from src.config import default_config, load_config
from src.config.thresholds import class_thresholds, named_thresholds, read_thresholds, thresholds_text
from src.errors import UserError

ODD = ["no", "1", "a: b # c", "", "'quoted\" {x}", "猫", "x" * 300, "\udcff bytes"]
ODD += ["true", "null", "2024-01-01", "a\nb"]


def test_every_name_of_a_class_is_read_back(tmp_path):
    values = {name: k / 16 for k, name in enumerate(ODD)}
    text = thresholds_text("one\ntwo", [(name, value, f"F1 {value}") for name, value in values.items()])
    assert text.startswith("# one\n# two\n") and text.isascii() is False and "猫: 0.3125  # F1 0.3125\n" in text
    (tmp_path / "t.yaml").write_text(text, encoding="utf-8")
    assert read_thresholds(tmp_path / "t.yaml") == values


def test_a_score_is_read_back_to_the_last_digit(tmp_path):
    score = 0.7568380832672119
    (tmp_path / "t.yaml").write_text(thresholds_text("x", [("a", score, ""), ("b", 1e-7, "")]))
    assert read_thresholds(tmp_path / "t.yaml") == {"a": score, "b": 1e-7}


def test_thresholds_stand_in_the_order_of_the_classes(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text("b: 0.25\na: 1\n")
    assert class_thresholds(str(path), ["a", "b"], "key") == [1.0, 0.25]
    assert class_thresholds(0.05, ["a", "b"], "key") == 0.05
    assert named_thresholds([1.0, 0.25], ["a", "b"]) == {"a": 1.0, "b": 0.25} and named_thresholds(0.05, ["a"]) == 0.05


@pytest.mark.parametrize(
    "text,message",
    [
        ("a: 0.5", "key: .*t.yaml has no threshold for b$"),
        ("{a: 0.5, b: 0.5, c: 0.1}", "key: .*t.yaml has a threshold for a class that the model lacks: c$"),
        ("a: 1.5", "the threshold of class a is 1.5; it must be from 0 to 1"),
        ("a: -0.1", "it must be from 0 to 1"),
        ("a: .nan", "it must be from 0 to 1"),
        ("a: true", "class a is True"),
        ("a: high", "class a is 'high'"),
        ("1: 0.5", "class 1 is no text as it stands: write it in quotes"),
        ("[0.5]", "thresholds map each class"),
        ("", "thresholds map each class"),
        ("a: 0.5\na: 0.6", "given twice"),
        ("a: !!python/object:os.system x", "a configuration has no values of the kind"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        class_thresholds(str(tmp_path / "t.yaml"), ["a", "b"], "key")
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="thresholds file .*none.yaml does not exist"):
        read_thresholds(tmp_path / "none.yaml")


@pytest.mark.parametrize("text,value", [("0.5", 0.5), ("1", 1.0), ("a/b.yaml", "a/b.yaml"), ("[a].yaml", "[a].yaml"),
                                        ("2024-01-01", "2024-01-01"), ("a: b.yaml", "a: b.yaml")])  # fmt: skip
def test_the_key_takes_a_number_or_the_name_of_a_file(tmp_path, text, value):
    assert default_config(["--infer_score_thr", text]).infer_score_thr == value
    (tmp_path / "c.yaml").write_text(f"infer_score_thr: '{text}'\n")
    assert load_config(str(tmp_path / "c.yaml")).infer_score_thr == value
    with pytest.raises(UserError, match="infer_score_thr is 2.0; it must be at least 0 and at most 1"):
        default_config(["--infer_score_thr", "2"])
