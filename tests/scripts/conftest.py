"""Shared by the tests of the launchers."""

import pytest

from tests.scripts.stand_ins import stand_in


@pytest.fixture()
def place(tmp_path):
    """A working directory with a space in its name that holds everything a launcher asks for."""
    folder = tmp_path / "my data"
    for name in ("train", "val", "bin"):
        (folder / name).mkdir(parents=True)
    for name in ("config.yaml", "model.ckpt", "hosts"):
        (folder / name).touch()
    stand_in(folder, "python", 'printf "%s\\n" "$@"; pwd; exit "${STATUS:-0}"')
    return folder
