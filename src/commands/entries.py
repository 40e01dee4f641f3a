"""The commands of the repository's root, which `vision-zoo` has too, up to where MindSpore is loaded."""

import inspect
from collections.abc import Callable

from ..config import parse_cli as parse_with_file
from ..process.command import entry_point
from ..process.logs import outlive_the_terminal, quiet_logs
from ..process.threads import share_cores
from ..zoo.command_line import parse_cli

WEIGHTS = "checkpoint_path|checkpoint_url"


@entry_point
def train() -> None:
    """Train a model: weights from scratch, from a backbone, from a checkpoint, or on with a stopped run (--resume 1).
    """
    required = ("train_dataset|train_annotations|mindrecord_dir|data_url",)
    cfg = parse_cli(_described(train), required=required, command="train.py")
    quiet_logs()
    outlive_the_terminal()
    share_cores()
    from ..engine.trainer import train as run
    from ..integrations.modelarts import modelarts

    with modelarts(cfg, "pre_trained") as cfg:
        run(cfg)


@entry_point
def evaluate() -> None:
    """Evaluate a checkpoint, or saved predictions, on the validation set."""
    cfg = parse_cli(_described(evaluate), command="eval.py")
    quiet_logs()
    share_cores()
    from ..integrations.modelarts import modelarts
    from .evaluate import evaluate as run

    with modelarts(cfg, "checkpoint_path") as cfg:
        run(cfg)


@entry_point
def infer() -> None:
    """Run a checkpoint on images, folders and lists of them, or on a video: predictions as JSON, pictures of them."""
    required = (WEIGHTS, "pred_input", "pred_output|draw")
    cfg = parse_cli(_described(infer), required=required, command="infer.py")
    quiet_logs()
    share_cores()
    from ..integrations.modelarts import modelarts
    from .infer import infer as run

    with modelarts(cfg, "checkpoint_path") as cfg:
        run(cfg)


@entry_point
def export() -> None:
    """Write a checkpoint as MINDIR, ONNX or AIR, and check that the file gives the checkpoint's outputs."""
    cfg = parse_cli(_described(export), required=(WEIGHTS, "file_name"), command="export.py")
    quiet_logs()
    from ..integrations.modelarts import modelarts
    from .export import export as run

    with modelarts(cfg, "checkpoint_path") as cfg:
        run(cfg)


@entry_point
def convert_weights() -> None:
    """Convert weights of another project into a checkpoint for a config: PyTorch's (.pth, .pt, .pkl, .safetensors),
    MindSpore's and MindCV's (.ckpt), PaddleSeg's and PaddleDetection's (.pdparams).
    """
    cfg = parse_with_file(_described(convert_weights), required=("pt_path", "ckpt_path"), command="convert_weights.py")
    quiet_logs()
    from .convert import convert_file

    convert_file(cfg)


@entry_point
def draw() -> None:
    """Draw the predictions that infer.py wrote, on their images or on the frames of their video."""
    from .draw import main

    main()


def _described(command: Callable[[], None]) -> str:
    return inspect.cleandoc(command.__doc__).strip()
