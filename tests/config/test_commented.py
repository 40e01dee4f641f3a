"""A file of values with their reasons is read back as it was meant, whatever stands in it."""

import yaml

from src.config.commented import commented_yaml

ODD = ["yes", "1", "a: b", "# x", "'q\"", "{c}", "[d", "- e", "猫", "null", "1e3", "&f", "tab\tline\nend", " g "]


def test_every_value_is_read_back_and_each_reason_stands_above_its_value():
    values = {
        "lr": (0.02, "because"), "names": (ODD, "of the data"), "name": ("a: b # c", ""), "nothing": ("", "no\nline"),
        "rpn.anchor.scales": ([8, 4], "small"), "backbone.norm": (False, "none"), "rpn.on": (True, "too"),
    }  # fmt: skip
    text = commented_yaml(["A file."], values)
    assert yaml.safe_load(text) == {
        "lr": 0.02, "names": ODD, "name": "a: b # c", "nothing": "",
        "rpn": {"anchor": {"scales": [8, 4]}, "on": True}, "backbone": {"norm": False},
    }  # fmt: skip
    lines = text.splitlines()
    assert lines[:4] == ["# A file.", "", "# because", "lr: 0.02"]
    assert "# no\\nline" in lines and lines[lines.index("    # small") + 1] == "    scales: [8, 4]"
    assert lines[lines.index("backbone:") + 1 :] == ["  # none", "  norm: false"]


def test_lines_are_short_enough_to_read():
    text = commented_yaml(["word " * 60], {"classes": ([f"class number {k}" for k in range(90)], "reason " * 50)})
    assert max(map(len, text.splitlines())) <= 120
    assert len(yaml.safe_load(text)["classes"]) == 90
