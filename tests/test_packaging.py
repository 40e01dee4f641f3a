"""What a wheel has: read off setup.py without building one (tests/end_to_end/test_wheel.py builds and installs it)."""

import fnmatch
import re
import runpy
from pathlib import Path

import pytest
import setuptools

import src

ROOT = Path(__file__).parents[1]
LEFT_OUT = ("bin", "__pycache__")


@pytest.fixture(scope="module")
def asked() -> dict:
    """What setup.py asks of setuptools."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(setuptools, "setup", lambda **words: found.update(words))
        runpy.run_path(str(ROOT / "setup.py"))
    return found


def files_of(folder: str) -> list[Path]:
    found = (path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*") if path.is_file())
    return [path for path in found if not set(path.parts) & set(LEFT_OUT)]


def test_every_file_of_the_package_and_every_configuration_is_in_it(asked):
    packages, patterns = set(asked["packages"]), asked["package_data"][""]
    for top, folder in (("ms_vision_zoo", "src"), ("ms_vision_zoo.configs", "configs")):
        assert asked["package_dir"][top] == folder
        for path in files_of(folder):
            assert ".".join((top, *path.parent.parts)) in packages, path
            assert path.suffix == ".py" or any(fnmatch.fnmatch(path.name, one) for one in patterns), path
    assert all(name.split(".")[0] == "ms_vision_zoo" for name in packages)


def test_no_compiled_file_is_in_it(asked):
    assert not [one for one in asked["package_data"][""] if one in ("*", "*.so")]
    assert not [name for name in asked["packages"] if name.endswith(".bin")]


def test_it_needs_what_the_requirements_file_says(asked):
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    names = [re.match(r"[\w.-]+", line)[0] for line in lines if line and not line.startswith(("#", "-"))]
    assert [re.match(r"[\w.-]+", one)[0] for one in asked["install_requires"]] == names and "mindspore" in names
    assert not [one for one in asked["install_requires"] if "#" in one]
    assert {"export", "gpu", "tracking", "supervision"} <= set(asked["extras_require"])
    assert all(asked["extras_require"].values())
    assert sorted(one.split(">")[0] for one in asked["extras_require"]["tracking"]) == ["mlflow-skinny", "tensorboardX"]


def test_version_and_command_stand_in_one_place():
    text = (ROOT / "pyproject.toml").read_text()
    assert '\nversion = { attr = "src.__version__" }\n' in text and text.count("\nversion =") == 1
    assert f'\n[project.scripts]\n{src.COMMAND} = "ms_vision_zoo.commands.cli:main"\n' in text
    assert "\ndependencies" not in text
