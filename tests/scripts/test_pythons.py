"""The Pythons that the set-up takes, and the commands under each of them that this machine has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.commands import table

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "tests/end_to_end/mask_rcnn_resnet_tiny.yaml"
NAMES = ("python3.10", "python3.11", "python3.12", "python3")


def stand_in(path: Path, version: str) -> None:
    """A Python that takes itself for one of another version; without a version it does not run, as a pyenv name."""
    numbers = f"({version.replace('.', ', ')}, 1)"
    lines = [f'[ "$1" != --version ] || {{ echo Python {version}.1; exit; }}']
    lines += [f'exec {sys.executable} -c "import sys; sys.version_info = {numbers}; ${{2#import sys; }}"']
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/bash\n" + "\n".join(lines if version else ["exit 127"]) + "\n")
    path.chmod(0o755)


def shell(script: str, **environment: str) -> subprocess.CompletedProcess:
    variables = {name: value for name, value in os.environ.items() if name not in ("VENV", "PYTHON", "LD_PRELOAD")}
    command = ["bash", "-c", f"set -euo pipefail; source scripts/_common.sh; {script}"]
    return subprocess.run(command, cwd=ROOT, env=variables | environment, capture_output=True, text=True, timeout=1500)


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12"])
@pytest.mark.parametrize("name", NAMES)
def test_the_set_up_takes_a_supported_python_by_whatever_name(tmp_path, name, version):
    for other in NAMES:
        stand_in(tmp_path / other, version if other == name else "")
    done = shell("find_base_python", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (done.returncode, done.stdout.strip()) == (0, name), done.stderr


@pytest.mark.parametrize("version", ["3.9", "3.13", ""])
def test_another_python_is_one_true_line(tmp_path, version):
    for name in NAMES:
        stand_in(tmp_path / name, version if name == "python3" else "")
    stand_in(tmp_path / "environment" / "bin" / "python", version)
    found = f"Python {version}.1" if version else "no python3"
    line = f"{found} found; Python 3.10, 3.11 or 3.12 is needed (MindSpore 2.8.0 has wheels for 3.9 to 3.12)"
    for place in ("none", "environment"):  # that a new environment is made of, that is one already
        done = shell("prepare_environment", PATH=f"{tmp_path}:{os.environ['PATH']}", VENV=str(tmp_path / place))
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {line}\n")


OWN = "{}.{}".format(*sys.version_info)  # under which all other tests run the commands


def others() -> dict[str, Path]:
    """Version -> an interpreter of the supported Pythons that this machine has besides."""
    found = {}
    for version in ("3.10", "3.11", "3.12"):
        of_pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
        for path in (shutil.which(f"python{version}"), *of_pyenv):
            if path and not subprocess.run([path, "-c", ""], capture_output=True).returncode:
                found.setdefault(version, Path(path))
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("version", [one for one in ("3.10", "3.11", "3.12") if one != OWN])
def test_train_eval_infer_and_export_run(tmp_path, version):
    """In an environment that the set-up makes the first time, under SMOKE_VENVS or in the repository (2 GB each)."""
    if version not in others():
        pytest.skip(f"this machine has no Python {version}")
    venv = Path(os.environ.get("SMOKE_VENVS", ROOT)) / f".venv-{version}"
    if not venv.exists():
        subprocess.run([others()[version], "-m", "venv", venv], check=True)
    done = shell("prepare_environment requirements-export.txt", VENV=str(venv))
    assert done.returncode == 0, done.stdout + done.stderr
    python = venv / "bin" / "python"

    def run(*arguments: object) -> str:
        settings = [python, *map(str, arguments)]
        done = subprocess.run(settings, cwd=ROOT, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    assert run("--version").startswith(f"Python {version}.")
    data = tmp_path / "data"
    run("-m", "src.data.synthetic", "coco", data, "--images", 4, "--val-images", 2, "--size", 64, "--seed", 3)
    train = ("--train_dataset", data / "train", "--train_outputs", tmp_path / "out", "--filter_empty_gt", 0)
    validation = ("--config_path", CONFIG, "--val_dataset", data / "validation")
    run("train.py", *validation, *train, "--epoch_size", 1)
    (folder,) = (tmp_path / "out").iterdir()
    (checkpoint,) = (folder / "best_ckpt").glob("*.ckpt")
    (metrics,) = table(folder / "metrics.csv")
    given = (*validation, "--checkpoint_path", checkpoint)
    assert f"bbox_mAP: {float(metrics['bbox_mAP']):.4f}" in run("eval.py", *given)
    run("infer.py", *given, "--pred_input", data / "validation/data", "--pred_output", tmp_path / "found.json")
    run("draw_predictions.py", "--pred_file", tmp_path / "found.json", "--out_dir", tmp_path / "pictures")
    for file_format in ("ONNX", "MINDIR"):
        run("export.py", *given, "--file_name", tmp_path / "model", "--file_format", file_format)
