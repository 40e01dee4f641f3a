"""A page of docs/ followed by its commands, in a folder that looks like the repository's root."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def lay_out(folder: Path, yaml_text: str) -> str:
    """The programs and configurations in `folder`, with the page's as configs/mine.yaml; its text, as it is written.

    It stands on a narrower network than the page's, which compiles sooner.
    """
    yaml_text = yaml_text.replace("mask_rcnn_hrnet_shapes.yaml", "mask_rcnn_hrnet_tiny.yaml")
    for name in ("src", "train.py", "eval.py", "infer.py", "draw_predictions.py"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "configs").mkdir()
    for name in ("demo", "_base_"):
        (folder / "configs" / name).symlink_to(ROOT / "configs" / name)
    (folder / "configs" / "mine.yaml").write_text(yaml_text, encoding="utf-8")
    return yaml_text


def bash(script: str, folder: Path) -> str:
    """Run a block in `folder` as a user would in the repository's root."""
    variables = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr
