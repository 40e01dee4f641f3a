"""A key whose value maps names to numbers: in files, on the command line, saved."""

import pytest

from src.config import load_config, save_config
from src.errors import UserError


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("", [], {}),
        ("lr_factors: {backbone: 1e-1, backbone.stage4: 1}\n", [], {"backbone": 0.1, "backbone.stage4": 1.0}),
        ("lr_factors: {backbone: 0.1}\n", ["--lr_factors", "{neck: 2, rpn_head: 3}"], {"neck": 2.0, "rpn_head": 3.0}),
        ("lr_factors: {a: 0.1}\n", ["--lr_factors.b.c=0.5", "--lr_factors.a", "2"], {"a": 2.0, "b.c": 0.5}),
    ],
)
def test_a_key_may_map_names_to_numbers_and_each_name_can_be_given(write, tmp_path, text, arguments, expected):
    cfg = load_config(write(text), arguments)
    assert cfg.lr_factors == expected and ("lr_factors" in cfg.typed) == bool(arguments)
    save_config(cfg, str(tmp_path / "saved.yaml"))
    assert load_config(str(tmp_path / "saved.yaml")) == cfg
    cfg.lr_factors["other"] = 1.0
    assert load_config(write(text), arguments).lr_factors == expected


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[1, 2]", "lr_factors must map names to numbers"), ("0.1", "lr_factors must map names to numbers"),
        ("{3: 0.1}", "lr_factors must map names to numbers"), ("{a: -1}", "lr_factors.a is -1.0; it must be at least"),
        ("{a: {b: 1}}", "lr_factors.a must be a number"), ("{a: word}", "lr_factors.a must be a number, not 'word'"),
    ],
)  # fmt: skip
def test_what_does_not_map_names_to_numbers_is_refused(write, text, wrong):
    with pytest.raises(UserError, match=wrong):
        load_config(write(f"lr_factors: {text}\n"))
    with pytest.raises(UserError, match=wrong):
        load_config(write(), ["--lr_factors", text])
