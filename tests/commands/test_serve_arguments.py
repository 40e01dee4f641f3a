"""What is wrong with a command line of `serve` is one line, before a network is loaded."""

import importlib.util

import pytest

from src.commands import serve
from tests.end_to_end.commands import run


@pytest.mark.parametrize(
    "arguments,line",
    [
        ((), "give --run FOLDER or --checkpoint_path FILE; see --help"),
        (("--run", "a", "--checkpoint_path", "b"), "give either --run FOLDER or --checkpoint_path FILE; see --help"),
        (("--run", "no such run"), "no such run does not exist"),
        (("--run", "a", "--port", "70000"), "--port is 70000; it must be at least 0 and at most 65,535; see --help"),
        (("--run", "a", "--host", "300.1.1.1"), "--host 300.1.1.1: there is no such place"),
        (("--run", "a", "stray"), "unexpected argument 'stray': write --key value"),
        (("--run", "a", "--max_megabytes", "0"), "--max_megabytes is 0; it must be at least 0.001 and at most 1,000; "
                                                 "see --help"),
    ],
)  # fmt: skip
def test_it_is_said_in_one_line(arguments, line):
    arguments = arguments if "--port" in arguments else (*arguments, "--port", "0")
    assert run("-m", "src.commands.serve", *arguments, status=2) == f"error: {line}\n"


def test_without_gradio_it_says_how_to_get_it(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "gradio" else find(name, *rest)
    )
    with pytest.raises(serve.UserError, match='the page needs Gradio: pip install "gradio>=6.31,<7"'):
        serve.serve("run", {}, "127.0.0.1", 0, serve.Limits())


def test_the_title_is_the_runs_name_whatever_bytes_it_has():
    assert serve._title("/a/261127_demo/") == "261127_demo" and serve._title("x/\udcff<b>") == "?<b>"


def test_help_names_every_option():
    said = run("-m", "src.commands.serve", "--help")
    for option in ("--run", "--checkpoint_path", "--port", "--host", "--max_megabytes", "--max_megapixels"):
        assert option in said
