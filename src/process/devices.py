"""Which devices this machine has, by what its drivers put into /dev: MindSpore need not be there to tell."""

import os

DRIVERS = {"GPU": ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg"), "Ascend": ("/dev/davinci_manager", "/dev/davinci0")}


def is_here(device: str) -> bool:
    """Whether a device of the kind `device` ("CPU", "GPU", "Ascend") is there; of a kind not known, yes."""
    return device not in DRIVERS or any(os.path.exists(path) for path in DRIVERS[device])
