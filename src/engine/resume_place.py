"""What a path in `--resume` leads to: the folder of a run, and one of its training states where the path is a file."""

import os
from pathlib import Path

from ..errors import UserError
from ..reading import is_file, is_folder
from .checkpoint_folders import CheckpointFolder
from .run_folder import has_begun

STATE = "RUN/ckpt/epoch_0001_step_0000001.ckpt"  # as messages show one


def resume_place(text: str) -> tuple[Path, Path | None]:
    """(folder of the run, its state to go on from; None for the newest one). UserError for any other path."""
    path = Path(os.path.abspath(text))
    if is_folder(path):
        if not has_begun(path):
            raise UserError(f"resume: no run has begun in {text}; give a run's folder, or one of its states ({STATE})")
        return path, None
    if not is_file(path):
        raise UserError(f"resume: {text} does not exist; give 1, a run's folder, or one of its states ({STATE})")
    states = CheckpointFolder(path.parent, 0)
    if path.parent.name != "ckpt" or path not in states.newest_first():
        raise UserError(
            f"resume: {text} is no training state in a run's folder ({STATE}); a new run starts from its weights by "
            "--pre_trained"
        )
    return path.parent.parent, path
