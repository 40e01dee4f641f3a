"""Where the compiled operators are."""

from pathlib import Path

import mindspore as ms

from src.errors import UserError

BIN_FOLDER = Path(__file__).parent / "bin"
LIBRARIES = {"CPU": "custom_ops_cpu.so", "GPU": "custom_ops_gpu.so"}


def device_has_custom_ops() -> bool:
    """Whether this project has custom operators for the current device at all (it has none for Ascend)."""
    return ms.get_context("device_target") in LIBRARIES


def library_path() -> str:
    """Path of the compiled operators for the current device. UserError if they have not been built."""
    path = BIN_FOLDER / LIBRARIES[ms.get_context("device_target")]
    if not path.is_file():
        raise UserError(f"{path} is missing: build the custom operators with 'bash scripts/build_custom.sh'")
    return str(path)
