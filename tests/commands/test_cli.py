"""`vision-zoo`: every command by one name."""

import subprocess
import sys

import pytest

import src
from src.commands import cli
from tests.end_to_end.commands import ROOT, run

WHOLE = [name for name, one in cli.COMMANDS.items() if cli._is_there(one)]


def test_alone_it_lists_all_commands_in_one_screen():
    said = run("-m", "src.commands.cli")
    lines = said.splitlines()
    assert len(lines) < 24 and max(map(len, lines)) < 80
    assert [line.split()[0] for line in lines[4:]] == WHOLE
    assert run("-m", "src.commands.cli", "--help") == said
    assert run("-m", "src.commands.cli", "--version") == f"vision-zoo {src.__version__}\n"


@pytest.mark.parametrize(
    "word,said",
    [
        ("trian", "error: no command trian; did you mean train?"),
        ("covert-weights", "error: no command covert-weights; did you mean convert-weights?"),
        ("zzz", "error: no command zzz; vision-zoo alone lists them"),
        ("a\nb", "error: no command a\\nb; vision-zoo alone lists them"),
        ("--config_path", "error: no command --config_path; vision-zoo alone lists them"),
    ],
)
def test_an_unknown_command_names_the_nearest(word, said):
    assert run("-m", "src.commands.cli", word, status=2) == f"{said}\n"


@pytest.mark.parametrize("name", WHOLE)
def test_every_command_helps(name):
    said = run("-m", "src.commands.cli", name, "--help")
    assert len(said) > 200 and "error" not in said.splitlines()[0]


@pytest.mark.parametrize(
    "name,script",
    [("train", "train.py"), ("eval", "eval.py"), ("infer", "infer.py"), ("export", "export.py"),
     ("convert-weights", "convert_weights.py"), ("draw", "draw_predictions.py")],
)  # fmt: skip
def test_it_says_what_the_script_says(name, script):
    assert run("-m", "src.commands.cli", name, status=2) == run(script, status=2)


def test_listing_loads_nothing_large():
    text = (
        "import sys; import src.commands.cli as c; c.overview(); from src import UserError\n"
        "sys.exit(any(name in sys.modules for name in ('mindspore', 'numpy', 'cv2', 'matplotlib', 'yaml')))"
    )
    assert subprocess.run([sys.executable, "-c", text], cwd=ROOT).returncode == 0


def test_the_packages_own_names_are_imported_when_asked_for():
    from src.api import Model, load
    from src.errors import UserError

    assert (src.load, src.Model, src.UserError) == (load, Model, UserError) and "load" in dir(src)
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        _ = src.lode
