"""Lists on the command line: numbers with commas, one number, and what is none."""

from pathlib import Path

import pytest

from src.config import default_config, load_config
from src.errors import UserError


def test_a_list_may_be_given_as_numbers_with_commas():
    config = str(Path(__file__).parents[2] / "configs" / "hrnet_w18_seg_cityscapes.yaml")
    assert load_config(config, ["--eval_scales", "0.75,1.0,1.25"]).eval_scales == [0.75, 1.0, 1.25]
    assert load_config(config, ["--eval_scales=[0.5]"]).eval_scales == [0.5]


@pytest.mark.parametrize(
    "key,text,value",
    [("eval_scales", "0.75", [0.75]), ("eval_scales", "1", [1.0]), ("eval_scales", "5e-1", [0.5]),
     ("eval_scales", "1/2", [0.5]), ("lr_steps", "8", [8]), ("class_weights", "3", [3.0])],
)  # fmt: skip
def test_a_list_of_one_number_may_be_typed_as_that_number(key, text, value):
    assert getattr(default_config([f"--{key}", text]), key) == value


@pytest.mark.parametrize(
    "key,text,said",
    [
        ("eval_scales", "0", "eval_scales is 0.0; it must be at least 0.1 and at most 10"),
        ("eval_scales", "abc", "eval_scales must be a number, not 'abc'"),
        ("eval_scales", "true", "eval_scales must be a list, not True; write [a, b, c]"),
        ("img_mean", "128", "img_mean must have 3 numbers, not 1"),
        ("lr_steps", "0.5", "lr_steps must be a whole number, not 0.5"),
        ("class_names", "cat", "class_names must be a list, not 'cat'; write [a, b, c]"),  # perhaps a file's name
        ("label_colours", "3", "label_colours must be a list, not 3; write [[a, b], [c, d]]"),
    ],
)
def test_what_is_typed_for_a_list_and_is_none_is_said_with_its_form(key, text, said):
    with pytest.raises(UserError) as caught:
        default_config([f"--{key}", text])
    assert str(caught.value) == f"command line: {said}"


def test_a_list_in_a_file_is_a_list(write):
    with pytest.raises(UserError, match=r"eval_scales must be a list, not 0.75; write \[a, b, c\]"):
        load_config(write("eval_scales: 0.75\n"))
