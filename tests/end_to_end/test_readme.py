"""The README's first screen, followed word by word: from the demo's run to drawn images."""

import gzip
import shutil
import subprocess
from pathlib import Path

import cv2
import pytest

from tests.end_to_end.followed_page import ROOT, bash
from tests.page_blocks import blocks

MUSEUM = ROOT / "tests" / "museum"


def demo(folder: Path) -> None:
    """What scripts/run_demo.sh leaves in outputs/demo, by a run of the museum and its drawn images."""
    run = folder / "outputs" / "demo" / "120000" / "261127_MaskRCNN_demo"
    (source,) = (MUSEUM / "mask_rcnn_hrnet" / "run").iterdir()
    (packed,) = source.glob("best_ckpt/*.ckpt.gz")
    (run / "best_ckpt").mkdir(parents=True)
    (run / "best_ckpt" / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    shutil.copy(source / "config.yaml", run)
    shutil.copytree(MUSEUM / "data/shapes/train/data", folder / "outputs/demo/data/validation/data")


def test_the_two_commands_are_there():
    commands = [line.split("#")[0].split() for line in blocks("../README.md", "bash")[0].strip().split("\n")]
    assert commands == [["bash", "scripts/run_demo.sh"], ["bash", "scripts/run_tests.sh"]]
    for _, script in commands:
        assert subprocess.run(["bash", "-n", str(ROOT / script)]).returncode == 0


@pytest.mark.slow
def test_what_follows_the_demo_draws_all_of_its_images(tmp_path):
    for name in ("src", "configs", "infer.py", "draw_predictions.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    demo(tmp_path)
    bash(blocks("../README.md", "bash")[1], tmp_path)
    drawn = sorted((tmp_path / "outputs" / "drawn").iterdir())
    assert len(drawn) == 10 and all(max(cv2.imread(str(path)).shape) == 384 for path in drawn)


@pytest.mark.parametrize("words", [["--seed", "2"], ["-h"], ["one", "two"]])
def test_the_demo_names_its_usage_for_wrong_words_and_makes_nothing(tmp_path, words):
    line = ["bash", ROOT / "scripts" / "run_demo.sh", *words]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "error: usage: bash scripts/run_demo.sh [OUT_DIR]\n")
    assert not list(tmp_path.iterdir())
