"""Environment variables of others: looked at before a command does anything, or set before they are read."""

import os
import re
from pathlib import Path

from ..errors import UserError, short

MOST_THREADS = 4096
LAUNCHED = (  # numbers that a launcher sets
    "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MS_NODE_ID", "MS_WORKER_NUM",
    "RANK_ID",
)  # fmt: skip


def require_numbers() -> None:
    """UserError for a variable that is to hold a number and does not; an empty one counts as not set."""
    for name in LAUNCHED:
        text = os.environ.get(name, "")
        if text and not re.fullmatch(r"[0-9]{1,9}", text):
            raise UserError(f"the environment variable {name} is {short(text)}; it must be a whole number")
    text = os.environ.get("OMP_NUM_THREADS", "")
    if not text:
        os.environ.pop("OMP_NUM_THREADS", None)
    elif not all(
        re.fullmatch(r"\s*\+?[0-9]{1,9}\s*", part) and 1 <= int(part) <= MOST_THREADS for part in text.split(",")
    ):
        raise UserError(
            f"the environment variable OMP_NUM_THREADS is {short(text)}; it must be a number of threads, from 1 to "
            f"{MOST_THREADS}"
        )


def prepare_gradio(folder: Path) -> None:
    """Gradio keeps its files in `folder` and tells nobody of its use, whatever variables of its own say.

    To be called before it is imported.
    """
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ |= {
        "GRADIO_TEMP_DIR": str(folder),
        "GRADIO_EXAMPLES_CACHE": str(folder / "examples"),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_ANALYTICS_MAX_EVENTS": "1",  # requests that it remembers, and goes through at each new one
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
    }


def quiet_videos() -> None:
    """FFmpeg, in OpenCV, prints nothing of its own on damaged videos, unless its variable says otherwise.

    To be called before the first video is opened.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
