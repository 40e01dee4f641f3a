"""What an error says: one line, of bounded length, whatever the value."""

import datetime

import pytest

from src.errors import LISTED, UserError, listed, plain, short

ODD = {
    "long text": "x" * 10**6, "line breaks": "a\nb\r\u2028c", "escapes": "\x1b[31mred\0", "half a character": "\udc80",
    "huge number": 10**5000, "infinity": float("inf"), "list": [[1] * 10**5] * 10**3, "dict": {"a" * 10**5: "b"},
    "deep": [[[[[[[[]]]]]]]], "date": datetime.date(2024, 1, 2), "bytes": b"\0" * 10**5, "set": set(range(10**4)),
    "list of huge numbers": [10**5000] * 9,
}  # fmt: skip


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_a_value_is_shown_on_one_short_line(value):
    for show in (short, plain):
        text = show(value)
        assert 0 < len(text) <= 60 and text.isprintable()


def test_values_of_usual_size_are_shown_as_python_writes_them():
    for value in ("it's", 7, -1.5, None, True, [1, 2, 3], {"a": 1}, (1,), 10**30):
        assert short(value) == repr(value)
    assert plain("a b") == "a b" and short(datetime.date(2024, 1, 2)) == "2024-01-02"


def test_a_list_of_names_is_cut_between_them_and_says_how_many_there_are():
    assert listed("abcdefg") == "a, b, c, d, e and 2 more" and LISTED == 5
    assert listed(["a", "b"]) == "a, b" and listed([]) == ""


def test_a_user_error_is_one_line_with_its_beginning_and_its_end():
    error = UserError("first\nline: " + "x" * 10**6 + " and what would be right")
    assert str(error).startswith("first\\nline") and str(error).endswith("and what would be right")
    assert len(str(error)) < 700 and "\n" not in str(error)
